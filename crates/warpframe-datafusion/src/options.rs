//! The `warpframe.*` options of a session, as `SET` and `SHOW` know them. They are plain values; backends, devices and
//! memory pools are extensions of the session.

use std::any::Any;
use std::sync::Arc;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err};
use datafusion::config::ConfigOptions;
use warpframe_cuda::{BATCH_ROWS, CudaSettings};

use crate::backend_names::{AUTO, NAMES, unknown_backend};

/// The options of a session.
#[derive(Debug, Clone)]
pub struct WarpframeOptions {
    /// `warpframe.backend`: the backend that evaluates programs.
    pub backend: String,
    /// The names that `warpframe.backend` may have. No option.
    pub backend_names: Arc<[String]>,
    /// `warpframe.fuse`: whether numeric expressions are fused.
    pub fuse: bool,
    /// `warpframe.spill_joins`: whether joins that may not fit into the memory limit are sort-merge joins, which can spill.
    pub spill_joins: bool,
    /// `warpframe.cuda.memory_limit` and `warpframe.cuda.chunk_bytes`: how GPUs are used.
    pub cuda: CudaSettings,
    /// `warpframe.cuda.batch_rows`: rows in a batch where a GPU evaluates a part of the query.
    pub cuda_batch_rows: usize,
}

impl Default for WarpframeOptions {
    fn default() -> Self {
        Self {
            backend: AUTO.to_owned(),
            backend_names: NAMES.map(str::to_owned).into(),
            fuse: true,
            spill_joins: true,
            cuda: CudaSettings::default(),
            cuda_batch_rows: BATCH_ROWS,
        }
    }
}

impl WarpframeOptions {
    /// The options in a configuration; the defaults where it has none.
    pub fn of(config: &ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
    }
}

/// A number of at least one, written with digits.
fn positive(key: &str, value: &str) -> Result<usize> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => config_err!("warpframe.{key} is a number from 1 on, not '{value}'"),
    }
}

/// `true` or `false`.
fn boolean(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => config_err!("warpframe.{key} is true or false, not '{other}'"),
    }
}

impl ConfigExtension for WarpframeOptions {
    const PREFIX: &'static str = "warpframe";
}

// By hand, not by `extensions_options!`: that macro reports keys without their prefix, and `SHOW
// warpframe.backend` would not find them.
impl ExtensionOptions for WarpframeOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "backend" => {
                let found = self.backend_names.iter().find(|name| name.eq_ignore_ascii_case(value));
                self.backend = found.ok_or_else(|| unknown_backend(value, &self.backend_names))?.clone();
                Ok(())
            }
            "fuse" => {
                self.fuse = boolean(key, value)?;
                Ok(())
            }
            "spill_joins" => {
                self.spill_joins = boolean(key, value)?;
                Ok(())
            }
            "cuda.memory_limit" => {
                self.cuda.memory_limit = positive(key, value)?;
                Ok(())
            }
            "cuda.chunk_bytes" => {
                self.cuda.chunk_bytes = positive(key, value)?;
                Ok(())
            }
            "cuda.batch_rows" => {
                self.cuda_batch_rows = positive(key, value)?;
                Ok(())
            }
            _ => config_err!(
                "there is no option 'warpframe.{key}': use warpframe.backend, warpframe.fuse, \
                 warpframe.spill_joins, warpframe.cuda.memory_limit, warpframe.cuda.chunk_bytes or warpframe.cuda.batch_rows"
            ),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![
            ConfigEntry {
                key: "warpframe.backend".to_owned(),
                value: Some(self.backend.clone()),
                description: "The backend that evaluates fused expressions: auto, interpreted, simd, cuda, or one that was registered",
            },
            ConfigEntry {
                key: "warpframe.fuse".to_owned(),
                value: Some(self.fuse.to_string()),
                description: "Whether numeric expressions are fused into one pass: true or false",
            },
            ConfigEntry {
                key: "warpframe.spill_joins".to_owned(),
                value: Some(self.spill_joins.to_string()),
                description: "Whether joins that may not fit into the memory limit are sort-merge joins, which can spill: true or false",
            },
            ConfigEntry {
                key: "warpframe.cuda.memory_limit".to_owned(),
                value: Some(self.cuda.memory_limit.to_string()),
                description: "Bytes that the process may allocate for a GPU: device and page-locked memory together",
            },
            ConfigEntry {
                key: "warpframe.cuda.chunk_bytes".to_owned(),
                value: Some(self.cuda.chunk_bytes.to_string()),
                description: "Bytes of the columns that are copied to or from a GPU at a time",
            },
            ConfigEntry {
                key: "warpframe.cuda.batch_rows".to_owned(),
                value: Some(self.cuda_batch_rows.to_string()),
                description: "Rows in a batch where a GPU evaluates a part of the query",
            },
        ]
    }
}
