//! Files as tables of one statement: `SELECT * FROM 'data/*.parquet'`, `SELECT * FROM read_csv('a.csv', header => false)`.

use std::ops::ControlFlow;
#[cfg(feature = "cli")]
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::{DataFusionError, Result, TableReference};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, FunctionArg, Ident, ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, VisitorMut,
};
use warpframe_datafusion::visit_statement;
use warpframe_io::{ReadOptions, open_tables};

use crate::read_functions::{Files, read_call};

/// Numbers the tables of this process, so that statements that are planned at the same time do not share them.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The tables that stand for the files of a statement. They are registered until the value is dropped; a plan keeps those that it
/// reads.
pub struct FileTables<'a> {
    context: &'a SessionContext,
    names: Vec<String>,
}

impl<'a> FileTables<'a> {
    /// Opens the files that a statement names in the place of tables, and gives them the names of tables. Names in single quotes
    /// are files, and those in double quotes that are no tables and have a `/`, a `.` or a `*`: paths, globs and URLs as
    /// [`open_tables`] takes them. So are the arguments of [functions that read files](read_call). Columns can be qualified by
    /// [`table_name`] of the path.
    ///
    /// # Errors
    /// Nothing matches a name, an argument is not valid, or the files cannot be read or do not fit together.
    pub async fn open(context: &'a SessionContext, statement: &mut Statement) -> Result<Self> {
        let mut finder = Finder { context, queries: Vec::new(), found: Vec::new() };
        if let ControlFlow::Break(error) = visit_statement(statement, &mut finder) {
            return Err(error);
        }
        let mut tables = Self { context, names: Vec::new() };
        for (files, name) in finder.found {
            let table = open_tables(context, &files.paths, &files.options).await?;
            context.register_table(TableReference::bare(name.clone()), table.provider)?;
            tables.names.push(name);
        }
        Ok(tables)
    }
}

impl Drop for FileTables<'_> {
    fn drop(&mut self) {
        for name in self.names.drain(..) {
            // Fails only if the default schema has been dropped.
            let _ = self.context.deregister_table(TableReference::bare(name));
        }
    }
}

/// The name of a table for the files at a path, or `None` for a pattern: the name of the file or folder up to its first dot, in lower
/// case and with `_` for what a name in SQL cannot have.
pub fn table_name(path: &str) -> Option<String> {
    let last = path.trim_end_matches('/').rsplit('/').next()?;
    let stem = last.split('.').find(|part| !part.is_empty())?;
    if stem.contains(['*', '?', '[']) {
        return None;
    }
    let mut name = stem.to_lowercase().replace(|character: char| !character.is_alphanumeric(), "_");
    if name.starts_with(|character: char| character.is_ascii_digit()) {
        name.insert(0, '_');
    }
    Some(name)
}

/// Finds files in the place of tables, and replaces them by names of tables.
struct Finder<'a> {
    context: &'a SessionContext,
    /// The names of the queries in `WITH`, which are no files.
    queries: Vec<String>,
    /// The files, and the names of their tables.
    found: Vec<(Files, String)>,
}

