//! The report of tests that need what the machine does not have.

/// Reports on stderr that a test is skipped. Written directly, because the test runner captures `eprintln!`.
pub fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
