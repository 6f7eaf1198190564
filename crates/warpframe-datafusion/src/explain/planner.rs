//! The planner of `EXPLAIN`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::format::ExplainFormat;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{Explain, LogicalPlan, PlanType, StringifiedPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::explain::ExplainExec;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use super::tree::plan_tree;

/// DataFusion's query planner, with the trees of [`plan_tree`] for `EXPLAIN FORMAT TREE`. What has no physical plan, such as
/// `CREATE TABLE`, is explained in the format INDENT.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExplainPlanner;

#[async_trait]
impl QueryPlanner for ExplainPlanner {
    async fn create_physical_plan(
        &self,
        query: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::default();
        match query {
            LogicalPlan::Explain(explain) if explain.explain_format == ExplainFormat::Tree => {
                if matches!(*explain.plan, LogicalPlan::Ddl(_) | LogicalPlan::Statement(_)) {
                    let indented = Explain { explain_format: ExplainFormat::Indent, ..explain.clone() };
                    return planner.create_physical_plan(&LogicalPlan::Explain(indented), session).await;
                }
                let plan = planner.create_physical_plan(&explain.plan, session).await?;
                Ok(explain_as_tree(explain, plan.as_ref(), session))
            }
            _ => planner.create_physical_plan(query, session).await,
        }
    }
}

/// The operator whose output is the tree of a plan, that of a query to explain.
pub fn explain_as_tree(
    explain: &Explain,
    plan: &dyn ExecutionPlan,
    session: &dyn Session,
) -> Arc<dyn ExecutionPlan> {
    let width = session.config_options().explain.tree_maximum_render_width;
    let tree = StringifiedPlan::new(PlanType::FinalPhysicalPlan, plan_tree(plan, width));
    Arc::new(ExplainExec::new(Arc::clone(explain.schema.inner()), vec![tree], explain.verbose))
}
