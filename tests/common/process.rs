//! Processes of the command that run in the background of a test.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Run, command};

/// A child process that is killed on drop.
pub struct Process(pub Child);

impl Process {
    /// Starts the command in a folder.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        // Temporary files of a killed process are removed with the test's folder.
        let temporary = folder.join("tmp");
        std::fs::create_dir_all(&temporary).unwrap();
        Self::spawn(command(folder).args(arguments).env("TMPDIR", temporary))
    }

    /// Starts a process with captured output.
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Sends a signal, such as `INT`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Reads the first line of stdout.
    pub fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Waits for the process to exit; panics after the time limit.
    pub fn wait(mut self, limit: Duration) -> Run {
        let start = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < limit, "still running after {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut output = [String::new(), String::new()];
        self.0.stdout.take().unwrap().read_to_string(&mut output[0]).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut output[1]).unwrap();
        let code = self.0.wait().unwrap().code();
        let [stdout, stderr] = output;
        Run { code, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
