//! Files of the web, of Google Cloud Storage and of Azure, from a local server.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use super::common::web::Web;
use super::common::{Run, command, finish, ok};

/// The command with the settings of the stores that the server plays.
fn at_server(web: &Web, folder: &Path) -> Command {
    let mut command = command(folder);
    let key = format!(
        "{{\"private_key\":\"\",\"private_key_id\":\"\",\"client_email\":\"\",\"disable_oauth\":true,\
         \"gcs_base_url\":\"http://{}\"}}",
        web.address
    );
    command
        .env("GOOGLE_SERVICE_ACCOUNT_KEY", key)
        .env("AZURE_STORAGE_USE_EMULATOR", "true")
        .env("AZURITE_BLOB_STORAGE_URL", format!("http://{}", web.address))
        .env("NO_PROXY", "127.0.0.1");
    command
}

fn sql(web: &Web, folder: &Path, statement: &str) -> Run {
    finish(at_server(web, folder).args(["sql", "--format", "csv", statement]).output().unwrap())
}

#[test]
fn files_of_the_web_are_read() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let web = Web::start();
    ok(at, &["generate", "--rows", "1000", "--out", "rows.parquet"]);
    web.put("/data/rows.parquet", fs::read(at.join("rows.parquet")).unwrap());
    web.put("/data/a b.csv", "id,v\n1,2.5\n2,3.5\n");
    web.put("/data/c.ndjson", "{\"id\":7}\n");
    web.put("/data/noext", "id\n5\n");
    let url = |name: &str| format!("http://{}/data/{name}", web.address);
    for (statement, rows) in [
        (format!("SELECT count(*) AS n, sum(id) AS s FROM '{}'", url("rows.parquet")), "n,s\n1000,499500\n"),
        (format!("SELECT sum(v) AS s FROM '{}'", url("a%20b.csv")), "s\n6.0\n"),
        (format!("SELECT c.id FROM '{}'", url("c.ndjson")), "id\n7\n"),
        (format!("SELECT id FROM read_csv('{}')", url("noext")), "id\n5\n"),
        (
            format!(
                "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'; SELECT max(id) AS m FROM t",
                url("rows.parquet")
            ),
            "m\n999\n",
        ),
    ] {
        let run = sql(&web, at, &statement);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), rows, ""), "{statement}");
    }
    let requests = web.requests();
    assert!(requests.iter().any(|request| request.starts_with("GET /data/rows.parquet")), "{requests:?}");
    for (name, words) in [
        ("none.csv", "none.csv': there is no such object"),
        ("denied.csv", "denied.csv': access is denied"),
        ("broken.csv", "broken.csv': the server answers 501 Not Implemented"),
        ("", "a URL of http or https names one file"),
        ("c.ndjson?key=1", "a URL of http or https names one file"),
        ("noext", "has none of the extensions"),
    ] {
        let run = sql(&web, at, &format!("FROM '{}'", url(name)));
        assert_eq!(run.code, Some(1), "{name}: {run:?}");
        assert!(run.stderr.contains(words) && run.stderr.lines().count() == 1, "{name}: {}", run.stderr);
    }
    web.ignore_ranges();
    let run = sql(&web, at, &format!("SELECT sum(v) AS s FROM '{}'", url("a%20b.csv")));
    assert_eq!(run.stdout, "s\n6.0\n", "{run:?}");
    let run = sql(&web, at, &format!("SELECT count(*) FROM '{}'", url("rows.parquet")));
    assert!(run.stderr.contains("does not send parts of files"), "{run:?}");
    let out = at_server(&web, at)
        .args(["run", "--in", "rows.parquet", "--select", "id", "--out", &url("o")])
        .output();
    let run = finish(out.unwrap());
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("http") && run.stderr.lines().count() == 1, "{}", run.stderr);
}

