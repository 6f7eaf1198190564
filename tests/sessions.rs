//! Sessions over contexts, configurations and runtime environments of other applications, functions that are made in Rust,
//! batch runs, private copies of sessions, headings of columns, `EXPLAIN` of planned queries, and error texts.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::{AsArray, Float32Array, Float64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::pretty::pretty_format_batches;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryLimit as PoolLimit, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions::expr_fn::{power, sqrt};
use datafusion::logical_expr::{ColumnarValue, Volatility, cast, create_udf};
use datafusion::object_store::ObjectStoreExt;
use datafusion::object_store::memory::InMemory;
use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
use warpframe::Session;
use warpframe::batch::BatchStep;
use warpframe::error_location::ErrorLocator;
use warpframe::error_text::{root_message, with_position};
use warpframe::evaluation_error::{EvaluationError, EvaluationErrorKind};
use warpframe::functions::Parameter;
use warpframe::memory::SharedPool;
use warpframe::options::WarpframeOptions;

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
    let run_to = |output: &str| {
        let run = session.batch_run().input(data.display().to_string());
        run.select("half(x) AS h").filter("id > 90").output(path(output))
    };
    assert_eq!(run_to("out.parquet").run().await.unwrap().rows, 10);
    assert_eq!(number(&session, "SELECT a FROM input").await, 1);
    // A session of its own does not have the function.
    let other = Session::new().unwrap();
    let run =
        other.batch_run().input(data.display().to_string()).select("half(x)").output(path("other.parquet"));
    let failed = run.run().await.unwrap_err();
    assert_eq!(failed.step, BatchStep::Plan);
    assert!(failed.to_string().contains("half"), "{failed}");

    let from = session.batch_run().input(path("none.parquet").display().to_string());
    for (run, step) in [
        (from.output(path("a.parquet")), BatchStep::Input),
        (run_to("b.parquet").init("NONSENSE"), BatchStep::Init),
        (run_to("c.parquet").select("nothing"), BatchStep::Plan),
        (run_to("out.parquet"), BatchStep::Output),
        (run_to("d.parquet").select("1 / (id - 95)"), BatchStep::Execute),
        (session.batch_run().output(path("e.parquet")), BatchStep::Input),
        (session.batch_run().input(data.display().to_string()), BatchStep::Output),
    ] {
        assert_eq!(run.run().await.unwrap_err().step, step);
    }
    // All columns by default, and an output that is replaced only on demand.
    let copy =
        session.batch_run().input(data.display().to_string()).output(path("out.parquet")).overwrite(true);
    assert_eq!(copy.run().await.unwrap().rows, 101);
    let read = format!("SELECT count(*) FROM '{}' WHERE x > 0", path("out.parquet").display());
    assert_eq!(number(&session, &read).await, 101);
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

