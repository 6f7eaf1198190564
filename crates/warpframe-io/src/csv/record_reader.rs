//! Splits CSV text into records and values.

use super::CsvError;
use super::dialect::CsvDialect;

/// The length of the longest record in bytes. Behind a quote that is not closed, the rest of a file would be one record.
const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// What [`RecordReader::advance`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A record, whose values can be read.
    Record,
    /// The text that was fed ends inside of a record.
    NeedsInput,
    /// There is no further record.
    End,
}

/// A value of the current record.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    /// Whether the bytes are in `unescaped`, and not in `text`.
    is_unescaped: bool,
    is_quoted: bool,
}

/// A reader of records, to which text is fed piece by piece.
#[derive(Debug)]
pub(super) struct RecordReader {
    dialect: CsvDialect,
    text: Vec<u8>,
    /// The beginning of the next record in `text`.
    next: usize,
    /// The position of `text` in the file.
    text_offset: u64,
    /// The length of `text` from which on another attempt to find the end of a record is made. It doubles, so that a long
    /// record is not scanned again for each piece.
    retry_length: usize,
    is_complete: bool,
    /// Whether a blank line is a record with one value.
    blank_is_record: bool,
    values: Vec<Span>,
    /// The text of values that differ from their bytes in the file.
    unescaped: Vec<u8>,
    /// The line on which the next record begins, and that of the current record.
    next_line: u64,
    line: u64,
}

impl RecordReader {
    /// A reader of text that begins at this position of a file, where a record begins.
    pub fn new(dialect: CsvDialect, offset: u64) -> Self {
        Self {
            dialect,
            text: Vec::new(),
            next: 0,
            text_offset: offset,
            retry_length: 0,
            is_complete: false,
            blank_is_record: false,
            values: Vec::new(),
            unescaped: Vec::new(),
            next_line: 1,
            line: 1,
        }
    }

    /// Makes a blank line a record with one value, as in files with one column.
    pub fn keep_blank_lines(&mut self) {
        self.blank_is_record = true;
    }

    /// The position of the next record in the file.
    pub fn offset(&self) -> u64 {
        self.text_offset + self.next as u64
    }

    /// Adds the text that follows.
    pub fn feed(&mut self, text: &[u8]) {
        self.text.drain(..self.next);
        self.text_offset += self.next as u64;
        self.retry_length = self.retry_length.saturating_sub(self.next);
        self.next = 0;
        self.text.extend_from_slice(text);
    }

    /// Says that no text follows.
    pub fn finish(&mut self) {
        self.is_complete = true;
    }

    /// The number of values of the current record.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// A value of the current record, and whether it was quoted.
    pub fn value(&self, index: usize) -> Option<(&[u8], bool)> {
        let span = self.values.get(index)?;
        let source = if span.is_unescaped { &self.unescaped } else { &self.text };
        Some((&source[span.start..span.end], span.is_quoted))
    }

    /// The line on which the current record begins, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Finds the next record that begins before `end`, a position in the file.
    pub fn advance(&mut self, end: u64) -> Result<Step, CsvError> {
        if self.text_offset == 0 && self.next == 0 && !self.skip_byte_order_mark() {
            return Ok(Step::NeedsInput);
        }
        loop {
            if self.text_offset + self.next as u64 >= end {
                return Ok(Step::End);
            }
            let Some(&first) = self.text.get(self.next) else {
                return Ok(if self.is_complete { Step::End } else { Step::NeedsInput });
            };
            if self.dialect.comment == Some(first) {
                let Some(length) =
                    self.text[self.next..].iter().position(|byte| self.dialect.ends_record(*byte))
                else {
                    if self.is_complete {
                        return Ok(Step::End);
                    }
                    return Ok(Step::NeedsInput);
                };
                let Some(after) = self.after_terminator(self.next + length) else {
                    return Ok(Step::NeedsInput);
                };
                self.next = after;
                self.next_line += 1;
            } else if self.dialect.ends_record(first) {
                let Some(after) = self.after_terminator(self.next) else { return Ok(Step::NeedsInput) };
                self.line = self.next_line;
                self.next_line += 1;
                let blank = Span { start: self.next, end: self.next, is_unescaped: false, is_quoted: false };
                self.next = after;
                if self.blank_is_record {
                    self.values.clear();
                    self.values.push(blank);
                    return Ok(Step::Record);
                }
            } else if !self.is_complete && self.text.len() < self.retry_length {
                return Ok(Step::NeedsInput);
            } else if self.read_record()? {
                return Ok(Step::Record);
            } else if self.text.len() - self.next > MAX_RECORD_BYTES {
                let message = "a record is longer than 64 MiB: is a quote opened in it and not closed?";
                return Err(CsvError::new(self.next_line, message));
            } else {
                let length = self.text.len() - self.next;
                self.retry_length = self.next + (2 * length).min(MAX_RECORD_BYTES + 1);
                return Ok(Step::NeedsInput);
            }
        }
    }

