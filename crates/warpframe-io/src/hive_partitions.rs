//! Columns whose values are in the names of folders, such as `year=2024/month=01`, as Hive, Spark and Dask write them.

use std::path::Path;

use arrow::array::{Array, ArrayRef, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue, exec_err};
use percent_encoding::percent_decode_str;

use super::csv::Kinds;

/// The value that stands for NULL in the name of a folder.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The names and values of a file's partition columns.
pub(super) type PartitionText = Vec<(String, Option<String>)>;

/// The columns that are in the names of these folders, from the outermost on. Values are percent-decoded.
pub(super) fn parse_folders<'a>(folders: impl Iterator<Item = &'a str>) -> PartitionText {
    let pairs = folders.filter_map(|folder| folder.split_once('='));
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    pairs.map(|(name, value)| (decode(name), (value != NULL).then(|| decode(value)))).collect()
}

/// The partition columns of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct PartitionColumns {
    pub fields: Vec<Field>,
    /// The values of the columns, by file.
    pub values: Vec<Vec<ScalarValue>>,
}

impl PartitionColumns {
    /// Finds the columns of files. A column is a BIGINT, DOUBLE, DATE or TIMESTAMP if all its values can be read as such,
    /// and text otherwise: `month=01` is the number 1 if no other folder says `month=may`.
    ///
    /// # Errors
    /// The folders of two files have different columns, or two columns of one name.
    pub fn infer(files: &[(&Path, &PartitionText)]) -> Result<Self> {
        let Some(((first_file, first), others)) = files.split_first() else { return Ok(Self::default()) };
        let names = |text: &PartitionText| text.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let columns = names(first);
        for (file, text) in others {
            if names(text) != columns {
                return exec_err!(
                    "the folders of the files have different columns: {} in '{}', {} in '{}'",
                    describe(&columns),
                    first_file.display(),
                    describe(&names(text)),
                    file.display()
                );
            }
        }
        if let Some(position) = (0..columns.len()).find(|at| columns[..*at].contains(&columns[*at])) {
            return exec_err!(
                "two folders of '{}' have the name '{}'",
                first_file.display(),
                columns[position]
            );
        }
        let (mut fields, mut values) = (Vec::new(), vec![Vec::new(); files.len()]);
        for (column, name) in columns.into_iter().enumerate() {
            let text = files.iter().map(|(_, text)| text.get(column).and_then(|(_, value)| value.as_deref()));
            let text: StringArray = text.collect();
            let typed = typed(&text)?;
            for (file, values) in values.iter_mut().enumerate() {
                values.push(ScalarValue::try_from_array(&typed, file)?);
            }
            fields.push(Field::new(name, typed.data_type().clone(), true));
        }
        Ok(Self { fields, values })
    }
}

/// The values as the type that has all of them.
fn typed(text: &StringArray) -> Result<ArrayRef> {
    let mut kinds = Kinds::default();
    kinds.add_values(text);
    let data_type = match kinds.without_padding().data_type() {
        // The name of a folder is a text unless it looks like a number or a time.
        DataType::Boolean => DataType::Utf8,
        data_type => data_type,
    };
    if text.null_count() == text.len() {
        return Ok(new_null_array(&DataType::Utf8, text.len()));
    }
    let has_empty = text.iter().flatten().any(str::is_empty);
    Ok(cast(text, if has_empty { &DataType::Utf8 } else { &data_type })?)
}

fn describe(columns: &[String]) -> String {
    match columns.is_empty() {
        true => "none".to_owned(),
        false => columns.join(", "),
    }
}
