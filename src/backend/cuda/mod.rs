//! The backend that runs programs on NVIDIA GPUs. What it asks of CUDA's driver is in `driver`, NVIDIA's own in
//! `nvidia`; kernels are chosen in `kernels` and compiled in `compile`; a GPU that is open, and its memory, are in
//! `gpu` and `memory`; one evaluation is in `call`, columns that stay on a GPU in `resident`, how fast all that is in
//! `rates`, and what is kept on disk in `cached`.

mod cached;
mod call;
mod compile;
mod counters;
pub mod driver;
mod gpu;
mod kernels;
mod memory;
mod nvidia;
mod rates;
mod resident;

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, make_array, new_empty_array};
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};

use super::{Backend, Interpreted, Simd};
use crate::program::Program;
use call::{Call, Failure, LEAST_CHUNK_ROWS, copy, numbers};
pub use compile::Compiler;
pub use counters::{Counters, Counts};
use driver::CudaError;
pub use gpu::Gpus;
pub use kernels::{Kernel, THREADS, VECTOR_BYTES};
use nvidia::Nvidia;
pub use rates::Rates;
pub use resident::Resident;

/// Rows of a batch that a GPU is to be given: several chunks, so that copies and kernels overlap in each call.
pub const BATCH_ROWS: usize = 1 << 20;

/// How a session uses GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CudaSettings {
    /// `warpframe.cuda.memory_limit`: the bytes that the process may hold on a GPU and locked for it, besides what
    /// the session's memory pool allows.
    pub memory_limit: usize,
    /// `warpframe.cuda.chunk_rows`: rows that are copied to a GPU at a time.
    pub chunk_rows: usize,
}

impl Default for CudaSettings {
    fn default() -> Self {
        // 2 MiB of f64 a column: a copy that long runs at nearly the bus's full speed.
        Self { memory_limit: usize::MAX, chunk_rows: 256 * 1024 }
    }
}

/// The GPUs of this machine, behind NVIDIA's driver.
///
/// # Errors
/// There are none that can be used: what is missing, in a sentence.
pub fn gpus() -> Result<Arc<Gpus>, CudaError> {
    static GPUS: OnceLock<Result<Arc<Gpus>, CudaError>> = OnceLock::new();
    GPUS.get_or_init(|| Ok(Arc::new(Gpus::new(Arc::new(Nvidia::find()?))))).clone()
}

/// NVIDIA GPUs, one after the other where there are several.
///
/// Every answer is the GPU's or the query fails, but for two cases in which the CPU evaluates a batch, and which
/// [`Counts::fallback_batches`] counts: memory is short even for small chunks, or a column holds nulls that the plan
/// does not know of.
pub struct Cuda {
    gpus: Arc<Gpus>,
    settings: CudaSettings,
    pool: Arc<dyn MemoryPool>,
    counters: Arc<Counters>,
    fallback: Simd,
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cuda")
            .field("gpus", &self.gpus)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Cuda {
    /// The backend on these GPUs. What it holds for a call is reserved in the pool, if there is one.
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` asks for instructions that this CPU lacks.
    pub fn new(gpus: Arc<Gpus>, settings: CudaSettings, pool: Option<Arc<dyn MemoryPool>>) -> Result<Self> {
        let pool = pool.unwrap_or_else(|| Arc::new(UnboundedMemoryPool::default()));
        Ok(Self { gpus, settings, pool, counters: Arc::default(), fallback: Simd::active()? })
    }

    /// What it has done.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The GPUs it uses.
    pub fn gpus(&self) -> &Arc<Gpus> {
        &self.gpus
    }

    /// The column, with its numbers in page-locked memory, from where GPUs fetch them themselves. Columns of other
    /// types are given back as they are.
    ///
    /// # Errors
    /// There is not enough memory to lock.
    pub fn pin(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let data = column.to_data();
        let Some((bytes, _)) = numbers(&data) else { return Ok(Arc::clone(column)) };
        let pinned = self.gpus.next()?.pinned(bytes.len(), self.settings.memory_limit)?;
        // SAFETY: the memory was just taken, is that long, and was initialized when it was allocated.
        copy(unsafe { std::slice::from_raw_parts_mut(pinned.address().as_ptr(), bytes.len()) }, &bytes);
        let values = pinned.into_buffer(bytes.len(), None);
        let data = data.into_builder().offset(0).buffers(vec![values]).nulls(column.nulls().cloned());
        Ok(make_array(data.build()?))
    }

    /// The result by the GPU, in chunks as large as its memory allows.
    fn on_gpu(&self, program: &Program, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, Failure> {
        let gpu = self.gpus.next()?;
        let judge = |error: CudaError| {
            gpu.judge(&error);
            error
        };
        let (kernel, compile_time) = gpu.kernel(&Kernel::of(program)).map_err(judge)?;
        self.count(Counts { compile_time, ..Counts::default() });
        let _turn = gpu.turn();
        let wanted = self.settings.chunk_rows.next_multiple_of(64);
        let mut chunk_rows = wanted.min(rows.next_multiple_of(64));
        loop {
            let (gpu, kernel, limit) = (&gpu, Arc::clone(&kernel), self.settings.memory_limit);
            let call = Call { gpu, program, kernel, arguments, rows, chunk_rows, limit };
            match call.run(MemoryConsumer::new("warpframe cuda").register(&self.pool)) {
                Ok((array, counts)) => {
                    self.count(counts);
                    return Ok(array);
                }
                Err(Failure::Cuda(CudaError::OutOfMemory(_))) if chunk_rows > LEAST_CHUNK_ROWS => {
                    chunk_rows = (chunk_rows / 4).max(LEAST_CHUNK_ROWS).next_multiple_of(64);
                }
                Err(Failure::Cuda(error)) => return Err(Failure::Cuda(judge(error))),
                Err(failure) => return Err(failure),
            }
        }
    }

    fn count(&self, counts: Counts) {
        self.counters.add(counts);
        self.gpus.counters().add(counts);
    }

    fn count_fallback(&self) {
        self.count(Counts { fallback_batches: 1, ..Counts::default() });
    }
}

impl Backend for Cuda {
    fn description(&self) -> String {
        match self.gpus.driver().devices() {
            [one] => format!("cuda {}", one.name),
            several => format!("cuda {} GPUs", several.len()),
        }
    }

    fn evaluate(&self, program: &Program, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        program.check(arguments, rows)?;
        if rows == 0 {
            return Ok(new_empty_array(&program.data_type()));
        }
        if !program.is_strict() && program.has_undeclared_nulls(arguments) {
            // Kernels follow nulls only where they were declared.
            self.count_fallback();
            return Interpreted.evaluate(program, arguments, rows);
        }
        match self.on_gpu(program, arguments, rows) {
            Ok(array) => Ok(array),
            Err(Failure::Query(error)) => Err(error),
            Err(Failure::Cuda(CudaError::OutOfMemory(_))) => {
                self.count_fallback();
                self.fallback.evaluate(program, arguments, rows)
            }
            Err(Failure::Cuda(error)) => Err(error.into()),
        }
    }

    fn counters(&self) -> Option<&Arc<Counters>> {
        Some(&self.counters)
    }

    fn batch_rows(&self) -> Option<usize> {
        Some(BATCH_ROWS)
    }
}
