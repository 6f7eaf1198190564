//! The executor process: it registers with a scheduler and runs tasks until it is stopped. When the scheduler is lost,
//! it waits for the next one at the same address and registers again.

use std::path::Path;
use std::time::{Duration, Instant};

use datafusion::common::{DataFusionError, Result};

use super::client::{ClusterClient, StatusError};
use super::endpoint::ConnectionSecurity;
use super::executor_id::{ExecutorId, executor_name_prefix};
use super::executor_options::ExecutorOptions;
use super::protocol::{build, check_version};
use super::registration::{RETRY_INTERVAL, Registration, bind_listener};
use super::token::Token;
use warpframe_io::private_folder_in;

/// How long a rejected token or certificate is retried: a scheduler that has just started writes a new token file.
const REJECTED_TOKEN_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs an executor until `stop` completes; it then finishes its running tasks. `started` is called with the executor's
/// name after the first registration.
///
/// # Errors
/// The scheduler has another version or rejects the token, the port is in use, or the work folder cannot be created.
/// If no scheduler answers, the executor waits for one.
pub async fn run_executor(
    options: ExecutorOptions,
    stop: impl Future<Output = ()>,
    started: impl FnOnce(&str),
) -> Result<()> {
    // Reports an address that is in use before the executor waits for a scheduler.
    drop(bind_listener(&options).await?);
    let temporary;
    let parent: &Path = match &options.work_dir {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| work_dir_error(folder, &error))?;
            folder
        }
        None => {
            temporary = std::env::temp_dir();
            &temporary
        }
    };
    let work_dir =
        private_folder_in("warpframe-executor-", parent).map_err(|error| work_dir_error(parent, &error))?;
    let backend = warpframe_datafusion::backends::available()?.join(", ");
    let mut started = Some(started);
    let mut stop = std::pin::pin!(stop);
    loop {
        let token = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            token = wait_for_scheduler(&options) => token?,
        };
        let security = ConnectionSecurity { token: Some(token), tls: options.tls.clone() };
        let id =
            ExecutorId { name: new_executor_name(), version: build().to_owned(), backend: backend.clone() };
        let executor_dir = work_dir.path().join(&id.name);
        std::fs::create_dir(&executor_dir).map_err(|error| work_dir_error(&executor_dir, &error))?;
        match Registration::new(&options, &id, &executor_dir, &security).await {
            Ok(mut registration) => {
                if let Some(started) = started.take() {
                    started(&id.name);
                }
                let stopped = tokio::select! {
                    () = registration.run() => false,
                    () = &mut stop => true,
                };
                if stopped {
                    registration.drain().await;
                    return Ok(());
                }
            }
            Err(error) => log::warn!("registration failed: {}", error.find_root().message()),
        }
        // The scheduler is lost, or has removed this executor.
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Waits until a scheduler answers, and returns the token that it accepts.
///
/// # Errors
/// The scheduler has another version, or rejects the token or a certificate for longer than [`REJECTED_TOKEN_TIMEOUT`].
async fn wait_for_scheduler(options: &ExecutorOptions) -> Result<Token> {
    let client = ClusterClient::new(options.scheduler.clone());
    let client = client.with_token(options.token.clone()).with_tls(options.tls.clone());
    let mut rejected_since: Option<Instant> = None;
    loop {
        match client.fetch_status().await {
            Ok((status, token)) => {
                check_version(&format!("the scheduler at {}", options.scheduler), &status.version)?;
                return Ok(token);
            }
            Err(
                error @ (StatusError::MissingToken(_)
                | StatusError::WrongToken(_)
                | StatusError::NotAScheduler(..)
                | StatusError::Untrusted(..)
                | StatusError::InvalidToken(_)),
            ) => {
                if rejected_since.get_or_insert_with(Instant::now).elapsed() > REJECTED_TOKEN_TIMEOUT {
                    return Err(error.into());
                }
            }
            Err(StatusError::Unreachable(_)) => rejected_since = None,
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// A name that is unique in the cluster: the host, the process number and a random suffix.
fn new_executor_name() -> String {
    let random = ballista_core::ids::new_instance_id();
    let suffix: String = random.chars().rev().filter(char::is_ascii_alphanumeric).take(6).collect();
    executor_name_prefix(std::process::id()) + &suffix
}

fn work_dir_error(folder: &Path, error: &std::io::Error) -> DataFusionError {
    DataFusionError::Execution(format!("cannot use the work folder '{}': {error}", folder.display()))
}
