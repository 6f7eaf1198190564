//! The errors of tasks, with the executor's name in what went wrong.

use std::fmt;
use std::io::{Error, ErrorKind};

use arrow::error::ArrowError;
use ballista_core::error::BallistaError;
use datafusion::common::DataFusionError;

/// Around the sentence inside the messages of all the layers that an error comes through.
const MARKS: [char; 2] = ['⟦', '⟧'];

/// The sentence that an executor has put into an error's message, or the whole message.
pub(super) fn root_message(message: &str) -> &str {
    let inside = message.split_once(MARKS[0]).and_then(|(_, rest)| rest.split_once(MARKS[1]));
    inside.map_or(message, |(sentence, _)| sentence)
}

/// The error as one sentence that names the executor. What is worth another attempt stays so: the loss of
/// another executor's data, which Ballista knows by its type, and I/O errors other than those that the next
/// attempt would meet again.
pub(super) fn with_executor_name(name: &str, work_dir: &str, error: DataFusionError) -> DataFusionError {
    let say = |what: &dyn fmt::Display| format!("{}executor {name}: {what}{}", MARKS[0], MARKS[1]);
    match cause(&error) {
        Cause::Elsewhere => error,
        Cause::Io(cause) => match cause.kind() {
            // Other files are written by nodes that name them.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DataFusionError::Execution(say(&format!(
                "cannot write into the work folder '{work_dir}': {cause}"
            ))),
            ErrorKind::NotFound => DataFusionError::Execution(say(cause)),
            kind => DataFusionError::IoError(Error::new(kind, say(cause))),
        },
        Cause::Here(cause) => match cause {
            DataFusionError::Execution(message) => DataFusionError::Execution(say(message)),
            DataFusionError::ResourcesExhausted(message) => DataFusionError::ResourcesExhausted(say(message)),
            other => DataFusionError::Execution(say(&other.message())),
        },
    }
}

/// What is behind an error.
enum Cause<'a> {
    /// The disk or the network.
    Io(&'a Error),
    /// Another executor, or the query's end.
    Elsewhere,
    /// Something in this task.
    Here(&'a DataFusionError),
}

fn cause(error: &DataFusionError) -> Cause<'_> {
    match error.find_root() {
        DataFusionError::IoError(error) => Cause::Io(error),
        root @ DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::IoError(_, error) => Cause::Io(error),
            _ => Cause::Here(root),
        },
        root @ DataFusionError::External(inner) => match inner.downcast_ref::<BallistaError>() {
            Some(BallistaError::DataFusionError(error)) => cause(error),
            Some(BallistaError::IoError(error)) => Cause::Io(error),
            Some(BallistaError::ArrowError(error)) => match error.as_ref() {
                ArrowError::IoError(_, error) => Cause::Io(error),
                _ => Cause::Here(root),
            },
            Some(_) => Cause::Elsewhere,
            None => Cause::Here(root),
        },
        root => Cause::Here(root),
    }
}
