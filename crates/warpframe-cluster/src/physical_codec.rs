//! Serialization of physical plans: Ballista's codec, extended by warpframe's functions and operators. Their encodings
//! contain the version of the encoding process, and other versions refuse to decode them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::common::{DataFusionError, Result, exec_err, internal_err};
use datafusion::datasource::file_format::{csv, json};
use datafusion::datasource::physical_plan::{
    CsvSource, FileScanConfig, FileScanConfigBuilder, FileSource, JsonSource,
};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf;
use prost::Message;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::file_list_scan_exec::FileListScanExec;
use super::ipc_scan_exec::IpcScanExec;
use super::protocol::VERSION;
use warpframe_datafusion::functions::{FusedFunction, SqlFunction};
use warpframe_datafusion::rows::{GenerateExec, RowGenerator};
use warpframe_io::{
    ArrowSink, CopySink, CsvDialect, CsvScan, CsvSink, JsonScan, JsonSink, NonFinite, OutputSettings,
    WriteAttemptExec, WriteShardsExec,
};
use warpframe_ir::program::Program;

/// The prefix of warpframe's encodings. No protobuf message of Ballista begins with it.
const MAGIC: &[u8] = b"warpframe:";

/// Ballista's codec for physical plans, extended by warpframe's functions and operators.
#[derive(Debug, Default)]
pub struct ClusterCodec {
    ballista: BallistaPhysicalExtensionCodec,
}

#[derive(Debug, Serialize, Deserialize)]
enum Function {
    Fused { program: Box<Program>, label: String, schema_name: String, nullable: bool },
}

