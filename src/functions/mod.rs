//! warpframe's SQL functions, each an ordinary DataFusion scalar function: `log3`, fused expressions, and
//! those that users define in SQL.

mod fused;
mod log3;
mod sql_function;
pub mod statements;

pub use fused::Fused;
pub use log3::{Log3, log3, log3_udf};
pub use sql_function::{Parameter, SqlFunction};
