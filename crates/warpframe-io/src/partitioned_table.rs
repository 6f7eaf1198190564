//! A table of files in a given order, which may have partition columns in the names of their folders.
//!
//! DataFusion's listing table finds the folders of an equality by their text, and so misses `month=01` for `month = 1`,
//! and has no NULL among partition values. This table has a fixed list of files with typed values; their contents are those at
//! the time of a query.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics, exec_err};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::{StreamExt, TryStreamExt, stream};

use super::hive_partitions::PartitionColumns;
use super::table_location::TableFiles;

/// The number of files about which a store is asked concurrently.
const CONCURRENT_REQUESTS: usize = 16;

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
    /// What to list to know the files as they are now: each file, or the URL of a folder or pattern.
    urls: Vec<ListingTableUrl>,
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
            urls: files.urls.clone(),
            rows,
        })
    }

    fn is_partition_filter(&self, filter: &Expr) -> bool {
        if self.partition_fields.is_empty() {
            return false;
        }
        let names: Vec<_> = self.partition_fields.iter().map(|field| field.name().as_str()).collect();
        expr_applicable_for_cols(&names, filter)
    }

    /// The files at these positions, as they are now.
    ///
    /// # Errors
    /// A file is missing, or the store cannot be read.
    async fn current_files(&self, state: &dyn Session, positions: &[usize]) -> Result<Vec<PartitionedFile>> {
        let urls: Vec<_> = match self.urls.len() == self.files.len() {
            true => positions.iter().map(|position| self.urls[*position].clone()).collect(),
            false => self.urls.clone(),
        };
        let store = state.runtime_env().object_store(&self.store)?;
        let listed = stream::iter(urls).map(|url| {
            let store = Arc::clone(&store);
            async move { url.list_all_files(state, &*store, "").await?.try_collect::<Vec<_>>().await }
        });
        let listed: Vec<_> = listed.buffered(CONCURRENT_REQUESTS).try_collect().await?;
        let objects = listed.into_iter().flatten().map(|object| (object.location.clone(), object));
        let mut objects: HashMap<_, _> = objects.collect();
        let current = positions.iter().map(|position| {
            let mut file = self.files[*position].clone();
            match objects.remove(&file.object_meta.location) {
                Some(object) => file.object_meta = object,
                None => return exec_err!("the file '{}' has been removed", file.object_meta.location),
            }
            Ok(file)
        });
        current.collect()
    }

    /// For each file, whether its partition meets all conditions that only partition columns are in.
    fn selected(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<bool>> {
        let mut selected = vec![true; self.files.len()];
        if self.partition_fields.is_empty() {
            return Ok(selected);
        }
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
        let positions: Vec<_> = (0..self.files.len()).filter(chosen).collect();
        if positions.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let mut statistics = Statistics::new_unknown(&self.schema);
        let files = self.current_files(state, &positions).await?;
        let is_unchanged = files.iter().zip(&positions).all(|(file, position)| {
            let (now, then) = (&file.object_meta, &self.files[*position].object_meta);
            now.size == then.size && now.last_modified == then.last_modified
        });
        if let Some(rows) = &self.rows
            && is_unchanged
        {
            let total: u64 = positions.iter().map(|position| rows[*position]).sum();
            statistics.num_rows = Precision::Exact(total as usize);
        }
        let table_schema = TableSchema::builder(Arc::clone(&self.file_schema))
            .with_table_partition_cols(self.partition_fields.clone())
            .build();
        let source = self.format.file_source(table_schema);
        // Neighbours in equal numbers. DataFusion's own split sorts the files.
        let in_group = files.len().div_ceil(state.config().target_partitions().max(1));
        let groups = files.chunks(in_group.max(1)).map(|files| FileGroup::new(files.to_vec())).collect();
        let scan = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        self.format.create_physical_plan(state, scan).await
    }
}
