//! The backend `cuda`: evaluates programs on NVIDIA GPUs.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, make_array, new_empty_array};
use parking_lot::Mutex;
use warpframe_ir::backend::{Backend, Evaluated, Kernel, KernelContext};
use warpframe_ir::error::{Error, Result};
use warpframe_ir::instruction::Output;
use warpframe_ir::interpreter::Interpreter;
use warpframe_ir::program::Program;
use warpframe_ir::reduction::{Accumulator, Reductions};

use super::array_results::ArrayResults;
use super::chunk_pipeline::{ChunkPipeline, Failure, MIN_CHUNK_ROWS, Reserve};
use super::chunk_results::ChunkResults;
use super::driver::CudaError;
use super::gpu::{Gpu, Gpus};
use super::input_column::primitive_bytes;
use super::kernel_source::KernelSource;
use super::layout::{ROWS_MULTIPLE, rows_of_chunk};
use super::metrics::{COMPILE_TIME, FALLBACK_BATCHES, LOST_GPU_BATCHES};
use super::partial_results::PartialResults;
use super::reduction_codegen::reducing_parameters;
use super::staging::parallel_copy;
use super::store_codegen::parameters;

/// The default number of rows of a batch for a GPU: several chunks, so that copies and kernels overlap within an
/// evaluation.
pub const BATCH_ROWS: usize = 1 << 20;

/// The maximum number of parameters of a kernel: 4 KiB, of 8 bytes each, on all architectures and by all drivers.
const MAX_PARAMETERS: usize = 512;

/// The consumer name of memory reservations.
const CONSUMER: &str = "warpframe cuda";

/// The settings of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CudaSettings {
    /// The maximum number of bytes that the process allocates for each GPU, device and page-locked memory together. The
    /// caller's memory budget applies in addition.
    pub memory_limit: usize,
    /// The number of bytes of the columns of a chunk, the unit of copies and kernel launches: of the inputs or of the outputs,
    /// whichever are more. A chunk has a multiple of 64 rows, and at least 64.
    pub chunk_bytes: usize,
}

impl Default for CudaSettings {
    fn default() -> Self {
        // A copy takes about 0.2 to 0.6 ms by a bus of 15 to 50 GB/s, many times as long as its call and the launch of the kernel.
        Self { memory_limit: usize::MAX, chunk_bytes: 8 << 20 }
    }
}

/// The CUDA backend. Evaluations are distributed round-robin over the GPUs.
///
/// Errors of a GPU fail the query. The CPU evaluates a batch instead, which [`FALLBACK_BATCHES`] counts, only if memory
/// is exhausted even with small chunks, if an array has nulls although its input is declared as not nullable, or, after
/// [`with_cpu_if_lost`](Cuda::with_cpu_if_lost), if a GPU is lost, which [`LOST_GPU_BATCHES`] counts too. Programs
/// with so many inputs and outputs that a kernel cannot have them as parameters are compiled for the CPU. Without a compiler,
/// only the programs whose kernels are shipped are compiled.
///
/// Outputs are reduced by kernels that store the results of each thread. Where that is not possible, because a kernel would
/// have too many parameters or an array has undeclared nulls, the CPU reduces the arrays of an evaluation.
#[derive(Debug, Clone)]
pub struct Cuda {
    gpus: Arc<Gpus>,
    settings: CudaSettings,
    fallback: Arc<dyn Backend>,
    /// Whether `fallback` evaluates a batch if a GPU is lost.
    cpu_if_lost: bool,
}

impl Cuda {
    /// The backend on these GPUs. `fallback`, a backend for the CPU, evaluates batches for which GPU memory is exhausted.
    pub fn new(gpus: Arc<Gpus>, settings: CudaSettings, fallback: Arc<dyn Backend>) -> Self {
        Self { gpus, settings, fallback, cpu_if_lost: false }
    }

    /// The backend that lets the CPU evaluate a batch if a GPU is lost ([`CudaError::DeviceLost`]), and all later ones.
    /// Otherwise these evaluations fail.
    pub fn with_cpu_if_lost(self) -> Self {
        Self { cpu_if_lost: true, ..self }
    }

    /// The GPUs it uses.
    pub fn gpus(&self) -> &Arc<Gpus> {
        &self.gpus
    }

    /// The settings.
    pub fn settings(&self) -> CudaSettings {
        self.settings
    }

    /// The backend for the CPU that evaluates batches for which GPU memory is exhausted.
    pub fn fallback(&self) -> &Arc<dyn Backend> {
        &self.fallback
    }

