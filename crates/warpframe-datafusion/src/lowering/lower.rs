//! Lowers DataFusion expressions to programs. A part that programs have no instructions for becomes an input, which
//! DataFusion evaluates before the program runs.

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

/// A program and the expressions that its inputs are.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The program.
    pub program: Program,
    /// One expression for each input.
    pub arguments: Vec<Expr>,
}

/// Why an expression has no program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLowered {
    /// It isn't of a floating-point or Boolean type.
    Type(DataType),
    /// The outermost operation has no op.
    NoOp(String),
    /// A part that may fail would be evaluated in rows in which DataFusion might not evaluate it.
    Lazy(String),
    /// The expression does not fit its schema.
    Invalid(String),
}

impl fmt::Display for NotLowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(data_type) => write!(f, "its type is {data_type}, not a floating-point number"),
            Self::NoOp(what) => write!(f, "there is no op for {what}"),
            Self::Lazy(what) => write!(f, "{what} may not be evaluated in every row, and could fail there"),
            Self::Invalid(error) => f.write_str(error),
        }
    }
}

type Lowering<T> = Result<T, NotLowered>;

/// The program of an expression whose types have been coerced and whose functions have been simplified, as
/// the optimizer leaves it.
///
/// # Errors
/// The outermost operation has no op, or a part cannot be evaluated in every row; see [`NotLowered`].
pub fn lower(expr: &Expr, schema: &DFSchema) -> Result<Lowered, NotLowered> {
    let precision = match data_type(expr, schema)? {
        DataType::Float64 => Precision::Double,
        DataType::Float32 => Precision::Single,
        DataType::Boolean => compared_precision(expr, schema),
        other => return Err(NotLowered::Type(other)),
    };
    let mut lowerer = Lowerer {
        builder: Builder::new(precision),
        schema,
        arguments: Vec::new(),
        lazy: false,
        guard: None,
        depth: 0,
    };
    let output = lowerer.root(expr)?;
    lowerer.finish(output)
}

/// The program of a call of a [`ProgramFunction`] whose arguments, whatever they are, are the program's inputs.
///
/// # Errors
/// The expression is not such a call, or the program cannot be built.
pub fn lower_call(expr: &Expr, schema: &DFSchema) -> Result<Lowered, NotLowered> {
    let Expr::ScalarFunction(call) = expr else { return Err(NotLowered::NoOp(describe(expr))) };
    let Some(function) = call.func.inner().downcast_ref::<ProgramFunction>() else {
        return Err(NotLowered::NoOp(describe(expr)));
    };
    let precision = match data_type(expr, schema)? {
        DataType::Float32 => Precision::Single,
        _ => Precision::Double,
    };
    let mut lowerer = Lowerer {
        builder: Builder::new(precision),
        schema,
        arguments: Vec::new(),
        lazy: false,
        guard: None,
        depth: 0,
    };
    let operands =
        call.args.iter().map(|argument| lowerer.argument(argument)).collect::<Lowering<Vec<_>>>()?;
    let output = function.build(&mut lowerer.builder, &operands);
    lowerer.finish(output.map_err(|error| NotLowered::Invalid(error.to_string()))?)
}

/// The type of the first numbers that a truth value comes from.
fn compared_precision(expr: &Expr, schema: &DFSchema) -> Precision {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut found = None;
    // Nothing in the closure fails.
    let _ = expr.apply(|part| {
        match part.get_type(schema) {
            Ok(DataType::Float64) => found = Some(Precision::Double),
            Ok(DataType::Float32) => found = Some(Precision::Single),
            _ => return Ok(TreeNodeRecursion::Continue),
        }
        Ok(TreeNodeRecursion::Stop)
    });
    found.unwrap_or(Precision::Double)
}

fn data_type(expr: &Expr, schema: &DFSchema) -> Lowering<DataType> {
    expr.get_type(schema).map_err(|error| NotLowered::Invalid(error.strip_backtrace()))
}

struct Lowerer<'a> {
    builder: Builder,
    schema: &'a DFSchema,
    arguments: Vec<(Expr, Value)>,
    /// Whether the part being lowered is one that DataFusion evaluates in some of the rows only.
    lazy: bool,
    /// Where in a CASE the part is evaluated; everywhere if there is none.
    guard: Option<Value>,
    /// How many operations the part is inside of.
    depth: usize,
}

/// Parts inside of more operations are arguments, so that expressions of any size need little stack.
const MAX_DEPTH: usize = 100;

