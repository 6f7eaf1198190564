//! The SIMD backend: evaluates programs with the CPU's vector instructions, on the calling thread.

use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use warpframe_ir::backend::{Backend, Kernel, KernelContext};
use warpframe_ir::builder::Builder;
use warpframe_ir::error::{Error, Result};
use warpframe_ir::instruction::{Kind, Precision};
use warpframe_ir::interpreter::Interpreter;
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;

use super::block_executor::{Execution, ScratchElement};
use super::dispatch::run_on;
use super::elementwise::{Log3, evaluate};
use super::input_conversion::{Converter, converter};
use super::register_allocation::RegisterAllocation;
use super::simd_path::{SimdPath, SimdPathError};

/// The SIMD backend on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Simd {
    path: SimdPath,
}

impl Simd {
    /// The backend on the path of this process, [`SimdPath::active`].
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` names a path that does not exist or that this CPU does not support.
    pub fn active() -> Result<Self> {
        Ok(Self { path: SimdPath::active().map_err(Error::backend)? })
    }

    /// The backend on a given path.
    ///
    /// # Errors
    /// This CPU does not support the path.
    pub fn on(path: SimdPath) -> Result<Self> {
        match path.is_available() {
            true => Ok(Self { path }),
            false => Err(Error::backend(SimdPathError::Unavailable(path))),
        }
    }
}

impl Backend for Simd {
    fn description(&self) -> String {
        format!("simd {}", self.path)
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let (backend, program) = (*self, Arc::clone(program));
        Ok(match program.precision() {
            Precision::Double => Arc::new(SimdKernel::<Float64Type>::new(backend, program)?),
            Precision::Single => Arc::new(SimdKernel::<Float32Type>::new(backend, program)?),
        })
    }
}

/// The compiled form of a program.
#[derive(Debug)]
enum Code<E> {
    /// The hand-written loop for `ln(x) * ln(y) * ln(z)` of inputs of the program's precision.
    Log3,
    /// Execution instruction by instruction on blocks of rows.
    Blocks { registers: RegisterAllocation, converters: Vec<Option<Converter<E>>> },
}

#[derive(Debug)]
struct SimdKernel<T: ArrowPrimitiveType> {
    backend: Simd,
    program: Arc<Program>,
    code: Code<T::Native>,
}

impl<T: ArrowPrimitiveType<Native: ScratchElement>> SimdKernel<T> {
    fn new(backend: Simd, program: Arc<Program>) -> Result<Self> {
        let code = match is_log3(&program) {
            true => Code::Log3,
            false => {
                let types = program.inputs().iter().map(|input| converter(&input.data_type));
                Code::Blocks {
                    registers: RegisterAllocation::new(&program),
                    converters: types.collect::<Result<_>>()?,
                }
            }
        };
        Ok(Self { backend, program, code })
    }
}

/// Whether a program is that of the hand-written loop: `ln(x) * ln(y) * ln(z)` of inputs of the program's precision.
fn is_log3(program: &Program) -> bool {
    let log3 = Builder::function(program.precision(), 3, |builder, arguments| {
        let [x, y, z] = [0, 1, 2].map(|position| builder.unary(Unary::Ln, arguments[position]));
        let product = builder.binary(Binary::Multiply, x, y);
        builder.binary(Binary::Multiply, product, z)
    });
    log3.is_ok_and(|log3| program.has_same_code(&log3))
}

impl<T: ArrowPrimitiveType<Native: ScratchElement> + Debug> Kernel for SimdKernel<T> {
    fn description(&self) -> String {
        self.backend.description()
    }

    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, _: &KernelContext) -> Result<ArrayRef> {
        let program = &self.program;
        program.check_inputs(inputs, rows)?;
        if !program.is_strict() && program.has_undeclared_nulls(inputs) {
            // The kernel computes validity only for values that are nullable by declaration.
            return Interpreter::evaluate(program, inputs, rows);
        }
        match (&self.code, inputs) {
            (Code::Log3, [x, y, z]) => Ok(self.log3([x, y, z])),
            (Code::Log3, _) => Err(Error::InvalidInput("log3 takes three arrays".to_owned())),
            (Code::Blocks { registers, converters }, _) => self.blocks(registers, converters, inputs, rows),
        }
    }
}

impl<T: ArrowPrimitiveType<Native: ScratchElement>> SimdKernel<T> {
    /// Evaluates with the hand-written loop. Null rows are computed too; their results are masked by the validity.
    fn log3(&self, arrays: [&ArrayRef; 3]) -> ArrayRef {
        let inputs = arrays.map(|array| array.as_primitive::<T>().values().as_ref());
        let rows = arrays[0].len();
        let mut values = Vec::with_capacity(rows);
        evaluate::<T::Native, Log3, 3>(self.backend.path, inputs, &mut values.spare_capacity_mut()[..rows]);
        // SAFETY: the capacity is at least `rows`, and `evaluate` has initialized `rows` elements.
        unsafe { values.set_len(rows) };
        Arc::new(PrimitiveArray::<T>::new(values.into(), union_of_nulls(arrays)))
    }

    /// Evaluates with the block executor.
    fn blocks(
        &self,
        registers: &RegisterAllocation,
        converters: &[Option<Converter<T::Native>>],
        inputs: &[ArrayRef],
        rows: usize,
    ) -> Result<ArrayRef> {
        let program = &self.program;
        let is_float = program.kind(program.output()) == Kind::Float;
        let (mut values, mut bools, mut validity) = (Vec::new(), Vec::new(), Vec::new());
        if is_float {
            values.reserve_exact(rows);
        } else {
            bools.reserve_exact(rows.div_ceil(64));
        }
        let floats = &mut values.spare_capacity_mut()[..if is_float { rows } else { 0 }];
        T::Native::scratch().with(|scratch| {
            let scratch = &mut *scratch.borrow_mut();
            let outputs = (floats, &mut bools, &mut validity);
            let code = (&**program, registers, converters);
            run_on(self.backend.path, Execution::new(code, inputs, rows, scratch, outputs))
        })?;
        let nulls = if program.is_strict() {
            union_of_nulls(inputs)
        } else if program.may_be_null(program.output()) {
            let bits = BooleanBuffer::new(Buffer::from_vec(validity), 0, rows);
            Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0)
        } else {
            None
        };
        if is_float {
            // SAFETY: the capacity is at least `rows`, and the execution has initialized `rows` elements.
            unsafe { values.set_len(rows) };
            Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
        } else {
            let bits = BooleanBuffer::new(Buffer::from_vec(bools), 0, rows);
            Ok(Arc::new(BooleanArray::new(bits, nulls)))
        }
    }
}

/// The nulls of rows in which any array is null.
fn union_of_nulls<'a>(arrays: impl IntoIterator<Item = &'a ArrayRef>) -> Option<NullBuffer> {
    NullBuffer::union_many(arrays.into_iter().map(|array| array.nulls()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use arrow_array::{Float64Array, Int16Array};
    use arrow_schema::DataType;
    use warpframe_ir::instruction::{Input, Trap};

    use super::*;

    /// A program with every op and instruction, of a Boolean, an integer and a floating-point input with nulls. The sum
    /// of it all is its result, so that a wrong value anywhere shows.
    fn program(precision: Precision) -> Arc<Program> {
        let mut builder = Builder::new(precision);
        let [flag, number, x] = [DataType::Boolean, DataType::Int16, DataType::Float64]
            .map(|data_type| match data_type {
                DataType::Float64 => precision.data_type(),
                other => other,
            })
            .map(|data_type| builder.add_input(Input { data_type, nullable: true }));
        builder.trap_if(Trap::ZeroToNegativePower, [number, x], Some(flag));
        let mut sum = builder.const_float(0.5);
        for &op in Unary::ALL {
            let value = builder.unary(op, x);
            let (null, zero) = (builder.is_nan(value), builder.const_float(0.0));
            let value = builder.select(null, zero, value);
            sum = builder.binary(Binary::Add, sum, value);
        }
        for &op in Binary::ALL {
            let value = builder.binary(op, x, number);
            let (less, same) = (builder.total_lt(value, x), builder.bit_eq(number, x));
            let (both, either) = (builder.and(less, flag), builder.or(same, flag));
            let (is_null, opposite) = (builder.is_null(either), builder.not(both));
            let condition = builder.or(is_null, opposite);
            sum = builder.select(condition, sum, value);
        }
        Arc::new(builder.finish(sum).unwrap())
    }

    #[test]
    fn every_instruction_agrees_with_the_interpreter_on_every_path() {
        // More than a block's word, and not a multiple of any register.
        let rows = 197;
        let null = |row: usize, every: usize| row % every != every - 1;
        let flags: BooleanArray = (0..rows).map(|row| null(row, 5).then_some(row % 3 == 0)).collect();
        let numbers: Int16Array = (0..rows).map(|row| null(row, 7).then_some(row as i16 % 4 + 1)).collect();
        let x = |row: usize| null(row, 11).then_some(row as f64 / 64.0 - 1.0);
        let doubles: Float64Array = (0..rows).map(x).collect();
        let singles: PrimitiveArray<Float32Type> = (0..rows).map(|row| x(row).map(|x| x as f32)).collect();
        for precision in [Precision::Double, Precision::Single] {
            let program = program(precision);
            let x: ArrayRef = match precision {
                Precision::Double => Arc::new(doubles.clone()),
                Precision::Single => Arc::new(singles.clone()),
            };
            let inputs: [ArrayRef; 3] = [Arc::new(flags.clone()), Arc::new(numbers.clone()), x];
            let expected = Interpreter::evaluate(&program, &inputs, rows).unwrap();
            for path in SimdPath::available() {
                let kernel = Simd::on(path).unwrap().compile(&program).unwrap();
                let found = kernel.evaluate(&inputs, rows, &KernelContext::default()).unwrap();
                assert_eq!(found.data_type(), expected.data_type());
                for row in 0..rows {
                    assert_eq!(found.is_null(row), expected.is_null(row), "{path}: row {row}");
                    let number = |array: &ArrayRef| match array.as_primitive_opt::<Float64Type>() {
                        Some(doubles) => doubles.value(row),
                        None => array.as_primitive::<Float32Type>().value(row).into(),
                    };
                    if found.is_null(row) {
                        continue;
                    }
                    // The ops are within some ULP of each other, and the sum has about thirty of their results.
                    let tolerance = if precision == Precision::Double { 1e-13 } else { 1e-5 };
                    let (found, expected) = (number(&found), number(&expected));
                    let near = (found - expected).abs() <= tolerance * (100.0 + expected.abs());
                    let same = found.to_bits() == expected.to_bits();
                    assert!(near || same, "{path}: row {row} is {found}, and {expected} in the interpreter");
                }
            }
        }
    }
}
