//! The scheduler's state of its executors: Ballista's, with heartbeats that are measured by a monotonic clock, and losses of
//! executors that are attributed to jobs.
//!
//! Ballista compares the times of heartbeats with the wall clock, so that a step of it by 10 seconds would expire every
//! executor. Here the time of a heartbeat is kept as an [`Instant`], and reported as the current wall-clock time less
//! the heartbeat's age.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::ExecutorHeartbeat;
use ballista_core::serde::protobuf::executor_status::Status as State;
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::state::task_manager::JobInfoCache;
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::cancellations::Cancellations;
use super::checked_graph::CheckedGraph;
use super::executor_losses::{AffectedJob, ExecutorLosses, LossVerdict};
use super::status::RunningGraphs;

/// The clocks that heartbeats are measured with.
pub(super) trait Clock: Send + Sync + 'static {
    /// A time that no change of the wall clock affects.
    fn monotonic(&self) -> Instant;

    /// The time since the Unix epoch by the wall clock.
    fn wall(&self) -> Duration;
}

/// The clocks of the operating system.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A callback that returns the graphs of all running jobs.
type RunningJobs = Box<dyn Fn() -> RunningGraphs + Send + Sync>;

/// The state of the executors of a scheduler.
pub(super) struct MonitoredClusterState {
    state: Arc<dyn ClusterState>,
    clock: Box<dyn Clock>,
    /// The time of the last heartbeat of each registered executor, by its id.
    last_heartbeats: Mutex<HashMap<String, Instant>>,
    /// The executors that are known to have ended, though their last heartbeat is recent.
    ended: Mutex<HashSet<String>>,
    losses: Arc<ExecutorLosses>,
    cancellations: Arc<Cancellations>,
    /// The running jobs whose graphs are checked.
    checked: Mutex<HashSet<JobId>>,
    running: OnceLock<RunningJobs>,
    verdicts: UnboundedSender<LossVerdict>,
}

impl MonitoredClusterState {
    /// A state over that of Ballista. The jobs to cancel because of their lost executors are sent to `verdicts`.
    pub fn new(
        state: Arc<dyn ClusterState>,
        clock: impl Clock,
        losses: Arc<ExecutorLosses>,
        cancellations: Arc<Cancellations>,
        verdicts: UnboundedSender<LossVerdict>,
    ) -> Self {
        Self {
            state,
            clock: Box::new(clock),
            last_heartbeats: Mutex::default(),
            ended: Mutex::default(),
            losses,
            cancellations,
            checked: Mutex::default(),
            running: OnceLock::new(),
            verdicts,
        }
    }

    /// Sets the callback that returns the running jobs. Until then, losses are not attributed.
    pub fn set_running_jobs(&self, running: impl Fn() -> RunningGraphs + Send + Sync + 'static) {
        let _ = self.running.set(Box::new(running));
    }

    /// The process of the executor whose name starts with `name_prefix` has ended. The scheduler removes it at its next check,
    /// without waiting for the heartbeats that are missing.
    pub fn executor_ended(&self, name_prefix: &str) {
        let heartbeats = self.last_heartbeats.lock();
        let ids = heartbeats.keys().filter(|id| id.starts_with(name_prefix));
        self.ended.lock().extend(ids.cloned());
    }

    /// A heartbeat with the time that the scheduler should compare with the wall clock.
    fn dated(&self, mut heartbeat: ExecutorHeartbeat) -> ExecutorHeartbeat {
        let seen = self.last_heartbeats.lock().get(&heartbeat.executor_id).copied();
        if let Some(seen) = seen {
            let age = self.clock.monotonic().saturating_duration_since(seen);
            heartbeat.timestamp = self.clock.wall().saturating_sub(age).as_secs();
        }
        if self.ended.lock().contains(&heartbeat.executor_id) {
            heartbeat.timestamp = 0;
        }
        heartbeat
    }

    /// Replaces the graphs of new jobs, whose tasks have not started, by checked ones.
    async fn check_graphs(&self, jobs: &HashMap<JobId, JobInfoCache>) {
        let new: Vec<_> = {
            let mut checked = self.checked.lock();
            checked.retain(|job| jobs.contains_key(job));
            jobs.iter().filter(|(job, _)| checked.insert((*job).clone())).map(|(_, job)| job).collect()
        };
        for job in new {
            let mut graph = job.execution_graph.write().await;
            let (cancellations, verdicts) = (Arc::clone(&self.cancellations), self.verdicts.clone());
            *graph = Box::new(CheckedGraph::new(graph.cloned(), cancellations, verdicts));
        }
    }

    fn saw(&self, executor: &str) {
        self.last_heartbeats.lock().insert(executor.to_owned(), self.clock.monotonic());
    }

    /// Counts the loss of an executor for the jobs whose tasks it ran.
    async fn count_loss(&self, executor: &str) {
        let Some(running) = self.running.get() else { return };
        let mut jobs = Vec::new();
        for (id, graph) in running() {
            let graph = graph.read().await;
            let tasks = graph.running_tasks().into_iter().filter(|task| task.executor_id == executor);
            let tasks = tasks.map(|task| (id.clone(), task.stage_id, task.task_id)).collect();
            jobs.push(AffectedJob { id, started_ms: graph.start_time(), tasks });
        }
        if let Some(verdict) = self.losses.lost(executor, &jobs) {
            // Fails only if the scheduler has been dropped.
            let _ = self.verdicts.send(verdict);
        }
    }
}

/// Whether an executor has announced its end.
fn is_terminating(heartbeat: &ExecutorHeartbeat) -> bool {
    let state = heartbeat.status.as_ref().and_then(|status| status.status.as_ref());
    matches!(state, Some(State::Terminating(_)))
}

