//! The way to a scheduler: its status, and queries handed to it, followed, fetched and cancelled.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::execute_query_failure_result::Failure as Refusal;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Answer;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, CleanJobDataParams, ExecuteQueryParams, GetJobMetricsParams, GetJobStatusParams,
    JobStageMetrics, KeyValuePair, PartitionLocation, RemoveSessionParams, job_status,
};
use ballista_core::version;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::auth_layer::authorized;
use super::file_list_scan_exec::files_as_rows;
use super::remote_metrics::REPORT;
use super::status::{ClusterStatus, JobProgress};
use super::status_service;
use super::token::{TOKEN_VARIABLE, Token};
use super::{ClusterCodec, MESSAGE_BYTES, VERSION, stage_engine};
use crate::background_cleanup::spawn_cleanup;

/// How long a host may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a scheduler may take to hear that a query or a session is over.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The shortest and the longest time between two questions whether a job has ended.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Where a scheduler listens: `df://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterAddress {
    host: String,
    port: u16,
}

impl ClusterAddress {
    /// The address of a host, by its name or number, and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// The host, by its name or number.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is on this machine by any means.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }

    fn http(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

impl FromStr for ClusterAddress {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self> {
        let place = text.strip_prefix("df://").map(|place| place.trim_end_matches('/'));
        let parts = place.and_then(|place| place.rsplit_once(':'));
        match parts.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some((host, port)) if !host.is_empty() && !host.contains('/') && port != 0 => {
                Ok(Self::new(host, port))
            }
            _ => Err(DataFusionError::Configuration(format!(
                "'{text}' is not the address of a cluster: use df://HOST:PORT"
            ))),
        }
    }
}

/// Why there is no status of a cluster.
#[derive(Debug)]
pub(super) enum StatusError {
    /// Nothing answers at the address.
    NoAnswer(ClusterAddress),
    /// Something else answers.
    NoScheduler(ClusterAddress),
    /// The scheduler wants a token, and this process knows none.
    NoToken(ClusterAddress),
    /// It wants another token.
    WrongToken(ClusterAddress),
    /// What this process takes for its token is none.
    BadToken(DataFusionError),
}

impl From<StatusError> for DataFusionError {
    fn from(error: StatusError) -> Self {
        Self::Execution(match error {
            StatusError::NoAnswer(address) => format!(
                "no scheduler answers at {address}: start one with `warpframe cluster scheduler`, or check the address"
            ),
            StatusError::NoScheduler(address) => {
                format!("what answers at {address} is not a scheduler of warpframe {VERSION}")
            }
            StatusError::NoToken(address) => format!(
                "the cluster at {address} wants its token: run this on its host as the user who started it, or name the token with --token-file or {TOKEN_VARIABLE}"
            ),
            StatusError::WrongToken(address) => format!(
                "the cluster at {address} refuses the token: name the one it was started with, with --token-file or {TOKEN_VARIABLE}"
            ),
            StatusError::BadToken(error) => return error,
        })
    }
}

/// A connection to a scheduler, opened when it is first needed.
#[derive(Debug)]
pub struct ClusterClient {
    address: ClusterAddress,
    token: Option<Token>,
    /// The session under which the scheduler keeps this client's settings.
    session: String,
    used: AtomicBool,
    files: Option<PathBuf>,
}

impl ClusterClient {
    /// A client of the scheduler at this address.
    pub fn new(address: ClusterAddress) -> Self {
        let session = format!("{}-{}", std::process::id(), ballista_core::ids::new_instance_id());
        Self { address, token: None, session, used: AtomicBool::new(false), files: None }
    }

    /// The same with the cluster's token. Without one, it is the one that [`Token::find`] finds at each connection.
    pub fn with_token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// The token, if there is one.
    pub(super) fn token(&self) -> Result<Option<Token>> {
        match &self.token {
            Some(token) => Ok(Some(token.clone())),
            None => Token::find(&self.address),
        }
    }

    /// The same, which looks for results below this folder before it asks executors for them.
    pub(super) fn with_files(mut self, files: Option<PathBuf>) -> Self {
        self.files = files;
        self
    }

    /// Below which folder results may lie on this machine.
    pub(super) fn files(&self) -> Option<&Path> {
        self.files.as_deref()
    }

    /// The scheduler's address.
    pub fn address(&self) -> &ClusterAddress {
        &self.address
    }

