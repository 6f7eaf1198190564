//! Parquet statistics do not cover NaN. Queries on files must give the results of the same queries on in-memory tables,
//! which have no statistics.

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Date32Array, Float16Array, Float32Array, Float64Array, Int64Array, ListArray,
    RecordBatch, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::prelude::ParquetReadOptions;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use tempfile::{TempDir, tempdir};
use warpframe::Session;
use warpframe::cluster::LocalCluster;

/// NaN with the sign bit set, the result of 0/0 on x86. It is less than all numbers in total order.
const NEGATIVE_NAN: f64 = f64::from_bits(0xfff8_0000_0000_0000);

/// The values of each row group of four rows: one constant and NaN, only NaN, nulls, and numbers without NaN.
const VALUES: [[Option<f64>; 4]; 8] = [
    [Some(1.0), Some(f64::NAN), Some(1.0), Some(1.0)],
    [Some(2.0), Some(2.0), Some(NEGATIVE_NAN), Some(2.0)],
    [Some(f64::NAN), Some(f64::NAN), Some(f64::NAN), Some(f64::NAN)],
    [None, Some(3.0), Some(f64::NAN), Some(3.0)],
    [None, None, None, None],
    [Some(-0.0), Some(0.0), Some(f64::INFINITY), Some(f64::NEG_INFINITY)],
    [Some(4.0), Some(4.5), Some(5.0), Some(5.5)],
    [Some(7.0), Some(7.0), Some(7.0), Some(7.0)],
];

/// Rows with the values in columns of each floating-point type, in a struct and in a list, and with integers and dates.
fn batch(first: i64, values: &[Option<f64>]) -> RecordBatch {
    let ids: Vec<i64> = (first..).take(values.len()).collect();
    let doubles: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    let halves = cast(&doubles, &DataType::Float16).unwrap();
    let field = Arc::new(Field::new("x", DataType::Float64, true));
    let inside = StructArray::from(vec![(field, Arc::clone(&doubles))]);
    let lists =
        ListArray::from_iter_primitive::<Float64Type, _, _>(values.iter().map(|value| Some([*value])));
    let columns: [(&str, ArrayRef); 7] = [
        ("id", Arc::new(Int64Array::from(ids.clone()))),
        ("day", Arc::new(Date32Array::from_iter_values(ids.iter().map(|id| *id as i32)))),
        ("d", Arc::clone(&doubles)),
        ("f", cast(&doubles, &DataType::Float32).unwrap()),
        ("h", halves),
        ("s", Arc::new(inside)),
        ("l", Arc::new(lists)),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    assert!(batch.column(3).as_any().is::<Float32Array>() && batch.column(4).as_any().is::<Float16Array>());
    batch
}

/// Writes files with two row groups of four rows each and with page statistics. Returns the rows of each file.
fn write(folder: &Path) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for (file, groups) in VALUES.chunks(2).enumerate() {
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(4))
            .set_data_page_row_count_limit(2)
            .set_write_batch_size(2)
            .set_statistics_enabled(EnabledStatistics::Page)
            .build();
        let rows = batch(file as i64 * 8, &groups.concat());
        let path = folder.join(format!("part-{file}.parquet"));
        let file = std::fs::File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        assert_eq!(writer.close().unwrap().num_row_groups(), groups.len());
        batches.push(rows);
    }
    batches
}

/// The result rows of a query as text, so that NaN equals itself.
async fn rows(session: &Session, query: &str) -> Vec<String> {
    let batches = session.sql(query).await.unwrap().collect().await.unwrap();
    let options = FormatOptions::new().with_null("null");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|row| {
            columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" ")
        }));
    }
    rows
}

