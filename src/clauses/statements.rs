//! Clauses of statements that change tables or define something.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, plan_datafusion_err};
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, ColumnDef, ColumnOption, CreateFunction, CreateTable, CreateTableOptions,
    CreateView, Delete, FromTable, FunctionCalledOnNull, Insert, ObjectName, ObjectNamePart, ObjectType,
    Statement, TableConstraint, TableFactor, TableObject, Update,
};
use warpframe_datafusion::normalized_name;

use super::refuse::{INSTEAD_OF_COLLATE, refuse};

type Checked = ControlFlow<DataFusionError>;

/// What to do instead of changing a table by the rows of others.
const OTHER_TABLES: &str = "CREATE TABLE ... AS SELECT makes a table of the rows that are wanted";

/// What to do instead of getting rows from a statement that changes them.
const RETURNING: &str = "use SELECT for the rows";

const LEAVE_OUT: &str = "leave it out";

/// What to do instead of a condition for the rows of a table.
const CHECK: &str = "use WHERE in the query whose rows are inserted";

/// What to do instead of a key of another table.
const KEYS: &str = "leave it out: keys are not checked";

/// Checks the clauses of a statement itself; those of its queries are checked apart.
pub fn check_statement(statement: &Statement) -> Checked {
    match statement {
        Statement::Delete(delete) => check_delete(delete),
        Statement::Update(update) => check_update(update),
        Statement::Insert(insert) => check_insert(insert),
        Statement::CreateTable(table) => check_table(table),
        Statement::CreateView(view) => check_view(view),
        Statement::CreateFunction(function) => check_function(function),
        Statement::CreateSchema { with, options, default_collate_spec, clone, .. } => {
            let has_options = with.is_some() || options.is_some() || default_collate_spec.is_some();
            refuse([
                (has_options, "an option of CREATE SCHEMA", LEAVE_OUT),
                (clone.is_some(), "CLONE", "use CREATE TABLE ... AS SELECT for each table"),
            ])
        }
        Statement::CreateDatabase { db_name, if_not_exists, .. } => {
            let exists = if *if_not_exists { "IF NOT EXISTS " } else { "" };
            let is_plain = statement.to_string() == format!("CREATE DATABASE {exists}{db_name}");
            refuse([(!is_plain, "an option of CREATE DATABASE", LEAVE_OUT)])
        }
        Statement::Drop { object_type, names, cascade, purge, temporary, .. } => refuse([
            (names.len() > 1, "DROP of several names", "use a statement for each"),
            (
                *cascade && *object_type != ObjectType::Schema,
                "CASCADE",
                "leave it out, and drop the views that read the table by their names",
            ),
            (*purge, "PURGE", LEAVE_OUT),
            (*temporary, "TEMPORARY", LEAVE_OUT),
        ]),
        Statement::DropFunction(drop) => {
            refuse([(drop.func_desc.len() > 1, "DROP FUNCTION of several names", "use a statement for each")])
        }
        _ => ControlFlow::Continue(()),
    }
}

fn check_delete(delete: &Delete) -> Checked {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let is_joined = from.iter().any(|table| !table.joins.is_empty());
    let has_alias =
        from.iter().any(|table| matches!(&table.relation, TableFactor::Table { alias: Some(_), .. }));
    let is_several = from.len() > 1 || !delete.tables.is_empty();
    refuse([
        (delete.limit.is_some(), "LIMIT in DELETE", "name the rows in WHERE"),
        (!delete.order_by.is_empty(), "ORDER BY in DELETE", "name the rows in WHERE"),
        (delete.using.is_some() || is_joined || is_several, "DELETE with other tables", OTHER_TABLES),
        (has_alias, "another name of the table in DELETE", "use the table's own name"),
        (delete.returning.is_some() || delete.output.is_some(), "RETURNING in DELETE", RETURNING),
    ])
}

