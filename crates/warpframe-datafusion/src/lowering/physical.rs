//! Lowers the expressions of physical operators: they are lowered as the logical expressions that they were planned from.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{BinaryExpr, Case, Cast, InList, ScalarFunction, TryCast};
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion::physical_expr::expressions as physical;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};

use super::lowered::{LowerResult, NotLowered, scalar_type};
use super::lowerer::Lowerer;
use super::work::Work;
use warpframe_ir::instruction::{Output, Value};
use warpframe_ir::program::Program;

/// The program of the outputs of an operator, in rows that pass its conditions.
#[derive(Debug, Clone)]
pub struct LoweredRows {
    /// The program: one output for each expression, and the conjunction of the conditions as the predicate.
    pub program: Program,
    /// The position of the column of the operator's input that each input of the program is.
    pub columns: Vec<usize>,
    /// The operations of the program, without those of the predicate.
    pub work: Work,
}

/// Lowers expressions over the columns of an operator's input, of rows in which the predicate is true.
///
/// Conditions of the predicate that cannot fail are computed first. One that can raises its error only in rows that pass all
/// conditions before it, and expressions only in rows that pass all.
///
/// # Errors
/// A part of an expression cannot be lowered.
pub fn lower_rows(
    schema: &Schema,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    expressions: &[Arc<dyn PhysicalExpr>],
) -> LowerResult<LoweredRows> {
    let columns = Columns::of(schema)?;
    let mut lowerer = Lowerer::new(&columns.schema);
    let conjunction = predicate.map(|predicate| columns.conditions(predicate)).transpose()?;
    let predicate = conjunction.map(|conditions| lowerer.lower_conjunction(&conditions)).transpose()?;
    lowerer.guard = predicate;
    lowerer.work = Work::default();
    let mut outputs = Vec::with_capacity(expressions.len());
    for expression in expressions {
        let expression = columns.logical(expression)?;
        let data_type = lowerer.data_type(&expression)?;
        if scalar_type(&data_type).is_none() {
            return Err(NotLowered::Type(data_type));
        }
        outputs.push(Output { value: lowerer.lower_expr(&expression)?, data_type });
    }
    columns.finish_rows(lowerer, outputs, predicate)
}

/// Lowers a predicate over the columns of an operator's input, to a program with one Boolean output. The order of its conditions
/// is as in [`lower_rows`].
///
/// # Errors
/// A part of the predicate cannot be lowered.
pub fn lower_condition(schema: &Schema, predicate: &Arc<dyn PhysicalExpr>) -> LowerResult<LoweredRows> {
    let columns = Columns::of(schema)?;
    let mut lowerer = Lowerer::new(&columns.schema);
    let value = lowerer.lower_conjunction(&columns.conditions(predicate)?)?;
    columns.finish_rows(lowerer, vec![Output { value, data_type: DataType::Boolean }], None)
}

impl Lowerer<'_> {
    /// The conjunction of conditions.
    fn lower_conjunction(&mut self, conditions: &[Expr]) -> LowerResult<Value> {
        let mut passed: Option<Value> = None;
        let mut failing = Vec::new();
        for condition in conditions {
            let (mark, traps) = (self.mark(), self.builder.traps());
            let value = self.lower_expr(condition)?;
            if self.builder.traps() > traps {
                self.rewind(mark);
                failing.push(condition);
            } else {
                passed = Some(self.and_guard(passed, value));
            }
        }
        for condition in failing {
            self.guard = passed;
            let value = self.lower_expr(condition)?;
            passed = Some(self.and_guard(passed, value));
        }
        passed.ok_or_else(|| NotLowered::Invalid("a predicate has no conditions".to_owned()))
    }
}

/// The columns of an operator's input, in the schema that expressions are lowered with: operators know columns by position, so
/// each has a name that contains it, as plans show it (`x@0`).
struct Columns {
    schema: DFSchema,
}

impl Columns {
    fn of(schema: &Schema) -> LowerResult<Self> {
        let fields = schema.fields().iter().enumerate();
        let fields: Vec<_> = fields
            .map(|(position, field)| {
                let name = format!("{}@{position}", field.name());
                Field::new(name, field.data_type().clone(), field.is_nullable())
            })
            .collect();
        let schema = DFSchema::try_from(Schema::new(fields));
        Ok(Self { schema: schema.map_err(|error| NotLowered::Invalid(error.strip_backtrace()))? })
    }