#[async_trait]
impl ClusterState for MonitoredClusterState {
    async fn init(&self) -> Result<()> {
        self.state.init().await
    }

    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        self.check_graphs(&active_jobs).await;
        self.state.bind_schedulable_tasks(distribution, active_jobs, executors).await
    }

    async fn unbind_tasks(&self, executor_slots: Vec<ExecutorSlot>) -> Result<()> {
        self.state.unbind_tasks(executor_slots).await
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, spec: ExecutorData) -> Result<()> {
        let id = metadata.id.clone();
        self.state.register_executor(metadata, spec).await?;
        self.saw(&id);
        Ok(())
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        let id = metadata.id.clone();
        self.state.save_executor_metadata(metadata).await?;
        self.saw(&id);
        Ok(())
    }

    async fn get_executor_metadata(&self, executor: &str) -> Result<ExecutorMetadata> {
        self.state.get_executor_metadata(executor).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.state.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        let id = heartbeat.executor_id.clone();
        self.state.save_executor_heartbeat(heartbeat).await?;
        self.saw(&id);
        Ok(())
    }

    async fn remove_executor(&self, executor: &str) -> Result<()> {
        let heartbeat = self.state.get_executor_heartbeat(executor);
        // Several tasks can find the loss of an executor at the same time; one of them counts it.
        let is_first = self.last_heartbeats.lock().remove(executor).is_some();
        self.ended.lock().remove(executor);
        if is_first {
            match heartbeat.as_ref().is_some_and(is_terminating) {
                true => self.losses.stopped(executor),
                // Before the scheduler takes the executor's tasks from the graphs of the jobs.
                false => self.count_loss(executor).await,
            }
        }
        self.state.remove_executor(executor).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        let heartbeats = self.state.executor_heartbeats().into_iter();
        heartbeats.map(|(id, heartbeat)| (id, self.dated(heartbeat))).collect()
    }

    fn get_executor_heartbeat(&self, executor: &str) -> Option<ExecutorHeartbeat> {
        self.state.get_executor_heartbeat(executor).map(|heartbeat| self.dated(heartbeat))
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.state.cluster_state_events().await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use ballista_core::serde::protobuf::ExecutorStatus;
    use ballista_scheduler::cluster::memory::InMemoryClusterState;

    use super::*;

    /// Clocks that tests set.
    #[derive(Clone)]
    struct FakeClock(Arc<Mutex<(Instant, Duration)>>);

    impl FakeClock {
        fn new() -> Self {
            Self(Arc::new(Mutex::new((Instant::now(), Duration::from_secs(1_000_000)))))
        }

        fn pass(&self, time: Duration) {
            let mut now = self.0.lock();
            *now = (now.0 + time, now.1 + time);
        }

        fn set_wall(&self, seconds: u64) {
            self.0.lock().1 = Duration::from_secs(seconds);
        }
    }

    impl Clock for FakeClock {
        fn monotonic(&self) -> Instant {
            self.0.lock().0
        }

        fn wall(&self) -> Duration {
            self.0.lock().1
        }
    }

    fn heartbeat(timestamp: u64) -> ExecutorHeartbeat {
        ExecutorHeartbeat {
            executor_id: "e;1;simd".to_owned(),
            timestamp,
            status: Some(ExecutorStatus { status: Some(State::Active(String::new())) }),
            ..ExecutorHeartbeat::default()
        }
    }

    /// The age of the executor's heartbeat as the scheduler computes it, in seconds.
    fn age(state: &MonitoredClusterState, clock: &FakeClock) -> i64 {
        let all = state.executor_heartbeats();
        let one = state.get_executor_heartbeat("e;1;simd").unwrap();
        assert_eq!(all["e;1;simd"].timestamp, one.timestamp);
        clock.wall().as_secs() as i64 - one.timestamp as i64
    }

    fn monitored(clock: &FakeClock) -> MonitoredClusterState {
        let (verdicts, _) = tokio::sync::mpsc::unbounded_channel();
        let state = Arc::new(InMemoryClusterState::default());
        MonitoredClusterState::new(state, clock.clone(), Arc::default(), Arc::default(), verdicts)
    }

    #[tokio::test]
    async fn a_step_of_the_wall_clock_ages_no_heartbeat() {
        let clock = FakeClock::new();
        let state = monitored(&clock);
        state.save_executor_heartbeat(heartbeat(1_000_000)).await.unwrap();
        clock.pass(Duration::from_secs(3));
        assert_eq!(age(&state, &clock), 3);
        for wall in [2_000_000, 500, 1_000_010] {
            clock.set_wall(wall);
            assert_eq!(age(&state, &clock), 3, "the wall clock was set to {wall}");
        }
        // The age grows with time, whatever the wall clock shows.
        clock.pass(Duration::from_secs(8));
        assert_eq!(age(&state, &clock), 11);
        state.save_executor_heartbeat(heartbeat(7)).await.unwrap();
        assert_eq!(age(&state, &clock), 0);
    }

    #[tokio::test]
    async fn an_ended_executor_has_no_recent_heartbeat() {
        let clock = FakeClock::new();
        let state = monitored(&clock);
        state.save_executor_heartbeat(heartbeat(1_000_000)).await.unwrap();
        state.executor_ended("another");
        assert_eq!(age(&state, &clock), 0);
        state.executor_ended("e");
        assert_eq!(state.get_executor_heartbeat("e;1;simd").unwrap().timestamp, 0);
        state.remove_executor("e;1;simd").await.unwrap();
        assert!(state.executor_heartbeats().is_empty());
    }
}
