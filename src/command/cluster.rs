//! `warpframe cluster`: starts the processes of a cluster, and shows its state.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use super::error::CliError;
use super::runtime::{all_cores, run_to_end, runtime};
use super::signals::{interrupt_and_drain, received};
use super::values;
use crate::counts::count;
use crate::terminal_text::escape_controls;
use warpframe_cluster::{
    ClusterAddress, ClusterClient, ClusterSettings, ClusterStatus, DEFAULT_LEASE, DEFAULT_PORT, DEFAULT_WAIT,
    ExecutorOptions, JobProgress, Launcher, LocalCluster, LocalClusterOptions, Scheduler, SchedulerOptions,
    Tls, Token, run_executor,
};
use warpframe_datafusion::memory::MemoryLimit;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scheduler and executors on this machine until Ctrl-C
    Local(Local),
    /// Run a scheduler until Ctrl-C
    Scheduler(SchedulerArguments),
    /// Run an executor until Ctrl-C, SIGTERM or SIGHUP; running tasks are finished first, unless a second signal arrives
    Executor(ExecutorArguments),
    /// Show the executors and jobs of a cluster
    Status {
        /// The scheduler, as HOST:PORT; that of `cluster local` on this machine by default
        #[arg(value_name = "HOST:PORT", default_value_t = local_scheduler(), value_parser = values::named::<ClusterAddress>)]
        address: ClusterAddress,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        token: TokenArguments,
        #[command(flatten)]
        tls: TlsArguments,
    },
}

#[derive(Debug, Args)]
pub struct Local {
    /// The number of executor processes
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::count)]
    executors: NonZeroUsize,
    /// The number of concurrent tasks of each executor; by default the cores are divided among the executors
    #[arg(long, value_name = "N", value_parser = values::count)]
    slots: Option<NonZeroUsize>,
    /// The port of the scheduler; 0 selects a free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The memory limit of the operators of all executors together, such as 4GiB or 50%, or none, of which each has an equal
    /// share; 75 % of the memory by default
    #[arg(long, value_name = "LIMIT", value_parser = values::named::<MemoryLimit>)]
    memory_limit: Option<MemoryLimit>,
    #[command(flatten)]
    lease: LeaseArguments,
    #[command(flatten)]
    token: TokenArguments,
}

/// The option of commands that start a scheduler.
#[derive(Debug, Args)]
pub struct LeaseArguments {
    /// The time after which a client that does not answer counts as lost: its query is cancelled, and its results are removed
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_LEASE.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    lease: u64,
}

impl LeaseArguments {
    fn length(&self) -> Duration {
        Duration::from_secs(self.lease)
    }
}

/// The option of commands that need the token of a cluster.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// A file with the token of the cluster. A scheduler creates it if it does not exist. WARPFRAME_CLUSTER_TOKEN can hold
    /// the token instead. The user who started the scheduler needs neither on the host of the scheduler
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArguments {
    /// The token in the file, or `None` without a file.
    fn named(&self) -> Result<Option<Token>, CliError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let token = Token::from_file(file)?;
        warn_if_readable(file);
        Ok(Some(token))
    }

    /// The token for a new cluster from the file, which is created if it does not exist, or from the environment; `None`
    /// without either.
    fn of_new_cluster(&self) -> Result<Option<Token>, CliError> {
        let Some(file) = &self.token_file else { return Ok(Token::from_environment()?) };
        let token = Token::from_file_or_new(file)?;
        warn_if_readable(file);
        Ok(Some(token))
    }
}

fn warn_if_readable(file: &Path) {
    #[cfg(unix)]
    if std::fs::metadata(file)
        .is_ok_and(|metadata| std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0)
    {
        eprintln!("warning: others can read the token in '{0}': chmod 600 '{0}'", file.display());
    }
}

