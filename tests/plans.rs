//! Snapshots of plans: fused functions, their backends, and DataFusion's own optimizations around them.

mod common;

use arrow::array::AsArray;
use insta::{Settings, assert_snapshot};
use tempfile::tempdir;
use warpframe::Session;

/// The optimized logical and the physical plan of a query.
async fn plan(session: &Session, query: &str) -> String {
    let batches = session.sql(&format!("EXPLAIN {query}")).await.unwrap().collect().await.unwrap();
    let plans = batches.iter().flat_map(|batch| batch.column(1).as_string::<i32>().iter().flatten());
    plans.map(str::to_owned).collect::<Vec<_>>().join("\n")
}

fn session(backend: &str) -> Session {
    let session = Session::builder().threads(2.try_into().unwrap()).backend(backend).build().unwrap();
    session.context().state_ref().write().config_mut().options_mut().explain.format =
        "indent".parse().unwrap();
    session
}

/// Runs assertions on snapshots with the machine-dependent parts of plans masked.
fn masked(check: impl FnOnce()) {
    let mut settings = Settings::clone_current();
    // Native code where this CPU has some.
    settings.add_filter(
        "(simd|native) (avx512|avx2|neon|portable)(: there is no native code for this instruction set)?",
        "<cpu>",
    );
    // The reason of `auto` not to use a GPU.
    settings.add_filter(r"; no GPU: [^\]]*", "");
    settings.add_filter(r"\{2 groups: .*?\]\]\}", "{files}");
    settings.add_filter(r"\{1 group: .*?\]\]\}", "{files}");
    settings.bind(check);
}

#[tokio::test]
async fn a_projection_shows_the_backend() {
    let simd = plan(&session("auto"), "SELECT log3(x, y, z) FROM rows").await;
    let interpreted = plan(&session("interpreted"), "SELECT log3(x, y, z) FROM rows").await;
    masked(|| {
        assert_snapshot!("projection_simd", simd);
        assert_snapshot!("projection_interpreted", interpreted);
    });
}

#[tokio::test]
async fn filters_aggregates_and_sorts_are_bound() {
    let query = "SELECT floor(log3(x, y, z)) AS r, sum(log3(x, y, z)) FROM rows \
                 WHERE log3(x, y, z) > 5 GROUP BY r ORDER BY max(log3(y, x, z))";
    let plan = plan(&session("auto"), query).await;
    masked(|| assert_snapshot!("everywhere", plan));
}

#[tokio::test]
async fn constants_are_folded() {
    let plan = plan(&session("auto"), "SELECT log3(1, 2, 3) + x FROM rows").await;
    masked(|| assert_snapshot!("constants", plan));
}

#[tokio::test]
async fn parquet_scans_keep_their_projection_and_pruning() {
    let folder = tempdir().unwrap();
    common::ok(folder.path(), &["generate", "--rows", "1000", "--out", "t.parquet"]);
    let session = session("auto");
    session.register_files("t", &folder.path().join("t.parquet").to_string_lossy()).await.unwrap();
    let plan = plan(&session, "SELECT id, log3(x, y, 2.0) AS r FROM t WHERE id > 990").await;
    masked(|| assert_snapshot!("parquet", plan));
}

