//! The `warpframe.*` session options, as `SET` and `SHOW` know them.

use std::any::Any;
use std::sync::Arc;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::memory_pool::MemoryPool;

use crate::backend::cuda::{self, Cuda, CudaSettings, Gpus};
use crate::backend::{Backend, BackendChoice, Interpreted, Placed, Simd};
use crate::program::Program;

/// The options of a warpframe session.
#[derive(Debug, Clone)]
pub struct WarpframeOptions {
    /// `warpframe.backend`: what evaluates warpframe's functions.
    pub backend: BackendChoice,
    /// `warpframe.fuse`: whether numeric expressions are fused.
    pub fuse: bool,
    /// `warpframe.cuda.*`: how GPUs are used.
    pub cuda: CudaSettings,
    /// The GPUs, if not this machine's. No option.
    pub gpus: Option<Arc<Gpus>>,
    /// Where memory for GPUs is reserved, if anywhere. No option.
    pub memory_pool: Option<Arc<dyn MemoryPool>>,
}

impl Default for WarpframeOptions {
    fn default() -> Self {
        Self {
            backend: BackendChoice::default(),
            fuse: true,
            cuda: CudaSettings::default(),
            gpus: None,
            memory_pool: None,
        }
    }
}

impl WarpframeOptions {
    /// The options in `config`; the defaults where the session was not built by warpframe.
    pub fn of(config: &ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// The backend that the options mean on this machine; `auto` is the CPU.
    ///
    /// # Errors
    /// A backend was named that this machine does not have: what is missing, in a sentence. Or `WARPFRAME_SIMD`
    /// asks for instructions that this CPU lacks.
    pub fn resolve(&self) -> Result<Arc<dyn Backend>> {
        Ok(match self.backend {
            BackendChoice::Interpreted => Arc::new(Interpreted),
            BackendChoice::Auto | BackendChoice::Simd => Arc::new(Simd::active()?),
            BackendChoice::Cuda => Arc::new(self.cuda()?),
        })
    }

    /// The same for a program that so many threads evaluate: `auto` weighs the CPU against a GPU, if there is one
    /// that answers.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn resolve_for(&self, program: &Program, threads: usize) -> Result<Arc<dyn Backend>> {
        if self.backend == BackendChoice::Auto
            && let Ok(cuda) = self.cuda()
            && let Ok(placed) = Placed::new(program, cuda, threads)
        {
            return Ok(Arc::new(placed));
        }
        self.resolve()
    }

    fn cuda(&self) -> Result<Cuda> {
        let gpus = match &self.gpus {
            Some(gpus) => Arc::clone(gpus),
            None => cuda::gpus()?,
        };
        Cuda::new(gpus, self.cuda, self.memory_pool.clone())
    }
}

/// A number of at least one, written with digits.
fn positive(key: &str, value: &str) -> Result<usize> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => config_err!("warpframe.{key} is a number from 1 on, not '{value}'"),
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
                self.backend = value.parse()?;
                Ok(())
            }
            "fuse" => {
                self.fuse = match value {
                    "true" => true,
                    "false" => false,
                    other => return config_err!("warpframe.fuse is true or false, not '{other}'"),
                };
                Ok(())
            }
            "cuda.memory_limit" => {
                self.cuda.memory_limit = positive(key, value)?;
                Ok(())
            }
            "cuda.chunk_rows" => {
                self.cuda.chunk_rows = positive(key, value)?;
                Ok(())
            }
            _ => config_err!(
                "there is no option 'warpframe.{key}': use warpframe.backend, warpframe.fuse, \
                 warpframe.cuda.memory_limit or warpframe.cuda.chunk_rows"
            ),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![
            ConfigEntry {
                key: "warpframe.backend".to_owned(),
                value: Some(self.backend.to_string()),
                description: "What evaluates warpframe's functions: auto, interpreted, simd or cuda",
            },
            ConfigEntry {
                key: "warpframe.fuse".to_owned(),
                value: Some(self.fuse.to_string()),
                description: "Whether numeric expressions are fused into one pass: true or false",
            },
            ConfigEntry {
                key: "warpframe.cuda.memory_limit".to_owned(),
                value: Some(self.cuda.memory_limit.to_string()),
                description: "Bytes that the process may hold on a GPU and locked for it, together",
            },
            ConfigEntry {
                key: "warpframe.cuda.chunk_rows".to_owned(),
                value: Some(self.cuda.chunk_rows.to_string()),
                description: "Rows that are copied to a GPU at a time",
            },
        ]
    }
}