/// The options of processes of a cluster whose connections are encrypted. Each can be in an environment variable instead.
#[derive(Debug, Args)]
pub struct TlsArguments {
    /// The certificate of this process, a PEM file: connections are then encrypted, and both sides show a certificate.
    /// WARPFRAME_TLS_CERT can hold the path instead, WARPFRAME_TLS_KEY and WARPFRAME_TLS_CA those of the other two files
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The certificate of the authority that has signed the certificates of all processes, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl TlsArguments {
    /// The certificates in the files, or `None` if none are named.
    fn named(&self) -> Result<Option<Tls>, CliError> {
        let Self { tls_cert, tls_key, tls_ca } = self;
        Ok(Tls::find(tls_cert.as_deref(), tls_key.as_deref(), tls_ca.as_deref())?)
    }
}

#[derive(Debug, Args)]
pub struct SchedulerArguments {
    /// The address and port to listen on
    #[arg(long, value_name = "HOST:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))]
    bind: SocketAddr,
    /// The host name or IP address under which executors reach this host, if not that of --bind
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    #[command(flatten)]
    lease: LeaseArguments,
    #[command(flatten)]
    token: TokenArguments,
    #[command(flatten)]
    tls: TlsArguments,
    /// Listen at an address other than a loopback address without TLS
    #[arg(long)]
    insecure: bool,
}

#[derive(Debug, Args)]
pub struct ExecutorArguments {
    /// The scheduler, as HOST:PORT or df://HOST:PORT
    #[arg(long, value_name = "HOST:PORT", value_parser = values::named::<ClusterAddress>)]
    scheduler: ClusterAddress,
    /// The number of concurrent tasks; all cores by default
    #[arg(long, value_name = "N", value_parser = values::count)]
    slots: Option<NonZeroUsize>,
    /// The folder for intermediate results; a temporary folder by default
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// The memory limit of the operators of all tasks together: a size such as 4GiB, a percentage of the memory such as 50%,
    /// or none; 75% by default
    #[arg(long, value_name = "LIMIT", value_parser = values::named::<MemoryLimit>)]
    memory_limit: Option<MemoryLimit>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::from(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// The host name or IP address under which others reach this host, if not the one it connects from
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// The port to listen on; a free one by default
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    token: TokenArguments,
    #[command(flatten)]
    tls: TlsArguments,
    /// Listen at an address other than a loopback address without TLS
    #[arg(long)]
    insecure: bool,
    /// Exit when stdin is closed
    #[arg(long, hide = true)]
    while_stdin: bool,
}

/// Runs a subcommand. `launcher` starts the executors of a local cluster.
pub fn run(command: Command, launcher: Option<Launcher>) -> Result<(), CliError> {
    match command {
        Command::Local(arguments) => run_to_end(local(arguments, launcher)),
        Command::Scheduler(arguments) => run_to_end(scheduler(arguments)),
        Command::Executor(arguments) => executor(arguments),
        Command::Status { address, json, token, tls } => {
            let client = ClusterClient::new(address).with_token(token.named()?).with_tls(tls.named()?);
            let status = run_to_end(async { Ok(client.status().await?) })?;
            show(&status, json)
        }
    }
}

async fn local(arguments: Local, launcher: Option<Launcher>) -> Result<(), CliError> {
    let share = NonZeroUsize::new(all_cores().get() / arguments.executors).unwrap_or(NonZeroUsize::MIN);
    let slots = arguments.slots.unwrap_or(share);
    let launcher = launcher.ok_or_else(|| {
        CliError::failure(
            "executors cannot be started from here, because the path of this program is unknown",
        )
    })?;
    let options = LocalClusterOptions {
        port: arguments.port,
        token: arguments.token.of_new_cluster()?,
        memory_limit: arguments.memory_limit.unwrap_or_default(),
        lease: arguments.lease.length(),
        on_restart: Some(Arc::new(|message| eprintln!("warning: {message}"))),
        ..LocalClusterOptions::new(arguments.executors, slots)
    };
    let cluster = LocalCluster::start(&launcher, options).await?;
    println!("{}", cluster.address());
    let executors = count(arguments.executors.get() as u64, "executor");
    eprintln!("{executors} with {} each; Ctrl-C stops them", count(slots.get() as u64, "slot"));
    std::future::pending().await
}

async fn scheduler(arguments: SchedulerArguments) -> Result<(), CliError> {
    let SchedulerArguments { bind, advertise, lease, token, tls, insecure } = arguments;
    let tls = tls.named()?;
    check_bind(bind.ip(), tls.is_some(), insecure)?;
    let (token, lease) = (token.of_new_cluster()?, lease.length());
    let scheduler = Scheduler::start(SchedulerOptions { bind, advertise, token, tls, lease }).await?;
    println!("{}", scheduler.address());
    std::future::pending().await
}

fn executor(arguments: ExecutorArguments) -> Result<(), CliError> {
    let tls = arguments.tls.named()?;
    check_bind(arguments.bind, tls.is_some(), arguments.insecure)?;
    let options = ExecutorOptions {
        scheduler: arguments.scheduler,
        token: arguments.token.named()?,
        tls,
        bind: arguments.bind,
        advertise: arguments.advertise,
        port: arguments.port,
        slots: arguments.slots.unwrap_or_else(all_cores),
        work_dir: arguments.work_dir,
        memory_limit: arguments.memory_limit.unwrap_or_default(),
    };
    let runtime = runtime()?;
    let while_stdin = arguments.while_stdin;
    let ended = runtime.block_on(async {
        let ready = |name: &str| eprintln!("executor {name} is ready");
        let signal = interrupt_and_drain();
        let stop = async {
            signal.await;
        };
        tokio::select! {
            ended = run_executor(options, stop, ready) => ended,
            () = stdin_ends(), if while_stdin => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended?;
    match received().last {
        Some(signal) => Err(CliError::Interrupted(signal)),
        None => Ok(()),
    }
}

/// Completes when stdin is closed, which also happens when the parent process exits.
async fn stdin_ends() {
    let (closed, ended) = tokio::sync::oneshot::channel();
    // A plain thread, because the runtime would wait for a blocking task at the end.
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        let _ = closed.send(());
    });
    let _ = ended.await;
}

/// Checks that connections from other hosts are encrypted, or that the user wants them not to be.
fn check_bind(bind: IpAddr, encrypted: bool, insecure: bool) -> Result<(), CliError> {
    if bind.is_loopback() || encrypted {
        return Ok(());
    }
    if !insecure {
        return Err(CliError::usage(format!(
            "connections through {bind} would not be encrypted: name certificates with --tls-cert, --tls-key and --tls-ca, or allow that with --insecure"
        )));
    }
    eprintln!(
        "warning: connections through {bind} are not encrypted, and carry the cluster's token, with which anyone can run \
         queries and read files here: use it in a trusted network only"
    );
    Ok(())
}

/// The scheduler that `cluster local` starts unless another port is named.
fn local_scheduler() -> ClusterAddress {
    ClusterAddress::new(Ipv4Addr::LOCALHOST.to_string(), DEFAULT_PORT)
}

fn show(status: &ClusterStatus, json: bool) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    if json {
        let text = serde_json::to_string_pretty(status).map_err(CliError::failure)?;
        writeln!(out, "{text}")?;
        return Ok(());
    }
    writeln!(out, "warpframe {}, {}", status.version, count(status.slots() as u64, "slot"))?;
    for executor in &status.executors {
        writeln!(
            out,
            "executor {:<32} {:<22} {:>3} slots  {:<12} seen {} s ago",
            escape_controls(&executor.name),
            escape_controls(&executor.address),
            executor.slots,
            escape_controls(&executor.backend),
            executor.seen_seconds_ago
        )?;
    }
    if status.executors.is_empty() {
        writeln!(out, "no executors")?;
    }
    for job in &status.jobs {
        let JobProgress { done, total } = job.progress;
        write!(out, "job {:<37} {:<8} {done} of {total} tasks", job.id, job.state)?;
        match &job.error {
            Some(error) => {
                writeln!(out, ": {}", escape_controls(error.lines().next().unwrap_or_default()))?;
            }
            None => writeln!(out)?,
        }
    }
    Ok(())
}

/// The options of commands that can run queries on a cluster.
#[derive(Debug, Args)]
pub struct ClusterArguments {
    /// Run on the cluster of this scheduler, as HOST:PORT or df://HOST:PORT
    #[arg(long, value_name = "HOST:PORT", value_parser = values::named::<ClusterAddress>)]
    cluster: Option<ClusterAddress>,
    /// The time to wait for the first executor
    #[arg(long, value_name = "SECONDS", requires = "cluster")]
    cluster_wait: Option<u64>,
    #[command(flatten)]
    token: TokenArguments,
    #[command(flatten)]
    tls: TlsArguments,
}

impl ClusterArguments {
    /// Whether `--cluster` was given.
    pub fn is_named(&self) -> bool {
        self.cluster.is_some()
    }

