//! A cluster on this machine: a scheduler in this process, and executors in child processes or in this process too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{Result, exec_err};
use tokio::task::JoinHandle;
use warpframe_io::OwnedFolder;

use super::address::ClusterAddress;
use super::client::ClusterClient;
use super::cluster_state::MonitoredClusterState;
use super::executor::run_executor;
use super::executor_child::{ExecutorChild, ExecutorEvents};
use super::executor_options::ExecutorOptions;
use super::launcher::Launcher;
use super::leases::DEFAULT_LEASE;
use super::scheduler::{Scheduler, SchedulerOptions};
use super::settings::ClusterSettings;
use super::tls::{TLS_CA_VARIABLE, TLS_CERT_VARIABLE, TLS_KEY_VARIABLE};
use super::token::{TOKEN_VARIABLE, Token};
use warpframe_datafusion::memory::MemoryLimit;
use warpframe_io::private_folder;

/// How long to wait until all executors have registered.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A callback with a message about an executor that has ended and is started again.
pub type RestartNotice = Arc<dyn Fn(&str) + Send + Sync>;

/// The options of a local cluster.
#[derive(Clone)]
pub struct LocalClusterOptions {
    /// The port of the scheduler; 0, the default, takes a free one.
    pub port: u16,
    /// The number of executor processes.
    pub executors: NonZeroUsize,
    /// The number of tasks that run concurrently in each executor.
    pub slots: NonZeroUsize,
    /// The cluster's token; by default a new one.
    pub token: Option<Token>,
    /// The memory limit of all executors together, of which each has an equal share.
    pub memory_limit: MemoryLimit,
    /// The time after which a client that has not renewed the lease of its query counts as lost.
    pub lease: Duration,
    /// The callback for executors that have ended and are started again. The messages are logged too.
    pub on_restart: Option<RestartNotice>,
}

impl LocalClusterOptions {
    /// The default options of a cluster with this number of executors and slots.
    pub fn new(executors: NonZeroUsize, slots: NonZeroUsize) -> Self {
        Self {
            port: 0,
            executors,
            slots,
            token: None,
            memory_limit: MemoryLimit::Default,
            lease: DEFAULT_LEASE,
            on_restart: None,
        }
    }

    /// The memory limit of each executor.
    fn memory_share(&self) -> MemoryLimit {
        match self.memory_limit.bytes() {
            Some(bytes) => MemoryLimit::Bytes((bytes / self.executors).max(1)),
            None => MemoryLimit::Unlimited,
        }
    }
}

impl fmt::Debug for LocalClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalClusterOptions")
            .field("port", &self.port)
            .field("executors", &self.executors)
            .field("slots", &self.slots)
            .field("memory_limit", &self.memory_limit)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// A scheduler and executors on the loopback interface. An executor process that ends is started again, after a delay that
/// doubles from half a second to 30 seconds while processes keep ending. Dropping the value stops all processes and removes their
/// files.
pub struct LocalCluster {
    scheduler: Scheduler,
    executors: Vec<ExecutorChild>,
    /// The executor inside this process.
    in_process: Option<JoinHandle<Result<()>>>,
    work_dir: OwnedFolder,
}

impl fmt::Debug for LocalCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCluster").field("scheduler", &self.scheduler).finish_non_exhaustive()
    }
}

impl LocalCluster {
    /// Starts a scheduler and executor processes of the `warpframe` command, and waits until all have registered.
    ///
    /// # Errors
    /// The port is in use, the command cannot be run, or an executor ends or does not register within 30 seconds.
    pub async fn start(launcher: &Launcher, options: LocalClusterOptions) -> Result<Self> {
        let mut cluster = Self::without_executors(options.port, options.token.clone(), options.lease).await?;
        let events = Arc::new(Events {
            cluster_state: Arc::clone(cluster.scheduler.cluster_state()),
            work_dir: cluster.work_dir.path().to_owned(),
            on_restart: options.on_restart.clone(),
        });
        for _ in 0..options.executors.get() {
            let command = cluster.executor_command(launcher, &options);
            let events = Arc::clone(&events) as Arc<dyn ExecutorEvents>;
            cluster.executors.push(ExecutorChild::start(command, events)?);
        }
        cluster.wait_for(options.executors.get()).await?;
        Ok(cluster)
    }

    /// Starts a scheduler and one executor with `slots` slots in this process, on the current tokio runtime, with which
    /// they end at the latest.
    ///
    /// # Errors
    /// The executor does not register within 30 seconds.
    pub async fn start_in_process(slots: NonZeroUsize) -> Result<Self> {
        let mut cluster = Self::without_executors(0, None, DEFAULT_LEASE).await?;
        let options = ExecutorOptions {
            scheduler: cluster.address().clone(),
            token: Some(cluster.scheduler.token().clone()),
            tls: None,
            bind: Ipv4Addr::LOCALHOST.into(),
            advertise: None,
            port: None,
            slots,
            work_dir: Some(cluster.work_dir.path().to_owned()),
            memory_limit: MemoryLimit::Default,
        };
        cluster.in_process = Some(tokio::spawn(run_executor(options, std::future::pending(), |_| ())));
        cluster.wait_for(1).await?;
        Ok(cluster)
    }

