//! Random SQL queries over small random tables give the same rows, types and errors in a session of DataFusion and in one
//! with fusion. A part of the grammar in which DuckDB means the same is compared with DuckDB too.
//!
//! By hand, `WARPFRAME_SQL_SEED` sets the seed of tables and queries, `WARPFRAME_SQL_QUERIES` the number of queries,
//! `WARPFRAME_SQL_QUERY` the number of a query to run alone, and `WARPFRAME_SQL_KEEP_GOING=1` prints all differences
//! instead of the first one:
//!
//! `WARPFRAME_SQL_SEED=7 WARPFRAME_SQL_QUERIES=20000 cargo test --test random_sql`

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod duckdb;
mod engines;
mod expr;
mod grammar;
mod random;
mod shared_grammar;
mod tables;

use arrow::array::RecordBatch;
use compare::{compare_rows, difference};
use duckdb::DuckDb;
use engines::{Cell, Engine};
use expr::Query;
use grammar::Grammar;
use random::Random;
use shared_grammar::SharedGrammar;
use tokio::runtime::Runtime;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

/// The numbers of the queries to run: those below WARPFRAME_SQL_QUERIES, or WARPFRAME_SQL_QUERY alone.
fn numbers() -> std::ops::Range<u64> {
    match setting("WARPFRAME_SQL_QUERY", u64::MAX) {
        u64::MAX => 0..setting("WARPFRAME_SQL_QUERIES", 200),
        number => number..number + 1,
    }
}

/// Queries share tables in groups of this many.
const QUERIES_PER_TABLES: u64 = 100;

/// Runs a test on a thread with a stack that suffices to plan deep expressions without optimization.
fn on_large_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// DataFusion, and our sessions.
struct Engines {
    runtime: Runtime,
    bare: Engine,
    interpreted: Engine,
    fused: Engine,
}

impl Engines {
    fn new(rows: &[(&str, RecordBatch)]) -> Self {
        Self {
            runtime: runtime(),
            bare: Engine::bare(rows),
            interpreted: Engine::fused("interpreted", rows),
            fused: Engine::fused("auto", rows),
        }
    }

    /// Runs a query in all sessions. Rough queries run on the interpreted backend only, which must agree bit by bit.
    fn run(&self, query: &Query, rough: bool) -> Comparison {
        let sql = query.sql();
        let bare = self.bare.run(&self.runtime, &sql);
        let mut comparison = Comparison {
            failed: bare.is_err(),
            empty: bare.as_ref().is_ok_and(|answer| answer.rows.is_empty()),
            ..Comparison::default()
        };
        let sessions = [("interpreted", &self.interpreted, false), ("auto", &self.fused, true)];
        for (name, engine, approximately) in &sessions[..if rough { 1 } else { 2 }] {
            let outcome = engine.run(&self.runtime, &sql);
            comparison.fused |= outcome.as_ref().is_ok_and(|answer| answer.fused);
            if let Some(why) = difference(query, &bare, &outcome, *approximately) {
                comparison.difference = Some(format!("{name}: {why}"));
                return comparison;
            }
        }
        // Where one column fails, the others are compared alone.
        if comparison.failed && query.columns.len() > 1 {
            for single in query.single_columns() {
                let single = self.run(&single, rough);
                comparison.fused |= single.fused;
                comparison.failed &= single.failed;
                if single.difference.is_some() {
                    return single;
                }
            }
        }
        comparison
    }
}

/// The class of a difference, which a smaller query must keep: an error that a query gets by being made smaller is
/// another fault.
fn class(difference: &str) -> Option<&'static str> {
    let classes = [
        "DataFusion does not fail",
        "only DataFusion fails",
        "only DuckDB does not fail",
        "only DuckDB fails",
        "both fail",
        "the messages differ",
        "the columns differ",
    ];
    classes.into_iter().find(|class| difference.contains(class))
}

/// What the results of a query in all sessions have in common.
#[derive(Debug, Default)]
struct Comparison {
    /// Why they differ.
    difference: Option<String>,
    /// Whether a plan has a fused expression.
    fused: bool,
    /// Whether every column fails.
    failed: bool,
    /// Whether there are no rows.
    empty: bool,
}

#[derive(Debug, Default)]
struct Counts {
    queries: u64,
    fused: u64,
    failed: u64,
    empty: u64,
    differences: u64,
}

