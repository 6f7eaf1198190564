//! Batch runs and row generation: content and metadata of outputs, overwriting, invalid and damaged inputs.

mod common;

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use common::{entries, expect_failure, ok};
use datafusion::error::DataFusionError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use tempfile::tempdir;

/// All rows of a Parquet file, or of the Parquet files in a folder in the order of their names.
fn read(path: &Path) -> RecordBatch {
    let files = if path.is_dir() {
        entries(path).into_iter().map(|name| path.join(name)).collect()
    } else {
        vec![path.to_owned()]
    };
    let mut batches = Vec::new();
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
        batches.push(RecordBatch::new_empty(Arc::clone(reader.schema())));
        batches.extend(reader.build().unwrap().map(Result::unwrap));
    }
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn write(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A table with nulls, text and metadata.
fn sample(rows: i64) -> RecordBatch {
    let metadata = HashMap::from([("origin".to_owned(), "a test".to_owned())]);
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true)
            .with_metadata(HashMap::from([("unit".to_owned(), "none".to_owned())])),
        Field::new("x", DataType::Float64, true),
        Field::new("y", DataType::Float64, false),
        Field::new("n", DataType::Int32, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows)),
        Arc::new(StringArray::from_iter(
            (0..rows).map(|id| (id % 3 != 0).then(|| format!("name {}", id % 7))),
        )),
        Arc::new(Float64Array::from_iter((0..rows).map(|id| (id % 5 != 0).then_some(id as f64 / 8.0)))),
        Arc::new(Float64Array::from_iter_values((0..rows).map(|id| id as f64 + 0.5))),
        Arc::new(arrow::array::Int32Array::from_iter((0..rows).map(|id| (id % 2 == 0).then_some(id as i32)))),
    ];
    RecordBatch::try_new(Arc::new(Schema::new_with_metadata(fields, metadata)), columns).unwrap()
}

#[test]
fn a_run_preserves_order_nulls_columns_and_metadata() {
    let folder = tempdir().unwrap();
    let input = sample(50_000);
    write(&folder.path().join("in.parquet"), &input);
    for (out, threads) in [("out.parquet", "1"), ("out2.parquet", "3"), ("out", "1"), ("out2", "3")] {
        let select = "*, log3(x, y, n) AS r";
        let run = ok(
            folder.path(),
            &["run", "--in", "in.parquet", "--select", select, "--out", out, "--threads", threads],
        );
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("50,000 rows, "), "{}", run.stderr);
        let output = read(&folder.path().join(out));
        for column in 0..5 {
            assert_eq!(output.column(column), input.column(column), "column {column} of {out}");
            assert_eq!(output.schema().field(column), input.schema().field(column));
        }
        assert_eq!(output.schema().metadata(), input.schema().metadata());
        assert!(output.schema().field(5).is_nullable());
        let r = output.column(5).as_primitive::<Float64Type>();
        for row in 0..50_000 {
            let (x, n) = (input.column(2), input.column(4));
            assert_eq!(r.is_null(row), x.is_null(row) || n.is_null(row), "row {row}");
        }
        let (row, expected) =
            (2 * 777, (2.0 * 777.0 / 8.0f64).ln() * (2.0 * 777.0 + 0.5f64).ln() * (2.0 * 777.0f64).ln());
        assert!((r.value(row) / expected - 1.0).abs() < 1e-15);
    }
    // The Parquet footer has the metadata too, for readers without Arrow.
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(folder.path().join("out2.parquet")).unwrap())
            .unwrap();
    let footer = reader.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(footer.iter().any(|pair| pair.key == "origin" && pair.value.as_deref() == Some("a test")));
}

