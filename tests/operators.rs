//! Fused operators: plans, results, errors, pruning by dynamic filters, and metrics.

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::util::pretty::pretty_format_batches;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::common::collect;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use insta::{Settings, assert_snapshot};
use tempfile::tempdir;
use warpframe::Session;
use warpframe::io::{WriteShardsExec, WriterSettings};

fn session(fuse: bool) -> Session {
    session_with(2, fuse)
}

fn session_with(threads: usize, fuse: bool) -> Session {
    let session = Session::builder().threads(threads.try_into().unwrap()).fuse(fuse).build().unwrap();
    session.context().state_ref().write().config_mut().options_mut().explain.format =
        "indent".parse().unwrap();
    session
}

async fn run(session: &Session, query: &str) -> Result<Vec<RecordBatch>, String> {
    let query = session.sql(query).await.map_err(|error| error.to_string())?;
    query.collect().await.map_err(|error| error.to_string())
}

async fn text(session: &Session, query: &str) -> String {
    pretty_format_batches(&run(session, query).await.unwrap()).unwrap().to_string()
}

/// The physical plan of a query.
async fn plan(session: &Session, query: &str) -> String {
    let batches = run(session, &format!("EXPLAIN {query}")).await.unwrap();
    let plans = batches[0].column(1).as_string::<i32>();
    plans.value(plans.len() - 1).to_owned()
}

/// Rows with integers, floats, a few nulls and a text.
async fn create_table(session: &Session) {
    let table = "CREATE TABLE t AS SELECT x, y, z, CAST(x AS BIGINT) % 10 AS k, \
                 CASE WHEN CAST(x AS BIGINT) % 7 <> 0 THEN x / 3 END AS n, 'row ' || CAST(x AS BIGINT) AS s \
                 FROM generate_rows(20000)";
    run(session, table).await.unwrap();
}

#[tokio::test]
async fn filters_projections_and_arguments_of_aggregates_are_one_operator() {
    let session = session(true);
    create_table(&session).await;
    let mut plans = Vec::new();
    for query in [
        "SELECT sqrt(x * x + 1) * sin(x) AS a, sqrt(x * x + 1) * cos(x) AS b FROM t WHERE sin(x) > 0",
        "SELECT s, ln(x) * y FROM t WHERE k < 5 AND ln(x) > 1",
        "SELECT k, sum(ln(x) * y), avg(ln(x) + z), count(*) FROM t WHERE ln(x) > 1 GROUP BY k",
        "SELECT sum(ln(x) * y) FILTER (WHERE ln(x) > 2), min(ln(x) * z) FROM t WHERE x > 3",
        "SELECT a, a * a + 1 FROM (SELECT ln(x) * ln(y) AS a FROM t) WHERE a > 3 ORDER BY a LIMIT 3",
        "SELECT ln(x) * 2 AS a, ln(x) * 3 AS b FROM t",
        // Not fused: one expression without a filter, a cheap one behind a filter, and a filter alone.
        "SELECT ln(x) * ln(y) FROM t",
        "SELECT x + 1 FROM t WHERE k < 5",
        "SELECT x FROM t WHERE ln(x) * ln(y) > 3",
    ] {
        plans.push(format!("{query}\n{}", plan(&session, query).await));
    }
    let mut settings = Settings::clone_current();
    // Native code where this CPU has some.
    settings.add_filter(
        "(simd|native) (avx512|avx2|neon|portable)(: there is no native code for this instruction set)?",
        "<cpu>",
    );
    settings.add_filter(r"; no GPU: [^\],]*", "");
    settings.bind(|| assert_snapshot!("fused_operators", plans.join("\n")));
}

#[tokio::test]
async fn results_are_those_of_the_operators_that_are_replaced() {
    let sessions = [session(true), session(false)];
    for session in &sessions {
        create_table(session).await;
    }
    for query in [
        "SELECT s, k, n * 2 + 1 AS a, n * 2 - z AS b FROM t WHERE n * 2 > 100 OR n IS NULL ORDER BY s",
        "SELECT s, x * 2 + 1 AS a FROM t WHERE k = 3 AND x * 2 + 1 < 3000 ORDER BY a DESC LIMIT 20",
        "SELECT k, sum(x * 2 + 1), avg(n - 1 + z), count(n), count(*), min(x * 3 - 1), max(s) FROM t \
         WHERE x * 2 + 1 > 100 GROUP BY k ORDER BY k",
        "SELECT sum(x * 2 + 1), count(n * 2 + 1), round(sum(n * 2 + 1), 6), var_pop(x * 2 + 1) FROM t WHERE x * 2 + 1 > 100",
        "SELECT sum(x * 2 + 1) FILTER (WHERE n * 2 + 1 > 50), count(DISTINCT k * 2 + 1) FROM t WHERE x > 3",
        "SELECT count(*), sum(x * 2 + 1) FROM t WHERE x * 2 + 1 < 0",
        "SELECT a + 1, b FROM (SELECT x * 2 + 1 AS a, n * 3 - 1 AS b FROM t WHERE k > 2) WHERE a * 2 > b + 40 ORDER BY a",
        "SELECT x * 2 + 1 AS a, s FROM t WHERE x * 2 + 1 > 100 AND s LIKE '%7' ORDER BY a",
    ] {
        let [fused, unfused] = [text(&sessions[0], query).await, text(&sessions[1], query).await];
        assert_eq!(fused, unfused, "{query}");
    }
}

