//! What a backend implements: it compiles programs to kernels, which evaluate them on Arrow arrays.

use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::error::Result;
use super::memory::{MemoryBudget, Unlimited};
use super::metrics::Metrics;
use super::program::Program;

/// Compiles programs for an engine such as the CPU's vector units or a GPU.
///
/// The kernels of all backends give the same results within the error bounds of the op table, and the same nulls and
/// errors.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The name with the instruction set or device in use, such as `simd avx512`.
    fn description(&self) -> String;

    /// Backends with equal keys compile equal programs to interchangeable kernels. By default the description; a backend
    /// with settings adds them.
    fn cache_key(&self) -> String {
        self.description()
    }

    /// Compiles a program.
    ///
    /// # Errors
    /// The backend cannot run it.
    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>>;
}

/// A compiled program. Any number of threads may evaluate it at the same time.
pub trait Kernel: fmt::Debug + Send + Sync {
    /// What `EXPLAIN` and reports show: the backend, and why it was chosen where there was a choice.
    fn description(&self) -> String;

    /// Evaluates the program on `rows` rows: one array for each of its inputs, to an array of its type.
    ///
    /// # Errors
    /// The arrays do not match the inputs in number, type or length, a row traps, memory is exhausted, or the device
    /// fails.
    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, context: &KernelContext) -> Result<ArrayRef>;

    /// For a kernel that wants larger batches than engines for CPUs produce: the fewest rows that are worth its device.
    fn device_batch_rows(&self) -> Option<usize> {
        None
    }
}

/// What a kernel's caller provides.
#[derive(Debug, Clone)]
pub struct KernelContext {
    /// Where the kernel reports what it did.
    pub metrics: Arc<Metrics>,
    /// Where it reserves memory other than its results.
    pub memory: Arc<dyn MemoryBudget>,
}

impl Default for KernelContext {
    /// Metrics of its own and memory without a limit.
    fn default() -> Self {
        Self { metrics: Arc::default(), memory: Arc::new(Unlimited) }
    }
}
