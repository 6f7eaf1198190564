//! The plan of a summary: one aggregation of all columns, whose row becomes a row for each column.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Column, Result, plan_err};
use datafusion::datasource::ViewTable;
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident, lit};

use super::FUNCTION;
use super::statistics::{COLUMNS, Statistics};

/// The column of the rows while they are values of one row.
const ROWS: &str = "rows";

/// The columns that precede [`COLUMNS`].
const NAME_AND_TYPE: [&str; 2] = ["name", "type"];

/// The table function `summarize(query)`.
#[derive(Debug)]
pub struct Summarize;

impl TableFunctionImpl for Summarize {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        match arguments.exprs() {
            [Expr::Exists(query)] => {
                let plan = summary(query.subquery.subquery.as_ref().clone())?;
                Ok(Arc::new(ViewTable::new(plan, None)))
            }
            _ => plan_err!(
                "{FUNCTION} takes a table, a file or a query: use {FUNCTION}(t), {FUNCTION}('file.parquet') or \
                 {FUNCTION}((SELECT ...))"
            ),
        }
    }
}

/// The plan of the statistics of the columns of a plan.
///
/// # Errors
/// The plan has no columns.
pub fn summary(plan: LogicalPlan) -> Result<LogicalPlan> {
    if plan.schema().fields().is_empty() {
        return plan_err!("there are no columns to summarize");
    }
    let (mut aggregates, mut rows) = (Vec::new(), Vec::new());
    for (qualifier, field) in plan.schema().iter() {
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        let statistics = Statistics::new(column, field.data_type());
        let data_type = field.data_type().to_string();
        let mut row =
            vec![lit(NAME_AND_TYPE[0]), lit(field.name().as_str()), lit(NAME_AND_TYPE[1]), lit(data_type)];
        let results = statistics.aggregates()?.map(|aggregate| {
            let alias = format!("aggregate {}", aggregates.len());
            aggregates.push(aggregate?.alias(alias.as_str()));
            Some(ident(alias))
        });
        for ((name, _), value) in COLUMNS.iter().zip(statistics.values(results)?) {
            row.extend([lit(*name), value]);
        }
        rows.push(named_struct(row));
    }
    let columns = NAME_AND_TYPE.into_iter().chain(COLUMNS.iter().map(|(name, _)| *name));
    let columns = columns.map(|name| ident(format!("{ROWS}.{name}")).alias(name));
    LogicalPlanBuilder::from(plan)
        .aggregate(Vec::<Expr>::new(), aggregates)?
        .project([make_array(rows).alias(ROWS)])?
        // From the list to a structure in each row, and from structures to columns.
        .unnest_column(ROWS)?
        .unnest_column(ROWS)?
        .project(columns.collect::<Vec<_>>())?
        .build()
}
