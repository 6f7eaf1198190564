//! Columns that a query names in other cases than they have. SQL makes names without quotes lower-case, so `Amount` does not
//! find a column `Amount`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Location;
use warpframe_datafusion::visit_statement;

/// If planning the statement has failed because there is no such column, and exactly one column has that name in another
/// case, replaces the name in the statement. Returns whether it has.
pub fn correct_case(statement: &mut Statement, error: &DataFusionError) -> bool {
    let DataFusionError::SchemaError(schema_error, _) = error.find_root() else { return false };
    let [name] = &names_in_other_case(schema_error)[..] else { return false };
    let SchemaError::FieldNotFound { field, .. } = schema_error.as_ref() else { return false };
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let place = span.map(|span| Location { line: span.start.line, column: span.start.column });
    let mut corrector = Corrector { wrong: &field.name, right: name, place, changed: false };
    let _: ControlFlow<()> = visit_statement(statement, &mut corrector);
    corrector.changed
}

/// The columns that have the name of a column that was not found in another case.
pub fn names_in_other_case(error: &SchemaError) -> Vec<String> {
    let SchemaError::FieldNotFound { field, valid_fields } = error else { return Vec::new() };
    let names: BTreeSet<_> = valid_fields.iter().map(|valid| &valid.name).collect();
    let in_other_case =
        |name: &&String| **name != field.name && name.to_lowercase() == field.name.to_lowercase();
    names.into_iter().filter(in_other_case).cloned().collect()
}

struct Corrector<'a> {
    wrong: &'a str,
    right: &'a str,
    /// Where the name is, if the error tells.
    place: Option<Location>,
    changed: bool,
}

impl Corrector<'_> {
    fn correct(&mut self, first: Option<Location>, name: &mut Ident) {
        let is_here = self.place.is_none_or(|place| Some(place) == first || place == name.span.start);
        if is_here && name.quote_style.is_none() && name.value.to_lowercase() == self.wrong {
            self.right.clone_into(&mut name.value);
            name.quote_style = Some('"');
            self.changed = true;
        }
    }
}

impl VisitorMut for Corrector<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.correct(None, name),
            Expr::CompoundIdentifier(parts) => {
                let first = parts.first().map(|part| part.span.start);
                if let Some(name) = parts.last_mut() {
                    self.correct(first, name);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
