//! `SHOW FUNCTIONS` with all functions. DataFusion leaves out those whose parameters may have any types, such as `log3` and the
//! functions of `CREATE FUNCTION`.

use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, ShowStatementFilter};

/// The pattern of a `SHOW FUNCTIONS` with or without `LIKE`; `None` for other statements.
pub fn show_functions_pattern(statement: &Statement) -> Option<String> {
    let Statement::Statement(statement) = statement else { return None };
    match &**statement {
        ast::Statement::ShowFunctions { filter: None } => Some("%".to_owned()),
        ast::Statement::ShowFunctions { filter: Some(ShowStatementFilter::Like(pattern)) } => {
            Some(pattern.clone())
        }
        _ => None,
    }
}

/// Adds the functions that `plan`, the plan of DataFusion for `SHOW FUNCTIONS LIKE 'pattern'`, leaves out.
///
/// # Errors
/// The information schema is disabled.
pub async fn with_all_functions(
    state: &SessionState,
    plan: LogicalPlan,
    pattern: &str,
) -> Result<LogicalPlan> {
    let pattern = pattern.replace('\'', "''");
    // The types of the parameters are those of the columns of DataFusion's plan.
    let missing = format!(
        "SELECT DISTINCT routine_name, data_type, arrow_cast(NULL, 'List(Utf8)') AS parameters, \
         arrow_cast(NULL, 'List(Utf8)') AS parameter_types, \
         function_type, description, syntax_example \
         FROM information_schema.routines WHERE routine_name LIKE '{pattern}' AND function_type <> 'TABLE' \
         AND routine_name NOT IN (SELECT specific_name FROM information_schema.parameters WHERE parameter_mode = 'IN')"
    );
    let missing = state.create_logical_plan(&missing).await?;
    LogicalPlanBuilder::from(plan).union(missing)?.build()
}
