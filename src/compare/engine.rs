//! Runs a mode through the engine: a SQL query over the table `rows`, in a session with the settings of the mode, on a
//! runtime with its threads.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, exec_err};
use tokio::runtime::Runtime;

use super::columns::arguments;
use super::comparison::Comparison;
use super::formula::Formula;
use super::measure::{median, milliseconds, timed};
use super::mode::Mode;
use super::output_files::{read_back, remove, total_bytes};
use super::report::model::{GpuSplit, Split};
use super::session_query::{
    ClusterTimes, memory_table, run_to_arrays, run_to_sum, runtime, session, session_builder,
};
use super::verify::Answer;
use super::workload::{ResultSink, Source};
use crate::batch::{plan_in_order, write_query};
use crate::session::{Session, SessionBuilder};
use warpframe_cluster::{ClusterClient, ClusterSettings, LocalCluster, LocalClusterOptions};
use warpframe_cpu::Simd;
use warpframe_cuda::metrics::{COMPILE_TIME, KERNEL_TIME};
use warpframe_cuda::{Cuda, CudaSettings, Gpus};
use warpframe_datafusion::errors::datafusion_error;
use warpframe_io::{GenerateFiles, ParquetInput, Staging, WriterSettings, flush_cleanup};
use warpframe_ir::metrics::Metrics;

/// The engine with the rows of a comparison.
pub struct Engine<'a> {
    comparison: &'a Comparison,
    formula: &'a Formula,
    memory: RecordBatch,
    /// The rows as Parquet, if a mode or tool reads Parquet, and the time of writing them.
    parquet: Option<(ParquetInput, Duration)>,
    output: PathBuf,
}

/// The parts of the time of a mode.
pub struct Phases {
    /// For a cluster mode.
    pub split: Option<Split>,
    /// For a GPU mode.
    pub gpu: Option<GpuSplit>,
}

impl<'a> Engine<'a> {
    /// Prepares the rows for all modes; writes them as Parquet if a mode or tool reads Parquet.
    pub fn prepare(comparison: &'a Comparison, formula: &'a Formula, rows: &RecordBatch) -> Result<Self> {
        let needs_parquet = comparison.runs().iter().any(|(_, source)| *source == Source::Parquet)
            || comparison.external_tools.is_some() && comparison.result == ResultSink::Parquet;
        let parquet = match needs_parquet {
            true => {
                let (time, input) = timed(|| write_rows(comparison))?;
                Some((input, time))
            }
            false => None,
        };
        let output = comparison.work_folder.join("result.parquet");
        Ok(Self { comparison, formula, memory: rows.clone(), parquet, output })
    }

    /// The size in bytes of the Parquet output of the last mode; `None` if modes do not write Parquet.
    pub fn output_bytes(&self) -> Option<u64> {
        (self.comparison.result == ResultSink::Parquet).then(|| total_bytes(&self.output))
    }

    /// Calls `measure` with a closure that runs the mode once and returns its time and result. Returns the value of
    /// `measure`, and for cluster and GPU modes the parts of the time.
    pub fn measure_mode<T>(
        &self,
        (mode, source): (Mode, Source),
        threads: NonZeroUsize,
        measure: impl FnOnce(&mut dyn FnMut() -> Result<(Duration, Answer)>) -> Result<T>,
    ) -> Result<(T, Option<Phases>)> {
        let runtime = runtime(threads)?;
        if mode.is_clustered() {
            let (measured, split) = self.measure_on_cluster(&runtime, (mode, source), threads, measure)?;
            return Ok((measured, Some(Phases { split: Some(split), gpu: None })));
        }
        if mode == Mode::CudaResident {
            return self.measure_resident(measure);
        }
        let mut builder = session_builder(mode, threads);
        if mode == Mode::Cuda {
            builder = builder.gpus(self.gpus()?);
        }
        let session = self.session(builder, source, threads)?;
        let mut run = || Ok(self.run(&runtime, &session)?.0);
        match mode {
            Mode::Cuda => self.measure_cuda(measure, &mut run),
            _ => Ok((measure(&mut run)?, None)),
        }
    }

