//! DataFusion's own SQL logic tests give the same results in a session with warpframe as in one without it.
//!
//! `WARPFRAME_DATAFUSION_TESTS` names the folder of the package `datafusion-sqllogictest`; `WARPFRAME_DATAFUSION_FILES`
//! selects the files whose path contains its value. What the files expect does not matter: each statement runs in a bare
//! session and in one with [`warpframe_datafusion::install`] and headings, and the rows, the types or the errors are compared.
//!
//! Relative paths in the statements lead to a temporary folder. Most of the data that the package does not have is made
//! there ([`data`]); statements that need other files fail in both sessions.

#[path = "../common/mod.rs"]
mod common;

mod allowed;
mod compare;
mod data;
mod engine;
mod tables;
mod tpch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allowed::{ALLOWED, Allowed};
use common::skipped;
use compare::difference;
use engine::{Engine, Outcome};
use futures::{StreamExt, stream};
use sqllogictest::{Condition, DefaultColumnType, Record, parse_file};

/// The least numbers of statements: a little below those of the package for DataFusion 55.2.
const FLOORS: [(&str, usize); 3] = [(SAME, 19_000), (WITH_ROWS, 10_000), (FUSED, 400)];

const SAME: &str = "compared: both succeed";
const WITH_ROWS: &str = "compared: both succeed, with rows";
const FUSED: &str = "compared: both succeed, with fused expressions";
const SAME_ERROR: &str = "compared: both fail";
const NAMED_APART: &str = "different: only headings give the columns distinct names";
const MISSING: &str = "compared: both fail, without a table, a file or a function";

/// Functions whose results differ from call to call or from day to day, or have an order that is not defined.
const VOLATILE: [&str; 9] = [
    "random(",
    "rand(",
    "uuid(",
    "now(",
    "current_date",
    "current_time",
    "today(",
    "shuffle(",
    "array_agg(distinct ",
];

/// Files with few statements over millions of rows, which test joins and aggregations that run out of memory.
const LARGE: [&str; 3] =
    ["aggregate_memory_spill.slt", "nested_loop_join_spill.slt", "push_down_filter_regression.slt"];

/// The files that take longest. They run first.
const LONGEST: [&str; 4] = ["aggregate.slt", "imdb.slt", "window.slt", "group_by.slt"];

/// A statement of a file.
struct Statement {
    line: u32,
    sql: String,
    /// Why only success and error messages are compared.
    only_errors: Option<&'static str>,
}

/// What was found in a file.
#[derive(Default)]
struct Report {
    counts: BTreeMap<&'static str, usize>,
    /// The indices of the entries of [`ALLOWED`] that were needed.
    allowed: BTreeSet<usize>,
    differences: Vec<String>,
}

impl Report {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Counts an outcome that is the same in both sessions.
    fn count_same(&mut self, outcome: &Outcome) {
        match outcome {
            Ok(answer) => {
                self.count(SAME);
                if answer.batches.iter().any(|batch| batch.num_rows() > 0) {
                    self.count(WITH_ROWS);
                }
                if answer.fused {
                    self.count(FUSED);
                }
            }
            Err(error) => {
                let missing =
                    ["not found", "Invalid function", "No files found", "doesn't exist", "No such file"];
                self.count(SAME_ERROR);
                if missing.iter().any(|words| error.contains(words)) {
                    self.count(MISSING);
                }
            }
        }
    }

