//! `* REPLACE (expression AS column)`. DataFusion ignores a replacement of a column that there is not.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, VisitorMut};
use warpframe_datafusion::{normalized_name, visit_statement};

/// The statement with each replaced column beside the wildcard, which fails if there is no such column, and the names of these
/// columns; `None` if nothing is replaced. It may fail for other reasons, such as `UNION`, too.
pub fn with_replaced_columns(statement: &mut Statement) -> Option<(Statement, HashSet<String>)> {
    // Most statements have none, and are not copied.
    if visit_statement(statement, &mut HasReplacement).is_continue() {
        return None;
    }
    let mut selecting = statement.clone();
    let mut columns = ReplacedColumns::default();
    let _: ControlFlow<()> = visit_statement(&mut selecting, &mut columns);
    Some((selecting, columns.names))
}

/// The columns that the wildcards of a `SELECT` replace.
fn replaced(select: &Select) -> impl Iterator<Item = &Ident> {
    let replacements = select.projection.iter().filter_map(|item| match item {
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
            options.opt_replace.as_ref()
        }
        _ => None,
    });
    replacements.flat_map(|replace| &replace.items).map(|element| &element.column_name)
}

/// Ends at a `SELECT` that replaces a column.
struct HasReplacement;

impl VisitorMut for HasReplacement {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        match replaced(select).next() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

#[derive(Default)]
struct ReplacedColumns {
    names: HashSet<String>,
    count: usize,
}

impl VisitorMut for ReplacedColumns {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let columns: Vec<_> = replaced(select).cloned().collect();
        for column in columns {
            self.names.insert(normalized_name(&column));
            self.count += 1;
            // A name that no other column has.
            let alias = Ident::with_quote('"', format!("replaced column {}", self.count));
            select.projection.push(SelectItem::ExprWithAlias { expr: Expr::Identifier(column), alias });
        }
        ControlFlow::Continue(())
    }
}
