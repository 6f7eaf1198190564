//! Reading from and writing to an object store, moto's S3 server, with and without a cluster.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::proxy::{Action, Proxy};
use common::store::Store;
use common::{Run, finish};
use tempfile::tempdir;

const SELECT: &str = "id, log3(x, y, z) AS r";

#[test]
fn runs_read_and_write_object_stores() {
    let Some(store) = Store::start() else { return };
    let folder = tempdir().unwrap();
    let folder = folder.path();
    store.ok(folder, &["generate", "--rows", "300000", "--files", "3", "--out", "s3://rows/in"]);
    store.ok(folder, &["generate", "--rows", "300000", "--files", "3", "--out", "in"]);
    store.ok(folder, &["run", "--in", "in", "--select", SELECT, "--out", "expected.parquet"]);

    let mut local =
        store.command(folder, &["cluster", "local", "--executors", "2", "--slots", "2", "--port", "0"]);
    let mut cluster = local.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(cluster.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    let on_cluster = ["--cluster", url.trim()];

    for (place, more) in [("here", &[][..]), ("cluster", &on_cluster[..])] {
        let folder_out = format!("s3://rows/{place}/out");
        let file_out = format!("s3://rows/{place}/out.parquet");
        for (input, out) in [("s3://rows/in/", &folder_out), ("s3://rows/in/*.parquet", &file_out)] {
            let run = [&["run", "--in", input, "--select", SELECT, "--out", out], more].concat();
            store.ok(folder, &run);
            store.expect_failure(folder, &run, "exists already");
            store.ok(folder, &[&run[..], &["--overwrite"]].concat());
            let table =
                format!("b={}", if out.ends_with(".parquet") { out.clone() } else { format!("{out}/") });
            let query = "SELECT (SELECT count(*) FROM b) AS n, count(*) AS same FROM a JOIN b ON a.id = b.id AND a.r = b.r";
            let sql =
                ["sql", "--table", "a=expected.parquet", "--table", &table, "--format", "csv", "-q", query];
            assert_eq!(store.ok(folder, &sql), "n,same\n300000,300000\n");
        }
        // An overwrite with fewer files leaves none of the old files and no other objects.
        let run =
            ["run", "--in", "s3://rows/in/part-00000*.parquet", "--where", "id < 10", "--select", SELECT];
        store.ok(folder, &[&run[..], &["--out", &folder_out, "--overwrite"], more].concat());
        let objects = store.objects();
        let (ours, others): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| object.starts_with(place));
        // New files do not reuse the names of replaced ones.
        assert!(ours.len() == 2 && ours[0] == format!("{place}/out.parquet"), "{ours:?}");
        assert!(ours[1].starts_with(&format!("{place}/out/part-00000-")), "{ours:?}");
        assert_eq!(others.iter().filter(|object| object.starts_with("in/")).count(), 3);
        // A failed run leaves no objects.
        let run = ["run", "--in", "s3://rows/in/", "--select", "sqrt(-x) AS r", "--out", "s3://rows/no"];
        store.expect_failure(folder, &[&run[..], more].concat(), "square root of a negative number");
        let run = ["run", "--in", "in", "--select", SELECT, "--out", "s3://rows/in", "--overwrite"];
        store.ok(folder, &[&run[..], more].concat());
        store.ok(
            folder,
            &["generate", "--rows", "300000", "--files", "3", "--out", "s3://rows/in", "--overwrite"],
        );
    }
    let stopped = Command::new("kill").args(["-INT", &cluster.id().to_string()]).status();
    assert!(stopped.unwrap().success());
    cluster.wait().unwrap();
}

