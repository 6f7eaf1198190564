//! Typed task errors, and their encoding in the texts by which Ballista reports failures.
//!
//! Ballista reports a failed task to the scheduler, and a failed job to the client, as text: the `Debug` form of the
//! error behind a prefix of each layer, escaped once more where a retry limit is reached. A [`TaskError`] travels in
//! such a text as a readable sentence and a frame, `[warpframe-task-error:<hex>]`. `<hex>` is the error's JSON in
//! hexadecimal digits, which no escaping changes. The last frame of a text counts: a message can quote a frame, but it
//! stands before the frame of its own error.

use std::fmt;
use std::io::{Error, ErrorKind};

use arrow::error::ArrowError;
use ballista_core::error::BallistaError;
use datafusion::common::DataFusionError;
use serde::{Deserialize, Serialize};
use warpframe_datafusion::errors::arrow_message;
use warpframe_datafusion::evaluation_error::{EvaluationError, EvaluationErrorKind};

const FRAME_START: &str = "[warpframe-task-error:";

const FRAME_END: char = ']';

/// The category of a task error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TaskErrorKind {
    /// An operator failed.
    Execution,
    /// An expression has no value in a row.
    Evaluation(EvaluationErrorKind),
    /// The task's memory pool is exhausted.
    ResourcesExhausted,
    /// A file does not exist on the executor's host.
    NotFound,
    /// There is no space left for the executor's work folder.
    WorkDirFull,
    /// Another I/O error. Only these are retried.
    Io,
    /// Results were lost that the query needs. The client submits the query again.
    ResultsLost,
}

/// The error of a task, as its executor reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskError {
    /// The name of the executor.
    pub executor: String,
    pub kind: TaskErrorKind,
    /// The innermost message, without the names of the layers above it.
    pub message: String,
}

impl TaskError {
    /// The typed form of an error, or `None` if Ballista has to see its own type: the loss of shuffle data of another
    /// executor, which makes the scheduler compute it again, and cancellation.
    fn classify(executor: &str, work_dir: &str, error: &DataFusionError) -> Option<Self> {
        let (kind, message) = match cause(error) {
            Cause::Ballista => return None,
            Cause::Io(error) => match error.kind() {
                // Operators that write other files name them in their errors.
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
                    TaskErrorKind::WorkDirFull,
                    format!("cannot write into the work folder '{work_dir}': {error}"),
                ),
                ErrorKind::NotFound => (TaskErrorKind::NotFound, error.to_string()),
                _ => (TaskErrorKind::Io, error.to_string()),
            },
            // Ballista reports a connection to another executor that breaks while a partition is read without its own type.
            Cause::Ipc(error) => (TaskErrorKind::ResultsLost, error.to_string()),
            Cause::DataFusion(error @ DataFusionError::ResourcesExhausted(_)) => {
                (TaskErrorKind::ResourcesExhausted, error.message().into_owned())
            }
            Cause::Arrow(error) => match EvaluationError::of_arrow(error) {
                Some(error) => (TaskErrorKind::Evaluation(error.kind), error.message),
                None => (TaskErrorKind::Execution, arrow_message(error)),
            },
            Cause::DataFusion(error) => match EvaluationError::of(error) {
                Some(error) => (TaskErrorKind::Evaluation(error.kind), error.message),
                None => (TaskErrorKind::Execution, error.message().into_owned()),
            },
        };
        Some(Self { executor: executor.to_owned(), kind, message })
    }

    /// The sentence and the frame.
    pub fn encode(&self) -> String {
        // Without JSON, which serde_json gives for any strings, the sentence is left.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let hex: String = json.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{self} {FRAME_START}{hex}{FRAME_END}")
    }

    /// The error whose frame is in a text, or `None` if there is no valid frame.
    fn decode(text: &str) -> Option<Self> {
        let (_, frame) = text.rsplit_once(FRAME_START)?;
        let (hex, _) = frame.split_once(FRAME_END)?;
        let json: Option<Vec<u8>> = hex
            .as_bytes()
            .chunks(2)
            .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
            .collect();
        serde_json::from_slice(&json?).ok()
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "executor {}: {}", self.executor, self.message)
    }
}

impl From<TaskError> for DataFusionError {
    fn from(error: TaskError) -> Self {
        match error.kind {
            TaskErrorKind::ResourcesExhausted => Self::ResourcesExhausted(error.to_string()),
            TaskErrorKind::Evaluation(kind) => {
                EvaluationError { kind, message: error.to_string(), expressions: Vec::new() }.into()
            }
            _ => Self::Execution(error.to_string()),
        }
    }
}

