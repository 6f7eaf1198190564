//! Ctrl-C, and the signal that asks a process to end.

use super::error::CliError;

/// Runs something until it ends or the user interrupts it, which drops it.
pub async fn interruptible<T>(run: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::select! {
        biased;
        () = interrupt() => Err(CliError::Interrupted),
        result = run => result,
    }
}

/// Ends when the user presses Ctrl-C or the process is asked to end.
pub fn interrupt() -> impl Future<Output = ()> {
    // Listening begins here, not when the future is first polled: until then the signals would end the
    // process with its files half-written.
    #[cfg(unix)]
    let mut signals = {
        use tokio::signal::unix::{SignalKind, signal};
        [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok())
    };
    async move {
        #[cfg(unix)]
        if let [Some(interrupt), Some(terminate)] = &mut signals {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}
