//! Runs in a session that exists, private copies of sessions, headings of columns, `EXPLAIN` of planned queries, and error texts.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use warpframe::Session;
use warpframe::batch::{BatchError, BatchRun, BatchStep};
use warpframe::error_text::{root_message, with_position};
use warpframe::io::{WriteSummary, WriterSettings};

async fn number(session: &Session, query: &str) -> i64 {
    let batches = session.sql(query).await.unwrap().collect().await.unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn changes_of_a_private_copy_are_not_seen() {
    let session = Session::new().unwrap();
    session
        .run_script("CREATE TABLE t AS SELECT 1 AS a; CREATE SCHEMA s; CREATE TABLE s.u AS SELECT 2 AS a")
        .await
        .unwrap();
    let copy = session.private_copy().await.unwrap();
    assert_eq!(number(&copy, "SELECT a FROM s.u").await, 2);
    copy.run_script(
        "DROP TABLE s.u; DROP TABLE t; CREATE TABLE t AS SELECT 3 AS a; SET datafusion.execution.batch_size = 7;
         CREATE FUNCTION three() RETURNS BIGINT RETURN 3",
    )
    .await
    .unwrap();
    assert_eq!(number(&copy, "SELECT a + three() FROM t").await, 6);
    assert_eq!(number(&session, "SELECT t.a + u.a FROM t, s.u").await, 3);
    assert!(session.sql("SELECT three()").await.is_err());
    let batch_size = |session: &Session| session.context().state().config().batch_size();
    assert_eq!((batch_size(&copy), batch_size(&session)), (7, 8192));
}

#[tokio::test]
async fn a_run_in_a_session_says_which_step_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let session = Session::new().unwrap();
    let data = path("data.parquet");
    session
        .run_script(
            "CREATE FUNCTION half(a DOUBLE) RETURNS DOUBLE RETURN a / 2; CREATE TABLE input AS SELECT 1 AS a",
        )
        .await
        .unwrap();
    session
        .run_script(&format!("COPY (SELECT id, x FROM rows WHERE id <= 100) TO '{}'", data.display()))
        .await
        .unwrap();
    let run = BatchRun {
        input: data.display().to_string(),
        init: None,
        select: "half(x) AS h".to_owned(),
        filter: Some("id > 90".to_owned()),
        output: path("out.parquet"),
        overwrite: false,
        settings: WriterSettings::default(),
        threads: None,
        memory_limit: Default::default(),
        backend: "auto".to_owned(),
        cluster: None,
    };
    let in_session = async |run: BatchRun| -> Result<WriteSummary, BatchError> {
        run.run_in(&session, Arc::new(())).await
    };
    assert_eq!(in_session(run.clone()).await.unwrap().rows, 10);
    assert_eq!(number(&session, "SELECT a FROM input").await, 1);
    // A session of its own does not have the function.
    assert!(run.run(Arc::new(())).await.is_err());

    let to = |output: &str| BatchRun { output: path(output), ..run.clone() };
    for (run, step) in [
        (BatchRun { input: path("none.parquet").display().to_string(), ..to("a.parquet") }, BatchStep::Input),
        (BatchRun { init: Some("NONSENSE".to_owned()), ..to("b.parquet") }, BatchStep::Init),
        (BatchRun { select: "nothing".to_owned(), ..to("c.parquet") }, BatchStep::Plan),
        (run.clone(), BatchStep::Output),
        (BatchRun { select: "1 / (id - 95)".to_owned(), ..to("d.parquet") }, BatchStep::Execute),
    ] {
        assert_eq!(in_session(run).await.unwrap_err().step, step);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// The names of the columns of a query, whose rows can be computed.
async fn headings(session: &Session, query: &str) -> Result<Vec<String>, String> {
    let planned = session.sql(query).await.map_err(|error| error.to_string())?;
    let names: Vec<_> = planned.schema().fields().iter().map(|field| field.name().clone()).collect();
    for batch in planned.collect().await.map_err(|error| error.to_string())? {
        let of_rows: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(of_rows, names, "{query}");
    }
    Ok(names)
}

#[tokio::test]
async fn columns_are_headed_as_written() {
    let session = Session::new().unwrap();
    let tables = "CREATE TABLE t AS SELECT x, y, z, CAST(x AS BIGINT) AS k, make_array(1, 2) AS a FROM generate_rows(9);
                  CREATE TABLE \"Cased\" AS SELECT 1 AS \"Amount\"; CREATE TABLE total (n DOUBLE)";
    session.run_script(tables).await.unwrap();
    let mut wrong = Vec::new();
    for (query, expected) in [
        ("SELECT x+1, sum(log3(x, y, z)) FROM t GROUP BY x", &["x + 1", "sum(log3(x, y, z))"][..]),
        (
            "SELECT t.x, (y), k, 1, 'a', -x, true, NULL FROM t",
            &["x", "y", "k", "1", "'a'", "-x", "true", "NULL"],
        ),
        ("SELECT *, x * 2 FROM t", &["x", "y", "z", "k", "a", "x * 2"]),
        (
            "SELECT count(*), COUNT(DISTINCT k), t.x*2 FROM t GROUP BY t.x",
            &["count(*)", "COUNT(DISTINCT k)", "t.x * 2"],
        ),
        (
            "SELECT cast(x as int), x::int, case when x > 1 then 1 end, x between 1 and 2 FROM t",
            &["CAST(x AS INT)", "x::INT", "CASE WHEN x > 1 THEN 1 END", "x BETWEEN 1 AND 2"],
        ),
        // Clauses may repeat an expression, or name its column.
        ("SELECT x+1 FROM t GROUP BY x+1 ORDER BY x+1", &["x + 1"]),
        (
            "SELECT x+1, count(*) FROM t GROUP BY 1 HAVING count(*) > 0 ORDER BY 1, count(*)",
            &["x + 1", "count(*)"],
        ),
        ("SELECT x+1, count(*) FROM t GROUP BY \"x + 1\" ORDER BY \"x + 1\"", &["x + 1", "count(*)"]),
        ("SELECT DISTINCT k % 3 FROM t ORDER BY 1", &["k % 3"]),
        ("SELECT DISTINCT ON (k % 3) k % 3, x + 1 FROM t ORDER BY k % 3, x + 1", &["k % 3", "x + 1"]),
        (
            "SELECT k % 2, grouping(k % 2), sum(x) FROM t GROUP BY ROLLUP (k % 2)",
            &["k % 2", "grouping(k % 2)", "sum(x)"],
        ),
        ("SELECT k % 2, sum(x) FROM t GROUP BY ALL ORDER BY sum(x)", &["k % 2", "sum(x)"]),
        ("SELECT x FROM t ORDER BY y + 1", &["x"]),
        (
            "SELECT row_number() OVER (ORDER BY x), sum(x) OVER w FROM t WINDOW w AS (PARTITION BY k) ORDER BY x",
            &["row_number() OVER (ORDER BY x)", "sum(x) OVER w"],
        ),
        (
            "SELECT rank() OVER (ORDER BY x), x FROM t QUALIFY rank() OVER (ORDER BY x) < 3",
            &["rank() OVER (ORDER BY x)", "x"],
        ),
        // Equal expressions get distinct names.
        ("SELECT x+1, x + 1, x+1 FROM t", &["x + 1", "x + 1_1", "x + 1_2"]),
        (
            "SELECT x AS \"y + 1\", y+1, 1, \"1\" FROM (SELECT 1, x, y FROM t)",
            &["y + 1", "y + 1_1", "1_1", "1"],
        ),
        (
            "SELECT x, CAST(x AS DOUBLE), (SELECT max(x) FROM t) FROM t",
            &["x", "CAST(x AS DOUBLE)", "(SELECT max(x) FROM t)"],
        ),
        // Queries in FROM and WITH, set operations, views and tables.
        ("SELECT * FROM (SELECT x+1, sum(y) FROM t GROUP BY x+1)", &["x + 1", "sum(y)"]),
        ("SELECT s.\"x + 1\" * 2 FROM (SELECT x+1 FROM t) AS s", &["s.\"x + 1\" * 2"]),
        ("WITH c AS (SELECT x+1 FROM t) SELECT \"x + 1\" FROM c", &["x + 1"]),
        (
            "WITH RECURSIVE c AS (SELECT 1 UNION ALL SELECT \"1\" + 1 FROM c WHERE \"1\" < 3) SELECT * FROM c",
            &["1"],
        ),
        ("SELECT x+1 FROM t UNION ALL SELECT y FROM t", &["x + 1"]),
        ("SELECT x+1 FROM t UNION BY NAME SELECT x+1 FROM t AS u", &["x + 1"]),
        (
            "SELECT * FROM (SELECT count(*), k FROM t GROUP BY k) AS a NATURAL JOIN (SELECT k, count(*) FROM t GROUP BY k) AS b",
            &["count(*)", "k"],
        ),
        (
            "SELECT * FROM t AS o, LATERAL (SELECT sum(i.x) FROM t AS i WHERE i.k = o.k) AS l",
            &["x", "y", "z", "k", "a", "sum(i.x)"],
        ),
        ("CREATE VIEW v AS SELECT x+1 FROM t; SELECT * FROM v", &["x + 1"]),
        ("CREATE TABLE u AS SELECT x+1, x*2 FROM t; SELECT * FROM u", &["x + 1", "x * 2"]),
        ("INSERT INTO total SELECT sum(x+1) FROM t; SELECT n FROM total", &["n"]),
        ("PREPARE p AS SELECT x + $1 FROM t; EXECUTE p(1)", &["x + $1"]),
        // Subqueries of expressions, in which names are not seen.
        (
            "SELECT x FROM t WHERE x+1 IN (SELECT y+1 FROM t) AND EXISTS (SELECT u.x + 1 FROM t AS u WHERE u.x = t.x)",
            &["x"],
        ),
        (
            "SELECT (SELECT count(*) FROM t AS u WHERE u.k = t.k) FROM t",
            &["(SELECT count(*) FROM t AS u WHERE u.k = t.k)"],
        ),
        // A column in another case is found, and the heading is as written.
        ("SELECT amount + 1, Amount FROM \"Cased\"", &["amount + 1", "Amount"]),
        // unnest makes columns and rows.
        ("SELECT unnest(a), x+1 FROM t", &["unnest(a)", "x + 1"]),
        ("SELECT unnest(s), 2 FROM (SELECT named_struct('f', 1, 'g', x) AS s FROM t)", &["s.f", "s.g", "2"]),
        ("SELECT unnest(a) + 1 FROM t", &["unnest(a) + 1"]),
        // DataFusion's names can be used where these are meant.
        ("SELECT \"sum(t.x)\" FROM (SELECT sum(x) FROM t)", &["sum(t.x)"]),
        ("SELECT sum(x) FROM t ORDER BY \"sum(t.x)\"", &["sum(t.x)"]),
        ("SELECT * FROM (SELECT sum(x) FROM t), (SELECT sum(x) FROM t AS u)", &["sum(t.x)", "sum(u.x)"]),
    ] {
        let session = session.private_copy().await.unwrap();
        let (script, last) = query.rsplit_once("; ").unwrap_or(("", query));
        session.run_script(script).await.unwrap();
        match headings(&session, last).await {
            Ok(found) if found == expected => {}
            found => wrong.push(format!("{query}: {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The text of a view is that of the user.
    session.run_script("CREATE VIEW w AS SELECT x+1 FROM t").await.unwrap();
    let definition = "SELECT definition FROM information_schema.views WHERE table_name = 'w'";
    let batches = session.sql(definition).await.unwrap().collect().await.unwrap();
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "CREATE VIEW w AS SELECT x + 1 FROM t");
    // Errors are those of the query as it was written.
    for (query, error) in [
        ("SELECT x+1, nosuch+1 FROM t", "nosuch"),
        ("SELECT x+1, x FROM t GROUP BY x+1", "t.x"),
        ("SELECT x, x FROM t", "Projections require unique expression names"),
    ] {
        let found = session.sql(query).await.map(|_| ()).unwrap_err().to_string();
        assert!(found.contains(error) && !found.contains(" AS "), "{query}: {found}");
    }
    // A long expression has a long heading.
    let long = format!("SELECT x{} FROM t", " + x".repeat(10_000));
    let names = headings(&session, &long).await.unwrap();
    assert_eq!(names[0].len(), 1 + 4 * 10_000);
}

#[tokio::test]
async fn a_planned_query_is_explained_as_its_text_is() {
    let session = Session::new().unwrap();
    let query = "SELECT x + 1 AS r FROM rows";
    let texts = async |frame: datafusion::dataframe::DataFrame| -> Vec<String> {
        let batches = frame.collect().await.unwrap();
        batches
            .iter()
            .flat_map(|batch| batch.column(1).as_string::<i32>().iter().flatten().map(str::to_owned))
            .collect()
    };
    for verbose in [false, true] {
        let planned = session.sql(query).await.unwrap();
        let explained = texts(session.explain(planned, verbose, false).await.unwrap()).await;
        let keyword = if verbose { "VERBOSE" } else { "FORMAT INDENT" };
        let text = texts(session.sql(&format!("EXPLAIN {keyword} {query}")).await.unwrap()).await;
        assert_eq!(explained.len(), text.len());
        assert_eq!(explained.first(), text.first());
        assert_eq!(explained.last(), text.last());
        // Not worth fusing: only the verbose plan says so.
        assert_eq!(explained.len() > 10, verbose);
    }
    let planned = session.sql(query).await.unwrap();
    let analyzed = texts(session.explain(planned, false, true).await.unwrap()).await;
    assert!(analyzed.concat().contains("output_rows="), "{analyzed:?}");
}

#[tokio::test]
async fn errors_are_sentences_with_a_position() {
    let session = Session::new().unwrap();
    for (query, expected) in [
        (
            "SELECT\n  z9 FROM rows",
            "there is no column 'z9': use one of id, x, y, z, at line 2, column 3\n    z9 FROM rows\n    ^",
        ),
        (
            "SELECT 1 +",
            "Expected: an expression, found: EOF, at line 1, column 11\n  SELECT 1 +\n            ^",
        ),
    ] {
        let error = session.sql(query).await.unwrap_err();
        assert_eq!(with_position(root_message(&error), &error, query), expected);
    }
    for (query, expected) in [
        ("SELECT 1 / (id - 5) FROM rows", "division by zero"),
        ("SELECT CAST('a' AS BIGINT) + id FROM rows", "Cannot cast string 'a' to value of Int64 type"),
    ] {
        let failed = async { session.sql(query).await?.collect().await };
        assert_eq!(root_message(&failed.await.unwrap_err()), expected);
    }
}
