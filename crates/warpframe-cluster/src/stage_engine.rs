//! The execution engine of executors: Ballista's engine, with checksums of shuffle data, typed task errors and optional
//! metrics.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;

use super::job_options::JobOptions;
use super::shuffle_file::write_checksums;
use super::shuffle_reader_exec::{ShuffleSource, replace_shuffle_readers};
use super::task_errors::encode_task_error;
use warpframe_datafusion::backends::Backends;
use warpframe_datafusion::operators::{GpuBatchExec, fused_pass};
use warpframe_datafusion::planner::{FuseOperators, prepare, set_memory};
use warpframe_io::{NameFiles, RepairFooters};

/// The execution engine of an executor.
pub(super) struct StageEngine {
    /// The name of the executor.
    executor: String,
    source: ShuffleSource,
    engine: DefaultExecutionEngine,
}

impl StageEngine {
    pub fn new(executor: String, source: ShuffleSource) -> Self {
        Self { executor, source, engine: DefaultExecutionEngine::new() }
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
        let failed = |error| encode_task_error(&self.executor, work_dir, error);
        let fuse = FuseOperators::new(Backends::of(config));
        let plan = RepairFooters.optimize(plan, config.options()).map_err(failed)?;
        let plan = fuse.optimize(plan, config.options()).map_err(failed)?;
        let plan = prepare(plan, config).map_err(failed)?;
        let plan = NameFiles.optimize(plan, config.options()).map_err(failed)?;
        let plan = replace_shuffle_readers(plan, &self.source).map_err(failed)?;
        let stage_plan = Arc::clone(&plan);
        let tasks = self
            .engine
            .create_query_stage_exec(job.clone(), stage, task, partitions, plan, work_dir, config)
            .map_err(failed)?;
        let collect_metrics = JobOptions::collects_metrics(config.options());
        let executor = self.executor.clone();
        Ok(Arc::new(StageExecutor {
            executor,
            work_dir: work_dir.to_owned(),
            job,
            stage,
            collect_metrics,
            plan: stage_plan,
            tasks,
        }))
    }
}

/// The tasks of one stage.
#[derive(Debug)]
struct StageExecutor {
    executor: String,
    work_dir: String,
    job: JobId,
    stage: usize,
    collect_metrics: bool,
    /// The stage's plan with fused operators and bound functions.
    plan: Arc<dyn ExecutionPlan>,
    tasks: Arc<dyn QueryStageExecutor>,
}

impl StageExecutor {
    /// Executes a task and writes the checksums of its files.
    async fn execute(&self, task: usize, context: Arc<TaskContext>) -> Result<Vec<ShuffleWritePartition>> {
        set_memory(&self.plan, &context)?;
        let written = self.tasks.execute_query_stage(task, context).await?;
        let (work_dir, job, stage) = (self.work_dir.clone(), self.job.to_string(), self.stage);
        let writing = SpawnedTask::spawn_blocking(move || {
            write_checksums(Path::new(&work_dir), &job, stage, &written)?;
            Ok(written)
        });
        writing.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
    }
}

impl fmt::Display for StageExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tasks.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for StageExecutor {
    async fn execute_query_stage(
        &self,
        task: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let done = self.execute(task, context).await;
        done.map_err(|error| encode_task_error(&self.executor, &self.work_dir, error))
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        let metrics = unfuse_metrics(&self.plan, self.tasks.collect_plan_metrics());
        match self.collect_metrics {
            true => metrics,
            false => metrics.iter().map(|_| MetricsSet::new()).collect(),
        }
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.tasks.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.tasks.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.tasks.collect_column_stats()
    }
}

/// The metrics of a stage's operators as the scheduler knows them: those of a fused operator are the metrics of the first one
/// that it replaces, and the others have none. `metrics` has those of operators above the plan first.
fn unfuse_metrics(plan: &Arc<dyn ExecutionPlan>, metrics: Vec<MetricsSet>) -> Vec<MetricsSet> {
    let mut operators = Vec::new();
    count_replaced(plan, &mut operators);
    let above = metrics.len().saturating_sub(operators.len());
    let mut unfused = Vec::with_capacity(metrics.len());
    for (position, metrics) in metrics.into_iter().enumerate() {
        let count = position.checked_sub(above).map_or(1, |position| operators[position]);
        if count > 0 {
            unfused.push(metrics);
            unfused.extend((1..count).map(|_| MetricsSet::new()));
        }
    }
    unfused
}

/// For each operator of a plan that has metrics, the number of operators that it stands for: parents first.
fn count_replaced(plan: &Arc<dyn ExecutionPlan>, counts: &mut Vec<usize>) {
    match fused_pass(plan.as_ref()) {
        Some(pass) => counts.push(pass.replaced.operators),
        // The scheduler does not know it.
        None if plan.downcast_ref::<GpuBatchExec>().is_some() => counts.push(0),
        None if plan.metrics().is_some() => counts.push(1),
        None => {}
    }
    plan.children().into_iter().for_each(|child| count_replaced(child, counts));
}
