//! An executor in a child process, which is started again when it ends.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use datafusion::common::{DataFusionError, Result};
use parking_lot::{Condvar, Mutex};

use super::executor_id::executor_name_prefix;

/// The bounds of the delay before a process is started again. It doubles with each end soon after the start.
const MIN_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(30);

/// The time after which a process counts as running well: the delay starts again at its minimum.
const STABLE_TIME: Duration = Duration::from_secs(60);

/// The interval between two checks whether a process whose stderr was closed has ended.
const EXIT_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The largest number of bytes that are read as one line.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// What the owner of the process wants to know.
pub(super) trait ExecutorEvents: Send + Sync + 'static {
    /// The process of the executor whose name starts with `name_prefix` has ended. `message` says how, and what happens next.
    fn ended(&self, name_prefix: &str, message: &str);
}

/// An executor in a child process, with a thread that forwards its stderr to the log and starts it again. Dropping the
/// value ends both.
pub(super) struct ExecutorChild {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when `state` becomes [`Phase::Stopped`].
    stopped: Condvar,
}

struct State {
    process: Child,
    phase: Phase,
}

enum Phase {
    /// The executor has not registered yet: its end is a failure of the cluster's start.
    Starting,
    /// The process has ended while it was starting, with this message.
    Failed(String),
    Running,
    Stopped,
}

impl ExecutorChild {
    /// Starts `command`, whose stderr is captured.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(
        command: impl Fn() -> Command + Send + 'static,
        events: Arc<dyn ExecutorEvents>,
    ) -> Result<Self> {
        let process = spawn(&command)?;
        let state = Mutex::new(State { process, phase: Phase::Starting });
        let shared = Arc::new(Shared { state, stopped: Condvar::new() });
        let thread = std::thread::Builder::new().name("warpframe-executor".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.supervise(&command, &*events)
        });
        let mut child = Self { shared, thread: None };
        // Dropping the child after an error ends the process.
        child.thread = Some(thread?);
        Ok(child)
    }

    /// The current process identifier.
    pub fn id(&self) -> u32 {
        self.shared.state.lock().process.id()
    }

    /// How the process has ended while it was starting; `None` if it has not.
    pub fn start_failure(&self) -> Option<String> {
        match &self.shared.state.lock().phase {
            Phase::Failed(message) => Some(message.clone()),
            _ => None,
        }
    }

    /// The executor has registered: from now on it is started again.
    pub fn registered(&self) {
        let mut state = self.shared.state.lock();
        if let Phase::Starting = state.phase {
            state.phase = Phase::Running;
        }
    }

    /// Begins to end the process; dropping the value waits for it.
    pub fn kill(&self) {
        let mut state = self.shared.state.lock();
        state.phase = Phase::Stopped;
        let _ = state.process.kill();
        self.shared.stopped.notify_all();
    }
}

impl Drop for ExecutorChild {
    fn drop(&mut self) {
        self.kill();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = self.shared.state.lock().process.wait();
    }
}

impl Shared {
    /// Follows the process, and starts it again until the value is stopped.
    fn supervise(&self, command: &impl Fn() -> Command, events: &dyn ExecutorEvents) {
        let mut delay = MIN_DELAY;
        loop {
            let start = Instant::now();
            let (id, stderr) = {
                let mut state = self.state.lock();
                (state.process.id(), state.process.stderr.take())
            };
            let prefix = executor_name_prefix(id);
            let name = prefix.trim_end_matches('-');
            let mut last_line = None;
            if let Some(stderr) = stderr {
                read_lines(stderr, |line| {
                    log::info!("executor {name}: {line}");
                    if is_cause(line) {
                        last_line = Some(line.to_owned());
                    }
                });
            }
            let status = self.wait();
            let message = describe(status, last_line);
            {
                let mut state = self.state.lock();
                match state.phase {
                    Phase::Running => {}
                    Phase::Starting => {
                        state.phase = Phase::Failed(message);
                        return;
                    }
                    Phase::Failed(_) | Phase::Stopped => return,
                }
            }
            if start.elapsed() >= STABLE_TIME {
                delay = MIN_DELAY;
            }
            let next = format!("another one is started in {:.1} seconds", delay.as_secs_f64());
            events.ended(&prefix, &format!("executor {name} has ended ({message}); {next}"));
            loop {
                let is_stopped = self.sleep(delay);
                delay = (2 * delay).min(MAX_DELAY);
                if is_stopped {
                    return;
                }
                match self.restart(command) {
                    Ok(()) => break,
                    Err(error) => log::error!("{}", error.message()),
                }
            }
        }
    }

