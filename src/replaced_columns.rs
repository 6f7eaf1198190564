//! `* REPLACE (expression AS column)`. DataFusion ignores a replacement of a column that there is not.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, VisitorMut};
use warpframe_datafusion::visit_statement;

/// The statement with each replaced column beside the wildcard, which fails if there is no such column, and the names of these
/// columns; `None` if nothing is replaced. It may fail for other reasons, such as `UNION`, too.
pub fn with_replaced_columns(statement: &Statement) -> Option<(Statement, HashSet<String>)> {
    let mut selecting = statement.clone();
    let mut columns = ReplacedColumns::default();
    let _: ControlFlow<()> = visit_statement(&mut selecting, &mut columns);
    (!columns.names.is_empty()).then_some((selecting, columns.names))
}

#[derive(Default)]
struct ReplacedColumns {
    names: HashSet<String>,
    count: usize,
}

impl VisitorMut for ReplacedColumns {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut added = Vec::new();
        for item in &select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                added.extend(options.opt_replace.iter().flat_map(|replace| &replace.items));
            }
        }
        let added: Vec<_> = added.into_iter().map(|element| element.column_name.clone()).collect();
        for column in added {
            self.names.insert(match column.quote_style {
                Some(_) => column.value.clone(),
                None => column.value.to_lowercase(),
            });
            self.count += 1;
            // A name that no other column has.
            let alias = Ident::with_quote('"', format!("replaced column {}", self.count));
            select.projection.push(SelectItem::ExprWithAlias { expr: Expr::Identifier(column), alias });
        }
        ControlFlow::Continue(())
    }
}
