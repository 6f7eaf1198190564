//! Writes the JSON files of `COPY` and `INSERT`.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::writer::LineDelimited;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::file_format::json;
use datafusion::datasource::file_format::write::BatchSerializer;
use datafusion::datasource::file_format::write::demux::DemuxedStreamReceiver;
use datafusion::datasource::file_format::write::orchestration::spawn_writer_tasks_and_join;
use datafusion::datasource::physical_plan::{FileSink, FileSinkConfig};
use datafusion::datasource::sink::DataSink;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};
use object_store::ObjectStore;

use crate::json_writer::{NonFinite, json_writer};

/// A sink of files with an object per line, which have all columns, in DataFusion's writing of files.
#[derive(Debug)]
pub struct JsonSink {
    datafusion: json::JsonSink,
    non_finite: NonFinite,
}

impl JsonSink {
    /// The sink in the place of DataFusion's.
    pub fn from_datafusion(sink: &json::JsonSink, non_finite: NonFinite) -> Self {
        let config = FileSink::config(sink).clone();
        Self { datafusion: json::JsonSink::new(config, sink.writer_options().clone()), non_finite }
    }

    /// DataFusion's sink with the same options, which has an encoding for other processes.
    pub fn to_datafusion(&self) -> json::JsonSink {
        let config = FileSink::config(&self.datafusion).clone();
        json::JsonSink::new(config, self.datafusion.writer_options().clone())
    }

    /// What NaN and infinities become.
    pub fn non_finite(&self) -> NonFinite {
        self.non_finite
    }
}

impl DisplayAs for JsonSink {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.datafusion.fmt_as(format, f)
    }
}

#[async_trait]
impl DataSink for JsonSink {
    fn schema(&self) -> &SchemaRef {
        DataSink::schema(&self.datafusion)
    }

    async fn write_all(&self, rows: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        FileSink::write_all(self, rows, context).await
    }
}

#[async_trait]
impl FileSink for JsonSink {
    fn config(&self) -> &FileSinkConfig {
        FileSink::config(&self.datafusion)
    }

    async fn spawn_writer_tasks_and_join(
        &self,
        context: &Arc<TaskContext>,
        demux: SpawnedTask<Result<()>>,
        files: DemuxedStreamReceiver,
        store: Arc<dyn ObjectStore>,
    ) -> Result<u64> {
        let options = self.datafusion.writer_options();
        let (compression, level) = (options.compression.into(), options.compression_level);
        let serializer = Arc::new(Serializer(self.non_finite));
        spawn_writer_tasks_and_join(context, serializer, compression, level, store, demux, files).await
    }
}

/// Writes batches, each by itself.
struct Serializer(NonFinite);

impl BatchSerializer for Serializer {
    fn serialize(&self, batch: RecordBatch, _: bool) -> Result<Bytes> {
        let mut writer = json_writer::<_, LineDelimited>(Vec::new(), self.0);
        writer.write(&batch)?;
        writer.finish()?;
        Ok(writer.into_inner().into())
    }
}
