//! Clauses that DataFusion's planner does not read, or that it has no clear message for. Those that it does not read would be
//! ignored, and the result would be that of another statement.

mod refuse;
mod statements;

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, Expr, GroupByExpr, JoinOperator, LimitClause, Query, Select, SelectFlavor, SelectItem, TableFactor,
    VisitorMut, WildcardAdditionalOptions,
};
use warpframe_datafusion::visit_statement;

use refuse::{INSTEAD_OF_COLLATE, refuse};
pub use statements::has_keys;
use statements::{check_columns, check_statement};

/// Gives queries that begin with `FROM` and have no `SELECT` the projection `*`, as in DuckDB and ClickHouse.
///
/// # Errors
/// The statement has a clause that would be ignored.
pub fn check_clauses(statement: &mut Statement) -> Result<()> {
    let checked = match statement {
        Statement::CreateExternalTable(table) => check_columns(&table.columns, &table.constraints),
        Statement::Explain(explain) => return check_clauses(&mut explain.statement),
        _ => visit_statement(statement, &mut Clauses),
    };
    match checked {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Clauses;

impl VisitorMut for Clauses {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        let clauses = [
            (!query.locks.is_empty(), "FOR UPDATE and FOR SHARE", "rows are never locked"),
            (query.for_clause.is_some(), "FOR XML and FOR JSON", "choose the format of the output instead"),
            (query.settings.is_some(), "SETTINGS", "use SET before the query"),
            (query.format_clause.is_some(), "FORMAT", "choose the format of the output instead"),
            (query.fetch.is_some(), "FETCH", "use LIMIT"),
            (
                matches!(&query.limit_clause, Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty()),
                "LIMIT ... BY",
                "use QUALIFY row_number() OVER (PARTITION BY ... ORDER BY ...) <= n",
            ),
        ];
        refuse(clauses)
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        if select.flavor == SelectFlavor::FromFirstNoSelect && select.projection.is_empty() {
            select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
            select.flavor = SelectFlavor::FromFirst;
        }
        let modifiers = match &select.group_by {
            GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => modifiers,
        };
        let is_ilike = |item: &SelectItem| match item {
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                options.opt_ilike.is_some()
            }
            _ => false,
        };
        let mut joins = select.from.iter().flat_map(|table| &table.joins);
        let clauses = [
            (select.top.is_some(), "TOP", "use LIMIT"),
            (!select.sort_by.is_empty(), "SORT BY", "use ORDER BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY", "use ORDER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY", "leave it out"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW", "use unnest(...)"),
            (
                joins.any(|join| matches!(join.join_operator, JoinOperator::AsOf { .. })),
                "ASOF JOIN",
                "use JOIN with a condition, and QUALIFY row_number() OVER (...) = 1 for the nearest row",
            ),
            (select.prewhere.is_some(), "PREWHERE", "use WHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY", "use WITH RECURSIVE"),
            (
                !modifiers.is_empty(),
                "WITH ROLLUP, CUBE and TOTALS",
                "use GROUP BY ROLLUP (...) or CUBE (...)",
            ),
            (select.projection.iter().any(is_ilike), "* ILIKE", "name the columns, or use * EXCLUDE (...)"),
            (
                select.select_modifiers.as_ref().is_some_and(|modifiers| modifiers.is_any_set()),
                "a modifier of SELECT",
                "leave it out",
            ),
            (select.value_table_mode.is_some(), "SELECT AS VALUE and AS STRUCT", "use named_struct(...)"),
        ];
        refuse(clauses)
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<DataFusionError> {
        let (sample, others) = match table {
            TableFactor::Table {
                sample,
                with_hints,
                version,
                partitions,
                json_path,
                index_hints,
                with_ordinality,
                ..
            } => (
                sample.is_some(),
                [
                    (*with_ordinality, "WITH ORDINALITY behind a table", "use row_number() OVER ()"),
                    (!with_hints.is_empty(), "WITH (...) behind a table", "leave it out"),
                    (version.is_some(), "a version of a table", "tables have one version"),
                    (!partitions.is_empty(), "PARTITION (...) behind a table", "use WHERE"),
                    (json_path.is_some(), "a path in a table", "leave it out"),
                    (!index_hints.is_empty(), "an index hint", "leave it out"),
                ],
            ),
            TableFactor::Derived { sample, .. } => (sample.is_some(), [(false, "", ""); 6]),
            TableFactor::Pivot { .. } => {
                return refuse([(
                    true,
                    "PIVOT",
                    "use GROUP BY with an aggregate for each column, as in sum(v) FILTER (WHERE k = 1)",
                )]);
            }
            TableFactor::Unpivot { .. } => {
                return refuse([(
                    true,
                    "UNPIVOT",
                    "use a SELECT for each column, with UNION ALL between them",
                )]);
            }
            TableFactor::MatchRecognize { .. } => {
                return refuse([(true, "MATCH_RECOGNIZE", "use window functions")]);
            }
            _ => return ControlFlow::Continue(()),
        };
        refuse([(sample, "TABLESAMPLE", "use WHERE random() < 0.01 for about 1 % of the rows")])?;
        refuse(others)
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        refuse([(matches!(expr, Expr::Collate { .. }), "COLLATE", INSTEAD_OF_COLLATE)])
    }

    fn pre_visit_statement(&mut self, statement: &mut ast::Statement) -> ControlFlow<DataFusionError> {
        check_statement(statement)
    }
}
