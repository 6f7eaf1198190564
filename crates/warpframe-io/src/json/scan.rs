//! The scan of JSON files.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource, JsonSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, apply_expression_roots};
use object_store::ObjectStore;

use super::opener::JsonOpener;
use crate::file_type::Compression;
use crate::text_scan::{DEFAULT_BATCH_ROWS, projected};

/// The scan of a table's JSON files.
#[derive(Debug, Clone)]
pub struct JsonScan {
    compression: Compression,
    /// Whether parts of a file may be read by different threads.
    is_splittable: bool,
    batch_size: Option<usize>,
    table_schema: TableSchema,
    projection: SplitProjection,
    metrics: ExecutionPlanMetricsSet,
}

impl JsonScan {
    /// A scan of all columns, which does not split files.
    pub fn new(table_schema: TableSchema, compression: Compression) -> Self {
        Self {
            compression,
            is_splittable: false,
            batch_size: None,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same scan, which may split files or not.
    pub(super) fn with_splits(self, is_splittable: bool) -> Self {
        Self { is_splittable, ..self }
    }

    /// The compression of the files.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// DataFusion's scan with the same columns, which has an encoding for other processes. It is not executed.
    ///
    /// # Errors
    /// The projection does not fit the table.
    pub fn to_datafusion(&self) -> Result<Arc<dyn FileSource>> {
        let scan = JsonSource::new(self.table_schema.clone());
        let all = SplitProjection::unprojected(&self.table_schema).source;
        projected(scan, Some(&self.projection.source).filter(|chosen| **chosen != all))
    }

    /// The scan that [`to_datafusion`](Self::to_datafusion) has encoded. The plan has split files where they may be.
    ///
    /// # Errors
    /// The projection does not fit the table.
    pub fn from_datafusion(scan: &JsonSource, compression: Compression) -> Result<Arc<dyn FileSource>> {
        let ours = Self::new(scan.table_schema().clone(), compression);
        projected(ours, scan.projection())
    }
}

impl FileSource for JsonScan {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let file_schema = self.table_schema.file_schema();
        let opener = JsonOpener {
            store,
            compression: self.compression,
            schema: Arc::new(file_schema.project(&self.projection.file_indices)?),
            batch_size: self.batch_size.or(config.batch_size).unwrap_or(DEFAULT_BATCH_ROWS),
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), file_schema)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_size: Some(batch_size), ..self.clone() })
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let projection = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &projection);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "json"
    }

    fn supports_repartitioning(&self) -> bool {
        self.is_splittable
    }

    fn fmt_extra(&self, _: DisplayFormatType, _: &mut fmt::Formatter) -> fmt::Result {
        Ok(())
    }

    fn apply_expressions(
        &self,
        apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter().map(|projected| &projected.expr), apply)
    }
}
