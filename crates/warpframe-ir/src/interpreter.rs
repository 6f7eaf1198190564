//! The interpreter: a backend that evaluates programs row by row with dynamically typed values. It is the baseline of
//! comparisons, and the reference implementation that tests check the other backends against.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow_schema::DataType;

use super::backend::{Backend, Kernel, KernelContext};
use super::error::{Error, Result};
use super::instruction::{Instruction, Precision, Trap, Value};
use super::ops::{Binary, Unary};
use super::program::Program;
use super::scalar::Scalar;

/// The backend that evaluates one row at a time and dispatches on the type of every value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Interpreter;

impl Interpreter {
    /// The name in `EXPLAIN` and in reports.
    pub const NAME: &'static str = "interpreted";

    /// Evaluates a program without compiling it: see [`Kernel::evaluate`].
    ///
    /// # Errors
    /// As [`Kernel::evaluate`].
    pub fn evaluate(program: &Program, inputs: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        program.check_inputs(inputs, rows)?;
        let mut evaluator = RowEvaluator::new(program, inputs);
        let results = (0..rows).map(|row| evaluator.evaluate(row));
        Ok(match program.data_type() {
            DataType::Float64 => Arc::new(
                results.map(|result| result?.double()).collect::<Result<PrimitiveArray<Float64Type>>>()?,
            ),
            DataType::Float32 => Arc::new(
                results.map(|result| result?.single()).collect::<Result<PrimitiveArray<Float32Type>>>()?,
            ),
            _ => Arc::new(results.map(|result| result?.boolean()).collect::<Result<BooleanArray>>()?),
        })
    }
}

impl Backend for Interpreter {
    fn description(&self) -> String {
        Self::NAME.to_owned()
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        Ok(Arc::new(InterpreterKernel { program: Arc::clone(program) }))
    }
}

#[derive(Debug)]
struct InterpreterKernel {
    program: Arc<Program>,
}

impl Kernel for InterpreterKernel {
    fn description(&self) -> String {
        Interpreter::NAME.to_owned()
    }

    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, _: &KernelContext) -> Result<ArrayRef> {
        Interpreter::evaluate(&self.program, inputs, rows)
    }
}

/// Evaluates a program on one row at a time, each value when it is first read.
struct RowEvaluator<'a> {
    program: &'a Program,
    inputs: &'a [ArrayRef],
    row: usize,
    /// The values already computed in the row, of those that are read more than once.
    values: Vec<Option<Scalar>>,
    /// For each value, whether it is read more than once.
    shared: Vec<bool>,
    /// The operands of the [`Instruction::TrapIf`] instructions.
    traps: Vec<(Trap, [Value; 2], Option<Value>)>,
}

impl<'a> RowEvaluator<'a> {
    fn new(program: &'a Program, inputs: &'a [ArrayRef]) -> Self {
        let mut uses = vec![0; program.instructions().len()];
        let mut traps = Vec::new();
        for instruction in program.instructions() {
            instruction.operands().for_each(|operand| uses[operand.position()] += 1);
            if let Instruction::TrapIf(trap, operands, guard) = *instruction {
                traps.push((trap, operands, guard));
            }
        }
        let shared = uses.iter().map(|&uses| uses > 1).collect();
        Self { program, inputs, row: 0, values: vec![None; uses.len()], shared, traps }
    }

    fn evaluate(&mut self, row: usize) -> Result<Scalar> {
        self.row = row;
        self.values.fill(None);
        for position in 0..self.traps.len() {
            let (trap, operands, guard) = self.traps[position];
            self.trap_if(trap, operands, guard)?;
        }
        self.value(self.program.output())
    }

    fn trap_if(&mut self, trap: Trap, [x, y]: [Value; 2], guard: Option<Value>) -> Result<()> {
        if let Some(guard) = guard
            && self.value(guard)?.boolean()? != Some(true)
        {
            return Ok(());
        }
        let (Some(x), Some(y)) = (self.value(x)?.number()?, self.value(y)?.number()?) else { return Ok(()) };
        let holds = match trap {
            Trap::SqrtOfNegative => x < 0.0,
            Trap::ZeroToNegativePower => x == 0.0 && y < 0.0,
        };
        if holds { Err(trap.into()) } else { Ok(()) }
    }

