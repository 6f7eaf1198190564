//! Validation of file names that come from other processes.

use std::path::{Component, Path};

/// Whether a name is a single path component, which names a direct child of a folder: it is not empty, `.` or `..`, and
/// has no separators.
pub(super) fn is_single_component(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}
