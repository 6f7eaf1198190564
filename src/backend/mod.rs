//! What evaluates programs on Arrow arrays, and how one backend is chosen. The backends
//! themselves live in the modules below.

pub mod cuda;
mod interpreted;
mod placement;
pub mod simd;
mod vectorized;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::{DataFusionError, Result};

use crate::program::Program;
use cuda::{Counters, Cuda, CudaSettings};
pub use interpreted::Interpreted;
pub use placement::{Placed, Placement};
pub use vectorized::Simd;

/// Evaluates programs on Arrow arrays.
///
/// Every backend gives the same answers within the error bounds of the op table, and the same nulls and
/// errors.
pub trait Backend: fmt::Debug + Send + Sync {
    /// What `EXPLAIN` and reports call it, with the instruction set where there are several, such as
    /// `simd avx512`.
    fn description(&self) -> String;

    /// Evaluates a program on `rows` rows, one array for each of its inputs; an array of the program's type.
    ///
    /// # Errors
    /// The arrays don't fit the inputs in number, type or length, or a row is an error.
    fn evaluate(&self, program: &Program, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef>;

    /// What it has done on GPUs, if it uses them.
    fn counters(&self) -> Option<&Arc<Counters>> {
        None
    }

    /// How many rows a call should have, if more than an engine for CPUs hands out.
    fn batch_rows(&self) -> Option<usize> {
        None
    }
}

/// The fast backends that this machine has, in words.
///
/// # Errors
/// `WARPFRAME_SIMD` asks for instructions that this CPU lacks.
pub fn available() -> Result<Vec<String>> {
    let mut found = vec![Simd::active()?.description()];
    if let Ok(gpus) = cuda::gpus() {
        found.push(Cuda::new(gpus, CudaSettings::default(), None)?.description());
    }
    Ok(found)
}

/// The value of the `warpframe.backend` option.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum BackendChoice {
    /// The fastest that this machine has.
    #[default]
    Auto,
    /// One row at a time, types looked up anew for every value.
    Interpreted,
    /// The CPU's vector instructions.
    Simd,
    /// NVIDIA GPUs.
    Cuda,
}

impl BackendChoice {
    /// All choices.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Interpreted, Self::Simd, Self::Cuda];

    /// The option's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Interpreted => "interpreted",
            Self::Simd => "simd",
            Self::Cuda => "cuda",
        }
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BackendChoice {
    type Err = DataFusionError;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|choice| choice.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            DataFusionError::Configuration(format!("there is no backend '{name}': use one of {names}"))
        })
    }
}
