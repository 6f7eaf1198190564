//! Files that are added to local folders, and the journals of runs that were killed while they did so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use datafusion::common::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use tempfile::tempdir;
use warpframe_io::{OutputMode, Staging, find_files, runtime_env_builder};

async fn staged(output: &Path, mode: OutputMode) -> Result<Staging> {
    Staging::new_folder(output, mode, "csv", &runtime_env_builder().build()?).await
}

/// Writes a file into the output and one into a partition folder of it.
fn write(staging: &Staging, text: &str) {
    fs::write(staging.data().join(staging.part_name(0, "csv")), text).unwrap();
    fs::create_dir(staging.data().join("a=1")).unwrap();
    fs::write(staging.data().join("a=1").join(staging.part_name(1, "csv")), text).unwrap();
}

/// The contents of the files that tables of the folder have, by the two ways in which they are listed.
async fn contents(folder: &Path) -> Vec<String> {
    let files = find_files(&folder.to_string_lossy(), "csv").unwrap();
    let runtime = runtime_env_builder().build().unwrap();
    let store = runtime.object_store(ObjectStoreUrl::local_filesystem()).unwrap();
    let prefix = object_store::path::Path::from_absolute_path(folder).unwrap();
    let listed: Vec<_> = store.list(Some(&prefix)).try_collect().await.unwrap();
    let names = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(
        names(listed.into_iter().map(|object| format!("/{}", object.location)).collect()),
        names(files.iter().map(|file| file.to_string_lossy().into_owned()).collect()),
    );
    let mut contents: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    contents.sort();
    contents
}

/// The names of hidden files in a folder.
fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[tokio::test]
async fn additions_run_side_by_side_and_exclude_replacements() {
    let folder = tempdir().unwrap();
    let output = folder.path().canonicalize().unwrap().join("out");
    let first = staged(&output, OutputMode::Append).await.unwrap();
    let second = staged(&output, OutputMode::Append).await.unwrap();
    for mode in [OutputMode::Create, OutputMode::Replace] {
        let refused = staged(&output, mode).await.unwrap_err().to_string();
        assert!(refused.contains("another run is writing it"), "{refused}");
    }
    write(&first, "one");
    write(&second, "two");
    first.publish().await.unwrap();
    assert_eq!(contents(&output).await, ["one"; 2]);
    second.publish().await.unwrap();
    assert_eq!(contents(&output).await, ["one", "one", "two", "two"]);
    // A folder with other files can be added to, but not replaced.
    fs::write(output.join("notes.txt"), "mine").unwrap();
    let third = staged(&output, OutputMode::Append).await.unwrap();
    write(&third, "three");
    drop(third);
    let refused = staged(&output, OutputMode::Replace).await.unwrap_err().to_string();
    assert!(refused.contains("'notes.txt', which is not a .csv file"), "{refused}");
    fs::remove_file(output.join("notes.txt")).unwrap();
    let last = staged(&output, OutputMode::Replace).await.unwrap();
    write(&last, "last");
    let refused = staged(&output, OutputMode::Append).await.unwrap_err().to_string();
    assert!(refused.contains("another run is writing it"), "{refused}");
    last.publish().await.unwrap();
    assert_eq!(contents(&output).await, ["last"; 2]);
    assert!(hidden(&output).is_empty() && hidden(folder.path()).is_empty());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = staged(&file, OutputMode::Append).await.unwrap_err().to_string();
    assert!(refused.contains("cannot add files to") && refused.contains("it is a file"), "{refused}");
}

#[tokio::test]
async fn readers_and_the_next_run_obey_the_journal_of_a_killed_run() {
    let folder = tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let journal = |state: &str, names: &str| format!(r#"{{"run":"0","state":"{state}",{names}}}"#);
    let publishing = journal("publishing", r#""new":["new.csv","a=1/new.csv"]"#);
    let committed = journal("committed", r#""replaced":["old.csv","a=1/old.csv"]"#);
    for (name, text, seen) in [
        (".warpframe-commit", &publishing, "old"),
        (".warpframe-commit", &committed, "new"),
        (".warpframe-commit-0", &publishing, "old"),
    ] {
        for mode in [OutputMode::Append, OutputMode::Replace] {
            let output = folder.join("out");
            fs::create_dir_all(output.join("a=1")).unwrap();
            for text in ["old", "new"] {
                fs::write(output.join(format!("{text}.csv")), text).unwrap();
                fs::write(output.join(format!("a=1/{text}.csv")), text).unwrap();
            }
            fs::write(output.join(name), text).unwrap();
            fs::write(output.join(".warpframe-journal-0"), "unfinished").unwrap();
            assert_eq!(contents(&output).await, [seen; 2], "{text}");
            // A partition folder and a pattern are parts of the output.
            for pattern in ["out/a=1", "out/*.csv", "o*/*.csv", "out/a=*/*.csv"] {
                let files = find_files(&folder.join(pattern).to_string_lossy(), "csv").unwrap();
                let texts: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
                assert_eq!(texts, [seen], "{text} {pattern}");
            }
            // So is the folder above it.
            let files = find_files(&folder.to_string_lossy(), "csv").unwrap();
            let texts: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
            assert_eq!(texts, [seen; 2], "{text}");
            let next = staged(&output, mode).await.unwrap();
            assert!(hidden(&output).is_empty(), "{text}");
            write(&next, "next");
            next.publish().await.unwrap();
            let expected = match mode {
                OutputMode::Append => vec!["next", "next", seen, seen],
                _ => vec!["next", "next"],
            };
            let mut found = contents(&output).await;
            found.sort_by_key(|text| text != "next");
            assert_eq!(found, expected, "{text}");
            fs::remove_dir_all(&output).unwrap();
        }
    }
}

#[tokio::test]
async fn a_journal_names_nothing_outside_of_its_output() {
    let folder = tempdir().unwrap();
    let output = folder.path().join("out");
    fs::create_dir(&output).unwrap();
    let victim = folder.path().join("victim.csv");
    fs::write(&victim, "mine").unwrap();
    for name in ["../victim.csv", &victim.to_string_lossy()] {
        let journal = format!(r#"{{"run":"0","state":"publishing","new":["{name}"]}}"#);
        fs::write(output.join(".warpframe-commit"), journal).unwrap();
        let refused = staged(&output, OutputMode::Replace).await.unwrap_err().to_string();
        assert!(refused.contains("is not the path of a file in it"), "{refused}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    }
    fs::write(output.join(".warpframe-commit"), "no journal").unwrap();
    for refused in [
        staged(&output, OutputMode::Replace).await.unwrap_err(),
        find_files(&output.to_string_lossy(), "csv").unwrap_err(),
    ] {
        assert!(refused.to_string().contains("it is not a journal of a run"), "{refused}");
    }
}
