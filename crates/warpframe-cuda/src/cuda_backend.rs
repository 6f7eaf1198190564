//! The backend `cuda`: evaluates programs on NVIDIA GPUs.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, make_array, new_empty_array};
use warpframe_ir::backend::{Backend, Evaluated, Kernel, KernelContext};
use warpframe_ir::error::{Error, Result};
use warpframe_ir::interpreter::Interpreter;
use warpframe_ir::program::Program;

use super::chunk_pipeline::{ChunkPipeline, Failure, MIN_CHUNK_ROWS, parallel_copy};
use super::codegen::parameters;
use super::driver::CudaError;
use super::gpu::Gpus;
use super::input_column::primitive_bytes;
use super::kernel_source::KernelSource;
use super::metrics::{COMPILE_TIME, FALLBACK_BATCHES};

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
    /// The number of rows of a chunk, the unit of copies and kernel launches.
    pub chunk_rows: usize,
}

impl Default for CudaSettings {
    fn default() -> Self {
        // 2 MiB per column of f64: a copy of this size reaches nearly the full bandwidth of the bus.
        Self { memory_limit: usize::MAX, chunk_rows: 256 * 1024 }
    }
}

/// The CUDA backend. Evaluations are distributed round-robin over the GPUs.
///
/// Errors of a GPU fail the query. The CPU evaluates a batch instead, which [`FALLBACK_BATCHES`] counts, only if memory
/// is exhausted even with small chunks, or if an array has nulls although its input is declared as not nullable. Programs
/// with so many inputs and outputs that a kernel cannot have them as parameters are compiled for the CPU.
#[derive(Debug, Clone)]
pub struct Cuda {
    gpus: Arc<Gpus>,
    settings: CudaSettings,
    fallback: Arc<dyn Backend>,
}

impl Cuda {
    /// The backend on these GPUs. `fallback`, a backend for the CPU, evaluates batches for which GPU memory is exhausted.
    pub fn new(gpus: Arc<Gpus>, settings: CudaSettings, fallback: Arc<dyn Backend>) -> Self {
        Self { gpus, settings, fallback }
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
        // SAFETY: the memory has at least this length, was initialized when it was allocated, and is not shared yet.
        let target = unsafe { std::slice::from_raw_parts_mut(pinned.address().as_ptr(), bytes.len()) };
        parallel_copy(target, &bytes);
        let values = pinned.into_buffer(bytes.len(), None);
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
        format!("{} {:?} {}", self.description(), self.settings, self.fallback.cache_key())
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let fallback = self.fallback.compile(program)?;
        if parameters(program) > MAX_PARAMETERS {
            return Ok(fallback);
        }
        Ok(Arc::new(CudaKernel {
            backend: self.clone(),
            program: Arc::clone(program),
            source: KernelSource::of(program),
            fallback,
        }))
    }
}

/// A program with the source of its kernel, which is compiled and loaded at the first evaluation on each GPU.
#[derive(Debug)]
struct CudaKernel {
    backend: Cuda,
    program: Arc<Program>,
    source: KernelSource,
    fallback: Arc<dyn Kernel>,
}

impl CudaKernel {
    /// Evaluates on a GPU. If memory is exhausted, it retries with smaller chunks, down to [`MIN_CHUNK_ROWS`].
    fn on_gpu(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
    ) -> Result<Evaluated, Failure> {
        let Cuda { gpus, settings, .. } = &self.backend;
        let gpu = gpus.next()?;
        let mark_failed = |error: CudaError| {
            gpu.mark_failed(&error);
            error
        };
        let (kernel, compile_time) = gpu.kernel(&self.source).map_err(mark_failed)?;
        context.metrics.add_time(COMPILE_TIME, compile_time);
        gpus.metrics().add_time(COMPILE_TIME, compile_time);
        let _permit = gpu.acquire();
        let mut chunk_rows = settings.chunk_rows.min(rows).next_multiple_of(64);
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
            match pipeline.run(CONSUMER, context.memory.as_ref()) {
                Ok((evaluated, counts)) => {
                    counts.report(&context.metrics);
                    counts.report(gpus.metrics());
                    return Ok(evaluated);
                }
                Err(Failure::Cuda(CudaError::OutOfMemory(_))) if chunk_rows > MIN_CHUNK_ROWS => {
                    chunk_rows = (chunk_rows / 4).max(MIN_CHUNK_ROWS).next_multiple_of(64);
                }
                Err(Failure::Cuda(error)) => return Err(Failure::Cuda(mark_failed(error))),
                Err(failure) => return Err(failure),
            }
        }
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
        match self.on_gpu(inputs, rows, context) {
            Ok(evaluated) => Ok(evaluated),
            Err(Failure::Trap(trap)) => Err(Interpreter::describe_trap(program, inputs, rows, trap)),
            Err(Failure::Program(error)) => Err(error),
            Err(Failure::Cuda(CudaError::OutOfMemory(_))) => {
                self.count_fallback(context);
                self.fallback.evaluate(inputs, rows, context)
            }
            Err(Failure::Cuda(error)) => Err(error.into()),
        }
    }

    fn device_batch_rows(&self) -> Option<usize> {
        Some(1)
    }
}
