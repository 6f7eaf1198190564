//! Names of files and folders that other processes give.

use std::path::{Component, Path};

/// Whether this names something right inside of a folder.
pub(super) fn is_single_component(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}
