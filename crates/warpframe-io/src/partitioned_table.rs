//! A table of files whose partition columns are in the names of their folders.
//!
//! DataFusion's listing table finds the folders of an equality by their text, and so misses `month=01` for `month = 1`,
//! and has no NULL among partition values. This table has a fixed list of files with typed values.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics, exec_err};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::hive_partitions::PartitionColumns;
use super::table_location::TableFiles;

/// The table.
#[derive(Debug)]
pub(super) struct PartitionedTable {
    store: ObjectStoreUrl,
    format: Arc<dyn FileFormat>,
    file_schema: SchemaRef,
    partition_fields: Vec<FieldRef>,
    /// The columns of the files, followed by the partition columns.
    schema: SchemaRef,
    files: Vec<PartitionedFile>,
    /// The number of rows of each file, if it is known.
    rows: Option<Vec<u64>>,
}

impl PartitionedTable {
    /// A table of files with these columns in them.
    ///
    /// # Errors
    /// A column is both in the files and in the names of folders.
    pub fn new(
        files: &TableFiles,
        partitions: PartitionColumns,
        format: Arc<dyn FileFormat>,
        file_schema: SchemaRef,
        rows: Option<Vec<u64>>,
    ) -> Result<Self> {
        let schema = table_schema(&file_schema, &partitions, &files.pattern)?;
        let with_values = files.files.iter().zip(partitions.values).map(|(file, values)| {
            let mut file = PartitionedFile::from(file.object.clone());
            file.partition_values = values;
            file
        });
        Ok(Self {
            store: files.store.clone(),
            format,
            file_schema,
            partition_fields: partitions.fields.into_iter().map(Arc::new).collect(),
            schema,
            files: with_values.collect(),
            rows,
        })
    }

    fn is_partition_filter(&self, filter: &Expr) -> bool {
        let names: Vec<_> = self.partition_fields.iter().map(|field| field.name().as_str()).collect();
        expr_applicable_for_cols(&names, filter)
    }

    /// For each file, whether its partition meets all conditions that only partition columns are in.
    fn selected(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<bool>> {
        let mut selected = vec![true; self.files.len()];
        let schema = Arc::new(Schema::new(self.partition_fields.clone()));
        let columns = (0..self.partition_fields.len()).map(|column| {
            let values = self.files.iter().filter_map(|file| file.partition_values.get(column).cloned());
            ScalarValue::iter_to_array(values)
        });
        let partitions = RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_>>()?)?;
        let schema = DFSchema::try_from(schema)?;
        for filter in filters.iter().filter(|filter| self.is_partition_filter(filter)) {
            let filter = state.create_physical_expr(filter.clone(), &schema)?;
            let met = filter.evaluate(&partitions)?.into_array(self.files.len())?;
            let met = met.as_boolean();
            for (row, selected) in selected.iter_mut().enumerate() {
                *selected &= met.is_valid(row) && met.value(row);
            }
        }
        Ok(selected)
    }
}

/// The columns of files, followed by partition columns.
///
/// # Errors
/// A column is both in the files and in the names of folders.
pub(super) fn table_schema(
    file_schema: &SchemaRef,
    partitions: &PartitionColumns,
    pattern: &str,
) -> Result<SchemaRef> {
    if let Some(field) = partitions.fields.iter().find(|field| file_schema.index_of(field.name()).is_ok()) {
        return exec_err!(
            "column '{}' of '{pattern}' is both in the files and in the names of their folders: name the files by a glob \
             pattern without these folders, one folder at a time",
            field.name()
        );
    }
    let partition_fields = partitions.fields.iter().cloned().map(Arc::new);
    let fields = file_schema.fields().iter().cloned().chain(partition_fields).collect::<Vec<_>>();
    Ok(Arc::new(Schema::new_with_metadata(fields, file_schema.metadata().clone())))
}

#[async_trait]
impl TableProvider for PartitionedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let of = |filter: &&Expr| match self.is_partition_filter(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(of).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let selected = self.selected(state, filters)?;
        let chosen = |row: &usize| selected.get(*row).copied().unwrap_or(true);
        let files: Vec<_> = (0..self.files.len()).filter(chosen).map(|row| self.files[row].clone()).collect();
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Some(rows) = &self.rows {
            let total: u64 = (0..rows.len()).filter(chosen).map(|row| rows[row]).sum();
            statistics.num_rows = Precision::Exact(total as usize);
        }
        let table_schema = TableSchema::builder(Arc::clone(&self.file_schema))
            .with_table_partition_cols(self.partition_fields.clone())
            .build();
        let source = self.format.file_source(table_schema);
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let scan = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        self.format.create_physical_plan(state, scan).await
    }
}
