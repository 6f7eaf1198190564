//! What is written is read back, in every format.

use std::fs;
use std::path::Path;

use datafusion::dataframe::DataFrameWriteOptions;
use tempfile::tempdir;
use warpframe::Session;

use super::common::ok;
use super::{csv, tree, visible_files};

/// The formats, and the extension of their files.
pub const FORMATS: [(&str, &str); 4] =
    [("PARQUET", "parquet"), ("CSV", "csv"), ("JSON", "json"), ("ARROW", "arrow")];

/// The sum of 1 to 30,000 and its number of terms, which every test writes.
pub const ROWS: &str = "SELECT id % 3 AS p, id, 'x' || id AS s FROM generate_rows(30000)";

/// Writes in every way that `COPY` and `INSERT` have, with the arguments of `warpframe sql` in `more`, and checks what is
/// written.
pub fn check_round_trips(folder: &Path, more: &[&str]) {
    let at = folder.display().to_string();
    let run = |statements: &str| {
        let arguments = [&["sql", "--format", "csv"], more, &["-q", statements]].concat();
        ok(folder, &arguments).stdout
    };
    let sums = |rows: usize| format!("n,ids\n{rows},{}\n", rows / 30_000 * 449_985_000);
    for (format, extension) in FORMATS {
        let columns = "(id BIGINT, s VARCHAR, p BIGINT)";
        let table = |location: &str, more: &str| {
            format!("CREATE EXTERNAL TABLE t {columns} STORED AS {format} {more} LOCATION '{at}/{location}'")
        };
        let query = "SELECT count(*) AS n, sum(id) AS ids FROM t";
        // A single file, which is replaced.
        let file = format!("{format}-file.{extension}");
        for _ in 0..2 {
            let copy = format!("COPY ({ROWS}) TO '{at}/{file}' STORED AS {format}");
            assert_eq!(run(&copy), "count\n30000\n", "{copy}");
            let ordered = "CREATE EXTERNAL TABLE t STORED AS";
            let read = format!("{ordered} {format} LOCATION '{at}/{file}'; {query}");
            assert_eq!(csv(folder, &read), sums(30_000), "{copy}");
        }
        // A new folder below another new one, to which files are added.
        for times in 1..=2 {
            let copy = format!(
                "COPY (SELECT id, s, p FROM ({ROWS})) TO '{at}/{format}-new/folder/' STORED AS {format}"
            );
            assert_eq!(run(&copy), "count\n30000\n", "{copy}");
            let read = format!("{}; {query}", table(&format!("{format}-new/folder/"), ""));
            assert_eq!(csv(folder, &read), sums(times * 30_000), "{copy}");
        }
        // Partition folders, with and without their columns in the files.
        let partitioned = format!("{format}-parts");
        let copy = format!("COPY ({ROWS}) TO '{at}/{partitioned}' STORED AS {format} PARTITIONED BY (p)");
        assert_eq!(run(&copy), "count\n30000\n", "{copy}");
        let files = visible_files(&folder.join(&partitioned));
        assert_eq!(files.len(), 3, "{files:?}");
        for (file, part) in files.iter().zip(0..) {
            let name = file.strip_prefix(&format!("p={part}/")).unwrap_or_default();
            assert!(name.ends_with(&format!(".{extension}")) && !name.contains('/'), "{file}");
        }
        let parts = table(&format!("{partitioned}/"), "PARTITIONED BY (p)");
        let insert = format!("{parts}; INSERT INTO t SELECT id, s, p FROM ({ROWS})");
        assert_eq!(run(&insert), "count\n30000\n", "{insert}");
        assert_eq!(csv(folder, &format!("{parts}; {query}")), sums(60_000), "{insert}");
        let one = format!("{parts}; {query} WHERE p = 1");
        assert_eq!(csv(folder, &one), "n,ids\n20000,299990000\n", "{insert}");
        let kept = format!(
            "COPY ({ROWS}) TO '{at}/{format}-kept/' STORED AS {format} PARTITIONED BY (p) \
             OPTIONS ('execution.keep_partition_by_columns' 'true')"
        );
        run(&kept);
        let first = format!("{format}-kept/{}", visible_files(&folder.join(format!("{format}-kept")))[0]);
        let read = format!(
            "CREATE EXTERNAL TABLE t STORED AS {format} LOCATION '{at}/{first}'; SELECT max(p) AS p FROM t"
        );
        assert_eq!(csv(folder, &read), "p\n0\n", "{kept}");
    }
    run(&format!("COPY ({ROWS}) TO '{at}/z.csv.gz' STORED AS CSV OPTIONS ('format.compression' 'gzip')"));
    assert_eq!(fs::read(folder.join("z.csv.gz")).unwrap()[..2], [0x1f, 0x8b]);
    let hidden: Vec<_> = tree(folder)
        .into_keys()
        .filter(|path| path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".warp")))
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempdir().unwrap();
    check_round_trips(folder.path(), &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_of_dataframes_says_whether_they_become_a_file_or_a_folder() {
    let folder = tempdir().unwrap();
    let session = Session::new().unwrap();
    for (is_file, name) in [(true, "file"), (false, "folder.csv")] {
        let at = folder.path().join(name);
        let rows = session.sql("SELECT id FROM generate_rows(1000)").await.unwrap();
        let options = DataFrameWriteOptions::new().with_single_file_output(is_file);
        rows.write_csv(at.to_str().unwrap(), options, None).await.unwrap();
        assert_eq!(at.is_file(), is_file);
        let files = if is_file { vec![at.clone()] } else { tree(&at).into_keys().collect() };
        let lines = files.iter().map(|file| fs::read_to_string(file).unwrap().lines().count());
        assert_eq!(lines.sum::<usize>(), 1000 + files.len(), "{files:?}");
    }
    assert_eq!(visible_files(folder.path()).len(), tree(folder.path()).len() - 1);
}

#[test]
fn special_files_and_patterns_are_refused_and_stay() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let made = std::process::Command::new("mkfifo").arg(folder.join("pipe.csv")).status();
    if !made.is_ok_and(|status| status.success()) {
        return super::common::skipped("pipes: this test needs mkfifo");
    }
    fs::write(folder.join("f"), "1\n").unwrap();
    for (target, words) in [
        ("pipe.csv", "it is a pipe, a device or a socket"),
        ("/dev/null", "it is a pipe, a device or a socket"),
        ("f/", "it is a file"),
        ("f/x.csv", "cannot "),
        ("*.csv", "it is a pattern"),
    ] {
        let copy = format!("COPY (SELECT 1 AS a) TO '{target}' STORED AS CSV");
        super::common::expect_failure(folder, &["sql", "-q", &copy], 1, &[words]);
    }
    let kind = fs::metadata(folder.join("pipe.csv")).unwrap().file_type();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&kind));
    // A link stays, and the file behind it is replaced.
    std::os::unix::fs::symlink("g.csv", folder.join("link.csv")).unwrap();
    fs::write(folder.join("g.csv"), "old").unwrap();
    ok(folder, &["sql", "-q", "COPY (SELECT 1 AS a) TO 'link.csv'"]);
    assert!(folder.join("link.csv").is_symlink());
    assert_eq!(fs::read_to_string(folder.join("g.csv")).unwrap(), "a\n1\n");
}

#[test]
fn null_names_no_partition_folder() {
    let folder = tempdir().unwrap();
    let copy = "COPY (SELECT id, nullif(id, 2) AS p FROM generate_rows(5)) TO 'out/' STORED AS CSV PARTITIONED BY (p)";
    super::common::expect_failure(folder.path(), &["sql", "-q", copy], 1, &["'p'", "NULL"]);
}
