//! `SUMMARIZE`, and the functions of the footers of Parquet files.

use std::path::Path;

use tempfile::tempdir;

use crate::common::{expect_failure, ok};

fn csv(folder: &Path, query: &str) -> String {
    ok(folder, &["sql", query, "--format", "csv"]).stdout
}

#[test]
fn summarize_takes_tables_files_and_queries() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(
        at.join("My-Sales.csv"),
        "id,Amount,day\n1,2.5,2024-01-01\n2,,2024-01-03\n3,0.5,2024-01-02\n",
    )
    .unwrap();
    let header = "name,type,count,nulls,unique,min,max,mean,std,q25,q50,q75\n";
    let amount = "Amount,Float64,2,1,2,0.5,2.5,1.5,1.414,0.5,1.5,2.5\n";
    let all = format!(
        "{header}id,Int64,3,0,3,1,3,2.0,1.0,1,2,3\n{amount}\
         day,Date32,3,0,3,2024-01-01,2024-01-03,,,2024-01-01,2024-01-02,2024-01-03\n"
    );
    for target in
        ["'My-Sales.csv'", "SELECT * FROM 'My-Sales.csv'", "(FROM 'My-Sales.csv')", "FROM 'My-Sales.csv'"]
    {
        assert_eq!(csv(at, &format!("SUMMARIZE {target}")), all, "{target}");
    }
    for target in ["t", "\"t\"", "public.t", "WITH w AS (FROM t) SELECT * FROM w"] {
        let query = format!("CREATE TABLE t AS FROM 'My-Sales.csv'; summarize {target};");
        assert_eq!(csv(at, &query), all, "{target}");
    }
    // Columns in another case, and the functions of the rest of SQL.
    assert_eq!(csv(at, "SUMMARIZE SELECT amount FROM 'My-Sales.csv'"), format!("{header}{amount}"));
    let function = "SELECT name, \"nulls\" FROM Summarize('My-Sales.csv') WHERE \"nulls\" > 0";
    assert_eq!(csv(at, function), "name,nulls\nAmount,1\n");
    let function =
        "CREATE VIEW v AS FROM summarize((SELECT id + 1 AS i FROM 'My-Sales.csv')); SELECT max FROM v";
    assert_eq!(csv(at, function), "max\n4\n");
    ok(at, &["sql", "SUMMARIZE 'My-Sales.csv'", "--out", "summary.parquet"]);
    assert_eq!(csv(at, "SELECT count(*) AS n FROM 'summary.parquet'"), "n\n3\n");

    for (wrong, expected) in [
        ("SUMMARIZE", "found: EOF, at line 1, column 10"),
        ("SUMMARIZE nosuch", "table 'nosuch' not found"),
        (
            "SUMMARIZE SELECT nosuch FROM 'My-Sales.csv'",
            "there is no column 'nosuch': use one of id, \"Amount\", day",
        ),
        ("FROM summarize(1 + 1)", "summarize takes a table, a file or a query: use summarize(t)"),
        ("FROM summarize()", "summarize takes a table, a file or a query"),
        ("SUMMARIZE 'nosuch.csv'", "there is no file or folder 'nosuch.csv'"),
    ] {
        let expected = expected.replace("\"Amount\"", "Amount");
        expect_failure(at, &["sql", wrong], 1, &[&expected]);
    }
}

#[test]
fn a_summary_of_numbers_fits_a_terminal() {
    let folder = tempdir().unwrap();
    let table = ok(
        folder.path(),
        &[
            "sql",
            "SUMMARIZE FROM generate_rows(10000, 'uniform', 7) SELECT id % 100 AS store, \
        round(x / 10000, 1) AS price, id % 7 AS items, id % 3 = 0 AS paid",
        ],
    )
    .stdout;
    let widest = table.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|width| width <= 100), "{widest:?}\n{table}");
}

#[test]
fn one_pass_computes_all_statistics() {
    let folder = tempdir().unwrap();
    let plan =
        csv(folder.path(), "SET datafusion.explain.format = 'indent'; EXPLAIN SELECT * FROM summarize(rows)");
    // The table is read once.
    let physical = plan.split("physical_plan").nth(1).unwrap();
    assert_eq!(physical.matches("GenerateExec").count(), 1, "{plan}");
}