#[tokio::test]
async fn the_sign_of_nan_is_that_of_separate_operations() {
    let results = async |fuse: bool| {
        let session = session(fuse);
        run(&session, "CREATE TABLE t AS SELECT CAST('inf' AS DOUBLE) AS x, 0.0 AS y, 1 AS k").await.unwrap();
        // A NaN with its sign bit set is less than all numbers.
        text(&session, "SELECT -(x * y) >= k, -(x - x) >= k, abs(x * y) >= k, -(y / y) >= k FROM t").await
    };
    assert_eq!(results(true).await, results(false).await);
}

#[tokio::test]
async fn filters_are_evaluated_first_where_few_rows_pass() {
    // The share of rows that pass changes within the table, so that both ways of evaluation are taken.
    let session = session(true);
    let query = "SELECT sum(ln(x) * ln(x + 1) * 0 + x), count(*) FROM t \
                 WHERE sin(x) > CASE WHEN x < 30000 THEN 0.99 WHEN x < 60000 THEN -2 ELSE 0.9 END";
    run(&session, "CREATE TABLE t AS SELECT x FROM generate_rows(100000)").await.unwrap();
    assert!(plan(&session, query).await.contains("Fused"));
    let found = run(&session, query).await.unwrap();
    let passes = |x: &f64| {
        let bound = if *x < 30_000.0 {
            0.99
        } else if *x < 60_000.0 {
            -2.0
        } else {
            0.9
        };
        x.sin() > bound
    };
    let rows: Vec<f64> = (1..=100_000).map(f64::from).filter(passes).collect();
    let sum = found[0].column(0).as_primitive::<arrow::datatypes::Float64Type>().value(0);
    let count = found[0].column(1).as_primitive::<arrow::datatypes::Int64Type>().value(0);
    assert_eq!(count, rows.len() as i64);
    assert_eq!(sum, rows.iter().sum::<f64>());
}

#[tokio::test]
async fn conditions_that_can_fail_are_evaluated_where_earlier_ones_hold() {
    let session = session(true);
    run(&session, "CREATE TABLE t AS SELECT x - 50 AS x, y, 'a' AS s FROM generate_rows(100)").await.unwrap();
    for (query, rows) in [
        ("SELECT ln(x) * y FROM t WHERE x >= 0 AND sqrt(x) > 5", 25),
        ("SELECT ln(x) * y FROM (SELECT * FROM t WHERE x >= 0) WHERE sqrt(x) > 5", 25),
        ("SELECT sqrt(x) * y + 1 FROM t WHERE x >= 0 AND y > 0", 51),
        // The condition that cannot fail is evaluated first, although it is written last.
        ("SELECT ln(x) * y FROM t WHERE sqrt(x) > 5 AND x >= 0", 25),
        // The operator is a filter alone.
        ("SELECT x, s FROM t WHERE sqrt(x) > 5 AND x >= 0", 25),
        ("SELECT count(*) FROM t WHERE sqrt(x) > 5 AND x >= 0 HAVING count(*) = 25", 1),
    ] {
        assert!(plan(&session, query).await.contains("Fused"), "{query}");
        let found = run(&session, query).await.unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), rows, "{query}");
    }
    for query in [
        "SELECT ln(x) * y FROM t WHERE x >= -10 AND sqrt(x) > 5",
        "SELECT sqrt(x) * y + 1 FROM t WHERE y > 0",
    ] {
        let error = run(&session, query).await.unwrap_err();
        assert!(error.contains("negative"), "{query}: {error}");
    }
}

/// The number of row groups that a query on a file has not read, from `EXPLAIN ANALYZE`.
async fn pruned(session: &Session, query: &str) -> (usize, String) {
    let analyzed = text(session, &format!("EXPLAIN ANALYZE {query}")).await;
    let group = |name: &str| {
        let after = analyzed.split(&format!("{name}=")).nth(1)?;
        let count: String =
            after.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        count.parse::<usize>().ok()
    };
    (group("row_groups_pruned_dynamic_filter").unwrap_or_default(), analyzed)
}

