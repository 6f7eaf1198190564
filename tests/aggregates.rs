//! Aggregations without groups, whose first stage is a fused operator: plans, results, special values, and sums that depend on
//! the values and their order only.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use arrow::util::pretty::pretty_format_batches;
use warpframe::Session;

fn session(threads: usize, fuse: bool) -> Session {
    let session = Session::builder().threads(threads.try_into().unwrap()).fuse(fuse).build().unwrap();
    session.context().state_ref().write().config_mut().options_mut().explain.format =
        "indent".parse().unwrap();
    session
}

async fn run(session: &Session, query: &str) -> Vec<RecordBatch> {
    session.sql(query).await.unwrap().collect().await.unwrap()
}

async fn text(session: &Session, query: &str) -> String {
    pretty_format_batches(&run(session, query).await).unwrap().to_string()
}

/// The number of fused aggregations in the plan of a query.
async fn fused(session: &Session, query: &str) -> usize {
    text(session, &format!("EXPLAIN {query}")).await.matches("FusedAggregateExec").count()
}

async fn float(session: &Session, query: &str) -> f64 {
    run(session, query).await[0].column(0).as_primitive::<Float64Type>().value(0)
}

/// Special values, nulls and types whose order or width differs from that of their values in programs.
const TABLE: &str = "CREATE TABLE t AS SELECT
    x, y,
    CASE CAST(x AS BIGINT) % 50 WHEN 7 THEN NULL WHEN 8 THEN -0.0 WHEN 9 THEN 0.0 ELSE x - 2500 END AS n,
    CAST(x AS INTEGER) % 100 AS i, CAST(x AS REAL) AS r, CAST(CAST(x AS BIGINT) % 200 - 100 AS TINYINT) AS small,
    CAST(CAST(x AS BIGINT) % 60000 AS SMALLINT UNSIGNED) AS unsigned, CAST(x AS BIGINT UNSIGNED) AS big,
    CAST(CAST(x AS INTEGER) AS DATE) AS d, to_timestamp(CAST(x AS BIGINT)) AS at, x % 3 = 0 AS b,
    CASE WHEN x % 4 <> 0 THEN 'row ' || CAST(x AS BIGINT) END AS s, CAST(x AS DECIMAL(20, 2)) AS money
    FROM generate_rows(5000)";

/// Queries whose results are exact in double precision, or rounded.
const QUERIES: [&str; 19] = [
    "SELECT count(*) FROM t WHERE x > 10",
    "SELECT count(n), count(n * 2), count(s), count(b), count(1) FROM t WHERE x * 2 < 5000",
    "SELECT sum(x * 2 + 1), sum(n + 1), avg(n * 2), sum(i * 3), sum(small + i), avg(i) FROM t",
    "SELECT sum(CAST(i AS BIGINT) * 4611686018427387904 + 1) FROM t",
    "SELECT min(x + 1), max(x + 1), min(n), max(n * -1), min(i - 7), max(r * 2), min(r) FROM t WHERE b",
    "SELECT min(small), max(small), min(unsigned), max(unsigned), min(d), max(d), min(at), max(at) FROM t WHERE x > 77",
    "SELECT min(CAST(small * 2 AS TINYINT)), max(CAST(unsigned / 2 AS SMALLINT UNSIGNED)) FROM t WHERE small > -20 AND small < 60",
    "SELECT round(var_pop(x * 2), 3), round(var(n + 1), 3), round(stddev(x + 1), 6), round(stddev_pop(n * 3), 6) FROM t",
    "SELECT sum(x + 1) FILTER (WHERE b), count(*) FILTER (WHERE n > 0), max(n) FILTER (WHERE x * 2 > 9000) FROM t WHERE x > 5",
    "SELECT sum(x * 2) + 1, count(*) * 2 FROM (SELECT x FROM t WHERE x % 2 = 0) WHERE x > 100",
    "SELECT count(*), sum(x * 2), avg(n * 2), min(i + 1), max(d), var_pop(n * 2) FROM t WHERE x * 2 < 0",
    "SELECT sum(n * 2), min(n * 2), avg(n * 2), count(n * 2), var(n * 2), stddev_pop(n * 2) FROM t WHERE n IS NULL",
    "SELECT var(x * 2), var_pop(x * 2), stddev(x * 2) FROM t WHERE x = 42",
    "SELECT sum(1), sum(2.5), avg(2), min(3), count(*) FROM t WHERE x > 4000",
    // Partly or not at all reductions.
    "SELECT count(n * 2), count(NULL) FROM t WHERE x * 2 < 5000",
    "SELECT sum(x * 2), count(DISTINCT i * 2) FROM t WHERE x > 3",
    "SELECT sum(money * 2), max(s), min(big), sum(big), bool_and(x > 0) FROM t WHERE x * 2 > 30",
    "SELECT b, sum(x * 2 + 1), count(*) FROM t WHERE x > 5 GROUP BY b ORDER BY b",
    "SELECT first_value(x * 2 ORDER BY y DESC), median(x * 2) FROM t WHERE x > 30",
];

