//! The SIMD backend: evaluates programs with the CPU's vector instructions, on the calling thread.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use warpframe_ir::backend::{Backend, Evaluated, Kernel, KernelContext};
use warpframe_ir::error::{Error, Result};
use warpframe_ir::interpreter::Interpreter;
use warpframe_ir::program::Program;
use warpframe_ir::reduction::{Accumulator, CHUNK, Reductions};
use warpframe_ir::{concat_nulls, is_truncating, with_logical_type, write_values};

use super::block::WORD;
use super::block_code::{Compiled, NATIVE_COMPILE_TIME, NativeState};
use super::block_executor::Execution;
use super::block_memory::Scratch;
use super::class::Class;
use super::dispatch::DetectedPath;
use super::native_execution::Functions;
use super::non_temporal;
use super::output_buffer::OutputBuffer;
use super::simd_path::SimdPath;
use super::sink::Sink;

/// The SIMD backend on one path, with or without native code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Simd {
    path: DetectedPath,
    native: bool,
}

impl Simd {
    /// The backend on the path of this process, [`SimdPath::active`].
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` names a path that does not exist or that this CPU does not support.
    pub fn active() -> Result<Self> {
        SimdPath::active().map_err(Error::backend).and_then(Self::on)
    }

    /// [`active`](Self::active), [with native code](Self::with_native_code).
    ///
    /// # Errors
    /// As [`active`](Self::active).
    pub fn native() -> Result<Self> {
        Self::active().map(Self::with_native_code)
    }

    /// The backend on a given path.
    ///
    /// # Errors
    /// This CPU does not support the path.
    pub fn on(path: SimdPath) -> Result<Self> {
        Ok(Self { path: DetectedPath::new(path).map_err(Error::backend)?, native: false })
    }

    /// The backend that compiles programs to machine code, where that saves loops and the system allows it: AVX2 and AVX-512
    /// on x86-64.
    pub fn with_native_code(self) -> Self {
        Self { native: true, ..self }
    }
}

impl Backend for Simd {
    fn description(&self) -> String {
        format!("{} {}", if self.native { "native" } else { "simd" }, self.path.path())
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let blocks = Blocks::new(*self, program)?;
        let is_reported = AtomicBool::new(false);
        Ok(Arc::new(SimdKernel { backend: *self, program: Arc::clone(program), blocks, is_reported }))
    }
}

/// A program's code for the block executor.
#[derive(Debug)]
struct Blocks {
    compiled: Compiled,
    /// For arrays without nulls, the program that computes no validity of inputs that are nullable by declaration, and its
    /// code.
    without_nulls: Option<Compiled>,
    native: NativeState,
}

impl Blocks {
    fn new(backend: Simd, program: &Program) -> Result<Self> {
        let compile = |program: &Program| Compiled::new(backend.path, program, backend.native);
        let is_nullable = !program.is_strict() && program.inputs().iter().any(|input| input.nullable);
        let without_nulls: Option<Result<_>> = is_nullable.then(|| compile(&program.without_input_nulls()?));
        let (compiled, native) = compile(program)?;
        Ok(match without_nulls.transpose()? {
            Some((without_nulls, other)) => {
                Self { compiled, without_nulls: Some(without_nulls), native: native.and(other) }
            }
            None => Self { compiled, without_nulls: None, native },
        })
    }

    /// The program and its code for arrays, which may have no nulls.
    fn for_arrays(&self, inputs: &[ArrayRef]) -> &Compiled {
        match &self.without_nulls {
            Some(compiled) if inputs.iter().all(|array| array.null_count() == 0) => compiled,
            _ => &self.compiled,
        }
    }
}

impl Compiled {
    /// Executes the code, and returns the number of selected rows. `nulls` are those of the output of a strict program that is
    /// reduced.
    fn execute(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        sinks: &mut [Sink<'_>],
        nulls: Option<&NullBuffer>,
        functions: Functions<'_>,
    ) -> Result<usize> {
        let Self { program, code } = self;
        let selected = Scratch::with(|scratch| {
            Execution::new((program, code), inputs, rows, scratch, sinks, nulls, functions).evaluate()
        });
        selected.map_err(|trap| Interpreter::describe_trap(program, inputs, rows, trap))
    }
}

#[derive(Debug)]
struct SimdKernel {
    backend: Simd,
    program: Arc<Program>,
    blocks: Blocks,
    /// Whether the time of compilation was reported.
    is_reported: AtomicBool,
}

impl Kernel for SimdKernel {
    fn description(&self) -> String {
        match &self.blocks.native {
            NativeState::Compiled(_) => self.backend.description(),
            NativeState::None => self.loops(),
            NativeState::Failed(error) => format!("{}: {error}", self.loops()),
        }
    }

    fn compile_time(&self) -> Option<Duration> {
        match self.blocks.native {
            NativeState::Compiled(time) => Some(time),
            NativeState::None | NativeState::Failed(_) => None,
        }
    }

    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, context: &KernelContext) -> Result<Evaluated> {
        let program = &self.program;
        self.report(context);
        program.check_inputs(inputs, rows)?;
        if !program.is_strict() && program.has_undeclared_nulls(inputs) {
            // The kernel computes validity only for values that are nullable by declaration.
            return Interpreter::evaluate(program, inputs, rows);
        }
        self.blocks(inputs, rows)
    }

    fn evaluate_into(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        target: &mut [MaybeUninit<u8>],
    ) -> Result<Option<NullBuffer>> {
        let program = &self.program;
        self.report(context);
        program.check_inputs(inputs, rows)?;
        let scalar_type = program.output_type();
        let width = Class::of(scalar_type).width();
        let is_in_place = program.outputs().len() == 1
            && program.predicate().is_none()
            && width > 0
            && !is_truncating(program.data_type())
            && target.as_ptr().addr().is_multiple_of(width)
            && target.len() == rows * width
            && (program.is_strict() || !program.has_undeclared_nulls(inputs));
        if !is_in_place {
            return write_values(&self.evaluate(inputs, rows, context)?.into_column()?, target);
        }
        // The executor writes whole mask words.
        let whole = rows / WORD * WORD;
        let (words, rest) = target.split_at_mut(whole * width);
        let slices = |start: usize, rows: usize| -> Vec<_> {
            inputs.iter().map(|array| array.slice(start, rows)).collect()
        };
        let mut nulls = None;
        if whole > 0 {
            nulls = self.blocks_into(&slices(0, whole), whole, context, words)?;
        }
        if whole == rows {
            return Ok(nulls);
        }
        let rest_rows = rows - whole;
        let column = self.evaluate(&slices(whole, rest_rows), rest_rows, context)?.into_column()?;
        let rest_nulls = write_values(&column, rest)?;
        Ok(concat_nulls(&[(nulls, whole), (rest_nulls, rest_rows)]))
    }

    fn reduce(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        accumulators: &mut [Accumulator],
    ) -> Result<usize> {
        let program = &self.program;
        self.report(context);
        program.check_inputs(inputs, rows)?;
        if !program.is_strict() && program.has_undeclared_nulls(inputs) {
            return Interpreter::evaluate(program, inputs, rows)?.reduce(accumulators);
        }
        if program.outputs().iter().any(|output| is_truncating(&output.data_type)) {
            return self.evaluate(inputs, rows, context)?.reduce(accumulators);
        }
        let compiled @ Compiled { program, code } = self.blocks.for_arrays(inputs);
        let nulls = if program.is_strict() { union_of_nulls(inputs) } else { None };
        let only_sum = Reductions { sum: true, ..Reductions::default() };
        let is_sum = accumulators.iter().map(|accumulator| accumulator.reductions() == only_sum);
        let variant = match nulls.is_none() && rows >= CHUNK {
            true => code.sums(program, &is_sum.collect::<Vec<_>>(), &context.metrics),
            false => None,
        };
        let functions = variant.map_or(Functions::Plain, Functions::Sums);
        let sinks = accumulators.iter_mut().zip(program.outputs()).map(|(accumulator, output)| {
            Sink::reduction(program.scalar_type(output.value), code.block_rows, accumulator)
        });
        compiled.execute(inputs, rows, &mut sinks.collect::<Vec<_>>(), nulls.as_ref(), functions)
    }
}

impl SimdKernel {
    /// The description of code that is not compiled at run time.
    fn loops(&self) -> String {
        Simd { native: false, ..self.backend }.description()
    }

    /// Reports the time that compilation took, once.
    fn report(&self, context: &KernelContext) {
        if let Some(time) = self.compile_time()
            && !self.is_reported.swap(true, Ordering::Relaxed)
        {
            context.metrics.add_time(NATIVE_COMPILE_TIME, time);
        }
    }

    /// Evaluates with the block executor into memory for all rows, whose number is a multiple of the rows of a mask word.
    fn blocks_into(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        target: &mut [MaybeUninit<u8>],
    ) -> Result<Option<NullBuffer>> {
        let compiled @ Compiled { program, code } = self.blocks.for_arrays(inputs);
        let output_type = program.output_type();
        let is_aligned = target.as_ptr().addr().is_multiple_of(non_temporal::LINE);
        let variant = match context.non_temporal && is_aligned {
            true => code.non_temporal(&context.metrics),
            false => None,
        };
        let (buffer, functions) = match variant {
            Some(variant) => (OutputBuffer::borrowed(output_type, target), Functions::NonTemporal(variant)),
            None if context.non_temporal => {
                (OutputBuffer::non_temporal(output_type, target, code.block_rows), Functions::Plain)
            }
            None => (OutputBuffer::borrowed(output_type, target), Functions::Plain),
        };
        let mut sinks = [Sink::Array(buffer)];
        let _fence = context.non_temporal.then_some(non_temporal::Fence);
        compiled.execute(inputs, rows, &mut sinks, None, functions)?;
        let nulls = if program.is_strict() { union_of_nulls(inputs) } else { None };
        let [sink] = sinks;
        Ok(sink.into_array().and_then(|mut buffer| buffer.finish_nulls(rows, nulls)))
    }

    /// Evaluates with the block executor.
    fn blocks(&self, inputs: &[ArrayRef], rows: usize) -> Result<Evaluated> {
        let compiled @ Compiled { program, .. } = self.blocks.for_arrays(inputs);
        let outputs = program.outputs();
        let sinks = outputs.iter().map(|output| Sink::array(program.scalar_type(output.value), rows));
        let mut sinks: Vec<_> = sinks.collect();
        let selected = compiled.execute(inputs, rows, &mut sinks, None, Functions::Plain)?;
        let nulls = if program.is_strict() { union_of_nulls(inputs) } else { None };
        let buffers = sinks.into_iter().filter_map(Sink::into_array);
        let columns = buffers.zip(outputs).map(|(buffer, output)| {
            // SAFETY: the execution has written all selected rows.
            let array = unsafe { buffer.finish(selected, nulls.clone()) };
            with_logical_type(array.ok_or_else(not_own_memory)?, &output.data_type)
        });
        Ok(Evaluated { columns: columns.collect::<Result<_>>()?, rows: selected })
    }
}

fn not_own_memory() -> Error {
    Error::InvalidInput("an array has memory of its own".to_owned())
}

/// The nulls of rows in which any array is null.
fn union_of_nulls<'a>(arrays: impl IntoIterator<Item = &'a ArrayRef>) -> Option<NullBuffer> {
    NullBuffer::union_many(arrays.into_iter().map(|array| array.nulls()))
}
