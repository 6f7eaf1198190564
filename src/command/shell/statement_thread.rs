//! The thread in which the shell runs statements.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::command::error::CliError;
use crate::command::output::{Display, Pager, Target};
use crate::command::panic;
use crate::command::signals::{REACTION, interruptible, received};
use crate::command::statements::execute;
use crate::session::Session;

/// How often a waiting shell looks for signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(20);

/// The stack of the thread, in bytes: that of a main thread.
const STACK: usize = 8 << 20;

/// Runs statements in a thread of their own, which is left behind if it does not notice a signal: Ctrl-C ends a statement even
/// if it computes or waits inside one call.
pub struct StatementThread<'a> {
    pub session: &'a Session,
    pub runtime: &'a Runtime,
    /// The pager that may show the results. While it is open, the terminal is its own, and Ctrl-C is for it, too.
    pub pager: Option<&'a Pager>,
}

impl StatementThread<'_> {
    /// Runs statements, writes their results and returns the number of rows.
    ///
    /// # Errors
    /// A statement fails, or a signal interrupts it.
    pub fn run(&self, statements: String, display: Display, target: Target) -> Result<u64, CliError> {
        let (session, handle) = (self.session.clone(), self.runtime.handle().clone());
        let mut before = received().count;
        let (done, ended) = channel();
        let run = move || {
            let ended = handle.block_on(interruptible(execute(&session, &statements, &display, &target)));
            let _ = done.send(ended);
        };
        std::thread::Builder::new()
            .name("statement".to_owned())
            .stack_size(STACK)
            .spawn(run)
            .map_err(|error| CliError::failure(format!("cannot start a thread: {error}")))?;
        let mut interrupted: Option<Instant> = None;
        loop {
            match ended.recv_timeout(SIGNAL_INTERVAL) {
                Ok(ended) => return ended,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(CliError::failure(panic::worker_stopped()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let received = received();
            if self.pager.is_some_and(Pager::is_open) {
                (before, interrupted) = (received.count, None);
                continue;
            }
            let (Some(signal), signals) = (received.last, received.count - before) else { continue };
            if signals > 0 {
                let since = interrupted.get_or_insert_with(Instant::now);
                if signals > 1 || since.elapsed() > REACTION {
                    eprintln!(
                        "the statement does not end at once: its present step goes on in the background"
                    );
                    return Err(CliError::Interrupted(signal));
                }
            }
        }
    }
}
