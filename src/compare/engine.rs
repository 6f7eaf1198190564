//! Runs a mode through the engine: a session with the mode's settings on a runtime with as many threads,
//! the rows registered as the table `rows`, and a SQL query.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::physical_plan::collect_partitioned;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::runtime::Runtime;

use super::bare::Columns;
use super::formula::Formula;
use super::verify::Answer;
use super::{Comparison, Mode, Outcome, Source, timed};
use crate::backend::BackendChoice;
use crate::parquet::{GenerateFiles, ParquetInput, Staging, WriterSettings, plan_in_order, write_query};
use crate::session::{Session, SessionBuilder};

/// The rows as the engine reads them.
pub struct Engine<'a> {
    formula: &'a Formula,
    rows: Rows,
    result: Outcome,
    output: PathBuf,
}

enum Rows {
    Memory(RecordBatch),
    Parquet(ParquetInput),
}

impl<'a> Engine<'a> {
    /// Lays the rows where the modes will find them.
    pub fn prepare(comparison: &Comparison, formula: &'a Formula, columns: &Columns) -> Result<Self> {
        let rows = match comparison.source {
            Source::Memory => Rows::Memory(whole_batch(columns)?),
            Source::Parquet => Rows::Parquet(write_rows(comparison)?),
        };
        let output = comparison.work_folder.join("result.parquet");
        Ok(Self { formula, rows, result: comparison.result, output })
    }

    /// Hands `measure` a function that runs the mode once, by the clock.
    pub fn with_mode<T>(
        &self,
        mode: Mode,
        threads: NonZeroUsize,
        measure: impl FnOnce(&mut dyn FnMut() -> Result<(Duration, Answer)>) -> Result<T>,
    ) -> Result<T> {
        let backend = match mode {
            Mode::Interpreted => BackendChoice::Interpreted,
            _ => BackendChoice::Simd,
        };
        let (expression, fuse) = match mode {
            Mode::Columnar => (&self.formula.sql, false),
            _ => (&self.formula.fused_sql, true),
        };
        let session =
            self.session(Session::builder().threads(threads).backend(backend).fuse(fuse), threads)?;
        let runtime = runtime(threads)?;
        measure(&mut || self.run(&runtime, &session, expression))
    }

    /// All results by DataFusion's own operators.
    pub fn unfused(&self) -> Result<Vec<Float64Array>> {
        let session = self.session(Session::builder().fuse(false), NonZeroUsize::MIN)?;
        let query = format!("SELECT {} AS r FROM rows", self.formula.sql);
        let batches =
            runtime(NonZeroUsize::MIN)?.block_on(async { collect(session.sql(&query).await?).await })?;
        results(batches)
    }

    fn session(&self, builder: SessionBuilder, threads: NonZeroUsize) -> Result<Session> {
        let session = builder.build()?;
        session.context().deregister_table("rows")?;
        session.context().register_table("rows", self.table(threads)?)?;
        Ok(session)
    }

    fn table(&self, threads: NonZeroUsize) -> Result<Arc<dyn TableProvider>> {
        match &self.rows {
            Rows::Parquet(input) => input.table(),
            Rows::Memory(whole) => {
                // One partition for each thread; the engine cuts them into batches without copying.
                let share = whole.num_rows().div_ceil(threads.get()).max(1);
                let partitions = (0..whole.num_rows())
                    .step_by(share)
                    .map(|start| vec![whole.slice(start, share.min(whole.num_rows() - start))])
                    .collect();
                Ok(Arc::new(MemTable::try_new(whole.schema(), partitions)?))
            }
        }
    }

    fn run(&self, runtime: &Runtime, session: &Session, expression: &str) -> Result<(Duration, Answer)> {
        match self.result {
            Outcome::Sum => {
                let query = format!("SELECT sum({expression}) AS r FROM rows");
                let (time, batches) =
                    timed(|| runtime.block_on(async { collect(session.sql(&query).await?).await }))?;
                match results(batches)?.first() {
                    Some(array) if array.len() == 1 => Ok((time, Answer::Sum(array.value(0)))),
                    _ => exec_err!("wrong answer: the sum is not one number"),
                }
            }
            Outcome::Collect => {
                let query = format!("SELECT {expression} AS r FROM rows");
                let (time, batches) =
                    timed(|| runtime.block_on(async { collect(session.sql(&query).await?).await }))?;
                Ok((time, Answer::Rows(results(batches)?)))
            }
            Outcome::Parquet => {
                let query = format!("SELECT {expression} AS r FROM rows");
                let (time, _) = timed(|| {
                    runtime.block_on(async {
                        let staging = Staging::new(&self.output, true)?;
                        let query = session.sql(&query).await?;
                        let settings = WriterSettings::default();
                        write_query(query, Default::default(), staging, settings, Arc::new(())).await
                    })
                })?;
                Ok((time, Answer::Rows(read_back(&self.output)?)))
            }
        }
    }
}

/// A runtime that gives a mode its threads.
fn runtime(threads: NonZeroUsize) -> Result<Runtime> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads.get()).enable_all().build();
    runtime.map_err(|error| DataFusionError::External(error.into()))
}

fn whole_batch(columns: &Columns) -> Result<RecordBatch> {
    let fields: Vec<_> =
        ["x", "y", "z"].into_iter().map(|name| Field::new(name, DataType::Float64, false)).collect();
    let arrays = columns.inputs.iter().map(|column| Arc::new(column.clone()) as _).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn write_rows(comparison: &Comparison) -> Result<ParquetInput> {
    let path = comparison.work_folder.join("rows.parquet");
    let generate = GenerateFiles {
        generator: comparison.generator,
        rows: comparison.rows,
        files: NonZeroUsize::MIN,
        output: path.clone(),
        overwrite: false,
        settings: WriterSettings::default(),
        threads: comparison.threads,
    };
    runtime(comparison.threads)?.block_on(generate.run(Arc::new(())))?;
    ParquetInput::open(&path.to_string_lossy())
}

/// All batches of a query, in the order of the rows it reads.
async fn collect(query: DataFrame) -> Result<Vec<RecordBatch>> {
    let (plan, context) = plan_in_order(query).await?;
    Ok(collect_partitioned(plan, context).await?.into_iter().flatten().collect())
}

/// The result column.
fn results(batches: Vec<RecordBatch>) -> Result<Vec<Float64Array>> {
    batches
        .iter()
        .map(|batch| match batch.column(0).as_primitive_opt::<Float64Type>() {
            Some(array) if array.null_count() == 0 => Ok(array.clone()),
            Some(_) => exec_err!("some results are null, which a comparison has no place for: use coalesce"),
            None => exec_err!("wrong answer: the results are not Float64"),
        })
        .collect()
}

fn read_back(path: &std::path::Path) -> Result<Vec<Float64Array>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path)?)?.build()?;
    results(reader.collect::<Result<Vec<_>, _>>()?)
}
