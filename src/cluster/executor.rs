//! The executor: it registers with a scheduler, runs the tasks that it is given, and reports how they end. It stays
//! when its scheduler goes, and comes back to the next one at the same address.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::extension::SessionConfigExt;
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
use ballista_core::{ConfigProducer, RuntimeProducer};
use ballista_executor::execution_engine::DefaultExecutionEngine;
use ballista_executor::executor::Executor;
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::metrics::LoggingMetricsCollector;
use ballista_executor::runtime_cache::{DefaultSessionRuntimeCache, MemoryPoolPolicy};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use sysinfo::{MemoryRefreshKind, System};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};
use tonic::Code;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;

use super::auth_layer::{RequireToken, authorize};
use super::client::{ClusterAddress, ClusterClient, StatusError, check_version};
use super::client_pool::Connections;
use super::executor_service::ExecutorService;
use super::scheduler::session_state;
use super::stage_engine::NamedEngine;
use super::status::ExecutorId;
use super::token::Token;
use super::{ClusterCodec, HEARTBEAT_SECONDS, MESSAGE_BYTES, VERSION, base_config};
use crate::private_folder::private_folder_in;
use crate::stores::Stores;

/// The part of the machine's memory that the tasks may hold together if nothing else is said.
const MEMORY_PART: f64 = 0.7;

/// Heartbeats in a row that get no answer before the scheduler is given up.
const MOST_LOST_HEARTBEATS: usize = 5;

/// How long a scheduler may refuse the executor's token: one that has just started may have written its own meanwhile.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(3);

/// The pause before something is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Sessions whose caches, of Parquet footers for example, are kept.
const CACHED_SESSIONS: usize = 16;

/// How an executor is started.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// The scheduler it works for.
    pub scheduler: ClusterAddress,
    /// The cluster's token; the one that the environment or a scheduler on this host names by default.
    pub token: Option<Token>,
    /// The address it listens at.
    pub bind: IpAddr,
    /// The name or number by which others reach this host; the one from which it connects by default.
    pub advertise: Option<String>,
    /// The port it listens at; a free one by default.
    pub port: Option<u16>,
    /// How many tasks it runs at a time.
    pub slots: NonZeroUsize,
    /// Where intermediate results lie; a temporary folder by default.
    pub work_dir: Option<PathBuf>,
    /// Bytes that the operators of all its tasks may hold together; 70 % of the machine's by default.
    pub memory_limit: Option<usize>,
}

/// Runs an executor until `stop` ends; it then finishes its tasks. `started` is called once it has registered for the
/// first time.
///
/// # Errors
/// The scheduler has another version or refuses the token, the port cannot be listened at, or the work folder cannot
/// be used. That no scheduler answers is not an error: the executor waits for it.
pub async fn run_executor(
    options: ExecutorOptions,
    stop: impl Future<Output = ()>,
    started: impl FnOnce(&str),
) -> Result<()> {
    // Said at once, not when a scheduler is there.
    drop(listen(&options).await?);
    let temporary;
    let parent: &Path = match &options.work_dir {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
            folder
        }
        None => {
            temporary = std::env::temp_dir();
            &temporary
        }
    };
    let work_dir =
        private_folder_in("warpframe-executor-", parent).map_err(|error| unusable(parent, &error))?;
    let backend = crate::backend::available()?.join(", ");
    let mut started = Some(started);
    let mut stop = std::pin::pin!(stop);
    loop {
        let token = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            found = wait_for_scheduler(&options) => found?,
        };
        let id = ExecutorId { name: name(), version: VERSION.to_owned(), backend: backend.clone() };
        let own = work_dir.path().join(&id.name);
        std::fs::create_dir(&own).map_err(|error| unusable(&own, &error))?;
        match Registration::new(&options, &id, &own, &token).await {
            Ok(mut registration) => {
                if let Some(started) = started.take() {
                    started(&id.name);
                }
                let stopped = tokio::select! {
                    () = registration.work() => false,
                    () = &mut stop => true,
                };
                if stopped {
                    registration.drain().await;
                    return Ok(());
                }
            }
            Err(error) => log::warn!("the executor cannot register: {}", error.find_root().message()),
        }
        // The scheduler is gone, or has given us up.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until a scheduler of this version answers, and gives the token that it takes.