    fn finish_rows(
        &self,
        lowerer: Lowerer<'_>,
        outputs: Vec<Output>,
        predicate: Option<Value>,
    ) -> LowerResult<LoweredRows> {
        let (builder, inputs, work) = lowerer.into_parts();
        let program =
            builder.finish(outputs, predicate).map_err(|error| NotLowered::Invalid(error.to_string()))?;
        let columns = inputs.into_iter().map(|input| match input {
            Expr::Column(column) => self
                .schema
                .index_of_column(&column)
                .map_err(|error| NotLowered::Invalid(error.strip_backtrace())),
            other => Err(NotLowered::NoOp(other.to_string())),
        });
        Ok(LoweredRows { program, columns: columns.collect::<LowerResult<_>>()?, work })
    }

    /// The logical expressions of the conditions of a predicate.
    fn conditions(&self, predicate: &Arc<dyn PhysicalExpr>) -> LowerResult<Vec<Expr>> {
        split_conjunction(predicate).into_iter().map(|condition| self.logical(condition)).collect()
    }

    /// The logical expression of a physical one.
    fn logical(&self, expr: &Arc<dyn PhysicalExpr>) -> LowerResult<Expr> {
        let logical = |expr: &Arc<dyn PhysicalExpr>| self.logical(expr);
        let boxed = |expr: &Arc<dyn PhysicalExpr>| logical(expr).map(Box::new);
        let all =
            |exprs: &[Arc<dyn PhysicalExpr>]| exprs.iter().map(logical).collect::<LowerResult<Vec<_>>>();
        if let Some(column) = expr.downcast_ref::<physical::Column>() {
            let no_column = || NotLowered::Invalid(format!("there is no column {column}"));
            let field = self.schema.fields().get(column.index()).ok_or_else(no_column)?;
            return Ok(Expr::Column(Column::new_unqualified(field.name())));
        }
        if let Some(literal) = expr.downcast_ref::<physical::Literal>() {
            return Ok(Expr::Literal(literal.value().clone(), None));
        }
        if let Some(binary) = expr.downcast_ref::<physical::BinaryExpr>() {
            let (left, right) = (boxed(binary.left())?, boxed(binary.right())?);
            return Ok(Expr::BinaryExpr(BinaryExpr::new(left, *binary.op(), right)));
        }
        if let Some(cast) = expr.downcast_ref::<physical::CastExpr>()
            && !cast.cast_options().safe
        {
            return Ok(Expr::Cast(Cast::new(boxed(cast.expr())?, cast.cast_type().clone())));
        }
        if let Some(cast) = expr.downcast_ref::<physical::TryCastExpr>() {
            return Ok(Expr::TryCast(TryCast::new(boxed(cast.expr())?, cast.cast_type().clone())));
        }
        if let Some(negative) = expr.downcast_ref::<physical::NegativeExpr>() {
            return Ok(Expr::Negative(boxed(negative.arg())?));
        }
        if let Some(not) = expr.downcast_ref::<physical::NotExpr>() {
            return Ok(Expr::Not(boxed(not.arg())?));
        }
        if let Some(is_null) = expr.downcast_ref::<physical::IsNullExpr>() {
            return Ok(Expr::IsNull(boxed(is_null.arg())?));
        }
        if let Some(is_not_null) = expr.downcast_ref::<physical::IsNotNullExpr>() {
            return Ok(Expr::IsNotNull(boxed(is_not_null.arg())?));
        }
        if let Some(in_list) = expr.downcast_ref::<physical::InListExpr>() {
            return Ok(Expr::InList(InList::new(
                boxed(in_list.expr())?,
                all(in_list.list())?,
                in_list.negated(),
            )));
        }
        if let Some(case) = expr.downcast_ref::<physical::CaseExpr>() {
            let branches = case.when_then_expr().iter().map(|(when, then)| Ok((boxed(when)?, boxed(then)?)));
            let branches = branches.collect::<LowerResult<Vec<_>>>()?;
            let subject = case.expr().map(boxed).transpose()?;
            let otherwise = case.else_expr().map(boxed).transpose()?;
            return Ok(Expr::Case(Case::new(subject, branches, otherwise)));
        }
        if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
            let function = Arc::new(ScalarUDF::clone(call.fun()));
            return Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, all(call.args())?)));
        }
        Err(NotLowered::NoOp(expr.to_string()))
    }
}
