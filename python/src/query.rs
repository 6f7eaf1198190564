//! The native class `Query`.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::physical_plan::collect_partitioned;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use tokio::runtime::Runtime;
use warpframe::batch::{plan_in_order, write_query};
use warpframe::error_location::ErrorLocator;
use warpframe::io::Staging;

use crate::arrow_stream::{export_schema, export_stream};
use crate::batch_stream::{BatchStream, QueryReader, RunningQuery};
use crate::errors::{output_error, query_error};
use crate::fork_guard::ForkGuard;
use crate::parquet_output::{Written, writer_settings};
use crate::runtime::{wait, wait_for_output};
use crate::shared_session::SharedSession;
use crate::table::{ArrowTable, names_and_types};

/// A planned query, which every method that needs rows executes anew.
#[pyclass(frozen, module = "warpframe._warpframe", name = "Query")]
pub struct Query {
    query: ForkGuard<Planned>,
    /// The SQL text.
    text: String,
}

struct Planned {
    session: Arc<SharedSession>,
    frame: DataFrame,
}

impl Query {
    /// A planned query of a session, with its SQL text.
    pub fn new(
        runtime: &'static Runtime,
        session: Arc<SharedSession>,
        frame: DataFrame,
        text: String,
    ) -> Self {
        Self { query: ForkGuard::new(runtime, Planned { session, frame }), text }
    }

    fn planned(&self) -> PyResult<(&Planned, &'static Runtime)> {
        self.query.get().map_err(|forked| forked.exception("Query"))
    }

    /// The session, the plan and the runtime, to execute the query.
    fn get(&self) -> PyResult<(warpframe::Session, DataFrame, &'static Runtime)> {
        let (planned, runtime) = self.planned()?;
        Ok((planned.session.get()?, planned.frame.clone(), runtime))
    }

    /// Waits for a future that executes the query.
    fn wait<T: Send + 'static>(
        &self,
        py: Python<'_>,
        runtime: &'static Runtime,
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> PyResult<T> {
        let locator = ErrorLocator::of(&self.planned()?.0.frame);
        wait(py, runtime, future)?.map_err(|error| query_error(&locator.locate(error), &self.text))
    }

    /// Executes the query for a consumer of its batches.
    fn start(&self, py: Python<'_>) -> PyResult<(RunningQuery, &'static Runtime)> {
        let (_, frame, runtime) = self.get()?;
        let executed = frame.clone();
        let locator = ErrorLocator::of(&frame);
        let stream =
            self.wait(py, runtime, async move { Ok(locator.stream(executed.execute_stream().await?)) })?;
        Ok((RunningQuery::start(runtime, frame, stream), runtime))
    }
}

#[pymethods]
impl Query {
    /// The names and types of the columns.
    fn schema(&self) -> PyResult<Vec<(String, String)>> {
        Ok(names_and_types(self.planned()?.0.frame.schema().as_arrow()))
    }

    /// All rows, in the order of the query or else of its tables.
    fn collect(&self, py: Python<'_>) -> PyResult<ArrowTable> {
        let (_, frame, runtime) = self.get()?;
        self.wait(py, runtime, collect_in_order(frame))
    }

    /// The first rows.
    fn head(&self, py: Python<'_>, rows: usize) -> PyResult<ArrowTable> {
        let (_, frame, runtime) = self.get()?;
        self.wait(py, runtime, async move { collect_in_order(frame.limit(0, Some(rows))?).await })
    }

    /// The number of rows.
    fn count(&self, py: Python<'_>) -> PyResult<usize> {
        let (_, frame, runtime) = self.get()?;
        self.wait(py, runtime, async move { frame.count().await })
    }

    /// The plans, as pairs of their names and texts.
    fn explain(&self, py: Python<'_>, verbose: bool, analyze: bool) -> PyResult<Vec<(String, String)>> {
        let (session, frame, runtime) = self.get()?;
        self.wait(py, runtime, async move {
            let batches = session.explain(frame, verbose, analyze).await?.collect().await?;
            let mut plans = Vec::new();
            for batch in &batches {
                let [names, texts] = [0, 1].map(|column| batch.column(column).as_string::<i32>());
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                plans.extend(names.iter().zip(texts).map(|(name, plan)| (text(name), text(plan))));
            }
            Ok(plans)
        })
    }

    /// The batches one after the other, in the order in which they are ready.
    fn batches(&self, py: Python<'_>) -> PyResult<BatchStream> {
        let (query, runtime) = self.start(py)?;
        Ok(BatchStream::new(runtime, query, self.text.clone()))
    }

    /// Writes the rows as Parquet, in the order of the query or else of its tables.
    fn write_parquet(
        &self,
        py: Python<'_>,
        output: PathBuf,
        overwrite: bool,
        compression: &str,
        row_group_rows: usize,
    ) -> PyResult<Written> {
        let (_, frame, runtime) = self.get()?;
        let settings = writer_settings(compression, row_group_rows)?;
        let path = output.clone();
        let files = frame.task_ctx().runtime_env();
        let staging = wait(py, runtime, async move { Staging::new(&path, overwrite, &files).await })?;
        let staging = staging.map_err(|error| output_error(&error, &output, overwrite))?;
        let written =
            async move { write_query(frame, Default::default(), staging, settings, Arc::new(())).await };
        let written = wait_for_output(py, runtime, written, |_| Ok(()))?;
        written.map(Written::new).map_err(|error| query_error(&error, &self.text))
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let (query, runtime) = self.start(py)?;
        export_stream(py, Box::new(QueryReader::new(runtime, query)))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_schema(py, self.planned()?.0.frame.schema().as_arrow())
    }
}

/// All batches of a query, partition after partition.
async fn collect_in_order(query: DataFrame) -> Result<ArrowTable> {
    let (plan, context) = plan_in_order(query).await?;
    let schema: SchemaRef = plan.schema();
    let batches = collect_partitioned(plan, context).await?.into_iter().flatten().collect();
    Ok(ArrowTable::new(schema, batches))
}
