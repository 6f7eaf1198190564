//! Runs the `warpframe` commands of the README in order in an empty folder. The Rust code of the README is a doctest.

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
