//! The error type of programs and backends.

use std::fmt;
use std::sync::Arc;

use super::trap::{RowTrap, Trap};

/// The result of building, compiling or evaluating a program.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a program cannot be built, compiled or evaluated.
#[derive(Debug, Clone)]
pub enum Error {
    /// The program violates a rule of the IR, such as an operand of the wrong kind.
    InvalidProgram(String),
    /// The arrays do not match the program's inputs in number, type or length.
    InvalidInput(String),
    /// A row traps.
    Trap(RowTrap),
    /// Memory is exhausted, or an allocation exceeds a limit.
    ResourcesExhausted(String),
    /// The backend cannot run: the CPU lacks instructions, a device is missing or has failed, or a kernel cannot be
    /// compiled. Has the backend's own error type.
    Backend(Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of a backend's own type.
    pub fn backend(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Backend(Arc::new(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidProgram(message)
            | Self::InvalidInput(message)
            | Self::ResourcesExhausted(message) => f.write_str(message),
            Self::Trap(trap) => trap.fmt(f),
            Self::Backend(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Backend(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl From<RowTrap> for Error {
    fn from(trap: RowTrap) -> Self {
        Self::Trap(trap)
    }
}

impl From<Trap> for Error {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap.into())
    }
}
