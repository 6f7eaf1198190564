//! Encrypted clusters: processes show certificates of one authority to each other, and nothing else is let in.

#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::process::Process;
use common::shuffle::{FetchRequest, fetch};
use common::{Run, command, finish, ok};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tempfile::{TempDir, tempdir};
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// The address of all processes: a loopback address, which is not the default one.
const HOST: &str = "127.0.0.2";

const QUERY: &str =
    "SELECT id % 5 AS key, count(*) AS n, sum(x) AS s FROM generate_rows(100000) GROUP BY key ORDER BY key";

/// The time limit for a process to exit.
const LIMIT: Duration = Duration::from_secs(60);

/// An authority that signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "cluster authority");
        Self(CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes the authority's certificate to `<name>.ca`, and a certificate for a host and its key to `<name>.pem` and
    /// `<name>.key`.
    fn write(&self, folder: &Path, name: &str, host: &str, expired: bool) {
        let mut certificate = CertificateParams::new([host.to_owned()]).unwrap();
        if expired {
            certificate.not_before = date_time_ymd(2001, 1, 1);
            certificate.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = certificate.signed_by(&key, &self.0).unwrap();
        fs::write(folder.join(format!("{name}.ca")), self.0.pem()).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// The files of a client or a server.
fn tls(name: &str) -> Vec<String> {
    [("cert", "pem"), ("key", "key"), ("ca", "ca")]
        .iter()
        .flat_map(|(option, extension)| [format!("--tls-{option}"), format!("{name}.{extension}")])
        .collect()
}

/// A user with certificates: `host` for all hosts, `other` of another authority, `both.ca` with both authorities, `expired`, and `elsewhere`, which is for
/// another address.
struct User {
    folder: TempDir,
}

impl User {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let authority = Authority::new();
        authority.write(folder.path(), "host", HOST, false);
        authority.write(folder.path(), "expired", HOST, true);
        authority.write(folder.path(), "elsewhere", "127.0.0.3", false);
        Authority::new().write(folder.path(), "other", HOST, false);
        let both = ["host.ca", "other.ca"].map(|name| fs::read_to_string(folder.path().join(name)).unwrap());
        fs::write(folder.path().join("both.ca"), both.concat()).unwrap();
        Self { folder }
    }

    fn command(&self, arguments: &[&str], tls: &[String]) -> Command {
        let mut command = command(self.folder.path());
        command.args(arguments).args(tls).env("HOME", self.folder.path());
        for variable in [
            "XDG_RUNTIME_DIR",
            "XDG_CACHE_HOME",
            "WARPFRAME_CLUSTER_TOKEN",
            "WARPFRAME_TLS_CERT",
            "WARPFRAME_TLS_KEY",
            "WARPFRAME_TLS_CA",
        ] {
            command.env_remove(variable);
        }
        command
    }

    fn run(&self, arguments: &[&str], tls: &[String]) -> Run {
        finish(self.command(arguments, tls).output().unwrap())
    }

    /// Starts a scheduler with this certificate and returns its address.
    fn scheduler(&self, tls: &[String]) -> (Process, String) {
        let scheduler = ["cluster", "scheduler", "--bind", &format!("{HOST}:0")];
        let mut scheduler = Process::spawn(&mut self.command(&scheduler, tls));
        let url = scheduler.first_line();
        (scheduler, url)
    }

    /// Starts an executor with this certificate, and waits until the cluster has this number of executors.
    fn executor(&self, url: &str, tls: &[String], expected: usize) -> Process {
        let executor = ["cluster", "executor", "--scheduler", url, "--bind", HOST, "--advertise", HOST];
        let executor = [&executor[..], &["--slots", "1"]].concat();
        let process = Process::spawn(&mut self.command(&executor, tls));
        let start = Instant::now();
        loop {
            let status = self.run(&["cluster", "status", url], tls);
            if status.stdout.matches("\nexecutor ").count() == expected {
                return process;
            }
            assert!(start.elapsed() < LIMIT, "{status:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Checks that a command has failed with one line that contains `words`.
fn expect_error(run: &Run, words: &str) {
    assert!(matches!(run.code, Some(1 | 2)) && run.stdout.is_empty(), "{run:#?}");
    assert!(run.stderr.contains(words) && run.stderr.lines().count() == 1, "'{words}' is not: {run:#?}");
}

#[test]
fn an_encrypted_cluster_answers_queries_and_writes_files() {
    let user = User::new();
    let folder = user.folder.path();
    let host = tls("host");
    let (_scheduler, url) = user.scheduler(&host);
    let _executors = [user.executor(&url, &host, 1), user.executor(&url, &host, 2)];
    let sql = ["sql", "--format", "csv", "-q", QUERY];
    let expected = ok(folder, &sql).stdout;
    let on_cluster = [&sql[..], &["--cluster", &url]].concat();
    let run = user.run(&on_cluster, &host);
    assert_eq!((run.code, &*run.stdout), (Some(0), &*expected), "{run:#?}");
    // The same with environment variables.
    let mut command = user.command(&on_cluster, &[]);
    command.env("WARPFRAME_TLS_CERT", "host.pem").env("WARPFRAME_TLS_KEY", "host.key");
    let run = finish(command.env("WARPFRAME_TLS_CA", "host.ca").output().unwrap());
    assert_eq!((run.code, &*run.stdout), (Some(0), &*expected), "{run:#?}");
    // A client's certificate needs no name of the client.
    let run = user.run(&on_cluster, &tls("elsewhere"));
    assert_eq!((run.code, &*run.stdout), (Some(0), &*expected), "{run:#?}");

    ok(folder, &["generate", "--rows", "1000", "--out", "in.parquet"]);
    let input = folder.join("in.parquet").to_string_lossy().into_owned();
    let output = folder.join("out").to_string_lossy().into_owned();
    let run = ["run", "--cluster", &url, "--in", &input, "--select", "id, x * 2 AS y", "--out", &output];
    assert_eq!(user.run(&run, &host).code, Some(0));
    let sum = ["sql", "--format", "csv", "--table", "t=out/*.parquet", "-q", "SELECT sum(y) AS s FROM t"];
    assert_eq!(ok(folder, &sum).stdout, "s\n1001000.0\n");
}

#[test]
fn who_is_not_trusted_is_told_why() {
    let user = User::new();
    let host = tls("host");
    let (_scheduler, url) = user.scheduler(&host);
    let _executor = user.executor(&url, &host, 1);
    let status = ["cluster", "status", &*url];
    let sql = ["sql", "-q", QUERY, "--cluster", &*url];
    let executor = ["cluster", "executor", "--scheduler", &*url, "--bind", HOST];
    for command in [&status[..], &sql, &executor] {
        // An executor waits for a scheduler, which can be started later, but not for another certificate.
        if command != executor {
            expect_error(
                &user.run(command, &[]),
                "without TLS: if it uses TLS, name the certificates with --tls-cert",
            );
        }
        expect_error(
            &user.run(command, &tls("other")),
            "its certificate is not signed by the authority in --tls-ca",
        );
        // A client that trusts two authorities, and has a certificate of the one that the cluster does not trust.
        let mut stranger = tls("other");
        stranger[5] = "both.ca".to_owned();
        expect_error(&user.run(command, &stranger), "does not accept the certificate in --tls-cert");
    }
    // Options that cannot work are errors before anything is connected.
    for (options, words) in [
        (&host[..4], "TLS takes three files"),
        (&["--tls-ca".to_owned(), "host.ca".to_owned()], "TLS takes three files"),
        (&tls("none"), "cannot read 'none.pem'"),
        (
            &[&host[..3], &["other.key".to_owned()], &host[4..]].concat(),
            "is not that of the certificate in 'host.pem'",
        ),
        (
            &[&host[..1], &["host.key".to_owned()], &host[2..]].concat(),
            "'host.key' holds no certificate in PEM form",
        ),
        (
            &[&host[..3], &["host.pem".to_owned()], &host[4..]].concat(),
            "'host.pem' holds no private key in PEM form",
        ),
    ] {
        expect_error(&user.run(&status, options), words);
    }
    // A server whose certificate is for another address, and one without TLS.
    for (server, words) in
        [(tls("elsewhere"), "its certificate is for other names"), (Vec::new(), "it does not use TLS")]
    {
        let (_scheduler, url) = user.scheduler(&server);
        expect_error(&user.run(&["cluster", "status", &url], &host), words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_certificate_are_refused() {
    let user = User::new();
    let host = tls("host");
    let (_scheduler, url) = user.scheduler(&host);
    let _executor = user.executor(&url, &host, 1);
    let status = user.run(&["cluster", "status", &url, "--json"], &host);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let executor = format!("https://{}", status["executors"][0]["address"].as_str().unwrap());
    let read = |name: &str| fs::read(user.folder.path().join(name)).unwrap();
    for address in [url.replace("df:", "https:"), executor] {
        let code = async |tls: Option<ClientTlsConfig>| {
            let endpoint = Endpoint::from_shared(match tls {
                Some(_) => address.clone(),
                None => address.replace("https:", "http:"),
            });
            let endpoint = match tls {
                Some(tls) => endpoint.unwrap().tls_config(tls).unwrap(),
                None => endpoint.unwrap(),
            };
            // In TLS 1.3 the server refuses a client after the client's part of the handshake.
            match endpoint.connect().await {
                Ok(channel) => fetch(channel, FetchRequest::default()).await.unwrap_err().code(),
                Err(_) => Code::Unavailable,
            }
        };
        let authority = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("host.ca")));
        let identity = Identity::from_pem(read("host.pem"), read("host.key"));
        // With a certificate, the request without a token arrives.
        assert_eq!(code(Some(authority.clone().identity(identity))).await, Code::Unauthenticated);
        for tls in [Some(authority), None] {
            assert_ne!(code(tls).await, Code::Unauthenticated, "{address}");
        }
    }
}

#[test]
fn other_addresses_need_tls_or_consent() {
    let user = User::new();
    let scheduler = ["cluster", "scheduler", "--bind", "0.0.0.0:0"];
    let executor = ["cluster", "executor", "--scheduler", "127.0.0.1:1", "--bind", "0.0.0.0"];
    for command in [&scheduler[..], &executor] {
        expect_error(&user.run(command, &[]), "connections through 0.0.0.0 would not be encrypted");
    }
    let insecure = ["--insecure".to_owned()];
    let mut process = Process::spawn(&mut user.command(&scheduler, &insecure));
    assert!(process.first_line().starts_with("df://0.0.0.0:"));
    process.signal("INT");
    let run = process.wait(LIMIT);
    assert!(run.stderr.contains("warning: connections through 0.0.0.0 are not encrypted"), "{run:#?}");
    let mut process = Process::spawn(&mut user.command(&scheduler, &tls("host")));
    assert!(process.first_line().starts_with("df://0.0.0.0:"));
    process.signal("INT");
    assert_eq!(process.wait(LIMIT).stderr, "interrupted\n");
}
