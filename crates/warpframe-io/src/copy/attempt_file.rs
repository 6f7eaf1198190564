//! The files that an attempt of a task, or a statement in this process, has written.

/// A file of an attempt, which becomes a file of the output if the query has used the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFile {
    /// The unique name of the file among those of all attempts: `attempt-` and an identifier.
    pub attempt: String,
    /// The name of the file in the output, with '/' between its parts: partition folders and a file name.
    pub file: String,
}
