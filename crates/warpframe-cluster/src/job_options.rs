//! The options that clients set for each job.

use std::any::Any;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err};
use datafusion::config::ConfigOptions;

/// The key of the option that makes executors report the metrics of operators.
pub(super) const COLLECT_METRICS: &str = "warpframe_cluster.collect_metrics";

/// The key of the option of clients that renew the lease of the job.
pub(super) const LEASED: &str = "warpframe_cluster.leased";

/// The options of a job. Jobs set them; sessions do not have them.
#[derive(Debug, Clone, Default)]
pub(super) struct JobOptions {
    collect_metrics: bool,
    leased: bool,
}

impl JobOptions {
    /// Whether the configuration of a task asks for metrics.
    pub fn collects_metrics(config: &ConfigOptions) -> bool {
        config.extensions.get::<Self>().is_some_and(|options| options.collect_metrics)
    }

    /// Whether the client of a job renews its lease.
    pub fn is_leased(config: &ConfigOptions) -> bool {
        config.extensions.get::<Self>().is_some_and(|options| options.leased)
    }
}

impl ConfigExtension for JobOptions {
    const PREFIX: &'static str = "warpframe_cluster";
}

impl ExtensionOptions for JobOptions {
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
        let option = match key {
            "collect_metrics" => &mut self.collect_metrics,
            "leased" => &mut self.leased,
            _ => return config_err!("there is no option 'warpframe_cluster.{key}'"),
        };
        let Ok(value) = value.parse() else {
            return config_err!("'{value}' is not a value of the option 'warpframe_cluster.{key}'");
        };
        *option = value;
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let entry = |key: &str, value: bool, description| ConfigEntry {
            key: key.to_owned(),
            value: Some(value.to_string()),
            description,
        };
        vec![
            entry(COLLECT_METRICS, self.collect_metrics, "Whether executors report the metrics of operators"),
            entry(LEASED, self.leased, "Whether the client renews the lease of the job"),
        ]
    }
}
