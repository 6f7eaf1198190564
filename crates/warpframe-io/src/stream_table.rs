//! The table of the rows of a stream, such as the standard input or a pipe.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, exec_err, plan_err};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use object_store::{ObjectMeta, ObjectStore};

use super::file_type::{DataFormat, Detected, FIRST_BYTES, FileType, detect};
use super::opened_table::{OpenTable, format_of};
use super::read_options::ReadOptions;
use super::standard_input::{self, InputStore, SCHEME};

/// Numbers the stores of streams in this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The table of a stream. Only one query can read its rows.
#[derive(Debug)]
struct StreamTable {
    store: ObjectStoreUrl,
    object: ObjectMeta,
    format: Arc<dyn FileFormat>,
    schema: SchemaRef,
}

/// Opens the bytes of a reader as a table, whose columns are found at its beginning. The format is that of the options, of the
/// extension of the name, or of the first bytes.
///
/// # Errors
/// The format is not known, or its files are not read from their beginning to their end; or the bytes cannot be read.
pub(super) async fn open_stream(
    context: &SessionContext,
    name: &str,
    source: Box<dyn Read + Send>,
    options: &ReadOptions,
) -> Result<OpenTable> {
    let is_arrow = |format| matches!(format, DataFormat::Arrow | DataFormat::ArrowStream);
    let file_type = options.format.map(FileType::plain).or_else(|| FileType::of_path(Path::new(name)));
    let store = Arc::new(InputStore::new(name, source, file_type.is_none_or(|known| is_arrow(known.format))));
    let unreadable = |error: object_store::Error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        DataFusionError::Execution(format!("cannot read '{name}': {cause}"))
    };
    let first = store.first_bytes(FIRST_BYTES).await.map_err(unreadable)?;
    let file_type = match (detect(&first), file_type) {
        (Detected::Compressed(compression), Some(known)) if known.format.is_text() => {
            FileType { compression, ..known }
        }
        (Detected::Type(found), None) => found,
        (_, Some(known)) => known,
        (_, None) => {
            let path = if name == standard_input::NAME { "-" } else { name };
            return plan_err!(
                "the format of '{name}' is not known: in SQL, read it by read_csv('{path}'), read_tsv, read_json, read_ndjson or \
                 read_arrow; in `warpframe run`, choose it by --in-format"
            );
        }
    };
    let is_arrow_file = detect(&first) == Detected::Type(FileType::plain(DataFormat::Arrow));
    if matches!(file_type.format, DataFormat::Parquet | DataFormat::Avro) || is_arrow_file {
        let format = if is_arrow_file { DataFormat::Arrow } else { file_type.format };
        return exec_err!(
            "'{name}' is a pipe, and {format} files are not read from their beginning to their end: write it to a file first"
        );
    }
    let state = context.state();
    let format = format_of(&state, file_type, options);
    let objects = [store.object()];
    let dynamic = Arc::clone(&store) as Arc<dyn ObjectStore>;
    let schema = format.infer_schema(&state, &dynamic, &objects).await?;
    if schema.fields().is_empty() {
        return exec_err!("there are no columns in '{name}': it is empty");
    }
    store.seal();
    let url = ObjectStoreUrl::parse(format!("{SCHEME}://{}", NEXT.fetch_add(1, Ordering::Relaxed)))?;
    let [object] = objects;
    context.runtime_env().register_object_store(url.as_ref(), store);
    let provider = Arc::new(StreamTable { store: url, object, format, schema });
    Ok(OpenTable { provider, file_type, rows: None, dropped_metadata: Vec::new() })
}

/// Whether an operator reads a stream of this process, which no other process can read.
pub fn reads_stream(operator: &dyn ExecutionPlan) -> bool {
    let source = operator.downcast_ref::<DataSourceExec>().map(|scan| scan.data_source().as_ref());
    let scan = source.and_then(|source| (source as &dyn std::any::Any).downcast_ref::<FileScanConfig>());
    scan.is_some_and(|scan| scan.object_store_url.as_str().starts_with(SCHEME))
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = self.format.file_source(TableSchema::builder(Arc::clone(&self.schema)).build());
        let file = PartitionedFile::from(self.object.clone());
        let scan = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(vec![FileGroup::new(vec![file])])
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        self.format.create_physical_plan(state, scan).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::io::Cursor;

    use arrow::util::pretty::pretty_format_batches;

    use super::*;
    use crate::object_stores::runtime_env_builder;

    async fn rows(bytes: Vec<u8>, format: Option<DataFormat>) -> Result<String> {
        let runtime = runtime_env_builder().build_arc()?;
        let context = SessionContext::new_with_config_rt(Default::default(), runtime);
        let options = ReadOptions { format, ..ReadOptions::default() };
        let table =
            open_stream(&context, "standard input", Box::new(Cursor::new(bytes)), &options).await?.provider;
        context.register_table("t", table)?;
        let query = context.sql("SELECT sum(a), count(b) FROM t").await?;
        let text = pretty_format_batches(&query.clone().collect().await?)?.to_string();
        let again = query.collect().await.unwrap_err();
        assert!(again.to_string().contains("only once"), "{again}");
        Ok(text.lines().nth(3).unwrap_or_default().replace([' ', '|'], ""))
    }

    #[tokio::test]
    async fn a_stream_is_read_once_from_its_beginning() {
        let csv: String = (0..100_000).map(|n| format!("{n},x{n}\n")).collect();
        let csv = format!("a,b\n{csv}").into_bytes();
        assert_eq!(rows(csv.clone(), Some(DataFormat::Csv)).await.unwrap(), "4999950000100000");
        let json: String = (0..1000).map(|n| format!("{{\"a\":{n},\"b\":null}}\n")).collect();
        assert_eq!(rows(json.into_bytes(), Some(DataFormat::Ndjson)).await.unwrap(), "4995000");
        for (bytes, format, words) in [
            (&b"PAR1...."[..], None, "parquet files are not read from their beginning"),
            (b"ARROW1..", Some(DataFormat::ArrowStream), "arrow files are not read"),
            (b"a,b\n", None, "format of 'standard input' is not known"),
            (b"", Some(DataFormat::Csv), "it is empty"),
        ] {
            let error = rows(bytes.to_vec(), format).await.unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
