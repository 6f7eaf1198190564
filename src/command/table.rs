//! Writes query results as a text table, batch by batch. The first batch determines the column widths.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::error::CliError;
use crate::terminal_text::escape_controls;

/// Writes batches of one schema as a text table.
pub struct TableWriter<W: Write> {
    out: W,
    widths: Vec<usize>,
}

impl<W: Write> TableWriter<W> {
    /// Writes the header. Columns are as wide as the names and the cells of the first batch.
    pub fn begin(mut out: W, schema: &Schema, first: Option<&RecordBatch>) -> Result<Self, CliError> {
        let names: Vec<_> = schema.fields().iter().map(|field| cell(field.name())).collect();
        let mut widths: Vec<_> = names.iter().map(|name| width(name)).collect();
        if let Some(batch) = first {
            for row in cells(batch)? {
                for (known, cell) in widths.iter_mut().zip(row.map_err(CliError::failure)?) {
                    *known = width(&cell).max(*known);
                }
            }
        }
        let rule = rule(&widths);
        writeln!(out, "{rule}")?;
        write_row(&mut out, &widths, &names)?;
        writeln!(out, "{rule}")?;
        Ok(Self { out, widths })
    }

    /// Writes the rows of a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        for row in cells(batch)? {
            write_row(&mut self.out, &self.widths, &row.map_err(CliError::failure)?)?;
        }
        Ok(())
    }

    /// Writes the last line of the table.
    pub fn finish(mut self) -> Result<(), CliError> {
        writeln!(self.out, "{}", rule(&self.widths))?;
        Ok(self.out.flush()?)
    }
}

/// The lines of a cell.
type Cell = Vec<String>;

/// A value as a cell, in which a terminal sees no control characters of the value.
fn cell(value: &str) -> Cell {
    value.split_terminator('\n').map(|line| escape_controls(line).into_owned()).collect()
}

/// The cells of a batch, row by row.
fn cells(batch: &RecordBatch) -> Result<impl Iterator<Item = Result<Vec<Cell>, ArrowError>>, CliError> {
    let options = FormatOptions::default().with_null("NULL");
    let formatters = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()
        .map_err(CliError::failure)?;
    Ok((0..batch.num_rows()).map(move |row| {
        formatters.iter().map(|column| Ok(cell(&column.value(row).try_to_string()?))).collect()
    }))
}

fn width(cell: &[String]) -> usize {
    cell.iter().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn rule(widths: &[usize]) -> String {
    let dashes: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    format!("+{}+", dashes.join("+"))
}

fn write_row(out: &mut impl Write, widths: &[usize], row: &[Cell]) -> std::io::Result<()> {
    let height = row.iter().map(Vec::len).max().unwrap_or(0).max(1);
    for line in 0..height {
        for (cell, width) in row.iter().zip(widths) {
            write!(out, "| {:<width$} ", cell.get(line).map_or("", String::as_str))?;
        }
        writeln!(out, "|")?;
    }
    Ok(())
}