/// Queries with a deterministic result; `{x}` is a floating-point column.
const QUERIES: [&str; 34] = [
    "SELECT id, {x} FROM t ORDER BY id",
    "SELECT id FROM t WHERE {x} > 2 ORDER BY id",
    "SELECT id FROM t WHERE {x} >= 2 ORDER BY id",
    "SELECT id FROM t WHERE {x} < 2 ORDER BY id",
    "SELECT id FROM t WHERE {x} <= 1 ORDER BY id",
    "SELECT id FROM t WHERE 6 < {x} ORDER BY id",
    "SELECT id FROM t WHERE {x} <> 1 ORDER BY id",
    "SELECT id FROM t WHERE {x} = 1 ORDER BY id",
    "SELECT id FROM t WHERE {x} = 0 ORDER BY id",
    "SELECT id FROM t WHERE NOT ({x} <= 2) ORDER BY id",
    "SELECT id FROM t WHERE NOT ({x} = 7) ORDER BY id",
    "SELECT id FROM t WHERE {x} IN (1, 3, 7) ORDER BY id",
    "SELECT id FROM t WHERE {x} NOT IN (1, 3, 7) ORDER BY id",
    "SELECT id FROM t WHERE {x} BETWEEN 1 AND 3 ORDER BY id",
    "SELECT id FROM t WHERE {x} NOT BETWEEN 1 AND 3 ORDER BY id",
    "SELECT id FROM t WHERE {x} > 2 AND {x} < 5 ORDER BY id",
    "SELECT id FROM t WHERE {x} > 2 OR id < 3 ORDER BY id",
    "SELECT id FROM t WHERE ({x} > 2 OR {x} = 1) AND id > 2 ORDER BY id",
    "SELECT id FROM t WHERE {x} > CAST('Infinity' AS DOUBLE) ORDER BY id",
    "SELECT id FROM t WHERE {x} = CAST('NaN' AS DOUBLE) ORDER BY id",
    "SELECT id FROM t WHERE {x} >= CAST('NaN' AS DOUBLE) ORDER BY id",
    "SELECT id FROM t WHERE {x} IS NULL ORDER BY id",
    "SELECT id FROM t WHERE {x} IS DISTINCT FROM 1 ORDER BY id",
    "SELECT id FROM t WHERE isnan({x}) ORDER BY id",
    "SELECT id FROM t WHERE CAST({x} AS VARCHAR) = 'NaN' ORDER BY id",
    "SELECT count(*) FROM t WHERE {x} > CAST('Infinity' AS DOUBLE)",
    // With a limit, row groups whose rows all meet the condition make the scan skip other row groups.
    "SELECT count(*) FROM (SELECT id FROM t WHERE {x} = 1 LIMIT 3)",
    "SELECT count(*) FROM (SELECT id FROM t WHERE {x} BETWEEN 2 AND 2 LIMIT 3)",
    "SELECT count(*), count({x}) FROM t",
    "SELECT min({x}), max({x}), sum({x}) FROM t WHERE id < 8",
    "SELECT min({x}), max({x}) FROM t",
    "SELECT min({x}), max({x}) FROM t WHERE id >= 24",
    "SELECT id, (SELECT max({x}) FROM t) FROM t WHERE {x} = (SELECT max({x}) FROM t) ORDER BY id",
    "SELECT a.id, b.id FROM t AS a JOIN t AS b ON a.{x} = b.{x} WHERE a.id IN (1, 3, 4, 29) ORDER BY a.id, b.id",
];

/// Queries with ties in their order, which select only the sort key.
const TOP: [&str; 5] = [
    "SELECT {x} FROM t ORDER BY {x} DESC NULLS LAST LIMIT 3",
    "SELECT {x} FROM t ORDER BY {x} DESC NULLS LAST LIMIT 12",
    "SELECT {x} FROM t ORDER BY {x} LIMIT 3",
    "SELECT {x} FROM t ORDER BY {x} DESC LIMIT 8",
    "SELECT {x} FROM t WHERE id > 7 ORDER BY {x} DESC NULLS LAST LIMIT 2",
];

const COLUMNS: [&str; 5] = ["d", "f", "h", "s['x']", "l[1]"];

/// A session with the rows in an in-memory table.
async fn in_memory(batches: &[RecordBatch]) -> Session {
    let session = Session::builder().threads(2.try_into().unwrap()).build().unwrap();
    let partitions = batches.iter().map(|batch| vec![batch.clone()]).collect();
    let table = MemTable::try_new(batches[0].schema(), partitions).unwrap();
    session.context().register_table("t", Arc::new(table)).unwrap();
    session
}

async fn set(session: &Session, setting: &str, value: &str) {
    session.sql(&format!("SET {setting} = {value}")).await.unwrap().collect().await.unwrap();
}

/// A folder with the files, and their rows.
fn data() -> (TempDir, Vec<RecordBatch>) {
    let folder = tempdir().unwrap();
    let batches = write(folder.path());
    (folder, batches)
}

