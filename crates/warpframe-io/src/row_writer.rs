//! Writes record batches in any of the formats of outputs.

use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::json::Writer;
use arrow::json::writer::{JsonArray, LineDelimited};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion_datasource_avro::arrow_avro::errors::AvroError;
use datafusion_datasource_avro::arrow_avro::writer::AvroWriter;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use warpframe_datafusion::errors::arrow_message;

use super::compressed_writer::CompressedWriter;
use super::csv::CsvWriter;
use super::file_type::DataFormat;
use super::json_writer::{check_json_names, json_writer};
use super::output_settings::OutputSettings;
use super::parquet_errors::parquet_message;

/// A writer of one file, or of a stream, in a format. Rows are written in the order in which they are given.
pub struct RowWriter<W: Write + Send>(Encoder<W>);

/// What the writers of formats other than Parquet write to.
pub(super) type Stream<W> = BufWriter<CompressedWriter<W>>;

enum Encoder<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Csv(CsvWriter<Stream<W>>),
    Json(Writer<Stream<W>, JsonArray>),
    Ndjson(Writer<Stream<W>, LineDelimited>),
    Arrow(FileWriter<Stream<W>>),
    ArrowStream(StreamWriter<Stream<W>>),
    Avro(Box<AvroWriter<Stream<W>>>),
    /// The output after the end; none after an error.
    Ended(Option<W>),
}

impl<W: Write + Send> RowWriter<W> {
    /// Begins to write rows with these columns. The metadata of the schema becomes that of a Parquet or Arrow file.
    ///
    /// # Errors
    /// The format has no text or type for a column, or cannot have two columns of one name; or the output cannot be written.
    pub fn begin(settings: &OutputSettings, out: W, schema: &SchemaRef) -> Result<Self> {
        let format = settings.file_type.format;
        if format == DataFormat::Parquet {
            let properties = settings.parquet.properties(schema)?;
            let writer = ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties));
            return Ok(Self(Encoder::Parquet(Box::new(writer.map_err(parquet_error)?))));
        }
        if matches!(format, DataFormat::Json | DataFormat::Ndjson) {
            check_json_names(schema)?;
        }
        let out = stream(out, settings)?;
        Ok(Self(match format {
            DataFormat::Csv | DataFormat::Parquet => {
                Encoder::Csv(CsvWriter::begin(out, schema, b',').map_err(write_error)?)
            }
            DataFormat::Tsv => Encoder::Csv(CsvWriter::begin(out, schema, b'\t').map_err(write_error)?),
            DataFormat::Json => Encoder::Json(json_writer(out, settings.non_finite)),
            DataFormat::Ndjson => Encoder::Ndjson(json_writer(out, settings.non_finite)),
            DataFormat::Arrow => Encoder::Arrow(FileWriter::try_new(out, schema).map_err(write_error)?),
            DataFormat::ArrowStream => {
                Encoder::ArrowStream(StreamWriter::try_new(out, schema).map_err(write_error)?)
            }
            DataFormat::Avro => {
                let writer = AvroWriter::new(out, schema.as_ref().clone());
                Encoder::Avro(Box::new(writer.map_err(avro_error)?))
            }
        }))
    }

    /// Writes the rows of a batch. Parquet's writer keeps a part of them until later.
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
            Encoder::Avro(writer) => writer.write(batch).map_err(avro_error),
            Encoder::Ended(_) => internal_err!("rows come after the end of the output"),
        }
    }

    /// Hands on what is buffered, so that a reader of a pipe sees it. Of Parquet, Avro and compressed texts this is not all rows.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        let flushed = match &mut self.0 {
            Encoder::Parquet(_) | Encoder::Avro(_) | Encoder::Ended(_) => Ok(()),
            Encoder::Csv(writer) => writer.out_mut().flush(),
            Encoder::Json(writer) => writer.get_mut().flush(),
            Encoder::Ndjson(writer) => writer.get_mut().flush(),
            Encoder::Arrow(writer) => writer.get_mut().flush(),
            Encoder::ArrowStream(writer) => writer.get_mut().flush(),
        };
        flushed.map_err(write_failed)
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
        if let Encoder::Parquet(writer) = &mut self.0 {
            return writer.finish().map(Some).map_err(parquet_error);
        }
        let out = match std::mem::replace(&mut self.0, Encoder::Ended(None)) {
            Encoder::Parquet(_) | Encoder::Ended(_) => return internal_err!("the output has ended"),
            Encoder::Csv(writer) => writer.into_inner(),
            Encoder::Json(mut writer) => {
                writer.finish().map_err(write_error)?;
                writer.get_mut().write_all(b"\n").map_err(write_failed)?;
                writer.into_inner()
            }
            Encoder::Ndjson(mut writer) => {
                writer.finish().map_err(write_error)?;
                writer.into_inner()
            }
            Encoder::Arrow(writer) => writer.into_inner().map_err(write_error)?,
            Encoder::ArrowStream(writer) => writer.into_inner().map_err(write_error)?,
            Encoder::Avro(mut writer) => {
                writer.finish().map_err(avro_error)?;
                writer.into_inner()
            }
        };
        self.0 = Encoder::Ended(Some(end_stream(out)?));
        Ok(None)
    }

    /// The output, to which everything is written; `None` before [`finish`](Self::finish).
    pub fn finished_mut(&mut self) -> Option<&mut W> {
        match &mut self.0 {
            Encoder::Parquet(writer) => Some(writer.inner_mut()),
            Encoder::Ended(out) => out.as_mut(),
            _ => None,
        }
    }
}

/// A buffered stream, which is compressed if the settings say so.
///
/// # Errors
/// The compressor cannot be made.
pub(super) fn stream<W: Write>(out: W, settings: &OutputSettings) -> Result<Stream<W>> {
    let compressed = CompressedWriter::new(out, settings.file_type.compression);
    compressed.map(BufWriter::new).map_err(write_failed)
}

/// Writes what is buffered, and the end of a compressed stream.
///
/// # Errors
/// The output cannot be written.
pub(super) fn end_stream<W: Write>(out: Stream<W>) -> Result<W> {
    let out = out.into_inner().map_err(|error| write_failed(error.error()))?;
    out.finish().map_err(write_failed)
}

/// The error of an Arrow writer. Of one of the output, only the message of the operating system is useful.
pub(super) fn write_error(error: ArrowError) -> DataFusionError {
    match error {
        ArrowError::IoError(_, cause) => write_failed(cause),
        other => other.into(),
    }
}

fn avro_error(error: AvroError) -> DataFusionError {
    match error {
        AvroError::External(cause) if cause.is::<std::io::Error>() => write_failed(cause),
        AvroError::General(message)
        | AvroError::NYI(message)
        | AvroError::InvalidArgument(message)
        | AvroError::ParseError(message)
        | AvroError::SchemaError(message) => unfit("Avro", message),
        AvroError::ArrowError(error) => unfit("Avro", arrow_message(&error)),
        other => unfit("Avro", other),
    }
}

/// The error of the Parquet writer.
pub(super) fn parquet_error(error: ParquetError) -> DataFusionError {
    // The Parquet error around an I/O error repeats it as text.
    match error {
        ParquetError::External(cause) if cause.is::<std::io::Error>() => write_failed(cause),
        other => unfit("Parquet", parquet_message(&other)),
    }
}

/// The error of rows that cannot be written in a format.
fn unfit(format: &str, cause: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot write the output as {format}: {cause}"))
}

/// The error of an output that cannot be written.
pub(super) fn write_failed(cause: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot write the output: {cause}"))
}
