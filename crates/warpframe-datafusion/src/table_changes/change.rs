//! What a statement changes, derived from its plan.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, Result, internal_err, not_impl_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, WriteOp, lit, when};

/// A change of the rows of a table. The columns in its expressions have no table names.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Rows are deleted: those for which the condition is true, or all.
    Delete(Option<Expr>),
    /// The columns of these names get values in the rows for which the condition is true, or in all.
    Update(Vec<(String, Expr)>, Option<Expr>),
    /// All rows are deleted.
    Truncate,
}

impl Change {
    /// The change that a statement makes; `None` for one that inserts or merges rows.
    ///
    /// # Errors
    /// The statement has a part that tables do not apply, such as a subquery.
    pub fn of(statement: &DmlStatement) -> Result<Option<Self>> {
        let verb = match &statement.op {
            WriteOp::Delete => "DELETE",
            WriteOp::Update => "UPDATE",
            WriteOp::Truncate => return Ok(Some(Self::Truncate)),
            _ => return Ok(None),
        };
        let rows = Rows::of(&statement.input, verb)?;
        let condition = rows.condition();
        if let WriteOp::Delete = statement.op {
            return Ok(Some(Self::Delete(condition)));
        }
        let fields = statement.target.schema();
        if rows.columns.len() != fields.fields().len() {
            return internal_err!(
                "an UPDATE has {} values for {} columns",
                rows.columns.len(),
                fields.fields().len()
            );
        }
        let values = fields.fields().iter().map(|field| field.name().clone()).zip(rows.columns);
        let is_kept = |name: &str, value: &Expr| *value == Expr::Column(Column::new_unqualified(name));
        Ok(Some(Self::Update(values.filter(|(name, value)| !is_kept(name, value)).collect(), condition)))
    }
}

impl Change {
    /// The same change, in which a condition is evaluated only in rows that those before it by AND do not rule out: AND of
    /// DataFusion evaluates both of its operands in all rows of a batch unless the first one decides most of them.
    ///
    /// # Errors
    /// A condition is not Boolean.
    pub fn with_conditions_in_order(self) -> Result<Self> {
        Ok(match self {
            Self::Delete(Some(condition)) => Self::Delete(Some(in_order(condition)?)),
            Self::Update(values, Some(condition)) => Self::Update(values, Some(in_order(condition)?)),
            other => other,
        })
    }

    /// What `EXPLAIN` shows: lines `key=value`.
    pub fn lines(&self) -> Vec<String> {
        let (op, values, condition) = match self {
            Self::Delete(condition) => ("delete", None, condition.as_ref()),
            Self::Update(values, condition) => ("update", Some(values), condition.as_ref()),
            Self::Truncate => ("truncate", None, None),
        };
        let mut lines = vec![format!("op={op}")];
        if let Some(values) = values {
            let values: Vec<_> = values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            lines.push(format!("set=[{}]", values.join(", ")));
        }
        lines.extend(condition.map(|condition| format!("where={condition}")));
        lines
    }
}

/// `CASE WHEN a THEN b ELSE false END` for `a AND b`, which is true in the same rows.
fn in_order(condition: Expr) -> Result<Expr> {
    let mut conditions = split_conjunction_owned(condition).into_iter().rev();
    let last = conditions.next().unwrap_or_else(|| lit(true));
    conditions.try_fold(last, |rest, condition| when(condition, rest).otherwise(lit(false)))
}

/// The rows of a plan over one table, in terms of the columns of the table.
struct Rows {
    /// The columns of the plan.
    columns: Vec<Expr>,
    /// The conditions of the rows.
    conditions: Vec<Expr>,
}

impl Rows {
    fn of(plan: &LogicalPlan, verb: &str) -> Result<Self> {
        match plan {
            LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
                let fields = scan.projected_schema.fields().iter();
                let columns = fields.map(|field| Expr::Column(Column::new_unqualified(field.name())));
                let mut rows = Self { columns: columns.collect(), conditions: Vec::new() };
                for filter in &scan.filters {
                    check(filter, verb)?;
                    // The column of a filter need not be among those that the scan returns.
                    rows.conditions.push(without_tables(filter.clone())?);
                }
                Ok(rows)
            }
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input, verb),
            LogicalPlan::Filter(filter) => {
                let mut rows = Self::of(&filter.input, verb)?;
                let condition = rows.resolve(&filter.predicate, filter.input.schema(), verb)?;
                rows.conditions.push(condition);
                Ok(rows)
            }
            LogicalPlan::Projection(projection) => {
                let rows = Self::of(&projection.input, verb)?;
                let resolve = |value: &Expr| rows.resolve(value, projection.input.schema(), verb);
                let columns = projection.expr.iter().map(resolve).collect::<Result<_>>()?;
                Ok(Self { columns, ..rows })
            }
            // What is left of a condition that is never true.
            LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row => {
                let fields = empty.schema.fields().iter();
                let columns = fields.map(|field| Expr::Column(Column::new_unqualified(field.name())));
                Ok(Self { columns: columns.collect(), conditions: vec![lit(false)] })
            }
            LogicalPlan::Limit(_) | LogicalPlan::TableScan(_) => {
                not_impl_err!("{verb} with LIMIT is not possible: name the rows in WHERE")
            }
            _ => not_impl_err!(
                "{verb} with a subquery or with other tables is not possible: CREATE TABLE AS SELECT makes a table of the rows that \
                 are wanted"
            ),
        }
    }

    fn condition(&self) -> Option<Expr> {
        conjunction(self.conditions.iter().cloned())
    }

    /// An expression over the columns of the plan, in terms of those of the table.
    fn resolve(&self, expr: &Expr, schema: &DFSchema, verb: &str) -> Result<Expr> {
        check(expr, verb)?;
        let replace = |part: Expr| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            match schema.maybe_index_of_column(column).and_then(|index| self.columns.get(index)) {
                Some(value) => Ok(Transformed::yes(value.clone())),
                None => internal_err!("the plan of {verb} has no column {column}"),
            }
        };
        expr.clone().unalias_nested().data.transform_up(replace).data()
    }
}

fn without_tables(expr: Expr) -> Result<Expr> {
    let strip = |part: Expr| match part {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    };
    expr.transform_up(strip).data()
}

/// Checks that an expression is over the columns of one table.
fn check(expr: &Expr, verb: &str) -> Result<()> {
    let is_subquery = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        ))
    };
    if expr.exists(|part| Ok(matches!(part, Expr::WindowFunction(_) | Expr::AggregateFunction(_))))? {
        return not_impl_err!(
            "{verb} with a window or aggregate function is not possible: CREATE TABLE AS SELECT makes a table of the rows that are \
             wanted"
        );
    }
    match expr.exists(is_subquery)? {
        true => not_impl_err!(
            "{verb} with a subquery is not possible: CREATE TABLE AS SELECT makes a table of the rows that are wanted"
        ),
        false => Ok(()),
    }
}
