//! The metrics of operators that ran on the cluster, for `EXPLAIN ANALYZE`. Executors report them only for such queries:
//! the scheduler merges each report into all earlier ones, which is quadratic in the number of tasks.

use std::iter::Peekable;
use std::sync::Arc;

use ballista_core::serde::protobuf::{JobStageMetrics, OperatorMetricsSet, OperatorWithMetrics};
use datafusion::physical_plan::ExecutionPlan;
use warpframe_datafusion::explain::DisplayNode;

use super::file_list_scan_exec::FileListScanExec;
use super::ipc_scan_exec::IpcScanExec;

/// The stages of a job, the last first, each with the operators that have run as inputs.
pub(super) fn executed_stages(stages: Vec<JobStageMetrics>) -> Vec<Arc<dyn ExecutionPlan>> {
    let stages = stages.into_iter().rev().map(|stage| {
        let name = format!("Stage {}", stage.stage_id);
        let mut operators = stage.operators.into_iter().peekable();
        let mut inputs = Vec::new();
        while let Some(operator) = operators.next() {
            inputs.push(executed_operator(operator, &mut operators));
        }
        let line = format!("{name}: partitions={}", stage.partitions);
        Arc::new(DisplayNode::new(name).with_line(line).with_inputs(inputs)) as _
    });
    stages.collect()
}

/// An operator with its inputs. `rest` are the operators after it in pre-order; its inputs are those that are deeper.
fn executed_operator(
    operator: OperatorWithMetrics,
    rest: &mut Peekable<impl Iterator<Item = OperatorWithMetrics>>,
) -> Arc<dyn ExecutionPlan> {
    let mut inputs = Vec::new();
    while let Some(input) = rest.next_if(|next| next.depth > operator.depth) {
        inputs.push(executed_operator(input, rest));
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
    let node = DisplayNode::new(operator.operator_type).with_line(operator.operator_desc);
    Arc::new(node.with_metrics(metrics).with_inputs(inputs))
}