#[test]
fn hidden_objects_are_no_data_and_folders_are_partitions() {
    let Some(store) = Store::start() else { return };
    let folder = tempdir().unwrap();
    let folder = folder.path();
    for place in ["d/m=01", "d/m=02", "d/_temporary", "d/.hidden"] {
        store.ok(folder, &["generate", "--rows", "3", "--out", &format!("s3://rows/{place}/x.parquet")]);
    }
    store.ok(folder, &["generate", "--rows", "3", "--out", "s3://rows/d/m=01/_x.parquet"]);
    for (name, text) in
        [("c/1.csv", "id,s\n1,a\n"), ("c/2.csv", "s,id\n\"b\nc\",2\n"), ("c/_SUCCESS", "no data")]
    {
        store.put(name, text);
    }
    let rows = |table: &str, query: &str| {
        store.ok(folder, &["sql", "--table", table, "--format", "csv", "-q", query])
    };
    let query = "SELECT m, count(*) AS n FROM t WHERE m > 0 GROUP BY m ORDER BY m";
    assert_eq!(rows("t=s3://rows/d/", query), "m,n\n1,3\n2,3\n");
    assert_eq!(rows("t=s3://rows/d/m=01/*.parquet", "SELECT count(*) AS n FROM t"), "n\n3\n");
    assert_eq!(rows("t=s3://rows/d/m=01/_x.parquet", "SELECT count(*) AS n FROM t"), "n\n3\n");
    for table in ["t=s3://rows/c/", "t=s3://rows/c/*.csv"] {
        let csv = rows(table, "SELECT id, length(s) AS l FROM t ORDER BY id");
        assert_eq!(csv, "id,l\n1,1\n2,3\n", "{table}");
    }
    let create =
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://rows/d/m=01/'; SELECT count(*) AS n FROM t";
    assert_eq!(store.ok(folder, &["sql", "--format", "csv", "-q", create]), "n\n3\n");
    store.ok(folder, &["run", "--in", "s3://rows/d/", "--select", "m, id", "--out", "out.parquet"]);
    assert_eq!(rows("t=out.parquet", "SELECT count(*) AS n, sum(m) AS s FROM t"), "n,s\n6,9\n");
    // Hidden objects are still not replaced.
    let run = [
        "run",
        "--in",
        "s3://rows/d/m=02/",
        "--select",
        "id",
        "--out",
        "s3://rows/d/_temporary",
        "--overwrite",
    ];
    store.ok(folder, &run);
    let run = ["run", "--in", "s3://rows/d/m=02/", "--select", "id", "--out", "s3://rows/c", "--overwrite"];
    store.expect_failure(folder, &run, "'1.csv', which is not a Parquet file");
}

#[test]
fn errors_name_missing_objects_and_buckets() {
    let Some(store) = Store::start() else { return };
    let folder = tempdir().unwrap();
    let cases = [
        ("s3://rows/none/", "there is no object"),
        ("s3://rows/none", "the URL of a folder ends in '/'"),
        ("s3://other/none/", "there is no such bucket"),
        ("ftp://rows/none/", "use a path, or s3://BUCKET/PATH"),
    ];
    for (input, words) in cases {
        let run = ["run", "--in", input, "--select", SELECT, "--out", "out"];
        store.expect_failure(folder.path(), &run, words);
    }
    store.ok(folder.path(), &["generate", "--rows", "10", "--out", "in.parquet"]);
    let run = |out| ["run", "--in", "in.parquet", "--select", SELECT, "--out", out];
    store.expect_failure(folder.path(), &run("s3://other/out"), "there is no such bucket");
    store.expect_failure(folder.path(), &run("s3://rows"), "name a place in it");
}

/// A store and a proxy for it. The bucket has three objects of ten rows each in `out/`, and `x.parquet` with ten rows.
fn with_outputs(folder: &Path) -> Option<(Store, Proxy)> {
    let store = Store::start()?;
    store.ok(folder, &["generate", "--rows", "30", "--files", "3", "--out", "s3://rows/out"]);
    store.ok(folder, &["generate", "--rows", "10", "--out", "s3://rows/x.parquet"]);
    store.ok(folder, &["generate", "--rows", "2500000", "--files", "3", "--out", "in"]);
    let proxy = Proxy::start(&store.address);
    Some((store, proxy))
}

/// Runs a command and interrupts it (SIGINT) during its `count`-th request of the kind `moment`.
fn interrupted(
    store: &Store,
    proxy: &Proxy,
    folder: &Path,
    arguments: &[&str],
    moment: &'static str,
    count: usize,
) -> Run {
    let mut seen = 0;
    proxy.set_rule(move |head| {
        seen += usize::from(is_request(head, moment));
        if seen >= count && is_request(head, moment) { Action::Hold } else { Action::Forward }
    });
    let mut command = store.command_at(&proxy.address, folder, arguments);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    proxy.wait_for_held();
    let sent = Command::new("kill").args(["-INT", &running.id().to_string()]).status();
    assert!(sent.unwrap().success());
    // The command handles the signal while the store does not respond.
    std::thread::sleep(Duration::from_millis(300));
    proxy.release();
    finish(running.wait_with_output().unwrap())
}