fn check_update(update: &Update) -> Checked {
    let is_joined = update.from.is_some() || !update.table.joins.is_empty();
    refuse([
        (update.limit.is_some(), "LIMIT in UPDATE", "name the rows in WHERE"),
        (!update.order_by.is_empty(), "ORDER BY in UPDATE", "name the rows in WHERE"),
        (is_joined, "UPDATE with other tables", OTHER_TABLES),
        (update.returning.is_some() || update.output.is_some(), "RETURNING in UPDATE", RETURNING),
        (update.or.is_some(), "OR in UPDATE", "constraints are not checked"),
    ])?;
    check_assignments(&update.table.relation, &update.assignments)
}

/// Checks that the columns are those of the table, each once: the planner looks at the last part of their names only.
fn check_assignments(table: &TableFactor, assignments: &[Assignment]) -> Checked {
    let mut seen = BTreeSet::new();
    for assignment in assignments {
        let AssignmentTarget::ColumnName(ObjectName(parts)) = &assignment.target else {
            return refuse([(true, "a list of columns in SET", "write SET a = ..., b = ...")]);
        };
        let Some((column, qualifier)) = parts.split_last() else { continue };
        let name = column.as_ident().map_or_else(|| column.to_string(), normalized_name);
        if !seen.insert(name) {
            return ControlFlow::Break(plan_datafusion_err!(
                "UPDATE sets the column {column} twice: leave one out"
            ));
        }
        let TableFactor::Table { name, alias, .. } = table else { continue };
        let is_of_table = match (qualifier, alias) {
            ([], _) => true,
            ([table], Some(alias)) => is_same(table, &ObjectNamePart::Identifier(alias.name.clone())),
            (_, None) if qualifier.len() <= name.0.len() => {
                qualifier.iter().rev().zip(name.0.iter().rev()).all(|(one, other)| is_same(one, other))
            }
            _ => false,
        };
        if !is_of_table {
            return ControlFlow::Break(plan_datafusion_err!(
                "UPDATE sets {}, which is no column of its table: write only the name of the column",
                assignment.target
            ));
        }
    }
    ControlFlow::Continue(())
}

/// Whether two parts of names are the same up to the case of their letters.
fn is_same(one: &ObjectNamePart, other: &ObjectNamePart) -> bool {
    let value = |part: &ObjectNamePart| part.as_ident().map(|ident| ident.value.to_lowercase());
    value(one) == value(other)
}

fn check_insert(insert: &Insert) -> Checked {
    let is_replacing = insert.or.is_some() || insert.replace_into || insert.ignore;
    let is_table = matches!(insert.table, TableObject::TableName(_));
    refuse([
        (!is_table, "INSERT into a query or a function", "name a table"),
        (
            insert.overwrite,
            "INSERT OVERWRITE",
            "use CREATE OR REPLACE TABLE ... AS SELECT, or COPY for files",
        ),
        (is_replacing, "INSERT with a conflict clause", "rows are always added"),
        (insert.on.is_some(), "ON CONFLICT", "rows are always added"),
        (insert.returning.is_some() || insert.output.is_some(), "RETURNING in INSERT", RETURNING),
        (insert.source.is_none(), "INSERT without rows", "use VALUES or SELECT"),
        (insert.partitioned.is_some(), "PARTITION in INSERT", "the columns of the rows decide"),
        (insert.table_alias.is_some(), "another name of the table in INSERT", LEAVE_OUT),
    ])
}

fn check_table(table: &CreateTable) -> Checked {
    let has_options = !matches!(table.table_options, CreateTableOptions::None);
    refuse([
        (table.temporary, "TEMPORARY", "leave it out: tables in memory end with the session"),
        (has_options, "an option of CREATE TABLE", "leave it out; CREATE EXTERNAL TABLE has OPTIONS"),
        (
            table.partition_by.is_some(),
            "PARTITION BY in CREATE TABLE",
            "leave it out; CREATE EXTERNAL TABLE has PARTITIONED BY",
        ),
        (table.comment.is_some(), "COMMENT", LEAVE_OUT),
        (table.like.is_some(), "LIKE in CREATE TABLE", "use CREATE TABLE ... AS SELECT * FROM t LIMIT 0"),
        (table.clone.is_some(), "CLONE", "use CREATE TABLE ... AS SELECT * FROM t"),
    ])?;
    check_columns(&table.columns, &table.constraints)
}

