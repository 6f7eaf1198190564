//! The traits of a backend: a [`Backend`] compiles programs to [`Kernel`]s, which evaluate them on Arrow arrays.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;

use super::error::{Error, Result};
use super::memory::{MemoryBudget, Unlimited};
use super::metrics::Metrics;
use super::output_array::write_values;
use super::program::Program;
use super::reduction::Accumulator;

/// Compiles programs for a target such as the CPU's vector units or a GPU.
///
/// The kernels of all backends return the same values within the error bounds of the op table, the same nulls and the
/// same errors.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The name of the backend with the instruction set or device in use, such as `simd avx512`.
    fn description(&self) -> String;

    /// The key of compiled kernels in a cache: backends with equal keys compile equal programs to interchangeable
    /// kernels. By default the description; a backend with settings adds them.
    fn cache_key(&self) -> String {
        self.description()
    }

    /// Compiles a program.
    ///
    /// # Errors
    /// The backend cannot run the program.
    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>>;
}

/// A compiled program. Any number of threads may evaluate it at the same time.
pub trait Kernel: fmt::Debug + Send + Sync {
    /// The text in `EXPLAIN` and in reports: the backend, and the reason where it was chosen among several.
    fn description(&self) -> String;

    /// The time in which the program was compiled to machine code of the CPU; `None` if it was not.
    fn compile_time(&self) -> Option<Duration> {
        None
    }

    /// Evaluates the program on `rows` rows. `inputs` has one array for each input of the program.
    ///
    /// # Errors
    /// The arrays do not match the inputs in number, type or length, a row traps, memory is exhausted, or the device
    /// fails.
    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, context: &KernelContext) -> Result<Evaluated>;

    /// Evaluates the program, which has one output, on `rows` rows as [`evaluate`](Self::evaluate) does, writes the values as
    /// [`write_values`] does, and returns the nulls.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate), or the memory has another size than the values.
    fn evaluate_into(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        target: &mut [MaybeUninit<u8>],
    ) -> Result<Option<NullBuffer>> {
        write_values(&self.evaluate(inputs, rows, context)?.into_column()?, target)
    }

    /// Evaluates the program on `rows` rows as [`evaluate`](Self::evaluate) does, adds the values of each output to an
    /// accumulator, of the type of the output's values, and returns the number of rows in which the predicate is true, or
    /// `rows`. The kernels of GPUs add floats in an order of their own; all others give the bits of reduced arrays.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate); the accumulators must not be used then.
    fn reduce(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        accumulators: &mut [Accumulator],
    ) -> Result<usize> {
        self.evaluate(inputs, rows, context)?.reduce(accumulators)
    }

    /// The smallest number of rows for which the kernel uses a device, if it has one. Devices need larger batches than
    /// a query engine produces for the CPU. `None` for kernels on the CPU.
    fn device_batch_rows(&self) -> Option<usize> {
        None
    }

    /// The kernel of the same program for a use, if the backend chooses between devices by it. `None` if this kernel is as good
    /// as any; kernels are compiled for the [default](KernelUse::default) use.
    fn for_use(&self, _: KernelUse) -> Option<Arc<dyn Kernel>> {
        None
    }
}

/// What a kernel is used for, as far as its costs depend on it. By default rows in memory are evaluated to arrays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelUse {
    /// The results are reduced, by [`Kernel::reduce`], instead of stored in arrays.
    pub reduces: bool,
    /// The rows are decoded from files while they are evaluated, on the same CPU cores.
    pub decodes: bool,
}

/// The result of an evaluation.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// An array for each output of the program, of the output's type.
    pub columns: Vec<ArrayRef>,
    /// The number of rows of the arrays: those in which the program's predicate is true, or all.
    pub rows: usize,
}

impl Evaluated {
    /// Adds the arrays to the accumulators of [`Kernel::reduce`], and returns the number of rows.
    ///
    /// # Errors
    /// An accumulator is of another type.
    pub fn reduce(&self, accumulators: &mut [Accumulator]) -> Result<usize> {
        for (accumulator, column) in accumulators.iter_mut().zip(&self.columns) {
            accumulator.update(column)?;
        }
        Ok(self.rows)
    }

    /// The array of a program with one output.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`]: the program has several outputs.
    pub fn into_column(self) -> Result<ArrayRef> {
        let count = self.columns.len();
        <[ArrayRef; 1]>::try_from(self.columns)
            .map(|[column]| column)
            .map_err(|_| Error::InvalidProgram(format!("one output is expected, the program has {count}")))
    }
}

/// The metrics and the memory budget that the caller of a kernel provides, and what it knows of the results.
#[derive(Debug, Clone)]
pub struct KernelContext {
    /// Receives the kernel's metrics.
    pub metrics: Arc<Metrics>,
    /// The budget for the memory that the kernel allocates.
    pub memory: Arc<dyn MemoryBudget>,
    /// Whether what [`Kernel::evaluate_into`] writes does not stay in the caches until it is read, because there is so much of it.
    /// Kernels on the CPU may write it past them.
    pub non_temporal: bool,
}

impl Default for KernelContext {
    /// New metrics, memory without a limit, and results that may stay in the caches.
    fn default() -> Self {
        Self { metrics: Arc::default(), memory: Arc::new(Unlimited), non_temporal: false }
    }
}
