//! A local cluster of real processes: `warpframe cluster local`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use super::process::Process;
use super::{command, ok, warpframe};

/// The time limit for anything that should happen soon.
const LIMIT: Duration = Duration::from_secs(120);

/// A running local cluster, which is stopped on drop.
pub struct LocalProcesses {
    process: Process,
    pub url: String,
    folder: TempDir,
}

impl LocalProcesses {
    /// Starts a cluster with these options, such as `["--executors", "3"]`.
    pub fn start(options: &[&str]) -> Self {
        let folder = tempdir().unwrap();
        let command = command(folder.path());
        Self::start_with(command, folder, options)
    }

    /// Starts a cluster by a command in this folder.
    pub fn start_with(mut command: Command, folder: TempDir, options: &[&str]) -> Self {
        let temporary = folder.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        // A file, because nothing would read a pipe.
        let log = File::create(folder.path().join("log")).unwrap();
        command.args(["cluster", "local", "--port", "0"]).args(options).env("TMPDIR", temporary);
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut process = Process(process.unwrap());
        let url = process.first_line();
        let cluster = Self { process, url, folder };
        assert!(cluster.url.starts_with("df://"), "the cluster did not start: {}", cluster.log());
        cluster
    }

    /// The folder in which commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the cluster has written to stderr.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder().join("log")).unwrap()).into_owned()
    }

    /// The status; `Null` if the cluster does not answer.
    pub fn status(&self) -> serde_json::Value {
        let run = warpframe(self.folder(), &["cluster", "status", &self.url, "--json"]);
        serde_json::from_str(&run.stdout).unwrap_or_default()
    }

    /// The names of the registered executors.
    pub fn executors(&self) -> Vec<String> {
        let status = self.status();
        let executors = status["executors"].as_array().into_iter().flatten();
        executors.map(|executor| executor["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The processes of the executors.
    pub fn processes(&self) -> Vec<u32> {
        let parent = self.process.0.id();
        let mut processes = Vec::new();
        // A child is listed with the thread that has started it.
        for thread in std::fs::read_dir(format!("/proc/{parent}/task")).unwrap() {
            let children = std::fs::read_to_string(thread.unwrap().path().join("children"));
            let children = children.unwrap_or_default();
            processes.extend(children.split_whitespace().map(|process| process.parse::<u32>().unwrap()));
        }
        processes
    }

    /// The folders of the jobs whose files are on the executors.
    pub fn job_folders(&self) -> Vec<PathBuf> {
        let list = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut folders = vec![self.folder().join("tmp")];
        // The cluster, the executor process, its registration, the job.
        for _ in 0..4 {
            folders = folders.into_iter().flat_map(list).map(|entry| entry.path()).collect();
        }
        // Spill files have a folder of their own.
        folders.retain(|folder| folder.is_dir() && !folder.to_string_lossy().contains("/datafusion-"));
        folders
    }

    /// Waits until the condition holds.
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < LIMIT, "{what}: {}, {}", self.status(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a query and returns its result as CSV.
    pub fn sql(&self, query: &str) -> String {
        let arguments =
            ["sql", "--cluster", &self.url, "--cluster-wait", "60", "--format", "csv", "-q", query];
        ok(self.folder(), &arguments).stdout
    }
}

impl Drop for LocalProcesses {
    fn drop(&mut self) {
        self.process.signal("TERM");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            match self.process.0.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                _ => break,
            }
        }
    }
}
