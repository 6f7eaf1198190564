//! `COPY TO` and `INSERT INTO` files: the rows appear once, all or none, and nothing else is left.

mod clusters;
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod crash_points;
mod failures;
mod formats;
mod object_stores;
mod presence;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::ok;

/// The time limit for a process to do what a test waits for.
const LIMIT: Duration = Duration::from_secs(300);

/// All files and folders below a folder, including hidden ones, with the contents of files.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
            found.insert(path, None);
        } else {
            let content = std::fs::read(&path).unwrap();
            found.insert(path, Some(content));
        }
    }
    found
}

/// The number of files below a folder that hold something, including hidden ones.
fn count_files(folder: &Path) -> usize {
    // Files come and go while a query runs.
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let count = |path: PathBuf| match path.metadata() {
        Ok(found) if found.is_dir() => count_files(&path),
        Ok(found) => usize::from(found.len() > 0),
        Err(_) => 0,
    };
    entries.map(|entry| count(entry.path())).sum()
}

/// The paths of files below a folder that no part of hides, relative to it.
fn visible_files(folder: &Path) -> Vec<String> {
    let files = tree(folder).into_iter().filter(|(_, content)| content.is_some());
    let names = files.map(|(path, _)| path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
    names.filter(|name| !name.split('/').any(|part| part.starts_with('.'))).collect()
}

/// Waits until there is something.
fn wait_until(what: &str, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < LIMIT, "there is still no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The result of statements as CSV.
fn csv(folder: &Path, statements: &str) -> String {
    ok(folder, &["sql", "--format", "csv", "-q", statements]).stdout
}
