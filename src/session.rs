//! The way into the engine: a DataFusion `SessionContext` with everything of warpframe registered.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::config::ExplainOptions;
use datafusion::common::format::ExplainFormat;
use datafusion::common::{Result, config_err, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::{MemoryLimit as PoolLimit, MemoryPool, UnboundedMemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Explain, Expr, LogicalPlan, PlanType, ScalarUDF, StringifiedPlan};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use warpframe_cuda::Gpus;
use warpframe_datafusion::backends::Backends;
use warpframe_datafusion::column_names::Headings;
use warpframe_datafusion::explain::ExplainPlanner;
use warpframe_datafusion::functions::statements;
use warpframe_datafusion::functions::{Parameter, SqlFunction};
use warpframe_datafusion::long_expressions::balance;
use warpframe_datafusion::memory::{MemoryLimit, SharedPool, fit_to_limit};
use warpframe_datafusion::options::WarpframeOptions;
use warpframe_datafusion::planner::{SpillableJoins, not_fused, not_fused_operators};
use warpframe_datafusion::rows::{Distribution, GeneratedRows, RowGenerator};
use warpframe_datafusion::table_changes::PlanTableChanges;
use warpframe_datafusion::{Execution, configure, install_with};
use warpframe_io::{
    ArrowFormatFactory, AvroFormatFactory, CheckTablePresence, CsvFormatFactory, CsvReadOptions,
    JsonFormatFactory, NameFiles, Notes, ParquetFormatFactory, ParquetFunction, ReadOptions, RepairFooters,
    ReplaceCsvScans, StageCopies, TableFactory, open_tables, runtime_env_builder, runtime_env_over,
};

use crate::clauses::{check_clauses, has_keys};
use crate::cluster::{self, ClusterSettings};
use crate::column_case::plan_statement;
use crate::copy_target::name_copy_format;
use crate::error_location::ErrorLocator;
use crate::file_tables::FileTables;
use crate::function_calls::check_function_calls;
use crate::large_stack::OnLargeStack;
use crate::private_catalog::private_catalogs;
use crate::revision;
use crate::script::Script;
use crate::show_functions::{show_functions_pattern, with_all_functions};
use crate::summarize::{self, Summarize};

/// A rule of the physical optimizer.
type PhysicalRule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The number of rows of the table `rows` that every session has.
pub const DEFAULT_ROWS: u64 = 10_000_000;

/// Statements with longer chains of operators are planned on a large stack.
const LONG_CHAIN: usize = 100;

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
    /// The memory pool of a runtime environment that the session was built with.
    kept_pool: Option<Arc<dyn MemoryPool>>,
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
        let mut script = self.script(query)?;
        match (self.next_statement(&mut script)?, script.is_empty()) {
            (Some(statement), true) => self.statement(statement).await,
            (None, _) => plan_err!("there is no statement"),
            (Some(_), false) => plan_err!("there is more than one statement: run them one by one"),
        }
    }

    /// Plans a parsed statement; one that changes the session, such as `SET` and `CREATE FUNCTION`, takes
    /// effect at once.
    ///
    /// # Errors
    /// The statement is not valid.
    pub async fn statement(&self, mut statement: Statement) -> Result<DataFrame> {
        check_clauses(&mut statement)?;
        let declares_keys = declares_keys(&statement);
        summarize::expand(&mut statement)?;
        let long = balance(&mut statement)? > LONG_CHAIN;
        let planned = self.plan(statement);
        let (state, plan) = if long { OnLargeStack(Box::pin(planned)).await? } else { planned.await? };
        if !matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Statement(_)) {
            // Nothing is executed yet. The state has hundreds of functions: it is not copied again.
            return Ok(DataFrame::new(state, plan));
        }
        let locator = ErrorLocator::of_plan(state, plan.clone());
        // Statements such as CREATE TABLE AS are executed here.
        let result = self.context.execute_logical_plan(plan).await;
        let result = result.map_err(|error| locator.locate(error))?;
        self.share_memory_limit()?;
        if declares_keys {
            let note = "PRIMARY KEY and UNIQUE are not checked: queries rely on them, and are wrong if values repeat";
            Notes::add(&self.context.state(), note.to_owned());
        }
        Ok(result)
    }

    /// `SET datafusion.runtime.memory_limit` makes a pool in which one operator can take everything: replaces it by one of
    /// the same limit that operators share.
    fn share_memory_limit(&self) -> Result<()> {
        let runtime = self.context.runtime_env();
        let pool = &runtime.memory_pool;
        let is_kept = self.kept_pool.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, pool));
        if let PoolLimit::Finite(limit) = pool.memory_limit()
            && pool.name() != SharedPool::NAME
            && !is_kept
        {
            let shared = Arc::new(SharedPool::new(limit));
            let runtime =
                RuntimeEnvBuilder::from_runtime_env(&runtime).with_memory_pool(shared).build_arc()?;
            let state = self.context.state_ref();
            let mut state = state.write();
            *state = SessionStateBuilder::from(state.clone()).with_runtime_env(runtime).build();
        }
        Ok(())
    }

    /// The plan of a statement, and the state of the session for which it was made.
    async fn plan(&self, mut statement: Statement) -> Result<(SessionState, LogicalPlan)> {
        let state = self.context.state();
        if let Statement::Statement(sql) = &mut statement {
            match &mut **sql {
                ast::Statement::CreateFunction(create) => statements::prepare_create(&state, create)?,
                ast::Statement::DropFunction(drop) => statements::prepare_drop(&state, drop)?,
                _ => {}
            }
        }
        check_function_calls(&mut statement, &state)?;
        name_copy_format(&mut statement)?;
        let functions = show_functions_pattern(&statement);
        // Before names in the statement are replaced.
        let headings = Headings::of(&mut statement);
        // Registered until the statement is planned.
        let _files = FileTables::open(&self.context, &mut statement).await?;
        let mut plan = plan_statement(&state, statement, &headings).await?;
        if let Some(pattern) = functions {
            plan = with_all_functions(&state, plan, &pattern).await?;
        }
        if let LogicalPlan::Explain(explain) = &mut plan
            && explain.verbose
        {
            explain_fusion(&state, explain).await?;
        }
        Ok((state, plan))
    }

    /// Runs statements separated by ';' for what they do to the session, such as `CREATE FUNCTION`.
    ///
    /// # Errors
    /// A statement is not valid; those before it have run.
    pub async fn run_script(&self, statements: &str) -> Result<()> {
        let mut script = self.script(statements)?;
        while let Some(statement) = self.next_statement(&mut script)? {
            self.statement(statement).await?.collect().await?;
        }
        Ok(())
    }

    /// The query `EXPLAIN FORMAT INDENT` of a planned query; with `verbose`, it also says what is not fused and why, and with `analyze`,
    /// it runs the query and shows the metrics of its operators.
    ///
    /// # Errors
    /// The query is an `EXPLAIN` itself, or has no physical plan.
    pub async fn explain(&self, query: DataFrame, verbose: bool, analyze: bool) -> Result<DataFrame> {
        let (state, mut plan) = query.explain(verbose, analyze)?.into_parts();
        if let LogicalPlan::Explain(explain) = &mut plan
            && verbose
        {
            explain_fusion(&state, explain).await?;
        }
        Ok(DataFrame::new(state, plan))
    }

    /// Statistics of the columns of a query, as those of `SUMMARIZE`: a row for each column with its name, its type, the numbers
    /// of values, of nulls and of different values (approximately), the minimum, the maximum, the mean, the standard deviation
    /// and the quartiles (approximately). They are computed in one pass.
    ///
    /// # Errors
    /// The query has no columns.
    pub fn summarize(&self, query: DataFrame) -> Result<DataFrame> {
        let (state, plan) = query.into_parts();
        Ok(DataFrame::new(state, summarize::summary(plan)?))
    }

    /// A session with the settings, functions and tables of this one, in which tables, functions and settings can be changed
    /// without changing this one. The tables share their rows.
    ///
    /// # Errors
    /// A catalog cannot be read.
    pub async fn private_copy(&self) -> Result<Self> {
        let mut state = self.context.state();
        state.register_catalog_list(private_catalogs(state.catalog_list().as_ref()).await?);
        Ok(Self { context: SessionContext::new_with_state(state), kept_pool: self.kept_pool.clone() })
    }

    /// Parses statements separated by ';' in the session's SQL dialect (`datafusion.sql_parser.dialect`).
    ///
    /// # Errors
    /// The text is not valid SQL; no statement of it should run then.
    pub fn script(&self, text: &str) -> Result<Script> {
        Script::new(text, &self.context.state_ref().read().config_options().sql_parser)
    }

    /// The next statement of a script. What follows a change of the dialect is parsed in the new one.
    ///
    /// # Errors
    /// The rest of the script is not valid SQL in the new dialect.
    pub fn next_statement(&self, script: &mut Script) -> Result<Option<Statement>> {
        script.next(&self.context.state_ref().read().config_options().sql_parser)
    }

    /// Defines a function by an expression over columns with the parameters' names, as `CREATE FUNCTION` does, and returns
    /// it for DataFrames. A function that was defined before under this name is replaced.
    ///
    /// A parameter is a name, of type Float64, or a [`Parameter`] with another type or a default; calls may omit trailing
    /// arguments with defaults. The return type is that of the expression: cast it for another one. Names are taken as they
    /// are; for columns with capital letters or dots in their names, use [`ident`](datafusion::logical_expr::ident) instead of
    /// `col`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> datafusion::error::Result<()> {
    /// use warpframe::arrow::datatypes::DataType;
    /// use warpframe::datafusion::functions::expr_fn::{power, sqrt};
    /// use warpframe::datafusion::prelude::{cast, col, lit};
    /// use warpframe::functions::Parameter;
    ///
    /// let session = warpframe::Session::new()?;
    /// let dist = session.create_function("dist", ["a", "b"], sqrt(col("a") * col("a") + col("b") * col("b")))?;
    /// session.sql("SELECT dist(3, 4)").await?.show().await?; // 5.0
    /// let rows = session.context().table("rows").await?.limit(0, Some(3))?;
    /// rows.select(vec![dist.call(vec![col("x"), col("y")])])?.show().await?;
    ///
    /// let exponent = Parameter::new("n", DataType::Int64).with_default(lit(2));
    /// let body = cast(power(col("a"), col("n")), DataType::Float32);
    /// session.create_function("raised", [Parameter::from("a"), exponent], body)?;
    /// session.sql("SELECT raised(3), raised(3, 4), raised(3, n => 1)").await?.show().await?; // 9.0, 81.0, 3.0
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The name is that of a built-in function, or the expression is not valid over these columns, or a default is not valid
    /// for its parameter.
    pub fn create_function(
        &self,
        name: &str,
        parameters: impl IntoIterator<Item = impl Into<Parameter>>,
        body: Expr,
    ) -> Result<Arc<ScalarUDF>> {
        let state = self.context.state();
        statements::check_name(&state, name, true)?;
        let parameters = parameters.into_iter().map(Into::into).collect();
        let function = SqlFunction::new(&state, name.to_owned(), parameters, body, None)?;
        let function = Arc::new(ScalarUDF::from(function));
        self.context.register_udf(function.as_ref().clone());
        Ok(function)
    }

    /// Registers files as a table, in the format of their extension, such as `.parquet`, `.csv` or `.json.gz`; one file,
    /// a folder, a glob, or a URL in an object store (`s3://BUCKET/PATH`). A table of that name is replaced.
    ///
    /// # Errors
    /// Nothing matches, or the files cannot be read or do not fit together.
    pub async fn register_files(&self, name: &str, pattern: &str) -> Result<()> {
        self.register_files_with(name, &[pattern], &ReadOptions::default()).await
    }

    /// Registers the files behind several names as one table, as [`open_tables`] opens them. A table of that name is replaced.
    ///
    /// # Errors
    /// The same as for [`open_tables`].
    pub async fn register_files_with(
        &self,
        name: &str,
        patterns: &[impl AsRef<str>],
        options: &ReadOptions,
    ) -> Result<()> {
        let table = open_tables(&self.context, patterns, options).await?;
        self.register_table(name, table.provider)
    }

    /// What a user should know about the tables that were opened or created since the last call, such as that a CSV file has no header,
    /// which files of a folder were left out, or that keys are not checked: sentences without a full stop. None is returned twice.
    pub fn take_notes(&self) -> Vec<String> {
        Notes::take(self.context.state_ref().read().config())
    }

    /// Registers a table. A table of that name is replaced.
    ///
    /// # Errors
    /// The name has the form `schema.table`, and there is no such schema.
    pub fn register_table(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        self.context.deregister_table(name)?;
        self.context.register_table(name, table)?;
        Ok(())
    }
}