#[test]
fn buckets_of_google_and_containers_of_azure_are_read() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let web = Web::start();
    for base in ["/rows", "/devstoreaccount1/rows"] {
        web.put(&format!("{base}/d/m=1/a.csv"), "id\n1\n2\n");
        web.put(&format!("{base}/d/m=2/sub/b.csv"), "id\n3\n");
        web.put(&format!("{base}/d/_SUCCESS"), "");
        web.put(&format!("{base}/d/notes.txt"), "text");
        web.put(&format!("{base}/denied.csv"), "");
    }
    for scheme in ["gs", "az", "abfs"] {
        for (statement, rows) in [
            ("SELECT sum(id * m) AS s FROM 'SCHEME://rows/d/'", "s\n9\n"),
            ("SELECT sum(id) AS s FROM 'SCHEME://rows/d/m=1/*.csv'", "s\n3\n"),
            ("SELECT sum(id) AS s FROM 'SCHEME://rows/d/**/*.csv'", "s\n6\n"),
            ("SELECT sum(id) AS s FROM 'SCHEME://rows/d/m=1/a.csv'", "s\n3\n"),
        ] {
            let run = sql(&web, at, &statement.replace("SCHEME", scheme));
            assert_eq!(
                (run.code, run.stdout.as_str()),
                (Some(0), rows),
                "{scheme} {statement}: {run:?} {:?}",
                web.requests()
            );
            assert_eq!(
                run.stderr.contains("without 1 other file"),
                statement.contains("d/'"),
                "{}",
                run.stderr
            );
        }
        for (url, words) in [
            ("SCHEME://rows/none.csv", "there is no such object"),
            ("SCHEME://none/d/", "there is no such"),
            ("SCHEME://rows/denied.csv", "access is denied: check"),
        ] {
            let run = sql(&web, at, &format!("FROM '{}'", url.replace("SCHEME", scheme)));
            assert_eq!(run.code, Some(1), "{scheme} {url}: {run:?}");
            assert!(
                run.stderr.contains(words) && run.stderr.lines().count() == 1,
                "{scheme} {url}: {}",
                run.stderr
            );
        }
    }
}

#[test]
fn a_host_that_is_not_there_is_one_sentence() {
    let folder = tempdir().unwrap();
    let web = Web::start();
    let run = sql(&web, folder.path(), "FROM 'https://host.invalid/x.csv'");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("x.csv': the server cannot be reached: "), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    for (url, words) in [
        ("ftp://host/x.csv", "unsupported scheme: use a path, or s3://BUCKET/PATH, gs://"),
        ("s3:///x.csv", "names no bucket or host"),
        ("az://rows/x.csv", "Account must be specified: check AZURE_STORAGE_ACCOUNT_NAME"),
    ] {
        let statement = format!("FROM '{url}'");
        let mut command = command(folder.path());
        command.env_remove("AZURE_STORAGE_ACCOUNT_NAME").env_remove("AZURE_STORAGE_USE_EMULATOR");
        let run = finish(command.args(["sql", &statement]).output().unwrap());
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
}

#[test]
fn endpoints_and_variables_are_those_of_other_tools() {
    let folder = tempdir().unwrap();
    let web = Web::start();
    let address = format!("http://{}", web.address);
    for base in ["/rows", "/account/rows"] {
        web.put(&format!("{base}/a.csv"), "id\n1\n2\n");
    }
    let aws = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "us-east-1")];
    let connection = format!(
        "DefaultEndpointsProtocol=http;AccountName=account;AccountKey=a2V5;BlobEndpoint={address}/account"
    );
    let endpoint = format!("{address}/account");
    for (url, variables) in [
        ("s3://rows/a.csv", vec![("AWS_ENDPOINT_URL", address.as_str())]),
        ("s3://rows/a.csv", vec![("AWS_ENDPOINT_URL_S3", address.as_str())]),
        ("az://rows/a.csv", vec![("AZURE_STORAGE_CONNECTION_STRING", connection.as_str())]),
        (
            "az://rows/a.csv",
            vec![
                ("AZURE_STORAGE_ACCOUNT", "account"),
                ("AZURE_STORAGE_KEY", "a2V5"),
                ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
            ],
        ),
    ] {
        let mut command = command(folder.path());
        command.envs(aws).envs(variables.iter().copied()).env("NO_PROXY", "127.0.0.1");
        let statement = format!("SELECT sum(id) AS s FROM '{url}'");
        let run = finish(command.args(["sql", "--format", "csv", &statement]).output().unwrap());
        assert_eq!(run.stdout, "s\n3\n", "{url} {variables:?}: {run:?} {:?}", web.requests());
    }
}
