//! The scheduler's task that cancels jobs whose clients are gone and jobs that end their executors, and removes the files of
//! jobs that nobody reads any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use super::cancellations::Cancellations;
use super::executor_losses::LossVerdict;
use super::leases::Leases;
use super::task_errors::decode_task_error;

/// The longest interval between two checks of the leases.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The task's view of the scheduler.
pub(super) struct JobReaper {
    pub server: SchedulerServer<LogicalPlanNode, PhysicalPlanNode>,
    pub leases: Arc<Leases>,
    pub cancellations: Arc<Cancellations>,
    /// Notified when a lease is released.
    pub released: Arc<Notify>,
}

impl JobReaper {
    /// Runs until the scheduler is dropped.
    pub async fn run(self, mut verdicts: UnboundedReceiver<LossVerdict>) {
        let interval = (self.leases.length() / 4).min(MAX_CHECK_INTERVAL);
        loop {
            tokio::select! {
                Some(LossVerdict { job, reason }) = verdicts.recv() => {
                    self.cancel(job, Some(reason)).await;
                }
                () = self.released.notified() => self.reap().await,
                () = tokio::time::sleep(interval) => self.reap().await,
            }
        }
    }

    async fn reap(&self) {
        for job in self.leases.expired(Instant::now()) {
            match job.has_ended {
                true => self.server.state.executor_manager.clean_up_job_data(job.id.into()),
                false if job.is_released => self.cancel(job.id, None).await,
                false => {
                    let reason = format!(
                        "the query was cancelled (job {}): its client has not renewed its lease of {} seconds",
                        job.id,
                        self.leases.length().as_secs_f64()
                    );
                    self.cancel(job.id, Some(reason)).await;
                }
            }
        }
    }

    /// Cancels a job. Ballista then removes its files.
    async fn cancel(&self, job: String, reason: Option<String>) {
        if let Some(reason) = reason {
            log::warn!("{}", decode_task_error(&reason).message());
            self.cancellations.add(&job, reason);
        }
        if let Err(error) = self.server.cancel_job(job.clone().into()).await {
            log::error!("job {job} cannot be cancelled: {error}");
        }
    }
}
