//! `warpframe cluster`: the processes of a cluster, and what it says of itself.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use warpframe::cluster::{
    ClusterAddress, ClusterClient, ClusterSettings, ClusterStatus, DEFAULT_PORT, DEFAULT_WAIT,
    ExecutorOptions, JobProgress, LocalCluster, Scheduler, SchedulerOptions, Token, run_executor,
};

use super::error::CliError;
use super::runtime::{all_cores, runtime};
use super::signals::{interrupt, interruptible};
use super::values;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a scheduler and executors on this machine, until Ctrl-C
    Local(Local),
    /// Start a scheduler, until Ctrl-C
    Scheduler(SchedulerArguments),
    /// Start an executor; it finishes its tasks when it is asked to end
    Executor(ExecutorArguments),
    /// Show the executors and jobs of a cluster
    Status {
        /// The scheduler, as df://HOST:PORT
        #[arg(value_name = "URL", value_parser = values::named::<ClusterAddress>)]
        address: ClusterAddress,
        /// Write it as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        token: TokenArguments,
    },
}

#[derive(Debug, Args)]
pub struct Local {
    /// How many executor processes
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::count)]
    executors: NonZeroUsize,
    /// How many tasks each runs at a time; the machine's cores shared among them by default
    #[arg(long, value_name = "N", value_parser = values::count)]
    slots: Option<NonZeroUsize>,
    /// The scheduler's port; 0 takes a free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    #[command(flatten)]
    token: TokenArguments,
}

/// The option of commands that need a cluster's token.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// A file with the cluster's token. A scheduler makes it if there is none; the user who started a scheduler needs no
    /// file on its host, and WARPFRAME_CLUSTER_TOKEN can hold the token instead
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArguments {
    /// The token that is named, if one is.
    fn named(&self) -> Result<Option<Token>, CliError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let token = Token::from_file(file)?;
        warn_if_readable(file);
        Ok(Some(token))
    }

    /// The token of a new cluster, if one is named.
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

#[derive(Debug, Args)]
pub struct SchedulerArguments {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))]
    bind: SocketAddr,
    /// The name or number by which executors reach this host, if it is not the one in --bind
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    #[command(flatten)]
    token: TokenArguments,
}

#[derive(Debug, Args)]
pub struct ExecutorArguments {
    /// The scheduler to work for, as df://HOST:PORT or HOST:PORT
    #[arg(long, value_name = "HOST:PORT", value_parser = scheduler_address)]
    scheduler: ClusterAddress,
    /// How many tasks run at a time; all cores by default
    #[arg(long, value_name = "N", value_parser = values::count)]
    slots: Option<NonZeroUsize>,
    /// Where intermediate results lie; a temporary folder by default
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// The memory that the operators of all tasks may hold together, such as 4GiB; 70 % of the machine's by default
    #[arg(long, value_name = "BYTES", value_parser = values::bytes)]
    memory_limit: Option<usize>,
    /// The address to listen at
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::from(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// The name or number by which others reach this host, if it is not the one it connects from
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// The port to listen at; a free one by default
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    token: TokenArguments,
    /// End when stdin ends
    #[arg(long, hide = true)]
    while_stdin: bool,
}

pub fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Local(arguments) => runtime()?.block_on(interruptible(local(arguments))),
        Command::Scheduler(arguments) => runtime()?.block_on(interruptible(scheduler(arguments))),
        Command::Executor(arguments) => executor(arguments),
        Command::Status { address, json, token } => {
            let client = ClusterClient::new(address).with_token(token.named()?);
            let status = runtime()?.block_on(client.status())?;
            show(&status, json)
        }
    }
}

async fn local(arguments: Local) -> Result<(), CliError> {
    let share = NonZeroUsize::new(all_cores().get() / arguments.executors).unwrap_or(NonZeroUsize::MIN);
    let slots = arguments.slots.unwrap_or(share);
    let binary = std::env::current_exe().map_err(CliError::failure)?;
    let token = arguments.token.of_new_cluster()?;
    let cluster = LocalCluster::start(&binary, arguments.port, arguments.executors, slots, token).await?;
    println!("{}", cluster.address());
    eprintln!("{} executors with {slots} slots each; Ctrl-C stops them", arguments.executors);
    std::future::pending().await
}

