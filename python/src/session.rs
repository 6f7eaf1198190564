//! The native class `Session`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::LogicalPlan;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tokio::runtime::Runtime;
use warpframe::cluster::{ClusterAddress, ClusterSettings, DEFAULT_WAIT, Tls, Token};
use warpframe::error_location::ErrorLocator;
use warpframe::functions::statements::check_name;
use warpframe::memory::MemoryLimit;

use crate::arrow_stream::{import_array, import_stream};
use crate::callable::Callable;
use crate::errors::{input_error, query_error};
use crate::fork_guard::ForkGuard;
use crate::function::Function;
use crate::memory_table::{batch_of_columns, memory_table};
use crate::query::Query;
use crate::runtime::{runtime, wait};
use crate::scalar_udf::TracedFunction;
use crate::shared_session::SharedSession;

/// A session. `_session.py` checks the arguments of its methods.
#[pyclass(frozen, module = "warpframe._warpframe", name = "Session")]
pub struct Session {
    shared: ForkGuard<Arc<SharedSession>>,
}

impl Session {
    /// The engine's session and the runtime.
    pub fn get(&self) -> PyResult<(warpframe::Session, &'static Runtime)> {
        let (shared, runtime) = self.shared.get().map_err(|forked| forked.exception("Session"))?;
        Ok((shared.get()?, runtime))
    }