    fn counted(&self, what: &str) -> usize {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

/// Reads the statements of a file.
fn statements(path: &Path, report: &mut Report) -> Vec<Statement> {
    let mut statements = Vec::new();
    for record in parse_file::<DefaultColumnType>(path).unwrap() {
        let (Record::Statement { conditions, loc, sql, .. } | Record::Query { conditions, loc, sql, .. }) =
            record
        else {
            continue;
        };
        if conditions.iter().any(|condition| matches!(condition, Condition::OnlyIf { .. })) {
            report.count("skipped: for another engine");
            continue;
        }
        let lower = sql.to_ascii_lowercase();
        let only_errors = match () {
            () if lower.trim_start().starts_with("explain") => Some("compared by errors only: EXPLAIN"),
            () if VOLATILE.iter().any(|name| lower.contains(name)) => {
                Some("compared by errors only: volatile functions")
            }
            () => None,
        };
        statements.push(Statement { line: loc.line(), sql, only_errors });
    }
    statements
}

/// Runs all statements in a new session.
async fn run(engine: Engine, file: &str, statements: &[Statement]) -> Vec<Outcome> {
    let scratch = Path::new("test_files/scratch").join(Path::new(file).file_stem().unwrap());
    // Files in different folders may have the same name; such files write nothing.
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).unwrap();
    let context = engine.context(file);
    let mut outcomes = Vec::new();
    for statement in statements {
        outcomes.push(engine.run(&context, &statement.sql).await);
    }
    outcomes
}

async fn compare_file(folder: &Path, file: &str) -> Report {
    let mut report = Report::default();
    let statements = statements(&folder.join(file), &mut report);
    let bare = run(Engine::DataFusion, file, &statements).await;
    let ours = run(Engine::Warpframe, file, &statements).await;
    let mut different = Vec::new();
    for (index, (bare, ours)) in bare.iter().zip(&ours).enumerate() {
        let statement = &statements[index];
        if is_named_apart(bare, ours) {
            report.count(NAMED_APART);
        } else if let Some(difference) = difference(bare, ours, statement.only_errors.is_some()) {
            different.push((index, difference));
        } else if let Some(why) = statement.only_errors {
            report.count(why);
        } else {
            report.count_same(ours);
        }
    }
    different.retain(|(index, _)| {
        let sql = &statements[*index].sql;
        let allowed = ALLOWED.iter().position(|allowed| file == allowed.file && sql.contains(allowed.sql));
        if let Some(allowed) = allowed {
            report.allowed.insert(allowed);
            report.count("different, as listed");
        }
        allowed.is_none()
    });
    if different.is_empty() {
        return report;
    }
    // Results may depend on the order in which partitions arrive.
    let again = run(Engine::DataFusion, file, &statements).await;
    for (index, found) in different {
        let Statement { sql, line, only_errors } = &statements[index];
        if difference(&bare[index], &again[index], only_errors.is_some()).is_some() {
            println!("varies: {file}:{line} {sql}");
            report.count("skipped: DataFusion's own results vary");
        } else {
            report.differences.push(format!("{file}:{line}\n{sql}\n{found}"));
        }
    }
    report
}

/// Whether a statement has columns to which DataFusion gives one name, which it refuses, and headings give distinct ones.
fn is_named_apart(bare: &Outcome, ours: &Outcome) -> bool {
    let refused = "Projections require unique expression names";
    ours.is_ok() && bare.as_ref().is_err_and(|error| error.contains(refused))
}

/// The `.slt` files in a folder, relative to it.
fn files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "slt") {
                files.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort_by_key(|file| {
        (LONGEST.iter().position(|long| long == file).unwrap_or(LONGEST.len()), file.clone())
    });
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn results_are_those_of_datafusion() {
    let Some(package) = std::env::var_os("WARPFRAME_DATAFUSION_TESTS").map(PathBuf::from) else {
        skipped("DataFusion's tests: WARPFRAME_DATAFUSION_TESTS does not name a folder that has them");
        return;
    };
    let folder = Arc::new(package.join("test_files"));
    let only = std::env::var("WARPFRAME_DATAFUSION_FILES").unwrap_or_default();
    let mut all = Report::default();
    let mut files = files(&folder);
    files.retain(|file| file.contains(&only));
    let count = files.len();
    files.retain(|file| !LARGE.contains(&file.as_str()));
    all.counts.insert("skipped: files with much data", count - files.len());
    let temporary = tempfile::tempdir().unwrap();
    std::env::set_current_dir(data::make(temporary.path(), &package)).unwrap();
    let mut reports = stream::iter(files)
        .map(|file| {
            let folder = Arc::clone(&folder);
            tokio::spawn(async move { compare_file(&folder, &file).await })
        })
        .buffer_unordered(2);
    while let Some(report) = reports.next().await {
        let report = report.unwrap();
        for (what, count) in report.counts {
            *all.counts.entry(what).or_default() += count;
        }
        all.allowed.extend(report.allowed);
        all.differences.extend(report.differences);
    }
    for (what, count) in &all.counts {
        println!("{count:6} {what}");
    }
    let found = all.differences.join("\n\n");
    assert!(found.is_empty(), "{} statements are different\n\n{found}", all.differences.len());
    if only.is_empty() {
        for (index, Allowed { file, sql, .. }) in ALLOWED.iter().enumerate() {
            assert!(all.allowed.contains(&index), "listed, but not different: {file}: {sql}");
        }
        for (what, least) in FLOORS {
            assert!(all.counted(what) >= least, "fewer than {least} {what}");
        }
    }
}
