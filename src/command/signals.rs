//! SIGINT (Ctrl-C) and SIGTERM.

use super::error::CliError;

/// Runs a future to its end, or drops it when a signal arrives and returns [`CliError::Interrupted`].
pub async fn interruptible<T>(run: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::select! {
        biased;
        () = interrupt() => Err(CliError::Interrupted),
        result = run => result,
    }
}

/// Completes when SIGINT or SIGTERM arrives.
pub fn interrupt() -> impl Future<Output = ()> {
    // Install the handlers now, not when the future is first polled: until then a signal would kill the process and leave
    // incomplete files.
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
