//! What NaN and infinities become in JSON, as an option.

use clap::ValueEnum;

/// What NaN and infinities become in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum NonFinite {
    /// The strings "NaN", "Infinity" and "-Infinity", as in the JSON of Protocol Buffers
    #[default]
    String,
    /// null
    Null,
}

impl From<NonFinite> for warpframe_io::NonFinite {
    fn from(option: NonFinite) -> Self {
        match option {
            NonFinite::String => Self::String,
            NonFinite::Null => Self::Null,
        }
    }
}