#[test]
fn a_run_filters_and_reads_globs_in_order() {
    let folder = tempdir().unwrap();
    ok(folder.path(), &["generate", "--rows", "30000", "--files", "4", "--out", "in"]);
    ok(
        folder.path(),
        &[
            "run",
            "--in",
            "in/*.parquet",
            "--select",
            "id, log3(x,y,z) AS r",
            "--where",
            "id % 3 = 1",
            "--out",
            "out.parquet",
            "--threads",
            "3",
        ],
    );
    let output = read(&folder.path().join("out.parquet"));
    let ids = output.column(0).as_primitive::<Int64Type>();
    assert_eq!(ids.values().to_vec(), (0..30_000).filter(|id| id % 3 == 1).collect::<Vec<_>>());

    // An empty result is not an error.
    let run =
        ok(folder.path(), &["run", "--in", "in", "--select", "id", "--where", "id < 0", "--out", "none"]);
    assert!(run.stderr.contains("0 rows"), "{}", run.stderr);
    let files = entries(&folder.path().join("none"));
    assert!(files.len() == 1 && files[0].starts_with("part-00000-"), "{files:?}");
    assert_eq!(read(&folder.path().join("none")).num_rows(), 0);
}

#[test]
fn conflicting_metadata_is_reported() {
    let folder = tempdir().unwrap();
    for (name, made) in [("a.parquet", "monday"), ("b.parquet", "tuesday")] {
        let batch = sample(100);
        let metadata =
            [("origin", "a test"), ("made", made)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let schema = Schema::new_with_metadata(batch.schema().fields().clone(), HashMap::from(metadata));
        let batch = RecordBatch::try_new(Arc::new(schema), batch.columns().to_vec()).unwrap();
        write(&folder.path().join(name), &batch);
    }
    let run = ok(folder.path(), &["run", "--in", "*.parquet", "--select", "id", "--out", "out"]);
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("none of it: made"), "{}", run.stderr);
    let metadata = read(&folder.path().join("out")).schema().metadata().clone();
    assert_eq!(metadata, HashMap::from([("origin".to_owned(), "a test".to_owned())]));
}

#[test]
fn compression_and_row_group_options_are_applied() {
    let folder = tempdir().unwrap();
    ok(folder.path(), &["generate", "--rows", "10000", "--out", "in.parquet"]);
    for compression in ["none", "snappy", "lz4", "zstd"] {
        let out = format!("{compression}.parquet");
        ok(
            folder.path(),
            &[
                "run",
                "--in",
                "in.parquet",
                "--select",
                "*",
                "--out",
                &out,
                "--compression",
                compression,
                "--row-group-rows",
                "3000",
                "--threads",
                "1",
            ],
        );
        let file = File::open(folder.path().join(&out)).unwrap();
        let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone();
        let rows: Vec<_> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(rows, [3000, 3000, 3000, 1000]);
        let codec = metadata.row_group(0).column(1).compression().to_string().to_lowercase();
        let expected = if compression == "none" { "uncompressed" } else { compression };
        assert!(codec.starts_with(expected), "{codec}");
        assert_eq!(read(&folder.path().join(&out)), read(&folder.path().join("in.parquet")));
    }
}