/// Whether a request is of a kind.
fn is_request(head: &str, kind: &str) -> bool {
    let line = head.lines().next().unwrap();
    match kind {
        "begin" => line.starts_with("POST") && line.contains("?uploads"),
        "part" => line.starts_with("PUT") && line.contains("partNumber="),
        "complete" => line.starts_with("POST") && line.contains("uploadId="),
        "copy" => head.to_ascii_lowercase().contains("x-amz-copy-source"),
        "remove" => line.starts_with("POST") && line.contains("?delete"),
        other => panic!("no kind of request is called {other}"),
    }
}

#[test]
fn an_interrupted_overwrite_leaves_the_old_output() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let Some((store, proxy)) = with_outputs(folder) else { return };
    let run = ["run", "--in", "in", "--select", SELECT, "--threads", "3", "--overwrite", "--out"];
    let generate = ["generate", "--rows", "2000000", "--overwrite", "--out"];
    let old = store.objects();
    let versions = store.versions();
    for command in [&run[..], &generate[..]] {
        for (out, moment, count) in [
            ("s3://rows/out", "begin", 1),
            ("s3://rows/out", "begin", 2),
            ("s3://rows/out", "part", 1),
            ("s3://rows/out", "part", 2),
            ("s3://rows/out", "complete", 1),
            ("s3://rows/out", "complete", 2),
            ("s3://rows/x.parquet", "begin", 1),
            ("s3://rows/x.parquet", "part", 1),
            ("s3://rows/x.parquet", "part", 2),
        ] {
            let files =
                if command == generate && !out.ends_with(".parquet") { &["--files", "3"][..] } else { &[] };
            let command = [command, &[out], files].concat();
            let ended = interrupted(&store, &proxy, folder, &command, moment, count);
            assert_eq!(ended.code, Some(130), "{moment}: {ended:#?}");
            assert!(!ended.stderr.contains("warning"), "{moment}: {ended:#?}");
            assert_eq!(store.objects(), old, "{command:?} {out} {moment} {count}");
            assert_eq!(store.versions(), versions, "{command:?} {out} {moment} {count}");
        }
    }
    // An interruption after the new output is complete does not stop the removal of the old one.
    interrupted(&store, &proxy, folder, &[&run[..], &["s3://rows/out"]].concat(), "remove", 1);
    let left = store.objects();
    assert!(left.len() > 1 && !old[..3].iter().any(|object| left.contains(object)), "{left:?}");
    interrupted(&store, &proxy, folder, &[&run[..], &["s3://rows/x.parquet"]].concat(), "complete", 1);
    for table in ["t=s3://rows/out/", "t=s3://rows/x.parquet"] {
        let count = ["sql", "--table", table, "--format", "csv", "-q", "SELECT count(*) AS n FROM t"];
        assert_eq!(store.ok(folder, &count), "n\n2500000\n", "{table}");
    }
}

#[test]
fn an_interrupted_overwrite_on_a_cluster_leaves_the_old_output() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let Some((store, proxy)) = with_outputs(folder) else { return };
    let (old, versions) = (store.objects(), store.versions());
    let local = ["cluster", "local", "--executors", "1", "--slots", "2", "--port", "0"];
    let mut local = store.command_at(&proxy.address, folder, &local);
    let mut cluster = local.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(cluster.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    let input = folder.join("in").to_string_lossy().into_owned();
    let run = ["run", "--cluster", url.trim(), "--in", &input, "--select", SELECT, "--overwrite", "--out"];
    let run = [&run[..], &["s3://rows/out"]].concat();
    for (moment, count) in [("part", 1), ("complete", 2), ("copy", 1), ("copy", 2)] {
        let ended = interrupted(&store, &proxy, folder, &run, moment, count);
        assert_eq!(ended.code, Some(130), "{moment}: {ended:#?}");
        // Cancelled tasks remove their uploads asynchronously, and requests in flight may complete before that: waits
        // until the objects have not changed for two seconds.
        let (start, mut since) = (Instant::now(), Instant::now());
        while since.elapsed() < Duration::from_secs(2) && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(100));
            if store.objects() != old {
                since = Instant::now();
            }
        }
        assert_eq!(store.objects(), old, "{moment} {count}: {ended:#?}");
        assert_eq!(store.versions(), versions, "{moment} {count}");
    }
    let stopped = Command::new("kill").args(["-INT", &cluster.id().to_string()]).status();
    assert!(stopped.unwrap().success());
    cluster.wait().unwrap();
}