/// The error of a task as its executor hands it to Ballista, with the [`TaskError`] encoded in its text. Its variant
/// tells Ballista whether to retry the task.
pub(super) fn encode_task_error(executor: &str, work_dir: &str, error: DataFusionError) -> DataFusionError {
    let Some(typed) = TaskError::classify(executor, work_dir, &error) else { return error };
    let text = typed.encode();
    match typed.kind {
        TaskErrorKind::Io => DataFusionError::IoError(Error::other(text)),
        TaskErrorKind::ResourcesExhausted => DataFusionError::ResourcesExhausted(text),
        TaskErrorKind::Execution
        | TaskErrorKind::Evaluation(_)
        | TaskErrorKind::NotFound
        | TaskErrorKind::WorkDirFull
        | TaskErrorKind::ResultsLost => DataFusionError::Execution(text),
    }
}

/// The text with which Ballista reports shuffle data of an executor as lost. The scheduler has it computed again.
pub(super) fn encode_lost_data(executor: String, error: &DataFusionError) -> String {
    let message = error.find_root().message().into_owned();
    TaskError { executor, kind: TaskErrorKind::Execution, message }.encode()
}

/// The error behind a text of Ballista: the [`TaskError`] that is encoded in it, or an error with the whole text.
pub(super) fn decode_task_error(text: &str) -> DataFusionError {
    match TaskError::decode(text) {
        Some(error) => error.into(),
        None => DataFusionError::Execution(text.to_owned()),
    }
}

/// Whether a text of Ballista has the error of a job whose results were lost, so that the query has to be submitted again.
pub(super) fn is_results_lost(text: &str) -> bool {
    TaskError::decode(text).is_some_and(|error| error.kind == TaskErrorKind::ResultsLost)
}

