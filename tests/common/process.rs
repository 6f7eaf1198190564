//! Processes of the program that run beside a test.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Run, command};

/// A process that is killed with the value.
pub struct Process(pub Child);

impl Process {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        // What a killed process leaves goes with the test's folder.
        let temporary = folder.join("tmp");
        std::fs::create_dir_all(&temporary).unwrap();
        Self::of(command(folder).args(arguments).env("TMPDIR", temporary))
    }

    pub fn of(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Waits for its end.
    pub fn end(mut self, limit: Duration) -> Run {
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