#[tokio::test]
async fn dynamic_filters_reach_the_scan_through_fused_operators() {
    let folder = tempdir().unwrap();
    let arguments =
        ["generate", "--rows", "100000", "--row-group-rows", "5000", "--threads", "1", "--out", "t.parquet"];
    common::ok(folder.path(), &arguments);
    let groups_pruned = async |fuse: bool| {
        // With several threads, the number depends on their speed.
        let session = session_with(1, fuse);
        register(&session, folder.path()).await;
        let query = "SELECT id, ln(x) * y AS a FROM t WHERE ln(x) > 0 ORDER BY id LIMIT 5";
        if fuse {
            assert!(plan(&session, query).await.contains("Fused"));
        }
        let (groups, analyzed) = pruned(&session, query).await;
        assert!(analyzed.contains("DynamicFilter"), "{analyzed}");
        groups
    };
    let fused = groups_pruned(true).await;
    assert!(fused > 0);
    assert_eq!(fused, groups_pruned(false).await);
}

async fn register(session: &Session, folder: &Path) {
    session.register_files("t", &folder.join("t.parquet").to_string_lossy()).await.unwrap();
}

#[tokio::test]
async fn scans_of_files_leave_expressions_to_fused_operators() {
    let folder = tempdir().unwrap();
    common::ok(folder.path(), &["generate", "--rows", "1000", "--out", "t.parquet"]);
    let session = session(true);
    register(&session, folder.path()).await;
    let plan = plan(&session, "SELECT ln(x) * 2 AS a, ln(x) * 3 AS b FROM t").await;
    let scan = plan.lines().last().unwrap();
    assert!(plan.contains("Fused") && scan.contains("projection=[x]"), "{plan}");
    // A function that the scan defines.
    let query =
        "SELECT sum(r * 2 + 1) FROM (SELECT file_row_index() AS r, ln(x) * 2 AS a, ln(x) * 3 AS b FROM t)";
    let rows = run(&session, query).await.unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 1_000_000);
    let query = "SELECT file_row_index(), ln(x) * 2 AS a, ln(x) * 3 AS b FROM t";
    let rows = run(&session, query).await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1000);
}

#[tokio::test]
async fn scans_below_fused_operators_keep_the_order_of_files() {
    let folder = tempdir().unwrap();
    common::ok(folder.path(), &["generate", "--rows", "1000", "--files", "4", "--out", "t"]);
    let session = session(true);
    session.register_files("t", &folder.path().join("t").to_string_lossy()).await.unwrap();
    let query = session.sql("SELECT id, ln(x) * y FROM t WHERE id % 3 = 1").await.unwrap();
    let (mut state, query) = query.into_parts();
    state.config_mut().options_mut().optimizer.enable_round_robin_repartition = false;
    let plan = state.create_physical_plan(&query).await.unwrap();
    assert_eq!(plan.name(), "FusedExec");
    // Otherwise a scan gives files of busy partitions to idle ones.
    assert!(plan.with_preserve_order(true).is_some());
}

#[tokio::test]
async fn metrics_have_rows_in_rows_out_and_time() {
    let session = session(true);
    create_table(&session).await;
    let analyzed = text(&session, "EXPLAIN ANALYZE SELECT ln(x) * y FROM t WHERE x * 2 > 20000").await;
    let line = analyzed.lines().find(|line| line.contains("Fused")).unwrap_or_default();
    for metric in ["input_rows=20.00 K", "output_rows=10.00 K", "elapsed_compute="] {
        assert!(line.contains(metric), "{metric}: {analyzed}");
    }
}

/// The first operator of a name in a plan.
fn find(plan: &Arc<dyn ExecutionPlan>, name: &str) -> Option<Arc<dyn ExecutionPlan>> {
    if plan.name() == name {
        return Some(Arc::clone(plan));
    }
    plan.children().into_iter().find_map(|child| find(child, name))
}

/// Runs all partitions of an operator, and compares its metrics with what it returned.
async fn check_metrics(operator: &Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) {
    let (mut rows, mut batches) = (0, 0);
    for partition in 0..operator.output_partitioning().partition_count() {
        let returned = collect(operator.execute(partition, Arc::clone(&context)).unwrap()).await.unwrap();
        rows += returned.iter().map(RecordBatch::num_rows).sum::<usize>();
        batches += returned.len();
    }
    assert!(rows > 0 && batches > 1, "{}", operator.name());
    let metrics = operator.metrics().unwrap().aggregate_by_name();
    let counted = |name: &str| {
        let metric = metrics.iter().find(|metric| metric.value().name() == name);
        metric.unwrap_or_else(|| panic!("{} has no {name}", operator.name())).value().as_usize()
    };
    assert_eq!((counted("output_rows"), counted("output_batches")), (rows, batches), "{}", operator.name());
    // A timer counts a nanosecond at least: a batch takes some time more.
    assert!(counted("elapsed_compute") > 100 * batches, "{}: {metrics}", operator.name());
}

