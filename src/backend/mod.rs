//! What evaluates warpframe's functions on Arrow arrays, and how one backend is chosen. The backends
//! themselves live in the modules below.

mod interpreted;
pub mod simd;
mod vectorized;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::{DataFusionError, Result};

pub use interpreted::Interpreted;
pub use vectorized::Simd;

/// Evaluates warpframe's functions on Arrow arrays.
///
/// Every backend gives the same answers within the stated error bound, and nulls where any argument is
/// null.
pub trait Backend: fmt::Debug + Send + Sync {
    /// What `EXPLAIN` and reports call it, with the instruction set where there are several, such as
    /// `simd avx512`.
    fn description(&self) -> String;

    /// `ln(x) * ln(y) * ln(z)` of three arrays of the same length, all Float64 or all Float32, as an
    /// array of that type.
    ///
    /// # Errors
    /// The arrays have another type, or differ in type or length.
    fn log3(&self, arguments: [&ArrayRef; 3]) -> Result<ArrayRef>;
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
}

impl BackendChoice {
    /// All choices.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Interpreted, Self::Simd];

    /// The option's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Interpreted => "interpreted",
            Self::Simd => "simd",
        }
    }

    /// The backend that this choice means on this machine.
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` asks for instructions that this CPU lacks.
    pub fn resolve(self) -> Result<Arc<dyn Backend>> {
        Ok(match self {
            Self::Interpreted => Arc::new(Interpreted),
            Self::Auto | Self::Simd => Arc::new(Simd::active()?),
        })
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