    /// The executors and jobs.
    ///
    /// # Errors
    /// No scheduler answers at the address, something else does, or it does not take the token.
    pub async fn status(&self) -> Result<ClusterStatus> {
        Ok(self.ask().await.map(|(status, _)| status)?)
    }

    /// The status, and the token by which it was given.
    pub(super) async fn ask(&self) -> Result<(ClusterStatus, Token), StatusError> {
        let address = || self.address.clone();
        let token = self.token().map_err(StatusError::BadToken)?;
        let endpoint = self.endpoint(token.as_ref()).map_err(StatusError::BadToken)?;
        let channel = endpoint.connect().await.map_err(|_| StatusError::NoAnswer(address()))?;
        let token = token.ok_or_else(|| StatusError::NoToken(address()))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, status_service::ask(channel)).await;
        match answer.map_err(|_| StatusError::NoAnswer(address()))? {
            Ok(status) => match serde_json::from_str(&status) {
                Ok(status) => Ok((status, token)),
                Err(_) => Err(StatusError::NoScheduler(address())),
            },
            Err(status) if status.code() == tonic::Code::Unauthenticated => {
                Err(StatusError::WrongToken(address()))
            }
            Err(_) => Err(StatusError::NoScheduler(address())),
        }
    }

    /// The status once there is an executor.
    ///
    /// # Errors
    /// There is none after `wait`, a process of the cluster has another version than this one, or as
    /// [`status`](Self::status).
    pub async fn ready(&self, wait: Duration) -> Result<ClusterStatus> {
        let start = Instant::now();
        loop {
            let status = self.status().await?;
            check_version("the scheduler", &status.version)?;
            for executor in &status.executors {
                check_version(&format!("executor {}", executor.name), &executor.version)?;
            }
            if !status.executors.is_empty() {
                return Ok(status);
            }
            if start.elapsed() >= wait {
                return exec_err!(
                    "the cluster at {} has no executor, after {} seconds of waiting: start one with `warpframe cluster executor`",
                    self.address,
                    wait.as_secs()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How far a job has come; nothing if the scheduler does not know it.
    pub(super) async fn progress(&self, job: &str) -> Option<JobProgress> {
        let status = self.status().await.ok()?;
        status.jobs.iter().find(|status| status.id == job).map(|status| status.progress)
    }

    /// Where the scheduler is, for requests with the token.
    fn endpoint(&self, token: Option<&Token>) -> Result<Endpoint> {
        let endpoint = Endpoint::from_shared(self.address.http())
            .map_err(|error| DataFusionError::External(error.into()))?
            .connect_timeout(ANSWER_TIMEOUT)
            .tcp_nodelay(true)
            // A host that vanished is noticed within seconds, also while a query runs.
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5));
        match token {
            Some(token) => authorized(endpoint, token),
            None => Ok(endpoint),
        }
    }

    /// A connection to the scheduler.
    pub(super) async fn scheduler(&self) -> Result<SchedulerGrpcClient<Channel>> {
        let Ok(channel) = self.endpoint(self.token()?.as_ref())?.connect().await else {
            return exec_err!("no scheduler answers at {}", self.address);
        };
        let bytes = MESSAGE_BYTES as usize;
        Ok(SchedulerGrpcClient::new(channel)
            .max_encoding_message_size(bytes)
            .max_decoding_message_size(bytes))
    }

    /// Hands a plan to the scheduler; with `report`, its executors report what their operators do.
    pub(super) async fn submit(
        self: &Arc<Self>,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
        report: bool,
    ) -> Result<Job> {
        let plan = files_as_rows(plan)?;
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, &ClusterCodec::default())?.try_encode(&mut bytes)?;
        if bytes.len() >= MESSAGE_BYTES as usize {
            return exec_err!(
                "the query's plan has {} MiB and can have at most {} MiB on a cluster",
                bytes.len() >> 20,
                MESSAGE_BYTES >> 20
            );
        }
        let settings = config.options().entries().into_iter();
        let settings = settings.map(|entry| KeyValuePair { key: entry.key, value: entry.value });
        let report = KeyValuePair { key: REPORT.to_owned(), value: Some(report.to_string()) };
        let settings = settings.chain([report]).collect();
        let mut request = Request::new(ExecuteQueryParams {
            session_id: self.session.clone(),
            settings,
            operation_id: ballista_core::ids::new_instance_id(),
            query: Some(Query::PhysicalPlan(bytes)),
        });
        version::insert_version_header(request.metadata_mut());
        let mut scheduler = self.scheduler().await?;
        self.used.store(true, Ordering::Relaxed);
        let answer = scheduler.execute_query(request).await.map_err(|status| self.refused(&status))?;
        match answer.into_inner().result {
            Some(Answer::Success(accepted)) => {
                Ok(Job { client: Arc::clone(self), scheduler, id: accepted.job_id, ended: false })
            }
            Some(Answer::Failure(refused)) => match refused.failure {
                Some(Refusal::PlanParsingFailure(why)) => exec_err!("{}", stage_engine::sentence(&why)),
                _ => exec_err!("the scheduler at {} does not know this session", self.address),
            },
            None => exec_err!("the scheduler at {} does not take the query", self.address),
        }
    }

    fn refused(&self, status: &Status) -> DataFusionError {
        let what = match status.code() {
            tonic::Code::Unauthenticated => return StatusError::WrongToken(self.address.clone()).into(),
            tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled => {
                format!("the scheduler at {} is gone: the query cannot be finished", self.address)
            }
            _ => stage_engine::sentence(status.message()).to_owned(),
        };
        DataFusionError::Execution(what)
    }
}

impl Drop for ClusterClient {
    fn drop(&mut self) {
        // The scheduler keeps the settings of a session until it is told that it is over.
        if self.used.load(Ordering::Relaxed) {
            let client = Self::new(self.address.clone()).with_token(self.token.take());
            let session_id = std::mem::take(&mut self.session);
            tell_scheduler(async move {
                if let Ok(mut scheduler) = client.scheduler().await {
                    let _ = scheduler.remove_session(RemoveSessionParams { session_id }).await;
                }
            });
        }
    }
}

/// Tells a scheduler something that it forgets by itself after a while, so that nobody waits for one that is gone.
fn tell_scheduler(tell: impl Future<Output = ()> + Send + 'static) {
    spawn_cleanup(async move {
        let _ = tokio::time::timeout(CLEANUP_TIMEOUT, tell).await;
        Ok(())
    });
}

pub(super) fn check_version(who: &str, version: &str) -> Result<()> {
    match version == VERSION {
        true => Ok(()),
        false => exec_err!(
            "{who} is warpframe {version} and this is warpframe {VERSION}: use one version on all hosts"
        ),
    }
}

/// A query on the cluster. Dropped before its end, it is cancelled; after it, its files are removed.
pub(super) struct Job {
    client: Arc<ClusterClient>,
    scheduler: SchedulerGrpcClient<Channel>,
    id: String,
    ended: bool,
}

impl Job {
    /// The scheduler's name for it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the operators of the finished job have reported; nothing if the scheduler cannot say it.
    pub async fn report(&mut self) -> Vec<JobStageMetrics> {
        let request = GetJobMetricsParams { job_id: self.id.clone() };
        match self.scheduler.get_job_metrics(request).await {
            Ok(answer) => answer.into_inner().stages,
            Err(status) => {
                log::warn!("the scheduler does not say what the operators did: {}", status.message());
                Vec::new()
            }
        }
    }

