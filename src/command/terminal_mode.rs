//! The mode of the terminal, which line editing changes.

/// A mode of the terminal of stdin.
#[cfg(unix)]
#[derive(Clone, Copy)]
pub struct TerminalMode(libc::termios);

#[cfg(unix)]
impl TerminalMode {
    /// The present mode; `None` if stdin is no terminal.
    pub fn current() -> Option<Self> {
        let mut mode = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the call writes a mode into `mode` if it returns 0, and only then it is read.
        unsafe {
            (libc::tcgetattr(libc::STDIN_FILENO, mode.as_mut_ptr()) == 0).then(|| Self(mode.assume_init()))
        }
    }

    /// Sets the mode. The process ends afterwards: a stop by the terminal, if others use it now, is ignored.
    pub fn restore(self) {
        // SAFETY: ignoring a signal has no preconditions, and the mode is one that the terminal had.
        unsafe {
            libc::signal(libc::SIGTTOU, libc::SIG_IGN);
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &self.0);
        }
        // Line editing also has the terminal mark what is pasted.
        let mut terminal = std::io::stderr();
        let _ = std::io::Write::write_all(&mut terminal, b"\x1b[?2004l");
    }
}

/// A mode of the terminal of stdin, which is not known here.
#[cfg(not(unix))]
#[derive(Clone, Copy)]
pub struct TerminalMode;

#[cfg(not(unix))]
impl TerminalMode {
    pub fn current() -> Option<Self> {
        None
    }

    pub fn restore(self) {}
}
