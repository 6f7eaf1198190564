//! The elementary functions, written once over [`Lanes`]. Those without a single-precision form of their
//! own work in double precision for both types: [`Lanes::in_f64`]. How accurate each one is stands in the
//! op table.
//!
//! The polynomials interpolate at Chebyshev nodes, computed with 400 bits.

mod divisor;
mod exponential;
mod inverse;
mod log;
pub(crate) mod log_tables;
mod polynomial;
mod power;
mod rounding;
mod trigonometric;

pub use divisor::Divisor;
pub use exponential::{Exp, Tanh};
pub use inverse::{Acos, Asin, Atan};
pub use log::{Log2, Log10, ln};
pub use power::Power;
pub use rounding::{round, signum, trunc};
pub use trigonometric::{Cos, Sin, Tan};
