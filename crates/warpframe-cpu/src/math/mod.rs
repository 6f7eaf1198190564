//! The elementary functions, generic over [`Lanes`](super::lanes::Lanes). Functions without a single-precision version are
//! computed in double precision for both types ([`Lanes::in_f64`](super::lanes::Lanes::in_f64)). Their error bounds are in
//! the op table.
//!
//! The polynomials are minimax polynomials for the error that is stated beside their coefficients, which were computed by Remez
//! exchange with 300 or 400 bits and then rounded.

mod atan2;
mod cube_root;
mod divisor;
mod exponential;
mod hyperbolic;
mod inverse;
mod log;
mod log_constants;
mod normal;
mod polynomial;
mod power;
mod remainder;
mod rounding;
mod trigonometric;

pub use atan2::Atan2;
pub use cube_root::cbrt;
pub use divisor::Divisor;
pub use exponential::Exp;
pub use hyperbolic::{Cosh, Sinh, Tanh};
pub use inverse::{Acos, Asin, Atan};
pub use log::{ln, log2, log10};
pub use log_constants::{LogElement, Table};
pub use power::Power;
pub use remainder::remainder;
pub use rounding::{round, signum, trunc};
pub use trigonometric::{Cos, Sin, Tan};