/// The tables of a query: queries share them in groups. `special` says whether `a` has special values.
fn tables_of(seed: u64, number: u64, special: bool) -> [(&'static str, RecordBatch); 2] {
    let mut random = Random::new(seed, u64::MAX - number / QUERIES_PER_TABLES);
    [("a", tables::rows(&mut random, special)), ("m", tables::rows(&mut random, false))]
}

fn compare_with_datafusion() {
    let seed = setting("WARPFRAME_SQL_SEED", 1);
    let keep_going = setting("WARPFRAME_SQL_KEEP_GOING", 0) != 0;
    let mut counts = Counts::default();
    let mut engines = None;
    for number in numbers() {
        if number % QUERIES_PER_TABLES == 0 || engines.is_none() {
            engines = Some(Engines::new(&tables_of(seed, number, true)));
        }
        let engines = engines.as_ref().unwrap();
        let rough = number % 4 == 0;
        let query = Grammar::new(Random::new(seed, number), rough).query();
        counts.queries += 1;
        let comparison = engines.run(&query, rough);
        counts.fused += u64::from(comparison.fused);
        counts.failed += u64::from(comparison.failed);
        counts.empty += u64::from(comparison.empty);
        if comparison.difference.is_none() {
            continue;
        }
        counts.differences += 1;
        let fault = comparison.difference.as_deref().map(class);
        let small = query
            .clone()
            .shrink(400, |query| engines.run(query, rough).difference.as_deref().map(class) == fault);
        let report = format!(
            "seed {seed}, query {number}: {}\n{}\nwhole query: {}",
            engines.run(&small, rough).difference.unwrap_or_default(),
            small.sql(),
            query.sql()
        );
        assert!(keep_going, "{report}");
        println!("{report}\n");
    }
    println!("{counts:?}");
    assert_eq!(counts.differences, 0);
    if counts.queries > 100 {
        // The test means something only if most queries have rows and many are fused.
        assert!(counts.failed * 4 < counts.queries, "{counts:?}");
        assert!(counts.empty * 4 < counts.queries, "{counts:?}");
        assert!(counts.fused * 3 > counts.queries, "{counts:?}");
    }
}

#[test]
fn random_queries_give_the_results_of_datafusion() {
    on_large_stack(compare_with_datafusion);
}

/// Why DuckDB gives a different result than `engine`.
fn difference_to_duckdb(
    duckdb: &mut DuckDb,
    engine: &Engine,
    runtime: &Runtime,
    query: &Query,
    counts: &mut Counts,
) -> Option<String> {
    let sql = query.sql();
    let expected = duckdb.run(&sql);
    let actual = engine.run(runtime, &sql);
    match (expected, actual) {
        (Ok(expected), Ok(actual)) => {
            counts.fused += u64::from(actual.fused);
            counts.empty += u64::from(actual.rows.is_empty());
            let is_float = actual.fields.iter().map(|(_, data_type)| data_type.is_floating());
            let tolerances: Vec<_> = is_float.map(|is_float| is_float.then_some(1e-9)).collect();
            compare_rows(&plain(expected), &plain(actual.rows), &tolerances, false)
        }
        (Ok(_), Err(error)) => Some(format!("only DuckDB does not fail: {error}")),
        (Err(error), Ok(_)) => Some(format!("only DuckDB fails: {error}")),
        (Err(one), Err(other)) => Some(format!("both fail, which the grammar excludes: {one}, {other}")),
    }
}

/// Rows with decimals without trailing zeros.
fn plain(mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    for cell in rows.iter_mut().flatten() {
        if let Cell::Text(text) = cell
            && text.contains('.')
            && text.parse::<f64>().is_ok()
        {
            *text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
    }
    rows
}

fn compare_with_duckdb() {
    let Some(mut duckdb) = DuckDb::start() else { return };
    let seed = setting("WARPFRAME_SQL_SEED", 1);
    let keep_going = setting("WARPFRAME_SQL_KEEP_GOING", 0) != 0;
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let mut counts = Counts::default();
    let mut sessions = None;
    for number in numbers() {
        if number % QUERIES_PER_TABLES == 0 || sessions.is_none() {
            let tables = tables_of(seed, number, false);
            for (name, rows) in &tables {
                duckdb.create_table(name, rows, folder.path());
            }
            sessions = Some((Engine::bare(&tables), Engine::fused("auto", &tables)));
        }
        let (bare, fused) = sessions.as_ref().unwrap();
        let query = SharedGrammar::new(Random::new(seed, number)).query();
        counts.queries += 1;
        let found = difference_to_duckdb(&mut duckdb, fused, &runtime, &query, &mut counts);
        let Some(fault) = found.as_deref().map(class) else { continue };
        counts.differences += 1;
        let mut differ = |query: &Query, engine: &Engine| {
            difference_to_duckdb(&mut duckdb, engine, &runtime, query, &mut Counts::default())
        };
        let small =
            query.clone().shrink(400, |query| differ(query, fused).as_deref().map(class) == Some(fault));
        let report = format!(
            "seed {seed}, query {number}: {}\n{}\nDataFusion without fusion: {}\nwhole query: {}",
            differ(&small, fused).unwrap_or_default(),
            small.sql(),
            differ(&small, bare).unwrap_or_else(|| "the result of DuckDB".to_owned()),
            query.sql()
        );
        assert!(keep_going, "{report}");
        println!("{report}\n");
    }
    println!("{counts:?}");
    assert_eq!(counts.differences, 0);
    if counts.queries > 100 {
        assert!(counts.empty * 4 < counts.queries, "{counts:?}");
        assert!(counts.fused * 4 > counts.queries, "{counts:?}");
    }
}

#[test]
fn random_queries_give_the_results_of_duckdb() {
    on_large_stack(compare_with_duckdb);
}
