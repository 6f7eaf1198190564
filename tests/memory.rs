//! Memory limits of real processes: what does not fit is spilled, joined by sorting, or refused with a sentence.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Run, command, finish, ok, skipped, warpframe};
use tempfile::tempdir;

/// The memory limit of queries whose data is more than ten times as large.
const LIMIT: &str = "24MiB";

/// Groups of 24 bytes and a hash table: more than 600 MiB in memory.
const GROUP_BY: &str = "SELECT count(*) AS n, sum(n) AS rows, sum(s) AS s \
    FROM (SELECT x, count(*) AS n, sum(y) AS s FROM generate_rows(8000000) GROUP BY x)";
const GROUPED: &str = "n,rows,s\n8000000,8000000,32000004000000.0\n";

/// Rows of 32 bytes, 384 MB.
const ORDER_BY: &str = "SELECT count(*) AS n, max(d) AS d, sum(id) AS i, sum(y) AS y, sum(z) AS z \
    FROM (SELECT x - lag(x) OVER (ORDER BY x DESC) AS d, id, y, z FROM generate_rows(12000000))";
const ORDERED: &str = "n,d,i,y,z\n12000000,-1.0,71999994000000,72000006000000.0,72000006000000.0\n";

/// The smaller table has 2 million rows of 16 bytes and a hash table: 80 MB.
const JOIN: &str = "SELECT count(*) AS n, sum(a.y + b.y) AS s \
    FROM generate_rows(2000000) a JOIN generate_rows(2500000) b ON a.id = b.id";
const JOINED: &str = "n,s\n2000000,4000002000000.0\n";

/// The address space of a process in KiB. A process that idles has about 450,000, those that hold the groups or the rows of the
/// sort in memory need more than 1,000,000. The rest is for the stacks of threads: one that merges what it has spilled has
/// many.
const ADDRESS_SPACE: u32 = 1_000_000;

/// Runs a query with a memory limit in an address space of [`ADDRESS_SPACE`].
#[cfg(target_os = "linux")]
fn in_address_space(folder: &Path, query: &str, limit: &str) -> Run {
    let sql = command(folder);
    let run = Command::new("sh")
        .args(["-c", &format!("ulimit -v {ADDRESS_SPACE} && exec \"$0\" \"$@\"")])
        .arg(sql.get_program())
        .args(["sql", "--threads", "2", "--memory-limit", limit, "--format", "csv", "-q", query])
        .current_dir(folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .output();
    finish(run.unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn group_by_and_order_by_of_ten_times_the_limit_spill() {
    let folder = tempdir().unwrap();
    for (query, answer) in [(GROUP_BY, GROUPED), (ORDER_BY, ORDERED), (JOIN, JOINED)] {
        let run = in_address_space(folder.path(), query, LIMIT);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), answer), "{query}: {run:#?}");
    }
    // The address space is too small without spilling.
    for query in [GROUP_BY, ORDER_BY] {
        let run = in_address_space(folder.path(), query, "none");
        assert_ne!(run.code, Some(0), "{run:#?}");
    }
    assert_eq!(common::entries(folder.path()), Vec::<String>::new(), "spill files have names");
}

#[test]
fn explain_analyze_shows_what_was_spilled() {
    let folder = tempdir().unwrap();
    let analyzed = |query: &str, limit: &str| {
        let query = format!("EXPLAIN ANALYZE {query}");
        ok(
            folder.path(),
            &["sql", "--threads", "2", "--memory-limit", limit, "--format", "csv", "-q", &query],
        )
        .stdout
    };
    let group_by =
        "SELECT count(*) FROM (SELECT x, sum(sin(y) * sin(y) + y) FROM generate_rows(1000000) GROUP BY x)";
    let order_by =
        "SELECT max(d) FROM (SELECT x - lag(x) OVER (ORDER BY x DESC) AS d FROM generate_rows(2000000))";
    for query in [group_by, order_by] {
        let spills =
            |plan: &str| plan.matches("spill_count=").count() > plan.matches("spill_count=0").count();
        let spilled = analyzed(query, "8MiB");
        assert!(spills(&spilled), "{spilled}");
        assert!(spilled.contains("spilled_rows="), "{spilled}");
        assert!(!spills(&analyzed(query, "none")));
    }
}

#[test]
fn many_threads_share_a_small_limit() {
    let folder = tempdir().unwrap();
    // With DataFusion's greedy pool, both fail at this limit: one partition takes everything, or all reserve 10 MiB.
    for (query, rows) in [
        ("SELECT count(*) AS n FROM (SELECT x, count(*) FROM generate_rows(1000000) GROUP BY x)", 1_000_000),
        (
            "SELECT count(x) AS n FROM (SELECT x, lag(x) OVER (ORDER BY x DESC) FROM generate_rows(1500000))",
            1_500_000,
        ),
    ] {
        let sql = ["sql", "--threads", "8", "--memory-limit", "16MiB", "--format", "csv", "-q", query];
        assert_eq!(ok(folder.path(), &sql).stdout, format!("n\n{rows}\n"), "{query}");
    }
}

