//! The metrics of operators that ran on the cluster, for `EXPLAIN ANALYZE`. Executors report them only for such queries:
//! the scheduler merges each report into all earlier ones, which is quadratic in the number of tasks.

use std::fmt;
use std::sync::Arc;

use ballista_core::serde::protobuf::{JobStageMetrics, OperatorMetricsSet, OperatorWithMetrics};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::file_list_scan_exec::FileListScanExec;
use super::ipc_scan_exec::IpcScanExec;

/// An operator that has run on the cluster, for display only.
#[derive(Debug)]
pub(super) struct ExecutedOperator {
    description: String,
    metrics: Option<MetricsSet>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl ExecutedOperator {
    fn new_node(
        description: String,
        metrics: Option<MetricsSet>,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        properties: &Arc<PlanProperties>,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { description, metrics, inputs, properties: Arc::clone(properties) })
    }

    /// The stages of a job, the last first, each with its operators as inputs.
    pub fn from_stages(stages: Vec<JobStageMetrics>) -> Vec<Arc<dyn ExecutionPlan>> {
        // Only needed by the trait, as nothing executes these operators.
        let nothing = EmptyExec::new(Arc::new(arrow::datatypes::Schema::empty()));
        let properties = nothing.properties();
        let stages = stages.into_iter().rev().map(|stage| {
            let description = format!("Stage {}: partitions={}", stage.stage_id, stage.partitions);
            let mut operators = stage.operators.into_iter().peekable();
            let mut inputs = Vec::new();
            while let Some(operator) = operators.next() {
                inputs.push(Self::from_operator(operator, &mut operators, properties));
            }
            Self::new_node(description, None, inputs, properties)
        });
        stages.collect()
    }

    /// An operator with its inputs. `rest` are the operators after it in pre-order; its inputs are those that are deeper.
    fn from_operator(
        operator: OperatorWithMetrics,
        rest: &mut std::iter::Peekable<impl Iterator<Item = OperatorWithMetrics>>,
        properties: &Arc<PlanProperties>,
    ) -> Arc<dyn ExecutionPlan> {
        let mut inputs = Vec::new();
        while let Some(input) = rest.next_if(|next| next.depth > operator.depth) {
            inputs.push(Self::from_operator(input, rest, properties));
        }
        if operator.operator_type == FileListScanExec::NAME {
            // The metrics are those of the scan inside.
            if let Some(scan) = inputs.pop() {
                return scan;
            }
        }
        if operator.operator_type == IpcScanExec::NAME {
            // Its input, the table of paths, is an implementation detail.
            inputs.clear();
        }
        let metrics = OperatorMetricsSet { metrics: operator.metrics }.try_into().ok();
        Self::new_node(operator.operator_desc, metrics, inputs, properties)
    }
}

impl DisplayAs for ExecutedOperator {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.description)
    }
}

impl ExecutionPlan for ExecutedOperator {
    fn name(&self) -> &str {
        "ExecutedOperator"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("'{}' is the description of an operator and cannot be executed", self.description)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.metrics.clone()
    }
}