    /// Copies the values of a column to page-locked memory, from which evaluations copy to a GPU without staging. A column
    /// that is not numeric is returned unchanged.
    ///
    /// # Errors
    /// There is no usable GPU, or not enough memory that can be page-locked.
    pub fn pin(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let data = column.to_data();
        let Some((bytes, _)) = primitive_bytes(&data) else { return Ok(Arc::clone(column)) };
        let pinned = self.gpus.next()?.pinned(bytes.len(), self.settings.memory_limit)?;
        // SAFETY: the memory has at least this length, and is not shared yet.
        let target = unsafe { std::slice::from_raw_parts_mut(pinned.address().as_ptr().cast(), bytes.len()) };
        parallel_copy(target, &bytes);
        // SAFETY: the bytes have been written, by no operation in a stream.
        let values = unsafe { pinned.into_buffer(bytes.len(), None) };
        let data = data.into_builder().offset(0).buffers(vec![values]).nulls(column.nulls().cloned());
        let data = data.build().map_err(Error::backend)?;
        Ok(make_array(data))
    }
}

impl Backend for Cuda {
    fn description(&self) -> String {
        match self.gpus.driver().devices() {
            [one] => format!("cuda {}", one.name),
            several => format!("cuda {} GPUs", several.len()),
        }
    }

    fn cache_key(&self) -> String {
        let Self { settings, fallback, cpu_if_lost, .. } = self;
        format!("{} {settings:?} {cpu_if_lost} {}", self.description(), fallback.cache_key())
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let fallback = self.fallback.compile(program)?;
        if parameters(program) > MAX_PARAMETERS {
            return Ok(fallback);
        }
        if !KernelSource::is_shipped(program) {
            self.gpus.driver().compiler()?;
        }
        Ok(Arc::new(CudaKernel {
            backend: self.clone(),
            program: Arc::clone(program),
            source: KernelSource::of(program),
            reducing: Mutex::default(),
            fallback,
        }))
    }
}

/// A program with the sources of its kernels, which are compiled and loaded at the first evaluation on each GPU.
#[derive(Debug)]
struct CudaKernel {
    backend: Cuda,
    program: Arc<Program>,
    source: KernelSource,
    /// The sources of the kernels that reduce the outputs, by the reductions of each output.
    reducing: Mutex<HashMap<Vec<Reductions>, Arc<KernelSource>>>,
    fallback: Arc<dyn Kernel>,
}

