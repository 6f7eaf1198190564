//! Runs in a session that exists, private copies of sessions, `EXPLAIN` and statistics of planned queries, and errors.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use warpframe::Session;
use warpframe::batch::{BatchError, BatchRun, BatchStep};
use warpframe::error_location::ErrorLocator;
use warpframe::error_text::{root_message, with_position};
use warpframe::evaluation_error::{EvaluationError, EvaluationErrorKind};
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
        inputs: vec![data.display().to_string()],
        input_options: Default::default(),
        init: None,
        select: "half(x) AS h".to_owned(),
        filter: Some("id > 90".to_owned()),
        output: path("out.parquet"),
        output_format: None,
        partition_by: Vec::new(),
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
        (
            BatchRun { inputs: vec![path("none.parquet").display().to_string()], ..to("a.parquet") },
            BatchStep::Input,
        ),
        (BatchRun { init: Some("NONSENSE".to_owned()), ..to("b.parquet") }, BatchStep::Init),
        (BatchRun { select: "nothing".to_owned(), ..to("c.parquet") }, BatchStep::Plan),
        (run.clone(), BatchStep::Output),
        (BatchRun { select: "1 / (id - 95)".to_owned(), ..to("d.parquet") }, BatchStep::Execute),
    ] {
        assert_eq!(in_session(run).await.unwrap_err().step, step);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
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
        let keyword = if verbose { "VERBOSE" } else { "" };
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

#[tokio::test]
async fn a_dataframe_is_summarized_as_by_sql() {
    let session = Session::new().unwrap();
    let query = "SELECT id, id % 7 AS r, CAST(id AS VARCHAR) AS t FROM generate_rows(1000)";
    let summary = session.summarize(session.sql(query).await.unwrap()).unwrap();
    let found = pretty_format_batches(&summary.collect().await.unwrap()).unwrap().to_string();
    assert!(found.contains("| r    | Int64    | 1000  | 0     | 7      | 0   | 6   | 2.997 |"), "{found}");
    let by_sql = session.sql(&format!("SUMMARIZE {query}")).await.unwrap().collect().await.unwrap();
    assert_eq!(found, pretty_format_batches(&by_sql).unwrap().to_string());
}

#[tokio::test]
async fn the_error_of_a_query_can_be_located() {
    let session = Session::new().unwrap();
    let query = session.sql("SELECT 7 / (id - 5) AS q, id / 2 AS h FROM rows").await.unwrap();
    let locator = ErrorLocator::of(&query);
    let error = locator.locate(query.collect().await.unwrap_err());
    let located = EvaluationError::of(&error).unwrap();
    assert_eq!(located.kind, EvaluationErrorKind::DivideByZero);
    assert_eq!(located.expressions, ["7 / (id - 5)"]);
    assert_eq!(root_message(&error), "division by zero, in 7 / (id - 5)");
    // Other errors stay as they are.
    let missing = session.sql("SELECT nosuch FROM rows").await.unwrap_err().to_string();
    let error = session.sql("SELECT nosuch FROM rows").await.unwrap_err();
    assert_eq!(locator.locate(error).to_string(), missing);
}