/// Checks the definitions of columns and the constraints of a table.
pub fn check_columns(columns: &[ColumnDef], constraints: &[TableConstraint]) -> Checked {
    for column in columns {
        for option in &column.options {
            let (clause, instead) = match &option.option {
                ColumnOption::Null
                | ColumnOption::NotNull
                | ColumnOption::Default(_)
                | ColumnOption::PrimaryKey(_)
                | ColumnOption::Unique(_) => continue,
                ColumnOption::Check(_) => ("CHECK", CHECK),
                ColumnOption::ForeignKey(_) => ("REFERENCES", KEYS),
                ColumnOption::Generated { .. }
                | ColumnOption::Identity(_)
                | ColumnOption::Materialized(_)
                | ColumnOption::Ephemeral(_)
                | ColumnOption::Alias(_) => {
                    ("a generated column", "compute it in the query, numbers with row_number() OVER ()")
                }
                ColumnOption::OnUpdate(_) => ("ON UPDATE", "set the column in UPDATE"),
                ColumnOption::Collation(_) => ("COLLATE", INSTEAD_OF_COLLATE),
                _ => {
                    return ControlFlow::Break(plan_datafusion_err!(
                        "{} cannot be used in the definition of the column {}: leave it out",
                        option.option,
                        column.name
                    ));
                }
            };
            refuse([(true, clause, instead)])?;
        }
    }
    let is_check = |constraint: &TableConstraint| matches!(constraint, TableConstraint::Check(_));
    let is_key = |constraint: &TableConstraint| matches!(constraint, TableConstraint::ForeignKey(_));
    let is_known = |constraint: &TableConstraint| {
        matches!(constraint, TableConstraint::PrimaryKey(_) | TableConstraint::Unique(_))
    };
    refuse([
        (constraints.iter().any(is_check), "CHECK", CHECK),
        (constraints.iter().any(is_key), "FOREIGN KEY", KEYS),
        (!constraints.iter().all(is_known), "an index", LEAVE_OUT),
    ])
}

/// Whether a table has keys, which the planner relies on.
pub fn has_keys(columns: &[ColumnDef], constraints: &[TableConstraint]) -> bool {
    let mut options = columns.iter().flat_map(|column| &column.options);
    let is_key =
        |option: &ColumnOption| matches!(option, ColumnOption::PrimaryKey(_) | ColumnOption::Unique(_));
    !constraints.is_empty() || options.any(|option| is_key(&option.option))
}

fn check_view(view: &CreateView) -> Checked {
    let has_options = !matches!(view.options, CreateTableOptions::None) || view.params.is_some();
    refuse([
        (view.materialized, "MATERIALIZED", "use CREATE TABLE ... AS SELECT"),
        (view.temporary, "TEMPORARY", "leave it out: views end with the session"),
        (view.or_alter, "OR ALTER", "use OR REPLACE"),
        (view.if_not_exists, "IF NOT EXISTS in CREATE VIEW", "use OR REPLACE"),
        (view.secure, "SECURE", LEAVE_OUT),
        (has_options, "an option of CREATE VIEW", LEAVE_OUT),
        (view.comment.is_some(), "COMMENT", LEAVE_OUT),
        (view.to.is_some(), "TO in CREATE VIEW", "use CREATE TABLE ... AS SELECT"),
    ])
}

fn check_function(function: &CreateFunction) -> Checked {
    let is_strict = matches!(
        function.called_on_null,
        Some(FunctionCalledOnNull::ReturnsNullOnNullInput | FunctionCalledOnNull::Strict)
    );
    refuse([
        (is_strict, "STRICT", "use CASE WHEN a IS NOT NULL THEN ... END"),
        (function.or_alter, "OR ALTER", "use OR REPLACE"),
        (function.if_not_exists, "IF NOT EXISTS in CREATE FUNCTION", "use OR REPLACE"),
        (function.temporary, "TEMPORARY", "leave it out: functions end with the session"),
        (!function.set_params.is_empty(), "SET in CREATE FUNCTION", LEAVE_OUT),
        (function.options.is_some(), "OPTIONS in CREATE FUNCTION", LEAVE_OUT),
    ])
}
