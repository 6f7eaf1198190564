//! warpframe's SQL functions, each an ordinary DataFusion scalar function.

mod log3;

pub use log3::{Log3, log3, log3_udf};
