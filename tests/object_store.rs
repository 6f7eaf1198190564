//! Runs from an object store into an object store: moto's S3 server, here and on a cluster.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{command, finish, skipped};
use tempfile::tempdir;

/// A server with one bucket, `rows`, that is stopped with the value.
struct Store {
    server: Child,
    address: String,
}

impl Store {
    /// None where the server is not installed.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let Ok(python) = std::env::var("WARPFRAME_PYTHON") else {
            skipped("object stores: WARPFRAME_PYTHON does not name an interpreter that has moto[server]");
            return None;
        };
        let server = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self { server, address: format!("127.0.0.1:{port}") };
        let start = Instant::now();
        while TcpStream::connect(&store.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "moto's server does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(store.ask("PUT", "/rows").contains("200 OK"));
        Some(store)
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The names of all objects, and of uploads that were not finished.
    fn objects(&self) -> Vec<String> {
        let keys = |listing: String| {
            let keys = listing.split("<Key>").skip(1);
            keys.map(|key| key.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        [keys(self.ask("GET", "/rows?list-type=2")), keys(self.ask("GET", "/rows?uploads"))].concat()
    }

    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = command(folder);
        command
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_ALLOW_HTTP", "true");
        command
    }

    fn ok(&self, folder: &Path, arguments: &[&str]) -> String {
        let run = finish(self.command(folder, arguments).output().unwrap());
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:#?}");
        run.stdout
    }

    /// Expects an error with these words that changes nothing.
    fn refused(&self, folder: &Path, arguments: &[&str], words: &str) {
        let before = self.objects();
        let run = finish(self.command(folder, arguments).output().unwrap());
        assert_eq!(run.code, Some(1), "{arguments:?}: {run:#?}");
        assert!(run.stderr.contains(words), "{arguments:?}: '{words}' is not in: {}", run.stderr);
        // What tasks of a failed query are still sending they remove when it is there.
        let start = Instant::now();
        while self.objects() != before && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(self.objects(), before, "{arguments:?} left something behind");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

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
            store.refused(folder, &run, "exists already");
            store.ok(folder, &[&run[..], &["--overwrite"]].concat());
            let table =
                format!("b={}", if out.ends_with(".parquet") { out.clone() } else { format!("{out}/") });
            let query = "SELECT (SELECT count(*) FROM b) AS n, count(*) AS same FROM a JOIN b ON a.id = b.id AND a.r = b.r";
            let sql =
                ["sql", "--table", "a=expected.parquet", "--table", &table, "--format", "csv", "-q", query];
            assert_eq!(store.ok(folder, &sql), "n,same\n300000,300000\n");
        }
        // Fewer files than before, and none of the old ones is left; nor anything else.
        let run =
            ["run", "--in", "s3://rows/in/part-00000.parquet", "--where", "id < 10", "--select", SELECT];
        store.ok(folder, &[&run[..], &["--out", &folder_out, "--overwrite"], more].concat());
        let objects = store.objects();
        let (ours, others): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| object.starts_with(place));
        assert_eq!(ours, [format!("{place}/out.parquet"), format!("{place}/out/part-00000.parquet")]);
        assert_eq!(others.iter().filter(|object| object.starts_with("in/")).count(), 3);
        // What fails leaves nothing.
        let run = ["run", "--in", "s3://rows/in/", "--select", "sqrt(-x) AS r", "--out", "s3://rows/no"];
        store.refused(folder, &[&run[..], more].concat(), "square root of a negative number");
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
fn what_is_not_there_is_said() {
    let Some(store) = Store::start() else { return };
    let folder = tempdir().unwrap();
    let cases = [
        ("s3://rows/none/", "there is no *.parquet object"),
        ("s3://rows/none", "the URL of a folder ends in '/'"),
        ("s3://other/none/", "there is no such bucket"),
        ("ftp://rows/none/", "use a path, or s3://BUCKET/PATH"),
    ];
    for (input, words) in cases {
        let run = ["run", "--in", input, "--select", SELECT, "--out", "out"];
        store.refused(folder.path(), &run, words);
    }
    store.ok(folder.path(), &["generate", "--rows", "10", "--out", "in.parquet"]);
    let run = |out| ["run", "--in", "in.parquet", "--select", SELECT, "--out", out];
    store.refused(folder.path(), &run("s3://other/out"), "there is no such bucket");
    store.refused(folder.path(), &run("s3://rows"), "name a place in it");
}