    fn register_table(&self, name: &str, table: Arc<dyn TableProvider>) -> PyResult<()> {
        let (session, _) = self.get()?;
        session.register_table(name, table).map_err(|error| query_error(&error, ""))
    }
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (*, threads, backend, memory_limit, batch_size, fuse, cluster, cluster_wait, token_file, tls_cert, tls_key, tls_ca))]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of a Python function")]
    fn new(
        py: Python<'_>,
        threads: Option<NonZeroUsize>,
        backend: &str,
        memory_limit: Option<&str>,
        batch_size: Option<NonZeroUsize>,
        fuse: bool,
        cluster: Option<&str>,
        cluster_wait: Option<f64>,
        token_file: Option<PathBuf>,
        tls_cert: Option<PathBuf>,
        tls_key: Option<PathBuf>,
        tls_ca: Option<PathBuf>,
    ) -> PyResult<Self> {
        let runtime = runtime(py)?;
        let failed = |error| query_error(&error, "");
        let mut builder = warpframe::Session::builder().backend(backend).fuse(fuse);
        if let Some(threads) = threads {
            builder = builder.threads(threads);
        }
        if let Some(limit) = memory_limit {
            let limit: MemoryLimit = limit.parse().map_err(|_| {
                PyValueError::new_err(format!("memory_limit must be {}, not '{limit}'", MemoryLimit::FORMAT))
            })?;
            builder = builder.memory_limit(limit);
        }
        if let Some(rows) = batch_size {
            builder = builder.batch_size(rows);
        }
        if let Some(address) = cluster {
            let address: ClusterAddress = address.parse().map_err(failed)?;
            let mut settings = ClusterSettings::new(address);
            settings.token = token_file.as_deref().map(Token::from_file).transpose().map_err(failed)?;
            settings.tls =
                Tls::find(tls_cert.as_deref(), tls_key.as_deref(), tls_ca.as_deref()).map_err(failed)?;
            settings.wait = cluster_wait
                .map_or(Ok(DEFAULT_WAIT), Duration::try_from_secs_f64)
                .map_err(|_| PyValueError::new_err("cluster_wait is a number of seconds, at least 0"))?;
            builder = builder.cluster(settings);
        }
        let session = {
            let _context = runtime.enter();
            builder.build().map_err(failed)?
        };
        let shared = Arc::new(SharedSession::new(session));
        Ok(Self { shared: ForkGuard::new(runtime, shared) })
    }

    /// Registers files as a table.
    fn register_files(&self, py: Python<'_>, name: String, pattern: String) -> PyResult<()> {
        let (session, runtime) = self.get()?;
        let files = pattern.clone();
        let done = wait(py, runtime, async move { session.register_files(&name, &files).await })?;
        done.map_err(|error| input_error(&error, &pattern))
    }

    /// Registers the batches of an object with `__arrow_c_stream__` or `__arrow_c_array__` as a table.
    fn register_arrow(&self, name: &str, table: &Bound<'_, PyAny>) -> PyResult<()> {
        let (session, _) = self.get()?;
        let (schema, batches) = import_stream(table)?;
        self.register_table(name, memory_table(&schema, batches, partitions(&session))?)
    }

    /// Registers columns, as names and objects with `__arrow_c_array__` or `__arrow_c_stream__`, as a table.
    fn register_columns(&self, name: &str, columns: Vec<(String, Bound<'_, PyAny>)>) -> PyResult<()> {
        let (session, _) = self.get()?;
        let mut arrays = Vec::with_capacity(columns.len());
        for (column, values) in columns {
            let array = import_array(&values)?;
            arrays.push((column, array));
        }
        let (schema, batch) = batch_of_columns(arrays)?;
        self.register_table(name, memory_table(&schema, vec![batch], partitions(&session))?)
    }

    /// Registers a traced function under its name. One that was registered under it before is replaced.
    ///
    /// # Errors
    /// `ValueError`: the name is that of a function of DataFusion.
    fn register_function(&self, function: &Function) -> PyResult<()> {
        let (session, _) = self.get()?;
        let context = session.context();
        let state = context.state();
        let replaces = state
            .scalar_functions()
            .get(function.name())
            .is_some_and(|known| known.inner().downcast_ref::<TracedFunction>().is_some());
        if !replaces {
            check_name(&state, function.name(), true).map_err(|error| query_error(&error, ""))?;
        }
        context.register_udf(function.udf());
        Ok(())
    }

    /// Removes a table. Whether there was one.
    fn deregister(&self, name: &str) -> PyResult<bool> {
        let (session, _) = self.get()?;
        let removed = session.context().deregister_table(name);
        Ok(removed.map_err(|error| query_error(&error, ""))?.is_some())
    }

    /// Plans a query. A statement that is no query takes effect at once.
    fn sql(&self, py: Python<'_>, text: String) -> PyResult<Query> {
        let (session, runtime) = self.get()?;
        let statement = text.clone();
        let planned = wait(py, runtime, async move {
            let frame = session.sql(&statement).await?;
            execute_if_it_writes(&session, frame).await
        })?;
        let frame = planned.map_err(|error| query_error(&error, &text))?;
        let (shared, _) = self.shared.get().map_err(|forked| forked.exception("Session"))?;
        Ok(Query::new(runtime, Arc::clone(shared), frame, text))
    }

    /// Runs statements separated by ';'.
    fn execute(&self, py: Python<'_>, script: String) -> PyResult<()> {
        let (session, runtime) = self.get()?;
        let text = script.clone();
        let done = wait(py, runtime, async move { session.run_script(&script).await })?;
        done.map_err(|error| query_error(&error, &text))
    }

    /// The names of the tables, sorted; those outside of the default schema as `schema.table`.
    fn tables(&self) -> PyResult<Vec<String>> {
        let (session, _) = self.get()?;
        let state = session.context().state();
        let options = &state.config_options().catalog;
        let Some(catalog) = session.context().catalog(&options.default_catalog) else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for schema in catalog.schema_names() {
            let tables = catalog.schema(&schema).map(|schema| schema.table_names()).unwrap_or_default();
            names.extend(tables.into_iter().map(|table| match schema == options.default_schema {
                true => table,
                false => format!("{schema}.{table}"),
            }));
        }
        names.sort();
        Ok(names)
    }

    /// Releases the tables and settings. Queries that run go on.
    fn close(&self) -> PyResult<()> {
        let (shared, runtime) = self.shared.get().map_err(|forked| forked.exception("Session"))?;
        let _context = runtime.enter();
        shared.close();
        Ok(())
    }

    /// Whether the session is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.get().is_ok_and(|(shared, _)| shared.is_closed())
    }
}

/// The number of partitions in which queries run.
fn partitions(session: &warpframe::Session) -> usize {
    session.context().state_ref().read().config().target_partitions()
}

/// Executes a statement that writes rows, such as `INSERT` and `COPY`; its result becomes the query. Others are not executed
/// here: a query is lazy, and a change of the session was made when the statement was planned.
async fn execute_if_it_writes(
    session: &warpframe::Session,
    frame: DataFrame,
) -> datafusion::error::Result<DataFrame> {
    match frame.logical_plan() {
        LogicalPlan::Dml(_) | LogicalPlan::Copy(_) => {
            let locator = ErrorLocator::of(&frame);
            let counts = frame.collect().await.map_err(|error| locator.locate(error))?;
            session.context().read_batches(counts)
        }
        _ => Ok(frame),
    }
}
