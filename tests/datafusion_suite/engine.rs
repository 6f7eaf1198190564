//! The two sessions, and statements in them.

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::Dialect;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};

use warpframe_datafusion::column_names::{Headings, plan_with_names};

use crate::tables;

/// The time that a statement may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A session without warpframe, or with it and with columns that are headed as written.
#[derive(Debug, Clone, Copy)]
pub enum Engine {
    DataFusion,
    Warpframe,
}

/// The result of a statement.
#[derive(Debug)]
pub struct Answer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// Whether the query says in which order the rows are.
    pub ordered: bool,
    /// Whether a part of the query is a fused function.
    pub fused: bool,
}

/// The result of a statement, or the message of the error.
pub type Outcome = Result<Answer, String>;

impl Engine {
    /// A new session, set up as DataFusion does for this file.
    pub fn context(self, file: &str) -> SessionContext {
        let mut config = SessionConfig::new().with_target_partitions(4);
        if file.starts_with("spark/") {
            config.options_mut().sql_parser.dialect = Dialect::Spark;
        }
        let state = SessionStateBuilder::new().with_config(config).with_default_features();
        let state = match self {
            Self::DataFusion => state,
            Self::Warpframe => warpframe_datafusion::install(state),
        };
        let context = SessionContext::new_with_state(state.build());
        tables::register(&context, file);
        context
    }

    /// Plans a statement, and runs one without rows.
    async fn plan(self, context: &SessionContext, sql: &str) -> Result<DataFrame> {
        match self {
            Self::DataFusion => context.sql(sql).await,
            Self::Warpframe => {
                let state = context.state();
                let dialect = state.config_options().sql_parser.dialect;
                let mut statement = state.sql_to_statement(sql, &dialect)?;
                let headings = Headings::of(&mut statement);
                let plan = plan_with_names(&state, &statement, &headings).await?;
                context.execute_logical_plan(plan).await
            }
        }
    }

    /// Runs a statement; a panic and a statement that takes too long are errors.
    pub async fn run(self, context: &SessionContext, sql: &str) -> Outcome {
        let (context, sql) = (context.clone(), sql.to_owned());
        let mut task = tokio::spawn(async move { self.answer(&context, &sql).await });
        match tokio::time::timeout(LIMIT, &mut task).await {
            Ok(Ok(outcome)) => outcome.map_err(|error| message(&error)),
            Ok(Err(panic)) => {
                // Not its own message, which has the number of the task.
                let payload = panic.into_panic();
                let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
                Err(format!("panic: {:?}", text.or_else(|| payload.downcast_ref::<String>().cloned())))
            }
            Err(_) => {
                task.abort();
                Err(format!("not done after {LIMIT:?}"))
            }
        }
    }

    async fn answer(self, context: &SessionContext, sql: &str) -> Result<Answer> {
        let query = self.plan(context, sql).await?;
        let ordered = is_ordered(query.logical_plan());
        let task = query.task_ctx().into();
        let plan = query.create_physical_plan().await?;
        let fused = displayable(plan.as_ref()).indent(false).to_string().contains("fused(");
        let schema = plan.schema();
        let batches = collect(plan, task).await?;
        Ok(Answer { schema, batches, ordered, fused })
    }
}

/// The message of an error, without what depends on the order of hash tables or on how much memory other tasks use: the
/// name that is suggested instead of an unknown one, details of plans, and numbers of bytes.
fn message(error: &DataFusionError) -> String {
    let root = error.find_root();
    if let DataFusionError::ResourcesExhausted(_) = root {
        return "resources are exhausted".to_owned();
    }
    let message = root.strip_backtrace();
    let end = ["\nDid you mean", ", operator: "].iter().filter_map(|words| message.find(words)).min();
    message[..end.unwrap_or(message.len())].to_owned()
}

/// Whether the rows of a query are sorted, and have the same order in every run. Rows of the information schema with equal keys
/// come in the order of a hash table.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => !plan.display_indent().to_string().contains("information_schema."),
        LogicalPlan::Projection(_) | LogicalPlan::Limit(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().all(is_ordered)
        }
        _ => false,
    }
}
