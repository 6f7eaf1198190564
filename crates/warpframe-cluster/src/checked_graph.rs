//! The execution graph of a job: Ballista's, which fails the job where Ballista would go on with duplicate rows.
//!
//! When an executor is lost, Ballista computes its results again. A stage whose inputs were lost is rolled back and all of its
//! tasks run again; but the results of those that were done stay among the inputs of the next stage, or among those of the
//! query, which then has their rows twice. The same holds for tasks of the last stage that were done on the lost executor,
//! as long as their files can be read. The job fails in these cases with [`TaskErrorKind::ResultsLost`], and the client
//! submits it again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::failed_task::FailedReason;
use ballista_core::serde::protobuf::{JobStatus, TaskStatus, job_status, task_status};
use ballista_core::serde::scheduler::{ExecutorMetadata, PartitionLocation};
use ballista_scheduler::scheduler_server::event::QueryStageSchedulerEvent;
use ballista_scheduler::scheduler_server::timestamp_millis;
use ballista_scheduler::state::execution_graph::{ExecutionGraph, ExecutionGraphBox, RunningTaskInfo};
use ballista_scheduler::state::execution_stage::{ExecutionStage, RunningStage, TaskInfo};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use tokio::sync::mpsc::UnboundedSender;

use super::cancellations::Cancellations;
use super::executor_id::ExecutorId;
use super::executor_losses::LossVerdict;
use super::task_errors::{TaskError, TaskErrorKind};

/// The error of Ballista for a cancelled job.
pub(super) const CANCELLED: &str = "Cancelled";

/// An execution graph whose job fails rather than having duplicate rows.
#[derive(Debug)]
pub(super) struct CheckedGraph {
    graph: ExecutionGraphBox,
    cancellations: Arc<Cancellations>,
    /// Receives the job if it has failed outside of an update of its tasks.
    verdicts: UnboundedSender<LossVerdict>,
    /// The text of the error, once results were lost that Ballista would have twice.
    lost: Option<String>,
}

impl CheckedGraph {
    /// A graph that is checked from now on. Its tasks have not started.
    pub fn new(
        graph: ExecutionGraphBox,
        cancellations: Arc<Cancellations>,
        verdicts: UnboundedSender<LossVerdict>,
    ) -> Self {
        Self { graph, cancellations, verdicts, lost: None }
    }

    /// The stages that have results.
    fn stages_with_results(&self) -> HashSet<usize> {
        let stages = self.graph.stages().iter();
        stages.filter(|(_, stage)| has_results(stage)).map(|(id, _)| *id).collect()
    }

    /// Whether one of the stages was rolled back.
    fn has_rolled_back(&self, stages: &HashSet<usize>) -> bool {
        let rolled_back = |id| matches!(self.graph.stages().get(id), Some(ExecutionStage::UnResolved(_)));
        stages.iter().any(rolled_back)
    }

    /// Whether a task of the last stage, which still runs, is done on this executor.
    fn has_query_results(&self, executor: &str) -> bool {
        self.graph.stages().values().any(|stage| match stage {
            ExecutionStage::Running(stage) if stage.output_links.is_empty() => {
                stage.task_infos.iter().any(|task| is_done_on(task, executor))
            }
            _ => false,
        })
    }

    /// Fails the job because of the loss of an executor, and returns the text of its error.
    fn lose(&mut self, executor: &str) -> String {
        let name = executor.parse().map_or_else(|_| executor.to_owned(), |id: ExecutorId| id.name);
        let message = "its results were lost, and the query cannot be continued".to_owned();
        let error = TaskError { executor: name, kind: TaskErrorKind::ResultsLost, message }.encode();
        self.lost = Some(error.clone());
        self.graph.fail_job(error.clone());
        error
    }
}

fn has_results(stage: &ExecutionStage) -> bool {
    match stage {
        ExecutionStage::Running(stage) => stage.successful_tasks() > 0,
        ExecutionStage::Successful(_) => true,
        _ => false,
    }
}

fn is_done_on(task: &TaskInfo, executor: &str) -> bool {
    matches!(&task.task_status, task_status::Status::Successful(done) if done.executor_id == executor)
}

/// The executor whose results a task could not fetch.
fn unreachable_executor(status: &TaskStatus) -> Option<&str> {
    match &status.status {
        Some(task_status::Status::Failed(failed)) => match &failed.failed_reason {
            Some(FailedReason::FetchPartitionError(error)) => Some(&error.executor_id),
            _ => None,
        },
        _ => None,
    }
}

impl ExecutionGraph for CheckedGraph {
    fn job_id(&self) -> &JobId {
        self.graph.job_id()
    }

    fn job_name(&self) -> &str {
        self.graph.job_name()
    }

    fn session_id(&self) -> &str {
        self.graph.session_id()
    }

    fn scheduler_id(&self) -> Option<&str> {
        self.graph.scheduler_id()
    }

    fn session_config(&self) -> Arc<SessionConfig> {
        self.graph.session_config()
    }

