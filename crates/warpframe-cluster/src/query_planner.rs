//! The query planner of sessions with a cluster. It plans a query with DataFusion's planner for the slots of the cluster,
//! and wraps the plan of a query that scans tables in a [`ClusterExec`]. The executors write the files of `COPY` and
//! `INSERT`; rows that are inserted into other tables, such as those in memory, come to this process.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::planner::scans_only_information_schema;
use datafusion::catalog::Session;
use datafusion::common::format::ExplainFormat;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{LogicalPlan, PlanType, StringifiedPlan};
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::explain::ExplainExec;
use datafusion::physical_plan::{ExecutionPlan, displayable, replace_children_if_necessary};

use super::client::ClusterClient;
use super::cluster_copy_exec::ClusterCopyExec;
use super::cluster_exec::ClusterExec;
use super::memtable_staging::MemTableStaging;
use super::scan_formats::check_scan_formats;
use super::settings::ClusterSettings;
use super::status::ClusterStatus;
use warpframe_datafusion::explain::{DisplayNode, ExplainPlanner, explain_as_tree};
use warpframe_io::{reads_stream, staged_copy_sink};

/// The number of partitions for each slot of the cluster. More than one, so that the loss of an executor and unequal
/// partitions cost less.
const PARTITIONS_PER_SLOT: usize = 2;

/// The value of `datafusion.execution.target_partitions` in sessions whose user has not set it: the number then depends
/// on the cluster's slots when a query is planned.
pub(super) const AUTOMATIC_PARTITIONS: usize = 0;

/// The query planner of sessions with a cluster.
pub(super) struct ClusterPlanner {
    client: Arc<ClusterClient>,
    settings: ClusterSettings,
    staging: MemTableStaging,
}

impl ClusterPlanner {
    /// A planner for a cluster.
    pub fn new(settings: ClusterSettings) -> Self {
        let client = ClusterClient::new(settings.address.clone())
            .with_token(settings.token.clone())
            .with_tls(settings.tls.clone())
            .with_local_work_dir(settings.local_work_dir.clone());
        let client = Arc::new(client);
        let staging = MemTableStaging::new(settings.staging_dir.clone());
        Self { client, settings, staging }
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
        let local = ExplainPlanner;
        let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
            return internal_err!("the session is not a SessionState");
        };
        let mut state = state.clone();
        let is_automatic = state.config().target_partitions() == AUTOMATIC_PARTITIONS;
        if is_automatic {
            // For what is planned for this process.
            set_partitions(&mut state, std::thread::available_parallelism().map_or(1, usize::from));
        }
        if let LogicalPlan::Analyze(analyze) = query {
            let input = self.create_physical_plan(&analyze.input, session).await?;
            let input = analyzed(&input)?;
            let plan = local.create_physical_plan(query, &state).await?;
            return match plan.downcast_ref::<AnalyzeExec>() {
                Some(_) => replace_children_if_necessary(Arc::clone(&plan), vec![input]),
                None => internal_err!("EXPLAIN ANALYZE is not planned as AnalyzeExec"),
            };
        }
        if !scans_tables(query)? || scans_only_information_schema(query)? {
            return local.create_physical_plan(query, &state).await;
        }
        let cluster = self.client.wait_for_executors(self.settings.wait).await?;
        if is_automatic {
            set_partitions(&mut state, (cluster.slots() * PARTITIONS_PER_SLOT).max(1));
        }
        if let LogicalPlan::Explain(explain) = query
            && explain.explain_format == ExplainFormat::Tree
            && !matches!(*explain.plan, LogicalPlan::Ddl(_))
        {
            let plan = local.create_physical_plan(&explain.plan, &state).await?;
            let root = self.cluster_node(&cluster).with_inputs(vec![plan]);
            return Ok(explain_as_tree(explain, &root, &state));
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
        if plan.exists(|operator| Ok(reads_stream(operator.as_ref())))? {
            return plan_err!(
                "the standard input cannot be read on a cluster: write it to a file that the executors can read"
            );
        }
        check_scan_formats(&plan)?;
        let plan = self.staging.stage(plan, self.client.address(), &state).await?;
        let query = |plan| ClusterExec::new(plan, Arc::clone(&self.client), self.settings.progress.clone());
        let Some(operator) = plan.downcast_ref::<DataSinkExec>() else { return Ok(Arc::new(query(plan))) };
        let rows = query(Arc::clone(operator.input()));
        match staged_copy_sink(operator) {
            Some(sink) => Ok(Arc::new(ClusterCopyExec::new(rows, sink.clone()))),
            None => replace_children_if_necessary(Arc::clone(&plan), vec![Arc::new(rows)]),
        }
    }
}

/// A copy of a plan for `EXPLAIN ANALYZE`, in which the operators that run on the cluster report their metrics.
fn analyzed(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(copy) = plan.downcast_ref::<ClusterCopyExec>() {
        return Ok(Arc::new(copy.analyzed()));
    }
    if let Some(query) = as_cluster_exec(plan) {
        return Ok(Arc::new(query.analyzed()));
    }
    let children = plan.children().into_iter().map(analyzed).collect::<Result<_>>()?;
    replace_children_if_necessary(Arc::clone(plan), children)
}

fn set_partitions(state: &mut SessionState, partitions: usize) {
    state.config_mut().options_mut().execution.target_partitions = partitions;
}

impl ClusterPlanner {
    /// The cluster as the root of a plan.
    fn cluster_node(&self, cluster: &ClusterStatus) -> DisplayNode {
        let (address, executors, slots) = (self.client.address(), cluster.executors.len(), cluster.slots());
        DisplayNode::new("ClusterExec")
            .with_line(format!("ClusterExec: {address}, executors={executors}, slots={slots}"))
            .with_tree_lines(format!("address={address}\nexecutors={executors}\nslots={slots}"))
    }

    /// The explanation of a plan, with the cluster as its root.
    fn with_cluster_line(&self, explain: &ExplainExec, cluster: &ClusterStatus) -> ExplainExec {
        let root = displayable(&self.cluster_node(cluster)).one_line().to_string();
        let plans = explain.stringified_plans().iter().map(|plan| {
            if plan.plan_type != PlanType::FinalPhysicalPlan {
                return plan.clone();
            }
            let mut text = root.clone();
            for line in plan.plan.lines() {
                text.extend(["  ", line, "\n"]);
            }
            StringifiedPlan::new(plan.plan_type.clone(), text)
        });
        ExplainExec::new(explain.schema(), plans.collect(), explain.verbose())
    }
}

/// Whether a query or one of its subqueries scans a table.
fn scans_tables(query: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    query.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(_));
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    // The plan of `EXPLAIN` is not among its inputs.
    match query {
        LogicalPlan::Explain(explain) if !found => scans_tables(&explain.plan),
        _ => Ok(found),
    }
}

/// The [`ClusterExec`] that a plan is, or `None` if it does not run on a cluster.
pub fn as_cluster_exec(plan: &Arc<dyn ExecutionPlan>) -> Option<&ClusterExec> {
    plan.downcast_ref::<ClusterExec>()
}
