//! Lowers DataFusion expressions to programs. A subexpression without a lowering becomes an input of the program;
//! DataFusion evaluates it before the program runs.

use std::fmt;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, Case, Cast, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::built_in::{Function, built_in};
use crate::functions::ProgramFunction;
use warpframe_ir::builder::Builder;
use warpframe_ir::instruction::{Input, Kind, Precision, Trap, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;

/// A program and the expressions whose values are its inputs.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The program.
    pub program: Program,
    /// The expression of each input, in order.
    pub arguments: Vec<Expr>,
}

/// The reason why an expression cannot be lowered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLowered {
    /// The type of the expression is neither floating-point nor Boolean.
    Type(DataType),
    /// The root of the expression has no lowering.
    NoOp(String),
    /// A conditional subexpression, which DataFusion evaluates in some rows only, may raise an error: a program would
    /// evaluate it in all rows.
    Conditional(String),
    /// The expression is not valid for the schema.
    Invalid(String),
}

impl fmt::Display for NotLowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(data_type) => write!(f, "its type is {data_type}, not a floating-point number"),
            Self::NoOp(what) => write!(f, "there is no op for {what}"),
            Self::Conditional(what) => {
                write!(f, "{what} may not be evaluated in every row, and could fail there")
            }
            Self::Invalid(error) => f.write_str(error),
        }
    }
}

type LowerResult<T> = Result<T, NotLowered>;

/// Lowers an expression after type coercion and simplification, as the optimizer leaves it.
///
/// # Errors
/// The root of the expression has no lowering, or a conditional subexpression may raise an error; see [`NotLowered`].
pub fn lower(expr: &Expr, schema: &DFSchema) -> Result<Lowered, NotLowered> {
    let precision = match data_type(expr, schema)? {
        DataType::Float64 => Precision::Double,
        DataType::Float32 => Precision::Single,
        DataType::Boolean => operand_precision(expr, schema),
        other => return Err(NotLowered::Type(other)),
    };
    let mut lowerer = Lowerer::new(precision, schema);
    let output = lowerer.lower_root(expr)?;
    lowerer.finish(output)
}

/// Lowers a call of a [`ProgramFunction`]. The arguments are not lowered: each is an input of the program.
///
/// # Errors
/// The expression is not a call of a program function, or the program cannot be built.
pub fn lower_call(expr: &Expr, schema: &DFSchema) -> Result<Lowered, NotLowered> {
    let Expr::ScalarFunction(call) = expr else { return Err(NotLowered::NoOp(describe(expr))) };
    let Some(function) = call.func.inner().downcast_ref::<ProgramFunction>() else {
        return Err(NotLowered::NoOp(describe(expr)));
    };
    let precision = match data_type(expr, schema)? {
        DataType::Float32 => Precision::Single,
        _ => Precision::Double,
    };
    let mut lowerer = Lowerer::new(precision, schema);
    let operands =
        call.args.iter().map(|argument| lowerer.input(argument)).collect::<LowerResult<Vec<_>>>()?;
    let output = function.build(&mut lowerer.builder, &operands);
    lowerer.finish(output.map_err(|error| NotLowered::Invalid(error.to_string()))?)
}

/// The precision of the program of a Boolean expression: that of its first floating-point subexpression, or double.
fn operand_precision(expr: &Expr, schema: &DFSchema) -> Precision {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut precision = None;
    // The closure returns no error.
    let _ = expr.apply(|subexpression| {
        match subexpression.get_type(schema) {
            Ok(DataType::Float64) => precision = Some(Precision::Double),
            Ok(DataType::Float32) => precision = Some(Precision::Single),
            _ => return Ok(TreeNodeRecursion::Continue),
        }
        Ok(TreeNodeRecursion::Stop)
    });
    precision.unwrap_or(Precision::Double)
}

fn data_type(expr: &Expr, schema: &DFSchema) -> LowerResult<DataType> {
    expr.get_type(schema).map_err(|error| NotLowered::Invalid(error.strip_backtrace()))
}

struct Lowerer<'a> {
    builder: Builder,
    schema: &'a DFSchema,
    inputs: Vec<(Expr, Value)>,
    /// Whether DataFusion evaluates the current subexpression in some rows only.
    conditional: bool,
    /// The condition under which a CASE evaluates the current subexpression; `None` for all rows.
    guard: Option<Value>,
    /// The depth of the current subexpression.
    depth: usize,
}

