//! The way into the engine: a DataFusion `SessionContext` with everything of warpframe registered.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::backend::BackendChoice;
use crate::config::WarpframeOptions;
use crate::files;
use crate::functions::log3_udf;
use crate::planner::BindBackend;
use crate::rows::{Distribution, GenerateRows, GeneratedRows, RowGenerator};

/// The number of rows of the table `rows` that every session has.
pub const DEFAULT_ROWS: u64 = 10_000_000;

/// A warpframe session: `log3`, `generate_rows`, the table `rows` and the `warpframe.*` options on a
/// DataFusion [`SessionContext`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::error::Result<()> {
/// use datafusion::prelude::col;
/// use warpframe::{Session, log3};
///
/// let session = Session::new()?;
/// let rows = session.context().table("rows").await?; // lazy: nothing is made yet
/// let rows = rows.select(vec![log3(col("x"), col("y"), col("z")).alias("r")])?.limit(1, Some(1))?;
/// assert_eq!(rows.collect().await?[0].num_rows(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
}

impl Session {
    /// A session with the default settings.
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` asks for instructions that this CPU lacks.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Settings for a session.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// The DataFusion context: tables, SQL, DataFrames.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans a SQL query; it runs when the DataFrame is collected or streamed.
    ///
    /// # Errors
    /// The query is not valid.
    pub async fn sql(&self, query: &str) -> Result<DataFrame> {
        self.context.sql(query).await
    }

    /// Registers local files as a table: Parquet, CSV (with a header line) or Arrow IPC, by their
    /// extension; one file, a folder or a glob. A table of that name is replaced.
    ///
    /// # Errors
    /// Nothing matches, or the files cannot be read or do not fit together.
    pub async fn register_files(&self, name: &str, pattern: &str) -> Result<()> {
        let table = files::open_table(&self.context, pattern).await?;
        self.context.deregister_table(name)?;
        self.context.register_table(name, table)?;
        Ok(())
    }
}

/// Settings for a [`Session`].
#[derive(Debug, Clone, Default)]
pub struct SessionBuilder {
    threads: Option<NonZeroUsize>,
    batch_size: Option<NonZeroUsize>,
    memory_limit: Option<usize>,
    backend: BackendChoice,
}

impl SessionBuilder {
    /// The number of partitions that queries run in; all cores by default. The tokio runtime decides how
    /// many threads serve them.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The number of rows in a batch; 8192 by default.
    pub fn batch_size(mut self, rows: NonZeroUsize) -> Self {
        self.batch_size = Some(rows);
        self
    }

    /// The bytes that the query's operators may hold together; without limit by default. What passes
    /// through in batches is not counted.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// What evaluates warpframe's functions; `auto` by default.
    pub fn backend(mut self, backend: BackendChoice) -> Self {
        self.backend = backend;
        self
    }

    /// Makes the session.
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` asks for instructions that this CPU lacks.
    pub fn build(self) -> Result<Session> {
        self.backend.resolve()?;
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_option_extension(WarpframeOptions { backend: self.backend });
        // Errors in a query then say where in it they are.
        config.options_mut().sql_parser.collect_spans = true;
        if let Some(threads) = self.threads {
            config = config.with_target_partitions(threads.get());
        }
        if let Some(batch_size) = self.batch_size {
            config = config.with_batch_size(batch_size.get());
        }
        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(bytes) = self.memory_limit {
            runtime = runtime.with_memory_limit(bytes, 1.0);
        }
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime.build_arc()?)
            .with_default_features()
            .with_optimizer_rule(Arc::new(BindBackend))
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_udf(log3_udf().as_ref().clone());
        context.register_udtf("generate_rows", Arc::new(GenerateRows));
        let generator = RowGenerator { distribution: Distribution::Sequence, seed: 0 };
        context.register_table("rows", Arc::new(GeneratedRows::new(generator, DEFAULT_ROWS)))?;
        Ok(Session { context })
    }
}
