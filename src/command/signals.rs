//! SIGINT (Ctrl-C), SIGTERM and SIGHUP, which end every command in the same way.
//!
//! The first signal ends the work in order: futures are dropped, outputs are removed, queries on clusters are cancelled. If
//! a thread does not notice it within [`REACTION`], because it computes or waits inside one call, or if the cleanup takes
//! longer than [`ENDING`], or at a second signal, the process removes its temporary folders for a second at most, and ends.
//! Signals are received by a thread of their own, which no work can block.

use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::error::CliError;
use super::signal::Signal;
use super::terminal_mode::TerminalMode;

/// How long the work has to notice the first signal.
pub const REACTION: Duration = Duration::from_secs(2);

/// How long an orderly end may take. Background cleanup has a limit of 10 seconds of its own.
const ENDING: Duration = Duration::from_secs(12);

/// How long the cleanup of an immediate end may take.
const LAST_CLEANUP: Duration = Duration::from_secs(1);

/// How often the thread looks whether the work has noticed the signal.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The signals that have arrived: their number, and the last one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Received {
    pub count: usize,
    pub last: Option<Signal>,
}

static RECEIVED: LazyLock<watch::Sender<Received>> = LazyLock::new(|| watch::channel(Received::default()).0);

static STATE: Mutex<State> = Mutex::new(State { listeners: 0, drains: false, shell: None });

struct State {
    /// How many futures end when a signal arrives.
    listeners: usize,
    /// Whether the end may take as long as it takes.
    drains: bool,
    /// The shell, in which Ctrl-C ends a statement and not the process: the terminal's mode before it was started.
    shell: Option<Option<TerminalMode>>,
}

