//! The SIMD backend: evaluates programs with the CPU's vector instructions, on the calling thread.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_buffer::NullBuffer;
use warpframe_ir::backend::{Backend, Evaluated, Kernel, KernelContext};
use warpframe_ir::builder::Builder;
use warpframe_ir::error::{Error, Result};
use warpframe_ir::interpreter::Interpreter;
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::{ScalarType, with_logical_type};

use super::block_code::BlockCode;
use super::block_executor::Execution;
use super::block_memory::Scratch;
use super::dispatch::DetectedPath;
use super::elementwise::{Log3, evaluate};
use super::lanes::SimdElement;
use super::output_buffer::OutputBuffer;
use super::simd_path::SimdPath;

/// The SIMD backend on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Simd {
    path: DetectedPath,
}

impl Simd {
    /// The backend on the path of this process, [`SimdPath::active`].
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` names a path that does not exist or that this CPU does not support.
    pub fn active() -> Result<Self> {
        SimdPath::active().map_err(Error::backend).and_then(Self::on)
    }

    /// The backend on a given path.
    ///
    /// # Errors
    /// This CPU does not support the path.
    pub fn on(path: SimdPath) -> Result<Self> {
        Ok(Self { path: DetectedPath::new(path).map_err(Error::backend)? })
    }
}

impl Backend for Simd {
    fn description(&self) -> String {
        format!("simd {}", self.path.path())
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let code = match is_log3(program) {
            true => Code::Log3(program.output_type()),
            false => Code::Blocks(Box::new(Blocks::new(*self, program)?)),
        };
        Ok(Arc::new(SimdKernel { backend: *self, program: Arc::clone(program), code }))
    }
}

/// The compiled form of a program.
#[derive(Debug)]
enum Code {
    /// The hand-written loop for `ln(x) * ln(y) * ln(z)` of inputs of this type, `f64` or `f32`.
    Log3(ScalarType),
    /// Execution step by step on blocks of rows.
    Blocks(Box<Blocks>),
}

/// A program's code for the block executor.
#[derive(Debug)]
struct Blocks {
    code: BlockCode,
    /// For arrays without nulls, the program that computes no validity of inputs that are nullable by declaration, and its
    /// code.
    without_nulls: Option<(Program, BlockCode)>,
}

impl Blocks {
    fn new(backend: Simd, program: &Program) -> Result<Self> {
        let code = |program: &Program| BlockCode::new(backend.path, program);
        let is_nullable = !program.is_strict() && program.inputs().iter().any(|input| input.nullable);
        let without_nulls: Option<Result<_>> = is_nullable.then(|| {
            let program = program.without_input_nulls()?;
            let code = code(&program)?;
            Ok((program, code))
        });
        Ok(Self { code: code(program)?, without_nulls: without_nulls.transpose()? })
    }
}

#[derive(Debug)]
struct SimdKernel {
    backend: Simd,
    program: Arc<Program>,
    code: Code,
}

/// Whether a program is that of the hand-written loop: `ln(x) * ln(y) * ln(z)` of inputs of one type, `f32` or `f64`.
fn is_log3(program: &Program) -> bool {
    let log3 = Builder::function(program.output_type(), 3, |builder, arguments| {
        let [x, y, z] = [0, 1, 2].map(|position| builder.unary(Unary::Ln, arguments[position]));
        let product = builder.binary(Binary::Multiply, x, y);
        builder.binary(Binary::Multiply, product, z)
    });
    log3.is_ok_and(|log3| program.has_same_code(&log3))
}

impl Kernel for SimdKernel {
    fn description(&self) -> String {
        self.backend.description()
    }

    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, _: &KernelContext) -> Result<Evaluated> {
        let program = &self.program;
        program.check_inputs(inputs, rows)?;
        if !program.is_strict() && program.has_undeclared_nulls(inputs) {
            // The kernel computes validity only for values that are nullable by declaration.
            return Interpreter::evaluate(program, inputs, rows);
        }
        match (&self.code, inputs) {
            (Code::Log3(ScalarType::F32), [x, y, z]) => Ok(self.log3::<Float32Type>([x, y, z])),
            (Code::Log3(_), [x, y, z]) => Ok(self.log3::<Float64Type>([x, y, z])),
            (Code::Log3(_), _) => Err(Error::InvalidInput("log3 takes three arrays".to_owned())),
            (Code::Blocks(blocks), _) => self.blocks(blocks, inputs, rows),
        }
    }
}

impl SimdKernel {
    /// Evaluates with the hand-written loop. Null rows are computed too; their results are masked by the validity.
    fn log3<T: ArrowPrimitiveType<Native: SimdElement>>(&self, arrays: [&ArrayRef; 3]) -> Evaluated {
        let inputs = arrays.map(|array| array.as_primitive::<T>().values().as_ref());
        let rows = arrays[0].len();
        let mut values = Vec::with_capacity(rows);
        evaluate::<T::Native, Log3, 3>(self.backend.path, inputs, &mut values.spare_capacity_mut()[..rows]);
        // SAFETY: the capacity is at least `rows`, and `evaluate` has initialized `rows` elements.
        unsafe { values.set_len(rows) };
        let array = PrimitiveArray::<T>::new(values.into(), union_of_nulls(arrays));
        Evaluated { columns: vec![Arc::new(array)], rows }
    }

    /// Evaluates with the block executor.
    fn blocks(&self, blocks: &Blocks, inputs: &[ArrayRef], rows: usize) -> Result<Evaluated> {
        let (program, code) = match &blocks.without_nulls {
            Some((program, code)) if inputs.iter().all(|array| array.null_count() == 0) => (program, code),
            _ => (&*self.program, &blocks.code),
        };
        let outputs = program.outputs();
        let mut buffers: Vec<_> =
            outputs.iter().map(|one| OutputBuffer::new(program.scalar_type(one.value), rows)).collect();
        let selected = Scratch::with(|scratch| {
            Execution::new((program, code), inputs, rows, scratch, &mut buffers).evaluate()
        });
        let selected = match selected {
            Ok(selected) => selected,
            Err(trap) => return Err(Interpreter::describe_trap(program, inputs, rows, trap)),
        };
        let nulls = if program.is_strict() { union_of_nulls(inputs) } else { None };
        let columns = buffers.into_iter().zip(outputs).map(|(buffer, output)| {
            // SAFETY: the execution has written all selected rows.
            let array = unsafe { buffer.finish(selected, nulls.clone()) };
            with_logical_type(array, &output.data_type)
        });
        Ok(Evaluated { columns: columns.collect::<Result<_>>()?, rows: selected })
    }
}

/// The nulls of rows in which any array is null.
fn union_of_nulls<'a>(arrays: impl IntoIterator<Item = &'a ArrayRef>) -> Option<NullBuffer> {
    NullBuffer::union_many(arrays.into_iter().map(|array| array.nulls()))
}
