//! Files that pyarrow has written, read and written again by warpframe, and compared by pyarrow.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use super::common::{entries, ok, skipped};

/// The seed of the files; another one with `WARPFRAME_FILES_SEED`.
fn seed() -> String {
    std::env::var("WARPFRAME_FILES_SEED").unwrap_or_else(|_| "19".to_owned())
}

#[test]
fn files_of_pyarrow_are_the_same_after_a_round_trip() {
    let Ok(python) = std::env::var("WARPFRAME_PYTHON") else {
        skipped("round trips: WARPFRAME_PYTHON does not name an interpreter that has pyarrow");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/round_trips.py");
    let folder = tempdir().unwrap();
    let at = folder.path();
    let run = |arguments: &[&str]| {
        let output = Command::new(&python).arg(&script).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "seed {}: {errors}", seed());
    };
    let place = at.to_string_lossy();
    run(&["write", &place, &seed()]);
    fs::create_dir(at.join("out")).unwrap();
    for name in entries(at) {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
        let out = format!("out/{name}");
        match extension {
            "parquet" => {
                ok(at, &["run", "--in", &name, "--select", "*", "--out", &out, "--threads", "2"]);
            }
            "csv" => {
                let columns = fs::read_to_string(at.join(format!("{stem}.sql"))).unwrap();
                let query = format!(
                    "CREATE EXTERNAL TABLE t ({columns}) STORED AS CSV LOCATION '{name}'; SELECT * FROM t"
                );
                ok(at, &["sql", "--threads", "2", "--format", "csv", "--out", &out, "-q", &query]);
            }
            _ => {}
        }
    }
    run(&["check", &place]);
}
