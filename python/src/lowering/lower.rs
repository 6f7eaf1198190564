//! The lowering of a trace to a program.

use std::sync::Arc;

use warpframe::ir::{Builder, Input, Output, Program, Scalar, Value};

use super::error::{LoweringError, LoweringResult};
use super::operand::{Operand, ParameterType, Weak};
use crate::dtype::DType;
use crate::trace::{Constant, Node, Trace};

/// A traced function, compiled for the types of its arguments.
#[derive(Debug)]
pub struct Lowered {
    /// The program, with an input for each parameter and one output.
    pub program: Arc<Program>,
    /// The type of the result.
    pub dtype: DType,
    /// The types in which Python integers are used: a parameter, and a type in whose range its argument must be.
    pub limits: Vec<(usize, DType)>,
}

/// The state of a lowering.
pub(super) struct Lowerer {
    pub builder: Builder,
    pub limits: Vec<(usize, DType)>,
}

/// Compiles a trace for parameters of these types, which may be null or are not.
///
/// # Errors
/// An operation is not defined for the types of its operands.
pub fn lower(trace: &Trace, parameters: &[ParameterType], nullable: bool) -> LoweringResult<Lowered> {
    let mut lowerer = Lowerer { builder: Builder::new(), limits: Vec::new() };
    let inputs: Vec<_> = parameters
        .iter()
        .map(|parameter| {
            let input = Input { data_type: parameter.dtype().arrow(), nullable };
            lowerer.builder.add_input(input)
        })
        .collect();
    let mut operands: Vec<Operand> = Vec::with_capacity(trace.nodes.len());
    for node in &trace.nodes {
        let operand = match node {
            Node::Parameter(position) => {
                let weak = Weak { value: inputs[*position], parameter: Some(*position) };
                match parameters[*position] {
                    ParameterType::Typed(dtype) => Operand::Typed(inputs[*position], dtype),
                    ParameterType::Int => Operand::Int(weak),
                    ParameterType::Float => Operand::Float(weak),
                }
            }
            Node::Constant(constant) => lowerer.constant(*constant)?,
            Node::Cast(dtype, operand) => {
                let value = lowerer.explicit_cast(operands[*operand], *dtype)?;
                Operand::Typed(value, *dtype)
            }
            Node::Op(op, arguments) => {
                let arguments: Vec<_> = arguments.iter().map(|argument| operands[*argument]).collect();
                lowerer.op(op, &arguments)?
            }
        };
        operands.push(operand);
    }
    let (value, dtype) = lowerer.typed(operands[trace.result]);
    if dtype == DType::UInt64 {
        return Err(no_uint64("returned"));
    }
    let Lowerer { builder, mut limits } = lowerer;
    limits.sort_unstable_by_key(|(parameter, dtype)| (*parameter, dtype.bits(), dtype.is_signed()));
    limits.dedup();
    let program = builder.finish(vec![Output { value, data_type: dtype.arrow() }], None)?;
    Ok(Lowered { program: Arc::new(program), dtype, limits })
}

/// The error of a use of `uint64`, whose range no integer type of programs has.
pub(super) fn no_uint64(used: &str) -> LoweringError {
    LoweringError::Type(format!(
        "uint64 values cannot be {used}, because programs compute with int64: convert them with \
         .astype(np.int64) or .astype(np.float64)"
    ))
}

impl Lowerer {
    fn constant(&mut self, constant: Constant) -> LoweringResult<Operand> {
        let weak = |value| Weak { value, parameter: None };
        Ok(match constant {
            Constant::Int(None, number) => Operand::Int(weak(self.builder.constant(Scalar::I64(number)))),
            Constant::Float(None, number) => Operand::Float(weak(self.builder.constant(Scalar::F64(number)))),
            Constant::Bool(value) => Operand::Typed(self.builder.const_bool(value), DType::Bool),
            Constant::Int(Some(dtype), number) => {
                Operand::Typed(self.builder.const_integer(dtype.scalar_type(), number), dtype)
            }
            Constant::Float(Some(dtype), number) => {
                Operand::Typed(self.builder.const_float(dtype.scalar_type(), number), dtype)
            }
        })
    }

    fn op(&mut self, op: &str, operands: &[Operand]) -> LoweringResult<Operand> {
        let lowered = match *operands {
            [x] => self.unary(op, x)?,
            [x, y] => self.binary(op, x, y)?,
            [condition, yes, no] if op == "where" => Some(self.select(condition, yes, no)?),
            _ => None,
        };
        lowered.ok_or_else(|| {
            LoweringError::Type(format!("there is no operation {op} of {} operands", operands.len()))
        })
    }

    fn unary(&mut self, op: &str, x: Operand) -> LoweringResult<Option<Operand>> {
        if let Some(result) = self.unary_arithmetic(op, x)? {
            return Ok(Some(result));
        }
        if let Some(result) = self.classify(op, x) {
            return Ok(Some(result));
        }
        let dtype = x.dtype().float();
        let x = self.convert(x, dtype)?;
        Ok(self.float_function(op, dtype, x).map(|value| Operand::Typed(value, dtype)))
    }

    fn binary(&mut self, op: &str, x: Operand, y: Operand) -> LoweringResult<Option<Operand>> {
        if let Some(result) = self.comparison(op, x, y)? {
            return Ok(Some(result));
        }
        if let Some(result) = self.binary_arithmetic(op, x, y)? {
            return Ok(Some(result));
        }
        // Two types of NumPy are converted to a type of floats each, and only then to a common one.
        let dtype = match x.is_weak() || y.is_weak() {
            true => x.promote(y).float(),
            false => x.dtype().float().promote(y.dtype().float()),
        };
        let (x, y) = (self.convert(x, dtype)?, self.convert(y, dtype)?);
        Ok(self.float_function_of_two(op, dtype, x, y).map(|value| Operand::Typed(value, dtype)))
    }

    fn select(&mut self, condition: Operand, yes: Operand, no: Operand) -> LoweringResult<Operand> {
        let condition = self.convert(condition, DType::Bool)?;
        let dtype = yes.promote(no);
        if dtype == DType::UInt64 {
            // The values are not changed: they stay the floats that represent them.
            return Err(no_uint64("selected"));
        }
        let (yes, no) = (self.convert(yes, dtype)?, self.convert(no, dtype)?);
        let value = self.builder.select(condition, yes, no);
        Ok(Operand::Typed(self.null_where(condition, value), dtype))
    }

    /// The value, or null where an operand is null, from which the value does not follow: the condition of a selection.
    pub(super) fn null_where(&mut self, operand: Value, value: Value) -> Value {
        if !self.builder.may_be_null(operand) {
            return value;
        }
        let (null, is_null) = (self.builder.scalar_type(value), self.builder.is_null(operand));
        let null = self.builder.null(null);
        self.builder.select(is_null, null, value)
    }
}