impl Finder<'_> {
    /// The path that a name stands for; `None` for the name of a table.
    fn path(&self, name: &ObjectName) -> Option<String> {
        let [ObjectNamePart::Identifier(Ident { value, quote_style, .. })] = &name.0[..] else { return None };
        match quote_style {
            _ if self.queries.contains(value) => None,
            Some('\'') => Some(value.clone()),
            Some('"') if value.contains(['/', '.', '*']) => {
                let exists = self.context.table_exist(TableReference::bare(value.as_str()));
                (!exists.unwrap_or(false)).then(|| value.clone())
            }
            _ => None,
        }
    }

    /// Replaces the name of files, and returns the path.
    fn replace(&mut self, name: &mut ObjectName) -> Option<String> {
        let path = self.path(name)?;
        *name = self.table(Files { paths: vec![path.clone()], options: ReadOptions::default() });
        Some(path)
    }

    /// The name of the table for files.
    fn table(&mut self, files: Files) -> ObjectName {
        let known = self.found.iter().find(|(known, _)| *known == files).map(|(_, table)| table.clone());
        let table = known.unwrap_or_else(|| {
            let table = format!("{} #{}", files.paths.join(", "), NEXT.fetch_add(1, Ordering::Relaxed));
            self.found.push((files, table.clone()));
            table
        });
        ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote('"', table))])
    }

    /// The files that a call of a function reads; `None` if the function is another one.
    fn called(&self, name: &ObjectName, arguments: &[FunctionArg]) -> Result<Option<Files>> {
        let [ObjectNamePart::Identifier(Ident { value, .. })] = &name.0[..] else { return Ok(None) };
        // A function of this name that a program has registered is meant.
        match self.context.state_ref().read().table_functions().contains_key(value) {
            true => Ok(None),
            false => read_call(value, arguments),
        }
    }
}

impl VisitorMut for Finder<'_> {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.queries.extend(named.map(|table| table.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<DataFusionError> {
        let TableFactor::Table { name, alias, args, .. } = table else { return ControlFlow::Continue(()) };
        let path = match args {
            None => self.replace(name),
            Some(arguments) => match self.called(name, &arguments.args) {
                Err(error) => return ControlFlow::Break(error),
                Ok(None) => None,
                Ok(Some(files)) => {
                    let path = files.paths.first().cloned();
                    (*name, *args) = (self.table(files), None);
                    path
                }
            },
        };
        if let Some(path) = path {
            let default = table_name(&path).unwrap_or_else(|| "files".to_owned());
            alias.get_or_insert_with(|| TableAlias {
                explicit: true,
                name: Ident::with_quote('"', default),
                columns: Vec::new(),
                at: None,
            });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut ast::Statement) -> ControlFlow<DataFusionError> {
        if let ast::Statement::ExplainTable { table_name, .. } = statement {
            self.replace(table_name);
        }
        ControlFlow::Continue(())
    }
}

/// The name and path of a table in `NAME=PATH` or `PATH`, whose name is [`table_name`]. A text that is the path of a file, and whose end
/// is not, is a path.
///
/// # Errors
/// The name or the path is empty, or the path is a pattern without a name.
#[cfg(feature = "cli")]
pub fn named_table(text: &str) -> Result<(String, &str)> {
    let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '\\', ':', '*', '?', '[']);
    match text.split_once('=') {
        // A file in the folder of a partition, such as k=1/a.csv.
        Some((_, path)) if Path::new(text).exists() && !Path::new(path).exists() => {}
        Some((name, path)) if is_name(name) && !path.is_empty() => return Ok((name.to_owned(), path)),
        Some((name, path)) if name.is_empty() || path.is_empty() => {
            return datafusion::common::plan_err!("a table is NAME=PATH or PATH, not '{text}'");
        }
        _ => {}
    }
    match table_name(text) {
        Some(name) => Ok((name, text)),
        None => datafusion::common::plan_err!("'{text}' does not name the table: use NAME={text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_by_their_files() {
        let name = |text: &str| named_table(text).ok().map(|(name, path)| (name, path.to_owned()));
        let named = |name: &str, path: &str| Some((name.to_owned(), path.to_owned()));
        assert_eq!(name("t=a/b.parquet"), named("t", "a/b.parquet"));
        assert_eq!(name("t=a/month=1/b.parquet"), named("t", "a/month=1/b.parquet"));
        assert_eq!(name("a/month=1/b.parquet"), named("b", "a/month=1/b.parquet"));
        assert_eq!(name("a/My File.v2.parquet"), named("my_file", "a/My File.v2.parquet"));
        assert_eq!(name("s3://bucket/data/"), named("data", "s3://bucket/data/"));
        assert_eq!(name("2024.csv"), named("_2024", "2024.csv"));
        for wrong in ["data/*.parquet", "=a.csv", "t=", "/"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }
}
