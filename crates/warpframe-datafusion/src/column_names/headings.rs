//! Headings of result columns: the text of the expressions.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    self, CreateTable, CreateView, Expr, Ident, Insert, OrderByKind, Query, Select, SelectItem, SetExpr,
    TableFactor, TableWithJoins,
};

use crate::normalized_name::normalized_name;

/// The names of the columns of a statement that are neither columns of a table nor named by `AS`: the texts of their expressions. Names
/// that `AS` gives to the columns of the result keep their letters.
///
/// ```text
/// SELECT x+1, sum(y) FROM t GROUP BY x+1
/// SELECT x+1 AS "x + 1", sum(y) AS "sum(y)" FROM t GROUP BY x+1
/// ```
///
/// Texts have the names of the statement in its letters, and keywords and spaces as the SQL parser prints them. They are the same
/// after a change of the statement that keeps its `SELECT` items, such as the replacement of a table's name. If a text is the name
/// of another column of the same `SELECT`, `_1`, `_2` and so on is added to it.
///
/// Columns have headings in queries whose columns users see or name: the statement itself, `WITH`, and subqueries in `FROM`; not in
/// subqueries of expressions.
#[derive(Debug, Clone, Default)]
pub struct Headings {
    /// For each `SELECT`, in the order of [`visit_selects`], the headings of its items; `None` for an item that keeps its name.
    selects: Vec<Vec<Option<String>>>,
}

impl Headings {
    /// The headings of a statement. It is only read: visitors of parsed statements take them mutably.
    pub fn of(statement: &mut Statement) -> Self {
        let mut selects = Vec::new();
        visit_selects(statement, &mut |select| selects.push(headings(select)));
        Self { selects }
    }

    /// Names the columns.
    pub fn apply(&self, statement: &mut Statement) {
        let mut selects = self.selects.iter();
        visit_selects(statement, &mut |select| {
            for (item, heading) in select.projection.iter_mut().zip(selects.next().into_iter().flatten()) {
                if let (SelectItem::UnnamedExpr(expr), Some(heading)) = (&mut *item, heading) {
                    let expr = std::mem::replace(expr, Expr::value(ast::Value::Null));
                    *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', heading) };
                }
            }
        });
        if let Some(query) = result_query(statement) {
            keep_letters(query);
        }
    }
}

/// The query whose result users see, and no other statement refers to.
fn result_query(statement: &mut Statement) -> Option<&mut Query> {
    match statement {
        Statement::Statement(statement) => match &mut **statement {
            ast::Statement::Query(query) => Some(query),
            _ => None,
        },
        Statement::Explain(explain) => result_query(&mut explain.statement),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => Some(query),
            CopyToSource::Relation(_) => None,
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => None,
    }
}

/// Quotes the names that `AS` gives to columns of the result, so that they keep their letters: SQL makes names without quotes
/// lower-case. Those in `ORDER BY` become the same, unless another column of the result has exactly the name. A name that `GROUP BY` or
/// another clause refers to stays, since it may be that of a column of a table.
fn keep_letters(query: &mut Query) {
    let SetExpr::Select(select) = &mut *query.body else { return };
    let mut referred = HashSet::new();
    let mut refer = |expr: &Expr| {
        if let Expr::Identifier(ident) = expr {
            referred.insert(ident.value.to_lowercase());
        }
        ControlFlow::Continue(())
    };
    let _: ControlFlow<()> = ast::visit_expressions(&select.group_by, &mut refer);
    let _: ControlFlow<()> = ast::visit_expressions(&select.distinct, &mut refer);
    for clause in select.having.iter().chain(&select.qualify) {
        let _: ControlFlow<()> = ast::visit_expressions(clause, &mut refer);
    }
    let order = query.order_by.iter().flat_map(|order| match &order.kind {
        OrderByKind::Expressions(keys) => &keys[..],
        OrderByKind::All(_) => &[],
    });
    // A wildcard may have any column.
    let has_wildcard = select
        .projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    for key in order.filter(|key| has_wildcard || has_subquery(&key.expr)) {
        let _: ControlFlow<()> = ast::visit_expressions(&key.expr, &mut refer);
    }
    let (mut quoted, mut others) = (HashMap::new(), HashSet::new());
    for item in &mut select.projection {
        match item {
            SelectItem::ExprWithAlias { alias, .. }
                if alias.quote_style.is_none()
                    && alias.value.chars().any(char::is_uppercase)
                    && !referred.contains(&alias.value.to_lowercase()) =>
            {
                alias.quote_style = Some('"');
                quoted.insert(alias.value.to_lowercase(), alias.value.clone());
            }
            other => others.extend(own_name(other)),
        }
    }
    let Some(order) = &mut query.order_by else { return };
    let _: ControlFlow<()> = ast::visit_expressions_mut(order, |expr| {
        if let Expr::Identifier(ident) = expr
            && ident.quote_style.is_none()
            && let lower_case = ident.value.to_lowercase()
            && let Some(name) = quoted.get(&lower_case)
            && (ident.value == *name || !others.contains(&lower_case))
        {
            *ident = Ident::with_quote('"', name);
        }
        ControlFlow::Continue(())
    });
}