/// The text of a physical plan.
async fn plan(context: &SessionContext, query: &str) -> String {
    let plan = context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

/// The numbers of the first row of a query's result.
async fn numbers(session: &Session, query: &str) -> Vec<f64> {
    let batches = session.sql(query).await.unwrap().collect().await.unwrap();
    let cast = |column| arrow::compute::cast(column, &DataType::Float64).unwrap();
    batches[0].columns().iter().map(|column| cast(column).as_primitive::<Float64Type>().value(0)).collect()
}

#[tokio::test]
async fn a_session_over_a_context_has_its_tables_functions_and_settings() {
    let config = SessionConfig::new().with_batch_size(77).with_target_partitions(3);
    let context = SessionContext::new_with_config(config);
    context.sql("CREATE TABLE t AS SELECT 4.0 AS a").await.unwrap();
    let twice = create_udf("twice", vec![DataType::Float64], DataType::Float64, Volatility::Immutable, {
        Arc::new(|arguments: &[ColumnarValue]| {
            let array = arguments[0].clone().into_array(1)?;
            let doubled: Float64Array = array.as_primitive::<Float64Type>().unary(|x| 2.0 * x);
            Ok(ColumnarValue::Array(Arc::new(doubled)))
        })
    });
    context.register_udf(twice);

    let session = Session::builder().context(&context).fuse(true).build().unwrap();
    let query = "SELECT twice(a) + log3(a, a, a) * 0 AS r FROM t";
    assert_eq!(numbers(&session, query).await, [8.0]);
    let settings = session.context().copied_config();
    assert_eq!((settings.batch_size(), settings.target_partitions()), (77, 3));
    let narrower = Session::builder().context(&context).threads(NonZeroUsize::MIN).build().unwrap();
    assert_eq!(narrower.context().copied_config().target_partitions(), 1);

    // Tables are seen on both sides, in the catalogs of the context, which the session leaves alone otherwise.
    session.run_script("CREATE TABLE u AS SELECT 1 AS a").await.unwrap();
    assert!(context.table_exist("u").unwrap());
    assert!(!context.table_exist("rows").unwrap());
    let fused = "SELECT sqrt(a * a + 1) * sin(a) AS r FROM t";
    assert!(plan(session.context(), fused).await.contains("fused("));
    assert!(!plan(&context, fused).await.contains("fused("));
    assert!(context.sql(query).await.is_err());
}

#[tokio::test]
async fn a_context_with_warpframe_is_refused() {
    let builder = SessionStateBuilder::new().with_default_features();
    let installed = SessionContext::new_with_state(warpframe::install(builder).build());
    for context in [&installed, Session::new().unwrap().context()] {
        let error = Session::builder().context(context).build().err().unwrap();
        assert!(error.to_string().contains("has warpframe already"), "{error}");
    }
}

#[tokio::test]
async fn options_in_a_configuration_stay_unless_the_builder_has_them() {
    let options = WarpframeOptions { fuse: false, backend: "interpreted".to_owned(), ..Default::default() };
    let config = SessionConfig::new().with_option_extension(options);
    let of = |session: &Session| WarpframeOptions::of(session.context().copied_config().options());
    let kept = of(&Session::builder().config(config.clone()).build().unwrap());
    assert_eq!((kept.fuse, kept.backend.as_str()), (false, "interpreted"));
    let changed = of(&Session::builder().config(config).backend("simd").fuse(true).build().unwrap());
    assert_eq!((changed.fuse, changed.backend.as_str()), (true, "simd"));
    // Without a default schema there is no place for the table `rows`.
    let bare = SessionConfig::new().with_create_default_catalog_and_schema(false);
    let session = Session::builder().config(bare).build().unwrap();
    assert_eq!(number(&session, "SELECT count(*) FROM generate_rows(10)").await, 10);
}

#[tokio::test]
async fn a_session_shares_the_pool_and_the_stores_of_a_runtime_environment() {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100 << 20));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool)).build_arc().unwrap();
    let store = Arc::new(InMemory::new());
    runtime.register_object_store(&"mem://data".parse().unwrap(), Arc::clone(&store) as _);
    for (name, text) in [("t/a.csv", "a\n1\n2\n"), ("t/_hidden.csv", "a\n100\n")] {
        store.put(&name.into(), text.into()).await.unwrap();
    }
    let session = Session::builder().runtime_env(Arc::clone(&runtime)).build().unwrap();
    session.register_files("t", "mem://data/t/").await.unwrap();
    assert_eq!(number(&session, "SELECT sum(a) FROM t").await, 3);
    // Not cached: what is added is seen.
    store.put(&"t/b.csv".into(), "a\n4\n".into()).await.unwrap();
    session.register_files("t", "mem://data/t/").await.unwrap();
    assert_eq!(number(&session, "SELECT sum(a) FROM t").await, 7);

    let pool_of = |session: &Session| Arc::clone(&session.context().runtime_env().memory_pool);
    assert!(Arc::ptr_eq(&pool_of(&session), &pool));
    let limited =
        Session::builder().runtime_env(Arc::clone(&runtime)).memory_limit(64 << 20).build().unwrap();
    assert!(matches!(pool_of(&limited).memory_limit(), PoolLimit::Finite(bytes) if bytes == 64 << 20));
    // A limit that a statement sets is one that operators share.
    session.run_script("SET datafusion.runtime.memory_limit = '50M'").await.unwrap();
    assert_eq!(pool_of(&session).name(), SharedPool::NAME);
    assert!(Arc::ptr_eq(&runtime.memory_pool, &pool));
}

#[tokio::test]
async fn functions_have_types_and_defaults() {
    let session = Session::new().unwrap();
    let exponent = Parameter::new("n", DataType::Int64).with_default(lit(2));
    let body = cast(power(col("a"), col("n")), DataType::Float32);
    let raised = session.create_function("raised", [Parameter::from("a"), exponent], body).unwrap();
    let query = "SELECT raised(3), raised(3, 4), raised(3, n => 1), raised(x, id) FROM rows WHERE id = 3";
    assert_eq!(numbers(&session, query).await, [9.0, 81.0, 3.0, 64.0]);
    let rows = session.context().table("rows").await.unwrap().limit(2, Some(1)).unwrap();
    let called = rows.select(vec![raised.call(vec![col("x")])]).unwrap().collect().await.unwrap();
    assert_eq!(called[0].column(0).as_ref(), &Float32Array::from(vec![9.0]));
    session.create_function("answer", Vec::<Parameter>::new(), lit(42)).unwrap();
    assert_eq!(numbers(&session, "SELECT answer()").await, [42.0]);

    let text = |name: &str| Parameter::new(name, DataType::Utf8);
    for (parameters, body, expected) in [
        (vec![Parameter::from("a"), "a".into()], col("a"), "two parameters are named a"),
        (
            vec![Parameter::from("a").with_default(lit(1)), "b".into()],
            col("a"),
            "the parameter b has no default and follows a, which has one",
        ),
        (vec![text("a")], sqrt(col("a")), "a"),
        (vec![Parameter::from("a").with_default(col("x"))], col("a"), "No field named x"),
        (vec!["a".into()], col("b"), "No field named b"),
    ] {
        let error = session.create_function("wrong", parameters, body).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = session.create_function("sqrt", ["a"], col("a")).unwrap_err();
    assert!(error.to_string().contains("built-in"), "{error}");
}

#[tokio::test]
async fn the_context_plans_functions_with_numbered_parameters() {
    let session = Session::new().unwrap();
    let context = session.context();
    context.sql("CREATE FUNCTION half(DOUBLE) RETURNS DOUBLE RETURN $1 / 2").await.unwrap();
    assert_eq!(numbers(&session, "SELECT half(3)").await, [1.5]);
    // DataFusion plans the body before it asks for the function: names of parameters are for `Session::sql`.
    let named = "CREATE FUNCTION third(a DOUBLE) RETURNS DOUBLE RETURN a / 3";
    assert!(context.sql(named).await.unwrap_err().to_string().contains("No field named a"));
    session.sql(named).await.unwrap();
    assert_eq!(numbers(&session, "SELECT third(3)").await, [1.0]);
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
