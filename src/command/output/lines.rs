//! Query results with one line for each value: `NAME = VALUE`, and an empty line between rows.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::layout::text_width;
use super::table::cells;
use crate::command::error::CliError;
use crate::terminal_text::escape_controls;

/// Writes batches of one schema.
pub struct LineWriter<W: Write> {
    out: W,
    names: Vec<String>,
    is_first: bool,
}

impl<W: Write> LineWriter<W> {
    pub fn new(out: W, schema: &SchemaRef) -> Self {
        let name = |name: &str| escape_controls(name).into_owned();
        let names: Vec<_> = schema.fields().iter().map(|field| name(field.name())).collect();
        let widest = names.iter().map(|name| text_width(name)).max().unwrap_or(0);
        let pad = |name: String| format!("{}{name}", " ".repeat(widest - text_width(&name)));
        Self { out, names: names.into_iter().map(pad).collect(), is_first: true }
    }

    /// Writes the rows of a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        for row in cells(batch)? {
            if !std::mem::take(&mut self.is_first) {
                writeln!(self.out)?;
            }
            for (name, cell) in self.names.iter().zip(row.map_err(CliError::failure)?) {
                writeln!(self.out, "{name} = {}", cell.join("\n"))?;
            }
        }
        Ok(())
    }

    /// Writes what is buffered.
    pub fn finish(mut self) -> Result<(), CliError> {
        Ok(self.out.flush()?)
    }
}