#[derive(Debug, Serialize, Deserialize)]
enum Node {
    Generate {
        generator: RowGenerator,
        columns: Vec<usize>,
    },
    FileListScan,
    /// `scan` is DataFusion's scan of the same files, as a physical plan.
    CsvScan {
        scan: Vec<u8>,
        dialect: CsvDialect,
        compression: String,
        is_inferred: bool,
    },
    /// `scan` is DataFusion's scan of the same files, as a physical plan.
    JsonScan {
        scan: Vec<u8>,
        compression: String,
    },
    /// `sink` is DataFusion's sink of the same files over no rows, as a physical plan.
    CsvSink {
        sink: Vec<u8>,
    },
    /// `sink` is DataFusion's sink of the same files over no rows, as a physical plan.
    JsonSink {
        sink: Vec<u8>,
        non_finite: NonFinite,
    },
    /// `config` is where and how the sink writes.
    ArrowSink {
        config: Vec<u8>,
    },
    /// `sink` is the sink over no rows, as a physical plan.
    WriteAttempt {
        sink: Vec<u8>,
        attempts: PathBuf,
    },
    IpcScan {
        schema: Vec<u8>,
        fetch: Option<usize>,
    },
    WriteShards {
        folder: PathBuf,
        settings: OutputSettings,
        metadata: BTreeMap<String, String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Envelope<T> {
    version: String,
    content: T,
}

fn encode<T: Serialize>(content: T, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.extend_from_slice(MAGIC);
    let envelope = Envelope { version: VERSION.to_owned(), content };
    serde_json::to_writer(buffer, &envelope).map_err(|error| DataFusionError::External(error.into()))
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let invalid = |error| DataFusionError::Internal(format!("cannot decode a plan: {error}"));
    let Version { version } = serde_json::from_slice(json).map_err(invalid)?;
    if version != VERSION {
        return exec_err!(
            "the query was planned by warpframe {version} and this is warpframe {VERSION}: use one version on all hosts"
        );
    }
    let envelope: Envelope<T> = serde_json::from_slice(json).map_err(invalid)?;
    Ok(envelope.content)
}

/// The scan of CSV files for which DataFusion's scan was encoded.
fn decode_csv_scan(
    scan: &Arc<dyn ExecutionPlan>,
    dialect: CsvDialect,
    compression: &str,
    is_inferred: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let Some((config, csv)) = file_scan::<CsvSource>(scan) else {
        return internal_err!("cannot decode a plan: {} is no scan of CSV files", scan.name());
    };
    let compression: CompressionTypeVariant = compression.parse()?;
    let csv = CsvScan::from_datafusion(csv, dialect, compression, is_inferred)?;
    let config = FileScanConfigBuilder::from(config.clone())
        .with_file_compression_type(compression.into())
        .with_source(csv)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// The scan of JSON files for which DataFusion's scan was encoded.
fn decode_json_scan(scan: &Arc<dyn ExecutionPlan>, compression: &str) -> Result<Arc<dyn ExecutionPlan>> {
    let Some((config, json)) = file_scan::<JsonSource>(scan) else {
        return internal_err!("cannot decode a plan: {} is no scan of JSON files", scan.name());
    };
    let compression: CompressionTypeVariant = compression.parse()?;
    let config = FileScanConfigBuilder::from(config.clone())
        .with_file_compression_type(compression.into())
        .with_source(JsonScan::from_datafusion(json, compression)?)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// The sink of CSV files for which DataFusion's sink was encoded.
fn decode_csv_sink(
    sink: &Arc<dyn ExecutionPlan>,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let exec = sink.downcast_ref::<DataSinkExec>();
    let sinks = exec.and_then(|exec| Some((exec, exec.sink().downcast_ref::<csv::CsvSink>()?)));
    let Some((exec, csv)) = sinks else {
        return internal_err!("cannot decode a plan: {} is no sink of CSV files", sink.name());
    };
    let csv = Arc::new(CsvSink::from_datafusion(csv));
    Ok(Arc::new(DataSinkExec::new(Arc::clone(input), csv, exec.sort_order().clone())))
}

/// The sink of JSON files for which DataFusion's sink was encoded.
fn decode_json_sink(
    sink: &Arc<dyn ExecutionPlan>,
    non_finite: NonFinite,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let exec = sink.downcast_ref::<DataSinkExec>();
    let sinks = exec.and_then(|exec| Some((exec, exec.sink().downcast_ref::<json::JsonSink>()?)));
    let Some((exec, json)) = sinks else {
        return internal_err!("cannot decode a plan: {} is no sink of JSON files", sink.name());
    };
    let json = Arc::new(JsonSink::from_datafusion(json, non_finite));
    Ok(Arc::new(DataSinkExec::new(Arc::clone(input), json, exec.sort_order().clone())))
}

/// The sink of files that was encoded in an operator over no rows.
fn decode_copy_sink(operator: &Arc<dyn ExecutionPlan>) -> Result<CopySink> {
    let sink = operator.downcast_ref::<DataSinkExec>().map(CopySink::of).transpose()?.flatten();
    match sink {
        Some(sink) => Ok(sink),
        None => internal_err!("cannot decode a plan: {} is no sink of files", operator.name()),
    }
}

/// The scan of files by this source that an operator is.
fn file_scan<T: FileSource>(node: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &T)> {
    node.downcast_ref::<DataSourceExec>()?.downcast_to_file_source()
}

impl ClusterCodec {
    /// Encodes a plan that is part of a node.
    fn encode_plan(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Vec<u8>> {
        Ok(protobuf::PhysicalPlanNode::try_from_physical_plan(plan, self)?.encode_to_vec())
    }

    /// Decodes a plan that is part of a node.
    fn decode_plan(&self, plan: &[u8], context: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = protobuf::PhysicalPlanNode::decode(plan)
            .map_err(|error| DataFusionError::Internal(format!("cannot decode a plan: {error}")))?;
        plan.try_into_physical_plan(context, self)
    }
}

impl PhysicalExtensionCodec for ClusterCodec {
    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(json) = buffer.strip_prefix(MAGIC) else {
            return self.ballista.try_decode(buffer, inputs, context, converter);
        };
        Ok(match (decode(json)?, inputs) {
            (Node::Generate { generator, columns }, [input]) => {
                Arc::new(GenerateExec::over(Arc::clone(input), generator, columns.into())?)
            }
            (Node::FileListScan, [files, template]) => {
                Arc::new(FileListScanExec::try_new(Arc::clone(files), Arc::clone(template))?)
            }
            (Node::CsvScan { scan, dialect, compression, is_inferred }, []) => {
                decode_csv_scan(&self.decode_plan(&scan, context)?, dialect, &compression, is_inferred)?
            }
            (Node::JsonScan { scan, compression }, []) => {
                decode_json_scan(&self.decode_plan(&scan, context)?, &compression)?
            }
            (Node::CsvSink { sink }, [input]) => decode_csv_sink(&self.decode_plan(&sink, context)?, input)?,
            (Node::JsonSink { sink, non_finite }, [input]) => {
                decode_json_sink(&self.decode_plan(&sink, context)?, non_finite, input)?
            }
            (Node::ArrowSink { config }, [input]) => {
                let config = protobuf::FileSinkConfig::decode(&*config)
                    .map_err(|error| DataFusionError::Internal(format!("cannot decode a plan: {error}")))?;
                let sink = ArrowSink::new((&config).try_into()?)?;
                Arc::new(DataSinkExec::new(Arc::clone(input), Arc::new(sink), None))
            }
            (Node::WriteAttempt { sink, attempts }, [input]) => {
                let sink = decode_copy_sink(&self.decode_plan(&sink, context)?)?;
                Arc::new(WriteAttemptExec::new(Arc::clone(input), sink, attempts))
            }
            (Node::IpcScan { schema, fetch }, [files]) => {
                let schema = protobuf::Schema::decode(&*schema)
                    .map_err(|error| DataFusionError::Internal(format!("cannot decode a plan: {error}")))?;
                Arc::new(IpcScanExec::try_new(Arc::clone(files), Arc::new((&schema).try_into()?), fetch)?)
            }
            (Node::WriteShards { folder, settings, metadata }, [input]) => {
                Arc::new(WriteShardsExec::new(Arc::clone(input), folder, settings, metadata))
            }
            (node, inputs) => {
                return internal_err!("cannot decode a plan: {node:?} has {} inputs", inputs.len());
            }
        })
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(rows) = node.downcast_ref::<GenerateExec>() {
            return encode(
                Node::Generate { generator: rows.generator(), columns: rows.columns().to_vec() },
                buffer,
            );
        }
        if let Some((config, csv)) = file_scan::<CsvScan>(&node) {
            let config =
                FileScanConfigBuilder::from(config.clone()).with_source(csv.to_datafusion()?).build();
            let scan = self.encode_plan(DataSourceExec::from_data_source(config))?;
            let (dialect, compression) = (csv.dialect().clone(), csv.compression().to_string());
            return encode(
                Node::CsvScan { scan, dialect, compression, is_inferred: csv.is_inferred() },
                buffer,
            );
        }
        if let Some((config, json)) = file_scan::<JsonScan>(&node) {
            let config =
                FileScanConfigBuilder::from(config.clone()).with_source(json.to_datafusion()?).build();
            let scan = self.encode_plan(DataSourceExec::from_data_source(config))?;
            return encode(Node::JsonScan { scan, compression: json.compression().to_string() }, buffer);
        }
        if let Some(exec) = node.downcast_ref::<DataSinkExec>()
            && let Some(sink) = exec.sink().downcast_ref::<CsvSink>()
        {
            let no_rows = Arc::new(EmptyExec::new(exec.input().schema()));
            let sink = DataSinkExec::new(no_rows, Arc::new(sink.to_datafusion()), exec.sort_order().clone());
            let sink = self.encode_plan(Arc::new(sink))?;
            return encode(Node::CsvSink { sink }, buffer);
        }
        if let Some(exec) = node.downcast_ref::<DataSinkExec>()
            && let Some(json) = exec.sink().downcast_ref::<JsonSink>()
        {
            let no_rows = Arc::new(EmptyExec::new(exec.input().schema()));
            let sink = DataSinkExec::new(no_rows, Arc::new(json.to_datafusion()), exec.sort_order().clone());
            let sink = self.encode_plan(Arc::new(sink))?;
            return encode(Node::JsonSink { sink, non_finite: json.non_finite() }, buffer);
        }
        if let Some(exec) = node.downcast_ref::<DataSinkExec>()
            && let Some(sink) = exec.sink().downcast_ref::<ArrowSink>()
        {
            let config = protobuf::FileSinkConfig::try_from(sink.config())?.encode_to_vec();
            return encode(Node::ArrowSink { config }, buffer);
        }
        if let Some(write) = node.downcast_ref::<WriteAttemptExec>() {
            let sink = self.encode_plan(Arc::new(write.sink().operator().clone()))?;
            return encode(Node::WriteAttempt { sink, attempts: write.attempts().to_owned() }, buffer);
        }
        if node.is::<FileListScanExec>() {
            return encode(Node::FileListScan, buffer);
        }
        if let Some(scan) = node.downcast_ref::<IpcScanExec>() {
            let schema = protobuf::Schema::try_from(scan.schema().as_ref())?.encode_to_vec();
            return encode(Node::IpcScan { schema, fetch: scan.limit() }, buffer);
        }
        if let Some(write) = node.downcast_ref::<WriteShardsExec>() {
            let (folder, metadata) = (write.folder().to_owned(), write.metadata().clone());
            let settings = write.settings().clone();
            return encode(Node::WriteShards { folder, settings, metadata }, buffer);
        }
        let name = node.name().to_owned();
        self.ballista.try_encode(node, buffer, converter).map_err(|error| {
            DataFusionError::NotImplemented(format!(
                "{name} cannot run on a cluster: {}",
                error.find_root().message()
            ))
        })
    }

    fn try_decode_udf(&self, name: &str, buffer: &[u8]) -> Result<Arc<ScalarUDF>> {
        let Some(json) = buffer.strip_prefix(MAGIC) else {
            return self.ballista.try_decode_udf(name, buffer);
        };
        let Function::Fused { program, label, schema_name, nullable } = decode(json)?;
        let function = FusedFunction::new(Arc::new(*program), label, schema_name, nullable);
        Ok(Arc::new(ScalarUDF::from(function)))
    }

    fn try_encode_udf(&self, function: &ScalarUDF, buffer: &mut Vec<u8>) -> Result<()> {
        if let Some(fused) = function.inner().downcast_ref::<FusedFunction>() {
            return encode(
                Function::Fused {
                    program: Box::new(fused.program().as_ref().clone()),
                    label: fused.label().to_owned(),
                    schema_name: fused.column_name().to_owned(),
                    nullable: fused.is_nullable(),
                },
                buffer,
            );
        }
        if function.inner().is::<SqlFunction>() {
            // The optimizer inlines every call except those with volatile arguments.
            return exec_err!(
                "{} cannot run on a cluster with an argument that is different at every evaluation, such as random()",
                function.name()
            );
        }
        self.ballista.try_encode_udf(function, buffer)
    }

    fn try_decode_udaf(&self, name: &str, buffer: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.ballista.try_decode_udaf(name, buffer)
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, buffer: &mut Vec<u8>) -> Result<()> {
        self.ballista.try_encode_udaf(function, buffer)
    }

    fn try_decode_udwf(&self, name: &str, buffer: &[u8]) -> Result<Arc<WindowUDF>> {
        self.ballista.try_decode_udwf(name, buffer)
    }

    fn try_encode_udwf(&self, function: &WindowUDF, buffer: &mut Vec<u8>) -> Result<()> {
        self.ballista.try_encode_udwf(function, buffer)
    }
}
