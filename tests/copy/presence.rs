//! A table whose file or folder was removed is an error, and an empty folder is not.

use std::fs;

use tempfile::tempdir;
use warpframe::Session;

use super::common::ok;
use super::common::store::Store;

async fn count(session: &Session, table: &str) -> Result<String, String> {
    let rows = session.sql(&format!("SELECT count(*) AS n FROM {table}")).await.unwrap().collect().await;
    let rows = rows.map_err(|error| error.find_root().to_string())?;
    Ok(arrow::util::pretty::pretty_format_columns("n", &[rows[0].column(0).clone()]).unwrap().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_file_or_folder_is_an_error() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let session = Session::new().unwrap();
    let mut tables = Vec::new();
    for (format, extension) in super::formats::FORMATS {
        for (name, location) in [("file", format!("{format}.{extension}")), ("folder", format!("{format}/"))]
        {
            let at = folder.join(location);
            let at = at.to_str().unwrap();
            let copy = format!("COPY (SELECT 1 AS a) TO '{at}' STORED AS {format}");
            let table = format!("{format}_{name}");
            let create = format!("CREATE EXTERNAL TABLE {table} STORED AS {format} LOCATION '{at}'");
            session.run_script(&format!("{copy}; {create}")).await.unwrap();
            tables.push((table, at.to_owned()));
            if format != "JSON" {
                let table = format!("opened_{format}_{name}");
                session.register_files(&table, at).await.unwrap();
                tables.push((table, at.to_owned()));
            }
        }
    }
    // One of two files.
    fs::create_dir(folder.join("two")).unwrap();
    for file in ["a.csv", "b.csv"] {
        fs::write(folder.join("two").join(file), "a\n1\n").unwrap();
    }
    session.register_files("two", folder.join("two").to_str().unwrap()).await.unwrap();
    tables.push(("two".to_owned(), folder.join("two/b.csv").display().to_string()));
    for (table, _) in &tables {
        count(&session, table).await.unwrap();
    }
    for (_, at) in &tables {
        let _ = fs::remove_dir_all(at).or_else(|_| fs::remove_file(at));
    }
    for (table, at) in &tables {
        let error = count(&session, table).await.expect_err(table);
        assert!(
            error.contains("there is no file or folder") && error.contains(at.trim_end_matches('/')),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_has_no_rows_and_a_missing_one_appears_with_the_first_rows() {
    let folder = tempdir().unwrap();
    let session = Session::new().unwrap();
    let location = folder.path().join("t");
    let create =
        format!("CREATE EXTERNAL TABLE t (a BIGINT) STORED AS CSV LOCATION '{}/'", location.display());
    session.run_script(&create).await.unwrap();
    assert!(count(&session, "t").await.is_err());
    session.run_script("INSERT INTO t VALUES (1)").await.unwrap();
    assert!(count(&session, "t").await.unwrap().contains("| 1 |"));
    for file in fs::read_dir(&location).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert!(count(&session, "t").await.unwrap().contains("| 0 |"));
}

#[test]
fn removed_objects_are_an_error() {
    let Some(store) = Store::start() else { return };
    let folder = tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &["generate", "--rows", "3", "--out", "local.parquet"]);
    for (location, query) in [("x.csv", "SELECT * FROM t"), ("d/", "SELECT * FROM t")] {
        let create =
            format!("CREATE EXTERNAL TABLE t (a BIGINT) STORED AS CSV LOCATION 's3://rows/{location}'");
        store.expect_failure(folder, &["sql", "-q", &format!("{create}; {query}")], "there is no object");
    }
    store.put("x.csv", "a\n1\n");
    store.put("d/x.csv", "a\n1\n");
    for location in ["x.csv", "d/"] {
        let create =
            format!("CREATE EXTERNAL TABLE t (a BIGINT) STORED AS CSV LOCATION 's3://rows/{location}'");
        let rows = store.ok(folder, &["sql", "--format", "csv", "-q", &format!("{create}; SELECT * FROM t")]);
        assert_eq!(rows, "a\n1\n");
    }
}