async fn wait_for_scheduler(options: &ExecutorOptions) -> Result<Token> {
    let client = ClusterClient::new(options.scheduler.clone()).with_token(options.token.clone());
    let mut refused: Option<Instant> = None;
    loop {
        match client.ask().await {
            Ok((status, token)) => {
                check_version(&format!("the scheduler at {}", options.scheduler), &status.version)?;
                return Ok(token);
            }
            Err(
                error @ (StatusError::NoToken(_) | StatusError::WrongToken(_) | StatusError::BadToken(_)),
            ) => {
                if refused.get_or_insert_with(Instant::now).elapsed() > REFUSAL_PATIENCE {
                    return Err(error.into());
                }
            }
            Err(StatusError::NoAnswer(_) | StatusError::NoScheduler(_)) => refused = None,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// An executor that a scheduler knows. Dropped, it stops listening, and its tasks are given up.
struct Registration {
    scheduler: SchedulerGrpcClient<Channel>,
    alive: HeartBeatParams,
    ended: mpsc::UnboundedReceiver<TaskStatus>,
    /// Tasks that were taken, and whose end the scheduler has not heard of.
    open: Arc<AtomicUsize>,
    stop: Arc<Notify>,
    _server: SpawnedTask<()>,
    _tasks: TaskThreads,
}

impl Registration {
    /// Listens, and registers with the scheduler.
    async fn new(options: &ExecutorOptions, id: &ExecutorId, work_dir: &Path, token: &Token) -> Result<Self> {
        let scheduler = ClusterClient::new(options.scheduler.clone()).with_token(Some(token.clone()));
        let mut scheduler = scheduler.scheduler().await?;
        let listener = listen(options).await?;
        let port = listener.local_addr()?.port();
        let config = ExecutorProcessConfig {
            executor_id: id.to_string(),
            external_host: options.advertise.clone(),
            port,
            grpc_port: port,
            ..ExecutorProcessConfig::default()
        };
        let metadata = structure_executor_metadata(&Arc::new(config), options.slots.get() as u32);
        let alive = HeartBeatParams {
            executor_id: metadata.id.clone(),
            metrics: Vec::new(),
            status: Some(ExecutorStatus { status: Some(State::Active(String::new())) }),
            metadata: Some(metadata.clone()),
        };

        let producer = config_producer(token);
        let base = runtime_producer(work_dir);
        let policy = memory_policy(options);
        let (base_too, policy_too) = (Arc::clone(&base), Arc::clone(&policy));
        let runtimes: RuntimeProducer = Arc::new(move |config| policy_too(base_too(config)?, config, 1));
        let engine = DefaultExecutionEngine::with_client_pool(Arc::new(Connections::default()));
        let engine = Arc::new(NamedEngine::new(id.name.clone(), engine));
        let executor = Executor::new(
            metadata.clone(),
            &work_dir.to_string_lossy(),
            runtimes,
            producer,
            Arc::new(BallistaFunctionRegistry::from(&session_state(base_config())?)),
            Arc::new(LoggingMetricsCollector::default()),
            options.slots.get(),
            Arc::clone(&engine) as _,
        );
        let cache = DefaultSessionRuntimeCache::new(base, policy, CACHED_SESSIONS);
        let executor = executor.with_session_runtime_cache(Some(Arc::new(cache)));

        let tasks = TaskThreads::start(options.slots)?;
        let (ended_sender, ended) = mpsc::unbounded_channel();
        let (open, stop) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let service = ExecutorService {
            executor: Arc::new(executor),
            engine,
            codec: BallistaCodec::new(
                Arc::new(BallistaLogicalExtensionCodec::default()),
                Arc::new(ClusterCodec::default()),
            ),
            tasks: tasks.handle(),
            open: Arc::clone(&open),
            ended: ended_sender,
            stop: Arc::clone(&stop),
        };
        let bytes = MESSAGE_BYTES as usize;
        let flight = BallistaFlightService::new(work_dir.to_string_lossy().into_owned());
        let serving = create_grpc_server(&GrpcServerConfig::default())
            .layer(RequireToken::new(token.clone()))
            .add_service(
                ExecutorGrpcServer::new(service)
                    .max_encoding_message_size(bytes)
                    .max_decoding_message_size(bytes),
            )
            .add_service(
                FlightServiceServer::new(flight)
                    .max_encoding_message_size(bytes)
                    .max_decoding_message_size(bytes),
            )
            // A message in several pieces would wait for the acknowledgement of the first.
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let server = SpawnedTask::spawn(async move {
            if let Err(error) = serving.await {
                log::error!("the executor's port is closed: {error}");
            }
        });

        let failed = |status: tonic::Status| DataFusionError::Execution(status.message().to_owned());
        let registered =
            scheduler.register_executor(RegisterExecutorParams { metadata: Some(metadata) }).await;
        registered.map_err(failed)?;
        // Only then the scheduler's status has it.
        scheduler.heart_beat_from_executor(alive.clone()).await.map_err(failed)?;
        Ok(Self { scheduler, alive, ended, open, stop, _server: server, _tasks: tasks })
    }

    /// Works until the scheduler is gone, or wants the executor to be.
    async fn work(&mut self) {
        let scheduler = self.scheduler.clone();
        tokio::select! {
            () = heartbeats(scheduler.clone(), self.alive.clone()) => log::warn!("the scheduler does not answer any more"),
            () = report(scheduler, &self.alive.executor_id, &mut self.ended, &self.open) => {}
            () = self.stop.notified() => log::info!("the scheduler has given this executor up"),
        }
    }

    /// Takes no more tasks, and finishes those it has.
    async fn drain(&mut self) {
        let mut last = self.alive.clone();
        last.status = Some(ExecutorStatus { status: Some(State::Terminating(String::new())) });
        let stopped = ExecutorStoppedParams {
            executor_id: last.executor_id.clone(),
            reason: "the executor was asked to end".to_owned(),
        };
        // A scheduler that does not hear it notices it later.
        let _ = self.scheduler.heart_beat_from_executor(last.clone()).await;
        let _ = self.scheduler.executor_stopped(stopped).await;
        let drained = async {
            while self.open.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = heartbeats(self.scheduler.clone(), last) => log::warn!("the scheduler does not answer any more"),
            () = report(self.scheduler.clone(), &self.alive.executor_id, &mut self.ended, &self.open) => {}
        }
    }
}

/// Says again and again that the executor is there, until the scheduler does not listen any more.
async fn heartbeats(mut scheduler: SchedulerGrpcClient<Channel>, beat: HeartBeatParams) {
    let mut lost = 0;
    while lost < MOST_LOST_HEARTBEATS {
        tokio::time::sleep(Duration::from_secs(HEARTBEAT_SECONDS)).await;
        match scheduler.heart_beat_from_executor(beat.clone()).await {
            Ok(_) => lost = 0,
            // Another scheduler is there now.
            Err(status) if status.code() == Code::Unauthenticated => return,
            Err(status) => {
                log::warn!("a heartbeat was lost: {}", status.message());
                lost += 1;
            }
        }
    }
}

/// Tells the scheduler how tasks have ended.
async fn report(
    mut scheduler: SchedulerGrpcClient<Channel>,
    executor_id: &str,
    ended: &mut mpsc::UnboundedReceiver<TaskStatus>,
    open: &AtomicUsize,
) {
    while let Some(first) = ended.recv().await {
        let mut task_status = vec![first];
        while let Ok(more) = ended.try_recv() {
            task_status.push(more);
        }
        let tasks = task_status.len();
        let update = UpdateTaskStatusParams { executor_id: executor_id.to_owned(), task_status };
        while let Err(status) = scheduler.update_task_status(update.clone()).await {
            log::warn!("the scheduler does not hear that {tasks} tasks have ended: {}", status.message());
            tokio::time::sleep(PAUSE).await;
        }
        open.fetch_sub(tasks, Ordering::AcqRel);
    }
}

/// The threads on which tasks run. Dropped, tasks are given up.
struct TaskThreads(Option<Runtime>, tokio::runtime::Handle);

impl TaskThreads {
    fn start(slots: NonZeroUsize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(slots.get())
            .thread_name("warpframe-task")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    fn handle(&self) -> tokio::runtime::Handle {
        self.1.clone()
    }
}

impl Drop for TaskThreads {
    fn drop(&mut self) {
        // A runtime cannot wait for its threads inside of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(options: &ExecutorOptions) -> Result<TcpListener> {
    let (bind, port) = (options.bind, options.port.unwrap_or(0));
    match TcpListener::bind((bind, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) if port == 0 => exec_err!("cannot listen at {bind}: it is not an address of this host"),
        Err(_) => exec_err!("cannot listen at {bind}:{port}: it is in use, or not an address of this host"),
    }
}

/// The configuration of tasks: their connections to other executors carry the token.
fn config_producer(token: &Token) -> ConfigProducer {
    let authorize = authorize(token);
    Arc::new(move || base_config().with_ballista_override_create_grpc_client_endpoint(Arc::clone(&authorize)))
}

/// What tasks run in: spilled data in the work folder, and the stores that this host can reach.
fn runtime_producer(work_dir: &Path) -> RuntimeProducer {
    let (work_dir, stores) = (work_dir.to_owned(), Arc::new(Stores::default()));
    Arc::new(move |_| {
        RuntimeEnvBuilder::new()
            .with_temp_file_path(work_dir.clone())
            .with_object_store_registry(Arc::clone(&stores) as _)
            .build_arc()
    })
}

/// A memory pool for each task: of all tasks' memory what its slots are of all slots.
fn memory_policy(options: &ExecutorOptions) -> MemoryPoolPolicy {
    let all = options.memory_limit.unwrap_or_else(|| (machine_memory() as f64 * MEMORY_PART) as usize);
    let for_slot = (all / options.slots).max(1);
    Arc::new(move |base, _, slots| {
        let pool = FairSpillPool::new(for_slot.saturating_mul(slots.max(1) as usize));
        RuntimeEnvBuilder::from_runtime_env(&base).with_memory_pool(Arc::new(pool)).build_arc()
    })
}

/// Bytes of memory that this process can have: the machine's, or its control group's; all there can be if nothing says it.
fn machine_memory() -> u64 {
    let Ok(mut system) = System::new() else { return u64::MAX };
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let of_group = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    system.total_memory().min(of_group)
}

fn name() -> String {
    let host = System::host_name().unwrap_or_else(|_| "host".to_owned()).replace(';', "-");
    let token = ballista_core::ids::new_instance_id();
    let token: String = token.chars().rev().filter(char::is_ascii_alphanumeric).take(6).collect();
    format!("{host}-{}-{token}", std::process::id())
}

fn unusable(folder: &Path, error: &std::io::Error) -> DataFusionError {
    DataFusionError::Execution(format!("cannot use the work folder '{}': {error}", folder.display()))
}
