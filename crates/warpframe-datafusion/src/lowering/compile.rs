//! Compiles expressions that are evaluated directly on arrays, without a query.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Schema;
use datafusion::common::{DFSchema, DataFusionError, ExprSchema, Result, exec_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::lower::lower;
use crate::backends::Backends;
use crate::errors::datafusion_error;
use warpframe_ir::backend::{Evaluated, KernelContext};
use warpframe_ir::builder::Builder;
use warpframe_ir::instruction::{Input, Output};
use warpframe_ir::program::Program;

/// A program and the columns that it reads.
///
/// ```
/// use arrow::array::{ArrayRef, Float64Array};
/// use arrow::datatypes::{DataType, Field, Schema};
/// use datafusion::functions::expr_fn::sqrt;
/// use datafusion::prelude::col;
/// use std::sync::Arc;
/// use warpframe_datafusion::lowering::compile;
///
/// let schema = Schema::new(vec![Field::new("x", DataType::Float64, false)]);
/// let compiled = compile(&sqrt(col("x") * col("x")), &schema)?;
/// let x: ArrayRef = Arc::new(Float64Array::from(vec![3.0, -4.0]));
/// assert_eq!(compiled.evaluate(&[x])?.as_ref(), &Float64Array::from(vec![3.0, 4.0]));
/// # Ok::<(), datafusion::error::DataFusionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Compiled {
    /// The program.
    pub program: Arc<Program>,
    /// The column of each input, by name.
    pub columns: Vec<String>,
}

impl Compiled {
    /// Evaluates the program on arrays, one for each of its [columns](Self::columns), with the fastest backend of this
    /// machine.
    ///
    /// # Errors
    /// The arrays do not match the columns in number, type or length, or a row traps, such as by a division by zero.
    pub fn evaluate(&self, columns: &[ArrayRef]) -> Result<ArrayRef> {
        let rows = columns.first().map_or(1, |array| array.len());
        let kernel = Backends::shared_kernel(&ConfigOptions::default(), &self.program)?;
        let evaluated = kernel.evaluate(columns, rows, &KernelContext::default());
        evaluated.and_then(Evaluated::into_column).map_err(datafusion_error)
    }
}

/// Compiles an expression over the columns of a schema. Type coercion and simplification are those of a query;
/// [`Compiled::columns`] has the order of the inputs.
///
/// # Errors
/// A column is not in the schema, or a subexpression cannot be lowered.
pub fn compile(expr: &Expr, schema: &Schema) -> Result<Compiled> {
    let schema = DFSchema::try_from(schema.clone())?;
    let simplifier =
        ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build());
    let expr = simplifier.simplify(simplifier.coerce(expr.clone(), &schema)?)?;
    if let Expr::Column(column) = &expr {
        // A query has no function for it.
        let field = schema.field_from_column(column)?;
        let mut builder = Builder::new();
        let (data_type, nullable) = (field.data_type().clone(), field.is_nullable());
        let value = builder.add_input(Input { data_type: data_type.clone(), nullable });
        let program = builder.finish(vec![Output { value, data_type }], None).map_err(datafusion_error)?;
        return Ok(Compiled { columns: vec![column.name.clone()], program: Arc::new(program) });
    }
    let lowered = lower(&expr, &schema)
        .map_err(|reason| DataFusionError::Plan(format!("cannot compile {expr}: {reason}")))?;
    let columns = lowered.arguments.iter().map(|argument| match argument {
        Expr::Column(column) => Ok(column.name.clone()),
        other => exec_err!("cannot compile {expr}: programs have no instruction for {other}"),
    });
    Ok(Compiled { columns: columns.collect::<Result<_>>()?, program: Arc::new(lowered.program) })
}
