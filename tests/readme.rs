//! Runs the `warpframe` commands of the README in order in an empty folder, and the programs in `examples/`. The Rust code of the
//! README and of docs/rust.md is a doctest.

mod common;

use std::path::Path;

use tempfile::tempdir;

#[test]
fn every_command_in_the_readme_runs() {
    let readme = include_str!("../README.md");
    let binary = Path::new(env!("CARGO_BIN_EXE_warpframe"));
    let folder = tempdir().unwrap();
    let mut seen = 0;
    for block in readme.split("```bash\n").skip(1) {
        let commands = block.split("```").next().unwrap().replace("\\\n", " ");
        for line in commands.lines().filter(|line| line.starts_with("warpframe ")) {
            let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
            let mut shell = std::process::Command::new("sh");
            shell
                .args(["-c", line])
                .current_dir(folder.path())
                .env("PATH", path)
                .stdin(std::process::Stdio::null());
            let run = common::finish(shell.output().unwrap());
            assert_eq!(run.code, Some(0), "{line}: {run:#?}");
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} commands were found");
}

/// The programs in `examples/`, with parts of what they print.
const EXAMPLES: [(&str, &[&str]); 10] = [
    ("bare_kernel", &["ln(1000000)^3 = 2636.94", "in single precision: 2636.94"]),
    (
        "batch_run",
        &[
            "SELECT id, half(x) AS h FROM input WHERE id % 10 = 0",
            "10000 rows of 100000 (of 100000) in 1 file",
            "Output: ",
            "49995.5",
        ],
    ),
    ("cluster", &["| 2 | 333333 |"]),
    ("compile", &["5.0", "13.0", "null", "has selected 1 of 3 rows"]),
    ("create_function", &["1.4142135623730951", "| 4.85", "fused("]),
    ("custom_backend", &["[checked simd", "| s "]),
    ("custom_function", &["fused(2 * logistic(x / 4) - 1)", "0.7310585786300049"]),
    ("dataframe", &["1000000 rows, sum "]),
    ("install", &["fused(ln(1 + exp("]),
    ("sql_query", &["| id "]),
];

#[test]
fn every_example_runs() {
    let folder = Path::new(env!("CARGO_BIN_EXE_warpframe")).with_file_name("examples");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files: Vec<_> = std::fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<_> = files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, EXAMPLES.map(|(name, _)| name));
    for (name, expected) in EXAMPLES {
        let program = folder.join(name);
        if !program.exists() {
            common::skipped(&format!("the example {name} is not built: cargo test without --test builds it"));
            continue;
        }
        let run = common::finish(std::process::Command::new(program).output().unwrap());
        assert_eq!(run.code, Some(0), "{name}: {run:#?}");
        for part in expected {
            assert!(run.stdout.contains(part), "{name} does not print '{part}': {}", run.stdout);
        }
    }
}
