//! How an executor runs a task: as Ballista does, with the executor's name in what went wrong.

use std::fmt;
use std::io::{Error, ErrorKind};
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;

/// Around the sentence inside the messages of all the layers that an error comes through.
const MARKS: [char; 2] = ['⟦', '⟧'];

/// The sentence that an executor has put into an error's message, or the whole message.
pub(super) fn sentence(message: &str) -> &str {
    let inside = message.split_once(MARKS[0]).and_then(|(_, rest)| rest.split_once(MARKS[1]));
    inside.map_or(message, |(sentence, _)| sentence)
}

/// Runs tasks on the executor of this name.
pub(super) struct NamedEngine {
    name: String,
    engine: DefaultExecutionEngine,
}

impl NamedEngine {
    pub fn new(name: String, engine: DefaultExecutionEngine) -> Self {
        Self { name, engine }
    }
}

impl ExecutionEngine for NamedEngine {
    fn create_query_stage_exec(
        &self,
        job: JobId,
        stage: usize,
        task: usize,
        partitions: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let stage = self
            .engine
            .create_query_stage_exec(job, stage, task, partitions, plan, work_dir, config)
            .map_err(|error| named(&self.name, error))?;
        Ok(Arc::new(NamedStage { name: self.name.clone(), stage }))
    }
}

#[derive(Debug)]
struct NamedStage {
    name: String,
    stage: Arc<dyn QueryStageExecutor>,
}

impl fmt::Display for NamedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for NamedStage {
    async fn execute_query_stage(
        &self,
        task: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        self.stage.execute_query_stage(task, context).await.map_err(|error| named(&self.name, error))
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.stage.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.stage.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.stage.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.stage.collect_column_stats()
    }
}

/// The error as one sentence that names the executor. What is worth another attempt stays so: the loss of
/// another executor's data, which Ballista knows by its type, and I/O errors other than a full disk.
fn named(name: &str, error: DataFusionError) -> DataFusionError {
    let say = |what: &dyn fmt::Display| format!("{}executor {name}: {what}{}", MARKS[0], MARKS[1]);
    let io = |cause: &Error| match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::NotFound => {
            DataFusionError::Execution(say(cause))
        }
        kind => DataFusionError::IoError(Error::new(kind, say(cause))),
    };
    match error.find_root() {
        DataFusionError::IoError(cause) => io(cause),
        DataFusionError::External(_) => error,
        DataFusionError::Execution(message) => DataFusionError::Execution(say(message)),
        DataFusionError::ResourcesExhausted(message) => DataFusionError::ResourcesExhausted(say(message)),
        other => DataFusionError::Execution(say(&other.strip_backtrace())),
    }
}
