//! Folders that other tools have written: hidden files, and partitions in the names of folders.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use super::common::{expect_failure, ok};
use super::{query, session};

/// A file of three rows, `id` 0 to 2, at a path.
fn write_rows(folder: &Path, path: &str) {
    if let Some(parent) = Path::new(path).parent() {
        fs::create_dir_all(folder.join(parent)).unwrap();
    }
    ok(folder, &["generate", "--rows", "3", "--out", path, "--overwrite"]);
}

#[test]
fn hidden_files_are_no_data() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    write_rows(at, "d/part-0.parquet");
    write_rows(at, "d/_temporary/0/part-0.parquet");
    write_rows(at, "_real.parquet");
    for hidden in
        ["_SUCCESS", "_metadata", "_common_metadata", "._part-0.parquet", ".part-0.parquet.crc", "_x.parquet"]
    {
        fs::write(at.join("d").join(hidden), "no Parquet").unwrap();
    }
    fs::create_dir(at.join("c")).unwrap();
    fs::write(at.join("c/1.csv"), "id\n0\n1\n2\n").unwrap();
    fs::write(at.join("c/._1.csv"), "\0\0").unwrap();
    fs::write(at.join("c/.1.csv.crc"), "\0\0").unwrap();
    let count = |arguments: &[&str]| {
        let run = ok(at, &[&["sql", "--format", "csv"], arguments].concat());
        assert_eq!(run.stdout, "n\n3\n", "{arguments:?}");
    };
    let query = "SELECT count(*) AS n FROM t";
    for table in [
        "t=d",
        "t=d/",
        "t=d/*.parquet",
        "t=d/*",
        "t=*/p*.parquet",
        "t=c",
        "t=c/*.csv",
        "t=_real.parquet",
        "t=_*.parquet",
    ] {
        count(&["--table", table, "-q", query]);
    }
    for (kind, place) in [
        ("PARQUET", "d"),
        ("PARQUET", "d/*.parquet"),
        ("PARQUET", "_real.parquet"),
        ("CSV", "c/"),
        ("CSV", "c/*.csv"),
    ] {
        let place = if place == "d" { "d/" } else { place };
        count(&["-q", &format!("CREATE EXTERNAL TABLE t STORED AS {kind} LOCATION '{place}'; {query}")]);
    }
    count(&["-q", &format!("CREATE EXTERNAL TABLE t (id BIGINT) STORED AS PARQUET LOCATION 'd/'; {query}")]);
    for (input, out) in [("d", "1.parquet"), ("d/*.parquet", "2.parquet"), ("_real.parquet", "3.parquet")] {
        ok(at, &["run", "--in", input, "--select", "id", "--out", out]);
        count(&["--table", &format!("t={out}"), "-q", query]);
    }
    fs::create_dir(at.join("none")).unwrap();
    fs::write(at.join("none/_x.parquet"), "no Parquet").unwrap();
    expect_failure(
        at,
        &["run", "--in", "none", "--select", "id", "--out", "o"],
        1,
        &["there is no file with the extension .parquet, .pq, .csv"],
    );
    // A folder with other files is still not replaced.
    expect_failure(
        at,
        &["run", "--in", "d", "--select", "id", "--out", "d", "--overwrite"],
        1,
        &["not replaced"],
    );
}

#[tokio::test]
async fn partition_folders_are_typed_columns() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (month, day) in [
        ("01", "2024-01-05"),
        ("01", "2024-01-06"),
        ("12", "2024-12-01"),
        ("__HIVE_DEFAULT_PARTITION__", "2024-02-01"),
    ] {
        write_rows(at, &format!("p/city=a%3Ab/_month={month}/day={day}/x.parquet"));
        let csv = at.join(format!("c/m={month}/day={day}"));
        fs::create_dir_all(&csv).unwrap();
        fs::write(csv.join("x.csv"), "id,v\n0,\n1,1.5\n2,2\n").unwrap();
    }
    let path = |name: &str| at.join(name).to_string_lossy().into_owned();
    for way in ["register", "create", "glob"] {
        let session = session(3).await;
        match way {
            "register" => session.register_files("t", &path("p")).await.unwrap(),
            "glob" => session.register_files("t", &path("p/*/*/*/*.parquet")).await.unwrap(),
            _ => {
                let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}/'", path("p"));
                session.run_script(&create).await.unwrap();
            }
        }
        let check = async |text: &str, rows: &[&str]| {
            assert_eq!(query(&session, text).await.unwrap(), rows, "{way}: {text}");
        };
        check(
            "SELECT arrow_typeof(city), arrow_typeof(_month), arrow_typeof(day) FROM t LIMIT 1",
            &["Utf8,Int64,Date32"],
        )
        .await;
        check(
            "SELECT _month, count(*), sum(x) FROM t GROUP BY 1 ORDER BY 1",
            &["1,6,12.0", "12,3,6.0", "NULL,3,6.0"],
        )
        .await;
        check("SELECT count(*) FROM t WHERE _month = 1", &["6"]).await;
        check("SELECT count(*) FROM t WHERE _month > 1", &["3"]).await;
        check("SELECT count(*) FROM t WHERE _month IS NULL", &["3"]).await;
        check("SELECT count(*) FROM t WHERE _month + 0.5 < 2 AND x > 1", &["4"]).await;
        check("SELECT count(*) FROM t WHERE day = DATE '2024-01-06' AND city = 'a:b'", &["3"]).await;
        check("SELECT count(*) FROM t WHERE day > DATE '2025-01-06'", &["0"]).await;
        check("SELECT id, day FROM t WHERE _month = 12 ORDER BY id LIMIT 1", &["0,2024-12-01"]).await;
        let plan = query(&session, "EXPLAIN FORMAT INDENT SELECT id FROM t WHERE day = DATE '2024-01-06'")
            .await
            .unwrap()
            .join("\n");
        assert_eq!(plan.matches("x.parquet").count(), 1, "one file is read: {plan}");
    }
    let session = session(3).await;
    session.register_files("t", &path("c")).await.unwrap();
    let rows = query(
        &session,
        "SELECT m, sum(v), count(*) FROM t WHERE day < DATE '2024-12-01' GROUP BY m ORDER BY m",
    )
    .await;
    assert_eq!(rows.unwrap(), ["1,7.0,6", "NULL,3.5,3"]);

    // Declared types compare as values, too, and not as names of folders.
    let create = format!(
        "CREATE EXTERNAL TABLE d (id INT, v DOUBLE, m INT, day DATE) STORED AS CSV PARTITIONED BY (m, day) LOCATION '{}/'; \
         SELECT count(*) FROM d WHERE m = 1 AND v > 0",
        path("c")
    );
    fs::remove_dir_all(at.join("c/m=__HIVE_DEFAULT_PARTITION__")).unwrap();
    assert_eq!(query(&session, &create).await.unwrap(), ["4"]);
    assert_eq!(
        query(&session, "SELECT count(*) FROM d WHERE m = 1 AND day = DATE '2024-01-05'").await.unwrap(),
        ["3"]
    );
}

