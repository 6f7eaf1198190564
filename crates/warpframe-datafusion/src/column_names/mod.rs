//! Names of result columns, which need the text of a statement.
//!
//! [`Headings`] names columns as the user wrote them. [`give_distinct_names`] names columns that DataFusion would give the name of
//! another one. [`plan_with_names`] plans a statement with both.

mod distinct_names;
mod headings;

use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::sql::parser::Statement;

pub use self::distinct_names::{NAMINGS, Naming, give_distinct_names};
pub use self::headings::Headings;

/// Plans a statement whose columns are headed as the user wrote them.
///
/// A statement that cannot be planned so is planned with DataFusion's names: it may use one of them, such as that in
/// `SELECT "sum(t.x)" FROM (SELECT sum(x) FROM t)`. If that fails too, it may be because DataFusion gives two columns of a query one
/// name, as those of `SELECT x, CAST(x AS DOUBLE)`: then the statement is planned with distinct names.
///
/// # Errors
/// The statement is not valid. The error is that of the statement without headings.
pub async fn plan_with_names(
    state: &SessionState,
    statement: &Statement,
    headings: &Headings,
) -> Result<LogicalPlan> {
    let headed = || {
        let mut headed = statement.clone();
        headings.apply(&mut headed);
        headed
    };
    if let Ok(mut plan) = state.statement_to_plan(headed()).await {
        if let LogicalPlan::Ddl(DdlStatement::CreateView(view)) = &mut plan {
            // Views are defined by what the user wrote.
            view.definition = Some(statement.to_string());
        }
        return Ok(plan);
    }
    let error = match state.statement_to_plan(statement.clone()).await {
        Ok(plan) => return Ok(plan),
        Err(error) => error,
    };
    for naming in NAMINGS {
        for mut named in [headed(), statement.clone()] {
            if give_distinct_names(&mut named, naming)
                && let Ok(plan) = state.statement_to_plan(named).await
            {
                return Ok(plan);
            }
        }
    }
    Err(error)
}
