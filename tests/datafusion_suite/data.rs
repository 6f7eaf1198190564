//! The files that the statements read.

use std::fs;
use std::path::{Path, PathBuf};

/// Makes the folder that relative paths in the statements start from.
pub fn make(root: &Path, package: &Path) -> PathBuf {
    let folder = root.join("datafusion/sqllogictest");
    fs::create_dir_all(folder.join("data")).unwrap();
    for entry in fs::read_dir(package.join("data")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join("data").join(entry.file_name())).unwrap();
    }
    folder
}