/// The queries for a column.
fn queries(column: &str) -> Vec<String> {
    // DataFusion cannot join by `a.{x}` for struct fields and list elements.
    let joins = column.len() == 1;
    let queries = QUERIES.iter().chain(&TOP).filter(|query| joins || !query.contains("JOIN"));
    queries.map(|query| query.replace("{x}", column)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_give_the_results_of_in_memory_tables() {
    let (folder, batches) = data();
    let path = folder.path().to_str().unwrap();
    let memory = in_memory(&batches).await;
    for (threads, pushdown) in [(1, false), (2, false), (2, true)] {
        let files = Session::builder().threads(threads.try_into().unwrap()).build().unwrap();
        files.register_files("t", path).await.unwrap();
        set(&files, "datafusion.execution.parquet.pushdown_filters", &pushdown.to_string()).await;
        for query in COLUMNS.into_iter().flat_map(queries) {
            let expected = rows(&memory, &query).await;
            assert!(!expected.is_empty() || query.contains("l[1]") || query.contains("> CAST"), "{query}");
            assert_eq!(rows(&files, &query).await, expected, "{threads} {pushdown}: {query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datafusion_tables_give_the_results_of_in_memory_tables() {
    let (folder, batches) = data();
    let path = folder.path().to_str().unwrap();
    let memory = in_memory(&batches).await;
    let read = Session::builder().threads(2.try_into().unwrap()).build().unwrap();
    read.context().register_parquet("t", path, ParquetReadOptions::default()).await.unwrap();
    let created = Session::builder().threads(2.try_into().unwrap()).build().unwrap();
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{path}/'");
    created.sql(&create).await.unwrap().collect().await.unwrap();
    for query in queries("d") {
        let expected = rows(&memory, &query).await;
        assert_eq!(rows(&read, &query).await, expected, "{query}");
        assert_eq!(rows(&created, &query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_gives_the_results_of_in_memory_tables() {
    let (folder, batches) = data();
    let memory = in_memory(&batches).await;
    let cluster = LocalCluster::start_in_process(2.try_into().unwrap()).await.unwrap();
    let session = Session::builder().cluster(cluster.settings()).build().unwrap();
    session.register_files("t", folder.path().to_str().unwrap()).await.unwrap();
    for column in COLUMNS {
        for query in queries(column) {
            // Ballista cannot run the query with scalar subqueries, and serialized plans have Float32 literals in place
            // of Float16 ones.
            let unsupported = query.contains("(SELECT max") || (column == "h" && query.contains(" WHERE "));
            if !unsupported {
                assert_eq!(rows(&session, &query).await, rows(&memory, &query).await, "{query}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_do_not_prove_a_declared_order_of_files() {
    let folder = tempdir().unwrap();
    // Each file is in order, with NaN last.
    for (file, values) in [[1.0, 2.0, f64::NAN], [3.0, 4.0, 5.0]].into_iter().enumerate() {
        let rows = batch(file as i64 * 3, &values.map(Some));
        let target = std::fs::File::create(folder.path().join(format!("part-{file}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(target, rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
    }
    let path = folder.path().to_str().unwrap();
    for by_statistics in ["false", "true"] {
        let session = Session::builder().threads(1.try_into().unwrap()).build().unwrap();
        set(&session, "datafusion.execution.split_file_groups_by_statistics", by_statistics).await;
        let create =
            format!("CREATE EXTERNAL TABLE t STORED AS PARQUET WITH ORDER (d ASC) LOCATION '{path}/'");
        session.sql(&create).await.unwrap().collect().await.unwrap();
        for (query, expected) in [
            ("SELECT d FROM t ORDER BY d", &["1.0", "2.0", "3.0", "4.0", "5.0", "NaN"][..]),
            ("SELECT d FROM t ORDER BY d LIMIT 4", &["1.0", "2.0", "3.0", "4.0"]),
            ("SELECT d FROM t ORDER BY d DESC LIMIT 2", &["NaN", "5.0"]),
        ] {
            assert_eq!(rows(&session, query).await, expected, "{by_statistics}: {query}");
        }
    }
}

#[tokio::test]
async fn nan_can_be_a_partition_value() {
    let folder = tempdir().unwrap();
    for (id, value) in ["nan", "1.0", "2.50", "1e3", "1"].into_iter().enumerate() {
        let part = folder.path().join(format!("p={value}"));
        std::fs::create_dir(&part).unwrap();
        let rows = batch(id as i64, &[Some(0.0)]);
        let mut writer = ArrowWriter::try_new(
            std::fs::File::create(part.join("part.parquet")).unwrap(),
            rows.schema(),
            None,
        )
        .unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let session = Session::new().unwrap();
    let columns = "id BIGINT, day DATE, d DOUBLE";
    let create = format!(
        "CREATE EXTERNAL TABLE t ({columns}, p DOUBLE) STORED AS PARQUET PARTITIONED BY (p) LOCATION '{path}/'"
    );
    session.sql(&create).await.unwrap().collect().await.unwrap();
    for (query, expected) in [
        ("SELECT id, p FROM t ORDER BY id", &["0 NaN", "1 1.0", "2 2.5", "3 1000.0", "4 1.0"][..]),
        ("SELECT id FROM t WHERE p > 2 ORDER BY id", &["0", "2", "3"]),
        ("SELECT id FROM t WHERE p = 2.5", &["2"]),
        ("SELECT id FROM t WHERE 1 = p ORDER BY id", &["1", "4"]),
        ("SELECT id FROM t WHERE p = 1000 AND id > 2", &["3"]),
        ("SELECT id FROM t WHERE p IN (1, 1000) ORDER BY id", &["1", "3", "4"]),
        ("SELECT id FROM t WHERE p = CAST('NaN' AS DOUBLE)", &["0"]),
        ("SELECT id FROM t WHERE isnan(p)", &["0"]),
        ("SELECT min(p), max(p) FROM t", &["1.0 NaN"]),
        ("SELECT p FROM t ORDER BY p DESC LIMIT 1", &["NaN"]),
    ] {
        assert_eq!(rows(&session, query).await, expected, "{query}");
    }
}

/// The numbers of row groups before and after pruning by statistics, from `EXPLAIN ANALYZE`.
async fn row_groups(session: &Session, condition: &str) -> String {
    let query = format!("EXPLAIN ANALYZE SELECT * FROM t WHERE {condition}");
    let batches = session.sql(&query).await.unwrap().collect().await.unwrap();
    let plan: Vec<_> = batches.iter().flat_map(|batch| batch.column(1).as_string::<i32>().iter()).collect();
    let plan = plan.into_iter().flatten().collect::<Vec<_>>().join("\n");
    let found = plan.split("row_groups_pruned_statistics=").nth(1).unwrap();
    found.split([',', ']']).next().unwrap().split(" -> ").collect::<Vec<_>>().join(" -> ")
}

#[tokio::test]
async fn row_groups_are_pruned_if_nan_cannot_match() {
    let folder = tempdir().unwrap();
    let values: Vec<_> = (0..32).map(|row| Some(f64::from(row))).collect();
    let rows = batch(0, &values);
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(4)).build();
    let path = folder.path().join("t.parquet");
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    assert_eq!(writer.close().unwrap().num_row_groups(), 8);
    let session = Session::builder().threads(1.try_into().unwrap()).build().unwrap();
    session.register_files("t", path.to_str().unwrap()).await.unwrap();
    for (condition, matched) in [
        ("id > 27", 1),
        ("id <= 5", 2),
        ("id = 9 OR id = 30", 2),
        ("id <> 40", 8),
        ("id > 40", 0),
        ("day >= DATE '1970-01-29'", 1),
        ("d = 9", 1),
        ("f = 9", 1),
        ("h = 9", 1),
        ("9 = d", 1),
        ("d IN (9, 30)", 2),
        ("d BETWEEN 6 AND 9", 2),
        ("d >= 6 AND d < 8", 1),
        ("d = 9 OR id = 30", 2),
        ("d > 27 AND id < 8", 2),
        // NaN of one sign or the other meets these conditions.
        ("d > 27", 8),
        ("d < 4", 8),
        ("d <> 9", 8),
        ("NOT (d = 9)", 8),
        ("d + 1 > 27", 8),
        ("d > 27 OR id < 4", 8),
    ] {
        let found = row_groups(&session, condition).await;
        let expected = [format!("8 total → {matched} matched"), format!("{matched} matched")];
        assert!(expected.iter().any(|expected| found.contains(expected)), "{condition}: {found}");
    }
}

#[test]
fn commands_preserve_nan() {
    let (data, batches) = data();
    let path = data.path().to_str().unwrap();
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let copy = ["run", "--in", path, "--select", "*, d * 1.0 AS fused", "--out", "copy.parquet"];
    common::ok(folder, &copy);
    let columns = "id, d, f, CAST(h AS DOUBLE) AS h, s['x'] AS x";
    let select = |table: &str, columns: &str| {
        let query = format!("SELECT {columns} FROM t ORDER BY id");
        common::ok(folder, &["sql", "--table", table, "--format", "csv", "-q", &query]).stdout
    };
    let written = select(&format!("t={path}"), columns);
    assert_eq!(written.matches("NaN").count(), 4 * 7, "{written}");
    assert_eq!(select("t=copy.parquet", columns), written);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(select("t=copy.parquet", "id, fused").matches("NaN").count(), 7);
    assert_eq!(written.lines().count(), rows + 1);
    let kept = ["run", "--in", path, "--where", "d > 6", "--select", "id, d", "--out", "kept.parquet"];
    common::ok(folder, &kept);
    assert_eq!(select("t=kept.parquet", "d").matches("NaN").count(), 6);
}
