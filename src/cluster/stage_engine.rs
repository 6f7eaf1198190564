//! How an executor runs a task: as Ballista does, with the executor's name in what went wrong.

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

use super::metrics_options::ReportOptions;
use super::task_errors::named;
use crate::backend::BackendChoice;
use crate::backend::cuda::BATCH_ROWS;
use crate::config::WarpframeOptions;
use crate::planner::with_batch_rows;

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
            .map_err(|error| named(&self.name, work_dir, error))?;
        let report = ReportOptions::wanted(config.options());
        let on_gpu = WarpframeOptions::of(config.options()).backend == BackendChoice::Cuda;
        let name = self.name.clone();
        Ok(Arc::new(NamedStage { name, work_dir: work_dir.to_owned(), report, on_gpu, stage }))
    }
}

#[derive(Debug)]
struct NamedStage {
    name: String,
    work_dir: String,
    report: bool,
    /// The session has named GPUs, which want larger batches.
    on_gpu: bool,
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
        let context = if self.on_gpu { with_batch_rows(&context, BATCH_ROWS) } else { context };
        let done = self.stage.execute_query_stage(task, context).await;
        done.map_err(|error| named(&self.name, &self.work_dir, error))
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        let metrics = self.stage.collect_plan_metrics();
        match self.report {
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