    fn gpus(&self) -> Result<Arc<Gpus>> {
        self.comparison.gpus().map_err(|error| datafusion_error(error.into()))
    }

    /// Measures the mode `cuda-resident`.
    fn measure_resident<T>(
        &self,
        measure: impl FnOnce(&mut dyn FnMut() -> Result<(Duration, Answer)>) -> Result<T>,
    ) -> Result<(T, Option<Phases>)> {
        let columns = arguments(&self.memory, self.formula);
        let cpu = Simd::native().map_err(datafusion_error)?;
        let cuda = Cuda::new(self.gpus()?, CudaSettings::default(), Arc::new(cpu));
        let mut resident = cuda.upload(&self.formula.compiled.program, &columns).map_err(datafusion_error)?;
        let (first, others, mut runs) = (Metrics::default(), Metrics::default(), 0);
        first.add_time(COMPILE_TIME, resident.compile_time());
        let measured = measure(&mut || {
            let (time, (answer, kernel_time)) = timed(|| match self.comparison.result {
                ResultSink::Sum => {
                    let (sum, kernel) = resident.sum().map_err(datafusion_error)?;
                    Ok((Some(Answer::Sum(sum)), kernel))
                }
                _ => Ok((None, resident.evaluate().map_err(datafusion_error)?)),
            })?;
            let metrics = if runs == 0 { &first } else { &others };
            metrics.add_time(KERNEL_TIME, kernel_time);
            runs += 1;
            // Off the clock: the results are copied for verification only.
            let answer = match answer {
                Some(answer) => answer,
                None => Answer::Rows(vec![resident.results().map_err(datafusion_error)?]),
            };
            Ok((time, answer))
        })?;
        let gpu = GpuSplit::of(&first.snapshot(), &others.snapshot(), usize::max(runs, 2) - 1);
        Ok((measured, Some(Phases { split: None, gpu: Some(gpu) })))
    }

    /// Measures the mode `cuda` together with the counters of the GPUs.
    fn measure_cuda<T>(
        &self,
        measure: impl FnOnce(&mut dyn FnMut() -> Result<(Duration, Answer)>) -> Result<T>,
        run: &mut dyn FnMut() -> Result<(Duration, Answer)>,
    ) -> Result<(T, Option<Phases>)> {
        let gpus = self.gpus()?;
        let begin = gpus.metrics().snapshot();
        let (mut after_first, mut runs) = (begin.clone(), 0);
        let measured = measure(&mut || {
            let done = run()?;
            runs += 1;
            if runs == 1 {
                after_first = gpus.metrics().snapshot();
            }
            Ok(done)
        })?;
        let others = gpus.metrics().snapshot().since(&after_first);
        let gpu = GpuSplit::of(&after_first.since(&begin), &others, usize::max(runs, 2) - 1);
        Ok((measured, Some(Phases { split: None, gpu: Some(gpu) })))
    }

