//! The client of a scheduler: connections, and the cluster's status.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::RemoveSessionParams;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use tonic::Status;
use tonic::transport::Channel;

use super::address::ClusterAddress;
use super::cluster_service;
use super::endpoint::ConnectionSecurity;
use super::leases::DEFAULT_LEASE;
use super::protocol::{MAX_MESSAGE_BYTES, VERSION, check_version};
use super::status::{ClusterStatus, JobProgress};
use super::task_errors::decode_task_error;
use super::tls::{Tls, tls_failure};
use super::token::{TOKEN_VARIABLE, Token};
use warpframe_io::spawn_cleanup;

/// The timeout of status requests.
const RPC_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of notifications that a query or a session has ended.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a cluster's status is not available.
#[derive(Debug)]
pub(super) enum StatusError {
    /// Nothing answers at the address in time.
    Unreachable(ClusterAddress),
    /// The server at the address is not a scheduler of this version, or not with TLS as this process uses it.
    NotAScheduler(ClusterAddress, Option<Tls>),
    /// The server at the address and this process do not trust each other's certificates; why.
    Untrusted(ClusterAddress, String),
    /// The scheduler requires a token, and this process has none.
    MissingToken(ClusterAddress),
    /// The scheduler requires another token.
    WrongToken(ClusterAddress),
    /// This process's token is malformed or cannot be read.
    InvalidToken(DataFusionError),
}

impl From<StatusError> for DataFusionError {
    fn from(error: StatusError) -> Self {
        Self::Execution(match error {
            StatusError::Unreachable(address) => format!(
                "no scheduler answers at {address}: start one with `warpframe cluster scheduler`, or check the address"
            ),
            StatusError::NotAScheduler(address, None) => format!(
                "what answers at {address} is not a scheduler of warpframe {VERSION} without TLS: if it uses TLS, name the certificates with --tls-cert, --tls-key and --tls-ca"
            ),
            StatusError::NotAScheduler(address, Some(_)) => format!(
                "what answers at {address} does not accept the certificate in --tls-cert, which its authority has to have signed, or is not a scheduler of warpframe {VERSION}"
            ),
            StatusError::Untrusted(address, cause) => {
                format!("the scheduler at {address} cannot be trusted: {cause}")
            }
            StatusError::MissingToken(address) => format!(
                "the cluster at {address} wants its token: run this on its host as the user who started it, or name the token with --token-file or {TOKEN_VARIABLE}"
            ),
            StatusError::WrongToken(address) => format!(
                "the cluster at {address} refuses the token: name the one it was started with, with --token-file or {TOKEN_VARIABLE}"
            ),
            StatusError::InvalidToken(error) => return error,
        })
    }
}

/// A client of a scheduler. Every query and status request opens a connection of its own.
#[derive(Debug)]
pub struct ClusterClient {
    pub(super) address: ClusterAddress,
    token: Option<Token>,
    tls: Option<Tls>,
    /// The Ballista session that holds this client's settings on the scheduler.
    pub(super) session_id: String,
    /// Whether the scheduler has that session, and has to be told when it ends.
    pub(super) has_session: AtomicBool,
    local_work_dir: Option<PathBuf>,
    /// The length of the scheduler's leases, in milliseconds, as of the last status.
    lease_ms: AtomicU64,
}

impl ClusterClient {
    /// The client of the scheduler at this address.
    pub fn new(address: ClusterAddress) -> Self {
        let session_id = format!("{}-{}", std::process::id(), ballista_core::ids::new_instance_id());
        Self {
            address,
            token: None,
            tls: None,
            session_id,
            has_session: AtomicBool::new(false),
            local_work_dir: None,
            lease_ms: AtomicU64::new(DEFAULT_LEASE.as_millis() as u64),
        }
    }

