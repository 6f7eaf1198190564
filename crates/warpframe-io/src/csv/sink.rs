//! Writes the CSV files of `COPY` and `INSERT`.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::common::config::CsvOptions;
use datafusion::common::file_options::csv_writer::CsvWriterOptions;
use datafusion::common::parsers::CsvQuoteStyle;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::file_format::csv;
use datafusion::datasource::file_format::write::BatchSerializer;
use datafusion::datasource::file_format::write::demux::DemuxedStreamReceiver;
use datafusion::datasource::file_format::write::orchestration::spawn_writer_tasks_and_join;
use datafusion::datasource::physical_plan::{FileSink, FileSinkConfig};
use datafusion::datasource::sink::DataSink;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};
use object_store::ObjectStore;

use super::writer::{CsvWriter, WriterDialect};

/// A sink of CSV files in which an empty text differs from NULL, in DataFusion's writing of files.
#[derive(Debug)]
pub struct CsvSink(csv::CsvSink);

impl CsvSink {
    /// The sink with DataFusion's options; `None` if they ask for more than [`CsvWriter`] can do, such as formats of dates.
    ///
    /// # Errors
    /// The options contradict each other.
    pub(super) fn try_new(config: FileSinkConfig, options: &CsvOptions) -> Result<Option<Self>> {
        let plain = CsvOptions {
            has_header: options.has_header,
            delimiter: options.delimiter,
            quote: options.quote,
            compression: options.compression,
            compression_level: options.compression_level,
            null_value: options.null_value.clone(),
            ..CsvOptions::default()
        };
        let is_plain = options.quote_style == CsvQuoteStyle::Necessary
            && options.double_quote != Some(false)
            && options.escape == plain.escape
            && options.terminator == plain.terminator
            && !options.ignore_leading_whitespace.unwrap_or(false)
            && !options.ignore_trailing_whitespace.unwrap_or(false)
            && [&options.date_format, &options.datetime_format, &options.timestamp_format]
                .iter()
                .chain(&[&options.timestamp_tz_format, &options.time_format])
                .all(|format| format.is_none());
        match is_plain {
            true => Ok(Some(Self(csv::CsvSink::new(config, CsvWriterOptions::try_from(&plain)?)))),
            false => Ok(None),
        }
    }

    /// The sink in the place of DataFusion's.
    pub fn from_datafusion(sink: &csv::CsvSink) -> Self {
        Self(csv::CsvSink::new(FileSink::config(sink).clone(), sink.writer_options().clone()))
    }

    /// DataFusion's sink with the same options, which has an encoding for other processes.
    pub fn to_datafusion(&self) -> csv::CsvSink {
        csv::CsvSink::new(FileSink::config(&self.0).clone(), self.0.writer_options().clone())
    }
}

impl DisplayAs for CsvSink {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt_as(format, f)
    }
}

#[async_trait]
impl DataSink for CsvSink {
    fn schema(&self) -> &SchemaRef {
        DataSink::schema(&self.0)
    }

    async fn write_all(&self, rows: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        FileSink::write_all(self, rows, context).await
    }
}

#[async_trait]
impl FileSink for CsvSink {
    fn config(&self) -> &FileSinkConfig {
        FileSink::config(&self.0)
    }

    async fn spawn_writer_tasks_and_join(
        &self,
        context: &Arc<TaskContext>,
        demux: SpawnedTask<Result<()>>,
        files: DemuxedStreamReceiver,
        store: Arc<dyn ObjectStore>,
    ) -> Result<u64> {
        let options = self.0.writer_options();
        let serializer = Arc::new(Serializer(WriterDialect {
            has_header: options.writer_options.header(),
            delimiter: options.writer_options.delimiter(),
            quote: options.writer_options.quote(),
            null: options.writer_options.null().to_owned(),
        }));
        let (compression, level) = (options.compression.into(), options.compression_level);
        spawn_writer_tasks_and_join(context, serializer, compression, level, store, demux, files).await
    }
}

/// Writes batches, each by itself.
struct Serializer(WriterDialect);

impl BatchSerializer for Serializer {
    fn serialize(&self, batch: RecordBatch, initial: bool) -> Result<Bytes> {
        let dialect = WriterDialect { has_header: self.0.has_header && initial, ..self.0.clone() };
        let mut writer = CsvWriter::with_dialect(Vec::new(), &batch.schema(), dialect)?;
        writer.write(&batch)?;
        Ok(writer.into_inner().into())
    }
}
