//! The programs by which the calibration measures the times of ops.

use std::sync::{Arc, LazyLock};

use arrow_schema::DataType;
use warpframe_ir::ScalarType;
use warpframe_ir::builder::Builder;
use warpframe_ir::error::Result;
use warpframe_ir::instruction::{Input, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;

/// A program of equally expensive ops, with enough of them not to be bound by memory bandwidth. It has one input, and its
/// output is `f64`, as [`Resident`](super::Resident) requires.
#[derive(Debug)]
pub(super) struct CalibrationProgram {
    /// The name of its kernel, whose PTX is shipped: a calibration needs no compiler.
    pub name: &'static str,
    /// The type of the input.
    pub input: DataType,
    /// The number of ops.
    pub ops: f64,
    pub program: Arc<Program>,
}

/// The programs of cheap and of costly ops, of `f64` and of `f32`.
#[derive(Debug)]
pub(super) struct CalibrationPrograms {
    pub cheap: CalibrationProgram,
    pub costly: CalibrationProgram,
    pub cheap_f32: CalibrationProgram,
    pub costly_f32: CalibrationProgram,
}

impl CalibrationPrograms {
    /// The programs, built once.
    ///
    /// # Errors
    /// A program is not valid.
    pub fn get() -> Result<&'static Self> {
        static PROGRAMS: LazyLock<Result<CalibrationPrograms>> = LazyLock::new(CalibrationPrograms::new);
        PROGRAMS.as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self> {
        Ok(Self {
            cheap: program("calibration_cheap_f64", ScalarType::F64, 16, multiply_add)?,
            costly: program("calibration_costly_f64", ScalarType::F64, 4, logarithm_of_exponential)?,
            cheap_f32: program("calibration_cheap_f32", ScalarType::F32, 16, multiply_add)?,
            costly_f32: program("calibration_costly_f32", ScalarType::F32, 4, logarithm_of_exponential)?,
        })
    }

    /// All programs.
    pub fn all(&self) -> [&CalibrationProgram; 4] {
        [&self.cheap, &self.costly, &self.cheap_f32, &self.costly_f32]
    }
}

/// A function that appends two ops to a program: takes its input, the value of the steps before, and their number.
type Step = fn(&mut Builder, Value, Value, usize) -> Value;

fn program(
    name: &'static str,
    scalar_type: ScalarType,
    steps: usize,
    step: Step,
) -> Result<CalibrationProgram> {
    let mut builder = Builder::new();
    let input = scalar_type.data_type();
    let x = builder.add_input(Input { data_type: input.clone(), nullable: false });
    let last = (0..steps).fold(x, |value, number| step(&mut builder, x, value, number));
    let output = builder.cast(ScalarType::F64, last);
    let program = Arc::new(builder.finish_one(output)?);
    Ok(CalibrationProgram { name, input, ops: 2.0 * steps as f64, program })
}

/// Two cheap ops, with another constant in each step, so that no two steps are equal.
fn multiply_add(builder: &mut Builder, x: Value, value: Value, number: usize) -> Value {
    let factor = builder.const_float(builder.scalar_type(x), 0.5 + number as f64);
    let product = builder.binary(Binary::Multiply, value, factor);
    builder.binary(Binary::Add, product, x)
}

/// Two costly ops, whose result is the operand but for rounding.
fn logarithm_of_exponential(builder: &mut Builder, _: Value, value: Value, _: usize) -> Value {
    let power = builder.unary(Unary::Exp, value);
    builder.unary(Unary::Ln, power)
}
