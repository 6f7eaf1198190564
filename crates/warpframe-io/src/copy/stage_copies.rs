//! The physical rule by which the files of `COPY` and `INSERT` appear together.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};

use super::copy_output::CopyOutput;
use super::copy_sink::CopySink;
use crate::column_names::check_output_names;

/// The physical rule that makes sinks of files write into a hidden folder and publish their files at the end. The operators
/// and what `EXPLAIN` shows of them stay the same. Files with two columns of one name are an error.
#[derive(Debug, Default)]
pub struct StageCopies;

impl PhysicalOptimizerRule for StageCopies {
    fn name(&self) -> &str {
        "stage_copies"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            let Some(operator) = node.downcast_ref::<DataSinkExec>() else {
                return Ok(Transformed::no(node));
            };
            let Some(sink) = CopySink::of(operator)? else { return Ok(Transformed::no(node)) };
            check_output_names(&operator.input().schema())?;
            let (input, order) = (Arc::clone(operator.input()), operator.sort_order().clone());
            Ok(Transformed::yes(Arc::new(DataSinkExec::new(input, Arc::new(StagedSink(sink)), order)) as _))
        })
        .data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The sink of files of an operator that [`StageCopies`] has rewritten; `None` for other operators.
pub fn staged_copy_sink(operator: &DataSinkExec) -> Option<&CopySink> {
    operator.sink().downcast_ref::<StagedSink>().map(|staged| &staged.0)
}

/// A sink that writes files into a hidden folder and publishes them when all are complete.
#[derive(Debug)]
struct StagedSink(CopySink);

impl DisplayAs for StagedSink {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.operator().sink().fmt_as(format, f)
    }
}

#[async_trait]
impl DataSink for StagedSink {
    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.0.metrics())
    }

    fn schema(&self) -> &SchemaRef {
        self.0.operator().sink().schema()
    }

    async fn write_all(&self, rows: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        let output = CopyOutput::new(self.0.config(), &context.runtime_env()).await?;
        output.write(&self.0, rows, context).await
    }
}
