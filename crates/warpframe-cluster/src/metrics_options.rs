//! The option that makes executors report the metrics of operators.

use std::any::Any;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err};
use datafusion::config::ConfigOptions;

/// The key of the option. Jobs set it; sessions do not have it.
pub(super) const COLLECT_METRICS: &str = "warpframe_cluster.collect_metrics";

/// Whether executors report the metrics of operators.
#[derive(Debug, Clone, Default)]
pub(super) struct MetricsOptions {
    collect: bool,
}

impl MetricsOptions {
    /// Whether the configuration of a task asks for metrics.
    pub fn is_enabled(config: &ConfigOptions) -> bool {
        config.extensions.get::<Self>().is_some_and(|options| options.collect)
    }
}

impl ConfigExtension for MetricsOptions {
    const PREFIX: &'static str = "warpframe_cluster";
}

impl ExtensionOptions for MetricsOptions {
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
        match (key, value.parse()) {
            ("collect_metrics", Ok(collect)) => {
                self.collect = collect;
                Ok(())
            }
            _ => config_err!("'{value}' is not a value of the option 'warpframe_cluster.{key}'"),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![ConfigEntry {
            key: COLLECT_METRICS.to_owned(),
            value: Some(self.collect.to_string()),
            description: "Whether executors report the metrics of operators",
        }]
    }
}
