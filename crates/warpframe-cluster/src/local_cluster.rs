//! A cluster on this machine: a scheduler in this process, and executors in child processes or in this process too.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::process::{Child, Stdio};
use std::time::Duration;

use datafusion::common::{DataFusionError, Result, exec_err};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::address::ClusterAddress;
use super::client::ClusterClient;
use super::executor::run_executor;
use super::executor_options::ExecutorOptions;
use super::launcher::Launcher;
use super::scheduler::{Scheduler, SchedulerOptions};
use super::settings::ClusterSettings;
use super::token::{TOKEN_VARIABLE, Token};
use warpframe_datafusion::memory::MemoryLimit;
use warpframe_io::private_folder;

/// How long to wait until all executors have registered.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A scheduler and executors on the loopback interface. Dropping it stops all processes and removes their files.
#[derive(Debug)]
pub struct LocalCluster {
    scheduler: Scheduler,
    executors: Vec<Child>,
    /// The executor inside this process.
    in_process: Option<JoinHandle<Result<()>>>,
    work_dir: TempDir,
}

impl LocalCluster {
    /// Starts a scheduler on `port`, or a free port if it is 0, and `executors` processes of the `warpframe` command with
    /// `slots` slots each, and waits until all have registered. Without a token a new one is generated.
    ///
    /// # Errors
    /// The port is in use, the command cannot be run, or an executor ends or does not register within 30 seconds.
    pub async fn start(
        launcher: &Launcher,
        port: u16,
        executors: NonZeroUsize,
        slots: NonZeroUsize,
        token: Option<Token>,
    ) -> Result<Self> {
        let mut cluster = Self::without_executors(port, token).await?;
        for _ in 0..executors.get() {
            let process = cluster.spawn(launcher, slots)?;
            cluster.executors.push(process);
        }
        cluster.wait_for(executors.get()).await?;
        Ok(cluster)
    }

    /// Starts a scheduler and one executor with `slots` slots in this process, on the current tokio runtime, with which
    /// they end at the latest.
    ///
    /// # Errors
    /// The executor does not register within 30 seconds.
    pub async fn start_in_process(slots: NonZeroUsize) -> Result<Self> {
        let mut cluster = Self::without_executors(0, None).await?;
        let options = ExecutorOptions {
            scheduler: cluster.address().clone(),
            token: Some(cluster.scheduler.token().clone()),
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

    async fn without_executors(port: u16, token: Option<Token>) -> Result<Self> {
        let bind = (IpAddr::from(Ipv4Addr::LOCALHOST), port).into();
        let token = match token {
            Some(token) => token,
            None => Token::random()?,
        };
        let scheduler =
            Scheduler::start(SchedulerOptions { bind, advertise: None, token: Some(token) }).await?;
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
                    return Ok(());
                }
                for process in &mut self.executors {
                    if let Some(status) = process.try_wait()? {
                        return exec_err!("an executor did not start: {status}{}", last_stderr_line(process));
                    }
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
            ..ClusterSettings::new(self.address().clone())
        }
    }

    /// The process identifiers of the executors.
    pub fn processes(&self) -> Vec<u32> {
        self.executors.iter().map(Child::id).collect()
    }

    fn spawn(&self, launcher: &Launcher, slots: NonZeroUsize) -> Result<Child> {
        launcher
            .command()
            .args(["cluster", "executor", "--scheduler", &self.address().to_string()])
            .args(["--slots", &slots.to_string(), "--while-stdin"])
            .arg("--work-dir")
            .arg(self.work_dir.path())
            // Other users can see arguments, but not the environment.
            .env(TOKEN_VARIABLE, self.scheduler.token().secret())
            // Nothing reads the pipe of stderr while they run, so a log would fill it.
            .env_remove("WARPFRAME_LOG")
            // With --while-stdin, the executor ends when this process does, even if it is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                DataFusionError::Execution(format!(
                    "cannot start '{}': {error}",
                    launcher.program().display()
                ))
            })
    }
}

/// The last line of an ended process on stderr, after a comma, or an empty text.
fn last_stderr_line(process: &mut Child) -> String {
    let last =
        process.stderr.take().and_then(|stderr| BufReader::new(stderr).lines().map_while(Result::ok).last());
    last.map(|line| format!(", {line}")).unwrap_or_default()
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        if let Some(in_process) = &self.in_process {
            in_process.abort();
        }
        for process in &mut self.executors {
            // Their work folders are removed with the cluster.
            let _ = process.kill();
        }
        for process in &mut self.executors {
            let _ = process.wait();
        }
    }
}