#[test]
fn denied_requests_lose_no_data_and_errors_name_the_objects() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let Some((store, proxy)) = with_outputs(folder) else { return };
    let (old, versions) = (store.objects(), store.versions());
    let run = ["run", "--in", "in", "--select", SELECT, "--threads", "3", "--overwrite", "--out"];
    let refused = |kind: &'static str, count: usize, out: &str| {
        let mut seen = 0;
        proxy.set_rule(move |head| {
            seen += usize::from(is_request(head, kind));
            if seen >= count && is_request(head, kind) { Action::Deny } else { Action::Forward }
        });
        let mut command = store.command_at(&proxy.address, folder, &[&run[..], &[out]].concat());
        let ended = finish(command.output().unwrap());
        assert_eq!(ended.code, Some(1), "{kind}: {ended:#?}");
        ended.stderr
    };
    // Uploads that fail.
    for (kind, count, out) in [
        ("begin", 2, "s3://rows/out"),
        ("part", 2, "s3://rows/out"),
        ("complete", 2, "s3://rows/out"),
        ("part", 2, "s3://rows/x.parquet"),
        ("complete", 1, "s3://rows/x.parquet"),
    ] {
        let message = refused(kind, count, out);
        assert!(
            message.contains("cannot write 's3://rows/") && message.contains("access is denied"),
            "{message}"
        );
        assert_eq!(store.objects(), old, "{kind} {count} {out}");
        assert_eq!(store.versions(), versions, "{kind} {count} {out}");
    }
    // Without the permission to delete objects, the new output is complete and the old objects remain.
    let message = refused("remove", 1, "s3://rows/out");
    assert!(message.contains("the new output in 's3://rows/out' is whole"), "{message}");
    for object in &old[..3] {
        assert!(message.contains(&format!("'s3://rows/{object}'")), "{message}");
    }
    assert!(message.contains("access is denied"), "{message}");
    let left = store.objects();
    assert!(left.len() > old.len() && old.iter().all(|object| left.contains(object)), "{left:?}");
    assert!(versions.iter().all(|version| store.versions().contains(version)));
}

#[test]
fn readers_do_not_see_the_objects_of_a_killed_overwrite() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let Some((store, proxy)) = with_outputs(folder) else { return };
    let run =
        ["run", "--in", "in", "--select", SELECT, "--threads", "3", "--overwrite", "--out", "s3://rows/out"];
    let mut seen = 0;
    proxy.set_rule(move |head| {
        seen += usize::from(is_request(head, "complete"));
        if seen >= 2 && is_request(head, "complete") { Action::Hold } else { Action::Forward }
    });
    let old = store.objects();
    let running = store.command_at(&proxy.address, folder, &run).stderr(Stdio::null()).spawn();
    let mut running = running.unwrap();
    proxy.wait_for_held();
    running.kill().unwrap();
    running.wait().unwrap();
    let left = store.objects();
    let new = left.iter().filter(|name| name.starts_with("out/part-") && !old.contains(name)).count();
    assert!(new >= 1 && left.contains(&"out/.warpframe-commit".to_owned()), "{left:?}");
    let create =
        "CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION 's3://rows/out/'; SELECT count(*) AS n FROM e";
    assert_eq!(store.ok(folder, &["sql", "--format", "csv", "-q", create]), "n\n30\n");
    for table in ["t=s3://rows/out/", "t=s3://rows/out/*.parquet"] {
        let count = ["sql", "--table", table, "--format", "csv", "-q", "SELECT count(*) AS n FROM t"];
        assert_eq!(store.ok(folder, &count), "n\n30\n", "{table}");
    }
    // The run may be active; a later one takes the output over, which the tests of the crate with a store in memory check.
    store.expect_failure(folder, &run, "another run is publishing it");
}

#[test]
fn a_store_without_conditional_requests_is_written() {
    let Some(store) = Store::start() else { return };
    let folder = tempdir().unwrap();
    for more in [&[][..], &["--overwrite"]] {
        for out in ["s3://rows/out", "s3://rows/x.parquet"] {
            let generate = [&["generate", "--rows", "30", "--out", out], more].concat();
            let mut command = store.command(folder.path(), &generate);
            let ended = finish(command.env("AWS_CONDITIONAL_PUT", "disabled").output().unwrap());
            assert_eq!(ended.code, Some(0), "{ended:#?}");
            assert_eq!(store.objects().iter().filter(|name| name.starts_with("out/")).count(), 1);
        }
    }
    assert_eq!(store.objects().len(), 2);
}