    /// Sets the cluster's token. With `None`, the default, every connection uses the token that [`Token::find`] finds.
    pub fn with_token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Sets the certificates with which connections are encrypted and authenticated. With `None`, the default, they are not.
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// The token, or none if this process has none, and the certificates.
    ///
    /// # Errors
    /// The token is malformed or cannot be read.
    pub(super) fn security(&self) -> Result<ConnectionSecurity> {
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None => Token::find(&self.address)?,
        };
        Ok(ConnectionSecurity { token, tls: self.tls.clone() })
    }

    /// Sets the parent folder of the executors' work folders, if they are on this machine: results are read from there.
    pub(super) fn with_local_work_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.local_work_dir = folder;
        self
    }

    /// The length of the scheduler's leases.
    pub(super) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.load(Ordering::Relaxed))
    }

    /// The parent folder of the executors' work folders on this machine.
    pub(super) fn local_work_dir(&self) -> Option<&Path> {
        self.local_work_dir.as_deref()
    }

    /// The scheduler's address.
    pub fn address(&self) -> &ClusterAddress {
        &self.address
    }

    /// The executors and jobs.
    ///
    /// # Errors
    /// No scheduler of this version answers at the address, or it rejects the token.
    pub async fn status(&self) -> Result<ClusterStatus> {
        Ok(self.fetch_status().await.map(|(status, _)| status)?)
    }

    /// The status, and the token that the scheduler has accepted.
    pub(super) async fn fetch_status(&self) -> Result<(ClusterStatus, Token), StatusError> {
        let address = || self.address.clone();
        let security = self.security().map_err(StatusError::InvalidToken)?;
        let endpoint = security.endpoint(self.address.host(), self.address.port());
        let connected = endpoint.map_err(StatusError::InvalidToken)?.connect().await;
        let channel = connected.map_err(|error| match tls_failure(&error) {
            Some(cause) => StatusError::Untrusted(address(), cause),
            None => StatusError::Unreachable(address()),
        })?;
        let token = security.token.ok_or_else(|| StatusError::MissingToken(address()))?;
        let answer = tokio::time::timeout(RPC_TIMEOUT, cluster_service::request_status(channel)).await;
        match answer.map_err(|_| StatusError::Unreachable(address()))? {
            Ok(status) => match serde_json::from_str::<ClusterStatus>(&status) {
                Ok(status) => {
                    self.lease_ms.store(status.lease_ms, Ordering::Relaxed);
                    Ok((status, token))
                }
                Err(_) => Err(StatusError::NotAScheduler(address(), security.tls)),
            },
            Err(status) if status.code() == tonic::Code::Unauthenticated => {
                Err(StatusError::WrongToken(address()))
            }
            // A server rejects the certificate of a client after the client's part of the handshake.
            Err(status) => match tls_failure(&status) {
                Some(cause) => Err(StatusError::Untrusted(address(), cause)),
                None => Err(StatusError::NotAScheduler(address(), security.tls)),
            },
        }
    }

    /// The status, as soon as the cluster has an executor.
    ///
    /// # Errors
    /// The cluster has no executor after `wait`, a process of the cluster has another version than this one, or as
    /// for [`status`](Self::status).
    pub async fn wait_for_executors(&self, wait: Duration) -> Result<ClusterStatus> {
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

    /// The progress of a job, or `None` if it is not known.
    pub(super) async fn progress(&self, job: &str) -> Option<JobProgress> {
        let status = self.status().await.ok()?;
        status.jobs.iter().find(|status| status.id == job).map(|status| status.progress)
    }

    /// Connects to the scheduler.
    ///
    /// # Errors
    /// Nothing answers at the address, or the token is malformed or cannot be read.
    pub(super) async fn connect_channel(&self) -> Result<Channel> {
        let endpoint = self.security()?.endpoint(self.address.host(), self.address.port())?;
        match endpoint.connect().await {
            Ok(channel) => Ok(channel),
            Err(_) => exec_err!("no scheduler answers at {}", self.address),
        }
    }

    /// The client of Ballista's service, with the errors of [`connect_channel`](Self::connect_channel).
    pub(super) async fn connect(&self) -> Result<SchedulerGrpcClient<Channel>> {
        self.connect_channel().await.map(scheduler_client)
    }

    /// The error behind the failure of a request.
    pub(super) fn rpc_error(&self, status: &Status) -> DataFusionError {
        match status.code() {
            tonic::Code::Unauthenticated => StatusError::WrongToken(self.address.clone()).into(),
            tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled => {
                exec_datafusion_err!(
                    "the scheduler at {} is gone: the query cannot be finished",
                    self.address
                )
            }
            _ => decode_task_error(status.message()),
        }
    }
}

/// The client of Ballista's service on a connection to a scheduler.
pub(super) fn scheduler_client(channel: Channel) -> SchedulerGrpcClient<Channel> {
    let bytes = MAX_MESSAGE_BYTES as usize;
    SchedulerGrpcClient::new(channel).max_encoding_message_size(bytes).max_decoding_message_size(bytes)
}

impl Drop for ClusterClient {
    fn drop(&mut self) {
        // The scheduler keeps a session until it is removed.
        if self.has_session.load(Ordering::Relaxed) {
            let client = Self::new(self.address.clone());
            let client = client.with_token(self.token.take()).with_tls(self.tls.take());
            let session_id = std::mem::take(&mut self.session_id);
            spawn_notification(async move {
                if let Ok(mut scheduler) = client.connect().await {
                    let _ = scheduler.remove_session(RemoveSessionParams { session_id }).await;
                }
            });
        }
    }
}

/// Sends a notification in the background. It may get lost: the scheduler drops ended sessions and jobs after a timeout.
pub(super) fn spawn_notification(notification: impl Future<Output = ()> + Send + 'static) {
    spawn_cleanup(async move {
        let _ = tokio::time::timeout(NOTIFICATION_TIMEOUT, notification).await;
        Ok(())
    });
}
