//! What a build without the feature `cluster` has instead of clusters: types without values, so that the code that handles
//! clusters is compiled but cannot be reached.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// The settings of a cluster, of which there is none.
#[derive(Debug, Clone)]
pub struct ClusterSettings(Infallible);

/// The plan of a query on a cluster, of which there is none. (The compiler does not look into a private field, so it does not warn
/// that what follows the making of a plan cannot be reached.)
#[derive(Debug)]
pub struct ClusterExec(Infallible);

impl ClusterExec {
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        match self.0 {}
    }

    pub fn with_plan(&self, _: Arc<dyn ExecutionPlan>) -> Self {
        match self.0 {}
    }
}

impl DisplayAs for ClusterExec {
    fn fmt_as(&self, _: DisplayFormatType, _: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {}
    }
}

impl ExecutionPlan for ClusterExec {
    fn name(&self) -> &str {
        match self.0 {}
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        match self.0 {}
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        match self.0 {}
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        match self.0 {}
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match self.0 {}
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.0 {}
    }
}

/// Starts executor processes, which a build without clusters has not.
#[cfg(feature = "cli")]
#[derive(Debug, Clone)]
pub enum Launcher {}

#[cfg(feature = "cli")]
impl Launcher {
    /// Fails: there are no executors.
    ///
    /// # Errors
    /// Always.
    pub fn current_exe() -> std::io::Result<Self> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// The root of a plan as that of a query on a cluster.
pub fn as_cluster_exec(_: &Arc<dyn ExecutionPlan>) -> Option<&ClusterExec> {
    None
}

/// Makes the queries of a session run on a cluster.
pub fn install(_: SessionStateBuilder, settings: ClusterSettings, _: Option<usize>) -> SessionStateBuilder {
    match settings.0 {}
}

/// Makes the clusters of this process refuse other revisions.
pub fn set_revision(_: &'static str) {}