    fn value(&mut self, value: Value) -> Result<Scalar> {
        if let Some(known) = self.values[value.position()] {
            return Ok(known);
        }
        let result = self.compute(&self.program.instructions()[value.position()])?;
        if self.shared[value.position()] {
            self.values[value.position()] = Some(result);
        }
        Ok(result)
    }

    fn compute(&mut self, instruction: &Instruction) -> Result<Scalar> {
        Ok(match *instruction {
            Instruction::Input(position) => {
                Scalar::read(&self.inputs[position], self.row, self.program.precision())?
            }
            Instruction::ConstFloat(bits) => match self.program.precision() {
                Precision::Double => Scalar::Double(f64::from_bits(bits)),
                Precision::Single => Scalar::Single(f64::from_bits(bits) as f32),
            },
            Instruction::ConstBool(value) => Scalar::Bool(value),
            Instruction::ConstNull(_) => Scalar::Null,
            Instruction::Unary(op, x) => unary(op, self.value(x)?)?,
            Instruction::Binary(op, x, y) => binary(op, self.value(x)?, self.value(y)?)?,
            Instruction::TotalLt(x, y) => compare(self.value(x)?, self.value(y)?, Ordering::is_lt)?,
            Instruction::BitEq(x, y) => compare(self.value(x)?, self.value(y)?, Ordering::is_eq)?,
            Instruction::IsNan(x) => self.value(x)?.number()?.map(f64::is_nan).into(),
            Instruction::IsNull(x) => Scalar::Bool(matches!(self.value(x)?, Scalar::Null)),
            Instruction::Not(x) => self.value(x)?.boolean()?.map(|x| !x).into(),
            Instruction::And(x, y) => match (self.value(x)?.boolean()?, self.value(y)?.boolean()?) {
                (Some(false), _) | (_, Some(false)) => Scalar::Bool(false),
                (x, y) => x.and(y).into(),
            },
            Instruction::Or(x, y) => match (self.value(x)?.boolean()?, self.value(y)?.boolean()?) {
                (Some(true), _) | (_, Some(true)) => Scalar::Bool(true),
                (x, y) => x.and(y).into(),
            },
            Instruction::Select(condition, yes, no) => match self.value(condition)?.boolean()? {
                Some(true) => self.value(yes)?,
                _ => self.value(no)?,
            },
            Instruction::TrapIf(..) => {
                return Err(Error::InvalidProgram("an instruction reads the value of a TrapIf".to_owned()));
            }
        })
    }
}

fn unary(op: Unary, x: Scalar) -> Result<Scalar> {
    match x {
        Scalar::Null => Ok(Scalar::Null),
        Scalar::Double(x) => Ok(Scalar::Double(op.f64(x))),
        Scalar::Single(x) => Ok(Scalar::Single(op.f32(x))),
        Scalar::Bool(_) => Err(mismatch(format!("{} of {x:?}", op.info().name))),
    }
}

fn binary(op: Binary, x: Scalar, y: Scalar) -> Result<Scalar> {
    match (x, y) {
        (Scalar::Null, _) | (_, Scalar::Null) => Ok(Scalar::Null),
        (Scalar::Double(x), Scalar::Double(y)) => Ok(Scalar::Double(op.f64(x, y))),
        (Scalar::Single(x), Scalar::Single(y)) => Ok(Scalar::Single(op.f32(x, y))),
        (x, y) => Err(mismatch(format!("{} of {x:?} and {y:?}", op.info().name))),
    }
}

fn compare(x: Scalar, y: Scalar, holds: fn(Ordering) -> bool) -> Result<Scalar> {
    match (x, y) {
        (Scalar::Null, _) | (_, Scalar::Null) => Ok(Scalar::Null),
        (Scalar::Double(x), Scalar::Double(y)) => Ok(Scalar::Bool(holds(x.total_cmp(&y)))),
        (Scalar::Single(x), Scalar::Single(y)) => Ok(Scalar::Bool(holds(x.total_cmp(&y)))),
        (x, y) => Err(mismatch(format!("comparison of {x:?} with {y:?}"))),
    }
}

fn mismatch(operation: String) -> Error {
    Error::InvalidProgram(format!("operands do not match: {operation}"))
}
