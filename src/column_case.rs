//! Columns that a query names without quotes. SQL makes such names lower-case, so `Amount` does not find a column `Amount`, and finds
//! `amount` if a table has both.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, SchemaError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, AssignmentTarget, ExceptSelectItem, ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator,
    ObjectName, ObjectNamePart, Select, SelectItem, TableWithJoins, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use warpframe_datafusion::column_names::{Headings, plan_with_names};
use warpframe_datafusion::visit_statement;

use crate::replaced_columns::with_replaced_columns;

/// The greatest number of columns whose names are corrected in a statement.
const MAX_CORRECTIONS: usize = 1000;

/// Plans a statement. If it names columns without quotes in another case than they have, it is planned with the names that they have.
pub async fn plan_statement(
    state: &SessionState,
    mut statement: Statement,
    headings: &Headings,
) -> Result<LogicalPlan> {
    let planned = plan_with_corrections(state, &mut statement, headings, Correct::Unquoted).await;
    let is_changed = match &planned {
        // A column with exactly the name that is written comes before the one in lower-case letters. Where a table has only the
        // latter, the name is corrected again.
        Ok(plan) => quote_exact_names(&mut statement, plan),
        // Two names that differ in case only may be those of two columns.
        Err(_) => quote_capitals(&mut statement, |_| true),
    };
    if !is_changed {
        return planned;
    }
    plan_with_corrections(state, &mut statement, headings, Correct::All).await.or(planned)
}

/// Plans a statement, and corrects the case of names of columns that there are not.
async fn plan_with_corrections(
    state: &SessionState,
    statement: &mut Statement,
    headings: &Headings,
    correct: Correct,
) -> Result<LogicalPlan> {
    for _ in 0..MAX_CORRECTIONS {
        match plan_as_written(state, statement, headings).await {
            Err(error) if correct_case(statement, &error, correct) => {}
            other => return other,
        }
    }
    plan_as_written(state, statement, headings).await
}

/// Plans a statement with the names that it has.
async fn plan_as_written(
    state: &SessionState,
    statement: &mut Statement,
    headings: &Headings,
) -> Result<LogicalPlan> {
    if let Some((selecting, names)) = with_replaced_columns(statement)
        && let Err(error) = state.statement_to_plan(selecting).await
        && let DataFusionError::SchemaError(schema_error, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, .. } = schema_error.as_ref()
        && names.contains(&field.name)
    {
        return Err(error);
    }
    plan_with_names(state, statement, headings).await
}

/// Which names are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Correct {
    /// Names without quotes.
    Unquoted,
    /// All, because the statement was planned before with the names that its user has quoted.
    All,
}

/// If planning the statement has failed because there is no such column, and exactly one column has that name in another
/// case, replaces the name in the statement. Returns whether it has.
fn correct_case(statement: &mut Statement, error: &DataFusionError, correct: Correct) -> bool {
    let DataFusionError::SchemaError(schema_error, _) = error.find_root() else { return false };
    let [name] = &names_in_other_case(schema_error)[..] else { return false };
    let SchemaError::FieldNotFound { field, .. } = schema_error.as_ref() else { return false };
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let place = span.map(|span| Location { line: span.start.line, column: span.start.column });
    let mut changed = false;
    visit_columns(statement, |first, column| {
        let is_here = place.is_none_or(|place| Some(place) == first || place == column.span.start);
        let is_free = correct == Correct::All || column.quote_style.is_none();
        if is_here
            && is_free
            && column.value != *name
            && column.value.to_lowercase() == field.name.to_lowercase()
        {
            name.clone_into(&mut column.value);
            column.quote_style = Some('"');
            changed = true;
        }
    });
    changed
}

