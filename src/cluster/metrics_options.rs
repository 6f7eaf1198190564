//! The option by which a client asks executors to report what operators did.

use std::any::Any;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err};
use datafusion::config::ConfigOptions;

/// The setting by which a client asks for reports. It is no option of sessions.
pub(super) const REPORT: &str = "warpframe_cluster.report";

/// Whether the executors report what their operators did.
#[derive(Debug, Clone, Default)]
pub(super) struct ReportOptions {
    report: bool,
}

impl ReportOptions {
    /// Whether the query with this configuration wants reports.
    pub fn wanted(config: &ConfigOptions) -> bool {
        config.extensions.get::<Self>().is_some_and(|options| options.report)
    }
}

impl ConfigExtension for ReportOptions {
    const PREFIX: &'static str = "warpframe_cluster";
}

impl ExtensionOptions for ReportOptions {
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
            ("report", Ok(report)) => {
                self.report = report;
                Ok(())
            }
            _ => config_err!("there is no option 'warpframe_cluster.{key}' of value '{value}'"),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![ConfigEntry {
            key: REPORT.to_owned(),
            value: Some(self.report.to_string()),
            description: "Whether executors report what their operators did",
        }]
    }
}