#[test]
fn an_output_is_replaced_only_with_overwrite_and_after_success() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "100", "--out", "in.parquet"]);
    for out in ["out", "out.parquet"] {
        let run = ["run", "--in", "in.parquet", "--select", "id", "--out", out];
        ok(at, &run);
        expect_failure(at, &run, 1, &["exists already", "--overwrite"]);

        // A failed run leaves the old output unchanged.
        let failing = [
            "run",
            "--in",
            "in.parquet",
            "--select",
            "CAST(concat('x', id) AS INT) AS n",
            "--out",
            out,
            "--overwrite",
        ];
        expect_failure(at, &failing, 1, &[]);
        assert_eq!(read(&at.join(out)).num_columns(), 1);
        assert_eq!(read(&at.join(out)).schema().field(0).name(), "id");

        ok(at, &["run", "--in", "in.parquet", "--select", "x, y", "--out", out, "--overwrite"]);
        assert_eq!(read(&at.join(out)).num_columns(), 2);
        // The output can be the input.
        ok(at, &["run", "--in", out, "--select", "x + 1 AS x", "--out", out, "--overwrite"]);
        assert_eq!(read(&at.join(out)).column(0).as_primitive::<Float64Type>().value(0), 2.0);
    }
    assert_eq!(entries(at), ["in.parquet", "out", "out.parquet"]);

    // Folders with other files are not replaced.
    std::fs::write(at.join("out/notes.txt"), "mine").unwrap();
    expect_failure(
        at,
        &["run", "--in", "in.parquet", "--select", "x", "--out", "out", "--overwrite"],
        1,
        &["notes.txt"],
    );
    expect_failure(
        at,
        &["run", "--in", "in.parquet", "--select", "x", "--out", ".", "--overwrite"],
        1,
        &["not replaced"],
    );
    assert_eq!(std::fs::read_to_string(at.join("out/notes.txt")).unwrap(), "mine");
}

#[test]
fn errors_name_invalid_input() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "1000", "--files", "2", "--out", "in"]);
    write(&at.join("text.parquet"), &sample(10));
    std::fs::write(at.join("junk.parquet"), "PAR1 but nothing more").unwrap();
    let first = at.join("in").join(&entries(&at.join("in"))[0]);
    let whole = std::fs::read(&first).unwrap();
    std::fs::write(at.join("short.parquet"), &whole[..whole.len() / 2]).unwrap();
    std::fs::create_dir(at.join("mixed")).unwrap();
    std::fs::copy(&first, at.join("mixed/a.parquet")).unwrap();
    std::fs::copy(at.join("text.parquet"), at.join("mixed/b.parquet")).unwrap();
    std::fs::create_dir(at.join("empty")).unwrap();
    let run = |input: &str, select: &str, out: &str, words: &[&str]| {
        expect_failure(at, &["run", "--in", input, "--select", select, "--out", out], 1, words);
    };
    run("missing.parquet", "x", "out", &["no file or folder 'missing.parquet'"]);
    run("nothing/*.parquet", "x", "out", &["no file matches 'nothing/*.parquet'"]);
    run("empty", "x", "out", &["no file with the extension .parquet in the folder 'empty'"]);
    run("junk.parquet", "x", "out", &["cannot read as Parquet 'junk.parquet'"]);
    run("short.parquet", "x", "out", &["cannot read as Parquet 'short.parquet'"]);
    run("mixed", "id", "out", &["different columns", "column 2", "mixed/a.parquet", "mixed/b.parquet"]);
    run("in", "log3(x, y, w) AS r", "out", &["no column 'w'", "id, x, y, z"]);
    run("text.parquet", "log3(x, y, name) AS r", "out", &["argument z is Utf8"]);
    run("in", "log3(x, y) AS r", "out", &["log3 takes 3 arguments"]);
    run("in", "x +", "out", &["line 1"]);
    run("in", "x", "no/such/folder", &["no folder 'no/such'"]);
    run("in", "x", "text.parquet", &["exists already"]);
    expect_failure(
        at,
        &["generate", "--rows", "10", "--files", "20", "--out", "g"],
        1,
        &["10 rows do not fill 20 files"],
    );
    expect_failure(
        at,
        &["generate", "--rows", "10", "--files", "2", "--out", "g.parquet"],
        1,
        &["name a folder"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_leaves_no_files() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::create_dir(at.join("small")).unwrap();
    let small = at.join("small");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&small)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        common::skipped("a small file system cannot be mounted here");
        return;
    }
    ok(at, &["generate", "--rows", "300000", "--out", "in.parquet"]);
    let check = std::panic::catch_unwind(|| {
        for out in ["small/out", "small/out.parquet"] {
            expect_failure(
                at,
                &["run", "--in", "in.parquet", "--select", "x, y", "--out", out],
                1,
                &["No space left"],
            );
            expect_failure(at, &["generate", "--rows", "300000", "--out", out], 1, &["No space left"]);
            assert_eq!(entries(&small), Vec::<String>::new());
        }
        let csv =
            ["sql", "-q", "SELECT * FROM generate_rows(300000)", "--format", "csv", "--out", "small/out.csv"];
        expect_failure(at, &csv, 1, &["No space left", "small/out.csv"]);
        assert_eq!(entries(&small), Vec::<String>::new());
    });
    assert!(std::process::Command::new("umount").arg(&small).status().unwrap().success());
    check.unwrap();
}