/// Deeper subexpressions become inputs. This bounds the recursion and its stack.
const MAX_DEPTH: usize = 100;

impl<'a> Lowerer<'a> {
    fn new(precision: Precision, schema: &'a DFSchema) -> Self {
        let builder = Builder::new(precision);
        Self { builder, schema, inputs: Vec::new(), conditional: false, guard: None, depth: 0 }
    }
}

impl Lowerer<'_> {
    fn finish(self, output: Value) -> LowerResult<Lowered> {
        let program = self.builder.finish(output).map_err(|error| NotLowered::Invalid(error.to_string()))?;
        Ok(Lowered { program, arguments: self.inputs.into_iter().map(|(expr, _)| expr).collect() })
    }

    /// Lowers the root of the expression. In contrast to subexpressions, it cannot become an input.
    fn lower_root(&mut self, expr: &Expr) -> LowerResult<Value> {
        match self.lower_operation(expr)? {
            Some(value) => Ok(value),
            None => Err(NotLowered::NoOp(describe(expr))),
        }
    }

    /// Lowers a subexpression to instructions if there is a lowering and its depth permits it, otherwise to an input.
    fn lower_expr(&mut self, expr: &Expr) -> LowerResult<Value> {
        if self.depth >= MAX_DEPTH {
            return self.input(expr);
        }
        self.depth += 1;
        let value = self.lower_or_input(expr);
        self.depth -= 1;
        value
    }

    fn lower_or_input(&mut self, expr: &Expr) -> LowerResult<Value> {
        let (mark, inputs) = (self.builder.mark(), self.inputs.len());
        match self.lower_operation(expr) {
            Ok(Some(value)) => Ok(value),
            Err(reason) if self.conditional => Err(reason),
            Ok(None) | Err(_) => {
                self.builder.rewind(&mark);
                self.inputs.truncate(inputs);
                self.input(expr)
            }
        }
    }

    fn lower_exprs<const N: usize>(&mut self, exprs: &[Expr]) -> LowerResult<[Value; N]> {
        let values = exprs.iter().map(|expr| self.lower_expr(expr)).collect::<LowerResult<Vec<_>>>()?;
        values.try_into().map_err(|_| NotLowered::Invalid(format!("it takes {N} arguments")))
    }

    /// The type of the program's floating-point values.
    fn float_type(&self) -> DataType {
        self.builder.precision().data_type()
    }

    /// The input for an expression; equal expressions share one.
    fn input(&mut self, expr: &Expr) -> LowerResult<Value> {
        // Kernels convert integers, and single to double precision, when they load inputs.
        let expr = match expr {
            Expr::Cast(Cast { expr: inner, field })
                if *field.data_type() == self.float_type()
                    && self.is_convertible(&data_type(inner, self.schema)?) =>
            {
                inner
            }
            _ => expr,
        };
        if self.conditional && !matches!(expr, Expr::Column(_)) {
            return Err(NotLowered::Conditional(expr.to_string()));
        }
        // Each occurrence of a volatile expression has its own value and so its own input.
        if !expr.is_volatile()
            && let Some((_, value)) = self.inputs.iter().find(|(known, _)| known == expr)
        {
            return Ok(*value);
        }
        let data_type = data_type(expr, self.schema)?;
        if data_type != DataType::Boolean
            && data_type != self.float_type()
            && !self.is_convertible(&data_type)
        {
            return Err(NotLowered::Type(data_type));
        }
        let nullable =
            expr.nullable(self.schema).map_err(|error| NotLowered::Invalid(error.strip_backtrace()))?;
        let value = self.builder.add_input(Input { data_type, nullable });
        self.inputs.push((expr.clone(), value));
        Ok(value)
    }

    /// Whether kernels convert inputs of a type to the program's floating-point type.
    fn is_convertible(&self, from: &DataType) -> bool {
        from.is_integer() || (*from == DataType::Float32 && self.float_type() == DataType::Float64)
    }

    /// Lowers an expression to instructions; `None` if there is no lowering.
    fn lower_operation(&mut self, expr: &Expr) -> LowerResult<Option<Value>> {
        let is_float = match data_type(expr, self.schema)? {
            DataType::Boolean => false,
            float if float == self.float_type() => true,
            _ => return Ok(None),
        };
        Ok(Some(match expr {
            Expr::Alias(alias) => return self.lower_operation(&alias.expr),
            Expr::Literal(literal, _) => match literal {
                ScalarValue::Float64(Some(number)) => self.builder.const_float(*number),
                ScalarValue::Float32(Some(number)) => self.builder.const_float((*number).into()),
                ScalarValue::Boolean(Some(value)) => self.builder.const_bool(*value),
                null if null.is_null() && is_float => self.builder.const_null(Kind::Float),
                null if null.is_null() => self.builder.const_null(Kind::Bool),
                _ => return Ok(None),
            },
            Expr::Cast(cast) => match &*cast.expr {
                // Only casts that change nothing; inputs do the other conversions.
                inner if data_type(inner, self.schema)? == self.float_type() => self.lower_expr(inner)?,
                _ => return Ok(None),
            },
            Expr::Negative(inner) => {
                let x = self.lower_expr(inner)?;
                self.builder.unary(Unary::Negate, x)
            }
            Expr::Not(inner) => {
                let x = self.lower_expr(inner)?;
                self.builder.not(x)
            }
            Expr::BinaryExpr(binary) => return self.lower_binary(binary),
            Expr::Between(between) => return self.lower_between(between),
            Expr::IsNull(inner) => return self.lower_predicate(inner, |builder, x| builder.is_null(x)),
            Expr::IsNotNull(inner) => {
                return self.lower_predicate(inner, |builder, x| {
                    let null = builder.is_null(x);
                    builder.not(null)
                });
            }
            Expr::IsTrue(inner) => return self.lower_predicate(inner, Builder::is_true),
            Expr::IsFalse(inner) => {
                return self.lower_predicate(inner, |builder, x| {
                    let opposite = builder.not(x);
                    builder.is_true(opposite)
                });
            }
            Expr::IsNotTrue(inner) => {
                return self.lower_predicate(inner, |builder, x| {
                    let holds = builder.is_true(x);
                    builder.not(holds)
                });
            }
            Expr::IsNotFalse(inner) => {
                return self.lower_predicate(inner, |builder, x| {
                    let opposite = builder.not(x);
                    let fails = builder.is_true(opposite);
                    builder.not(fails)
                });
            }
            Expr::IsUnknown(inner) => return self.lower_predicate(inner, |builder, x| builder.is_null(x)),
            Expr::IsNotUnknown(inner) => {
                return self.lower_predicate(inner, |builder, x| {
                    let null = builder.is_null(x);
                    builder.not(null)
                });
            }
            Expr::Case(case) => return self.lower_case(case).map(Some),
            Expr::ScalarFunction(call) => return self.lower_scalar_function(call),
            _ => return Ok(None),
        }))
    }

    /// Lowers a unary predicate, such as `IS NULL`, of a floating-point or Boolean operand.
    fn lower_predicate(
        &mut self,
        inner: &Expr,
        predicate: fn(&mut Builder, Value) -> Value,
    ) -> LowerResult<Option<Value>> {
        let inner_type = data_type(inner, self.schema)?;
        if inner_type != DataType::Boolean && inner_type != self.float_type() {
            return Ok(None);
        }
        let value = self.lower_expr(inner)?;
        Ok(Some(predicate(&mut self.builder, value)))
    }

    fn lower_binary(&mut self, binary: &BinaryExpr) -> LowerResult<Option<Value>> {
        let BinaryExpr { left, op, right } = binary;
        if matches!(op, Operator::And | Operator::Or) {
            let x = self.lower_expr(left)?;
            // DataFusion may evaluate the right operand only in rows that the left one does not decide.
            let y = self.in_conditional(self.guard, |lowerer| {
                let traps = lowerer.builder.traps();
                let y = lowerer.lower_expr(right)?;
                if lowerer.builder.traps() > traps {
                    return Err(NotLowered::Conditional(right.to_string()));
                }
                Ok(y)
            })?;
            let joined = if *op == Operator::And { self.builder.and(x, y) } else { self.builder.or(x, y) };
            return Ok(Some(joined));
        }
        let float_type = self.float_type();
        if data_type(left, self.schema)? != float_type || data_type(right, self.schema)? != float_type {
            return Ok(None);
        }
        let arithmetic = match op {
            Operator::Plus => Some(Binary::Add),
            Operator::Minus => Some(Binary::Subtract),
            Operator::Multiply => Some(Binary::Multiply),
            Operator::Divide => Some(Binary::Divide),
            Operator::Modulo => Some(Binary::Remainder),
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq => None,
            _ => return Ok(None),
        };
        let (x, y) = (self.lower_expr(left)?, self.lower_expr(right)?);
        let builder = &mut self.builder;
        if let Some(arithmetic) = arithmetic {
            return Ok(Some(builder.binary(arithmetic, x, y)));
        }
        let (x, y) = (builder.canonicalize_zero(x), builder.canonicalize_zero(y));
        Ok(Some(match op {
            Operator::Eq => builder.bit_eq(x, y),
            Operator::NotEq => {
                let same = builder.bit_eq(x, y);
                builder.not(same)
            }
            Operator::Lt => builder.total_lt(x, y),
            Operator::Gt => builder.total_lt(y, x),
            Operator::LtEq => total_le(builder, x, y),
            _ => total_le(builder, y, x),
        }))
    }

    fn lower_between(&mut self, between: &Between) -> LowerResult<Option<Value>> {
        let Between { expr, negated, low, high } = between;
        let float_type = self.float_type();
        for operand in [expr, low, high] {
            if data_type(operand, self.schema)? != float_type {
                return Ok(None);
            }
        }
        let operands = [self.lower_expr(expr)?, self.lower_expr(low)?, self.lower_expr(high)?];
        let [x, low, high] = operands.map(|operand| self.builder.canonicalize_zero(operand));
        let (above, below) = (total_le(&mut self.builder, low, x), total_le(&mut self.builder, x, high));
        let inside = self.builder.and(above, below);
        Ok(Some(if *negated { self.builder.not(inside) } else { inside }))
    }

    /// Runs `lower` for an expression that DataFusion evaluates in some rows only: those in which the guard is true.
    fn in_conditional<T>(
        &mut self,
        guard: Option<Value>,
        lower: impl FnOnce(&mut Self) -> LowerResult<T>,
    ) -> LowerResult<T> {
        let (outer_conditional, outer_guard) = (self.conditional, self.guard);
        (self.conditional, self.guard) = (true, guard);
        let lowered = lower(self);
        (self.conditional, self.guard) = (outer_conditional, outer_guard);
        lowered
    }

    /// The conjunction of a guard and a condition.
    fn and_guard(&mut self, guard: Option<Value>, condition: Value) -> Value {
        match guard {
            Some(guard) => self.builder.and(guard, condition),
            None => condition,
        }
    }

    fn lower_case(&mut self, case: &Case) -> LowerResult<Value> {
        let subject = match &case.expr {
            Some(subject) if data_type(subject, self.schema)? != self.float_type() => {
                return Err(NotLowered::NoOp(format!("CASE {subject}")));
            }
            Some(subject) => Some(self.lower_expr(subject)?),
            None => None,
        };
        // A condition is evaluated in rows in which no earlier one is true.
        let mut reached = self.guard;
        let mut branches = Vec::with_capacity(case.when_then_expr.len());
        for (position, (when, then)) in case.when_then_expr.iter().enumerate() {
            let lower_when = |lowerer: &mut Self| {
                let value = lowerer.lower_expr(when)?;
                Ok(match subject {
                    Some(subject) => lowerer.builder.bit_eq(subject, value),
                    None => value,
                })
            };
            let condition = match position {
                0 => lower_when(self)?,
                _ => self.in_conditional(reached, lower_when)?,
            };
            let matched = self.builder.is_true(condition);
            let taken = self.and_guard(reached, matched);
            let value = self.in_conditional(Some(taken), |lowerer| lowerer.lower_expr(then))?;
            let unmatched = self.builder.not(matched);
            reached = Some(self.and_guard(reached, unmatched));
            branches.push((condition, value));
        }
        let otherwise = match &case.else_expr {
            Some(otherwise) => self.in_conditional(reached, |lowerer| lowerer.lower_expr(otherwise))?,
            None => match branches.first() {
                Some((_, value)) => self.builder.const_null(self.builder.kind(*value)),
                None => return Err(NotLowered::Invalid("a CASE without WHEN".to_owned())),
            },
        };
        Ok(branches
            .into_iter()
            .rev()
            .fold(otherwise, |rest, (condition, value)| self.builder.select(condition, value, rest)))
    }

    fn lower_scalar_function(&mut self, call: &ScalarFunction) -> LowerResult<Option<Value>> {
        let arguments = &call.args[..];
        if let Some(function) = call.func.inner().downcast_ref::<ProgramFunction>() {
            let operands = arguments
                .iter()
                .map(|argument| self.lower_expr(argument))
                .collect::<LowerResult<Vec<_>>>()?;
            return function
                .build(&mut self.builder, &operands)
                .map(Some)
                .map_err(|error| NotLowered::Invalid(error.to_string()));
        }
        let Some(function) = built_in(&call.func) else { return Ok(None) };
        if let Function::Unary(_) | Function::Binary(_) | Function::Log = function
            && arguments.iter().any(|argument| data_type(argument, self.schema) != Ok(self.float_type()))
        {
            // For instance `round(x, 2)`, or `abs` of an integer.
            return Ok(None);
        }
        Ok(Some(match (function, arguments) {
            (Function::Unary(op), [_]) => {
                let [x] = self.lower_exprs(arguments)?;
                if op == Unary::Sqrt {
                    self.builder.trap_if(Trap::SqrtOfNegative, [x, x], self.guard);
                }
                self.builder.unary(op, x)
            }
            (Function::Binary(op), [_, _]) => {
                let [x, y] = self.lower_exprs(arguments)?;
                if op == Binary::Power {
                    self.builder.trap_if(Trap::ZeroToNegativePower, [x, y], self.guard);
                }
                self.builder.binary(op, x, y)
            }
            (Function::Log, [_]) => {
                let [x] = self.lower_exprs(arguments)?;
                let base = self.builder.const_float(10.0);
                self.lower_log(base, x)
            }
            (Function::Log, [_, _]) => {
                let [base, x] = self.lower_exprs(arguments)?;
                self.lower_log(base, x)
            }
            (Function::IsNan, [x]) => return self.lower_predicate(x, Builder::is_nan),
            (Function::Nanvl, [_, _]) => {
                let [x, y] = self.lower_exprs(arguments)?;
                let nan = self.builder.is_nan(x);
                self.builder.select(nan, y, x)
            }
            (Function::Nullif, [_, _]) => {
                if !self.all_of_float_type(arguments)? {
                    return Ok(None);
                }
                let [x, y] = self.lower_exprs(arguments)?;
                let (same, null) = (self.builder.bit_eq(x, y), self.builder.const_null(Kind::Float));
                self.builder.select(same, null, x)
            }
            (Function::Greatest | Function::Least, [first, rest @ ..]) => {
                if !self.all_of_float_type(arguments)? {
                    return Ok(None);
                }
                let mut best = self.lower_expr(first)?;
                for other in rest {
                    let other = self.lower_expr(other)?;
                    best = self.greatest_or_least(function == Function::Greatest, best, other);
                }
                best
            }
            _ => return Ok(None),
        }))
    }

    /// Whether all arguments have the program's floating-point type.
    fn all_of_float_type(&self, arguments: &[Expr]) -> LowerResult<bool> {
        for argument in arguments {
            if data_type(argument, self.schema)? != self.float_type() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `ln x / ln base`, as DataFusion computes it.
    fn lower_log(&mut self, base: Value, x: Value) -> Value {
        let (x, base) = (self.builder.unary(Unary::Ln, x), self.builder.unary(Unary::Ln, base));
        self.builder.binary(Binary::Divide, x, base)
    }

    /// The greater or lesser of two values in total order; where one is null, the other.
    fn greatest_or_least(&mut self, greatest: bool, x: Value, y: Value) -> Value {
        let builder = &mut self.builder;
        let other_wins = if greatest { builder.total_lt(x, y) } else { builder.total_lt(y, x) };
        let (x_null, y_null) = (builder.is_null(x), builder.is_null(y));
        let both = builder.select(other_wins, y, x);
        let without_y = builder.select(y_null, x, both);
        builder.select(x_null, y, without_y)
    }
}

/// `x <= y` in total order.
fn total_le(builder: &mut Builder, x: Value, y: Value) -> Value {
    let above = builder.total_lt(y, x);
    builder.not(above)
}

fn describe(expr: &Expr) -> String {
    match expr {
        Expr::ScalarFunction(call) => format!("the function {} of these types", call.func.name()),
        Expr::Column(_) => "a column alone".to_owned(),
        Expr::BinaryExpr(binary) => format!("{} of these types", binary.op),
        other => other.variant_name().to_owned(),
    }
}