#[tokio::test]
async fn fusion_preserves_pruning_pushdown_and_projection() {
    let folder = tempdir().unwrap();
    common::ok(folder.path(), &["generate", "--rows", "1000", "--out", "t.parquet"]);
    let session = session("auto");
    session.register_files("t", &folder.path().join("t.parquet").to_string_lossy()).await.unwrap();
    let query = "SELECT id, exp(-x) * y AS r FROM t WHERE x > 990 AND ln(y) * ln(y) < 50";
    let pruned = plan(&session, query).await;
    session.sql("SET datafusion.execution.parquet.pushdown_filters = true").await.unwrap();
    let pushed = plan(&session, query).await;
    masked(|| {
        assert_snapshot!("fused_parquet", pruned);
        assert_snapshot!("fused_parquet_pushdown", pushed);
    });
    let counts =
        session.sql(&format!("SELECT count(*) FROM ({query})")).await.unwrap().collect().await.unwrap();
    assert_eq!(counts[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 10);
}

#[tokio::test]
async fn conditions_that_prune_stay_out_of_the_program_of_a_filter() {
    let folder = tempdir().unwrap();
    common::ok(folder.path(), &["generate", "--rows", "1000", "--out", "t.parquet"]);
    let session = session("auto");
    session.register_files("t", &folder.path().join("t.parquet").to_string_lossy()).await.unwrap();
    let query = "SELECT id FROM t WHERE id % 7 = 0 AND (id BETWEEN 100 AND 900 OR x IN (1, 2, 3, 4, 5)) \
                 AND ln(x) > 1 AND id NOT IN (7, 14, 21, 28, 35) AND CAST(y AS INT) < id + 10";
    let pruned = plan(&session, query).await;
    session.sql("SET datafusion.execution.parquet.pushdown_filters = true").await.unwrap();
    let pushed = plan(&session, query).await;
    masked(|| {
        assert_snapshot!("joined_conditions", pruned);
        assert_snapshot!("joined_conditions_pushdown", pushed);
    });
    let counts =
        session.sql(&format!("SELECT count(*) FROM ({query})")).await.unwrap().collect().await.unwrap();
    assert_eq!(counts[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 114);
}

#[tokio::test]
async fn expressions_of_several_types_are_one_program() {
    let session = session("auto");
    let table = "CREATE TABLE t AS SELECT id, x, CAST(id AS INT) AS k, CAST(x AS REAL) AS r, arrow_cast(id, 'UInt64') AS u, \
                 arrow_cast(CAST(id AS INT), 'Date32') AS d, DATE '2024-01-01' AS e, CAST(id AS VARCHAR) AS s FROM generate_rows(9)";
    session.sql(table).await.unwrap().collect().await.unwrap();
    let query = "SELECT id * 2 + x AS a, CAST(k AS REAL) * r AS b, e - d > 100 AS c, \
                 CASE k % 3 WHEN 0 THEN k WHEN 1 THEN k / 2 ELSE -k END AS d, TRY_CAST(x * 100 AS SMALLINT) AS e, \
                 CAST(s AS DOUBLE) * u AS f, CAST(x AS INT) AS g, x > 2 AS h FROM t \
                 WHERE id % 7 = 0 AND ln(x) > 1 AND 10 / k > 1";
    let plan = plan(&session, query).await;
    masked(|| assert_snapshot!("types", plan));
}

#[tokio::test]
async fn a_fused_expression_is_not_evaluated_twice() {
    let query = "SELECT r + 1 AS one, r * 2 AS two FROM (SELECT ln(x) * exp(y) AS r FROM rows) WHERE r > 3";
    let plan = plan(&session("auto"), query).await;
    masked(|| assert_snapshot!("once", plan));
}

#[tokio::test]
async fn explain_verbose_shows_why_an_expression_is_not_fused() {
    let reasons = async |session: &Session, query: &str| {
        let query = format!("EXPLAIN VERBOSE {query}");
        let batches = session.sql(&query).await.unwrap().collect().await.unwrap();
        let rows = batches.iter().flat_map(|batch| {
            let (labels, plans) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
            labels
                .iter()
                .zip(plans)
                .map(|(label, plan)| (label.unwrap().to_owned(), plan.unwrap().to_owned()))
        });
        let found: Vec<_> =
            rows.filter(|(label, _)| label.contains("not fused")).map(|(_, plan)| plan).collect();
        found.join("\n")
    };
    let session = session("auto");
    let query = "SELECT x + 1, round(x, 2) * 2, ln(x) * ln(y), id % 2, \
                 CASE WHEN x > 2 THEN sin(round(y, 2)) ELSE 0.0 END, \
                 CAST(id AS DECIMAL(20, 2)) * 2, arrow_cast(id, 'UInt64') % 5 = 1 FROM rows WHERE id > 5";
    let found = reasons(&session, query).await;
    masked(|| assert_snapshot!("not_fused", found));
    session.sql("SET warpframe.fuse = false").await.unwrap();
    assert_eq!(reasons(&session, query).await, "warpframe.fuse is false");
    session.sql("SET warpframe.fuse = true").await.unwrap();
    let mut operators = Vec::new();
    for query in [
        "SELECT x + 1, y FROM rows WHERE arrow_typeof(y) = 'Float64' AND x > 5",
        "SELECT sum(x * 2), count(DISTINCT floor(x)) FROM rows",
        "SELECT sum(DISTINCT ln(x)), first_value(x ORDER BY y), sum(CAST(x AS DECIMAL(20, 2)) * 2) FROM rows WHERE id > 3",
        "SELECT max(x), floor(y) AS g FROM rows GROUP BY g",
        "SELECT sum(ln(x) * y), ln(x) AS a FROM rows WHERE ln(x) > 2 GROUP BY a",
    ] {
        operators.push(format!("{query}\n{}\n", reasons(&session, query).await));
    }
    masked(|| assert_snapshot!("not_fused_operators", operators.join("\n")));
}

#[tokio::test]
async fn conditions_that_can_be_keys_of_joins_are_not_fused() {
    let session = session("simd");
    for name in ["a", "b", "c"] {
        let table =
            format!("CREATE TABLE {name} AS SELECT id, id % 7 AS k, id % 5 AS m, x FROM generate_rows(100)");
        session.sql(&table).await.unwrap().collect().await.unwrap();
    }
    for query in [
        // Two keys that one program could compare.
        "SELECT a.x FROM a, b WHERE a.k = b.k AND a.m = b.m",
        "SELECT a.x FROM a, b, c WHERE a.k = b.k AND b.m = c.m AND a.m = c.m AND a.x > 3",
        // As in TPC-H: the keys are found only after the subquery has become a join.
        "SELECT a.x FROM a, b, c WHERE a.id = b.id AND c.m = b.m AND c.x = (SELECT min(x) FROM c WHERE c.k = a.k)",
        // Expressions as keys.
        "SELECT a.x FROM a, b WHERE a.k * 2 + 1 = b.m - b.id % 3",
        "SELECT a.x FROM a JOIN b ON a.k + a.m = b.k AND a.m - 1 = b.m + 1 AND ln(a.x) < b.x",
    ] {
        let plan = plan(&session, query).await;
        assert!(plan.contains("HashJoinExec"), "{query}:\n{plan}");
        assert!(!plan.contains("NestedLoopJoinExec") && !plan.contains("CrossJoinExec"), "{query}:\n{plan}");
    }
    let plan = plan(&session, "SELECT a.x FROM a, b WHERE a.k * 2 + 1 = b.m - b.id % 3").await;
    assert!(plan.contains("fused(k * 2 + 1)"), "the sides of a key are fused:\n{plan}");
}
