//! Query results as text tables. Columns are as wide as their widest cell, so nothing is written before the last row is known,
//! or before [`MEMORY_BYTES`] of rows are: a table that is longer is written while the query runs, and cells that come later may
//! be wider than their column.

use std::collections::VecDeque;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::borders::{Borders, Rule};
use super::layout::{ELLIPSIS, Shown, cut, lay_out, text_width, wrap};
use crate::command::error::CliError;
use crate::counts::count;
use crate::terminal_text::escape_controls;

/// The size in bytes of the rows of a table without a limit that are kept to find the widths of its columns.
const MEMORY_BYTES: usize = 32 << 20;

/// What of a table is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// The greatest number of rows, of which one half is from the beginning of the result and the other from its end.
    pub rows: Option<usize>,
    /// The width of the screen in characters.
    pub width: Option<usize>,
    /// Whether lines that are wider than their column are wrapped, and not cut.
    pub wraps: bool,
}

/// Writes a table.
pub struct Table<'a, W: Write> {
    out: W,
    schema: SchemaRef,
    borders: &'a Borders,
    limits: Limits,
    /// The widths of the names and of all cells that were seen.
    widths: Vec<usize>,
    rows: u64,
    /// The rows from the first on, as many as the limit, which are not written yet.
    head: Vec<RecordBatch>,
    head_rows: usize,
    head_bytes: usize,
    /// With a limit: the last rows, half as many as the limit, some of which may also be in `head`.
    tail: VecDeque<RecordBatch>,
    tail_rows: usize,
    /// How rows are written, once the widths are final.
    writer: Option<RowWriter<'a>>,
}

impl<'a, W: Write> Table<'a, W> {
    pub fn new(out: W, schema: SchemaRef, borders: &'a Borders, limits: Limits) -> Self {
        let widths = schema.fields().iter().map(|field| cell_width(&lines(field.name()))).collect();
        Self {
            out,
            schema,
            borders,
            limits,
            widths,
            rows: 0,
            head: Vec::new(),
            head_rows: 0,
            head_bytes: 0,
            tail: VecDeque::new(),
            tail_rows: 0,
            writer: None,
        }
    }

    /// Adds the rows of a batch.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        self.rows += batch.num_rows() as u64;
        if let Some(writer) = &self.writer {
            return writer.rows(&mut self.out, batch);
        }
        let Some(limit) = self.limits.rows else {
            self.push_head(batch.clone())?;
            return if self.head_bytes > MEMORY_BYTES {
                self.write_head(usize::MAX).map(|_| ())
            } else {
                Ok(())
            };
        };
        let first = batch.num_rows().min(limit - self.head_rows);
        if first > 0 {
            self.push_head(batch.slice(0, first))?;
        }
        self.push_tail(batch.clone(), limit / 2);
        Ok(())
    }

    fn push_head(&mut self, batch: RecordBatch) -> Result<(), CliError> {
        measure(&batch, &mut self.widths)?;
        self.head_rows += batch.num_rows();
        self.head_bytes += batch.get_array_memory_size();
        self.head.push(batch);
        Ok(())
    }

    /// Adds a batch to the last rows, and drops those before the last `limit`.
    fn push_tail(&mut self, batch: RecordBatch, limit: usize) {
        self.tail_rows += batch.num_rows();
        self.tail.push_back(batch);
        while let Some(oldest) = self.tail.front_mut() {
            let surplus = self.tail_rows.saturating_sub(limit);
            if surplus < oldest.num_rows() {
                *oldest = oldest.slice(surplus, oldest.num_rows() - surplus);
                self.tail_rows -= surplus;
                break;
            }
            self.tail_rows -= oldest.num_rows();
            self.tail.pop_front();
        }
    }

    /// Writes the header and the first `limit` of the rows that were kept. The widths are final then.
    fn write_head(&mut self, limit: usize) -> Result<RowWriter<'a>, CliError> {
        let fields = self.schema.fields();
        let writer = RowWriter {
            columns: lay_out(&self.widths, self.limits.width),
            numeric: fields.iter().map(|field| is_number(field.data_type())).collect(),
            borders: self.borders,
            is_cut: self.limits.width.is_some() && self.borders.escape.is_none(),
            wraps: self.limits.wraps,
        };
        let names: Vec<_> = fields.iter().map(|field| lines(field.name())).collect();
        writer.header(&mut self.out, &names)?;
        let mut left = limit;
        for batch in std::mem::take(&mut self.head) {
            let rows = batch.num_rows().min(left);
            left -= rows;
            writer.rows(&mut self.out, &batch.slice(0, rows))?;
        }
        self.writer = Some(writer.clone());
        Ok(writer)
    }

    /// Writes the rest of the table, and returns the number of its rows. With `footer`, the line below it has that number, and
    /// the text in `footer` if there is one. A line below a table of which not all is shown says so anyway.
    pub fn finish(mut self, footer: Option<Option<&str>>) -> Result<u64, CliError> {
        let hidden_behind =
            self.limits.rows.filter(|limit| self.rows > *limit as u64).map(|limit| limit.div_ceil(2));
        let tail = std::mem::take(&mut self.tail);
        if hidden_behind.is_some() {
            for batch in &tail {
                measure(batch, &mut self.widths)?;
            }
        }
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.write_head(hidden_behind.unwrap_or(usize::MAX))?,
        };
        if hidden_behind.is_some() {
            writer.row(&mut self.out, &vec![vec![ELLIPSIS.to_owned()]; self.widths.len()])?;
            for batch in &tail {
                writer.rows(&mut self.out, batch)?;
            }
        }
        writer.rule(&mut self.out, self.borders.bottom.as_ref())?;
        let shown = writer.columns.iter().filter(|column| **column != Shown::Gap).count();
        let mut parts = vec![count(self.rows, "row")];
        if let Some(head) = hidden_behind {
            parts.push(match self.tail_rows {
                0 => format!("the first {head} shown"),
                tail => format!("the first {head} and the last {tail} shown"),
            });
        }
        if shown < self.widths.len() {
            parts.push(format!("{shown} of {} shown", count(self.widths.len() as u64, "column")));
        }
        if footer.is_some() || parts.len() > 1 {
            // Behind an empty line, because Markdown takes a line below a table as a row of it.
            if self.borders.escape.is_some() {
                writeln!(self.out)?;
            }
            let text = footer.flatten().map(|text| format!(" ({text})")).unwrap_or_default();
            writeln!(self.out, "{}{text}", parts.join(", "))?;
        }
        self.out.flush()?;
        Ok(self.rows)
    }
}

