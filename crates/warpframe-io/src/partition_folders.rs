//! Splits rows by the values of columns, which become the names of folders: `year=2024/month=1`.

use std::collections::HashMap;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{DataFusionError, Result, plan_err};
use object_store::path::PathPart;

/// The positions of columns by whose values rows are divided into folders. Names are taken as they are, or else without regard to
/// case.
///
/// # Errors
/// There is no such column, or more than one; a column is named twice or has a nested type; or no other column is left.
pub fn partition_columns(schema: &Schema, names: &[String]) -> Result<Vec<usize>> {
    let mut columns = Vec::new();
    for name in names {
        let positions = |matches: &dyn Fn(&str) -> bool| -> Vec<usize> {
            (0..schema.fields().len()).filter(|column| matches(schema.field(*column).name())).collect()
        };
        let mut found = positions(&|column| column == name);
        if found.is_empty() {
            found = positions(&|column| column.to_lowercase() == name.to_lowercase());
        }
        let column = match found[..] {
            [column] => column,
            [] => {
                let all: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                let all = all.join(", ");
                return plan_err!("cannot partition by '{name}': the columns of the output are {all}");
            }
            _ => return plan_err!("cannot partition by '{name}': more than one column has this name"),
        };
        if columns.contains(&column) {
            return plan_err!("cannot partition by '{name}' twice");
        }
        let data_type = schema.field(column).data_type();
        if data_type.is_nested() || matches!(data_type, DataType::Null) {
            return plan_err!("cannot partition by '{name}': no name of a folder stands for a {data_type}");
        }
        columns.push(column);
    }
    match columns.len() == schema.fields().len() && !columns.is_empty() {
        true => plan_err!("cannot partition by all columns: one has to be left for the files"),
        false => Ok(columns),
    }
}

/// The error of a row whose partition column is NULL.
pub(super) fn null_partition(name: &str) -> DataFusionError {
    DataFusionError::Execution(format!(
        "the partition column '{name}' is NULL in a row, and no folder has that name: replace it, as by \
         coalesce({name}, ...)"
    ))
}

/// Splits batches of a schema by the values of some columns.
pub(super) struct FolderSplitter {
    columns: Vec<usize>,
    others: Vec<usize>,
    converter: RowConverter,
    /// The folder of each combination of values.
    by_values: HashMap<Box<[u8]>, usize>,
    by_name: HashMap<String, usize>,
    names: Vec<String>,
}

impl FolderSplitter {
    /// A splitter by the columns at these positions.
    ///
    /// # Errors
    /// Arrow cannot compare the values of a column.
    pub fn new(schema: &Schema, columns: Vec<usize>) -> Result<Self> {
        let fields = columns.iter().map(|column| SortField::new(schema.field(*column).data_type().clone()));
        Ok(Self {
            converter: RowConverter::new(fields.collect())?,
            others: (0..schema.fields().len()).filter(|column| !columns.contains(column)).collect(),
            columns,
            by_values: HashMap::new(),
            by_name: HashMap::new(),
            names: Vec::new(),
        })
    }

    /// The columns of the files.
    ///
    /// # Errors
    /// The schema is not that of the splitter.
    pub fn file_schema(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        Ok(schema.project(&self.others)?.into())
    }

    /// The name of a folder, with '/' between those of several columns.
    pub fn name(&self, folder: usize) -> &str {
        self.names.get(folder).map_or("", String::as_str)
    }

    /// The rows for each folder, in their order, with the columns of the files.
    ///
    /// # Errors
    /// A value is NULL.
    pub fn split(&mut self, batch: &RecordBatch) -> Result<Vec<(usize, RecordBatch)>> {
        let values: Vec<_> = self.columns.iter().map(|column| batch.column(*column).clone()).collect();
        for (column, values) in self.columns.iter().zip(&values) {
            if values.logical_null_count() > 0 {
                return Err(null_partition(batch.schema().field(*column).name()));
            }
        }
        let rows = self.converter.convert_columns(&values)?;
        let mut selected: Vec<(usize, Vec<u32>)> = Vec::new();
        let mut of_folder = HashMap::new();
        for (row, values) in rows.iter().enumerate() {
            let folder = match self.by_values.get(values.as_ref()) {
                Some(folder) => *folder,
                None => self.add(values.as_ref(), batch, row)?,
            };
            let place = *of_folder.entry(folder).or_insert_with(|| {
                selected.push((folder, Vec::new()));
                selected.len() - 1
            });
            if let Some((_, rows)) = selected.get_mut(place) {
                // A batch has fewer rows than 2^32.
                rows.push(row as u32);
            }
        }
        let files = batch.project(&self.others)?;
        if let [(folder, _)] = selected[..] {
            return Ok(vec![(folder, files)]);
        }
        let split = selected
            .into_iter()
            .map(|(folder, rows)| Ok((folder, take_record_batch(&files, &UInt32Array::from(rows))?)));
        split.collect()
    }

    /// The folder of values that were not seen before, which are those of a row.
    fn add(&mut self, values: &[u8], batch: &RecordBatch, row: usize) -> Result<usize> {
        let mut parts = Vec::new();
        for column in &self.columns {
            let text = ArrayFormatter::try_new(batch.column(*column), &FormatOptions::default())?;
            let part =
                format!("{}={}", batch.schema().field(*column).name(), text.value(row).try_to_string()?);
            // Percent-encodes what a path cannot have.
            parts.push(PathPart::from(part).as_ref().to_owned());
        }
        let name = parts.join("/");
        let folder = *self.by_name.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            self.names.len() - 1
        });
        self.by_values.insert(values.into(), folder);
        Ok(folder)
    }
}
