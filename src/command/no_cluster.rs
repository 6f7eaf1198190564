//! What the command has instead of options of clusters in a build without the feature `cluster`.

use clap::Args;

use super::error::CliError;
use crate::cluster::ClusterSettings;

/// The options of commands that can run queries on a cluster: none.
#[derive(Debug, Args)]
pub struct ClusterArguments {}

impl ClusterArguments {
    /// No cluster.
    ///
    /// # Errors
    /// None.
    pub fn session_settings(&self, _has_memory_limit: bool) -> Result<Option<ClusterSettings>, CliError> {
        Ok(None)
    }
}
