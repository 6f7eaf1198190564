//! What the operators of a query did on the cluster, for `EXPLAIN ANALYZE`. Executors report it only when
//! asked: the scheduler merges every report into those it has, which is quadratic in the tasks.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use ballista_core::serde::protobuf::{JobStageMetrics, OperatorMetricsSet, OperatorWithMetrics};
use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, config_err, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::file_list_scan_exec::ScanFilesExec;
use super::ipc_scan_exec::ScanTableExec;

/// The setting by which a client asks for reports. It is no option of sessions.
pub(super) const REPORT: &str = "warpframe_cluster.report";

/// Whether the executors report what their operators did.
#[derive(Debug, Clone, Default)]
pub(super) struct ReportOptions {
    report: bool,
}

impl ReportOptions {
    /// Whether the query with this configuration wants reports.
    pub fn wanted(config: &ConfigOptions) -> bool {
        config.extensions.get::<Self>().is_some_and(|options| options.report)
    }
}

impl ConfigExtension for ReportOptions {
    const PREFIX: &'static str = "warpframe_cluster";
}

impl ExtensionOptions for ReportOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match (key, value.parse()) {
            ("report", Ok(report)) => {
                self.report = report;
                Ok(())
            }
            _ => config_err!("there is no option 'warpframe_cluster.{key}' of value '{value}'"),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![ConfigEntry {
            key: REPORT.to_owned(),
            value: Some(self.report.to_string()),
            description: "Whether executors report what their operators did",
        }]
    }
}

/// An operator that has run elsewhere: what it was, and what it counted.
#[derive(Debug)]
pub(super) struct Reported {
    description: String,
    metrics: Option<MetricsSet>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl Reported {
    fn node(
        description: String,
        metrics: Option<MetricsSet>,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        properties: &Arc<PlanProperties>,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { description, metrics, inputs, properties: Arc::clone(properties) })
    }

    /// The stages of a query, the last first, each over its operators.
    pub fn stages(stages: Vec<JobStageMetrics>) -> Vec<Arc<dyn ExecutionPlan>> {
        // They are for display only.
        let nothing = EmptyExec::new(Arc::new(arrow::datatypes::Schema::empty()));
        let properties = nothing.properties();
        let stages = stages.into_iter().rev().map(|stage| {
            let description = format!("Stage {}: partitions={}", stage.stage_id, stage.partitions);
            let mut operators = stage.operators.into_iter().peekable();
            let mut inputs = Vec::new();
            while let Some(operator) = operators.next() {
                inputs.push(Self::operator(operator, &mut operators, properties));
            }
            Self::node(description, None, inputs, properties)
        });
        stages.collect()
    }

    /// An operator with its inputs, which follow it, one level deeper.
    fn operator(
        operator: OperatorWithMetrics,
        rest: &mut std::iter::Peekable<impl Iterator<Item = OperatorWithMetrics>>,
        properties: &Arc<PlanProperties>,
    ) -> Arc<dyn ExecutionPlan> {
        let mut inputs = Vec::new();
        while let Some(input) = rest.next_if(|next| next.depth > operator.depth) {
            inputs.push(Self::operator(input, rest, properties));
        }
        if operator.operator_type == ScanFilesExec::NAME {
            // What has counted is the scan behind it.
            if let Some(scan) = inputs.pop() {
                return scan;
            }
        }
        if operator.operator_type == ScanTableExec::NAME {
            // The rows that name its files are no input that anyone knows of.
            inputs.clear();
        }
        let metrics = OperatorMetricsSet { metrics: operator.metrics }.try_into().ok();
        Self::node(operator.operator_desc, metrics, inputs, properties)
    }
}

impl DisplayAs for Reported {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.description)
    }
}

impl ExecutionPlan for Reported {
    fn name(&self) -> &str {
        "Reported"
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
        internal_err!("'{}' has run on a cluster, and cannot run here", self.description)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.metrics.clone()
    }
}
