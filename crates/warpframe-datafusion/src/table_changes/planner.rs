//! The query planner of statements that change rows.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{Analyze, DmlStatement, EmptyRelation, Explain, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;

use super::change::Change;
use super::change_table_exec::ChangeTableExec;
use super::deferred_table::DeferredTable;
use crate::explain::ExplainPlanner;

/// A query planner whose plans of `DELETE`, `UPDATE` and `TRUNCATE` change rows when they are executed, in this process, and not
/// before: `EXPLAIN` changes nothing. A statement with a part that the table would not apply, such as a subquery, is an error. Other
/// statements have the plans of another planner.
pub struct PlanTableChanges {
    /// The other planner.
    pub planner: Arc<dyn QueryPlanner + Send + Sync>,
}

impl fmt::Debug for PlanTableChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanTableChanges").field("planner", &self.planner).finish()
    }
}

#[async_trait]
impl QueryPlanner for PlanTableChanges {
    async fn create_physical_plan(
        &self,
        query: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
            return internal_err!("the session is not a SessionState");
        };
        // The operator has one partition. Sessions with a cluster do not set the number before they plan.
        let state = || {
            let mut state = state.clone();
            state.config_mut().options_mut().execution.target_partitions = 1;
            state
        };
        match deferred(query, &state)? {
            Some(statement) => ExplainPlanner.create_physical_plan(&statement, &state()).await,
            None => self.planner.create_physical_plan(query, session).await,
        }
    }
}

/// The statement, or the explanation of one, with a [`DeferredTable`] in the place of the table that it changes; `None` if it
/// changes no rows.
fn deferred(query: &LogicalPlan, state: &impl Fn() -> SessionState) -> Result<Option<LogicalPlan>> {
    match query {
        LogicalPlan::Explain(explain) => Ok(deferred(&explain.plan, state)?
            .map(|plan| LogicalPlan::Explain(Explain { plan: Arc::new(plan), ..explain.clone() }))),
        LogicalPlan::Analyze(analyze) => Ok(deferred(&analyze.input, state)?
            .map(|input| LogicalPlan::Analyze(Analyze { input: Arc::new(input), ..analyze.clone() }))),
        LogicalPlan::Dml(statement) => {
            let Some(change) = Change::of(statement)? else { return Ok(None) };
            let table = source_as_provider(&statement.target)?;
            let schema = Arc::clone(statement.output_schema.inner());
            let operator = ChangeTableExec::new(statement.table_name.clone(), table, change, state(), schema);
            let table = DeferredTable { operator: Arc::new(operator) };
            // The operator reads the rows itself.
            let input =
                EmptyRelation { produce_one_row: false, schema: Arc::clone(statement.input.schema()) };
            Ok(Some(LogicalPlan::Dml(DmlStatement::new(
                statement.table_name.clone(),
                provider_as_source(Arc::new(table)),
                statement.op.clone(),
                Arc::new(LogicalPlan::EmptyRelation(input)),
            ))))
        }
        _ => Ok(None),
    }
}