async fn scheduler(arguments: SchedulerArguments) -> Result<(), CliError> {
    warn_if_open(arguments.bind.ip());
    let SchedulerArguments { bind, advertise, token } = arguments;
    let token = token.of_new_cluster()?;
    let scheduler = Scheduler::start(SchedulerOptions { bind, advertise, token }).await?;
    println!("{}", scheduler.address());
    std::future::pending().await
}

fn executor(arguments: ExecutorArguments) -> Result<(), CliError> {
    warn_if_open(arguments.bind);
    let options = ExecutorOptions {
        scheduler: arguments.scheduler,
        token: arguments.token.named()?,
        bind: arguments.bind,
        advertise: arguments.advertise,
        port: arguments.port,
        slots: arguments.slots.unwrap_or_else(all_cores),
        work_dir: arguments.work_dir,
        memory_limit: arguments.memory_limit,
    };
    let runtime = runtime()?;
    let while_stdin = arguments.while_stdin;
    let ended = runtime.block_on(async {
        let ready = |name: &str| eprintln!("executor {name} is ready");
        tokio::select! {
            ended = run_executor(options, interrupt(), ready) => ended,
            () = stdin_ends(), if while_stdin => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ended?)
}

/// Ends when whoever started this process closes its stdin, or ends.
async fn stdin_ends() {
    let (closed, ended) = tokio::sync::oneshot::channel();
    // A thread of its own: nothing waits for it when the process ends for another reason.
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        let _ = closed.send(());
    });
    let _ = ended.await;
}

fn warn_if_open(bind: IpAddr) {
    if !bind.is_loopback() {
        eprintln!(
            "warning: what goes through {bind}, the cluster's token too, is not encrypted, and whoever has the token can run queries and read files here: keep it inside a trusted network"
        );
    }
}

fn scheduler_address(text: &str) -> Result<ClusterAddress, String> {
    match text.contains("://") {
        true => values::named(text),
        false => values::named(&format!("df://{text}")),
    }
}

fn show(status: &ClusterStatus, json: bool) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    if json {
        let text = serde_json::to_string_pretty(status).map_err(CliError::failure)?;
        writeln!(out, "{text}")?;
        return Ok(());
    }
    writeln!(out, "warpframe {}, {} slots", status.version, status.slots())?;
    for executor in &status.executors {
        writeln!(
            out,
            "executor {:<32} {:<22} {:>3} slots  {:<12} seen {} s ago",
            executor.name, executor.address, executor.slots, executor.backend, executor.seen_seconds_ago
        )?;
    }
    if status.executors.is_empty() {
        writeln!(out, "no executors")?;
    }
    for job in &status.jobs {
        let JobProgress { done, total } = job.progress;
        writeln!(out, "job {:<37} {:<8} {done} of {total} tasks", job.id, job.state)?;
    }
    Ok(())
}

/// The options of commands whose queries can run on a cluster.
#[derive(Debug, Args)]
pub struct ClusterArguments {
    /// Run on the cluster with this scheduler, as df://HOST:PORT
    #[arg(long, value_name = "URL", value_parser = values::named::<ClusterAddress>)]
    cluster: Option<ClusterAddress>,
    /// How long to wait for an executor to appear
    #[arg(long, value_name = "SECONDS", requires = "cluster")]
    cluster_wait: Option<u64>,
    #[command(flatten)]
    token: TokenArguments,
}

impl ClusterArguments {
    /// Whether there is one.
    pub fn is_named(&self) -> bool {
        self.cluster.is_some()
    }

    /// The cluster, if there is one, with a bar on stderr that shows how far its queries have come.
    ///
    /// # Errors
    /// The file that is named has no token.
    pub fn settings(&self) -> Result<Option<ClusterSettings>, CliError> {
        let Some(address) = self.cluster.clone() else { return Ok(None) };
        let mut settings = ClusterSettings::new(address);
        settings.token = self.token.named()?;
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
