//! The interpreter: a backend that evaluates programs row by row with dynamically typed values. It is the baseline of
//! comparisons, and the reference implementation that tests check the other backends against.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::backend::{Backend, Evaluated, Kernel, KernelContext};
use super::error::{Error, Result};
use super::instruction::{Instruction, Value};
use super::output_array::{array_of_scalars, with_logical_type};
use super::program::Program;
use super::scalar::Scalar;
use super::trap::{RowTrap, Trap};

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
    pub fn evaluate(program: &Program, inputs: &[ArrayRef], rows: usize) -> Result<Evaluated> {
        program.check_inputs(inputs, rows)?;
        let outputs = program.outputs();
        let mut columns: Vec<_> = outputs.iter().map(|_| Vec::with_capacity(rows)).collect();
        let mut selected = 0;
        let mut values = vec![None; program.instructions().len()];
        for row in 0..rows {
            evaluate_row(program, inputs, row, &mut values)?;
            let in_result = match program.predicate() {
                Some(predicate) => values[predicate.position()] == Some(Scalar::Bool(true)),
                None => true,
            };
            if in_result {
                selected += 1;
                for (column, output) in columns.iter_mut().zip(outputs) {
                    column.push(values[output.value.position()]);
                }
            }
        }
        let arrays = columns.into_iter().zip(outputs).map(|(column, output)| {
            with_logical_type(array_of_scalars(program.scalar_type(output.value), column), &output.data_type)
        });
        Ok(Evaluated { columns: arrays.collect::<Result<_>>()?, rows: selected })
    }

    /// The error of a trap that another backend has found, with the operand of the first row that traps.
    pub fn describe_trap(program: &Program, inputs: &[ArrayRef], rows: usize, trap: Trap) -> Error {
        match Self::evaluate(program, inputs, rows) {
            Err(error @ Error::Trap(_)) => error,
            _ => trap.into(),
        }
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

    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, _: &KernelContext) -> Result<Evaluated> {
        Interpreter::evaluate(&self.program, inputs, rows)
    }
}

/// Evaluates all instructions of a program in one row. `values` has a place for each; `None` is null.
fn evaluate_row(
    program: &Program,
    inputs: &[ArrayRef],
    row: usize,
    values: &mut [Option<Scalar>],
) -> Result<()> {
    // The result for operands that are not null; `None` if one is null.
    macro_rules! defined {
        ($instruction:ident, $operands:expr, $operand:pat => $result:expr) => {
            match $operands {
                None => None,
                Some($operand) => match $result {
                    None => return Err(mismatch($instruction)),
                    result => result,
                },
            }
        };
    }
    for (position, instruction) in program.instructions().iter().enumerate() {
        let at = |value: Value| values[value.position()];
        let both = |x: Value, y: Value| at(x).zip(at(y));
        let result = match *instruction {
            Instruction::Input(input) => Scalar::read(&inputs[input as usize], row)?,
            Instruction::Const(constant) => Some(constant),
            Instruction::Null(_) => None,
            Instruction::Unary(op, x) => defined!(instruction, at(x), x => op.apply(x)),
            Instruction::Binary(op, x, y) => defined!(instruction, both(x, y), (x, y) => op.apply(x, y)),
            Instruction::Compare(comparison, x, y) => {
                defined!(instruction, both(x, y), (x, y) => comparison.apply(x, y).map(Scalar::Bool))
            }
            Instruction::Cast(to, x) => at(x).map(|x| x.cast(to)),
            Instruction::InTable(table, x) => {
                at(x).map(|x| Scalar::Bool(program.tables()[table as usize].contains(x)))
            }
            Instruction::IsNan(x) => at(x).and_then(Scalar::as_float).map(|x| Scalar::Bool(x.is_nan())),
            Instruction::IsNull(x) => Some(Scalar::Bool(at(x).is_none())),
            Instruction::Not(x) => truth(at(x)).map(|x| Scalar::Bool(!x)),
            Instruction::And(x, y) => match (truth(at(x)), truth(at(y))) {
                (Some(false), _) | (_, Some(false)) => Some(Scalar::Bool(false)),
                (x, y) => x.and(y).map(Scalar::Bool),
            },
            Instruction::Or(x, y) => match (truth(at(x)), truth(at(y))) {
                (Some(true), _) | (_, Some(true)) => Some(Scalar::Bool(true)),
                (x, y) => x.and(y).map(Scalar::Bool),
            },
            Instruction::Select(condition, yes, no) => {
                if truth(at(condition)) == Some(true) {
                    at(yes)
                } else {
                    at(no)
                }
            }
            Instruction::TrapIf(trap, condition, operands) => {
                if truth(at(condition)) == Some(true) {
                    return Err(
                        RowTrap { trap, operands: operands.map(|operand| operand.and_then(at)) }.into()
                    );
                }
                None
            }
        };
        values[position] = result;
    }
    Ok(())
}

/// The Boolean, or `None` for null.
fn truth(value: Option<Scalar>) -> Option<bool> {
    value.and_then(Scalar::as_bool)
}

/// An error that the verifier excludes.
fn mismatch(instruction: &Instruction) -> Error {
    Error::InvalidProgram(format!("the operands of {instruction:?} have the wrong type"))
}