#[tokio::test]
async fn results_are_those_of_separate_operators() {
    for threads in [1, 2] {
        let sessions = [session(threads, true), session(threads, false)];
        for session in &sessions {
            run(session, TABLE).await;
        }
        for (position, query) in QUERIES.iter().enumerate() {
            let [ours, separate] = [text(&sessions[0], query).await, text(&sessions[1], query).await];
            assert_eq!(ours, separate, "{query}");
            // A filter that no row can pass leaves no operators.
            assert_eq!(fused(&sessions[0], query).await, usize::from(position < 14), "{query}");
            assert_eq!(fused(&sessions[1], query).await, 0);
        }
    }
}

#[tokio::test]
async fn extremes_are_in_the_total_order() {
    let query = "SELECT min(x * 2), max(x * 2), sum(x * 2), var_pop(x * 2) FROM t";
    for values in [
        "(CAST('NaN' AS DOUBLE)), (1.0), (2.0)",
        "(-CAST('NaN' AS DOUBLE)), (CAST('inf' AS DOUBLE)), (CAST('-inf' AS DOUBLE))",
        "(-0.0), (0.0), (-0.0)",
        "(-0.0), (NULL)",
        "(CAST('inf' AS DOUBLE)), (1.0)",
    ] {
        let results = async |fuse| {
            let session = session(1, fuse);
            run(&session, &format!("CREATE TABLE t AS SELECT column1 AS x FROM (VALUES {values})")).await;
            assert_eq!(fused(&session, query).await, usize::from(fuse));
            text(&session, query).await
        };
        assert_eq!(results(true).await, results(false).await, "{values}");
    }
}

#[tokio::test]
async fn sums_do_not_depend_on_batches() {
    // Few or many rows pass, so that the filter is evaluated first or with the terms.
    for condition in ["true", "sin(x) > 0.9", "sin(x) > -0.9", "n IS NOT NULL"] {
        let query = format!(
            "SELECT sum(ln(x) * ln(x + 1) * n), avg(ln(x) / n), var(sqrt(x) * ln(x)), stddev_pop(n / x), count(n) \
             FROM u WHERE {condition}"
        );
        let mut results = Vec::new();
        for batch_rows in [64, 1000, 8192, 100_000] {
            let session = session(1, true);
            let table = "CREATE TABLE u AS SELECT x, CASE WHEN x % 11 <> 0 THEN 1 / x END AS n FROM generate_rows(30000)";
            run(&session, &format!("SET datafusion.execution.batch_size = {batch_rows}")).await;
            run(&session, table).await;
            assert_eq!(fused(&session, &query).await, 1, "{query}");
            results.push(text(&session, &query).await);
        }
        results.dedup();
        assert_eq!(results.len(), 1, "{query}");
    }
}

#[tokio::test]
async fn sums_are_more_exact_than_running_sums() {
    let session = session(1, true);
    let query = "SELECT sum(1 / x), sum(sqrt(x)) FROM generate_rows(3000000)";
    assert_eq!(fused(&session, query).await, 1);
    let found = run(&session, query).await;
    for (column, term) in [f64::recip, f64::sqrt].into_iter().enumerate() {
        let terms = || (1..=3_000_000).map(|x| term(f64::from(x)));
        // Neumaier's sum, with the errors of all additions.
        let (mut sum, mut error) = (0.0f64, 0.0);
        for term in terms() {
            let next = sum + term;
            error += if sum.abs() >= term.abs() { sum - next + term } else { term - next + sum };
            sum = next;
        }
        let exact = sum + error;
        let found = found[0].column(column).as_primitive::<Float64Type>().value(0);
        let [found, running] = [found, terms().sum::<f64>()].map(|sum| (sum - exact).abs() / exact);
        assert!(
            found <= 4.0 * f64::EPSILON && found < running / 10.0,
            "errors {found:e} and {running:e} of column {column}"
        );
    }
}

#[tokio::test]
async fn partitions_are_combined() {
    let session = session(3, true);
    let sum = float(&session, "SELECT sum(x * 2) FROM generate_rows(1000000)").await;
    assert_eq!(sum, 1_000_001_000_000.0);
    let variance = float(&session, "SELECT var_pop(x * 2) FROM generate_rows(1000000)").await;
    let exact = (1e12 - 1.0) / 12.0 * 4.0;
    assert!((variance / exact - 1.0).abs() < 1e-14, "{variance} instead of {exact}");
}

#[tokio::test]
async fn metrics_have_rows_in_and_time() {
    let session = session(2, true);
    let query = "EXPLAIN ANALYZE SELECT sum(ln(x)) FROM generate_rows(20000) WHERE x > 10000";
    let analyzed = text(&session, query).await;
    let line = analyzed.lines().find(|line| line.contains("FusedAggregateExec")).unwrap_or_default();
    for metric in ["input_rows=20.00 K", "output_rows=2", "elapsed_compute="] {
        assert!(line.contains(metric), "{metric}: {analyzed}");
    }
}
