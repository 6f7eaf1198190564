//! Writes record batches in any of the formats of outputs.

use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::json::Writer;
use arrow::json::writer::{JsonArray, LineDelimited};
use datafusion::common::{DataFusionError, Result};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::csv::CsvWriter;
use super::json_writer::{check_json_names, json_writer};
use super::output_settings::{OutputFormat, OutputSettings};

/// A writer of one file, or of a stream, in a format. Rows are written in the order in which they are given.
pub struct RowWriter<W: Write + Send>(Encoder<W>);

enum Encoder<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Csv(CsvWriter<BufWriter<W>>),
    Json(Writer<BufWriter<W>, JsonArray>),
    Ndjson(Writer<BufWriter<W>, LineDelimited>),
    Arrow(FileWriter<BufWriter<W>>),
    ArrowStream(StreamWriter<BufWriter<W>>),
}

impl<W: Write + Send> RowWriter<W> {
    /// Begins to write rows with these columns. The metadata of the schema becomes that of a Parquet or Arrow file.
    ///
    /// # Errors
    /// The format has no text or type for a column, or cannot have two columns of one name; or the output cannot be written.
    pub fn begin(settings: &OutputSettings, out: W, schema: &SchemaRef) -> Result<Self> {
        if settings.format == OutputFormat::Parquet {
            let properties = settings.parquet.properties(schema)?;
            let writer = ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties));
            return Ok(Self(Encoder::Parquet(Box::new(writer.map_err(parquet_error)?))));
        }
        if matches!(settings.format, OutputFormat::Json | OutputFormat::Ndjson) {
            check_json_names(schema)?;
        }
        let out = BufWriter::new(out);
        Ok(Self(match settings.format {
            OutputFormat::Parquet | OutputFormat::Csv => {
                Encoder::Csv(CsvWriter::begin(out, schema, b',').map_err(write_error)?)
            }
            OutputFormat::Tsv => Encoder::Csv(CsvWriter::begin(out, schema, b'\t').map_err(write_error)?),
            OutputFormat::Json => Encoder::Json(json_writer(out, settings.non_finite)),
            OutputFormat::Ndjson => Encoder::Ndjson(json_writer(out, settings.non_finite)),
            OutputFormat::Arrow => Encoder::Arrow(FileWriter::try_new(out, schema).map_err(write_error)?),
            OutputFormat::ArrowStream => {
                Encoder::ArrowStream(StreamWriter::try_new(out, schema).map_err(write_error)?)
            }
        }))
    }

    /// Writes the rows of a batch. Parquet and Arrow's writers keep a part of them until later.
    ///
    /// # Errors
    /// A value cannot be written in the format, or the output cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.0 {
            Encoder::Parquet(writer) => writer.write(batch).map_err(parquet_error),
            Encoder::Csv(writer) => writer.write(batch).map_err(write_error),
            Encoder::Json(writer) => writer.write(batch).map_err(write_error),
            Encoder::Ndjson(writer) => writer.write(batch).map_err(write_error),
            Encoder::Arrow(writer) => writer.write(batch).map_err(write_error),
            Encoder::ArrowStream(writer) => writer.write(batch).map_err(write_error),
        }
    }

    /// Hands on what is buffered, so that a reader of a pipe sees it. Of Parquet this is not all rows.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.buffered().map_or(Ok(()), Write::flush).map_err(write_failed)
    }

    /// The bytes of memory that rows take which are not written yet. They grow up to a whole row group of Parquet.
    pub fn memory_size(&self) -> usize {
        match &self.0 {
            Encoder::Parquet(writer) => writer.memory_size(),
            _ => 0,
        }
    }

    /// Writes the rows that are in memory as a row group of Parquet.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn end_row_group(&mut self) -> Result<()> {
        match &mut self.0 {
            Encoder::Parquet(writer) => writer.flush().map_err(parquet_error),
            _ => Ok(()),
        }
    }

    /// Writes what is left, and the end of the format. Returns the footer of a Parquet file.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(&mut self) -> Result<Option<ParquetMetaData>> {
        match &mut self.0 {
            Encoder::Parquet(writer) => return writer.finish().map(Some).map_err(parquet_error),
            Encoder::Csv(_) => {}
            Encoder::Json(writer) => {
                writer.finish().map_err(write_error)?;
                writer.get_mut().write_all(b"\n").map_err(write_failed)?;
            }
            Encoder::Ndjson(writer) => writer.finish().map_err(write_error)?,
            Encoder::Arrow(writer) => writer.finish().map_err(write_error)?,
            Encoder::ArrowStream(writer) => writer.finish().map_err(write_error)?,
        }
        self.buffered().map_or(Ok(()), Write::flush).map_err(write_failed)?;
        Ok(None)
    }

    /// The output, to which everything is written after [`finish`](Self::finish).
    pub fn out_mut(&mut self) -> &mut W {
        match &mut self.0 {
            Encoder::Parquet(writer) => writer.inner_mut(),
            Encoder::Csv(writer) => writer.out_mut().get_mut(),
            Encoder::Json(writer) => writer.get_mut().get_mut(),
            Encoder::Ndjson(writer) => writer.get_mut().get_mut(),
            Encoder::Arrow(writer) => writer.get_mut().get_mut(),
            Encoder::ArrowStream(writer) => writer.get_mut().get_mut(),
        }
    }

    /// The buffer before the output; none for Parquet, whose writer has its own.
    fn buffered(&mut self) -> Option<&mut BufWriter<W>> {
        match &mut self.0 {
            Encoder::Parquet(_) => None,
            Encoder::Csv(writer) => Some(writer.out_mut()),
            Encoder::Json(writer) => Some(writer.get_mut()),
            Encoder::Ndjson(writer) => Some(writer.get_mut()),
            Encoder::Arrow(writer) => Some(writer.get_mut()),
            Encoder::ArrowStream(writer) => Some(writer.get_mut()),
        }
    }
}

/// The error of an Arrow writer. Of one of the output, only the message of the operating system is useful.
pub(super) fn write_error(error: ArrowError) -> DataFusionError {
    match error {
        ArrowError::IoError(_, cause) => write_failed(cause),
        other => other.into(),
    }
}

/// The error of the Parquet writer.
pub(super) fn parquet_error(error: ParquetError) -> DataFusionError {
    // The Parquet error around an I/O error repeats it as text.
    match error {
        ParquetError::External(cause) if cause.is::<std::io::Error>() => write_failed(cause),
        other => other.into(),
    }
}

/// The error of an output that cannot be written.
pub(super) fn write_failed(cause: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot write the output: {cause}"))
}