    fn status(&self) -> &JobStatus {
        self.graph.status()
    }

    fn logical_plan(&self) -> Option<&str> {
        self.graph.logical_plan()
    }

    fn physical_plan(&self) -> Arc<dyn ExecutionPlan> {
        self.graph.physical_plan()
    }

    fn start_time(&self) -> u64 {
        self.graph.start_time()
    }

    fn end_time(&self) -> u64 {
        self.graph.end_time()
    }

    fn completed_stages(&self) -> usize {
        self.graph.completed_stages()
    }

    fn is_successful(&self) -> bool {
        self.graph.is_successful()
    }

    fn revive(&mut self) -> bool {
        self.graph.revive()
    }

    fn update_task_status(
        &mut self,
        executor: &ExecutorMetadata,
        statuses: Vec<TaskStatus>,
        max_task_failures: usize,
        max_stage_failures: usize,
    ) -> Result<Vec<QueryStageSchedulerEvent>> {
        if self.lost.is_some() {
            return Ok(Vec::new());
        }
        let unreachable = statuses.iter().find_map(unreachable_executor).map(str::to_owned);
        let mut with_results = self.stages_with_results();
        if unreachable.is_some() {
            let done =
                |status: &&TaskStatus| matches!(status.status, Some(task_status::Status::Successful(_)));
            with_results.extend(statuses.iter().filter(done).map(|status| status.stage_id as usize));
        }
        let mut events =
            self.graph.update_task_status(executor, statuses, max_task_failures, max_stage_failures)?;
        if let Some(executor) = unreachable
            && self.has_rolled_back(&with_results)
        {
            let fail_message = self.lose(&executor);
            events.push(QueryStageSchedulerEvent::JobRunningFailed {
                job_id: self.graph.job_id().clone(),
                fail_message,
                queued_at: self.graph.start_time(),
                failed_at: timestamp_millis(),
            });
        }
        Ok(events)
    }

    fn running_stages(&self) -> Vec<usize> {
        self.graph.running_stages()
    }

    fn running_tasks(&self) -> Vec<RunningTaskInfo> {
        self.graph.running_tasks()
    }

    fn available_tasks(&self) -> usize {
        self.graph.available_tasks()
    }

    fn fetch_running_stage(&mut self, black_list: &[usize]) -> Option<&mut RunningStage> {
        self.graph.fetch_running_stage(black_list)
    }

    fn update_status(&mut self, status: JobStatus) {
        self.graph.update_status(status);
    }

    fn output_locations(&self) -> Vec<PartitionLocation> {
        self.graph.output_locations()
    }

    fn reset_stages_on_lost_executor(
        &mut self,
        executor: &str,
    ) -> Result<(HashSet<usize>, Vec<RunningTaskInfo>)> {
        let is_running = matches!(self.status().status, Some(job_status::Status::Running(_)));
        let has_query_results = self.has_query_results(executor);
        let with_results = self.stages_with_results();
        let reset = self.graph.reset_stages_on_lost_executor(executor)?;
        if is_running && self.lost.is_none() && (has_query_results || self.has_rolled_back(&with_results)) {
            let reason = self.lose(executor);
            // Fails only if the scheduler has been dropped.
            let _ = self.verdicts.send(LossVerdict { job: self.job_id().to_string(), reason });
        }
        Ok(reset)
    }

    fn resolve_stage(&mut self, stage: usize) -> Result<bool> {
        self.graph.resolve_stage(stage)
    }

    fn succeed_stage(&mut self, stage: usize) -> bool {
        self.graph.succeed_stage(stage)
    }

    fn fail_stage(&mut self, stage: usize, error: String) -> bool {
        self.graph.fail_stage(stage, error)
    }

    fn rollback_running_stage(
        &mut self,
        stage: usize,
        reasons: HashSet<String>,
    ) -> Result<Vec<RunningTaskInfo>> {
        self.graph.rollback_running_stage(stage, reasons)
    }

    fn rollback_resolved_stage(&mut self, stage: usize) -> Result<bool> {
        self.graph.rollback_resolved_stage(stage)
    }

    fn rerun_successful_stage(&mut self, stage: usize) -> bool {
        self.graph.rerun_successful_stage(stage)
    }

    /// Fails the job, with the reason of this module or of the scheduler in place of [`CANCELLED`].
    fn fail_job(&mut self, error: String) {
        let known = match error == CANCELLED {
            true => self.cancellations.reason(self.graph.job_id().as_str()),
            false => None,
        };
        self.graph.fail_job(self.lost.clone().or(known).unwrap_or(error));
    }

    fn succeed_job(&mut self) -> Result<()> {
        self.graph.succeed_job()
    }

    fn stages(&self) -> &HashMap<usize, ExecutionStage> {
        self.graph.stages()
    }

    fn stage_count(&self) -> usize {
        self.graph.stage_count()
    }

    fn cloned(&self) -> ExecutionGraphBox {
        self.graph.cloned()
    }
}
