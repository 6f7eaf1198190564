//! Why there is no native code.

use std::fmt;

/// Why a program has no native code.
#[derive(Debug, Clone)]
pub(crate) enum NativeError {
    /// No code is encoded for the instruction set in use.
    Unsupported,
    /// The system refuses executable memory, with the number of its error.
    #[cfg(all(target_arch = "x86_64", unix))]
    Refused(i32),
    /// An instruction cannot be encoded.
    #[cfg(all(target_arch = "x86_64", unix))]
    Encoding(iced_x86::IcedError),
}

impl NativeError {
    /// The system has just refused executable memory.
    #[cfg(all(target_arch = "x86_64", unix))]
    pub fn refused() -> Self {
        Self::Refused(std::io::Error::last_os_error().raw_os_error().unwrap_or_default())
    }
}

impl fmt::Display for NativeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("there is no native code for this instruction set"),
            #[cfg(all(target_arch = "x86_64", unix))]
            Self::Refused(error) => {
                let error = std::io::Error::from_raw_os_error(*error);
                write!(f, "the system refuses executable memory: {error}")
            }
            #[cfg(all(target_arch = "x86_64", unix))]
            Self::Encoding(error) => write!(f, "an instruction cannot be encoded: {error}"),
        }
    }
}
