//! How people see plans, the results of `EXPLAIN` and `EXPLAIN ANALYZE`: as tables, in which nothing is cut off.

use datafusion::common::format::ExplainFormat;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Explain, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::explain::ExplainExec;

use super::format::Format;
use super::layout::text_width;

/// What a table with a plan has beside the column `plan`, in characters: the column `plan_type` and the borders.
const OTHER_COLUMNS: usize = "physical_plan".len() + 7;

/// Whether the result of a query is a plan.
pub fn is_plan(query: &DataFrame) -> bool {
    matches!(query.logical_plan(), LogicalPlan::Explain(_) | LogicalPlan::Analyze(_))
}

/// The format in which the result of a query is shown: plans for people are tables, not one line for each value, which would
/// tear them apart.
pub fn shown_format(query: &DataFrame, format: Format) -> Format {
    let is_for_people = match query.logical_plan() {
        LogicalPlan::Explain(explain) => {
            matches!(explain.explain_format, ExplainFormat::Indent | ExplainFormat::Tree)
        }
        LogicalPlan::Analyze(analyze) => analyze.format == ExplainFormat::Indent,
        _ => false,
    };
    if is_for_people && format == Format::Line { Format::Table } else { format }
}

/// For an `EXPLAIN` whose tree is wider than a terminal of this width, the same with the format INDENT.
pub fn narrower(query: &DataFrame, plan: &dyn ExecutionPlan, width: Option<usize>) -> Option<DataFrame> {
    let LogicalPlan::Explain(explain) = query.logical_plan() else { return None };
    let explained = plan.downcast_ref::<ExplainExec>()?;
    if explain.explain_format != ExplainFormat::Tree {
        return None;
    }
    let lines = explained.stringified_plans().iter().flat_map(|plan| plan.plan.lines());
    let widest = lines.map(text_width).max().unwrap_or(0);
    if widest + OTHER_COLUMNS <= width? {
        return None;
    }
    let indented = Explain { explain_format: ExplainFormat::Indent, ..explain.clone() };
    let (state, _) = query.clone().into_parts();
    Some(DataFrame::new(state, LogicalPlan::Explain(indented)))
}
