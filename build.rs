//! Tells the program the revision of its sources, for reports.

use std::process::Command;

/// What the program is built from.
const SOURCES: [&str; 5] = ["src", "crates", "kernels", "Cargo.toml", "Cargo.lock"];

fn main() {
    for path in SOURCES {
        println!("cargo:rerun-if-changed={path}");
    }
    for path in [".git/HEAD", ".git/index"] {
        if std::path::Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    // A packaged copy has no repository.
    let revision = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let dirty = git(&[&["status", "--porcelain", "--"][..], &SOURCES].concat());
    let suffix = if dirty.is_some_and(|changes| !changes.is_empty()) { "-dirty" } else { "" };
    println!("cargo:rustc-env=WARPFRAME_GIT_REVISION={revision}{suffix}");
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
