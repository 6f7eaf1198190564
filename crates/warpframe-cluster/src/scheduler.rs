//! The scheduler process: Ballista's scheduler with warpframe's codec, configuration and authentication,
//! its own service, and its rules for lost executors and lost clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::metrics::default_metrics_collector;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::SchedulerState;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tonic::Request;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::address::ClusterAddress;
use super::auth_layer::AuthLayer;
use super::cancellations::Cancellations;
use super::cluster_service::ClusterService;
use super::cluster_state::{MonitoredClusterState, SystemClock};
use super::endpoint::ConnectionSecurity;
use super::executor_losses::ExecutorLosses;
use super::job_reaper::JobReaper;
use super::job_state::LeasedJobState;
use super::leases::{DEFAULT_LEASE, Leases};
use super::physical_codec::ClusterCodec;
use super::protocol::{EXECUTOR_TIMEOUT_SECONDS, HEARTBEAT_INTERVAL_SECONDS, MAX_MESSAGE_BYTES};
use super::session_config::{process_config, session_state};
use super::status::{RunningGraphs, collect_status};
use super::task_launcher::TrackedLauncher;
use super::tls::Tls;
use super::token::{Token, TokenFiles};

/// The options of a scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// The address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The host name or IP address under which executors reach this host; by default the one in `bind`.
    pub advertise: Option<String>,
    /// The cluster's token; by default a new one, which this user's processes on this host find ([`Token::find`]).
    pub token: Option<Token>,
    /// The certificates with which connections are encrypted and authenticated; none by default.
    pub tls: Option<Tls>,
    /// The time after which a client that has not renewed the lease of its query counts as lost, [`DEFAULT_LEASE`] if not
    /// set otherwise: the query is cancelled and its files are removed.
    pub lease: Duration,
}

impl SchedulerOptions {
    /// The options of a scheduler that listens at this address.
    pub fn new(bind: SocketAddr) -> Self {
        Self { bind, advertise: None, token: None, tls: None, lease: DEFAULT_LEASE }
    }
}

/// A scheduler in this process. Dropping it stops it.
pub struct Scheduler {
    address: ClusterAddress,
    token: Token,
    serving: JoinHandle<()>,
    /// Cancels jobs and removes their files.
    reaping: JoinHandle<()>,
    cluster_state: Arc<MonitoredClusterState>,
    _token_files: Option<TokenFiles>,
}

impl Scheduler {
    /// Starts a scheduler on the current tokio runtime.
    ///
    /// # Errors
    /// The address is in use or not one of this host, or the file for a new token cannot be written.
    pub async fn start(options: SchedulerOptions) -> Result<Self> {
        let Ok(listener) = TcpListener::bind(options.bind).await else {
            return exec_err!(
                "cannot listen at {}: it is in use, or not an address of this host",
                options.bind
            );
        };
        let bound = listener.local_addr()?;
        let host = match &options.advertise {
            Some(host) => host.clone(),
            None if bound.ip().is_ipv6() => format!("[{}]", bound.ip()),
            None => bound.ip().to_string(),
        };
        let address = ClusterAddress::new(host, bound.port());
        let failed = |error: ballista_core::error::BallistaError| DataFusionError::External(error.into());
        let token = match &options.token {
            Some(token) => token.clone(),
            None => Token::random()?,
        };
        // Clients look up the token by the address that they connect to.
        let mut addresses = vec![address.clone()];
        if bound.ip().is_unspecified() {
            addresses.push(ClusterAddress::new(Ipv4Addr::LOCALHOST.to_string(), bound.port()));
        }
        let token_files = match TokenFiles::write(&addresses, &token) {
            Ok(files) => Some(files),
            Err(_) if options.token.is_some() => None,
            Err(error) => {
                return exec_err!(
                    "cannot write the cluster's token into this user's runtime or cache folder: {error}; name a file for it with --token-file"
                );
            }
        };
        let security = ConnectionSecurity { token: Some(token.clone()), tls: options.tls.clone() };
        let config = Arc::new(config(&address, bound, &security));
        let cluster = BallistaCluster::new_from_config(&config).await.map_err(failed)?;
        let (losses, cancellations) = (Arc::<ExecutorLosses>::default(), Arc::<Cancellations>::default());
        let leases = Arc::new(Leases::new(options.lease));
        let (verdict_sender, verdicts) = mpsc::unbounded_channel();
        let cluster_state = Arc::new(MonitoredClusterState::new(
            cluster.cluster_state(),
            SystemClock,
            Arc::clone(&losses),
            Arc::clone(&cancellations),
            verdict_sender,
        ));
        let job_state = Arc::new(LeasedJobState {
            state: cluster.job_state(),
            leases: Arc::clone(&leases),
            cancellations: Arc::clone(&cancellations),
        });
        let cluster = BallistaCluster::new(Arc::clone(&cluster_state) as _, job_state);
        let server = start_server(cluster.clone(), config, losses).await.map_err(failed)?;
        // A weak reference, because the server holds the state.
        let state = Arc::downgrade(&server.state);
        cluster_state.set_running_jobs(move || {
            state.upgrade().map(|state| running_graphs(&state)).unwrap_or_default()
        });
        let released = Arc::new(Notify::new());
        let service = cluster_service(
            server.clone(),
            cluster,
            Arc::clone(&leases),
            Arc::clone(&cancellations),
            Arc::clone(&released),
        );
        let mut builder = Server::builder();
        if let Some(tls) = &options.tls {
            builder =
                builder.tls_config(tls.server()).map_err(|error| DataFusionError::External(error.into()))?;
        }
        let serving = builder
            .layer(AuthLayer::new(token.clone()))
            .add_routes(routes(server.clone(), service))
            // Without TCP_NODELAY, a message in several segments waits for a delayed acknowledgement (40 ms).
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                log::error!("the gRPC server of the scheduler has failed: {error}");
            }
        });
        let reaper = JobReaper { server, leases, cancellations, released };
        let reaping = tokio::spawn(reaper.run(verdicts));
        Ok(Self { address, token, serving, reaping, cluster_state, _token_files: token_files })
    }

    /// The token that all requests to the cluster have to carry.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The address for clients and executors.
    pub fn address(&self) -> &ClusterAddress {
        &self.address
    }

    /// The state of the executors.
    pub(super) fn cluster_state(&self) -> &Arc<MonitoredClusterState> {
        &self.cluster_state
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("address", &self.address).finish()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.serving.abort();
        self.reaping.abort();
    }
}

