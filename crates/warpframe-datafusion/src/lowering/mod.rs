//! Lowers DataFusion expressions to programs.

mod built_in;
mod compile;
mod lower;

pub use compile::{Compiled, compile};
pub use lower::{Lowered, NotLowered, lower, lower_call};