#[test]
fn a_memory_limit_reduces_the_size_of_row_groups() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "400000", "--out", "in.parquet", "--distribution", "uniform"]);
    ok(at, &["run", "--in", "in.parquet", "--select", "*", "--out", "out.parquet", "--memory-limit", "2MiB"]);
    let file = File::open(at.join("out.parquet")).unwrap();
    let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone();
    assert!(metadata.num_row_groups() > 2, "{} row groups", metadata.num_row_groups());
    assert_eq!(read(&at.join("out.parquet")), read(&at.join("in.parquet")));
}

#[test]
fn generated_files_do_not_depend_on_the_number_of_threads() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for distribution in ["sequence", "uniform"] {
        for threads in ["1", "2", "5"] {
            let common = [
                "--rows",
                "100000",
                "--row-group-rows",
                "7000",
                "--distribution",
                distribution,
                "--seed",
                "9",
            ];
            let file = format!("{distribution}{threads}.parquet");
            let dir = format!("{distribution}{threads}");
            ok(at, &[&["generate", "--threads", threads, "--out", &file], &common[..]].concat());
            ok(
                at,
                &[&["generate", "--threads", threads, "--out", &dir, "--files", "3"], &common[..]].concat(),
            );
            let first = |name: &str| std::fs::read(at.join(name)).unwrap();
            assert!(first(&file) == first(&format!("{distribution}1.parquet")), "{file}");
            // The names differ from run to run, but sort by number.
            let [parts, of_one_thread] =
                [&dir, &format!("{distribution}1")].map(|folder| entries(&at.join(folder)));
            assert_eq!(parts.len(), 3);
            for (part, other) in parts.iter().zip(&of_one_thread) {
                assert!(
                    first(&format!("{dir}/{part}")) == first(&format!("{distribution}1/{other}")),
                    "{dir}/{part}"
                );
            }
            // Rows are the same in one file and in three.
            assert_eq!(read(&at.join(&file)), read(&at.join(&dir)));
        }
    }
    let rows = read(&at.join("sequence1.parquet"));
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values()[99_999], 99_999);
    assert_eq!(rows.column(3).as_primitive::<Float64Type>().values()[99_999], 100_000.0);
}

/// Queries a damaged copy of `datasets/checksums.parquet`. The Parquet library panics on some damage; the query runs in
/// a task, as in the command, so that a panic is an error.
fn run_damaged(bytes: &[u8]) -> datafusion::error::Result<Vec<RecordBatch>> {
    query_damaged(bytes, false)
}

