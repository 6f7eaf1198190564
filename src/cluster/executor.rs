//! The executor: it registers with a scheduler, runs the tasks that it is given, and reports how they end. It stays
//! when its scheduler goes, and comes back to the next one at the same address.

use std::path::Path;
use std::time::{Duration, Instant};

use datafusion::common::{DataFusionError, Result};
use sysinfo::System;

use super::client::{ClusterClient, StatusError};
use super::executor_id::ExecutorId;
use super::executor_options::ExecutorOptions;
use super::protocol::{VERSION, check_version};
use super::registration::{RETRY_INTERVAL, Registration, bind_listener};
use super::token::Token;
use crate::private_folder::private_folder_in;

/// How long a scheduler may refuse the executor's token: one that has just started may have written its own meanwhile.
const REJECTED_TOKEN_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs an executor until `stop` ends; it then finishes its tasks. `started` is called once it has registered for the
/// first time.
///
/// # Errors
/// The scheduler has another version or refuses the token, the port cannot be listened at, or the work folder cannot
/// be used. That no scheduler answers is not an error: the executor waits for it.
pub async fn run_executor(
    options: ExecutorOptions,
    stop: impl Future<Output = ()>,
    started: impl FnOnce(&str),
) -> Result<()> {
    // Said at once, not when a scheduler is there.
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
    let backend = crate::backend::available()?.join(", ");
    let mut started = Some(started);
    let mut stop = std::pin::pin!(stop);
    loop {
        let token = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            found = wait_for_scheduler(&options) => found?,
        };
        let id =
            ExecutorId { name: new_executor_name(), version: VERSION.to_owned(), backend: backend.clone() };
        let own = work_dir.path().join(&id.name);
        std::fs::create_dir(&own).map_err(|error| work_dir_error(&own, &error))?;
        match Registration::new(&options, &id, &own, &token).await {
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
            Err(error) => log::warn!("the executor cannot register: {}", error.find_root().message()),
        }
        // The scheduler is gone, or has given us up.
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Waits until a scheduler of this version answers, and gives the token that it takes.
async fn wait_for_scheduler(options: &ExecutorOptions) -> Result<Token> {
    let client = ClusterClient::new(options.scheduler.clone()).with_token(options.token.clone());
    let mut refused: Option<Instant> = None;
    loop {
        match client.fetch_status().await {
            Ok((status, token)) => {
                check_version(&format!("the scheduler at {}", options.scheduler), &status.version)?;
                return Ok(token);
            }
            Err(
                error @ (StatusError::MissingToken(_)
                | StatusError::WrongToken(_)
                | StatusError::InvalidToken(_)),
            ) => {
                if refused.get_or_insert_with(Instant::now).elapsed() > REJECTED_TOKEN_TIMEOUT {
                    return Err(error.into());
                }
            }
            Err(StatusError::Unreachable(_) | StatusError::NotAScheduler(_)) => refused = None,
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

fn new_executor_name() -> String {
    let host = System::host_name().unwrap_or_else(|_| "host".to_owned()).replace(';', "-");
    let token = ballista_core::ids::new_instance_id();
    let token: String = token.chars().rev().filter(char::is_ascii_alphanumeric).take(6).collect();
    format!("{host}-{}-{token}", std::process::id())
}

fn work_dir_error(folder: &Path, error: &std::io::Error) -> DataFusionError {
    DataFusionError::Execution(format!("cannot use the work folder '{}': {error}", folder.display()))
}
