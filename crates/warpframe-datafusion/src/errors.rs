//! Errors of programs and backends as DataFusion's.

use datafusion::common::DataFusionError;

use warpframe_ir::error::Error;

/// The error of a query in which a program or a backend fails.
pub fn datafusion_error(error: Error) -> DataFusionError {
    match error {
        Error::InvalidProgram(message) => DataFusionError::Plan(message),
        Error::InvalidInput(message) => DataFusionError::Execution(message),
        Error::Trap(trap) => DataFusionError::Execution(trap.message().to_owned()),
        Error::ResourcesExhausted(message) => DataFusionError::ResourcesExhausted(message),
        Error::Backend(_) => DataFusionError::External(Box::new(error)),
    }
}
