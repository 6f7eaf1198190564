//! Session configurations for clients, schedulers and executors.

use ballista_core::config::BallistaConfig;
use ballista_core::extension::{SessionConfigExt, SessionConfigHelperExt};
use datafusion::common::Result;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use super::job_options::JobOptions;
use super::protocol::MAX_MESSAGE_BYTES;
use warpframe_datafusion::backends::Backends;
use warpframe_datafusion::configure;
use warpframe_datafusion::functions::log3_udf;
use warpframe_io::runtime_env_builder;

/// The base configuration in schedulers and executors. The settings of a client's session override it.
pub(super) fn process_config() -> SessionConfig {
    let config = SessionConfig::new().with_option_extension(JobOptions::default());
    with_ballista_options(configure(config, Backends::shared()))
}

/// Adds the options that queries on a cluster need to a session's configuration.
pub(super) fn with_ballista_options(config: SessionConfig) -> SessionConfig {
    let ballista = [
        // A task for each partition: little is lost with an executor, and no slot waits for another.
        ("ballista.scheduler.max_partitions_per_task", "1"),
        // Computed floating-point numbers hardly compress: compression costs more time than it saves.
        ("ballista.shuffle.compression.codec", "none"),
        ("ballista.client.io_retry_wait_time_ms", "500"),
    ];
    let mut config = config
        .with_option_extension(BallistaConfig::default())
        .upgrade_for_ballista()
        .ballista_restricted_configuration()
        .with_ballista_grpc_client_max_message_size(MAX_MESSAGE_BYTES as usize);
    for (key, value) in ballista {
        config = config.set_str(key, value);
    }
    config
}

/// The session state in which the scheduler and the executors decode plans.
pub(super) fn session_state(config: SessionConfig) -> Result<SessionState> {
    let state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime_env_builder().build_arc()?);
    let mut state = state.with_default_features();
    // Plans refer by name to calls that the optimizer has not replaced.
    state.scalar_functions().get_or_insert_default().push(log3_udf());
    Ok(state.build())
}
