//! Line editing: colours, and what Tab completes.

use std::borrow::Cow;

use console::Style;
use datafusion::common::config::Dialect;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use tokio::runtime::Handle;

use super::completion::complete_word;
use super::cursor::Cursor;
use super::sql_text::{Part, parts};
use crate::session::Session;

/// Completes and colours the line that is edited.
pub struct LineHelper {
    pub session: Session,
    pub runtime: Handle,
    pub files: FilenameCompleter,
    /// The lines of the statement before the one that is edited.
    pub before: String,
    /// Whether colours are shown.
    pub colors: bool,
}

impl LineHelper {
    /// The dialect of the session.
    pub fn dialect(&self) -> Dialect {
        self.session.context().state_ref().read().config_options().sql_parser.dialect
    }
}

impl Completer for LineHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..position];
        let is_path_command = ["\\o ", "\\i "].iter().any(|command| typed.starts_with(command));
        if is_path_command && self.before.is_empty() {
            return self.files.complete_path(line, position);
        }
        let before = self.before.len();
        match Cursor::of(&format!("{}{typed}", self.before)) {
            Cursor::Text => self.files.complete_path(line, position),
            Cursor::Comment => Ok((position, Vec::new())),
            Cursor::Sql => Ok(self.runtime.block_on(complete_word(&self.session, typed, None))),
            // A name that begins in an earlier line is completed nowhere.
            Cursor::QuotedName(quote) if quote < before => Ok((position, Vec::new())),
            Cursor::QuotedName(quote) => {
                Ok(self.runtime.block_on(complete_word(&self.session, typed, Some(quote - before))))
            }
        }
    }
}

impl Highlighter for LineHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if !self.colors || line.starts_with('\\') {
            return Cow::Borrowed(line);
        }
        let text = format!("{}{line}", self.before);
        let mut colored = String::new();
        let mut position = self.before.len();
        for (range, part) in parts(&text, self.dialect()) {
            let range = range.start.max(position)..range.end;
            if range.is_empty() {
                continue;
            }
            colored += &text[position..range.start];
            let style = Style::new().force_styling(true);
            let style = match part {
                Part::Keyword => style.bold().blue(),
                Part::Text => style.green(),
                Part::Number => style.cyan(),
                Part::Comment => style.dim(),
            };
            colored += &style.apply_to(&text[range.clone()]).to_string();
            position = range.end;
        }
        Cow::Owned(colored + &text[position..])
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.colors && kind != CmdKind::MoveCursor
    }
}

impl Hinter for LineHelper {
    type Hint = String;
}

impl Validator for LineHelper {}

impl Helper for LineHelper {}
