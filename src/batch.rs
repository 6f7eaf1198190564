//! Batch runs: evaluate a select list over files into files. Each partition of the query is streamed into a file of its own.

mod ordered;
mod output_shape;
mod write;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::dataframe::DataFrame;

use crate::error_text::root_message;
use crate::session::Session;
use warpframe_io::{
    DataFormat, FileType, NonFinite, OutputMode, OutputSettings, Progress, ReadOptions, Staging,
    WriteSummary, WriterSettings, open_tables,
};

pub use ordered::plan_in_order;
pub use output_shape::OutputShape;
pub use write::{write_query, write_to};

/// Evaluates expressions over files into files, in a session with its functions, tables and settings.
///
/// The output has the rows in the order of the input files, and the key-value metadata that is the same in all of
/// them. An input without rows gives an output with the columns and without rows.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use warpframe::Session;
///
/// let session = Session::new()?;
/// session.run_script("CREATE FUNCTION half(a DOUBLE) RETURNS DOUBLE RETURN a / 2").await?;
/// let run = session.batch_run().input("data/*.parquet").select("id, half(x) AS h").output("halves.csv.gz");
/// println!("{} rows", run.run().await?.rows);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing happens before `run`"]
pub struct BatchRun {
    session: Session,
    inputs: Vec<String>,
    input_options: ReadOptions,
    init: Option<String>,
    select: String,
    filter: Option<String>,
    output: Option<PathBuf>,
    output_format: Option<DataFormat>,
    partition_by: Vec<String>,
    overwrite: bool,
    writer: WriterSettings,
    non_finite: NonFinite,
    progress: Arc<dyn Progress>,
}

impl Session {
    /// A batch run in this session: from files to files, streaming.
    pub fn batch_run(&self) -> BatchRun {
        BatchRun::new(self)
    }
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
    /// A run in a session, of all columns. It needs an [`input`](Self::input) and an [`output`](Self::output).
    pub fn new(session: &Session) -> Self {
        Self {
            session: session.clone(),
            inputs: Vec::new(),
            input_options: ReadOptions::default(),
            init: None,
            select: "*".to_owned(),
            filter: None,
            output: None,
            output_format: None,
            partition_by: Vec::new(),
            overwrite: false,
            writer: WriterSettings::default(),
            non_finite: NonFinite::default(),
            progress: Arc::new(()),
        }
    }

    /// Adds an input: a file, a folder, a glob pattern, or a URL in an object store (`s3://BUCKET/PATH`; one that ends in '/' is a
    /// folder); `-` is the standard input. All inputs have the same columns, as [`open_tables`] opens them, and the rows of the
    /// first one come first.
    pub fn input(mut self, path: impl Into<String>) -> Self {
        self.inputs.push(path.into());
        self
    }

    /// How the inputs are read; by default their formats are those of the extensions.
    pub fn input_options(mut self, options: ReadOptions) -> Self {
        self.input_options = options;
        self
    }

    /// SQL statements that are run before the query, such as `CREATE FUNCTION`. They do not change the session.
    pub fn init(mut self, statements: impl Into<String>) -> Self {
        self.init = Some(statements.into());
        self
    }

    /// The SQL select list, such as `id, log3(x, y, z) AS r`; all columns (`*`) by default.
    pub fn select(mut self, expressions: impl Into<String>) -> Self {
        self.select = expressions.into();
        self
    }

    /// The SQL condition that selects rows; all rows by default.
    pub fn filter(mut self, condition: impl Into<String>) -> Self {
        self.filter = Some(condition.into());
        self
    }

    /// The output, a path or URL: one file or a folder of files, as [`OutputShape`] says. A folder has a file for each
    /// partition of the query that has rows.
    pub fn output(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Some(path.into());
        self
    }

    /// The format of the output; by default that of its extension, and Parquet in a folder.
    pub fn output_format(mut self, format: DataFormat) -> Self {
        self.output_format = Some(format);
        self
    }