fn config(address: &ClusterAddress, bound: SocketAddr, security: &ConnectionSecurity) -> SchedulerConfig {
    let mut config = SchedulerConfig::default()
        .with_scheduler_policy(TaskSchedulingPolicy::PushStaged)
        .with_task_distribution(TaskDistributionPolicy::RoundRobin)
        .with_grpc_server_max_decoding_message_size(MAX_MESSAGE_BYTES)
        .with_grpc_server_max_encoding_message_size(MAX_MESSAGE_BYTES)
        .with_grpc_client_max_message_size(MAX_MESSAGE_BYTES)
        .with_override_create_grpc_client_endpoint(security.endpoint_override())
        .with_override_config_producer(Arc::new(process_config))
        .with_override_session_builder(Arc::new(session_state));
    config.external_host = address.host().to_owned();
    config.bind_host = bound.ip().to_string();
    config.bind_port = bound.port();
    config.executor_timeout_seconds = EXECUTOR_TIMEOUT_SECONDS;
    config.expire_dead_executor_interval_seconds = HEARTBEAT_INTERVAL_SECONDS;
    config.no_executors_grace_period_seconds = 2 * EXECUTOR_TIMEOUT_SECONDS;
    // The time in which a draining executor has to finish its tasks.
    config.executor_termination_grace_period = 2 * EXECUTOR_TIMEOUT_SECONDS;
    // The leases decide when the files of a job are removed; 0 means never.
    config.finished_job_data_clean_up_interval_seconds = 0;
    config
}

type BallistaServer = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// Ballista's server, which sends tasks through a launcher that counts the losses of executors.
async fn start_server(
    cluster: BallistaCluster,
    config: Arc<SchedulerConfig>,
    losses: Arc<ExecutorLosses>,
) -> ballista_core::error::Result<BallistaServer> {
    let codec = BallistaCodec::new(
        Arc::new(BallistaLogicalExtensionCodec::default()),
        Arc::new(ClusterCodec::default()),
    );
    let scheduler_endpoint = config.scheduler_endpoint();
    let launcher = TrackedLauncher { scheduler_endpoint: scheduler_endpoint.clone(), losses };
    let metrics = default_metrics_collector()?;
    let mut server = SchedulerServer::new_with_task_launcher(
        scheduler_endpoint,
        cluster,
        codec,
        config,
        metrics,
        Arc::new(launcher),
    );
    server.init().await?;
    Ok(server)
}

fn running_graphs(state: &SchedulerState<LogicalPlanNode, PhysicalPlanNode>) -> RunningGraphs {
    let running = state.task_manager.get_running_job_cache();
    running.iter().map(|(id, job)| (id.to_string(), Arc::clone(&job.execution_graph))).collect()
}

fn cluster_service(
    server: BallistaServer,
    cluster: BallistaCluster,
    leases: Arc<Leases>,
    cancellations: Arc<Cancellations>,
    released: Arc<Notify>,
) -> ClusterService {
    let leases_too = Arc::clone(&leases);
    let collect = move || {
        let (server, cluster) = (server.clone(), cluster.clone());
        let (leases, cancellations) = (Arc::clone(&leases), Arc::clone(&cancellations));
        async move {
            let (executors, jobs) = (cluster.cluster_state(), cluster.job_state());
            let running = running_graphs(&server.state);
            let status = collect_status(&*executors, &*jobs, running, &leases, &cancellations).await;
            serde_json::to_string(&status).unwrap_or_default()
        }
    };
    ClusterService::new(collect, leases_too, released)
}

fn routes(server: BallistaServer, service: ClusterService) -> Routes {
    let bytes = MAX_MESSAGE_BYTES as usize;
    let grpc =
        SchedulerGrpcServer::new(server).max_encoding_message_size(bytes).max_decoding_message_size(bytes);
    let mut routes = RoutesBuilder::default();
    // Ballista takes the address of an executor that does not advertise one from axum's type.
    let grpc = InterceptedService::new(grpc, |mut request: Request<()>| {
        if let Some(address) = request.remote_addr() {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        Ok(request)
    });
    routes.add_service(grpc).add_service(service);
    routes.routes()
}