    /// The [`settings`](Self::settings) for a session.
    ///
    /// # Errors
    /// As those, or `--memory-limit` was given too.
    pub fn session_settings(&self, has_memory_limit: bool) -> Result<Option<ClusterSettings>, CliError> {
        if self.is_named() && has_memory_limit {
            return Err(CliError::usage(
                "--memory-limit has no effect with --cluster: the limits of the executors count, which \
                 `warpframe cluster executor --memory-limit LIMIT` sets",
            ));
        }
        self.settings()
    }

    /// The settings of the cluster, with a progress bar on stderr; `None` without `--cluster`.
    ///
    /// # Errors
    /// The token file has no token, or a certificate or key cannot be used.
    pub fn settings(&self) -> Result<Option<ClusterSettings>, CliError> {
        let Some(address) = self.cluster.clone() else { return Ok(None) };
        let mut settings = ClusterSettings::new(address);
        settings.token = self.token.named()?;
        settings.tls = self.tls.named()?;
        settings.wait = self.cluster_wait.map_or(DEFAULT_WAIT, Duration::from_secs);
        let bar = Mutex::new(None);
        settings.progress = Some(Arc::new(move |progress| show_progress(&mut bar.lock(), progress)));
        Ok(Some(settings))
    }
}

fn show_progress(shown: &mut Option<ProgressBar>, progress: Option<JobProgress>) {
    let Some(JobProgress { done, total }) = progress else {
        if let Some(bar) = shown.take() {
            bar.finish_and_clear();
        }
        return;
    };
    let bar = shown.get_or_insert_with(|| {
        let bar = ProgressBar::new(0);
        match ProgressStyle::with_template("{bar:32} {percent:>3}%  {pos} of {len} tasks  {elapsed}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    });
    bar.set_length(total as u64);
    bar.set_position(done as u64);
}
