//! The registration of an executor with a scheduler: its gRPC server, heartbeats and task status reports.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ballista_core::RuntimeProducer;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::executor_grpc_server::ExecutorGrpcServer;
use ballista_core::serde::protobuf::executor_status::Status as State;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    ExecutorStatus, ExecutorStoppedParams, HeartBeatParams, RegisterExecutorParams, TaskStatus,
    UpdateTaskStatusParams,
};
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_executor::executor::Executor;
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use ballista_executor::metrics::LoggingMetricsCollector;
use ballista_executor::runtime_cache::DefaultSessionRuntimeCache;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tonic::Code;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;

use super::auth_layer::AuthLayer;
use super::client::ClusterClient;
use super::endpoint::ConnectionSecurity;
use super::executor_connections::ExecutorConnections;
use super::executor_id::ExecutorId;
use super::executor_options::ExecutorOptions;
use super::executor_service::ExecutorService;
use super::physical_codec::ClusterCodec;
use super::protocol::{HEARTBEAT_INTERVAL_SECONDS, MAX_MESSAGE_BYTES};
use super::session_config::{process_config, session_state};
use super::shuffle_reader_exec::ShuffleSource;
use super::shuffle_service::ShuffleService;
use super::stage_engine::StageEngine;
use super::task_runtime::{TaskThreads, memory_policy, runtime_producer};

/// The number of consecutive failed heartbeats after which the scheduler counts as lost.
const MAX_MISSED_HEARTBEATS: usize = 5;

/// The number of sessions whose runtime environments, with caches of Parquet footers and listings, are kept.
const CACHED_SESSIONS: usize = 16;

/// The interval between attempts to reach a scheduler.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A registered executor. Dropping it closes its port and aborts its tasks.
pub(super) struct Registration {
    scheduler: SchedulerGrpcClient<Channel>,
    heartbeat: HeartBeatParams,
    /// The number of tasks whose end is not yet reported to the scheduler.
    running_tasks: Arc<AtomicUsize>,
    stop_requested: Arc<Notify>,
    _server: SpawnedTask<()>,
    /// A task of its own: a request that was cancelled half-way would lose the statuses that it carries.
    _reporter: SpawnedTask<()>,
    _tasks: TaskThreads,
}

impl Registration {
    /// Starts the gRPC server of the executor and registers it with the scheduler.
    ///
    /// # Errors
    /// The port cannot be bound, or the scheduler does not answer or rejects the registration.
    pub async fn new(
        options: &ExecutorOptions,
        id: &ExecutorId,
        work_dir: &Path,
        security: &ConnectionSecurity,
    ) -> Result<Self> {
        let scheduler = ClusterClient::new(options.scheduler.clone());
        let scheduler = scheduler.with_token(security.token.clone()).with_tls(security.tls.clone());
        let mut scheduler = scheduler.connect().await?;
        let Some(token) = &security.token else {
            return exec_err!("an executor has to have the token of its cluster");
        };
        let listener = bind_listener(options).await?;
        let port = listener.local_addr()?.port();
        let config = ExecutorProcessConfig {
            executor_id: id.to_string(),
            external_host: options.advertise.clone(),
            port,
            grpc_port: port,
            ..ExecutorProcessConfig::default()
        };
        let metadata = structure_executor_metadata(&Arc::new(config), options.slots.get() as u32);
        let heartbeat = HeartBeatParams {
            executor_id: metadata.id.clone(),
            metrics: Vec::new(),
            status: Some(ExecutorStatus { status: Some(State::Active(String::new())) }),
            metadata: Some(metadata.clone()),
        };

        let base = runtime_producer(work_dir);
        let policy = memory_policy(options);
        let (base_too, policy_too) = (Arc::clone(&base), Arc::clone(&policy));
        let runtimes: RuntimeProducer = Arc::new(move |config| policy_too(base_too(config)?, config, 1));
        let connections = Arc::new(ExecutorConnections::new(security.clone()));
        let source = ShuffleSource { work_dir: work_dir.to_owned(), connections };
        let engine = Arc::new(StageEngine::new(id.name.clone(), source));
        let executor = Executor::new(
            metadata.clone(),
            &work_dir.to_string_lossy(),
            runtimes,
            Arc::new(process_config),
            Arc::new(BallistaFunctionRegistry::from(&session_state(process_config())?)),
            Arc::new(LoggingMetricsCollector::default()),
            options.slots.get(),
            Arc::clone(&engine) as _,
        );
        let cache = DefaultSessionRuntimeCache::new(base, policy, CACHED_SESSIONS);
        let executor = executor.with_session_runtime_cache(Some(Arc::new(cache)));

        let tasks = TaskThreads::start(options.slots)?;
        let (status_sender, task_statuses) = mpsc::unbounded_channel();
        let (running_tasks, stop_requested) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let service = ExecutorService {
            executor: Arc::new(executor),
            engine,
            codec: BallistaCodec::new(
                Arc::new(BallistaLogicalExtensionCodec::default()),
                Arc::new(ClusterCodec::default()),
            ),
            task_runtime: tasks.handle(),
            running_tasks: Arc::clone(&running_tasks),
            task_statuses: status_sender,
            stop_requested: Arc::clone(&stop_requested),
        };
        let bytes = MAX_MESSAGE_BYTES as usize;
        let mut server = create_grpc_server(&GrpcServerConfig::default());
        if let Some(tls) = &security.tls {
            server =
                server.tls_config(tls.server()).map_err(|error| DataFusionError::External(error.into()))?;
        }
        let serving = server
            .layer(AuthLayer::new(token.clone()))
            .add_service(
                ExecutorGrpcServer::new(service)
                    .max_encoding_message_size(bytes)
                    .max_decoding_message_size(bytes),
            )
            .add_service(ShuffleService::new(work_dir))
            // Without TCP_NODELAY, a message in several segments waits for a delayed acknowledgement (40 ms).
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let server = SpawnedTask::spawn(async move {
            if let Err(error) = serving.await {
                log::error!("the gRPC server of the executor has failed: {error}");
            }
        });

        let failed = |status: tonic::Status| DataFusionError::Execution(status.message().to_owned());
        let registered =
            scheduler.register_executor(RegisterExecutorParams { metadata: Some(metadata) }).await;
        registered.map_err(failed)?;
        // Executors without a heartbeat are not in the scheduler's status.
        scheduler.heart_beat_from_executor(heartbeat.clone()).await.map_err(failed)?;
        let reporter = SpawnedTask::spawn(report_task_statuses(
            scheduler.clone(),
            heartbeat.executor_id.clone(),
            task_statuses,
            Arc::clone(&running_tasks),
        ));
        Ok(Self {
            scheduler,
            heartbeat,
            running_tasks,
            stop_requested,
            _server: server,
            _reporter: reporter,
            _tasks: tasks,
        })
    }

