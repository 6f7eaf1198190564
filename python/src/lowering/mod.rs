//! Compiles traced functions to programs, with the meaning that operators and functions have in Python and NumPy: the types of
//! results are NumPy's, `/` is true division, `//` and `%` round towards negative infinity, comparisons are those of IEEE 754,
//! and no value is an error.
//!
//! Values of 8 and 16-bit integers are `i32` in programs, and those of `uint32` are `i64`. Each operation is followed by
//! instructions that wrap its result around, so that values are always in the range of their type.

mod arithmetic;
mod comparison;
mod convert;
mod error;
mod float_functions;
mod floats;
mod integers;
mod lower;
mod operand;

pub use error::LoweringError;
pub use lower::{Lowered, lower};
pub use operand::ParameterType;
