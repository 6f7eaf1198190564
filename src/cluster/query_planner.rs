//! How a session with a cluster plans its queries: as any session, for the cluster's slots, and inside a
//! [`ClusterExec`] what reads tables.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::planner::scans_only_information_schema;
use datafusion::catalog::Session;
use datafusion::common::format::ExplainFormat;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{LogicalPlan, PlanType, StringifiedPlan};
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::explain::ExplainExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use super::client::ClusterClient;
use super::cluster_exec::ClusterExec;
use super::memtable_staging::MemTableStaging;
use super::settings::ClusterSettings;
use super::status::ClusterStatus;

/// Partitions for each slot of the cluster: enough that an executor's loss and an uneven share cost little.
const PARTITIONS_PER_SLOT: usize = 2;

/// Plans queries for a cluster.
pub(crate) struct ClusterPlanner {
    client: Arc<ClusterClient>,
    settings: ClusterSettings,
    /// The value of `target_partitions` that means that nobody has settled it.
    default_partitions: Option<usize>,
    staging: MemTableStaging,
}

impl ClusterPlanner {
    pub fn new(settings: ClusterSettings, default_partitions: Option<usize>) -> Result<Self> {
        let client = ClusterClient::new(settings.address.clone())
            .with_token(settings.token.clone())
            .with_local_work_dir(settings.local_work_dir.clone());
        let client = Arc::new(client);
        Ok(Self { client, settings, default_partitions, staging: MemTableStaging::default() })
    }
}

impl fmt::Debug for ClusterPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterPlanner").field("client", &self.client).finish()
    }
}

#[async_trait]
impl QueryPlanner for ClusterPlanner {
    async fn create_physical_plan(
        &self,
        query: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let local = DefaultPhysicalPlanner::default();
        if let LogicalPlan::Analyze(analyze) = query {
            let input = self.create_physical_plan(&analyze.input, session).await?;
            let input = match as_cluster_exec(&input) {
                Some(cluster) => Arc::new(cluster.analyzed()),
                None => input,
            };
            let plan = local.create_physical_plan(query, session).await?;
            return match plan.downcast_ref::<AnalyzeExec>() {
                Some(_) => replace_children_if_necessary(Arc::clone(&plan), vec![input]),
                None => internal_err!("EXPLAIN ANALYZE has no plan"),
            };
        }
        if !scans_tables(query)? || scans_only_information_schema(query)? {
            return local.create_physical_plan(query, session).await;
        }
        let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
            return internal_err!("the session's state is not DataFusion's");
        };
        let cluster = self.client.ready(self.settings.wait).await?;
        let mut state = state.clone();
        let partitions = &mut state.config_mut().options_mut().execution.target_partitions;
        if self.default_partitions == Some(*partitions) {
            *partitions = (cluster.slots() * PARTITIONS_PER_SLOT).max(1);
        }
        let plan = local.create_physical_plan(query, &state).await?;
        if let LogicalPlan::Explain(explain) = query {
            return Ok(match plan.downcast_ref::<ExplainExec>() {
                Some(plan) if explain.explain_format == ExplainFormat::Indent => {
                    Arc::new(self.with_cluster_line(plan, &cluster))
                }
                _ => plan,
            });
        }
        let plan = self.staging.stage(plan, self.client.address(), &state).await?;
        Ok(Arc::new(ClusterExec::new(plan, Arc::clone(&self.client), self.settings.progress.clone())))
    }
}

impl ClusterPlanner {
    /// The explanation of a plan, with the cluster that it runs on.
    fn with_cluster_line(&self, explain: &ExplainExec, cluster: &ClusterStatus) -> ExplainExec {
        let (address, executors, slots) = (self.client.address(), cluster.executors.len(), cluster.slots());
        let plans = explain.stringified_plans().iter().map(|plan| {
            if plan.plan_type != PlanType::FinalPhysicalPlan {
                return plan.clone();
            }
            let mut text = format!("ClusterExec: {address}, executors={executors}, slots={slots}\n");
            for line in plan.plan.lines() {
                text.extend(["  ", line, "\n"]);
            }
            StringifiedPlan::new(plan.plan_type.clone(), text)
        });
        ExplainExec::new(explain.schema(), plans.collect(), explain.verbose())
    }
}

/// Whether the query, or a part of it, scans a table.
fn scans_tables(query: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    query.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(_));
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    // `EXPLAIN` holds its query as a plan of its own.
    match query {
        LogicalPlan::Explain(explain) if !found => scans_tables(&explain.plan),
        _ => Ok(found),
    }
}

/// The plan as one for a cluster, if it is.
pub(crate) fn as_cluster_exec(plan: &Arc<dyn ExecutionPlan>) -> Option<&ClusterExec> {
    plan.downcast_ref::<ClusterExec>()
}