    /// Runs tasks until the scheduler is lost or stops the executor.
    pub async fn run(&mut self) {
        tokio::select! {
            () = send_heartbeats(self.scheduler.clone(), self.heartbeat.clone()) => log::warn!("the scheduler is lost: it does not answer heartbeats"),
            () = self.stop_requested.notified() => log::info!("the scheduler has removed this executor"),
        }
    }

    /// Announces the end of the executor to the scheduler, which sends no more tasks, and waits for the running tasks.
    pub async fn drain(&mut self) {
        let mut last = self.heartbeat.clone();
        last.status = Some(ExecutorStatus { status: Some(State::Terminating(String::new())) });
        let stopped = ExecutorStoppedParams {
            executor_id: last.executor_id.clone(),
            reason: "the executor was asked to stop".to_owned(),
        };
        // Without these notifications, the scheduler notices the end by the missing heartbeats.
        let _ = self.scheduler.heart_beat_from_executor(last.clone()).await;
        let _ = self.scheduler.executor_stopped(stopped).await;
        let drained = async {
            while self.running_tasks.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = send_heartbeats(self.scheduler.clone(), last) => log::warn!("the scheduler is lost: it does not answer heartbeats"),
        }
    }
}

/// Sends heartbeats until the scheduler is lost.
async fn send_heartbeats(mut scheduler: SchedulerGrpcClient<Channel>, beat: HeartBeatParams) {
    let mut missed = 0;
    while missed < MAX_MISSED_HEARTBEATS {
        tokio::time::sleep(Duration::from_secs(HEARTBEAT_INTERVAL_SECONDS)).await;
        match scheduler.heart_beat_from_executor(beat.clone()).await {
            Ok(_) => missed = 0,
            // The scheduler has been replaced by one with another token.
            Err(status) if status.code() == Code::Unauthenticated => return,
            Err(status) => {
                log::warn!("a heartbeat failed: {}", status.message());
                missed += 1;
            }
        }
    }
}

/// Reports the final statuses of tasks to the scheduler, several in one request if they are ready. Does not return while
/// the service lives.
async fn report_task_statuses(
    mut scheduler: SchedulerGrpcClient<Channel>,
    executor_id: String,
    mut task_statuses: mpsc::UnboundedReceiver<TaskStatus>,
    running_tasks: Arc<AtomicUsize>,
) {
    while let Some(first) = task_statuses.recv().await {
        let mut task_status = vec![first];
        while let Ok(more) = task_statuses.try_recv() {
            task_status.push(more);
        }
        let tasks = task_status.len();
        let update = UpdateTaskStatusParams { executor_id: executor_id.clone(), task_status };
        while let Err(status) = scheduler.update_task_status(update.clone()).await {
            log::warn!("cannot report the end of {tasks} tasks: {}", status.message());
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        running_tasks.fetch_sub(tasks, Ordering::AcqRel);
    }
}

/// Binds the port of an executor.
///
/// # Errors
/// The port is in use, or the address is not one of this host.
pub(super) async fn bind_listener(options: &ExecutorOptions) -> Result<TcpListener> {
    let (bind, port) = (options.bind, options.port.unwrap_or(0));
    match TcpListener::bind((bind, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) if port == 0 => exec_err!("cannot listen at {bind}: it is not an address of this host"),
        Err(_) => exec_err!("cannot listen at {bind}:{port}: it is in use, or not an address of this host"),
    }
}
