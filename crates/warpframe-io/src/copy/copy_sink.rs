//! The sinks of `COPY` and `INSERT` that write files.

use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::datasource::file_format::parquet::ParquetSink;
use datafusion::datasource::file_format::{csv, json};
use datafusion::datasource::physical_plan::{FileSink, FileSinkConfig};
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::replace_children_if_necessary;

use super::arrow_format::ArrowSink;
use crate::csv::CsvSink;
use crate::json::JsonSink;

/// The metric of the rows that a sink has written, which that of Parquet files has.
const ROWS_WRITTEN: &str = "rows_written";

/// A sink that writes files of a known format.
#[derive(Debug, Clone)]
pub struct CopySink {
    /// The sink in an operator over no rows, because DataFusion gives away references to its sinks only.
    operator: DataSinkExec,
    config: FileSinkConfig,
    /// The rows that were written, if the sink does not count them.
    metrics: ExecutionPlanMetricsSet,
}

impl CopySink {
    /// The sink of an operator; `None` if it does not write files.
    ///
    /// # Errors
    /// DataFusion does not accept other rows for the operator.
    pub fn of(operator: &DataSinkExec) -> Result<Option<Self>> {
        let Some(config) = config(operator.sink()).cloned() else { return Ok(None) };
        let no_rows = Arc::new(EmptyExec::new(operator.input().schema()));
        let operator = replace_children_if_necessary(Arc::new(operator.clone()), vec![no_rows])?;
        match operator.downcast_ref::<DataSinkExec>() {
            Some(operator) => {
                let (operator, metrics) = (operator.clone(), ExecutionPlanMetricsSet::new());
                Ok(Some(Self { operator, config, metrics }))
            }
            None => internal_err!("DataSinkExec became {}", operator.name()),
        }
    }

    /// An operator over no rows with this sink.
    pub fn operator(&self) -> &DataSinkExec {
        &self.operator
    }

    /// Where and how the sink writes.
    pub fn config(&self) -> &FileSinkConfig {
        &self.config
    }

    /// Writes all rows, and returns their number.
    ///
    /// # Errors
    /// The rows cannot be computed or written. Files that were complete are not removed.
    pub(super) async fn write_all(
        &self,
        rows: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let written = self.operator.sink().write_all(rows, context).await?;
        if self.metrics().sum_by_name(ROWS_WRITTEN).is_none() {
            MetricBuilder::new(&self.metrics).global_counter(ROWS_WRITTEN).add(written as usize);
        }
        Ok(written)
    }

    /// The metrics of the sink, with `rows_written` after the rows are written.
    pub fn metrics(&self) -> MetricsSet {
        let mut metrics = self.operator.sink().metrics().unwrap_or_default();
        self.metrics.clone_inner().iter().for_each(|metric| metrics.push(Arc::clone(metric)));
        metrics
    }
}

/// Where a sink of files writes; `None` for other sinks.
fn config(sink: &dyn DataSink) -> Option<&FileSinkConfig> {
    if let Some(sink) = sink.downcast_ref::<ParquetSink>() {
        return Some(FileSink::config(sink));
    }
    if let Some(sink) = sink.downcast_ref::<CsvSink>() {
        return Some(FileSink::config(sink));
    }
    if let Some(sink) = sink.downcast_ref::<csv::CsvSink>() {
        return Some(FileSink::config(sink));
    }
    if let Some(sink) = sink.downcast_ref::<JsonSink>() {
        return Some(FileSink::config(sink));
    }
    if let Some(sink) = sink.downcast_ref::<json::JsonSink>() {
        return Some(FileSink::config(sink));
    }
    sink.downcast_ref::<ArrowSink>().map(ArrowSink::config)
}