/// If a table of a plan has both a column that the statement names with capital letters and the one in lower-case letters that was
/// found instead, quotes the name in the statement. Returns whether it has.
fn quote_exact_names(statement: &mut Statement, plan: &LogicalPlan) -> bool {
    let is_exact = |name: &str| {
        let mut found = false;
        let visited = plan.apply_with_subqueries(|node| {
            let schema = match node {
                LogicalPlan::TableScan(scan) => Some(scan.source.schema()),
                LogicalPlan::Dml(change) => Some(change.target.schema()),
                _ => None,
            };
            let has =
                |name: &str| schema.as_ref().is_some_and(|schema| schema.column_with_name(name).is_some());
            found |= has(name) && has(&name.to_lowercase());
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        found && visited.is_ok()
    };
    quote_capitals(statement, is_exact)
}

/// Quotes names with capital letters that satisfy a condition. Returns whether there are any.
fn quote_capitals(statement: &mut Statement, condition: impl Fn(&str) -> bool) -> bool {
    let mut changed = false;
    visit_columns(statement, |_, column| {
        let has_capitals = column.value.chars().any(char::is_uppercase);
        if has_capitals && column.quote_style.is_none() && condition(&column.value) {
            column.quote_style = Some('"');
            changed = true;
        }
    });
    changed
}

/// The columns that have the name of a column that was not found in another case.
pub fn names_in_other_case(error: &SchemaError) -> Vec<String> {
    let SchemaError::FieldNotFound { field, valid_fields } = error else { return Vec::new() };
    let names: BTreeSet<_> = valid_fields.iter().map(|valid| &valid.name).collect();
    let in_other_case =
        |name: &&String| **name != field.name && name.to_lowercase() == field.name.to_lowercase();
    names.into_iter().filter(in_other_case).cloned().collect()
}

/// Calls a function with each name of a column in a statement, and with the place where a name with several parts begins.
fn visit_columns(statement: &mut Statement, function: impl FnMut(Option<Location>, &mut Ident)) {
    let _: ControlFlow<()> = visit_statement(statement, &mut Columns(function));
}

struct Columns<F>(F);

impl<F: FnMut(Option<Location>, &mut Ident)> Columns<F> {
    fn visit(&mut self, column: &mut Ident) {
        (self.0)(None, column);
    }

    fn visit_name(&mut self, name: &mut ObjectName) {
        if let Some(ObjectNamePart::Identifier(column)) = name.0.last_mut() {
            self.visit(column);
        }
    }

    fn visit_wildcard(&mut self, options: &mut WildcardAdditionalOptions) {
        match &mut options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => self.visit_name(name),
            Some(ExcludeSelectItem::Multiple(names)) => {
                names.iter_mut().for_each(|name| self.visit_name(name))
            }
            None => {}
        }
        if let Some(ExceptSelectItem { first_element, additional_elements }) = &mut options.opt_except {
            self.visit(first_element);
            additional_elements.iter_mut().for_each(|column| self.visit(column));
        }
        for element in options.opt_replace.iter_mut().flat_map(|replace| &mut replace.items) {
            self.visit(&mut element.column_name);
        }
    }

    fn visit_joins(&mut self, tables: &mut TableWithJoins) {
        for join in &mut tables.joins {
            if let JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::LeftSemi(constraint)
            | JoinOperator::RightSemi(constraint)
            | JoinOperator::LeftAnti(constraint)
            | JoinOperator::RightAnti(constraint) = &mut join.join_operator
                && let JoinConstraint::Using(columns) = constraint
            {
                columns.iter_mut().for_each(|name| self.visit_name(name));
            }
        }
    }
}

impl<F: FnMut(Option<Location>, &mut Ident)> VisitorMut for Columns<F> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &mut ast::Statement) -> ControlFlow<()> {
        match statement {
            ast::Statement::Insert(insert) => {
                insert.columns.iter_mut().for_each(|name| self.visit_name(name));
            }
            ast::Statement::Update(update) => {
                for assignment in &mut update.assignments {
                    match &mut assignment.target {
                        AssignmentTarget::ColumnName(name) => self.visit_name(name),
                        AssignmentTarget::Tuple(names) => {
                            names.iter_mut().for_each(|name| self.visit_name(name));
                        }
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                self.visit_wildcard(options);
            }
        }
        select.from.iter_mut().for_each(|tables| self.visit_joins(tables));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.visit(name),
            Expr::CompoundIdentifier(parts) => {
                let first = parts.first().map(|part| part.span.start);
                if let Some(name) = parts.last_mut() {
                    (self.0)(first, name);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
