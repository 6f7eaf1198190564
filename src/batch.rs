//! Batch runs: evaluate a select list over files into files. Each partition of the query is streamed into a file of its own.

mod ordered;
mod output_shape;
mod write;

use std::collections::HashMap;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::dataframe::DataFrame;

use crate::session::Session;
use warpframe_cluster::ClusterSettings;
use warpframe_datafusion::memory::MemoryLimit;
use warpframe_io::{
    DataFormat, FileType, OutputMode, OutputSettings, Progress, ReadOptions, Staging, WriteSummary,
    WriterSettings, open_tables,
};

pub use ordered::plan_in_order;
pub use output_shape::OutputShape;
pub use write::{write_query, write_to};

/// Evaluates expressions over files into files.
///
/// The output has the rows in the order of the input files, and the key-value metadata that is the same in all of
/// them. An input without rows gives an output with the columns and without rows.
#[derive(Debug, Clone)]
pub struct BatchRun {
    /// Files, folders, glob patterns, and URLs in object stores (`s3://BUCKET/PATH`; one that ends in '/' is a folder), which have
    /// the same columns, as [`open_tables`] opens them; `-` is the standard input.
    pub inputs: Vec<String>,
    /// How the input is read; by default its format is that of the extensions.
    pub input_options: ReadOptions,
    /// SQL statements that are run before the query, such as `CREATE FUNCTION`.
    pub init: Option<String>,
    /// The SQL select list, such as `id, log3(x, y, z) AS r`.
    pub select: String,
    /// The SQL condition that selects rows.
    pub filter: Option<String>,
    /// A path or URL: one file or a folder of files, as [`OutputShape`] says.
    pub output: PathBuf,
    /// The format of the output; by default that of its extension, and Parquet in a folder.
    pub output_format: Option<DataFormat>,
    /// The columns of the output whose values are in the names of folders (`column=value`) and not in the files, from the
    /// outermost on.
    pub partition_by: Vec<String>,
    /// Whether an existing output may be replaced.
    pub overwrite: bool,
    /// The settings of the Parquet writer.
    pub settings: WriterSettings,
    /// The number of partitions and thereby of files in a folder; by default that of the CPU's cores.
    pub threads: Option<NonZeroUsize>,
    /// The memory limit of operators and writers.
    pub memory_limit: MemoryLimit,
    /// The name of the backend that evaluates fused expressions.
    pub backend: String,
    /// The cluster that runs the query; this process by default.
    pub cluster: Option<ClusterSettings>,
}

/// The planned query of a run.
struct PlannedRun {
    query: DataFrame,
    /// The key-value metadata of the output.
    metadata: HashMap<String, String>,
    /// The number of input rows, or 0 if it is not known.
    rows: u64,
}

impl BatchRun {
    /// The SQL query of the run. It reads the table `input`.
    pub fn query(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
        format!("SELECT {} FROM input{filter}", self.select)
    }

    /// The session that [`run`](Self::run) uses.
    ///
    /// # Errors
    /// This machine does not have the backend.
    pub fn session(&self) -> Result<Session> {
        let mut session = Session::builder().backend(&self.backend).memory_limit(self.memory_limit);
        if let Some(threads) = self.threads {
            session = session.threads(threads);
        }
        if let Some(cluster) = &self.cluster {
            session = session.cluster(cluster.clone());
        }
        session.build()
    }

    /// Runs the query and writes its output. If it fails, or the future is dropped before it completes, nothing is
    /// written.
    ///
    /// # Errors
    /// The input cannot be read, a SQL statement is invalid, the query fails, or the output cannot be
    /// written.
    pub async fn run(&self, progress: Arc<dyn Progress>) -> Result<WriteSummary> {
        Ok(self.run_in(&self.session()?, progress).await?)
    }

