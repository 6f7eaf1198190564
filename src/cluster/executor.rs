//! The executor: Ballista's, with warpframe's codec and settings. It stays when its scheduler goes, and comes
//! back to the next one at the same address.

use std::net::{IpAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ballista_core::RuntimeProducer;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::execution_engine::DefaultExecutionEngine;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::executor_server::TERMINATING;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;

use super::client::{ClusterAddress, ClusterClient};
use super::connections::Connections;
use super::engine::NamedEngine;
use super::scheduler::session_state;
use super::status::ExecutorId;
use super::{ClusterCodec, HEARTBEAT_SECONDS, MESSAGE_BYTES, VERSION, base_config};
use crate::private_folder::private_folder_in;
use crate::stores::Stores;

/// How an executor is started.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// The scheduler it works for.
    pub scheduler: ClusterAddress,
    /// The address it listens at.
    pub bind: IpAddr,
    /// The name or number by which others reach this host; the one from which it connects by default.
    pub advertise: Option<String>,
    /// The ports for data and for control; free ones by default.
    pub ports: Option<[u16; 2]>,
    /// How many tasks it runs at a time.
    pub slots: NonZeroUsize,
    /// Where intermediate results lie; a temporary folder by default.
    pub work_dir: Option<PathBuf>,
    /// Bytes that the operators of all its tasks may hold together; 70 % of the machine's by default.
    pub memory_limit: Option<usize>,
}

/// Runs an executor until the process is asked to end (SIGTERM, Ctrl-C); it then finishes its tasks. `started`
/// is called once it has registered for the first time.
///
/// # Errors
/// The scheduler has another version, the ports cannot be listened at, or the work folder cannot be used. That
/// no scheduler answers is not an error: the executor waits for it.
pub async fn run_executor(options: ExecutorOptions, started: impl FnOnce(&str)) -> Result<()> {
    for port in options.ports.into_iter().flatten() {
        if TcpListener::bind((options.bind, port)).is_err() {
            return exec_err!(
                "cannot listen at {}:{port}: it is in use, or not an address of this host",
                options.bind
            );
        }
    }
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
    let mut ended = std::pin::pin!(stop_asked());
    loop {
        let id = ExecutorId { name: name(), version: VERSION.to_owned(), backend: backend.clone() };
        tokio::select! {
            biased;
            () = &mut ended => return Ok(()),
            found = wait_for_scheduler(&options.scheduler) => found?,
        }
        let own = work_dir.path().join(&id.name);
        std::fs::create_dir(&own).map_err(|error| unusable(&own, &error))?;
        let config = Arc::new(config(&options, &id, &own)?);
        let mut running = std::pin::pin!(start_executor_process(config));
        // Registration is quick or fails.
        let failed = tokio::select! {
            result = &mut running => Some(result),
            () = registered(&options.scheduler, &id.name) => None,
        };
        let result = match failed {
            Some(result) => result,
            None => {
                if let Some(started) = started.take() {
                    started(&id.name);
                }
                tokio::select! {
                    result = &mut running => result,
                    () = &mut ended => {
                        // Ballista has heard the signal too, and lets the tasks end.
                        let _ = running.await;
                        return Ok(());
                    }
                }
            }
        };
        // The scheduler is gone, or has given us up. A flag of Ballista's outlives the attempt.
        TERMINATING.store(false, Ordering::Release);
        if let Err(error) = &result {
            log::warn!("the executor has stopped: {error}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Ends when the process is asked to.
async fn stop_asked() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok());
        if let [Some(mut interrupt), Some(mut terminate)] = signals {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Waits until a scheduler of this version answers.
async fn wait_for_scheduler(address: &ClusterAddress) -> Result<()> {
    let client = ClusterClient::new(address.clone())?;
    loop {
        match client.status().await {
            Ok(status) if status.version == VERSION => return Ok(()),
            Ok(status) => {
                return exec_err!(
                    "the scheduler at {address} is warpframe {} and this is warpframe {VERSION}: use one version on all hosts",
                    status.version
                );
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn registered(address: &ClusterAddress, name: &str) {
    let Ok(client) = ClusterClient::new(address.clone()) else { return };
    loop {
        if let Ok(status) = client.status().await
            && status.executors.iter().any(|executor| executor.name == name)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn config(options: &ExecutorOptions, id: &ExecutorId, work_dir: &Path) -> Result<ExecutorProcessConfig> {
    let [data, control] = match options.ports {
        Some(ports) => ports,
        None => free_ports(options.bind)?,
    };
    let functions = BallistaFunctionRegistry::from(&session_state(base_config())?);
    let engine = DefaultExecutionEngine::with_client_pool(Arc::new(Connections::default()));
    Ok(ExecutorProcessConfig {
        executor_id: id.to_string(),
        bind_host: options.bind.to_string(),
        external_host: options.advertise.clone(),
        port: data,
        grpc_port: control,
        scheduler_host: options.scheduler.host().to_owned(),
        scheduler_port: options.scheduler.port(),
        vcores: options.slots.get(),
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(work_dir.to_string_lossy().into_owned()),
        executor_heartbeat_interval_seconds: HEARTBEAT_SECONDS,
        grpc_max_decoding_message_size: MESSAGE_BYTES,
        grpc_max_encoding_message_size: MESSAGE_BYTES,
        memory_pool_size: options.memory_limit.map(|bytes| bytes as u64),
        override_execution_engine: Some(Arc::new(NamedEngine::new(id.name.clone(), engine))),
        override_runtime_producer: Some(runtime_producer(work_dir)),
        override_function_registry: Some(Arc::new(functions)),
        override_config_producer: Some(Arc::new(base_config)),
        override_physical_codec: Some(Arc::new(ClusterCodec::default())),
        ..ExecutorProcessConfig::default()
    })
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

/// Two ports that nobody listens at.
fn free_ports(bind: IpAddr) -> Result<[u16; 2]> {
    let listeners = [TcpListener::bind((bind, 0)), TcpListener::bind((bind, 0))];
    let [Ok(one), Ok(other)] = listeners else {
        return exec_err!("cannot listen at {bind}: it is not an address of this host");
    };
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

fn name() -> String {
    let host = sysinfo::System::host_name().unwrap_or_else(|_| "host".to_owned()).replace(';', "-");
    let token = ballista_core::ids::new_instance_id();
    let token: String = token.chars().rev().filter(char::is_ascii_alphanumeric).take(6).collect();
    format!("{host}-{}-{token}", std::process::id())
}

fn unusable(folder: &Path, error: &std::io::Error) -> DataFusionError {
    DataFusionError::Execution(format!("cannot use the work folder '{}': {error}", folder.display()))
}