/// The root of an error, seen through the wrappers of DataFusion, Arrow and Ballista.
enum Cause<'a> {
    Io(&'a Error),
    /// A stream of Arrow batches that cannot be read.
    Ipc(&'a ArrowError),
    /// An error that Ballista recognizes by its type.
    Ballista,
    /// Another error of Arrow, which Ballista wraps in its own.
    Arrow(&'a ArrowError),
    DataFusion(&'a DataFusionError),
}

fn cause(error: &DataFusionError) -> Cause<'_> {
    match error.find_root() {
        DataFusionError::IoError(error) => Cause::Io(error),
        DataFusionError::ArrowError(error, _) => arrow_cause(error),
        root @ DataFusionError::External(inner) => match inner.downcast_ref::<BallistaError>() {
            Some(BallistaError::DataFusionError(error)) => cause(error),
            Some(BallistaError::IoError(error)) => Cause::Io(error),
            Some(BallistaError::ArrowError(error)) => arrow_cause(error),
            Some(_) => Cause::Ballista,
            None => Cause::DataFusion(root),
        },
        root => Cause::DataFusion(root),
    }
}

fn arrow_cause(error: &ArrowError) -> Cause<'_> {
    match error {
        ArrowError::IoError(_, error) => Cause::Io(error),
        ArrowError::IpcError(_) => Cause::Ipc(error),
        other => Cause::Arrow(other),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use ballista_core::serde::protobuf::FailedTask;
    use ballista_core::serde::protobuf::failed_task::FailedReason;

    use super::*;

    const MESSAGES: [&str; 5] = [
        "an ordinary sentence",
        "",
        "a \"quoted\" word, it's 'this',\r\n\ta second line, {braces}, [brackets], \\backslashes\\ and \\n",
        "π ≠ 3, 数, 🦀, ⟦marks⟧, \u{1b}[31m, \u{200b}, \0",
        "[warpframe-task-error:7b7d] [warpframe-task-error:",
    ];

    /// The texts that reach the client: of a job that failed at once, and of one that failed at the retry limit.
    fn job_errors(task: &FailedTask) -> [String; 2] {
        let last = format!(
            "Task 3 in Stage 1 failed 4 times, fail the stage, most recent failure reason: {:?}",
            task.error
        );
        [&task.error, &last].map(|reason| format!("Job failed due to stage 1 failed: {reason}\n"))
    }

    #[test]
    fn an_error_comes_back_unchanged_from_the_texts_of_ballista() {
        type NewError = fn(String) -> DataFusionError;
        let kinds: [(TaskErrorKind, NewError); 3] = [
            (TaskErrorKind::Execution, DataFusionError::Execution),
            (TaskErrorKind::ResourcesExhausted, DataFusionError::ResourcesExhausted),
            (TaskErrorKind::Io, |message| DataFusionError::IoError(Error::other(message))),
        ];
        for message in MESSAGES {
            for (kind, error) in kinds {
                let failed = error(message.to_owned()).context("in an operator");
                let encoded = encode_task_error("höst-1-\"a\"", "/work", failed);
                let task = FailedTask::from(BallistaError::from(encoded));
                assert_eq!(task.retryable, kind == TaskErrorKind::Io, "{task:?}");
                let expected =
                    TaskError { executor: "höst-1-\"a\"".to_owned(), kind, message: message.to_owned() };
                for text in job_errors(&task) {
                    assert_eq!(TaskError::decode(&text).as_ref(), Some(&expected), "{text}");
                    let decoded = decode_task_error(&text);
                    assert_eq!(decoded.message(), format!("executor höst-1-\"a\": {message}"));
                    let exhausted = matches!(decoded, DataFusionError::ResourcesExhausted(_));
                    assert_eq!(exhausted, kind == TaskErrorKind::ResourcesExhausted, "{decoded:?}");
                }
            }
        }
    }

    #[test]
    fn a_quoted_frame_is_not_the_error() {
        let quoted = TaskError {
            executor: "other".to_owned(),
            kind: TaskErrorKind::NotFound,
            message: "something else".to_owned(),
        };
        let failed = DataFusionError::Execution(format!("cannot cast '{}'", quoted.encode()));
        let task = FailedTask::from(BallistaError::from(encode_task_error("e", "/work", failed)));
        for text in job_errors(&task) {
            let decoded = TaskError::decode(&text).unwrap();
            assert_eq!(decoded.message, format!("cannot cast '{}'", quoted.encode()));
        }
    }

    #[test]
    fn only_errors_that_can_pass_are_retried() {
        for (kind, expected) in [
            (ErrorKind::StorageFull, TaskErrorKind::WorkDirFull),
            (ErrorKind::NotFound, TaskErrorKind::NotFound),
            (ErrorKind::ConnectionReset, TaskErrorKind::Io),
        ] {
            let failed = DataFusionError::IoError(Error::new(kind, "it failed"));
            let task = FailedTask::from(BallistaError::from(encode_task_error("e", "/work", failed)));
            let decoded = TaskError::decode(&task.error).unwrap();
            assert_eq!((decoded.kind, task.retryable), (expected, expected == TaskErrorKind::Io));
        }
    }

    #[test]
    fn ballista_sees_the_loss_of_shuffle_data() {
        let lost = BallistaError::FetchFailed("other".to_owned(), 1, 2, "gone".to_owned());
        let encoded = encode_task_error("e", "/work", lost.into_datafusion());
        let task = FailedTask::from(BallistaError::from(encoded));
        assert!(matches!(task.failed_reason, Some(FailedReason::FetchPartitionError(_))), "{task:?}");
    }

    #[test]
    fn a_query_is_run_again_if_the_stream_of_an_input_breaks() {
        let broken = || ArrowError::IpcError("h2 protocol error".to_owned());
        for error in [
            DataFusionError::ArrowError(Box::new(broken()), None),
            DataFusionError::External(Box::new(BallistaError::from(broken()))),
            DataFusionError::External(Box::new(BallistaError::from(broken()))).context("in an operator"),
        ] {
            let task = FailedTask::from(BallistaError::from(encode_task_error("e", "/work", error)));
            assert!(!task.retryable, "{task:?}");
            for text in job_errors(&task) {
                assert!(is_results_lost(&text), "{text}");
                let message = decode_task_error(&text).message().into_owned();
                assert_eq!(message, "executor e: Ipc error: h2 protocol error");
            }
        }
        assert!(!is_results_lost(
            &encode_task_error("e", "/work", DataFusionError::Execution("h2".to_owned())).to_string()
        ));
    }

    #[test]
    fn a_text_without_a_valid_frame_is_kept_whole() {
        for text in [
            "no executor is left",
            "[warpframe-task-error:",
            "[warpframe-task-error:7b7g]",
            "[warpframe-task-error:7é]",
        ] {
            assert_eq!(TaskError::decode(text), None);
            assert_eq!(decode_task_error(text).message(), text);
        }
    }
}
