//! Scalar functions: those defined by programs, such as `log3`, those that users define in SQL, and those that replace
//! fused expressions.

mod evaluate;
mod exact;
mod exact_expression;
mod fused_function;
mod log3;
mod program_function;
mod sql_function;
pub mod statements;

pub(crate) use exact::log_to_base;
pub use exact::{exact_log, exact_round, exact_trunc};
pub(crate) use exact_expression::{exact_expression, is_inexact};
pub use fused_function::FusedFunction;
pub use log3::{log3, log3_function, log3_udf};
pub use program_function::{ProgramBody, ProgramFunction};
pub use sql_function::{Parameter, SqlFunction};
