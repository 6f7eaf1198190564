//! A process on a pseudo-terminal.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long output is waited for.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A process whose standard streams are a terminal.
pub struct Terminal {
    pub child: Child,
    master: File,
    output: Arc<(Mutex<String>, Condvar)>,
    /// The position in the output behind what was expected so far.
    seen: usize,
}

impl Terminal {
    /// Starts a process on a terminal with this many rows and columns.
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Self {
        let (mut master, mut slave) = (-1, -1);
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the pointers are valid for the call, or null where that is allowed.
        let opened =
            unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null(), &size) };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the call has returned descriptors that nothing else owns.
        let (master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
        command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        // SAFETY: both calls are async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.env("TERM", "xterm").spawn().unwrap();
        // The descriptors of the terminal that `command` holds would keep it open.
        drop(command);
        let output = Arc::<(Mutex<String>, Condvar)>::default();
        let (mut reader, shared) = (master.try_clone().unwrap(), Arc::clone(&output));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            let mut bytes = Vec::new();
            loop {
                match reader.read(&mut buffer) {
                    Ok(read) if read > 0 => bytes.extend(&buffer[..read]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    // EIO: the process has closed the terminal.
                    _ => return,
                }
                *shared.0.lock().unwrap() = String::from_utf8_lossy(&bytes).into_owned();
                shared.1.notify_all();
            }
        });
        Self { child, master, output, seen: 0 }
    }

    /// Types a text.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until a text appears behind the one that was expected last, and returns what came before it, with escape
    /// sequences.
    pub fn expect(&mut self, text: &str) -> String {
        let start = Instant::now();
        let mut output = self.output.0.lock().unwrap();
        loop {
            if let Some(found) = output[self.seen..].find(text) {
                let before = output[self.seen..self.seen + found].to_owned();
                self.seen += found + text.len();
                return before;
            }
            let left = TIMEOUT.checked_sub(start.elapsed());
            let left =
                left.unwrap_or_else(|| panic!("'{text}' did not appear in:\n{}", &output[self.seen..]));
            output = self.output.1.wait_timeout(output, left).unwrap().0;
        }
    }

    /// All output so far.
    pub fn output(&self) -> String {
        self.output.0.lock().unwrap().clone()
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < TIMEOUT, "the process does not end:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal, such as `INT`, to the process.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
