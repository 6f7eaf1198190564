//! Logs to stderr at the level that the environment variable `WARPFRAME_LOG` sets.

use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};

use super::error::CliError;
use crate::terminal_text::escape_controls;

/// The environment variable with the level: off (the default), error, warn, info, debug or trace.
const LOG_VARIABLE: &str = "WARPFRAME_LOG";

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        // Callers need not check `enabled` first.
        if !self.enabled(record.metadata()) {
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let message = record.args().to_string();
        let message = escape_controls(&message);
        eprintln!("{time:.3} {:<5} {}: {message}", record.level(), record.target());
    }

    fn flush(&self) {}
}

/// Installs the logger if the environment variable is set.
pub fn start() -> Result<(), CliError> {
    let Some(level) = std::env::var_os(LOG_VARIABLE) else { return Ok(()) };
    let level: LevelFilter = level
        .to_string_lossy()
        .parse()
        .map_err(|_| CliError::usage(format!("{LOG_VARIABLE} is off, error, warn, info, debug or trace")))?;
    log::set_logger(&Stderr).map_err(CliError::failure)?;
    log::set_max_level(level);
    Ok(())
}