#[test]
fn a_run_reads_partition_folders_in_order() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for month in ["m=may", "m=01"] {
        write_rows(at, &format!("d/{month}/x.parquet"));
    }
    ok(
        at,
        &[
            "run",
            "--in",
            "d",
            "--select",
            "m, id",
            "--where",
            "id > 0",
            "--out",
            "out.parquet",
            "--threads",
            "3",
        ],
    );
    let rows =
        ok(at, &["sql", "--format", "csv", "--table", "t=out.parquet", "-q", "SELECT * FROM t"]).stdout;
    // One month is no number, so all are texts.
    assert_eq!(rows, "m,id\n01,1\n01,2\nmay,1\nmay,2\n");
    // The folder itself is no partition.
    ok(at, &["run", "--in", "d/m=01", "--select", "*", "--out", "one.parquet"]);
    let rows =
        ok(at, &["sql", "--format", "csv", "--table", "t=one.parquet", "-q", "SELECT * FROM t LIMIT 0"])
            .stdout;
    assert_eq!(rows, "id,x,y,z\n");

    write_rows(at, "d/n=1/x.parquet");
    expect_failure(
        at,
        &["run", "--in", "d", "--select", "id", "--out", "o"],
        1,
        &["different columns", "m in 'd/m=01/x.parquet'", "n in"],
    );
    fs::remove_dir_all(at.join("d/n=1")).unwrap();
    write_rows(at, "d/x.parquet");
    expect_failure(
        at,
        &["run", "--in", "d", "--select", "id", "--out", "o"],
        1,
        &["different columns", "none in 'd/x.parquet'"],
    );
    write_rows(at, "same/x=1/a.parquet");
    expect_failure(
        at,
        &["run", "--in", "same", "--select", "id", "--out", "o"],
        1,
        &["column 'x'", "both in the files and in the names"],
    );
}

#[tokio::test]
async fn a_query_reads_files_as_they_are_then() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("p/m=1")).unwrap();
    let session = session(2).await;
    for name in ["a.csv", "p/m=1/a.csv"] {
        fs::write(at.join(name), "id\n1\n").unwrap();
    }
    write_rows(at, "q/m=1/a.parquet");
    session.register_files("a", &at.join("a.csv").to_string_lossy()).await.unwrap();
    session.register_files("p", &at.join("p").to_string_lossy()).await.unwrap();
    session.register_files("q", &at.join("q").to_string_lossy()).await.unwrap();
    fs::create_dir(at.join("c")).unwrap();
    fs::write(at.join("c/a.csv"), "id\n1\n").unwrap();
    let create = format!("CREATE EXTERNAL TABLE c STORED AS CSV LOCATION '{}/c/'", at.display());
    session.run_script(&create).await.unwrap();
    let counts = "SELECT (SELECT count(*) FROM a) AS a, (SELECT count(*) FROM p) AS p, \
                  (SELECT count(*) FROM q) AS q, (SELECT count(*) FROM c) AS c";
    assert_eq!(query(&session, counts).await.unwrap(), ["1,1,3,1"]);
    for name in ["a.csv", "p/m=1/a.csv", "c/a.csv"] {
        fs::write(at.join(name), "id\n1\n2\n3\n4\n").unwrap();
    }
    fs::write(at.join("c/b.csv"), "id\n5\n").unwrap();
    ok(at, &["generate", "--rows", "9", "--out", "q/m=1/a.parquet", "--overwrite"]);
    assert_eq!(query(&session, counts).await.unwrap(), ["4,4,9,5"]);
    fs::remove_file(at.join("p/m=1/a.csv")).unwrap();
    assert!(query(&session, "SELECT count(*) FROM p").await.is_err());
}
