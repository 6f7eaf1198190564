//! The scheduler's state of its jobs: Ballista's, which also tells [`Leases`] of the submission and the end of jobs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::{JobStatus, job_status};
use ballista_core::{JobId, JobStatusSubscriber};
use ballista_scheduler::cluster::{JobState, JobStateEventStream};
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::cancellations::Cancellations;
use super::job_options::JobOptions;
use super::leases::Leases;

/// The state of the jobs of a scheduler.
pub(super) struct LeasedJobState {
    pub state: Arc<dyn JobState>,
    pub leases: Arc<Leases>,
    pub cancellations: Arc<Cancellations>,
}

#[async_trait]
impl JobState for LeasedJobState {
    fn accept_job(&self, job: &JobId, name: &str, queued_at: u64) -> Result<()> {
        self.state.accept_job(job, name, queued_at)
    }

    fn pending_job_number(&self) -> usize {
        self.state.pending_job_number()
    }

    async fn submit_job(
        &self,
        job: JobId,
        graph: &ExecutionGraphBox,
        subscriber: Option<JobStatusSubscriber>,
    ) -> Result<()> {
        let is_leased = JobOptions::is_leased(graph.session_config().options());
        self.leases.submitted(job.as_str(), is_leased, Instant::now());
        let submitted = self.state.submit_job(job.clone(), graph, subscriber).await;
        if submitted.is_err() {
            self.leases.ended(job.as_str(), false, Instant::now());
        }
        submitted
    }

    async fn get_jobs(&self) -> Result<HashSet<JobId>> {
        self.state.get_jobs().await
    }

    async fn get_all_jobs(&self) -> Result<HashSet<JobId>> {
        self.state.get_all_jobs().await
    }

    async fn get_job_status(&self, job: &JobId) -> Result<Option<JobStatus>> {
        self.state.get_job_status(job).await
    }

    async fn get_execution_graph(&self, job: &JobId) -> Result<Option<ExecutionGraphBox>> {
        self.state.get_execution_graph(job).await
    }

    async fn save_job(&self, job: &JobId, graph: &ExecutionGraphBox) -> Result<()> {
        self.state.save_job(job, graph).await?;
        match graph.status().status {
            Some(job_status::Status::Successful(_)) => {
                self.leases.ended(job.as_str(), true, Instant::now());
            }
            Some(job_status::Status::Failed(_)) => self.leases.ended(job.as_str(), false, Instant::now()),
            _ => {}
        }
        Ok(())
    }

    async fn fail_unscheduled_job(&self, job: &JobId, reason: String) -> Result<()> {
        self.state.fail_unscheduled_job(job, reason).await
    }

    async fn remove_job(&self, job: &JobId) -> Result<()> {
        self.cancellations.forget(job.as_str());
        self.state.remove_job(job).await
    }

    async fn try_acquire_job(&self, job: &JobId) -> Result<Option<ExecutionGraphBox>> {
        self.state.try_acquire_job(job).await
    }

    async fn job_state_events(&self) -> Result<JobStateEventStream> {
        self.state.job_state_events().await
    }

    async fn create_or_update_session(
        &self,
        session: &str,
        config: &SessionConfig,
    ) -> Result<Arc<SessionContext>> {
        self.state.create_or_update_session(session, config).await
    }

    async fn remove_session(&self, session: &str) -> Result<()> {
        self.state.remove_session(session).await
    }

    fn produce_config(&self) -> SessionConfig {
        self.state.produce_config()
    }
}
