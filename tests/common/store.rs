//! An object store for tests: moto's S3 server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{command, finish, skipped};

/// A server with the bucket `rows`, stopped on drop.
pub struct Store {
    server: Child,
    pub address: String,
}

impl Store {
    /// Starts a server; `None` if moto is not installed.
    pub fn start() -> Option<Self> {
        let Ok(python) = std::env::var("WARPFRAME_PYTHON") else {
            skipped("object stores: WARPFRAME_PYTHON does not name an interpreter that has moto[server]");
            return None;
        };
        let mut server = Command::new(python)
            // Port 0: the server binds a free port and logs it.
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("Running on http://")?.1.trim().to_owned()));
        let store = Self { server, address: address.expect("moto logs its address") };
        // The server blocks when the pipe of its log is full.
        std::thread::spawn(move || lines.for_each(drop));
        assert!(store.request("PUT", "/rows").contains("200 OK"));
        Some(store)
    }

    /// Sends an HTTP request and returns the response.
    pub fn request(&self, method: &str, path: &str) -> String {
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

    /// Creates an object of the bucket.
    pub fn put(&self, key: &str, text: &str) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, text.len());
        let request = format!(
            "PUT /rows/{key} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("200 OK"), "{answer}");
    }

    /// The keys of all objects and of incomplete multipart uploads.
    pub fn objects(&self) -> Vec<String> {
        let keys = |listing: String| {
            let keys = listing.split("<Key>").skip(1);
            keys.map(|key| key.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        [keys(self.request("GET", "/rows?list-type=2")), keys(self.request("GET", "/rows?uploads"))].concat()
    }

    /// The keys and ETags of all objects.
    pub fn versions(&self) -> Vec<(String, String)> {
        let listing = self.request("GET", "/rows?list-type=2");
        let field = |object: &str, name: &str| {
            let value = object.split(&format!("<{name}>")).nth(1).unwrap();
            value.split('<').next().unwrap().to_owned()
        };
        let objects = listing.split("<Contents>").skip(1);
        objects.map(|object| (field(object, "Key"), field(object, "ETag"))).collect()
    }

    /// The command with the store's address and credentials in its environment.
    pub fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        self.command_at(&self.address, folder, arguments)
    }

    /// The command with another address for the store, such as that of a proxy.
    pub fn command_at(&self, address: &str, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = command(folder);
        command.args(arguments);
        set_store_env(&mut command, address);
        command
    }

    /// Sets the store's address and credentials in the environment of a command.
    pub fn set_env(&self, command: &mut Command) {
        set_store_env(command, &self.address);
    }

    /// Runs the command and expects success; returns its output.
    pub fn ok(&self, folder: &Path, arguments: &[&str]) -> String {
        let run = finish(self.command(folder, arguments).output().unwrap());
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:#?}");
        run.stdout
    }

    /// Runs the command and expects an error that contains `words` and leaves the store unchanged.
    pub fn expect_failure(&self, folder: &Path, arguments: &[&str], words: &str) {
        let before = self.objects();
        let run = finish(self.command(folder, arguments).output().unwrap());
        assert_eq!(run.code, Some(1), "{arguments:?}: {run:#?}");
        assert!(run.stderr.contains(words), "{arguments:?}: '{words}' is not in: {}", run.stderr);
        // Tasks of a failed query remove their uploads asynchronously.
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

fn set_store_env(command: &mut Command, address: &str) {
    command
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_ALLOW_HTTP", "true");
}
