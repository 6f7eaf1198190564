//! Notes on files that a command has opened.

use crate::session::Session;
use crate::terminal_text::escape_controls;

/// Prints the notes of a session since they were printed last to stderr. Each is printed once.
pub fn print_notes(session: &Session) {
    for note in session.take_notes() {
        eprintln!("note: {}", escape_controls(&note));
    }
}