/// The lines of a cell.
type Cell = Vec<String>;

/// A value as a cell, in which a terminal sees no control characters of the value.
fn lines(text: &str) -> Cell {
    text.split_terminator('\n').map(|line| escape_controls(line).into_owned()).collect()
}

fn cell_width(cell: &[String]) -> usize {
    cell.iter().map(|line| text_width(line)).max().unwrap_or(0)
}

/// Makes `widths` at least as large as the cells of a batch.
fn measure(batch: &RecordBatch, widths: &mut [usize]) -> Result<(), CliError> {
    for row in cells(batch)? {
        for (known, cell) in widths.iter_mut().zip(row.map_err(CliError::failure)?) {
            *known = cell_width(&cell).max(*known);
        }
    }
    Ok(())
}

/// The cells of a batch, row by row.
pub fn cells(batch: &RecordBatch) -> Result<impl Iterator<Item = Result<Vec<Cell>, ArrowError>>, CliError> {
    let options = FormatOptions::default().with_null("NULL");
    let formatters = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()
        .map_err(CliError::failure)?;
    Ok((0..batch.num_rows()).map(move |row| {
        formatters.iter().map(|column| Ok(lines(&column.value(row).try_to_string()?))).collect()
    }))
}

/// Whether values of this type are aligned at their last digit.
fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_number(values),
        other => other.is_numeric(),
    }
}

/// Writes the rows of a table.
#[derive(Clone)]
struct RowWriter<'a> {
    columns: Vec<Shown>,
    /// For each column of the result, whether it has numbers.
    numeric: Vec<bool>,
    borders: &'a Borders,
    /// Whether cells that are wider than their column are cut.
    is_cut: bool,
    /// Whether they are wrapped instead.
    wraps: bool,
}

impl RowWriter<'_> {
    fn header(&self, out: &mut impl Write, names: &[Cell]) -> std::io::Result<()> {
        self.rule(out, self.borders.top.as_ref())?;
        self.row(out, names)?;
        self.rule(out, self.borders.header.as_ref())
    }

    fn rows(&self, out: &mut impl Write, batch: &RecordBatch) -> Result<(), CliError> {
        for row in cells(batch)? {
            self.row(out, &row.map_err(CliError::failure)?)?;
        }
        Ok(())
    }

    fn row(&self, out: &mut impl Write, cells: &[Cell]) -> std::io::Result<()> {
        let changed: Vec<Cell>;
        let cells = match self.borders.escape {
            Some(escape) => {
                changed = cells.iter().map(|cell| vec![escape(cell)]).collect();
                &changed
            }
            None if self.is_cut && self.wraps => {
                changed = self.wrapped(cells);
                &changed
            }
            None => cells,
        };
        let line_of = |number: usize, line: usize| cells[number].get(line).map_or("", String::as_str);
        let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for line in 0..height {
            let mut text = String::new();
            for column in &self.columns {
                let (content, width, right) = match *column {
                    Shown::Column(number, width) => (line_of(number, line), width, self.numeric[number]),
                    Shown::Gap => (ELLIPSIS, 1, false),
                };
                let content = if self.is_cut { cut(content, width) } else { content.to_owned() };
                let padding = " ".repeat(width.saturating_sub(text_width(&content)));
                let (before, after) = if right { (&*padding, "") } else { ("", &*padding) };
                text += &format!("{} {before}{content}{after} ", self.borders.vertical);
            }
            writeln!(out, "{text}{}", self.borders.vertical)?;
        }
        Ok(())
    }

    /// The cells with lines that fit their columns.
    fn wrapped(&self, cells: &[Cell]) -> Vec<Cell> {
        let mut wrapped = cells.to_vec();
        for column in &self.columns {
            if let Shown::Column(number, width) = *column {
                wrapped[number] = cells[number].iter().flat_map(|line| wrap(line, width)).collect();
            }
        }
        wrapped
    }

    fn rule(&self, out: &mut impl Write, rule: Option<&Rule>) -> std::io::Result<()> {
        let Some(rule) = rule else { return Ok(()) };
        let parts = self.columns.iter().map(|column| {
            let line = rule.line.repeat(column.width() + 1);
            // Markdown marks columns that are aligned at the right.
            match *column {
                Shown::Column(number, _) if self.numeric[number] => format!("{line}{}", rule.right_aligned),
                _ => format!("{line}{}", rule.line),
            }
        });
        writeln!(out, "{}{}{}", rule.left, parts.collect::<Vec<_>>().join(rule.crossing), rule.right)
    }
}
