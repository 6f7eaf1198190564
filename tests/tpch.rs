//! The 22 queries of TPC-H have the same answers in a session of DataFusion and in one of ours.
//!
//! The tables are made by `tpchgen-cli`, a package of `tests/requirements.txt`, or are those of the folder that
//! `WARPFRAME_TPCH` names.

mod common;
#[path = "../benches/tpch/queries.rs"]
mod queries;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::skipped;
use queries::{QUERIES, difference, sessions};
use tempfile::tempdir;

/// Makes the tables with the scale factor 0.01 in a folder. Returns whether there is the program for it.
fn generate(folder: &Path) -> bool {
    let python = std::env::var_os("WARPFRAME_PYTHON").map(PathBuf::from);
    let program = python.and_then(|python| Some(python.parent()?.join("tpchgen-cli")));
    let Some(program) = program.filter(|program| program.is_file()) else {
        skipped("TPC-H: there is no tpchgen-cli beside WARPFRAME_PYTHON, and WARPFRAME_TPCH names no folder");
        return false;
    };
    let arguments = ["parquet", "--scale-factor", "0.01", "--quiet", "--output-dir"];
    assert!(Command::new(program).args(arguments).arg(folder).status().unwrap().success());
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn all_queries_have_the_answers_of_datafusion() {
    let folder = tempdir().unwrap();
    let made = std::env::var_os("WARPFRAME_TPCH").map(PathBuf::from);
    if made.is_none() && !generate(folder.path()) {
        return;
    }
    let folder = made.unwrap_or_else(|| folder.path().to_owned());
    let (bare, ours) = sessions(&folder).await.unwrap();
    for (number, (query, ordered)) in (1..).zip(QUERIES) {
        let expected = bare.sql(query).await.unwrap().collect().await.unwrap();
        let actual = ours.sql(query).await.unwrap().collect().await.unwrap();
        assert!(expected.iter().any(|batch| batch.num_rows() > 0), "q{number} has no rows");
        let difference = difference(&expected, &actual, ordered);
        assert_eq!(difference, None, "q{number}");
    }
}
