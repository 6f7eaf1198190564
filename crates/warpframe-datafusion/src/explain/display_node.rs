//! Operators for display only.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};

/// An operator that plans show and that cannot be executed, such as one that has run elsewhere.
#[derive(Debug)]
pub struct DisplayNode {
    name: String,
    line: String,
    tree: String,
    metrics: Option<MetricsSet>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl DisplayNode {
    /// An operator without details and inputs.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        // Only needed by the trait, as nothing executes the operator.
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::empty())),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            line: name.clone(),
            name,
            tree: String::new(),
            metrics: None,
            inputs: Vec::new(),
            properties: Arc::new(properties),
        }
    }

    /// The line that stands for the operator where plans have one line for each; its name without this.
    pub fn with_line(mut self, line: impl Into<String>) -> Self {
        self.line = line.into();
        self
    }

    /// What stands below the name in a tree: lines `key=value`, or texts without `=`.
    pub fn with_tree_lines(mut self, lines: impl Into<String>) -> Self {
        self.tree = lines.into();
        self
    }

    /// The metrics that the operator had, if it reported any.
    pub fn with_metrics(mut self, metrics: Option<MetricsSet>) -> Self {
        self.metrics = metrics;
        self
    }

    /// The operators below.
    pub fn with_inputs(mut self, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        self.inputs = inputs;
        self
    }
}

impl DisplayAs for DisplayNode {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => f.write_str(&self.tree),
            DisplayFormatType::Default | DisplayFormatType::Verbose => f.write_str(&self.line),
        }
    }
}

impl ExecutionPlan for DisplayNode {
    fn name(&self) -> &str {
        &self.name
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
        internal_err!("'{}' is the description of an operator and cannot be executed", self.line)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.metrics.clone()
    }
}
