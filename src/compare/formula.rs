//! The formula of a comparison: `log3`, or any expression over x, y and z; and conditions that rows must meet.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::formula_tree::{FormulaTree, NoTree};
use crate::session::Session;
use warpframe_datafusion::lowering::{Compiled, compile};

const LOG3: &str = "ln(x) * ln(y) * ln(z)";

/// The formula that the modes evaluate.
pub struct Formula {
    /// The SQL expression, which queries contain and reports show.
    pub sql: String,
    /// The compiled expression, for evaluation without the engine.
    pub compiled: Compiled,
    /// The expression for external tools, or the part that they do not have.
    pub tree: Result<FormulaTree, NoTree>,
}

impl Formula {
    /// Compiles an expression; without one, the formula is `log3`.
    pub fn new(expression: Option<&str>) -> Result<Self> {
        let sql = expression.unwrap_or(LOG3);
        let schema = schema(&["x", "y", "z"]);
        let (parsed, coerced) = parse(sql, &schema)?;
        let compiled = compile(&parsed, &schema)?;
        match compiled.program.data_type() {
            DataType::Float64 if compiled.columns.is_empty() => {
                plan_err!("the expression '{sql}' has none of the columns x, y and z")
            }
            DataType::Float64 => Ok(Self { sql: sql.to_owned(), compiled, tree: FormulaTree::new(&coerced) }),
            other => plan_err!("the expression '{sql}' is {other}: a comparison is of Float64 numbers"),
        }
    }

    /// Whether the formula is the reference workload.
    pub fn is_log3(&self) -> bool {
        self.sql == LOG3
    }
}

/// A schema of Float64 columns without nulls.
pub fn schema(columns: &[&str]) -> Schema {
    let fields = columns.iter().map(|name| Field::new(*name, DataType::Float64, false));
    Schema::new(fields.collect::<Vec<_>>())
}

/// An expression as it is written, and after type coercion and with the values of its constant parts.
pub fn parse(sql: &str, schema: &Schema) -> Result<(Expr, Expr)> {
    let schema = DFSchema::try_from(schema.clone())?;
    let parsed = Session::new()?.context().parse_sql_expr(sql, &schema)?;
    let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(parsed.clone(), &schema)?;
    let folded = coerced.transform_down(|part| match part.column_refs().is_empty() {
        true => Ok(Transformed::new(simplifier.simplify(part)?, true, TreeNodeRecursion::Jump)),
        false => Ok(Transformed::no(part)),
    })?;
    Ok((parsed, folded.data))
}
