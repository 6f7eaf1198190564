//! The SIMD backend: evaluates programs with the CPU's vector instructions, on the calling thread.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
use warpframe_ir::reduction::{Accumulator, CHUNK, Reductions};
use warpframe_ir::{ScalarType, concat_nulls, is_truncating, with_logical_type, write_values};

use super::block::{Location, WORD};
use super::block_code::{Compiled, MAX_BLOCK_ROWS, NATIVE_COMPILE_TIME, NativeState};
use super::block_executor::Execution;
use super::block_memory::Scratch;
use super::class::Class;
use super::dispatch::DetectedPath;
use super::elementwise::{Log3, evaluate};
use super::input_conversion::copy_bits;
use super::lanes::SimdElement;
use super::native_execution::Functions;
use super::non_temporal;
use super::output_buffer::OutputBuffer;
use super::simd_path::SimdPath;
use super::sink::{Selection, Sink, reduce_numbers};

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
        let code = match is_log3(program) {
            true => Code::Log3(program.output_type()),
            false => Code::Blocks(Box::new(Blocks::new(*self, program)?)),
        };
        let is_reported = AtomicBool::new(false);
        Ok(Arc::new(SimdKernel { backend: *self, program: Arc::clone(program), code, is_reported }))
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
            Some((without_nulls, native)) => Self { compiled, without_nulls: Some(without_nulls), native },
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
    code: Code,
    /// Whether the time of compilation was reported.
    is_reported: AtomicBool,
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
        match &self.code {
            Code::Blocks(blocks) => match &blocks.native {
                NativeState::Compiled(_) => self.backend.description(),
                NativeState::None => self.loops(),
                NativeState::Failed(error) => format!("{}: {error}", self.loops()),
            },
            Code::Log3(_) => self.loops(),
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
        match (&self.code, inputs) {
            (Code::Log3(ScalarType::F32), [x, y, z]) => Ok(self.log3::<Float32Type>([x, y, z])),
            (Code::Log3(_), [x, y, z]) => Ok(self.log3::<Float64Type>([x, y, z])),
            (Code::Log3(_), _) => Err(Error::InvalidInput("log3 takes three arrays".to_owned())),
            (Code::Blocks(blocks), _) => self.blocks(blocks, inputs, rows),
        }
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
        let is_direct = program.outputs().len() == 1
            && program.predicate().is_none()
            && width > 0
            && !is_truncating(program.data_type())
            && target.as_ptr().addr().is_multiple_of(width)
            && target.len() == rows * width
            && (program.is_strict() || !program.has_undeclared_nulls(inputs));
        if !is_direct {
            return write_values(&self.evaluate(inputs, rows, context)?.into_column()?, target);
        }
        match (&self.code, inputs) {
            (Code::Log3(ScalarType::F32), [x, y, z]) => {
                Ok(self.log3_into::<Float32Type>([x, y, z], context, target))
            }
            (Code::Log3(_), [x, y, z]) => Ok(self.log3_into::<Float64Type>([x, y, z], context, target)),
            (Code::Log3(_), _) => Err(Error::InvalidInput("log3 takes three arrays".to_owned())),
            (Code::Blocks(blocks), _) => {
                // The executor writes whole mask words.
                let whole = rows / WORD * WORD;
                let (words, rest) = target.split_at_mut(whole * width);
                let slices = |start: usize, rows: usize| -> Vec<_> {
                    inputs.iter().map(|array| array.slice(start, rows)).collect()
                };
                let mut nulls = None;
                if whole > 0 {
                    nulls = self.blocks_into(blocks, &slices(0, whole), whole, context, words)?;
                }
                if whole == rows {
                    return Ok(nulls);
                }
                let rest_rows = rows - whole;
                let column = self.evaluate(&slices(whole, rest_rows), rest_rows, context)?.into_column()?;
                let rest_nulls = write_values(&column, rest)?;
                Ok(concat_nulls(&[(nulls, whole), (rest_nulls, rest_rows)]))
            }
        }
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
        let blocks = match (&self.code, inputs, &mut *accumulators) {
            (Code::Blocks(blocks), ..) => blocks,
            (Code::Log3(ScalarType::F32), [x, y, z], [accumulator]) => {
                self.reduce_log3::<Float32Type>([x, y, z], accumulator);
                return Ok(rows);
            }
            (Code::Log3(_), [x, y, z], [accumulator]) => {
                self.reduce_log3::<Float64Type>([x, y, z], accumulator);
                return Ok(rows);
            }
            (Code::Log3(_), ..) => {
                return Err(Error::InvalidInput("log3 has three inputs and one output".to_owned()));
            }
        };
        if !program.is_strict() && program.has_undeclared_nulls(inputs) {
            return Interpreter::evaluate(program, inputs, rows)?.reduce(accumulators);
        }
        if program.outputs().iter().any(|output| is_truncating(&output.data_type)) {
            return self.evaluate(inputs, rows, context)?.reduce(accumulators);
        }
        let compiled @ Compiled { program, code } = blocks.for_arrays(inputs);
        let nulls = if program.is_strict() { union_of_nulls(inputs) } else { None };
        let only_sum = Reductions { sum: true, ..Reductions::default() };
        let is_sum = accumulators.iter().map(|accumulator| accumulator.reductions() == only_sum);
        let variant = match nulls.is_none() && rows >= CHUNK {
            true => code.sums(program, is_sum.collect(), &context.metrics),
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
        if let Code::Blocks(blocks) = &self.code
            && let NativeState::Compiled(time) = blocks.native
            && !self.is_reported.swap(true, Ordering::Relaxed)
        {
            context.metrics.add_time(NATIVE_COMPILE_TIME, time);
        }
    }

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

    /// Evaluates with the hand-written loop into memory for all rows, aligned to a number.
    fn log3_into<T: ArrowPrimitiveType<Native: SimdElement>>(
        &self,
        arrays: [&ArrayRef; 3],
        context: &KernelContext,
        target: &mut [MaybeUninit<u8>],
    ) -> Option<NullBuffer> {
        let inputs = arrays.map(|array| array.as_primitive::<T>().values().as_ref());
        let (first, rows) = (target.as_mut_ptr().cast::<MaybeUninit<T::Native>>(), arrays[0].len());
        if context.non_temporal && first.addr().is_multiple_of(non_temporal::ALIGNMENT) {
            let _fence = non_temporal::Fence;
            self.log3_in_blocks(inputs, |start, count, block| {
                let whole = count / WORD * WORD;
                // SAFETY: the memory has space for all rows, and is aligned for whole blocks; the numbers of a mask word take whole
                // cache lines. The remaining numbers are copied by ordinary stores.
                unsafe {
                    let to = first.add(start).cast::<T::Native>();
                    non_temporal::copy(block.as_ptr().cast(), to.cast(), whole * size_of::<T::Native>());
                    block.as_ptr().add(whole).copy_to_nonoverlapping(to.add(whole), count - whole);
                }
            });
            return union_of_nulls(arrays);
        }
        // SAFETY: the caller has checked the length and the alignment of the memory, which is borrowed mutably.
        let values = unsafe { std::slice::from_raw_parts_mut(first, rows) };
        evaluate::<T::Native, Log3, 3>(self.backend.path, inputs, values);
        union_of_nulls(arrays)
    }

    /// Evaluates with the hand-written loop into a block, which stays in the L1 cache. `take` gets the first row and the number of rows
    /// of each block, and the block, whose whole memory is initialized.
    fn log3_in_blocks<E: SimdElement>(
        &self,
        inputs: [&[E]; 3],
        mut take: impl FnMut(usize, usize, &mut [E; MAX_BLOCK_ROWS]),
    ) {
        let mut block = [E::ZERO; MAX_BLOCK_ROWS];
        let rows = inputs[0].len();
        for start in (0..rows).step_by(MAX_BLOCK_ROWS) {
            let count = MAX_BLOCK_ROWS.min(rows - start);
            let inputs = inputs.map(|input| &input[start..][..count]);
            evaluate::<E, Log3, 3>(self.backend.path, inputs, as_uninit(&mut block[..count]));
            take(start, count, &mut block);
        }
    }

    /// Reduces the results of the hand-written loop.
    fn reduce_log3<T: ArrowPrimitiveType<Native: SimdElement>>(
        &self,
        arrays: [&ArrayRef; 3],
        accumulator: &mut Accumulator,
    ) {
        let inputs = arrays.map(|array| array.as_primitive::<T>().values().as_ref());
        let nulls = union_of_nulls(arrays);
        let mut words = [!0; MAX_BLOCK_ROWS / WORD];
        self.log3_in_blocks(inputs, |start, rows, values| {
            if let Some(nulls) = &nulls {
                words = [0; MAX_BLOCK_ROWS / WORD];
                copy_bits(nulls.inner(), start, rows, Cell::from_mut(&mut words[..]).as_slice_of_cells());
            }
            let selection =
                Selection { rows, words: &words[..rows.div_ceil(WORD)], is_full: nulls.is_none() };
            let numbers = Location { first: values.as_mut_ptr().cast(), stride: 1 };
            // SAFETY: the array has the numbers of all rows of the words.
            unsafe { reduce_numbers(self.backend.path, numbers, selection, accumulator) };
        });
    }

    /// Evaluates with the block executor into memory for all rows, whose number is a multiple of the rows of a mask word.
    fn blocks_into(
        &self,
        blocks: &Blocks,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        target: &mut [MaybeUninit<u8>],
    ) -> Result<Option<NullBuffer>> {
        let compiled @ Compiled { program, code } = blocks.for_arrays(inputs);
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
    fn blocks(&self, blocks: &Blocks, inputs: &[ArrayRef], rows: usize) -> Result<Evaluated> {
        let compiled @ Compiled { program, .. } = blocks.for_arrays(inputs);
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

/// Elements that are overwritten without being read.
fn as_uninit<E>(values: &mut [E]) -> &mut [MaybeUninit<E>] {
    let (first, count) = (values.as_mut_ptr().cast(), values.len());
    // SAFETY: `MaybeUninit<E>` has the layout of `E`, and `evaluate` stores only initialized elements.
    unsafe { std::slice::from_raw_parts_mut(first, count) }
}
