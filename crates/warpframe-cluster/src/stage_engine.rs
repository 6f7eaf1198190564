//! The execution engine of executors: Ballista's engine, with typed task errors and optional metrics.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;

use super::metrics_options::MetricsOptions;
use super::task_errors::encode_task_error;
use warpframe_datafusion::planner::prepare;

/// The execution engine of an executor.
pub(super) struct StageEngine {
    /// The name of the executor.
    executor: String,
    engine: DefaultExecutionEngine,
}

impl StageEngine {
    pub fn new(executor: String, engine: DefaultExecutionEngine) -> Self {
        Self { executor, engine }
    }
}

impl ExecutionEngine for StageEngine {
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
        let stage_plan = Arc::clone(&plan);
        let stage = self
            .engine
            .create_query_stage_exec(job, stage, task, partitions, plan, work_dir, config)
            .map_err(|error| encode_task_error(&self.executor, work_dir, error))?;
        let collect_metrics = MetricsOptions::is_enabled(config.options());
        let executor = self.executor.clone();
        Ok(Arc::new(StageExecutor {
            executor,
            work_dir: work_dir.to_owned(),
            collect_metrics,
            plan: stage_plan,
            stage,
        }))
    }
}

/// The tasks of one stage.
#[derive(Debug)]
struct StageExecutor {
    executor: String,
    work_dir: String,
    collect_metrics: bool,
    /// The stage's plan, whose fused functions are bound before a task runs.
    plan: Arc<dyn ExecutionPlan>,
    stage: Arc<dyn QueryStageExecutor>,
}

impl fmt::Display for StageExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for StageExecutor {
    async fn execute_query_stage(
        &self,
        task: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let done = match prepare(&self.plan, &context) {
            Ok(context) => self.stage.execute_query_stage(task, context).await,
            Err(error) => Err(error),
        };
        done.map_err(|error| encode_task_error(&self.executor, &self.work_dir, error))
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        let metrics = self.stage.collect_plan_metrics();
        match self.collect_metrics {
            true => metrics,
            false => metrics.iter().map(|_| MetricsSet::new()).collect(),
        }
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