impl Lowerer<'_> {
    fn finish(self, output: Value) -> Lowering<Lowered> {
        let program = self.builder.finish(output).map_err(|error| NotLowered::Invalid(error.to_string()))?;
        Ok(Lowered { program, arguments: self.arguments.into_iter().map(|(expr, _)| expr).collect() })
    }

    /// The whole expression: one that would be nothing but an argument is none.
    fn root(&mut self, expr: &Expr) -> Lowering<Value> {
        match self.operation(expr)? {
            Some(value) => Ok(value),
            None => Err(NotLowered::NoOp(describe(expr))),
        }
    }

    /// A part: an operation if there is an op for it, else an argument.
    fn part(&mut self, expr: &Expr) -> Lowering<Value> {
        if self.depth >= MAX_DEPTH {
            return self.argument(expr);
        }
        self.depth += 1;
        let value = self.shallow_part(expr);
        self.depth -= 1;
        value
    }

    fn shallow_part(&mut self, expr: &Expr) -> Lowering<Value> {
        let (mark, arguments) = (self.builder.mark(), self.arguments.len());
        match self.operation(expr) {
            Ok(Some(value)) => Ok(value),
            Err(reason) if self.lazy => Err(reason),
            Ok(None) | Err(_) => {
                self.builder.rewind(&mark);
                self.arguments.truncate(arguments);
                self.argument(expr)
            }
        }
    }

    fn parts<const N: usize>(&mut self, exprs: &[Expr]) -> Lowering<[Value; N]> {
        let values = exprs.iter().map(|expr| self.part(expr)).collect::<Lowering<Vec<_>>>()?;
        values.try_into().map_err(|_| NotLowered::Invalid(format!("it takes {N} arguments")))
    }

    fn number_type(&self) -> DataType {
        self.builder.precision().data_type()
    }

    fn argument(&mut self, expr: &Expr) -> Lowering<Value> {
        // A conversion of integers, and of single to double precision, is done on the way in.
        let expr = match expr {
            Expr::Cast(Cast { expr: inner, field })
                if *field.data_type() == self.number_type()
                    && self.converts(&data_type(inner, self.schema)?) =>
            {
                inner
            }
            _ => expr,
        };
        if self.lazy && !matches!(expr, Expr::Column(_)) {
            return Err(NotLowered::Lazy(expr.to_string()));
        }
        // A volatile expression gives another value each time it stands there.
        if !expr.is_volatile()
            && let Some((_, value)) = self.arguments.iter().find(|(known, _)| known == expr)
        {
            return Ok(*value);
        }
        let data_type = data_type(expr, self.schema)?;
        if data_type != DataType::Boolean && data_type != self.number_type() && !self.converts(&data_type) {
            return Err(NotLowered::Type(data_type));
        }
        let nullable =
            expr.nullable(self.schema).map_err(|error| NotLowered::Invalid(error.strip_backtrace()))?;
        let value = self.builder.add_input(Input { data_type, nullable });
        self.arguments.push((expr.clone(), value));
        Ok(value)
    }

    /// Whether inputs of a type are converted to the program's numbers.
    fn converts(&self, from: &DataType) -> bool {
        from.is_integer() || (*from == DataType::Float32 && self.number_type() == DataType::Float64)
    }

    /// The operation's value; none if there is no op for it.
    fn operation(&mut self, expr: &Expr) -> Lowering<Option<Value>> {
        let is_number = match data_type(expr, self.schema)? {
            DataType::Boolean => false,
            number if number == self.number_type() => true,
            _ => return Ok(None),
        };
        Ok(Some(match expr {
            Expr::Alias(alias) => return self.operation(&alias.expr),
            Expr::Literal(literal, _) => match literal {
                ScalarValue::Float64(Some(number)) => self.builder.const_float(*number),
                ScalarValue::Float32(Some(number)) => self.builder.const_float((*number).into()),
                ScalarValue::Boolean(Some(value)) => self.builder.const_bool(*value),
                null if null.is_null() && is_number => self.builder.const_null(Kind::Float),
                null if null.is_null() => self.builder.const_null(Kind::Bool),
                _ => return Ok(None),
            },
            Expr::Cast(cast) => match &*cast.expr {
                // Only what the input does anyway, and what changes nothing.
                inner if data_type(inner, self.schema)? == self.number_type() => self.part(inner)?,
                _ => return Ok(None),
            },
            Expr::Negative(inner) => {
                let x = self.part(inner)?;
                self.builder.unary(Unary::Negate, x)
            }
            Expr::Not(inner) => {
                let x = self.part(inner)?;
                self.builder.not(x)
            }
            Expr::BinaryExpr(binary) => return self.binary(binary),
            Expr::Between(between) => return self.between(between),
            Expr::IsNull(inner) => return self.test(inner, |builder, x| builder.is_null(x)),
            Expr::IsNotNull(inner) => {
                return self.test(inner, |builder, x| {
                    let null = builder.is_null(x);
                    builder.not(null)
                });
            }
            Expr::IsTrue(inner) => return self.test(inner, Builder::is_true),
            Expr::IsFalse(inner) => {
                return self.test(inner, |builder, x| {
                    let opposite = builder.not(x);
                    builder.is_true(opposite)
                });
            }
            Expr::IsNotTrue(inner) => {
                return self.test(inner, |builder, x| {
                    let holds = builder.is_true(x);
                    builder.not(holds)
                });
            }
            Expr::IsNotFalse(inner) => {
                return self.test(inner, |builder, x| {
                    let opposite = builder.not(x);
                    let fails = builder.is_true(opposite);
                    builder.not(fails)
                });
            }
            Expr::IsUnknown(inner) => return self.test(inner, |builder, x| builder.is_null(x)),
            Expr::IsNotUnknown(inner) => {
                return self.test(inner, |builder, x| {
                    let null = builder.is_null(x);
                    builder.not(null)
                });
            }
            Expr::Case(case) => return self.case(case).map(Some),
            Expr::ScalarFunction(call) => return self.call(call),
            _ => return Ok(None),
        }))
    }

    /// A test of a number or truth value that is fit to be an argument.
    fn test(&mut self, inner: &Expr, test: fn(&mut Builder, Value) -> Value) -> Lowering<Option<Value>> {
        let inner_type = data_type(inner, self.schema)?;
        if inner_type != DataType::Boolean && inner_type != self.number_type() {
            return Ok(None);
        }
        let value = self.part(inner)?;
        Ok(Some(test(&mut self.builder, value)))
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Lowering<Option<Value>> {
        let BinaryExpr { left, op, right } = binary;
        if matches!(op, Operator::And | Operator::Or) {
            let x = self.part(left)?;
            // DataFusion may skip rows on the right that the left decides.
            let y = self.in_conditional(self.guard, |lowerer| {
                let traps = lowerer.builder.traps();
                let y = lowerer.part(right)?;
                if lowerer.builder.traps() > traps {
                    return Err(NotLowered::Lazy(right.to_string()));
                }
                Ok(y)
            })?;
            let joined = if *op == Operator::And { self.builder.and(x, y) } else { self.builder.or(x, y) };
            return Ok(Some(joined));
        }
        let numbers = self.number_type();
        if data_type(left, self.schema)? != numbers || data_type(right, self.schema)? != numbers {
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
        let (x, y) = (self.part(left)?, self.part(right)?);
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
            Operator::LtEq => at_most(builder, x, y),
            _ => at_most(builder, y, x),
        }))
    }

    fn between(&mut self, between: &Between) -> Lowering<Option<Value>> {
        let Between { expr, negated, low, high } = between;
        let numbers = self.number_type();
        for part in [expr, low, high] {
            if data_type(part, self.schema)? != numbers {
                return Ok(None);
            }
        }
        let parts = [self.part(expr)?, self.part(low)?, self.part(high)?];
        let [x, low, high] = parts.map(|part| self.builder.canonicalize_zero(part));
        let (above, below) = (at_most(&mut self.builder, low, x), at_most(&mut self.builder, x, high));
        let inside = self.builder.and(above, below);
        Ok(Some(if *negated { self.builder.not(inside) } else { inside }))
    }

    /// Lowers something that DataFusion evaluates in some of the rows: those where the guard is true.
    fn in_conditional<T>(
        &mut self,
        guard: Option<Value>,
        lower: impl FnOnce(&mut Self) -> Lowering<T>,
    ) -> Lowering<T> {
        let (outer_lazy, outer_guard) = (self.lazy, self.guard);
        (self.lazy, self.guard) = (true, guard);
        let lowered = lower(self);
        (self.lazy, self.guard) = (outer_lazy, outer_guard);
        lowered
    }

    fn both(&mut self, guard: Option<Value>, condition: Value) -> Value {
        match guard {
            Some(guard) => self.builder.and(guard, condition),
            None => condition,
        }
    }

    fn case(&mut self, case: &Case) -> Lowering<Value> {
        let subject = match &case.expr {
            Some(subject) if data_type(subject, self.schema)? != self.number_type() => {
                return Err(NotLowered::NoOp(format!("CASE {subject}")));
            }
            Some(subject) => Some(self.part(subject)?),
            None => None,
        };
        // Each condition is evaluated where none before it was true.
        let mut open = self.guard;
        let mut branches = Vec::with_capacity(case.when_then_expr.len());
        for (position, (when, then)) in case.when_then_expr.iter().enumerate() {
            let lower_when = |lowerer: &mut Self| {
                let value = lowerer.part(when)?;
                Ok(match subject {
                    Some(subject) => lowerer.builder.bit_eq(subject, value),
                    None => value,
                })
            };
            let condition = match position {
                0 => lower_when(self)?,
                _ => self.in_conditional(open, lower_when)?,
            };
            let matched = self.builder.is_true(condition);
            let here = self.both(open, matched);
            let value = self.in_conditional(Some(here), |lowerer| lowerer.part(then))?;
            let unmatched = self.builder.not(matched);
            open = Some(self.both(open, unmatched));
            branches.push((condition, value));
        }
        let otherwise = match &case.else_expr {
            Some(otherwise) => self.in_conditional(open, |lowerer| lowerer.part(otherwise))?,
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

    fn call(&mut self, call: &ScalarFunction) -> Lowering<Option<Value>> {
        let arguments = &call.args[..];
        if let Some(function) = call.func.inner().downcast_ref::<ProgramFunction>() {
            let operands =
                arguments.iter().map(|argument| self.part(argument)).collect::<Lowering<Vec<_>>>()?;
            return function
                .build(&mut self.builder, &operands)
                .map(Some)
                .map_err(|error| NotLowered::Invalid(error.to_string()));
        }
        let Some(function) = built_in(&call.func) else { return Ok(None) };
        if let Function::Unary(_) | Function::Binary(_) | Function::Log = function
            && arguments.iter().any(|argument| data_type(argument, self.schema) != Ok(self.number_type()))
        {
            // Such as `round(x, 2)`, or the absolute value of an integer.
            return Ok(None);
        }
        Ok(Some(match (function, arguments) {
            (Function::Unary(op), [_]) => {
                let [x] = self.parts(arguments)?;
                if op == Unary::Sqrt {
                    self.builder.trap_if(Trap::SqrtOfNegative, [x, x], self.guard);
                }
                self.builder.unary(op, x)
            }
            (Function::Binary(op), [_, _]) => {
                let [x, y] = self.parts(arguments)?;
                if op == Binary::Power {
                    self.builder.trap_if(Trap::ZeroToNegativePower, [x, y], self.guard);
                }
                self.builder.binary(op, x, y)
            }
            (Function::Log, [_]) => {
                let [x] = self.parts(arguments)?;
                let base = self.builder.const_float(10.0);
                self.log(base, x)
            }
            (Function::Log, [_, _]) => {
                let [base, x] = self.parts(arguments)?;
                self.log(base, x)
            }
            (Function::IsNan, [x]) => return self.test(x, Builder::is_nan),
            (Function::Nanvl, [_, _]) => {
                let [x, y] = self.parts(arguments)?;
                let nan = self.builder.is_nan(x);
                self.builder.select(nan, y, x)
            }
            (Function::Nullif, [_, _]) => {
                if self.differs_in_type(arguments)? {
                    return Ok(None);
                }
                let [x, y] = self.parts(arguments)?;
                let (same, null) = (self.builder.bit_eq(x, y), self.builder.const_null(Kind::Float));
                self.builder.select(same, null, x)
            }
            (Function::Greatest | Function::Least, [first, rest @ ..]) => {
                if self.differs_in_type(arguments)? {
                    return Ok(None);
                }
                let mut best = self.part(first)?;
                for other in rest {
                    let other = self.part(other)?;
                    best = self.extreme(function == Function::Greatest, best, other);
                }
                best
            }
            _ => return Ok(None),
        }))
    }

    fn differs_in_type(&self, arguments: &[Expr]) -> Lowering<bool> {
        for argument in arguments {
            if data_type(argument, self.schema)? != self.number_type() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `ln x / ln base`, as DataFusion calculates it.
    fn log(&mut self, base: Value, x: Value) -> Value {
        let (x, base) = (self.builder.unary(Unary::Ln, x), self.builder.unary(Unary::Ln, base));
        self.builder.binary(Binary::Divide, x, base)
    }

    /// The greater or the lesser of two; the other one where one is null.
    fn extreme(&mut self, greatest: bool, x: Value, y: Value) -> Value {
        let builder = &mut self.builder;
        let other_wins = if greatest { builder.total_lt(x, y) } else { builder.total_lt(y, x) };
        let (x_null, y_null) = (builder.is_null(x), builder.is_null(y));
        let both = builder.select(other_wins, y, x);
        let without_y = builder.select(y_null, x, both);
        builder.select(x_null, y, without_y)
    }
}

/// `x <= y`
fn at_most(builder: &mut Builder, x: Value, y: Value) -> Value {
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