impl CudaKernel {
    /// Runs a kernel on a GPU, and returns the results of all chunks. If memory is exhausted, it starts again, with new results
    /// and smaller chunks, down to [`MIN_CHUNK_ROWS`].
    fn on_gpu<R: ChunkResults>(
        &self,
        source: &KernelSource,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        new_results: impl Fn(&Arc<Gpu>, &Reserve) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let Cuda { gpus, settings, .. } = &self.backend;
        let gpu = gpus.next()?;
        let (kernel, compile_time) = gpu.kernel(source)?;
        context.metrics.add_time(COMPILE_TIME, compile_time);
        gpus.metrics().add_time(COMPILE_TIME, compile_time);
        let reserve = |bytes: usize| {
            context.memory.reserve(CONSUMER, bytes).map_err(|error| match error {
                Error::ResourcesExhausted(message) => Failure::Cuda(CudaError::OutOfMemory(message)),
                other => Failure::Program(other),
            })
        };
        let _permit = gpu.acquire();
        let chunk_rows = rows_of_chunk(&self.program, settings.chunk_bytes);
        let mut chunk_rows = chunk_rows.min(rows).next_multiple_of(ROWS_MULTIPLE);
        loop {
            let pipeline = ChunkPipeline {
                gpu: &gpu,
                program: &self.program,
                kernel: Arc::clone(&kernel),
                inputs,
                rows,
                chunk_rows,
                limit: settings.memory_limit,
            };
            let results = new_results(&gpu, &reserve).and_then(|mut results| {
                let counts = pipeline.run(&reserve, &mut results)?;
                Ok((results, counts))
            });
            match results {
                Ok((results, counts)) => {
                    counts.report(&context.metrics);
                    counts.report(gpus.metrics());
                    return Ok(results);
                }
                Err(Failure::Cuda(CudaError::OutOfMemory(_))) if chunk_rows > MIN_CHUNK_ROWS => {
                    // Slots for larger chunks would be used again, and leave no memory for the others.
                    gpu.trim();
                    chunk_rows = (chunk_rows / 4).max(MIN_CHUNK_ROWS).next_multiple_of(ROWS_MULTIPLE);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The result of a GPU, or that of `on_cpu` if memory is exhausted or, where that is asked for, the GPU is lost.
    fn or_on_cpu<T>(
        &self,
        result: Result<T, Failure>,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        on_cpu: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match result {
            Ok(result) => Ok(result),
            Err(Failure::Trap(trap)) => Err(Interpreter::describe_trap(&self.program, inputs, rows, trap)),
            Err(Failure::Program(error)) => Err(error),
            Err(Failure::Cuda(CudaError::OutOfMemory(_))) => {
                self.count_fallback(context);
                on_cpu()
            }
            Err(Failure::Cuda(CudaError::DeviceLost(_))) if self.backend.cpu_if_lost => {
                self.count_fallback(context);
                context.metrics.add_count(LOST_GPU_BATCHES, 1);
                self.backend.gpus.metrics().add_count(LOST_GPU_BATCHES, 1);
                on_cpu()
            }
            Err(Failure::Cuda(error)) => Err(error.into()),
        }
    }

    /// The source of the kernel that reduces the outputs for accumulators. `None` if it had too many parameters, or if the
    /// accumulators are not those of the outputs.
    fn reducing_source(&self, accumulators: &[Accumulator]) -> Option<Arc<KernelSource>> {
        let program = &self.program;
        let is_of_output = |(accumulator, output): (&Accumulator, &Output)| {
            accumulator.scalar_type().is_none_or(|values| values == program.scalar_type(output.value))
        };
        let outputs = program.outputs();
        if accumulators.len() != outputs.len() || !accumulators.iter().zip(outputs).all(is_of_output) {
            return None;
        }
        let reductions: Vec<_> = accumulators.iter().map(Accumulator::reductions).collect();
        if reducing_parameters(program, &reductions) > MAX_PARAMETERS {
            return None;
        }
        let mut sources = self.reducing.lock();
        let source = sources.entry(reductions);
        Some(Arc::clone(
            source.or_insert_with_key(|reductions| Arc::new(KernelSource::of_reduction(program, reductions))),
        ))
    }

    fn count_fallback(&self, context: &KernelContext) {
        context.metrics.add_count(FALLBACK_BATCHES, 1);
        self.backend.gpus.metrics().add_count(FALLBACK_BATCHES, 1);
    }
}

impl Kernel for CudaKernel {
    fn description(&self) -> String {
        self.backend.description()
    }

    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, context: &KernelContext) -> Result<Evaluated> {
        let program = &self.program;
        program.check_inputs(inputs, rows)?;
        if rows == 0 {
            let outputs = program.outputs().iter();
            let columns = outputs.map(|output| new_empty_array(&output.data_type)).collect();
            return Ok(Evaluated { columns, rows });
        }
        if !program.is_strict() && program.has_undeclared_nulls(inputs) {
            // Kernels compute validity only for values that are nullable by declaration.
            self.count_fallback(context);
            return Interpreter::evaluate(program, inputs, rows);
        }
        let limit = self.backend.settings.memory_limit;
        let result = self.on_gpu(&self.source, inputs, rows, context, |gpu, reserve| {
            ArrayResults::new(gpu, program, rows, limit, reserve)
        });
        let result = result.and_then(|results| results.finish(inputs).map_err(Failure::Program));
        self.or_on_cpu(result, inputs, rows, context, || self.fallback.evaluate(inputs, rows, context))
    }

    fn reduce(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        accumulators: &mut [Accumulator],
    ) -> Result<usize> {
        let program = &self.program;
        program.check_inputs(inputs, rows)?;
        if rows == 0 {
            return Ok(0);
        }
        // Reducing kernels, of strict programs too, compute validity for values that are nullable by declaration only.
        let source = match program.has_undeclared_nulls(inputs) {
            true => None,
            false => self.reducing_source(accumulators),
        };
        let Some(source) = source else {
            return self.evaluate(inputs, rows, context)?.reduce(accumulators);
        };
        // Copies, so that no part of an evaluation that fails is in the accumulators of the next attempt.
        let result = self.on_gpu(&source, inputs, rows, context, |_, _| {
            Ok(PartialResults::new(program, accumulators.to_vec()))
        });
        if let Err(Failure::Cuda(CudaError::Missing(_))) = result {
            // Without a compiler, a kernel that is shipped evaluates.
            return self.evaluate(inputs, rows, context)?.reduce(accumulators);
        }
        let result = result.map(PartialResults::finish).map(|(reduced, rows)| {
            accumulators.iter_mut().zip(reduced).for_each(|(accumulator, reduced)| *accumulator = reduced);
            rows
        });
        self.or_on_cpu(result, inputs, rows, context, || {
            self.fallback.reduce(inputs, rows, context, accumulators)
        })
    }

    fn device_batch_rows(&self) -> Option<usize> {
        Some(1)
    }
}
