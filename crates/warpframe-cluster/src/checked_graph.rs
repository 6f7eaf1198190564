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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use ballista_core::serde::protobuf::{
        FailedTask, FetchPartitionError, ShuffleWritePartition, SuccessfulTask,
    };
    use ballista_core::serde::scheduler::{
        ExecutorData, ExecutorOperatingSystemSpecification, ExecutorSpecification,
    };
    use ballista_scheduler::cluster::memory::InMemoryClusterState;
    use ballista_scheduler::cluster::{BoundTask, ClusterState};
    use ballista_scheduler::config::TaskDistributionPolicy;
    use ballista_scheduler::planner::DefaultDistributedPlanner;
    use ballista_scheduler::state::execution_graph::StaticExecutionGraph;
    use ballista_scheduler::state::task_manager::JobInfoCache;
    use datafusion::prelude::SessionContext;
    use tokio::sync::mpsc::unbounded_channel;

    use super::super::session_config::process_config;
    use super::super::task_errors::is_results_lost;
    use super::*;

    const EXECUTORS: [&str; 2] = ["one;1;simd", "two;1;simd"];

    fn executor(id: &str) -> ExecutorMetadata {
        ExecutorMetadata {
            id: id.to_owned(),
            host: "localhost".to_owned(),
            port: 1,
            grpc_port: 1,
            specification: ExecutorSpecification::default().with_vcores(2),
            os_info: ExecutorOperatingSystemSpecification::default(),
        }
    }

    /// A job with three stages, of which the second has 4 tasks, on two executors with two slots each.
    struct Running {
        executors: InMemoryClusterState,
        jobs: Arc<HashMap<JobId, JobInfoCache>>,
        verdicts: tokio::sync::mpsc::UnboundedReceiver<LossVerdict>,
    }

    impl Running {
        async fn start() -> Self {
            let executors = InMemoryClusterState::default();
            for id in EXECUTORS {
                let data = ExecutorData { executor_id: id.to_owned(), total_vcores: 2, available_vcores: 2 };
                executors.register_executor(executor(id), data).await.unwrap();
            }
            let config = process_config().with_target_partitions(4);
            let context = SessionContext::new_with_config(config.clone());
            let query = "SELECT v % 3 AS k, count(*) AS n FROM (VALUES (1), (2), (3), (4), (5)) AS t(v) GROUP BY k ORDER BY k";
            let plan = context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
            let job = JobId::from("job");
            let mut planner = DefaultDistributedPlanner::new();
            let graph = StaticExecutionGraph::new(
                "",
                &job,
                "",
                "session",
                plan,
                0,
                Arc::new(config),
                &mut planner,
                None,
            );
            let (sender, verdicts) = unbounded_channel();
            let mut graph = CheckedGraph::new(Box::new(graph.unwrap()), Arc::default(), sender);
            graph.revive();
            let jobs = HashMap::from([(job, JobInfoCache::new(Box::new(graph)))]);
            Self { executors, jobs: Arc::new(jobs), verdicts }
        }

        async fn graph(&self) -> tokio::sync::RwLockWriteGuard<'_, ExecutionGraphBox> {
            self.jobs[&JobId::from("job")].execution_graph.write().await
        }

        /// Starts as many tasks as there are free slots.
        async fn bind(&self) -> Vec<BoundTask> {
            let policy = TaskDistributionPolicy::RoundRobin;
            self.executors.bind_schedulable_tasks(policy, Arc::clone(&self.jobs), None).await.unwrap()
        }

        /// Reports the end of a task.
        async fn end(
            &self,
            (id, task): &BoundTask,
            status: task_status::Status,
        ) -> Vec<QueryStageSchedulerEvent> {
            let status = TaskStatus {
                task_id: task.key.task_id as u32,
                job_id: task.key.job_id.to_string(),
                stage_id: task.key.stage_id as u32,
                stage_attempt_num: task.stage_attempt_num as u32,
                status: Some(status),
                ..TaskStatus::default()
            };
            self.executors.unbind_tasks(vec![(id.clone(), task.vcores_consumed)]).await.unwrap();
            self.graph().await.update_task_status(&executor(id), vec![status], 4, 4).unwrap()
        }

        /// Reports that a task has succeeded, with rows for 4 partitions.
        async fn succeed(&self, task: &BoundTask) {
            let partition = |partition_id| ShuffleWritePartition {
                partition_id,
                num_batches: 1,
                num_rows: 1,
                num_bytes: 1,
                file_id: Some(task.1.key.task_id as u32 as _),
                is_sort_shuffle: false,
            };
            let done = SuccessfulTask {
                executor_id: task.0.clone(),
                partitions: (0..4).map(partition).collect(),
                ..SuccessfulTask::default()
            };
            self.end(task, task_status::Status::Successful(done)).await;
        }

        /// Completes the first stage, and one task of the second. Returns an executor with results of the first stage and none of
        /// the second, and a task of the second stage that runs on the other executor.
        async fn until_second_stage(&self) -> (String, BoundTask) {
            let mut tasks = self.bind().await;
            let (lost, first) = (tasks[0].0.clone(), tasks[0].1.key.stage_id);
            while tasks.iter().all(|(_, task)| task.key.stage_id == first) {
                for task in &tasks {
                    self.succeed(task).await;
                }
                tasks = self.bind().await;
            }
            tasks.retain(|(id, _)| *id != lost);
            self.succeed(&tasks[0]).await;
            (lost, tasks.remove(1))
        }

        async fn error(&self) -> String {
            match &self.graph().await.status().status {
                Some(job_status::Status::Failed(failed)) => failed.error.clone(),
                other => format!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_stage_with_results_that_is_rolled_back_fails_the_job() {
        let mut job = Running::start().await;
        let (lost, _) = job.until_second_stage().await;
        job.graph().await.reset_stages_on_lost_executor(&lost).unwrap();
        let error = job.error().await;
        assert!(is_results_lost(&error), "{error}");
        assert_eq!(
            job.verdicts.try_recv().unwrap(),
            LossVerdict { job: "job".to_owned(), reason: error.clone() }
        );
        // The cancellation that follows keeps the reason.
        job.graph().await.abort_running(CANCELLED.to_owned());
        assert_eq!(job.error().await, error);
    }

    #[tokio::test]
    async fn a_failed_fetch_after_results_fails_the_job() {
        let job = Running::start().await;
        let (lost, running) = job.until_second_stage().await;
        let reason = FailedReason::FetchPartitionError(FetchPartitionError {
            executor_id: lost,
            map_stage_id: 1,
            map_partition_id: 1,
        });
        let failed = FailedTask {
            error: "gone".to_owned(),
            retryable: false,
            count_to_failures: false,
            failed_reason: Some(reason),
        };
        let events = job.end(&running, task_status::Status::Failed(failed)).await;
        assert!(is_results_lost(&job.error().await), "{}", job.error().await);
        let fails = |event: &QueryStageSchedulerEvent| {
            matches!(event, QueryStageSchedulerEvent::JobRunningFailed { .. })
        };
        assert!(events.iter().any(fails), "{events:?}");
        // Later results change nothing.
        assert!(job.bind().await.is_empty());
    }

    #[tokio::test]
    async fn a_loss_before_the_second_stage_is_computed_again() {
        let job = Running::start().await;
        let tasks = job.bind().await;
        let first = tasks[0].1.key.stage_id;
        for task in &tasks {
            job.succeed(task).await;
        }
        job.graph().await.reset_stages_on_lost_executor(&tasks[0].0).unwrap();
        let again = job.bind().await;
        assert!(!again.is_empty() && again.iter().all(|(_, task)| task.key.stage_id == first), "{again:?}");
        assert!(matches!(job.graph().await.status().status, Some(job_status::Status::Running(_))));
    }
}
