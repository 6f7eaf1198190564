//! Calls of scalar functions.

use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use super::built_in::{Function, built_in};
use super::integers::Integer;
use super::lowered::{LowerResult, NotLowered, scalar_type};
use super::lowerer::Lowerer;
use crate::functions::{FusedFunction, ProgramFunction, log_to_base};
use warpframe_ir::instruction::{Comparison, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::{ScalarType, Trap};

/// Programs with more instructions are not inlined, so that the time to lower a chain of functions, each an argument of the next,
/// is in proportion to its length.
const MAX_INLINED: usize = 8_192;

impl Lowerer<'_> {
    pub(super) fn lower_scalar_function(&mut self, call: &ScalarFunction) -> LowerResult<Option<Value>> {
        let arguments = &call.args[..];
        if let Some(function) = call.func.inner().downcast_ref::<ProgramFunction>() {
            let operands = self.lower_exprs(arguments)?;
            return self.call_program_function(function, &operands).map(Some);
        }
        if let Some(function) = call.func.inner().downcast_ref::<FusedFunction>() {
            if function.program().instructions().len() > MAX_INLINED {
                return Ok(None);
            }
            return self.call_fused_function(function, arguments).map(Some);
        }
        let Some(function) = built_in(&call.func) else { return Ok(None) };
        let Some((data_type, scalar_type)) = self.common_types(arguments)? else { return Ok(None) };
        if let (Function::Unary(Unary::Abs), [x], Some(integer)) =
            (function, arguments, Integer::of(&data_type))
        {
            return self.lower_integer_abs(integer, x).map(Some);
        }
        let of_floats = matches!(
            function,
            Function::Unary(_) | Function::Binary(_) | Function::Log | Function::IsNan | Function::Nanvl
        );
        let of_numbers = scalar_type.is_float() || Integer::of(&data_type).is_some();
        if of_floats && !scalar_type.is_float() || function == Function::IsZero && !of_numbers {
            return Ok(None);
        }
        Ok(Some(match (function, arguments) {
            (Function::Unary(op), [x]) => {
                let x = self.lower_expr(x)?;
                self.lower_unary(op, x, scalar_type)?
            }
            (Function::Binary(op), [x, y]) => {
                let [x, y] = self.lower_each([x, y])?;
                self.lower_float_binary(op, x, y, scalar_type)?
            }
            (Function::Log, [x]) => {
                let x = self.lower_expr(x)?;
                let base = self.builder.const_float(scalar_type, 10.0);
                self.lower_log(base, x)
            }
            (Function::Log, [base, x]) => {
                let [base, x] = self.lower_each([base, x])?;
                self.lower_log(base, x)
            }
            (Function::IsNan, [x]) => {
                let x = self.lower_expr(x)?;
                self.work.add_cheap();
                self.builder.is_nan(x)
            }
            (Function::IsZero, [x]) => {
                let x = self.lower_expr(x)?;
                self.work.add_cheap();
                let zero = self.builder.const_integer(scalar_type, 0);
                self.builder.compare(Comparison::Eq, x, zero)
            }
            (Function::Nanvl, [x, y]) => {
                let [x, y] = self.lower_each([x, y])?;
                self.work.add_select();
                let nan = self.builder.is_nan(x);
                self.builder.select(nan, y, x)
            }
            (Function::Nullif, [x, y]) => {
                let [x, y] = self.lower_each([x, y])?;
                self.work.add_select();
                let [comparable, y] = [x, y].map(|operand| self.builder.canonicalize_zero(operand));
                let same = self.builder.compare(Comparison::BitEq, comparable, y);
                let null = self.builder.null(scalar_type);
                self.builder.select(same, null, x)
            }
            (Function::Greatest | Function::Least, [first, rest @ ..]) => {
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

    /// Inlines a call of a program function. Its operands have one floating-point type.
    pub(super) fn call_program_function(
        &mut self,
        function: &ProgramFunction,
        operands: &[Value],
    ) -> LowerResult<Value> {
        let scalar_type = operands.first().map_or(ScalarType::F64, |x| self.builder.scalar_type(*x));
        let invalid = |error: warpframe_ir::Error| NotLowered::Invalid(error.to_string());
        self.work.add_program(&*function.program(scalar_type).map_err(invalid)?);
        function.build(&mut self.builder, operands).map_err(invalid)
    }

    /// Inlines a call of a fused function.
    fn call_fused_function(&mut self, function: &FusedFunction, arguments: &[Expr]) -> LowerResult<Value> {
        let program = function.program();
        self.work.add_program(program);
        let inputs = arguments.iter().map(|argument| match scalar_type(&self.data_type(argument)?) {
            Some(_) => self.lower_expr(argument),
            // A type of inputs only.
            None => self.input(argument),
        });
        let inputs = inputs.collect::<LowerResult<Vec<_>>>()?;
        let outputs = self.builder.inline(program, &inputs, self.guard);
        match outputs.map_err(|error| NotLowered::Invalid(error.to_string()))?[..] {
            [output] => Ok(output),
            _ => Err(NotLowered::Invalid("a fused function has one output".to_owned())),
        }
    }

    /// A unary op of a float.
    fn lower_unary(&mut self, op: Unary, x: Value, scalar_type: ScalarType) -> LowerResult<Value> {
        self.work.add_unary(op);
        if op == Unary::Sqrt {
            let zero = self.builder.const_float(scalar_type, 0.0);
            let negative = self.builder.compare(Comparison::Lt, x, zero);
            self.trap_where(Trap::SqrtOfNegative, negative, &[])?;
        }
        Ok(self.builder.unary(op, x))
    }

    /// A binary op of floats.
    fn lower_float_binary(
        &mut self,
        op: Binary,
        x: Value,
        y: Value,
        scalar_type: ScalarType,
    ) -> LowerResult<Value> {
        self.work.add_binary(op, scalar_type);
        if op == Binary::Power {
            let zero = self.builder.const_float(scalar_type, 0.0);
            let of_zero = self.builder.compare(Comparison::Eq, x, zero);
            let negative = self.builder.compare(Comparison::Lt, y, zero);
            let undefined = self.builder.and(of_zero, negative);
            self.trap_where(Trap::ZeroToNegativePower, undefined, &[])?;
        }
        Ok(self.builder.binary(op, x, y))
    }

    fn lower_log(&mut self, base: Value, x: Value) -> Value {
        let scalar_type = self.builder.scalar_type(x);
        self.work.add_unary(Unary::Ln);
        self.work.add_binary(Binary::Divide, scalar_type);
        log_to_base(&mut self.builder, base, x)
    }

    /// The greater or lesser of two values in total order; where one is null, the other.
    fn greatest_or_least(&mut self, greatest: bool, x: Value, y: Value) -> Value {
        self.work.add_select();
        let builder = &mut self.builder;
        let (lower, higher) = if greatest { (x, y) } else { (y, x) };
        let other_wins = builder.compare(Comparison::TotalLt, lower, higher);
        let (x_null, y_null) = (builder.is_null(x), builder.is_null(y));
        let both = builder.select(other_wins, y, x);
        let without_y = builder.select(y_null, x, both);
        builder.select(x_null, y, without_y)
    }
}
