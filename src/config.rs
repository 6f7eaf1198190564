//! The `warpframe.*` session options, as `SET` and `SHOW` know them.

use std::any::Any;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err};
use datafusion::config::ConfigOptions;

use crate::backend::BackendChoice;

/// The options of a warpframe session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarpframeOptions {
    /// `warpframe.backend`: what evaluates warpframe's functions.
    pub backend: BackendChoice,
    /// `warpframe.fuse`: whether numeric expressions are fused.
    pub fuse: bool,
}

impl Default for WarpframeOptions {
    fn default() -> Self {
        Self { backend: BackendChoice::default(), fuse: true }
    }
}

impl WarpframeOptions {
    /// The options in `config`; the defaults where the session was not built by warpframe.
    pub fn of(config: &ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
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
            _ => config_err!("there is no option 'warpframe.{key}': use warpframe.backend or warpframe.fuse"),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![
            ConfigEntry {
                key: "warpframe.backend".to_owned(),
                value: Some(self.backend.to_string()),
                description: "What evaluates warpframe's functions: auto, interpreted or simd",
            },
            ConfigEntry {
                key: "warpframe.fuse".to_owned(),
                value: Some(self.fuse.to_string()),
                description: "Whether numeric expressions are fused into one pass: true or false",
            },
        ]
    }
}