/// Whether a statement creates a table with keys.
fn declares_keys(statement: &Statement) -> bool {
    match statement {
        Statement::CreateExternalTable(table) => has_keys(&table.columns, &table.constraints),
        Statement::Statement(statement) => match &**statement {
            ast::Statement::CreateTable(table) => has_keys(&table.columns, &table.constraints),
            _ => false,
        },
        _ => false,
    }
}

/// Adds lines to `EXPLAIN VERBOSE` for every numeric expression and every operator that is not fused, with the reason.
async fn explain_fusion(state: &SessionState, explain: &mut Explain) -> Result<()> {
    let config = state.config_options();
    let (expressions, operators) = match WarpframeOptions::of(config).fuse {
        true => {
            let plan = state.optimize(&explain.plan)?;
            // `EXPLAIN` itself says why there is no physical plan.
            let operators = match state.query_planner().create_physical_plan(&plan, state).await {
                Ok(operators) => not_fused_operators(&operators, &Backends::of(state.config()), config)?,
                Err(_) => Vec::new(),
            };
            (not_fused(&plan)?, operators)
        }
        false => (vec!["warpframe.fuse is false".to_owned()], Vec::new()),
    };
    for (kind, reasons) in [("fuse", expressions), ("fuse_operators", operators)] {
        if !reasons.is_empty() {
            let label = PlanType::OptimizedLogicalPlan { optimizer_name: format!("{kind}: not fused") };
            explain.stringified_plans.push(StringifiedPlan::new(label, reasons.join("\n")));
        }
    }
    Ok(())
}