    /// Waits for the job's end and gives the places where its results lie, in the order of the partitions.
    pub async fn finished(&mut self) -> Result<Vec<PartitionLocation>> {
        let start = Instant::now();
        loop {
            let request = GetJobStatusParams { job_id: self.id.clone() };
            let answer = self.scheduler.get_job_status(request).await;
            let status = answer.map_err(|status| self.client.refused(&status))?.into_inner().status;
            match status.and_then(|status| status.status) {
                Some(job_status::Status::Failed(failed)) => {
                    self.ended = true;
                    return exec_err!("{}", stage_engine::sentence(&failed.error));
                }
                Some(job_status::Status::Successful(successful)) => {
                    self.ended = true;
                    let mut locations = successful.partition_location;
                    locations.sort_by_key(|location| {
                        location.partition_id.as_ref().map(|partition| partition.partition_id)
                    });
                    return Ok(locations);
                }
                _ => {}
            }
            // The end is noticed within a sixteenth of the time it took, and a long query costs the scheduler little.
            tokio::time::sleep((start.elapsed() / 16).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let (job_id, mut scheduler, ended) =
            (std::mem::take(&mut self.id), self.scheduler.clone(), self.ended);
        tell_scheduler(async move {
            if ended {
                let _ = scheduler
                    .clean_job_data(CleanJobDataParams { job_id, remove_stage_ids: Vec::new() })
                    .await;
            } else {
                let _ = scheduler.cancel_job(CancelJobParams { job_id }).await;
            }
        });
    }
}
