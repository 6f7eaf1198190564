//! What is written, and what happens to what is there.

/// What a run does with an output that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// Refuses to write it.
    Create,
    /// Replaces it.
    Replace,
    /// Adds files to it, if it is a folder.
    Append,
}

/// Whether the name of a file ends in a dot and an extension, which may have dots itself: `csv.gz`.
pub(super) fn has_extension(name: &str, extension: &str) -> bool {
    name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'))
}

/// The shape of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OutputKind {
    /// A single file or object.
    File,
    /// A folder, or all objects below a prefix: files with an extension, also in partition folders (`column=value`).
    Folder { extension: String },
}