/// Settings for a [`Session`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct SessionBuilder {
    state: Option<SessionState>,
    config: Option<SessionConfig>,
    runtime: Option<Arc<RuntimeEnv>>,
    threads: Option<NonZeroUsize>,
    batch_size: Option<NonZeroUsize>,
    memory_limit: Option<MemoryLimit>,
    backend: Option<String>,
    fuse: Option<bool>,
    backends: Option<Arc<Backends>>,
    csv: CsvReadOptions,
    cluster: Option<ClusterSettings>,
}

impl SessionBuilder {
    /// The context of another application: the session has its configuration, functions, rules and runtime environment, and
    /// the same catalogs, so that a table which is registered in one of both is seen in the other. The context itself is not
    /// changed: its queries run as before, and functions that are registered in one later are not in the other. Without a
    /// table `rows`, unless the context has one.
    ///
    /// A [`cluster`](Self::cluster) replaces the logical rules and the query planner of the context.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> datafusion::error::Result<()> {
    /// use warpframe::Session;
    /// use warpframe::datafusion::prelude::SessionContext;
    ///
    /// let context = SessionContext::new();
    /// context.sql("CREATE TABLE t AS VALUES (1.0), (2.0)").await?;
    /// let session = Session::builder().context(&context).build()?;
    /// session.sql("SELECT sum(log3(column1, column1, column1)) FROM t").await?.show().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn context(mut self, context: &SessionContext) -> Self {
        self.state = Some(context.state());
        self
    }

    /// A configuration instead of the default one, or that of the [`context`](Self::context). The other settings of this
    /// builder, if they are given, replace those in it. The information schema and the positions in error messages are always
    /// on.
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// The runtime environment whose memory pool, disk manager, caches and object stores the session shares, instead of one
    /// of its own. Its pool stays the pool unless a [`memory_limit`](Self::memory_limit) is given.
    pub fn runtime_env(mut self, runtime: Arc<RuntimeEnv>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The number of partitions that queries run in, fewer if a memory limit leaves less than 8 MiB for each; all cores by
    /// default. The tokio runtime decides how
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

    /// How much memory the operators, kernels and writers of all queries of the session may hold together: a number of
    /// bytes or a [`MemoryLimit`]; 75 % of the memory of the machine or of its control group by default. Sorts, aggregations
    /// and sort-merge joins that need more spill into the folder for temporary files (`TMPDIR`); other operators fail. What
    /// passes through in batches is not counted, nor are tables in memory and collected results.
    pub fn memory_limit(mut self, limit: impl Into<MemoryLimit>) -> Self {
        self.memory_limit = Some(limit.into());
        self
    }

    /// The name of the backend that evaluates fused expressions, `auto` by default: the option `warpframe.backend`.
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backend = Some(name.into());
        self
    }

    /// Whether numeric expressions are fused; they are by default.
    pub fn fuse(mut self, fuse: bool) -> Self {
        self.fuse = Some(fuse);
        self
    }

    /// The syntax of CSV files that are read, where the options of a table do not say something else.
    pub fn csv(mut self, options: CsvReadOptions) -> Self {
        self.csv = options;
        self
    }

    /// The backends that can be named; those of this machine by default.
    pub fn backends(mut self, backends: Backends) -> Self {
        self.backends = Some(Arc::new(backends));
        self
    }

    /// The backends of this machine with other GPUs, such as simulated ones.
    pub fn gpus(self, gpus: Arc<Gpus>) -> Self {
        self.backends(Backends::on(Some(gpus)))
    }

    /// The cluster that queries which read tables run on; this process by default. Their functions are evaluated
    /// by the backend that the executors resolve the session's choice to. [`threads`](Self::threads) then
    /// settles the number of tasks of a query. Nothing is connected before the first query. A build without the feature
    /// `cluster` has no settings to call this with.
    ///
    /// ```
    /// # fn main() -> datafusion::error::Result<()> {
    /// use warpframe::Session;
    /// use warpframe::cluster::ClusterAddress;
    ///
    /// let cluster: ClusterAddress = "df://127.0.0.1:50050".parse()?;
    /// let session = Session::builder().cluster(cluster).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cluster(mut self, cluster: impl Into<ClusterSettings>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// Makes the session.
    ///
    /// # Errors
    /// This machine does not have the backend, `WARPFRAME_SIMD` asks for instructions that its CPU lacks, or the context
    /// has warpframe already.
    pub fn build(mut self) -> Result<Session> {
        let has_context = self.state.is_some();
        let mut state = match self.state.take() {
            Some(state) => SessionStateBuilder::new_from_existing(state),
            None => SessionStateBuilder::new().with_default_features(),
        };
        let SessionRuntime { runtime, limit, kept_pool } = self.make_runtime(state.runtime_env().take())?;
        let mut config = self.config.or(state.config().take()).unwrap_or_default();
        if config.get_extension::<Backends>().is_some() {
            return config_err!("the context has warpframe already: give one without `warpframe::install`");
        }
        let has_default_schema = config.options().catalog.create_default_catalog_and_schema;
        let backends = self.backends.unwrap_or_default();
        config = self.csv.install(Notes::install(configure(config.with_information_schema(true), &backends)));
        // Folders are read with the folders in them.
        config.options_mut().execution.listing_table_ignore_subdirectory = false;
        // Another format than DataFusion's default is the user's choice.
        if config.options().explain.format == ExplainOptions::default().format {
            config.options_mut().explain.format = ExplainFormat::Tree;
        }
        for (option, value) in [("backend", self.backend), ("fuse", self.fuse.map(|fuse| fuse.to_string()))] {
            if let Some(value) = value {
                config.options_mut().set(&format!("warpframe.{option}"), &value)?;
            }
        }
        if self.cluster.is_none() {
            // On a cluster, the executors' machines count.
            backends.backend(config.options())?;
        }
        // Errors in a query then say where in it they are.
        config.options_mut().sql_parser.collect_spans = true;
        if let Some(threads) = self.threads {
            config = config.with_target_partitions(threads.get());
        }
        if let Some(batch_size) = self.batch_size {
            config = config.with_batch_size(batch_size.get());
        }
        if let Some(bytes) = limit.bytes()
            && self.cluster.is_none()
        {
            config = fit_to_limit(config, bytes);
        }
        let is_local = self.cluster.is_none();
        let state = state.with_runtime_env(runtime).with_config(config);
        let state = match self.cluster {
            None => install_with(state, backends, Execution::Local),
            Some(cluster) => {
                revision::require_on_clusters();
                let state = cluster::install(state, cluster, self.threads.map(NonZeroUsize::get));
                install_with(state, backends, Execution::Remote)
            }
        };
        // Before the rules that split files, and before those that rely on being the last.
        let mut state = state;
        let rules = &mut state.physical_optimizers().get_or_insert_with(PhysicalOptimizer::new).rules;
        if is_local && let Some(spillable_joins) = SpillableJoins::new(limit) {
            spillable_joins.insert_into(rules);
        }
        rules.splice(
            0..0,
            [Arc::new(ReplaceCsvScans) as PhysicalRule, Arc::new(RepairFooters), Arc::new(StageCopies)],
        );
        if is_local {
            // On clusters the executors do it: the encoding of plans does not know the sources that name files.
            rules.push(Arc::new(NameFiles));
        }
        // That of clusters, if there is one.
        let planner = state.query_planner().take().unwrap_or_else(|| Arc::new(ExplainPlanner));
        let planner = Some(Arc::new(PlanTableChanges { planner }) as _);
        let mut state = state.with_query_planner(Arc::new(CheckTablePresence { planner })).build();
        for csv in [CsvFormatFactory::csv(), CsvFormatFactory::tsv()] {
            state.register_file_format(Arc::new(csv), true)?;
        }
        for json in JsonFormatFactory::all() {
            state.register_file_format(Arc::new(json), true)?;
        }
        state.register_file_format(Arc::new(AvroFormatFactory), true)?;
        state.register_file_format(Arc::new(ParquetFormatFactory::default()), true)?;
        state.register_file_format(Arc::new(ArrowFormatFactory::default()), true)?;
        for file_type in TableFactory::FILE_TYPES {
            state.table_factories_mut().insert(file_type.to_owned(), Arc::new(TableFactory::default()));
        }
        let context = SessionContext::new_with_state(state);
        context.register_udtf(summarize::FUNCTION, Arc::new(Summarize));
        for function in ParquetFunction::ALL {
            context.register_udtf(function.name(), Arc::new(function));
        }
        // The catalogs of a context are those of its application.
        if !has_context && has_default_schema {
            let generator = RowGenerator { distribution: Distribution::Sequence, seed: 0 };
            context.register_table("rows", Arc::new(GeneratedRows::new(generator, DEFAULT_ROWS)))?;
        }
        Ok(Session { context, kept_pool })
    }

    /// The runtime environment of the session, over the given one or that of the context, and its memory limit. The pool of
    /// another runtime environment stays if no limit is given.
    fn make_runtime(&self, of_context: Option<Arc<RuntimeEnv>>) -> Result<SessionRuntime> {
        let existing = self.runtime.clone().or(of_context);
        if let (None, Some(existing)) = (self.memory_limit, &existing) {
            let pool = Arc::clone(&existing.memory_pool);
            let limit = match pool.memory_limit() {
                PoolLimit::Finite(bytes) => MemoryLimit::Bytes(bytes),
                PoolLimit::Infinite | PoolLimit::Unknown => MemoryLimit::Unlimited,
            };
            let runtime = runtime_env_over(existing).build_arc()?;
            return Ok(SessionRuntime { runtime, limit, kept_pool: Some(pool) });
        }
        let limit = self.memory_limit.unwrap_or_default();
        let runtime = existing.map_or_else(runtime_env_builder, |runtime| runtime_env_over(&runtime));
        let pool: Arc<dyn MemoryPool> = match limit.bytes() {
            Some(bytes) => Arc::new(SharedPool::new(bytes)),
            None => Arc::new(UnboundedMemoryPool::default()),
        };
        Ok(SessionRuntime { runtime: runtime.with_memory_pool(pool).build_arc()?, limit, kept_pool: None })
    }
}

/// The runtime environment of a session.
struct SessionRuntime {
    runtime: Arc<RuntimeEnv>,
    limit: MemoryLimit,
    /// The pool in it, if it is that of another runtime environment.
    kept_pool: Option<Arc<dyn MemoryPool>>,
}
