//! The walk over an expression: each node is lowered to instructions or becomes an input.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::expression_type::data_type;
use super::lowered::{LowerResult, Lowered, NotLowered, describe, scalar_type};
use super::work::Work;
use warpframe_ir::builder::{self, Builder};
use warpframe_ir::instruction::{Input, Output, Value};
use warpframe_ir::{RowTrap, Scalar, ScalarType, Trap};

/// Deeper subexpressions become inputs. This bounds the recursion and its stack.
const MAX_DEPTH: usize = 100;

/// The state while an expression is lowered.
///
/// Methods that lower a node return `None` if there is no lowering for it. An error means that there is one, but that it
/// cannot be used here.
pub(super) struct Lowerer<'a> {
    pub builder: Builder,
    pub work: Work,
    /// Whether DataFusion evaluates the current subexpression in some rows only.
    pub conditional: bool,
    /// The condition under which a CASE evaluates the current subexpression; `None` for all rows.
    pub guard: Option<Value>,
    schema: &'a DFSchema,
    inputs: Vec<(Expr, Value)>,
    /// The depth of the current subexpression.
    depth: usize,
}

/// A state of a lowerer.
pub(super) struct Mark {
    builder: builder::Mark,
    inputs: usize,
    work: Work,
}

impl<'a> Lowerer<'a> {
    pub fn new(schema: &'a DFSchema) -> Self {
        Self {
            builder: Builder::new(),
            work: Work::default(),
            conditional: false,
            guard: None,
            schema,
            inputs: Vec::new(),
            depth: 0,
        }
    }

    /// The program with this output, of the type of the lowered expression.
    pub fn finish(self, output: Value, data_type: DataType) -> LowerResult<Lowered> {
        let outputs = vec![Output { value: output, data_type }];
        let (builder, arguments, work) = self.into_parts();
        let program =
            builder.finish(outputs, None).map_err(|error| NotLowered::Invalid(error.to_string()))?;
        Ok(Lowered { program, arguments, work })
    }

    pub fn data_type(&self, expr: &Expr) -> LowerResult<DataType> {
        data_type(expr, self.schema)
    }

    /// The type of an expression and of its values in programs; `None` for types without one.
    pub fn types(&self, expr: &Expr) -> LowerResult<Option<(DataType, ScalarType)>> {
        let data_type = self.data_type(expr)?;
        Ok(scalar_type(&data_type).map(|scalar_type| (data_type, scalar_type)))
    }

    /// The common type of expressions and of their values in programs; `None` if there is none.
    pub fn common_types<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> LowerResult<Option<(DataType, ScalarType)>> {
        let mut common = None;
        for expr in exprs {
            match (self.types(expr)?, &common) {
                (Some(types), None) => common = Some(types),
                (Some(types), Some(known)) if types == *known => {}
                _ => return Ok(None),
            }
        }
        Ok(common)
    }

    /// Lowers the root of the expression. In contrast to subexpressions, it cannot become an input.
    pub fn lower_root(&mut self, expr: &Expr) -> LowerResult<Value> {
        let expected = scalar_type(&self.data_type(expr)?);
        match self.lower_operation(expr)? {
            Some(value) if Some(self.builder.scalar_type(value)) == expected => Ok(value),
            _ => Err(NotLowered::NoOp(describe(expr))),
        }
    }

    /// Lowers a subexpression to instructions if there is a lowering and its depth permits it, otherwise to an input. The
    /// value has the type that [`scalar_type`] names for that of the expression.
    pub fn lower_expr(&mut self, expr: &Expr) -> LowerResult<Value> {
        let data_type = self.data_type(expr)?;
        let Some(scalar_type) = scalar_type(&data_type) else { return Err(NotLowered::Type(data_type)) };
        if self.depth >= MAX_DEPTH {
            return self.input(expr);
        }
        self.depth += 1;
        let value = self.lower_or_input(expr, scalar_type);
        self.depth -= 1;
        value
    }

    /// The current state, for [`rewind`](Self::rewind).
    pub fn mark(&self) -> Mark {
        Mark { builder: self.builder.mark(), inputs: self.inputs.len(), work: self.work }
    }

    /// Removes all that was lowered after a mark.
    pub fn rewind(&mut self, mark: Mark) {
        self.builder.rewind(&mark.builder);
        self.inputs.truncate(mark.inputs);
        self.work = mark.work;
    }

    /// The builder, the expression of each input, and the operations.
    pub fn into_parts(self) -> (Builder, Vec<Expr>, Work) {
        (self.builder, self.inputs.into_iter().map(|(expr, _)| expr).collect(), self.work)
    }

    fn lower_or_input(&mut self, expr: &Expr, scalar_type: ScalarType) -> LowerResult<Value> {
        let mark = self.mark();
        match self.lower_operation(expr) {
            Ok(Some(value)) if self.builder.scalar_type(value) == scalar_type => Ok(value),
            Err(reason) if self.conditional => Err(reason),
            // The types of functions that return another type than ops do differ.
            Ok(_) | Err(_) => {
                self.rewind(mark);
                self.input(expr)
            }
        }
    }

