//! What a build without the feature `cluster` has instead of clusters: types without values, so that the code that handles
//! clusters is compiled but cannot be reached.

use std::fmt;
use std::io;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// The settings of a cluster, of which there is none.
#[derive(Debug, Clone)]
pub enum ClusterSettings {}

/// The plan of a query on a cluster, of which there is none.
#[derive(Debug)]
pub enum ClusterExec {}

impl ClusterExec {
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        match *self {}
    }

    pub fn with_plan(&self, _: Arc<dyn ExecutionPlan>) -> Self {
        match *self {}
    }
}

impl DisplayAs for ClusterExec {
    fn fmt_as(&self, _: DisplayFormatType, _: &mut fmt::Formatter) -> fmt::Result {
        match *self {}
    }
}

impl ExecutionPlan for ClusterExec {
    fn name(&self) -> &str {
        match *self {}
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        match *self {}
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        match *self {}
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        match *self {}
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match *self {}
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match *self {}
    }
}

/// Starts executor processes, which a build without clusters has not.
#[derive(Debug, Clone)]
pub enum Launcher {}

impl Launcher {
    /// Fails: there are no executors.
    ///
    /// # Errors
    /// Always.
    pub fn current_exe() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The root of a plan as that of a query on a cluster.
pub fn as_cluster_exec(_: &Arc<dyn ExecutionPlan>) -> Option<&ClusterExec> {
    None
}

/// Makes the queries of a session run on a cluster.
pub fn install(_: SessionStateBuilder, settings: ClusterSettings, _: Option<usize>) -> SessionStateBuilder {
    match settings {}
}

/// Makes the clusters of this process refuse other revisions.
pub fn set_revision(_: &'static str) {}
