//! Jobs: queries that are submitted to a scheduler.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::execute_query_failure_result::Failure as QueryFailure;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as QueryResult;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    ExecuteQueryParams, GetJobMetricsParams, GetJobStatusParams, JobStageMetrics, KeyValuePair,
    PartitionLocation, job_status,
};
use ballista_core::version;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use tonic::Request;
use tonic::transport::Channel;

use super::checked_graph::CANCELLED;
use super::client::{ClusterClient, scheduler_client, spawn_notification};
use super::cluster_service::release_lease;
use super::file_list_scan_exec::externalize_file_lists;
use super::job_options::{COLLECT_METRICS, LEASED};
use super::lease_renewal::LeaseRenewal;
use super::physical_codec::ClusterCodec;
use super::protocol::MAX_MESSAGE_BYTES;
use super::task_errors::{decode_task_error, is_results_lost};

/// The bounds of the interval between two requests for a job's status.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(2);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(50);

impl ClusterClient {
    /// Submits a plan. With `collect_metrics` the executors report the metrics of its operators.
    ///
    /// # Errors
    /// The plan cannot be encoded or is larger than a message, or the scheduler is lost or rejects it.
    pub(super) async fn submit(
        self: &Arc<Self>,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
        collect_metrics: bool,
    ) -> Result<Job> {
        let plan = externalize_file_lists(plan)?;
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, &ClusterCodec::default())?.try_encode(&mut bytes)?;
        if bytes.len() >= MAX_MESSAGE_BYTES as usize {
            return exec_err!(
                "the query's plan has {} MiB, and a cluster takes plans of at most {} MiB",
                bytes.len() >> 20,
                MAX_MESSAGE_BYTES >> 20
            );
        }
        let settings = config.options().entries().into_iter();
        let settings = settings.map(|entry| KeyValuePair { key: entry.key, value: entry.value });
        let options = [(COLLECT_METRICS, collect_metrics), (LEASED, true)];
        let options =
            options.map(|(key, on)| KeyValuePair { key: key.to_owned(), value: Some(on.to_string()) });
        let settings = settings.chain(options).collect();
        let mut request = Request::new(ExecuteQueryParams {
            session_id: self.session_id.clone(),
            settings,
            operation_id: ballista_core::ids::new_instance_id(),
            query: Some(Query::PhysicalPlan(bytes)),
        });
        version::insert_version_header(request.metadata_mut());
        let channel = self.connect_channel().await?;
        let mut scheduler = scheduler_client(channel.clone());
        self.has_session.store(true, Ordering::Relaxed);
        let answer = scheduler.execute_query(request).await.map_err(|status| self.rpc_error(&status))?;
        match answer.into_inner().result {
            Some(QueryResult::Success(accepted)) => {
                let id = accepted.job_id;
                let renewal = LeaseRenewal::start(Arc::downgrade(self), id.clone());
                Ok(Job { client: Arc::clone(self), channel, scheduler, id, _renewal: renewal })
            }
            Some(QueryResult::Failure(failed)) => match failed.failure {
                Some(QueryFailure::PlanParsingFailure(why)) => Err(decode_task_error(&why)),
                _ => exec_err!("the scheduler at {} does not know this session", self.address),
            },
            None => exec_err!("the scheduler at {} does not accept the query", self.address),
        }
    }
}

/// The end of a job that did not fail by itself.
pub(super) enum JobEnd {
    /// The locations of the result, in the order of the partitions.
    Done(Vec<PartitionLocation>),
    /// Executors were lost with results that the job needs: it has to be submitted again.
    Lost(DataFusionError),
}

/// A submitted query, whose lease is renewed. Dropping it before its end cancels it; dropping it afterwards removes its
/// files.
pub(super) struct Job {
    client: Arc<ClusterClient>,
    channel: Channel,
    scheduler: SchedulerGrpcClient<Channel>,
    id: String,
    _renewal: LeaseRenewal,
}

impl Job {
    /// The identifier that the scheduler has given it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The metrics of the finished job by stage; empty if the scheduler does not have them.
    pub async fn metrics(&mut self) -> Vec<JobStageMetrics> {
        let request = GetJobMetricsParams { job_id: self.id.clone() };
        match self.scheduler.get_job_metrics(request).await {
            Ok(answer) => answer.into_inner().stages,
            Err(status) => {
                log::warn!("cannot fetch the metrics of the operators: {}", status.message());
                Vec::new()
            }
        }
    }

    /// Waits for the end of the job.
    ///
    /// # Errors
    /// The job fails or is cancelled, or the scheduler is lost.
    pub async fn wait(&mut self) -> Result<JobEnd> {
        let start = Instant::now();
        loop {
            let request = GetJobStatusParams { job_id: self.id.clone() };
            let answer = self.scheduler.get_job_status(request).await;
            let status = answer.map_err(|status| self.client.rpc_error(&status))?.into_inner().status;
            match status.and_then(|status| status.status) {
                Some(job_status::Status::Failed(failed)) => {
                    if failed.error == CANCELLED {
                        return exec_err!(
                            "the query was cancelled on the cluster at {} (job {})",
                            self.client.address,
                            self.id
                        );
                    }
                    let error = decode_task_error(&failed.error);
                    return if is_results_lost(&failed.error) { Ok(JobEnd::Lost(error)) } else { Err(error) };
                }
                Some(job_status::Status::Successful(successful)) => {
                    let mut locations = successful.partition_location;
                    locations.sort_by_key(|location| {
                        location.partition_id.as_ref().map(|partition| partition.partition_id)
                    });
                    return Ok(JobEnd::Done(locations));
                }
                _ => {}
            }
            // Adds at most a sixteenth to the query's time, with few requests for long queries.
            tokio::time::sleep((start.elapsed() / 16).clamp(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL)).await;
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let (id, channel) = (std::mem::take(&mut self.id), self.channel.clone());
        spawn_notification(async move { drop(release_lease(channel, id).await) });
    }
}