/// [`run_damaged`], with the table registered as files or by a SQL statement.
fn query_damaged(bytes: &[u8], by_statement: bool) -> datafusion::error::Result<Vec<RecordBatch>> {
    let folder = tempdir()?;
    let file = folder.path().join("in.parquet");
    std::fs::write(&file, bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let query = async move {
        let session = warpframe::Session::new()?;
        let name = file.to_string_lossy();
        if by_statement {
            let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{name}'");
            session.sql(&create).await?.collect().await?;
        } else {
            session.register_files("t", &name).await?;
        }
        let query = session.sql("SELECT id, x, log3(x, y, z) AS r FROM t ORDER BY id").await?;
        query.collect().await
    };
    runtime.block_on(async {
        let query = tokio::time::timeout(std::time::Duration::from_secs(60), runtime.spawn(query)).await;
        query
            .expect("reading a damaged file hangs")
            .map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_file_is_an_error(kept in 0.0f64..1.0) {
        let whole = checksums();
        let kept = (whole.len() as f64 * kept) as usize;
        prop_assert!(run_damaged(&whole[..kept]).is_err());
    }

    // The pages of the file have checksums; Parquet has none for the footer.
    #[test]
    fn a_flipped_bit_in_a_page_is_an_error_or_changes_nothing(place in 0.0f64..1.0, bit in 0u32..8) {
        let whole = checksums();
        let footer = u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap()) as usize;
        let pages = whole.len() - 8 - footer;
        let mut damaged = whole.clone();
        damaged[(pages as f64 * place) as usize] ^= 1 << bit;
        if let Ok(rows) = run_damaged(&damaged) {
            prop_assert_eq!(rows, run_damaged(&whole).unwrap());
        }
    }

    #[test]
    fn a_flipped_bit_in_the_footer_neither_panics_nor_hangs(place in 0.0f64..1.0, bit in 0u32..8) {
        let mut damaged = checksums();
        let footer = u32::from_le_bytes(damaged[damaged.len() - 8..damaged.len() - 4].try_into().unwrap()) as usize;
        let start = damaged.len() - 8 - footer;
        let index = start + ((damaged.len() - start) as f64 * place) as usize;
        damaged[index] ^= 1 << bit;
        let panicked = matches!(run_damaged(&damaged), Err(DataFusionError::ExecutionJoin(_)));
        prop_assert!(!panicked);
    }
}

#[test]
fn conditions_with_subqueries_keep_the_order_of_rows() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let plan = runtime.block_on(async {
        let session = warpframe::Session::builder().threads(4.try_into().unwrap()).build().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/checksums.parquet");
        for name in ["t", "few"] {
            session.register_files(name, &file.to_string_lossy()).await.unwrap();
        }
        let query = "SELECT id FROM t WHERE id IN (SELECT id FROM few WHERE x > 3) OR id >= 90";
        let (plan, _) = warpframe::batch::plan_in_order(session.sql(query).await.unwrap()).await.unwrap();
        datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string()
    });
    assert!(plan.contains("Join"), "choose another query: {plan}");
    assert!(!plan.contains("RepartitionExec") && !plan.contains("CoalescePartitionsExec"), "{plan}");
}

// The Parquet library computes the start of a footer of any length without a check.
#[test]
fn a_wrong_length_of_the_footer_is_an_error() {
    for place in 1..=8 {
        for bit in 0..8 {
            let mut damaged = checksums();
            let index = damaged.len() - place;
            damaged[index] ^= 1 << bit;
            for by_statement in [false, true] {
                let error = query_damaged(&damaged, by_statement).expect_err("the footer is damaged");
                assert!(
                    !matches!(error, DataFusionError::ExecutionJoin(_)),
                    "byte -{place}, bit {bit}: {error}"
                );
            }
        }
    }
}

// The flipped bit changes the encoding in a page header from plain values to indices of a dictionary that is missing. The
// Parquet library panics.
#[test]
fn a_panic_of_the_parquet_library_is_an_error_and_leaves_no_files() {
    let mut damaged = checksums();
    damaged[6470] ^= 1 << 2;
    let error = run_damaged(&damaged).unwrap_err();
    assert!(error.to_string().contains("in.parquet': it is damaged (Decoder for dict"), "{error}");
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("in.parquet"), damaged).unwrap();
    let arguments = ["run", "--in", "in.parquet", "--select", "*", "--out", "out.parquet"];
    let words = ["cannot read 'in.parquet': it is damaged", "Decoder for dict"];
    expect_failure(folder.path(), &arguments, 1, &words);
}

fn checksums() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/checksums.parquet")).unwrap()
}