    /// Waits for the end of the process, whose stderr was closed.
    fn wait(&self) -> Option<ExitStatus> {
        loop {
            match self.state.lock().process.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Some(status),
                Err(_) => return None,
            }
            std::thread::sleep(EXIT_CHECK_INTERVAL);
        }
    }

    /// Waits for a time, or until the value is stopped. Returns whether it is.
    fn sleep(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        let is_running = |state: &mut State| !matches!(state.phase, Phase::Stopped);
        !self.stopped.wait_while_for(&mut state, is_running, time).timed_out()
    }

    /// Starts a new process, unless the value is stopped.
    fn restart(&self, command: &impl Fn() -> Command) -> Result<()> {
        let mut state = self.state.lock();
        if let Phase::Running = state.phase {
            state.process = spawn(command)?;
        }
        Ok(())
    }
}

fn spawn(command: &impl Fn() -> Command) -> Result<Child> {
    let mut command = command();
    // Ctrl-C in a terminal goes to the parent only, which then ends the process.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        DataFusionError::Execution(format!("cannot start '{program}': {error}"))
    })
}

/// Reads lines until the end.
fn read_lines(input: impl Read, mut on_line: impl FnMut(&str)) {
    let (mut input, mut line) = (BufReader::new(input), Vec::new());
    while (&mut input).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        on_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

/// Whether a line can say why the process ends: it is not part of a backtrace, and not the message of the start.
fn is_cause(line: &str) -> bool {
    !line.is_empty()
        && !line.ends_with(" is ready")
        && !line.starts_with([' ', '\t'])
        && !line.starts_with("note: ")
        && line != "stack backtrace:"
}

/// The status of an ended process, and the last of its lines on stderr that can say why.
fn describe(status: Option<ExitStatus>, last_line: Option<String>) -> String {
    let status = status.map_or_else(|| "unknown exit status".to_owned(), |status| status.to_string());
    match last_line {
        Some(line) => format!("{status}, {line}"),
        None => status,
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    /// Collects the messages.
    #[derive(Default)]
    struct Messages(Mutex<Vec<String>>);

    impl ExecutorEvents for Messages {
        fn ended(&self, _: &str, message: &str) {
            self.0.lock().push(message.to_owned());
        }
    }

    fn shell(script: &'static str) -> impl Fn() -> Command + Send + 'static {
        move || {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::piped());
            command
        }
    }

    fn wait_until(mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_process_that_ends_is_started_again() {
        let events = Arc::<Messages>::default();
        // More than a pipe holds: it ends only if its stderr is read.
        let script = "head -c 300000 /dev/zero | tr '\\0' 'x' >&2; echo >&2; echo out of memory >&2; \
                      echo 'note: no details' >&2; exit 3";
        let child = ExecutorChild::start(shell(script), Arc::clone(&events) as _).unwrap();
        child.registered();
        let first = child.id();
        wait_until(|| events.0.lock().len() >= 2);
        assert_ne!(child.id(), first);
        let messages = events.0.lock().clone();
        assert!(messages[0].contains("(exit status: 3, out of memory)"), "{messages:?}");
        assert!(
            messages[0].contains("in 0.5 seconds") && messages[1].contains("in 1.0 seconds"),
            "{messages:?}"
        );
    }

    #[test]
    fn the_end_before_the_registration_is_a_failure() {
        let events = Arc::<Messages>::default();
        let script = "echo error: the port is in use >&2; exit 1";
        let child = ExecutorChild::start(shell(script), Arc::clone(&events) as _).unwrap();
        wait_until(|| child.start_failure().is_some());
        assert_eq!(child.start_failure().unwrap(), "exit status: 1, error: the port is in use");
        assert_eq!(*events.0.lock(), [""; 0]);
        let missing = ExecutorChild::start(|| Command::new("/nowhere/warpframe"), events);
        let message = missing.err().unwrap().message().into_owned();
        assert!(message.starts_with("cannot start '/nowhere/warpframe': "), "{message}");
    }

    #[test]
    fn a_dropped_child_has_ended() {
        let child = ExecutorChild::start(shell("exec sleep 600"), Arc::<Messages>::default()).unwrap();
        child.registered();
        let process = std::path::PathBuf::from(format!("/proc/{}", child.id()));
        drop(child);
        assert!(!process.exists());
    }
}