fn has_subquery(expr: &Expr) -> bool {
    let found = ast::visit_expressions(expr, |part| match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The headings of the items of a `SELECT`.
fn headings(select: &Select) -> Vec<Option<String>> {
    let mut taken: HashSet<String> = select.projection.iter().filter_map(own_name).collect();
    let items = select.projection.iter().map(|item| match item {
        SelectItem::UnnamedExpr(expr) if has_heading(expr) => {
            let text = expr.to_string();
            let mut numbered = (1_u64..).map(|number| format!("{text}_{number}"));
            let mut heading = text.clone();
            while taken.contains(&heading) {
                heading = numbered.next()?;
            }
            taken.insert(heading.clone());
            Some(heading)
        }
        _ => None,
    });
    items.collect()
}

/// The name that an item has without a heading, as far as its text tells.
fn own_name(item: &SelectItem) -> Option<String> {
    let ident = match item {
        SelectItem::ExprWithAlias { alias, .. } => alias,
        SelectItem::UnnamedExpr(expr) => column(expr)?,
        _ => return None,
    };
    Some(normalized_name(ident))
}

/// The name of the column that an expression is.
fn column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(idents) => idents.last(),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

/// Whether the column of an expression is headed by its text: columns of tables have names.
fn has_heading(expr: &Expr) -> bool {
    match expr {
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => false,
        other => column(other).is_none(),
    }
}

/// Calls `visit` for each `SELECT` whose columns have headings, always in the same order.
fn visit_selects(statement: &mut Statement, visit: &mut dyn FnMut(&mut Select)) {
    match statement {
        Statement::Statement(statement) => visit_statement(statement, visit),
        Statement::Explain(explain) => visit_selects(&mut explain.statement, visit),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => visit_query(query, visit),
            CopyToSource::Relation(_) => {}
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => {}
    }
}

fn visit_statement(statement: &mut ast::Statement, visit: &mut dyn FnMut(&mut Select)) {
    match statement {
        ast::Statement::Query(query) => visit_query(query, visit),
        ast::Statement::CreateView(CreateView { query, .. }) => visit_query(query, visit),
        ast::Statement::CreateTable(CreateTable { query: Some(query), .. })
        | ast::Statement::Insert(Insert { source: Some(query), .. }) => visit_query(query, visit),
        ast::Statement::Explain { statement, .. } | ast::Statement::Prepare { statement, .. } => {
            visit_statement(statement, visit);
        }
        _ => {}
    }
}

fn visit_query(query: &mut Query, visit: &mut dyn FnMut(&mut Select)) {
    for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
        visit_query(&mut table.query, visit);
    }
    let mut body = &mut *query.body;
    // A loop over left operands: chains of UNION can be long.
    while let SetExpr::SetOperation { left, right, .. } = body {
        visit_body(right, visit);
        body = left;
    }
    visit_body(body, visit);
}

fn visit_body(body: &mut SetExpr, visit: &mut dyn FnMut(&mut Select)) {
    match body {
        SetExpr::Select(select) => {
            visit(select);
            for table in &mut select.from {
                visit_tables(table, visit);
            }
        }
        SetExpr::Query(query) => visit_query(query, visit),
        SetExpr::SetOperation { left, right, .. } => {
            visit_body(left, visit);
            visit_body(right, visit);
        }
        _ => {}
    }
}

fn visit_tables(tables: &mut TableWithJoins, visit: &mut dyn FnMut(&mut Select)) {
    let joined = tables.joins.iter_mut().map(|join| &mut join.relation);
    for table in std::iter::once(&mut tables.relation).chain(joined) {
        match table {
            TableFactor::Derived { subquery, .. } => visit_query(subquery, visit),
            TableFactor::NestedJoin { table_with_joins, .. } => visit_tables(table_with_joins, visit),
            _ => {}
        }
    }
}