    pub fn lower_exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) -> LowerResult<Vec<Value>> {
        exprs.into_iter().map(|expr| self.lower_expr(expr)).collect()
    }

    /// Lowers a fixed number of subexpressions.
    pub fn lower_each<const N: usize>(&mut self, exprs: [&Expr; N]) -> LowerResult<[Value; N]> {
        let values = self.lower_exprs(exprs)?;
        values.try_into().map_err(|_| NotLowered::Invalid(format!("there are not {N} operands")))
    }

    /// The input for an expression; equal expressions share one.
    pub fn input(&mut self, expr: &Expr) -> LowerResult<Value> {
        if self.conditional && !matches!(expr, Expr::Column(_)) {
            return Err(NotLowered::Conditional(expr.to_string()));
        }
        // Each occurrence of a volatile expression has its own value and so its own input.
        if !expr.is_volatile()
            && let Some((_, value)) = self.inputs.iter().find(|(known, _)| known == expr)
        {
            return Ok(*value);
        }
        let data_type = self.data_type(expr)?;
        if ScalarType::of(&data_type).is_none() {
            return Err(NotLowered::Type(data_type));
        }
        let nullable =
            expr.nullable(self.schema).map_err(|error| NotLowered::Invalid(error.strip_backtrace()))?;
        let value = self.builder.add_input(Input { data_type, nullable });
        self.inputs.push((expr.clone(), value));
        Ok(value)
    }

    /// Adds a trap: the error of the rows in which the condition is true and that DataFusion evaluates. The message shows
    /// the operands, at most two.
    pub fn trap_where(&mut self, trap: Trap, condition: Value, operands: &[Value]) -> LowerResult<()> {
        if self.builder.as_constant(condition) == Some(Scalar::Bool(true)) {
            // DataFusion evaluates constants even for no rows at all.
            let operand = |position: usize| operands.get(position).copied();
            let constants =
                [0, 1].map(|at| operand(at).and_then(|operand| self.builder.as_constant(operand)));
            return Err(NotLowered::AlwaysFails(RowTrap { trap, operands: constants }.to_string()));
        }
        let condition = self.and_guard(self.guard, condition);
        self.builder.trap_if(trap, condition, operands);
        Ok(())
    }

    /// Lowers an expression of a supported type to instructions; `None` if there is no lowering.
    fn lower_operation(&mut self, expr: &Expr) -> LowerResult<Option<Value>> {
        match expr {
            Expr::Alias(alias) => self.lower_operation(&alias.expr),
            Expr::Literal(literal, _) => Ok(self.lower_literal(literal)),
            Expr::Cast(cast) => self.lower_cast(&cast.expr, cast.field.data_type(), false),
            Expr::TryCast(cast) => self.lower_cast(&cast.expr, cast.field.data_type(), true),
            Expr::Negative(inner) => self.lower_negative(inner),
            Expr::BinaryExpr(binary) => self.lower_binary(binary),
            Expr::Between(between) => self.lower_between(between),
            Expr::InList(list) => self.lower_in_list(list),
            Expr::Case(case) => self.lower_case(case),
            Expr::ScalarFunction(call) => self.lower_scalar_function(call),
            Expr::Not(inner) => self.lower_predicate(inner, Builder::not),
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => self.lower_predicate(inner, Builder::is_null),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
                self.lower_predicate(inner, |builder, x| {
                    let null = builder.is_null(x);
                    builder.not(null)
                })
            }
            Expr::IsTrue(inner) => self.lower_predicate(inner, Builder::is_true),
            Expr::IsFalse(inner) => self.lower_predicate(inner, |builder, x| {
                let opposite = builder.not(x);
                builder.is_true(opposite)
            }),
            Expr::IsNotTrue(inner) => self.lower_predicate(inner, |builder, x| {
                let holds = builder.is_true(x);
                builder.not(holds)
            }),
            Expr::IsNotFalse(inner) => self.lower_predicate(inner, |builder, x| {
                let opposite = builder.not(x);
                let fails = builder.is_true(opposite);
                builder.not(fails)
            }),
            _ => Ok(None),
        }
    }

    /// Lowers a literal to a constant or a null.
    fn lower_literal(&mut self, literal: &ScalarValue) -> Option<Value> {
        let null = scalar_type(&literal.data_type())?;
        match constant(literal) {
            Some(constant) => Some(self.builder.constant(constant)),
            None if literal.is_null() => Some(self.builder.null(null)),
            None => None,
        }
    }

    /// Lowers a unary predicate, such as `IS NULL`, of an operand of any type.
    fn lower_predicate(
        &mut self,
        inner: &Expr,
        predicate: fn(&mut Builder, Value) -> Value,
    ) -> LowerResult<Option<Value>> {
        if self.types(inner)?.is_none() {
            return Ok(None);
        }
        let value = self.lower_expr(inner)?;
        Ok(Some(predicate(&mut self.builder, value)))
    }
}

/// The constant of a literal; `None` if it is null or of a type without values in programs.
pub(super) fn constant(literal: &ScalarValue) -> Option<Scalar> {
    scalar_type(&literal.data_type())?;
    Scalar::read(&literal.to_array().ok()?, 0).ok()?
}