    /// The columns of the output whose values are in the names of folders (`column=value`) and not in the files, from the
    /// outermost on; none by default.
    pub fn partition_by(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.partition_by = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Whether an existing output may be replaced, when the new one is complete; otherwise it is an error, the default.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// The settings of the Parquet writer.
    pub fn writer(mut self, settings: WriterSettings) -> Self {
        self.writer = settings;
        self
    }

    /// What NaN and infinities become in JSON; by default strings.
    pub fn non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// What is told of the number of rows, and of warnings; by default they are ignored.
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The SQL query of the run. It reads the table `input`.
    pub fn query(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
        format!("SELECT {} FROM input{filter}", self.select)
    }

    /// Runs the query and writes its output. If it fails, or the future is dropped before it completes, nothing is
    /// written. The session is not changed, whatever the statements of [`init`](Self::init) do. In the run, the name `input`
    /// is that of the files, also if the session has a table of this name.
    ///
    /// # Errors
    /// The input or the output is missing, the input cannot be read, a SQL statement is invalid, the query fails, or the
    /// output cannot be written. The error names the step that has failed.
    pub async fn run(&self) -> Result<WriteSummary, BatchError> {
        let output = self.output_path()?;
        let shape = OutputShape::of(output, self.output_format, !self.partition_by.is_empty());
        let shape = shape.map_err(at(BatchStep::Output))?;
        let run = self.plan().await?;
        self.progress.start(run.rows);
        let runtime = self.session.context().runtime_env();
        let mode = if self.overwrite { OutputMode::Replace } else { OutputMode::Create };
        let staging = match shape.is_file {
            true => Staging::new_file(output, self.overwrite, &runtime).await,
            false => Staging::new_folder(output, mode, &shape.file_type.to_string(), &runtime).await,
        };
        let staging = staging.map_err(at(BatchStep::Output))?;
        let (settings, progress) = (self.output_settings(shape.file_type), Arc::clone(&self.progress));
        let written = write_query(run.query, run.metadata, staging, settings, progress).await;
        written.map_err(at(BatchStep::Execute))
    }

    /// Runs the query as [`run`](Self::run) does, and writes the rows to a stream of this type instead of the output, in the
    /// order of the files and as they come. Returns their number.
    ///
    /// # Errors
    /// As of [`run`](Self::run). A part of the rows is written then.
    pub async fn run_to(&self, out: impl Write + Send, file_type: FileType) -> Result<u64, BatchError> {
        let run = self.plan().await?;
        self.progress.start(run.rows);
        let (settings, progress) = (self.output_settings(file_type), Arc::clone(&self.progress));
        let written = write_to(run.query, run.metadata, out, &settings, progress).await;
        written.map_err(at(BatchStep::Execute))
    }

    fn output_path(&self) -> Result<&Path, BatchError> {
        let missing = || plan_datafusion_err!("the batch run has no output: call BatchRun::output");
        self.output.as_deref().ok_or_else(|| at(BatchStep::Output)(missing()))
    }

    fn output_settings(&self, file_type: FileType) -> OutputSettings {
        let (partition_by, non_finite) = (self.partition_by.clone(), self.non_finite);
        OutputSettings { file_type, partition_by, non_finite, ..OutputSettings::from(self.writer) }
    }

    /// Opens the input and plans the query, in a copy of the session.
    async fn plan(&self) -> Result<PlannedRun, BatchError> {
        if self.inputs.is_empty() {
            let missing = plan_datafusion_err!("the batch run has no input: call BatchRun::input");
            return Err(at(BatchStep::Input)(missing));
        }
        let session = self.session.private_copy().await.map_err(at(BatchStep::Plan))?;
        let input = open_tables(session.context(), &self.inputs, &self.input_options).await;
        let input = input.map_err(at(BatchStep::Input))?;
        for note in session.take_notes() {
            self.progress.note(&note);
        }
        if let Some(statements) = &self.init {
            session.run_script(statements).await.map_err(at(BatchStep::Init))?;
        }
        let metadata = input.provider.schema().metadata().clone();
        session.register_table("input", input.provider).map_err(at(BatchStep::Plan))?;
        let query = session.sql(&self.query()).await.map_err(at(BatchStep::Plan))?;
        if !input.dropped_metadata.is_empty() {
            let keys = input.dropped_metadata.join(", ");
            self.progress
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

/// Why a batch run has failed. It is shown as its error is, in one sentence.
#[derive(Debug)]
pub struct BatchError {
    /// The step that has failed.
    pub step: BatchStep,
    /// Its error.
    pub error: DataFusionError,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&root_message(&self.error))
    }
}

impl Error for BatchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl From<BatchError> for DataFusionError {
    fn from(failed: BatchError) -> Self {
        failed.error
    }
}