    /// Skips a byte order mark at the beginning of a file. Returns false if more text is needed to know.
    fn skip_byte_order_mark(&mut self) -> bool {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.text.starts_with(MARK) {
            self.next = MARK.len();
        }
        self.is_complete || !MARK.starts_with(&self.text)
    }

    /// The position after a record's end at `position`; `None` if more text is needed to know.
    fn after_terminator(&self, position: usize) -> Option<usize> {
        let is_cr = self.dialect.terminator.is_none() && self.text.get(position) == Some(&b'\r');
        match self.text.get(position + 1) {
            Some(b'\n') if is_cr => Some(position + 2),
            None if is_cr && !self.is_complete => None,
            _ => Some(position + 1),
        }
    }

    /// Reads the record at `next`. Returns false, having changed nothing else, if its end is not there yet.
    fn read_record(&mut self) -> Result<bool, CsvError> {
        self.values.clear();
        self.unescaped.clear();
        let (mut position, mut lines) = (self.next, 0);
        loop {
            let end = match self.text.get(position) {
                Some(&byte) if byte == self.dialect.quote => self.read_quoted(position + 1, &mut lines)?,
                _ => self.read_plain(position),
            };
            let Some(end) = end else { return Ok(false) };
            match self.text.get(end) {
                Some(&byte) if byte == self.dialect.delimiter => position = end + 1,
                Some(_) => {
                    let Some(after) = self.after_terminator(end) else { return Ok(false) };
                    self.next = after;
                    lines += 1;
                    break;
                }
                None => {
                    self.next = end;
                    break;
                }
            }
        }
        self.line = self.next_line;
        self.next_line += lines;
        Ok(true)
    }

    /// The end of the unquoted bytes at `start`: that of the text, if it is complete, a delimiter or the record's end.
    fn end_of_plain(&self, start: usize) -> Option<usize> {
        let rest = &self.text[start..];
        let ends = |byte: &u8| *byte == self.dialect.delimiter || self.dialect.ends_record(*byte);
        match rest.iter().position(ends) {
            Some(length) => Some(start + length),
            None => self.is_complete.then_some(self.text.len()),
        }
    }

    fn read_plain(&mut self, start: usize) -> Option<usize> {
        let end = self.end_of_plain(start)?;
        self.values.push(Span { start, end, is_unescaped: false, is_quoted: false });
        Some(end)
    }

    /// Reads a quoted value whose text begins at `start`.
    fn read_quoted(&mut self, start: usize, lines: &mut u64) -> Result<Option<usize>, CsvError> {
        let (quote, escape) = (self.dialect.quote, self.dialect.escape);
        let (mut position, mut copied, unescaped) = (start, start, self.unescaped.len());
        let mut is_unescaped = false;
        loop {
            let rest = &self.text[position..];
            let found = match escape {
                Some(escape) => memchr::memchr2(quote, escape, rest),
                None => memchr::memchr(quote, rest),
            };
            let Some(length) = found else { return self.unclosed_quote() };
            let special = position + length;
            let next = self.text.get(special + 1).copied();
            if next.is_none() && !self.is_complete {
                return Ok(None);
            }
            if self.text[special] == quote && next != Some(quote) {
                // The end of the quotes. What follows up to a delimiter belongs to the value.
                let quoted_text = copied..special;
                let Some(end) = self.end_of_plain(special + 1) else { return Ok(None) };
                *lines += count_lines(&self.text[start..special]);
                if is_unescaped || end > special + 1 {
                    self.unescaped.extend_from_slice(&self.text[quoted_text]);
                    self.unescaped.extend_from_slice(&self.text[special + 1..end]);
                    let span = Span {
                        start: unescaped,
                        end: self.unescaped.len(),
                        is_unescaped: true,
                        is_quoted: true,
                    };
                    self.values.push(span);
                } else {
                    self.values.push(Span { start, end: special, is_unescaped: false, is_quoted: true });
                }
                return Ok(Some(end));
            }
            let Some(next) = next else { return self.unclosed_quote() };
            self.unescaped.extend_from_slice(&self.text[copied..special]);
            self.unescaped.push(next);
            is_unescaped = true;
            (position, copied) = (special + 2, special + 2);
        }
    }

    fn unclosed_quote(&self) -> Result<Option<usize>, CsvError> {
        match self.is_complete {
            true => Err(CsvError::new(self.next_line, "a quote is opened in this record and not closed")),
            false => Ok(None),
        }
    }
}

/// The number of line ends in a text.
pub(super) fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}