#[tokio::test]
async fn operators_count_their_rows_batches_and_time() {
    let session = session(true);
    for (query, operator) in [
        ("SELECT * FROM generate_rows(50000)", "GenerateExec"),
        ("SELECT ln(x) * 2 AS a, ln(x) * 3 AS b FROM generate_rows(50000)", "FusedExec"),
        ("SELECT ln(x) * 2 AS a, ln(x) * 3 AS b FROM generate_rows(50000) WHERE ln(x) > 2", "FusedExec"),
        ("SELECT sum(ln(x) * y) FROM generate_rows(50000)", "FusedAggregateExec"),
    ] {
        let query = session.sql(query).await.unwrap();
        let context = Arc::new(query.task_ctx());
        let plan = query.create_physical_plan().await.unwrap();
        let operator = find(&plan, operator).unwrap_or_else(|| panic!("{operator} is not in {plan:?}"));
        check_metrics(&operator, context).await;
    }
    let folder = tempdir().unwrap();
    let query = session.sql("SELECT * FROM generate_rows(50000)").await.unwrap();
    let context = Arc::new(query.task_ctx());
    let rows = query.create_physical_plan().await.unwrap();
    let path = folder.path().to_owned();
    let write: Arc<dyn ExecutionPlan> =
        Arc::new(WriteShardsExec::new(rows, path, WriterSettings::default().into(), Default::default()));
    check_metrics(&write, context).await;
    let metrics = write.metrics().unwrap();
    let sum = |name: &str| metrics.sum_by_name(name).unwrap().as_usize();
    assert_eq!(sum("rows_written"), 50_000);
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    assert_eq!(sum("bytes_written") as u64, files.sum::<u64>());
}

#[tokio::test]
async fn limits_end_the_operator_early() {
    let session = session(true);
    create_table(&session).await;
    let query = "SELECT a FROM (SELECT ln(x) * ln(y) AS a FROM t WHERE k > 3 ORDER BY 1) WHERE a > 3 LIMIT 3";
    let rows: usize = run(&session, query).await.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 3);
}

#[tokio::test]
async fn cancelled_queries_end() {
    // The runtime of this test has one thread: the timeout elapses only if the operators yield to it.
    let session = session_with(1, true);
    for query in [
        "SELECT sum(ln(x) * ln(y)) FROM generate_rows(20000000000)",
        "SELECT max(a) FROM (SELECT ln(x) * 2 AS a, ln(x) * 3 AS b FROM generate_rows(20000000000)) WHERE a * b < 0",
        "SELECT k, sum(ln(x) * 2), avg(ln(x)) FROM (SELECT floor(x) % 5 AS k, x FROM generate_rows(20000000000)) \
         GROUP BY k",
    ] {
        assert!(plan(&session, query).await.contains("Fused"), "{query}");
        let limit = std::time::Duration::from_millis(200);
        assert!(tokio::time::timeout(limit, run(&session, query)).await.is_err(), "{query}");
    }
}

#[tokio::test]
async fn memory_limits_hold_above_fused_operators() {
    let folder = tempdir().unwrap();
    let arguments = ["generate", "--rows", "300000", "--threads", "2", "--out", "t.parquet"];
    common::ok(folder.path(), &arguments);
    let query = "SELECT count(*), max(a), max(b) FROM (SELECT id % 200000 AS k, sum(sqrt(x) * 2) AS a, \
                 max(sqrt(x) * 3) AS b FROM t WHERE sqrt(x) > 1 GROUP BY k)";
    let mut results = Vec::new();
    for limit in [None, Some(8 << 20)] {
        let builder = Session::builder().threads(2.try_into().unwrap());
        let builder = limit.into_iter().fold(builder, |builder, limit| builder.memory_limit(limit));
        let session = builder.build().unwrap();
        register(&session, folder.path()).await;
        session.sql("SET datafusion.explain.format = 'indent'").await.unwrap().collect().await.unwrap();
        assert!(plan(&session, query).await.contains("FusedExec"), "{}", plan(&session, query).await);
        results.push(text(&session, query).await);
        if limit.is_some() {
            let analyzed = text(&session, &format!("EXPLAIN ANALYZE {query}")).await;
            let spills = analyzed.split("spill_count=").skip(1).any(|rest| !rest.starts_with('0'));
            assert!(spills, "{analyzed}");
        }
    }
    assert_eq!(results[0], results[1]);
    let session = Session::builder().memory_limit(1 << 20).build().unwrap();
    register(&session, folder.path()).await;
    let error = run(&session, query).await.unwrap_err();
    assert!(error.contains("Resources exhausted"), "{error}");
}