#[test]
fn footers_of_parquet_files_are_tables() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let rows = "SELECT id, 'name ' || id AS name, CAST(id AS DECIMAL(9,2)) AS price, \
                to_timestamp(id) AS at, [id, id + 1] AS list, {a: id} AS s FROM generate_rows(5)";
    let copy = format!(
        "COPY ({rows} ORDER BY id) TO 'data/a.parquet' STORED AS PARQUET OPTIONS ('format.max_row_group_size' 3, \
         'format.compression' 'zstd(3)'); COPY (SELECT 7 AS id) TO 'data/b.parquet'"
    );
    std::fs::create_dir(at.join("data")).unwrap();
    ok(at, &["sql", &copy]);
    let chunks = "SELECT row_group_id, row_group_num_rows, column_id, path_in_schema, type, num_values, stats_min, \
                  stats_max_value, stats_null_count, compression FROM parquet_metadata('data/a.parquet')";
    assert_eq!(
        csv(at, chunks),
        "row_group_id,row_group_num_rows,column_id,path_in_schema,type,num_values,stats_min,stats_max_value,\
         stats_null_count,compression\n\
         0,3,0,id,INT64,3,0,2,0,ZSTD\n\
         0,3,1,name,BYTE_ARRAY,3,name 0,name 2,0,ZSTD\n\
         0,3,2,price,INT32,3,0.00,2.00,0,ZSTD\n\
         0,3,3,at,INT64,3,1970-01-01T00:00:00,1970-01-01T00:00:02,0,ZSTD\n\
         0,3,4,list.list.item,INT64,6,0,3,0,ZSTD\n\
         0,3,5,s.a,INT64,3,0,2,0,ZSTD\n\
         1,2,0,id,INT64,2,3,4,0,ZSTD\n\
         1,2,1,name,BYTE_ARRAY,2,name 3,name 4,0,ZSTD\n\
         1,2,2,price,INT32,2,3.00,4.00,0,ZSTD\n\
         1,2,3,at,INT64,2,1970-01-01T00:00:03,1970-01-01T00:00:04,0,ZSTD\n\
         1,2,4,list.list.item,INT64,4,3,5,0,ZSTD\n\
         1,2,5,s.a,INT64,2,3,4,0,ZSTD\n"
    );
    // The sizes of all pages, and no more than the file.
    let size = std::fs::metadata(at.join("data/a.parquet")).unwrap().len();
    let sum = "SELECT sum(total_compressed_size) AS s, min(data_page_offset) AS o, min(encodings) AS e FROM \
               parquet_metadata('data/a.parquet')";
    let found = csv(at, sum);
    let values: Vec<_> = found.lines().nth(1).unwrap().splitn(3, ',').collect();
    let bytes: u64 = values[0].parse().unwrap();
    assert!(bytes > 500 && bytes < size, "{found} of {size}");
    assert!(values[1].parse::<u64>().unwrap() >= 4 && values[2].contains("PLAIN"), "{found}");

    let files =
        "SELECT filename, num_rows, num_row_groups, num_columns FROM parquet_file_metadata('data/*.parquet')";
    assert_eq!(
        csv(at, files),
        "filename,num_rows,num_row_groups,num_columns\ndata/a.parquet,5,2,6\ndata/b.parquet,1,1,1\n"
    );
    let bytes = "SELECT sum(file_size) AS s FROM parquet_file_metadata('data')";
    let others = std::fs::metadata(at.join("data/b.parquet")).unwrap().len();
    assert_eq!(csv(at, bytes), format!("s\n{}\n", size + others));

    let schema = "SELECT name, type, repetition_type, num_children, precision, scale FROM parquet_schema('data/a.parquet')";
    assert_eq!(
        csv(at, schema),
        "name,type,repetition_type,num_children,precision,scale\n\
         arrow_schema,,,6,,\n\
         id,INT64,REQUIRED,,,\n\
         name,BYTE_ARRAY,REQUIRED,,,\n\
         price,INT32,REQUIRED,,9,2\n\
         at,INT64,OPTIONAL,,,\n\
         list,,OPTIONAL,1,,\n\
         list,,REPEATED,1,,\n\
         item,INT64,OPTIONAL,,,\n\
         s,,OPTIONAL,1,,\n\
         a,INT64,OPTIONAL,,,\n"
    );
    let logical = "SELECT logical_type FROM parquet_schema('data/a.parquet') WHERE name = 'name'";
    assert_eq!(csv(at, logical), "logical_type\nString\n");

    std::fs::write(at.join("data/c.parquet"), "no Parquet file").unwrap();
    expect_failure(at, &["sql", "FROM parquet_metadata('data')"], 1, &["c.parquet"]);
    expect_failure(
        at,
        &["sql", "FROM parquet_schema(1)"],
        1,
        &["parquet_schema takes the path of files as a text: use parquet_schema('file.parquet')"],
    );
}
