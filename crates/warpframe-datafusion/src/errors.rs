//! Conversion of errors of programs and backends to DataFusion errors.

use datafusion::common::DataFusionError;

use warpframe_ir::error::Error;

/// The DataFusion error for an error of a program or a backend.
pub fn datafusion_error(error: Error) -> DataFusionError {
    match error {
        Error::InvalidProgram(message) => DataFusionError::Plan(message),
        Error::InvalidInput(message) => DataFusionError::Execution(message),
        Error::Trap(trap) => DataFusionError::Execution(trap.message().to_owned()),
        Error::ResourcesExhausted(message) => DataFusionError::ResourcesExhausted(message),
        Error::Backend(_) => DataFusionError::External(Box::new(error)),
    }
}