    /// Measures a cluster mode. A cluster that this starts is stopped at the end.
    fn measure_on_cluster<T>(
        &self,
        runtime: &Runtime,
        (mode, source): (Mode, Source),
        threads: NonZeroUsize,
        measure: impl FnOnce(&mut dyn FnMut() -> Result<(Duration, Answer)>) -> Result<T>,
    ) -> Result<(T, Split)> {
        let (one, Comparison { launcher, cluster, .. }) = (NonZeroUsize::MIN, self.comparison);
        let (start, started) = timed(|| match (mode, launcher) {
            (Mode::ClusterThreads1 | Mode::ClusterThreads, _) => {
                runtime.block_on(LocalCluster::start_in_process(threads)).map(Some)
            }
            (Mode::ClusterProcesses1 | Mode::ClusterProcesses, Some(launcher)) => {
                let options = LocalClusterOptions::new(threads, one);
                runtime.block_on(LocalCluster::start(launcher, options)).map(Some)
            }
            _ => Ok(None),
        })?;
        let settings = match (&started, cluster) {
            (Some(started), _) => started.settings(),
            // Removed by the caller, also after an interruption.
            (None, Some(cluster)) => {
                let staging_dir = Some(self.comparison.work_folder.clone());
                ClusterSettings { staging_dir, ..cluster.clone() }
            }
            (None, None) => return exec_err!("there is no cluster to run on"),
        };
        let is_started = started.is_some();
        let _cluster = self.comparison.running_cluster.keep(started);
        let client = ClusterClient::new(settings.address.clone()).with_token(settings.token.clone());
        let slots = runtime.block_on(client.wait_for_executors(settings.wait))?.slots();
        let session = self.session(Session::builder().cluster(settings), source, threads)?;
        let scatter = match (source, &self.parquet) {
            (Source::Parquet, Some((_, time))) => *time,
            // Planning a query writes tables that are in memory to files that executors read.
            _ => {
                let query = self.query();
                timed(|| runtime.block_on(async { plan_in_order(session.sql(&query).await?).await }))?.0
            }
        };
        let mut times = Vec::new();
        let measured = measure(&mut || {
            let (run, spent) = self.run(runtime, &session)?;
            times.extend(spent);
            Ok(run)
        })?;
        let median_of = |part: fn(&ClusterTimes) -> Duration| {
            // The first run is the warm-up.
            let mut times: Vec<_> = times.iter().skip(1).map(part).collect();
            times.sort();
            median(&times.iter().copied().map(milliseconds).collect::<Vec<_>>())
        };
        let split = Split {
            slots,
            start_ms: is_started.then(|| milliseconds(start)),
            scatter_ms: milliseconds(scatter),
            compute_ms: median_of(|(compute, _)| *compute),
            gather_ms: median_of(|(_, gather)| *gather),
        };
        runtime.block_on(async {
            drop(session);
            flush_cleanup().await;
        });
        Ok((measured, split))
    }

    fn session(&self, builder: SessionBuilder, source: Source, threads: NonZeroUsize) -> Result<Session> {
        session(builder, self.table(source, threads)?)
    }

    fn table(&self, source: Source, threads: NonZeroUsize) -> Result<Arc<dyn TableProvider>> {
        match (source, &self.parquet) {
            (Source::Parquet, Some((input, _))) => input.table(),
            _ => memory_table(&self.memory, threads),
        }
    }

    fn query(&self) -> String {
        let expression = &self.formula.sql;
        match self.comparison.result {
            ResultSink::Sum => format!("SELECT sum({expression}) AS r FROM rows"),
            ResultSink::Collect | ResultSink::Parquet => format!("SELECT {expression} AS r FROM rows"),
        }
    }

    fn run(
        &self,
        runtime: &Runtime,
        session: &Session,
    ) -> Result<((Duration, Answer), Option<ClusterTimes>)> {
        let query = self.query();
        match self.comparison.result {
            ResultSink::Sum => run_to_sum(runtime, session, &query),
            ResultSink::Collect => run_to_arrays(runtime, session, &query),
            ResultSink::Parquet => {
                // Off the clock, as for external tools: the time of replacing a file depends on its size.
                remove(&self.output)?;
                let (time, _) = timed(|| {
                    runtime.block_on(async {
                        let staging =
                            Staging::new(&self.output, true, &session.context().runtime_env()).await?;
                        let query = session.sql(&query).await?;
                        let settings = WriterSettings::default();
                        write_query(query, Default::default(), staging, settings, Arc::new(())).await
                    })
                })?;
                // On a cluster the executors write the files, so there is nothing to gather.
                Ok(((time, Answer::Rows(read_back(&self.output)?)), Some((time, Duration::ZERO))))
            }
        }
    }
}

fn write_rows(comparison: &Comparison) -> Result<ParquetInput> {
    let path = comparison.rows_file();
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
    ParquetInput::open_local(&path.to_string_lossy())
}
