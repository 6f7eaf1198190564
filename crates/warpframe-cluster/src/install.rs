//! Sessions whose queries run on a cluster.

use std::sync::Arc;

use ballista_core::optimizer::ballista_default_optimizer_rules;
use datafusion::execution::SessionStateBuilder;

use super::query_planner::{AUTOMATIC_PARTITIONS, ClusterPlanner};
use super::session_config::with_ballista_options;
use super::settings::ClusterSettings;

/// Makes the queries of a session that scan tables run on a cluster. The rules of the optimizer are replaced by those
/// that a cluster can execute; rules of the application have to be added afterwards. Nothing is connected before the
/// first query.
///
/// Without `partitions`, a query has two partitions for each slot of the cluster; `SET
/// datafusion.execution.target_partitions` sets another number.
pub fn install(
    mut builder: SessionStateBuilder,
    settings: ClusterSettings,
    partitions: Option<usize>,
) -> SessionStateBuilder {
    let mut config = with_ballista_options(builder.config().take().unwrap_or_default());
    config.options_mut().execution.target_partitions = partitions.unwrap_or(AUTOMATIC_PARTITIONS);
    builder
        .with_config(config)
        .with_optimizer_rules(ballista_default_optimizer_rules())
        .with_query_planner(Arc::new(ClusterPlanner::new(settings)))
}
