//! `* REPLACE (expression AS column)`. DataFusion ignores a replacement of a column that there is not, but not an exclusion.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, ObjectName, Select, SelectItem, VisitorMut, WildcardAdditionalOptions,
};
use warpframe_datafusion::visit_statement;

/// The statement with `* EXCLUDE (column)` instead of replacements, which fails if there is no such column; `None` if it has no
/// replacement.
pub fn replacements_as_exclusions(statement: &Statement) -> Option<Statement> {
    let mut excluding = statement.clone();
    let mut exclusions = Exclusions { changed: false };
    let _: ControlFlow<()> = visit_statement(&mut excluding, &mut exclusions);
    exclusions.changed.then_some(excluding)
}

struct Exclusions {
    changed: bool,
}

impl Exclusions {
    fn exclude(&mut self, options: &mut WildcardAdditionalOptions) {
        let Some(replaced) = options.opt_replace.take() else { return };
        let mut names = match options.opt_exclude.take() {
            Some(ExcludeSelectItem::Single(name)) => vec![name],
            Some(ExcludeSelectItem::Multiple(names)) => names,
            None => Vec::new(),
        };
        names.extend(replaced.items.into_iter().map(|item| ObjectName::from(vec![item.column_name])));
        options.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
        self.changed = true;
    }
}

impl VisitorMut for Exclusions {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                self.exclude(options);
            }
        }
        ControlFlow::Continue(())
    }
}