    /// Runs the query in a session, with its functions, tables and settings instead of those that [`run`](Self::run) takes
    /// from `threads`, `memory_limit`, `backend` and `cluster`. The session is not changed, whatever the statements of
    /// `init` do.
    ///
    /// # Errors
    /// As of [`run`](Self::run), with the step that has failed.
    pub async fn run_in(
        &self,
        session: &Session,
        progress: Arc<dyn Progress>,
    ) -> Result<WriteSummary, BatchError> {
        let shape = OutputShape::of(&self.output, self.output_format, !self.partition_by.is_empty());
        let shape = shape.map_err(at(BatchStep::Output))?;
        let run = self.plan(session, &progress).await?;
        progress.start(run.rows);
        let runtime = session.context().runtime_env();
        let mode = if self.overwrite { OutputMode::Replace } else { OutputMode::Create };
        let staging = match shape.is_file {
            true => Staging::new_file(&self.output, self.overwrite, &runtime).await,
            false => Staging::new_folder(&self.output, mode, &shape.file_type.to_string(), &runtime).await,
        };
        let staging = staging.map_err(at(BatchStep::Output))?;
        let settings = self.output_settings(shape.file_type);
        let written = write_query(run.query, run.metadata, staging, settings, progress).await;
        written.map_err(at(BatchStep::Execute))
    }

    /// Runs the query in a session as [`run_in`](Self::run_in) does, and writes the rows to a stream of this type, in the order
    /// of the files and as they come. Returns their number.
    ///
    /// # Errors
    /// As of [`run_in`](Self::run_in). A part of the rows is written then.
    pub async fn run_to(
        &self,
        session: &Session,
        out: impl Write + Send,
        file_type: FileType,
        progress: Arc<dyn Progress>,
    ) -> Result<u64, BatchError> {
        let run = self.plan(session, &progress).await?;
        progress.start(run.rows);
        let settings = self.output_settings(file_type);
        let written = write_to(run.query, run.metadata, out, &settings, progress).await;
        written.map_err(at(BatchStep::Execute))
    }

    fn output_settings(&self, file_type: FileType) -> OutputSettings {
        let partition_by = self.partition_by.clone();
        OutputSettings { file_type, partition_by, ..OutputSettings::from(self.settings) }
    }

    /// Opens the input and plans the query, in a copy of the session.
    async fn plan(&self, session: &Session, progress: &Arc<dyn Progress>) -> Result<PlannedRun, BatchError> {
        let session = session.private_copy().await.map_err(at(BatchStep::Plan))?;
        let input = open_tables(session.context(), &self.inputs, &self.input_options).await;
        let input = input.map_err(at(BatchStep::Input))?;
        for note in session.take_notes() {
            progress.note(&note);
        }
        if let Some(statements) = &self.init {
            session.run_script(statements).await.map_err(at(BatchStep::Init))?;
        }
        let metadata = input.provider.schema().metadata().clone();
        session.register_table("input", input.provider).map_err(at(BatchStep::Plan))?;
        let query = session.sql(&self.query()).await.map_err(at(BatchStep::Plan))?;
        if !input.dropped_metadata.is_empty() {
            let keys = input.dropped_metadata.join(", ");
            progress
                .warn(&format!("the files disagree on this metadata, so the output has none of it: {keys}"));
        }
        Ok(PlannedRun { query, metadata, rows: input.rows.unwrap_or(0) })
    }
}

/// Adds the step to an error.
fn at(step: BatchStep) -> impl Fn(DataFusionError) -> BatchError {
    move |error| BatchError { step, error }
}

/// A step of a batch run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStep {
    /// Opening the input.
    Input,
    /// Running the statements of `init`.
    Init,
    /// Planning the query.
    Plan,
    /// Preparing the output.
    Output,
    /// Executing the query, and writing and publishing its rows.
    Execute,
}

/// Why a batch run has failed.
#[derive(Debug)]
pub struct BatchError {
    /// The step that has failed.
    pub step: BatchStep,
    /// Its error.
    pub error: DataFusionError,
}

impl From<BatchError> for DataFusionError {
    fn from(failed: BatchError) -> Self {
        failed.error
    }
}