#[test]
fn what_cannot_spill_is_one_sentence_with_the_limit_and_the_operation() {
    let folder = tempdir().unwrap();
    let refused = |query: &str| {
        let run = warpframe(folder.path(), &["sql", "--threads", "2", "--memory-limit", "8MiB", "-q", query]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
        run.stderr
    };
    // A sort-merge join does not compare floating-point numbers.
    let hash_join = refused(
        "SELECT count(*) FROM generate_rows(1000000) a JOIN generate_rows(1000000) b ON a.x = b.x AND a.y = b.z",
    );
    assert!(hash_join.contains("the memory limit of 8.0 MB is too small for a hash join"), "{hash_join}");
    assert!(hash_join.ends_with("raise the limit\n"), "{hash_join}");
    let array = refused("SELECT array_agg(x) FROM generate_rows(3000000)");
    assert!(array.contains("the memory limit of 8.0 MB is too small for an aggregation"), "{array}");
    let set = refused(
        "SET datafusion.runtime.memory_limit = '3M'; SELECT array_agg(x) FROM generate_rows(3000000)",
    );
    assert!(set.contains("the memory limit of 3.0 MB is too small for an aggregation"), "{set}");
}

#[test]
fn joins_sort_where_a_hash_table_may_not_fit() {
    let folder = tempdir().unwrap();
    ok(folder.path(), &["generate", "--rows", "300000", "--out", "a.parquet"]);
    ok(folder.path(), &["generate", "--rows", "200000", "--out", "b.parquet"]);
    let join = "SELECT count(*) AS n FROM a JOIN b ON a.id = b.id";
    let sql = |limit: &str, query: &str| {
        let limit = ["--memory-limit", limit];
        let tables = ["--table", "a=a.parquet", "--table", "b=b.parquet"];
        let output = ["--format", "csv", "--threads", "2", "-q", query];
        let arguments: Vec<_> = ["sql"].into_iter().chain(limit).chain(tables).chain(output).collect();
        ok(folder.path(), &arguments).stdout
    };
    // 200,000 keys of 8 bytes and a hash table of 24 bytes each are 6 MiB.
    for (limit, operator) in
        [("4MiB", "SortMergeJoinExec"), ("64MiB", "HashJoinExec"), ("none", "HashJoinExec")]
    {
        let plan = sql(limit, &format!("EXPLAIN {join}"));
        assert!(plan.contains(operator), "{limit}: {plan}");
        assert_eq!(sql(limit, join), "n\n200000\n");
    }
    let kept = sql("4MiB", &format!("SET warpframe.spill_joins = false; EXPLAIN {join}"));
    assert!(kept.contains("HashJoinExec"), "{kept}");
    // Every kind of join gives the same rows.
    for kind in ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"] {
        let columns = if kind.contains("RIGHT") { "b.id" } else { "a.id" };
        let query = format!("SELECT count(*) AS n, sum({columns}) AS s FROM a {kind} b ON a.id = b.id * 2");
        let filtered = format!("{query} AND a.y + b.y > 5");
        let rows = sql("none", &query);
        let plans = sql("4MiB", &format!("{query}; EXPLAIN {query}; EXPLAIN {filtered}"));
        assert!(plans.starts_with(&rows), "{kind}: {rows} {plans}");
        let expected = if kind == "JOIN" { (2, 0) } else { (1, 1) };
        let planned = ["SortMergeJoinExec", "HashJoinExec"].map(|operator| plans.matches(operator).count());
        assert_eq!((planned[0], planned[1]), expected, "{kind}: {plans}");
    }
    // Keys that a sort-merge join does not compare.
    let floats = sql("4MiB", "EXPLAIN SELECT count(*) AS n FROM a JOIN b ON a.x = b.x");
    assert!(floats.contains("HashJoinExec"), "{floats}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_sentence_that_names_the_folder() {
    let folder = tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        return skipped("only an administrator can mount a small file system");
    }
    let sql = ["sql", "--threads", "2", "--memory-limit", "8MiB", "-q", ORDER_BY];
    let run = finish(command(folder.path()).args(sql).env("TMPDIR", &disk).output().unwrap());
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    for words in ["temporary file in", disk.to_str().unwrap(), "No space left on device", "TMPDIR"] {
        assert!(run.stderr.contains(words), "{run:#?}");
    }
}

#[test]
fn limits_are_sizes_percentages_or_none() {
    let folder = tempdir().unwrap();
    let query = ["--format", "csv", "-q", "SELECT 1 AS one"];
    for limit in ["64MiB", "50%", "none", "1.5G"] {
        let run = ok(folder.path(), &[&["sql", "--memory-limit", limit], &query[..]].concat());
        assert_eq!(run.stdout, "one\n1\n");
    }
    for limit in ["lots", "0", "150%", "-1"] {
        let limit = format!("--memory-limit={limit}");
        let run = warpframe(folder.path(), &[&["sql", &limit], &query[..]].concat());
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains("a size such as 512MiB"), "{run:#?}");
    }
}
