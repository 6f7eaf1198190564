//! Conversion of errors of programs and backends to DataFusion errors.

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use warpframe_ir::error::Error;
use warpframe_ir::{RowTrap, Trap};

/// The DataFusion error for an error of a program or a backend.
pub fn datafusion_error(error: Error) -> DataFusionError {
    match error {
        Error::InvalidProgram(message) => DataFusionError::Plan(message),
        Error::InvalidInput(message) => DataFusionError::Execution(message),
        Error::Trap(trap) => trap_error(trap),
        Error::ResourcesExhausted(message) => DataFusionError::ResourcesExhausted(message),
        Error::Backend(_) => DataFusionError::External(Box::new(error)),
    }
}

/// The message of an error of Arrow, without the names of its kind and of the layers that have passed it on.
pub fn arrow_message(error: &ArrowError) -> String {
    match error {
        ArrowError::ArithmeticOverflow(message) => match message.strip_prefix("Overflow happened on: ") {
            Some(operation) => format!("overflow of {operation}"),
            None => message.clone(),
        },
        ArrowError::CastError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::CsvError(message)
        | ArrowError::InvalidArgumentError(message)
        | ArrowError::IpcError(message)
        | ArrowError::JsonError(message)
        | ArrowError::MemoryError(message)
        | ArrowError::NotYetImplemented(message)
        | ArrowError::ParseError(message)
        | ArrowError::SchemaError(message) => {
            // DataFusion's functions pass on an error of their own as a text.
            message.strip_prefix("Execution error: ").unwrap_or(message).to_owned()
        }
        ArrowError::AvroError(message) => {
            message.strip_prefix("Parser error: ").unwrap_or(message).to_owned()
        }
        ArrowError::IoError(message, _) => message.strip_prefix("IO error: ").unwrap_or(message).to_owned(),
        ArrowError::DivideByZero => "division by zero".to_owned(),
        other => other.to_string(),
    }
}

/// The error of a row, as DataFusion's own evaluation returns it.
fn trap_error(trap: RowTrap) -> DataFusionError {
    let message = trap.to_string();
    let error = match trap.trap {
        // DataFusion wraps an error of its own.
        Trap::SqrtOfNegative => ArrowError::ComputeError(DataFusionError::Execution(message).to_string()),
        Trap::ZeroToNegativePower => ArrowError::ComputeError(message),
        Trap::DivideByZero => ArrowError::DivideByZero,
        Trap::DivisionOverflow | Trap::AddOverflow | Trap::SubtractOverflow => {
            ArrowError::ArithmeticOverflow(message)
        }
        Trap::AbsOverflow(_) => ArrowError::ComputeError(message),
        Trap::CastOverflow(_) => ArrowError::CastError(message),
    };
    DataFusionError::ArrowError(Box::new(error), None)
}
