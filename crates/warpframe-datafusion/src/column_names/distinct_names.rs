//! Names for result columns that DataFusion would give the name of another one.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, OrderByKind, Query, Select, SelectItem, SetExpr, VisitorMut, visit_expressions_mut,
};

use crate::normalized_name::normalized_name;
use crate::visit_statement::visit_statement;

/// The ways to give the columns of a query distinct names, in the order in which to try them.
pub const NAMINGS: [Naming; 2] = [Naming::Columns, Naming::Casts];

/// A way to give the columns of a query distinct names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Columns with casts or subqueries whose names are those of other columns, also of columns that only `ORDER BY` reads, are
    /// named by their text:
    ///
    /// ```text
    /// SELECT x, CAST(x AS DOUBLE) FROM t
    /// SELECT x, CAST(x AS DOUBLE) AS "CAST(x AS DOUBLE)" FROM t
    /// ```
    Columns,
    /// All such columns are named by their text, and casts become calls of a function that does nothing, for aggregate
    /// functions and group keys, which have no names in SQL:
    ///
    /// ```text
    /// SELECT sum(x), sum(CAST(x AS DOUBLE)) FROM t
    /// SELECT sum(x), sum(coalesce(CAST(x AS DOUBLE))) AS "sum(CAST(x AS DOUBLE))" FROM t
    /// ```
    Casts,
}

/// Gives columns that have casts or subqueries other names than DataFusion does: it leaves these out of names, and refuses two
/// columns of one name (apache/datafusion#13558).
///
/// Returns whether it has changed the statement.
pub fn give_distinct_names(statement: &mut Statement, naming: Naming) -> bool {
    let mut names = Namer { naming, changed: false };
    let _: ControlFlow<()> = visit_statement(statement, &mut names);
    let mut casts = Casts::default();
    if naming == Naming::Casts {
        let _: ControlFlow<()> = visit_statement(statement, &mut casts);
    }
    names.changed || !casts.known.is_empty()
}

struct Namer {
    naming: Naming,
    changed: bool,
}

impl VisitorMut for Namer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut ordered_by = Vec::new();
        if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) {
            let mut keys: Vec<_> = keys.iter().map(|key| key.expr.clone()).collect();
            let _: ControlFlow<()> = visit_expressions_mut(&mut keys, |expr| {
                ordered_by.push(name_without_casts(expr));
                ControlFlow::Continue(())
            });
        }
        self.name_in(&mut query.body, &ordered_by);
        ControlFlow::Continue(())
    }
}

/// Puts calls of a function that does nothing around casts, for each cast another number of them: it has a name of its own then.
#[derive(Default)]
struct Casts {
    /// The texts of the casts so far.
    known: Vec<String>,
}

impl VisitorMut for Casts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { .. } = expr {
            let text = expr.to_string();
            let position = self.known.iter().position(|known| *known == text).unwrap_or_else(|| {
                self.known.push(text);
                self.known.len() - 1
            });
            for _ in 0..=position {
                *expr = coalesce(std::mem::replace(expr, Expr::value(ast::Value::Null)));
            }
        }
        ControlFlow::Continue(())
    }
}

impl Namer {
    fn name_in(&mut self, body: &mut SetExpr, ordered_by: &[String]) {
        match body {
            SetExpr::Select(select) => self.name_in_select(select, ordered_by),
            SetExpr::SetOperation { left, right, .. } => {
                self.name_in(left, ordered_by);
                self.name_in(right, ordered_by);
            }
            _ => {}
        }
    }

    fn name_in_select(&mut self, select: &mut Select, ordered_by: &[String]) {
        let names: Vec<_> = select.projection.iter().map(item_name).collect();
        for (position, item) in select.projection.iter_mut().enumerate() {
            let (SelectItem::UnnamedExpr(expr), Some(Some(name))) = (&*item, names.get(position)) else {
                continue;
            };
            let mut others = names.iter().enumerate().filter(|(other, _)| *other != position);
            // A wildcard may have any column.
            let collides = others.any(|(_, other)| other.as_ref().is_none_or(|other| other == name));
            let named = self.naming == Naming::Casts || collides || ordered_by.contains(name);
            if named && has_incomplete_name(expr) {
                let alias = Ident::with_quote('"', expr.to_string());
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                self.changed = true;
            }
        }
    }
}

/// The name of a column, but for its table; `None` for a wildcard.
fn item_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(name_without_casts(expr)),
        SelectItem::ExprWithAlias { alias, .. } => Some(normalized(alias).to_string()),
        _ => None,
    }
}

/// The text of an expression without its casts and subqueries, and with columns as unqualified names.
fn name_without_casts(expr: &Expr) -> String {
    let mut expr = expr.clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        match part {
            Expr::Cast { expr: inner, .. } | Expr::Nested(inner) => {
                let inner = std::mem::replace(&mut **inner, Expr::value(ast::Value::Null));
                *part = inner;
            }
            Expr::CompoundIdentifier(idents) => {
                if let Some(last) = idents.pop() {
                    *part = Expr::Identifier(normalized(&last));
                }
            }
            Expr::Identifier(ident) => *ident = normalized(ident),
            Expr::Subquery(_) | Expr::Exists { .. } => *part = Expr::Identifier(Ident::new("<subquery>")),
            Expr::InSubquery { expr, negated, .. } => {
                let list = vec![Expr::Identifier(Ident::new("<subquery>"))];
                *part = Expr::InList { expr: expr.clone(), list, negated: *negated };
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    expr.to_string()
}

/// A call of `coalesce` with one argument, whose value it is.
fn coalesce(argument: Expr) -> Expr {
    let arguments = FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))],
        clauses: Vec::new(),
    };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("coalesce")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(arguments),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Whether DataFusion leaves a part out of the name of an expression: a cast or a subquery.
fn has_incomplete_name(expr: &Expr) -> bool {
    let mut found = false;
    let _: ControlFlow<()> = ast::visit_expressions(expr, |part| {
        found |= matches!(
            part,
            Expr::Cast { .. } | Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. }
        );
        ControlFlow::Continue(())
    });
    found
}

fn normalized(ident: &Ident) -> Ident {
    Ident::with_quote('"', normalized_name(ident))
}