    async fn without_executors(port: u16, token: Option<Token>, lease: Duration) -> Result<Self> {
        let bind = (IpAddr::from(Ipv4Addr::LOCALHOST), port).into();
        let token = match token {
            Some(token) => token,
            None => Token::random()?,
        };
        let options = SchedulerOptions { token: Some(token), lease, ..SchedulerOptions::new(bind) };
        let scheduler = Scheduler::start(options).await?;
        let work_dir = private_folder("warpframe-cluster-")?;
        Ok(Self { scheduler, executors: Vec::new(), in_process: None, work_dir })
    }

    /// Waits until this number of executors has registered.
    async fn wait_for(&mut self, executors: usize) -> Result<()> {
        let token = self.scheduler.token().clone();
        let client = ClusterClient::new(self.address().clone()).with_token(Some(token));
        let ready = async {
            loop {
                if client.status().await?.executors.len() == executors {
                    self.executors.iter().for_each(ExecutorChild::registered);
                    return Ok(());
                }
                if let Some(failure) = self.executors.iter().find_map(ExecutorChild::start_failure) {
                    return exec_err!("an executor did not start: {failure}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(START_TIMEOUT, ready).await {
            Ok(ready) => ready,
            Err(_) => exec_err!("the executors did not start within {} seconds", START_TIMEOUT.as_secs()),
        }
    }

    /// The scheduler's address.
    pub fn address(&self) -> &ClusterAddress {
        self.scheduler.address()
    }

    /// The settings of sessions that use this cluster.
    pub fn settings(&self) -> ClusterSettings {
        ClusterSettings {
            token: Some(self.scheduler.token().clone()),
            local_work_dir: Some(self.work_dir.path().to_owned()),
            staging_dir: Some(self.work_dir.path().to_owned()),
            ..ClusterSettings::new(self.address().clone())
        }
    }

    /// The current process identifiers of the executors. They change when executors are started again.
    pub fn processes(&self) -> Vec<u32> {
        self.executors.iter().map(ExecutorChild::id).collect()
    }

    /// The command that starts an executor.
    fn executor_command(
        &self,
        launcher: &Launcher,
        options: &LocalClusterOptions,
    ) -> impl Fn() -> Command + Send + 'static {
        let (launcher, token) = (launcher.clone(), self.scheduler.token().clone());
        let (address, work_dir) = (self.address().to_string(), self.work_dir.path().to_owned());
        let (slots, memory_limit) = (options.slots.to_string(), options.memory_share().to_string());
        move || {
            let mut command = launcher.command();
            command
                .args(["cluster", "executor", "--scheduler", &address, "--slots", &slots])
                .args(["--memory-limit", &memory_limit, "--while-stdin"])
                .arg("--work-dir")
                .arg(&work_dir)
                // Other users can see arguments, but not the environment.
                .env(TOKEN_VARIABLE, token.secret())
                // Connections inside this machine are not encrypted.
                .env_remove(TLS_CERT_VARIABLE)
                .env_remove(TLS_KEY_VARIABLE)
                .env_remove(TLS_CA_VARIABLE)
                // With --while-stdin, the executor ends when this process does, even if it is killed.
                .stdin(Stdio::piped());
            command
        }
    }
}

/// Removes the files of executors that have ended, and tells the scheduler and the user of them.
struct Events {
    cluster_state: Arc<MonitoredClusterState>,
    /// The parent of the executors' work folders.
    work_dir: PathBuf,
    on_restart: Option<RestartNotice>,
}

impl ExecutorEvents for Events {
    fn ended(&self, name_prefix: &str, message: &str) {
        self.cluster_state.executor_ended(name_prefix);
        if let Err(error) = remove_work_folder(&self.work_dir, name_prefix) {
            log::warn!("the files of an executor that has ended are left: {error}");
        }
        log::warn!("{message}");
        if let Some(on_restart) = &self.on_restart {
            on_restart(message);
        }
    }
}

/// Removes the work folder of the executor whose name starts with `name_prefix`. The names of its registrations are those of the
/// folders inside.
fn remove_work_folder(parent: &Path, name_prefix: &str) -> std::io::Result<()> {
    for folder in std::fs::read_dir(parent)? {
        let folder = folder?.path();
        let entries = folder.read_dir().into_iter().flatten().flatten();
        if entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with(name_prefix))
        {
            std::fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        if let Some(in_process) = &self.in_process {
            in_process.abort();
        }
        // All at once; their work folders are removed with the cluster.
        self.executors.iter().for_each(ExecutorChild::kill);
        self.executors.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executors_share_the_memory() {
        let (four, two) = (NonZeroUsize::MIN.saturating_add(3), NonZeroUsize::MIN.saturating_add(1));
        let mut options = LocalClusterOptions::new(four, two);
        let whole = MemoryLimit::Default.bytes();
        assert_eq!(options.memory_share().bytes(), whole.map(|bytes| bytes / 4));
        options.memory_limit = MemoryLimit::Bytes(1 << 30);
        assert_eq!(options.memory_share(), MemoryLimit::Bytes(1 << 28));
        options.memory_limit = MemoryLimit::Bytes(1);
        assert_eq!(options.memory_share(), MemoryLimit::Bytes(1));
        options.memory_limit = MemoryLimit::Unlimited;
        assert_eq!(options.memory_share(), MemoryLimit::Unlimited);
    }
}
