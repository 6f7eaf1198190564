//! The map that `perf` reads to name functions which are compiled at run time: `/tmp/perf-PID.map`, with a line of address, size
//! and name for each. It is written if the environment variable `WARPFRAME_PERF_MAP` is set.

use std::io::Write;

/// The environment variable.
const VARIABLE: &str = "WARPFRAME_PERF_MAP";

/// Adds a function to the map, if it is asked for. A map that cannot be written is no error of the program.
pub(super) fn add(address: *const u8, size: usize, name: &str) {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let path = format!("/tmp/perf-{}.map", std::process::id());
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if let Ok(mut file) = file {
        // One write, so that lines of several threads are not mixed.
        let line = format!("{:x} {size:x} warpframe {name}\n", address.addr());
        if let Err(error) = file.write_all(line.as_bytes()) {
            eprintln!("warning: no map for perf: {error}");
        }
    }
}
