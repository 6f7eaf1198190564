//! The status of a cluster: its executors and jobs.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use ballista_core::serde::protobuf::{executor_status, job_status};
use ballista_scheduler::cluster::{ClusterState, JobState};
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use serde::{Deserialize, Serialize};

use super::cancellations::Cancellations;
use super::executor_id::ExecutorId;
use super::leases::{DEFAULT_LEASE, Leases};
use super::protocol::build;
use super::task_errors::decode_task_error;

/// The executors and jobs of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The scheduler's version of warpframe, with the revision of its sources after a `+` if it is known.
    pub version: String,
    /// The length of the lease that clients renew for their jobs, in milliseconds.
    #[serde(default = "default_lease_ms")]
    pub lease_ms: u64,
    /// The active executors, sorted by name.
    pub executors: Vec<ExecutorStatus>,
    /// The queued and running jobs and those that have ended recently, sorted by start time.
    pub jobs: Vec<JobStatus>,
}

impl ClusterStatus {
    /// The number of slots of all executors.
    pub fn slots(&self) -> usize {
        self.executors.iter().map(|executor| executor.slots).sum()
    }
}

/// The status of an executor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutorStatus {
    /// The name of the executor: the host, the process number and a random suffix.
    pub name: String,
    /// The address, `host:port`, under which other processes reach it.
    pub address: String,
    /// The executor's version of warpframe, as that of the scheduler.
    pub version: String,
    /// The backends of the executor, such as `simd avx512`.
    pub backend: String,
    /// The number of tasks that run concurrently.
    pub slots: usize,
    /// The time since the last heartbeat, in seconds.
    pub seen_seconds_ago: u64,
}

/// The status of a job, which is a query on a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The identifier of the job.
    pub id: String,
    /// `queued`, `running`, `done` or `failed`.
    pub state: String,
    /// The progress of the job.
    pub progress: JobProgress,
    /// The start time, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Why the job has failed; `None` if it has not.
    #[serde(default)]
    pub error: Option<String>,
}

/// The progress of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The number of tasks that are done.
    pub done: usize,
    /// The number of tasks in all stages. It grows when a stage gets its inputs: until then a stage counts as one task.
    pub total: usize,
}

fn default_lease_ms() -> u64 {
    DEFAULT_LEASE.as_millis() as u64
}

/// The message of an error in the form in which Ballista has it.
fn message_of(error: &str) -> String {
    decode_task_error(error).message().into_owned()
}

/// Collects the status from the scheduler's state. `running` are the graphs of running jobs.
pub(super) async fn collect_status(
    cluster: &dyn ClusterState,
    jobs: &dyn JobState,
    running: RunningGraphs,
    leases: &Leases,
    cancellations: &Cancellations,
) -> ClusterStatus {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let heartbeats = cluster.executor_heartbeats();
    let mut executors: Vec<_> = cluster
        .registered_executor_metadata()
        .await
        .into_iter()
        .filter_map(|executor| {
            let heartbeat = heartbeats.get(&executor.id)?;
            let state = heartbeat.status.as_ref().and_then(|status| status.status.as_ref());
            // The process of one with the time 0 has ended.
            if !matches!(state, Some(executor_status::Status::Active(_))) || heartbeat.timestamp == 0 {
                return None;
            }
            let id: ExecutorId = executor.id.parse().unwrap_or_else(|_| ExecutorId {
                name: executor.id.clone(),
                version: "unknown".to_owned(),
                backend: "unknown".to_owned(),
            });
            Some(ExecutorStatus {
                name: id.name,
                address: format!("{}:{}", executor.host, executor.port),
                version: id.version,
                backend: id.backend,
                slots: executor.specification.vcores as usize,
                seen_seconds_ago: now.saturating_sub(heartbeat.timestamp),
            })
        })
        .collect();
    executors.sort_by(|one, other| one.name.cmp(&other.name));

    let mut found: Vec<JobStatus> = Vec::new();
    for id in jobs.get_all_jobs().await.unwrap_or_default() {
        let running_graph = running.get(id.as_str());
        let job = match running_graph {
            Some(graph) => Some(job_status(&*graph.read().await)),
            None => jobs.get_execution_graph(&id).await.ok().flatten().map(|graph| job_status(&graph)),
        };
        found.extend(job);
    }
    for job in &mut found {
        let reason = cancellations.reason(&job.id);
        job.error = reason.map(|reason| message_of(&reason)).or(job.error.take());
    }
    found.sort_by(|one, other| (one.started_ms, &one.id).cmp(&(other.started_ms, &other.id)));
    let lease_ms = leases.length().as_millis() as u64;
    ClusterStatus { version: build().to_owned(), lease_ms, executors, jobs: found }
}

/// The execution graphs of running jobs by job id. Unlike those in [`JobState`], the scheduler updates them after every
/// task.
pub(super) type RunningGraphs = HashMap<String, std::sync::Arc<tokio::sync::RwLock<ExecutionGraphBox>>>;

fn job_status(graph: &ExecutionGraphBox) -> JobStatus {
    let error = match &graph.status().status {
        Some(job_status::Status::Failed(failed)) => Some(message_of(&failed.error)),
        _ => None,
    };
    let state = match &graph.status().status {
        Some(job_status::Status::Running(_)) => "running",
        Some(job_status::Status::Successful(_)) => "done",
        Some(job_status::Status::Failed(_)) => "failed",
        Some(job_status::Status::Queued(_)) | None => "queued",
    };
    JobStatus {
        id: graph.job_id().to_string(),
        state: state.to_owned(),
        progress: job_progress(graph),
        started_ms: graph.start_time(),
        error,
    }
}

fn job_progress(graph: &ExecutionGraphBox) -> JobProgress {
    let mut progress = JobProgress::default();
    for stage in graph.stages().values() {
        let (done, total) = match stage {
            ExecutionStage::Running(stage) => (stage.successful_tasks(), stage.partitions),
            ExecutionStage::Successful(stage) => (stage.partitions, stage.partitions),
            ExecutionStage::Resolved(stage) => (0, stage.partitions),
            // The number of tasks is not known before the inputs are complete.
            ExecutionStage::UnResolved(_) | ExecutionStage::Failed(_) => (0, 1),
        };
        progress.done += done.min(total);
        progress.total += total;
    }
    progress
}