/// Starts the thread that receives signals. Signals that are ignored, as SIGHUP under `nohup`, stay ignored.
///
/// # Errors
/// The thread cannot be started.
pub fn start() -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::failure(format!("cannot handle signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    // From here on no signal ends the process before the thread has seen it.
    let mut signals = {
        let _context = runtime.enter();
        sources::Signals::install().map_err(failed)?
    };
    let receive = move || {
        runtime.block_on(async {
            let first = signals.next().await;
            receive(first, &mut signals).await;
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(receive).map_err(failed)?;
    Ok(())
}

/// Handles all signals.
async fn receive(first: Signal, signals: &mut sources::Signals) {
    let mut signal = first;
    loop {
        let (is_shell, listeners) = {
            let state = STATE.lock();
            (state.shell.is_some(), state.listeners)
        };
        RECEIVED.send_modify(|received| {
            received.count += 1;
            received.last = Some(signal);
        });
        if is_shell && signal == Signal::Interrupt {
            // Ends the statement that runs, if any.
            signal = signals.next().await;
            continue;
        }
        if listeners > 0 {
            tokio::select! {
                second = signals.next() => signal = second,
                () = too_late() => {}
            }
        }
        end_now(signal);
    }
}

/// Completes when the work has not noticed a signal in time, or its end takes too long.
async fn too_late() {
    let start = Instant::now();
    loop {
        sleep_until(Instant::now() + CHECK_INTERVAL).await;
        let (has_noticed, drains) = {
            let state = STATE.lock();
            (state.listeners == 0, state.drains)
        };
        let limit = if has_noticed { ENDING } else { REACTION };
        if !(has_noticed && drains) && start.elapsed() > limit {
            return;
        }
    }
}

/// Ends the process without waiting for its threads.
fn end_now(signal: Signal) -> ! {
    let shell = STATE.lock().shell;
    let (done, ended) = std::sync::mpsc::channel();
    // Both may block, on a slow disk or a terminal that nobody reads.
    std::thread::spawn(move || {
        #[cfg(feature = "compare")]
        crate::compare::kill_tools();
        warpframe_io::remove_leftovers(LAST_CLEANUP);
        if let Some(Some(mode)) = shell {
            mode.restore();
        }
        CliError::Interrupted(signal).print();
        let _ = done.send(());
    });
    let _ = ended.recv_timeout(LAST_CLEANUP);
    exit_now(signal.exit_code())
}

#[cfg(unix)]
fn exit_now(code: u8) -> ! {
    // SAFETY: the function has no preconditions. It runs no destructors, which other threads may be in the way of.
    unsafe { libc::_exit(code.into()) }
}

#[cfg(not(unix))]
fn exit_now(code: u8) -> ! {
    std::process::exit(code.into())
}

/// Counts a future that ends when a signal arrives.
struct Listener;

impl Listener {
    fn new() -> Self {
        STATE.lock().listeners += 1;
        Self
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        STATE.lock().listeners -= 1;
    }
}

/// Runs a future to its end, or drops it when a signal arrives and returns [`CliError::Interrupted`].
pub async fn interruptible<T>(run: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    // Dropped last: until then the work has not ended.
    let _listener = Listener::new();
    let mut run = Box::pin(run);
    tokio::select! {
        biased;
        signal = next_signal() => Err(CliError::Interrupted(signal)),
        result = &mut run => result,
    }
}

/// A future that completes when a signal arrives, for the comparison and clusters. From now on the process waits for its end when one does.
#[cfg(feature = "cluster")]
pub fn interrupt() -> std::pin::Pin<Box<dyn Future<Output = Signal> + Send>> {
    let listener = Listener::new();
    let signal = next_signal();
    Box::pin(async move {
        let signal = signal.await;
        drop(listener);
        signal
    })
}

/// As [`interrupt`]; the end of the process after the first signal may take as long as it takes.
#[cfg(feature = "cluster")]
pub fn interrupt_and_drain() -> std::pin::Pin<Box<dyn Future<Output = Signal> + Send>> {
    STATE.lock().drains = true;
    interrupt()
}

/// The next signal; outside the shell, also one that has arrived before. Subscribes at once.
fn next_signal() -> impl Future<Output = Signal> + Send {
    let mut received = RECEIVED.subscribe();
    let is_shell = STATE.lock().shell.is_some();
    let before = received.borrow_and_update().last.filter(|_| !is_shell);
    async move {
        if let Some(signal) = before {
            return signal;
        }
        loop {
            if received.changed().await.is_err() {
                // The sender is never dropped.
                std::future::pending::<()>().await;
            }
            if let Some(signal) = received.borrow_and_update().last {
                return signal;
            }
        }
    }
}

/// The signals that have arrived so far.
pub fn received() -> Received {
    *RECEIVED.borrow()
}

/// From now on, until it is dropped, SIGINT ends statements only.
pub struct Shell;

impl Shell {
    /// Call it before the terminal's mode is changed, which an immediate end restores.
    pub fn start() -> Self {
        STATE.lock().shell = Some(TerminalMode::current());
        Self
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        STATE.lock().shell = None;
    }
}

#[cfg(unix)]
mod sources {
    use std::io::Result;

    use tokio::signal::unix::{Signal as Source, SignalKind, signal};

    use super::super::signal::Signal;

    const KINDS: [(Signal, libc::c_int); 3] = [
        (Signal::Interrupt, libc::SIGINT),
        (Signal::Terminate, libc::SIGTERM),
        (Signal::HangUp, libc::SIGHUP),
    ];

    /// The signals that are not ignored.
    pub struct Signals(Vec<(Signal, Source)>);

    impl Signals {
        pub fn install() -> Result<Self> {
            let handled = KINDS.into_iter().filter(|(_, number)| !is_ignored(*number));
            let sources = handled.map(|(kind, number)| Ok((kind, signal(SignalKind::from_raw(number))?)));
            sources.collect::<Result<_>>().map(Self)
        }

        pub async fn next(&mut self) -> Signal {
            std::future::poll_fn(|context| {
                for (kind, source) in &mut self.0 {
                    if source.poll_recv(context).is_ready() {
                        return std::task::Poll::Ready(*kind);
                    }
                }
                std::task::Poll::Pending
            })
            .await
        }
    }

    fn is_ignored(number: libc::c_int) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: with a null pointer as the new action, the call changes nothing, and it writes the present one into
        // `action`, for which zero bytes are a valid value, if it fails too.
        let action = unsafe {
            libc::sigaction(number, std::ptr::null(), action.as_mut_ptr());
            action.assume_init()
        };
        action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
mod sources {
    use std::io::Result;

    use super::super::signal::Signal;

    /// Ctrl-C.
    pub struct Signals;

    impl Signals {
        pub fn install() -> Result<Self> {
            Ok(Self)
        }

        pub async fn next(&mut self) -> Signal {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Signal::Interrupt,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
