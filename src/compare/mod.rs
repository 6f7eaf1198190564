//! The comparison: the same rows and the same formula through every execution mode, verified and timed.
//! The formula is in `formula`, what the modes are in `mode`, how one is run in `engine` and `kernel_mode`, how answers are checked in
//! `verify`, the tools of others are in `external_tools`, many numbers of rows in `sweep`, what is known of the machine in `machine`, and how it is shown in `report`.

mod engine;
pub mod external_tools;
mod formula;
mod kernel_mode;
mod machine;
mod mode;
pub mod report;
pub mod sweep;
mod verify;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::common::{DataFusionError, Result, exec_err};

pub use external_tools::{ExternalTools, ToolDetails, ToolMode};
pub use machine::Machine;
pub use mode::Mode;
pub use report::{GpuSplit, Limit, ModeReport, Report, Split, Status};
pub use sweep::Sweep;

use crate::backend::cuda::driver::CudaError;
use crate::backend::cuda::{self, Gpus};
use crate::cluster::ClusterSettings;
use crate::rows::{Distribution, MAX_ROWS, RowGenerator};
use engine::Engine;
use external_tools::ToolRunner;
use formula::Formula;
use kernel_mode::Columns;
use report::milliseconds;
use verify::{Reference, Verified};

/// Where the rows lie when the clock starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// Arrow arrays in memory.
    #[default]
    Memory,
    /// A Parquet file in the page cache.
    Parquet,
}

/// What each mode has to produce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResultSink {
    /// All results as Arrow arrays in memory.
    #[default]
    Collect,
    /// Their sum.
    Sum,
    /// All results in Parquet files.
    Parquet,
}

macro_rules! named {
    ($type:ident, $what:literal, $($variant:ident => $name:literal),+) => {
        impl $type {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name used on the command line and in JSON.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = DataFusionError;

            fn from_str(name: &str) -> Result<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|value| value.name()).collect();
                    DataFusionError::Configuration(format!(
                        concat!("there is no ", $what, " '{}': use one of {}"), name, names.join(", ")
                    ))
                })
            }
        }
    };
}
use named;

named!(Source, "source", Memory => "memory", Parquet => "parquet");
named!(ResultSink, "result", Collect => "collect", Sum => "sum", Parquet => "parquet");

/// A mode that took long at first is on_repeat only as often as fits into this.
const MAX_TIME_PER_MODE: Duration = Duration::from_secs(10);

/// A comparison to be run.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The SQL expression over x, y and z that is evaluated; `log3(x, y, z)` if there is none.
    pub expression: Option<String>,
    /// How many rows, at least one.
    pub rows: u64,
    /// What they hold.
    pub generator: RowGenerator,
    /// Where they lie.
    pub source: Source,
    /// What is made of them.
    pub result: ResultSink,
    /// The modes, in the order in which they run.
    pub modes: Vec<Mode>,
    /// How often each is timed, after a first run that does not count.
    pub repeat: NonZeroUsize,
    /// Threads for the parallel modes.
    pub threads: NonZeroUsize,
    /// A folder for Parquet files, which a named cluster has to reach too; whoever made it removes it.
    pub work_folder: PathBuf,
    /// The `warpframe` program, for worker processes.
    pub program: Option<PathBuf>,
    /// The cluster of the mode `cluster`.
    pub cluster: Option<ClusterSettings>,
    /// The GPUs, if not this machine's.
    pub gpus: Option<Arc<Gpus>>,
    /// The tools of others that take part.
    pub external_tools: Option<ExternalTools>,
}

/// What a comparison is doing, for those who wait.
#[derive(Debug)]
pub enum Event<'a> {
    /// A comparison of a sweep begins, with so many rows.
    Size(u64),
    /// The rows are being made.
    MakingRows,
    /// A mode begins, on rows that lie there.
    Mode(Mode, Source),
    /// A peer begins.
    ExternalTool(&'a ToolMode),
    /// A repeat of a mode has ended: which one, of how many.
    Repeat(Mode, usize, usize),
    /// The mode has ended.
    Done(&'a ModeReport),
}

impl Comparison {
    /// Runs all modes, one after the other. A mode that fails or gives a wrong answer is reported as
    /// failed and does not stop the others.
    ///
    /// # Errors
    /// The expression cannot be compiled or gives nulls, or the rows cannot be made: there are none, too many for the memory, or the work folder is not
    /// writable.
    pub fn run(&self, command: String, on_event: &dyn Fn(Event)) -> Result<Report> {
        self.check_size()?;
        let formula = Formula::new(self.expression.as_deref())?;
        on_event(Event::MakingRows);
        let machine = Machine::detect()?.with_gpus(self.gpus().ok().as_deref());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.get())
            .build()
            .map_err(|error| DataFusionError::External(error.into()))?;
        let mut columns = Columns::generate(&self.generator, self.rows, &pool)?;
        let engine = Engine::prepare(self, &formula, &columns)?;
        let reference = match formula.is_log3() {
            true => Reference::log3(&columns, &pool),
            false => Reference::new(engine.evaluate_unfused()?, &formula, &columns)?,
        };
        let mut stream = pool.install(|| columns.time_memory_stream(self.repeat.get()))?;
        let mut modes = Vec::with_capacity(self.modes.len());
        for (mode, source) in self.runs() {
            on_event(Event::Mode(mode, source));
            let threads = if mode.is_parallel() { self.threads } else { NonZeroUsize::MIN };
            let report = match self.reason_to_skip(mode) {
                Some(reason) => ModeReport::skipped(mode, source, &reason),
                None => {
                    let on_repeat = |run: usize, of: usize| on_event(Event::Repeat(mode, run, of));
                    let measured = match mode {
                        Mode::Rayon => self
                            .measure(&reference, on_repeat, || {
                                pool.install(|| columns.run_kernel(&formula, self.result))
                            })
                            .map(|measured| (measured, None)),
                        _ => engine.measure_mode((mode, source), threads, |run| {
                            self.measure(&reference, on_repeat, run)
                        }),
                    };
                    match measured {
                        Ok((measured, phases)) => {
                            let slots =
                                phases.as_ref().and_then(|phases| phases.split).map(|split| split.slots);
                            let threads = slots.unwrap_or(threads.get());
                            let report = ModeReport::ok(mode, source, threads, self.rows, &measured);
                            let (split, gpu) =
                                phases.map_or((None, None), |phases| (phases.split, phases.gpu));
                            ModeReport { split, gpu, output_bytes: engine.output_bytes(), ..report }
                        }
                        Err(error) => {
                            ModeReport::failed(mode, source, threads.get(), error.strip_backtrace())
                        }
                    }
                }
            };
            on_event(Event::Done(&report));
            modes.push(report);
        }
        if let Some(tools) = &self.external_tools {
            let runner = ToolRunner::prepare(self, tools, engine.memory())?;
            for mode in &tools.modes {
                on_event(Event::ExternalTool(mode));
                let report = runner.run(mode, &reference);
                on_event(Event::Done(&report));
                modes.push(report);
            }
        }
        // Before the modes and after them: a machine's speed drifts, and a median is compared to medians.
        stream.extend(pool.install(|| columns.time_memory_stream(self.repeat.get()))?);
        stream.sort();
        let stream: Vec<_> = stream.into_iter().map(milliseconds).collect();
        Ok(Report::new(self, &formula, command, machine, median(&stream), modes))
    }

    /// Where the rows lie as Parquet, for modes that need that.
    fn rows_file(&self) -> PathBuf {
        self.work_folder.join("rows.parquet")
    }

    fn check_size(&self) -> Result<()> {
        if self.rows == 0 || self.rows > MAX_ROWS {
            return exec_err!("cannot compare over {} rows: the number is from 1 to {MAX_ROWS}", self.rows);
        }
        // Three columns, the reference, the bare kernel's output and an engine's, 8 bytes a row each.
        let needed = self.rows.saturating_mul(6 * 8);
        let available = machine::available_memory();
        if available > 0 && needed > available {
            return exec_err!(
                "{} rows need about {:.1} GiB of memory and {:.1} GiB are free: use fewer rows",
                self.rows,
                needed as f64 / f64::from(1 << 30),
                available as f64 / f64::from(1 << 30)
            );
        }
        Ok(())
    }

    /// What is run: every mode, and where a cluster reads Parquet, the other modes from Parquet too.
    fn runs(&self) -> Vec<(Mode, Source)> {
        let (clustered, single): (Vec<Mode>, _) = self.modes.iter().partition(|mode| mode.is_clustered());
        let clustered: Vec<_> = clustered.into_iter().map(|mode| (mode, self.cluster_source(mode))).collect();
        let again =
            self.source == Source::Memory && clustered.iter().any(|(_, source)| *source != self.source);
        let own = single.iter().map(|&mode| (mode, self.source));
        let twice = |mode: &Mode| again && !mode.is_bare() && !(mode.needs_gpu() && self.gpus().is_err());
        let from_parquet = single.iter().filter(|mode| twice(mode));
        let from_parquet = from_parquet.map(|&mode| (mode, Source::Parquet));
        own.chain(from_parquet).chain(clustered).collect()
    }

    /// Where a cluster's rows lie. A table in memory can be laid out for executors on this machine only.
    fn cluster_source(&self, mode: Mode) -> Source {
        let elsewhere = self.cluster.as_ref().is_some_and(|cluster| !cluster.address.is_loopback());
        if mode == Mode::Cluster && elsewhere { Source::Parquet } else { self.source }
    }

    fn reason_to_skip(&self, mode: Mode) -> Option<String> {
        let reason = match mode {
            Mode::Rayon if self.source != Source::Memory => {
                "the bare kernel reads arrays in memory only: use --source memory"
            }
            Mode::Rayon if self.result == ResultSink::Parquet => {
                "the bare kernel has no Parquet writer: use --result collect or sum"
            }
            _ if mode.needs_gpu() && self.gpus().is_err() => return self.gpus().err().map(|e| e.to_string()),
            Mode::CudaResident if self.source != Source::Memory => {
                "columns that stay on a GPU come from arrays in memory: use --source memory"
            }
            Mode::CudaResident if self.result == ResultSink::Parquet => {
                "results that stay on a GPU are not written: use --result collect or sum"
            }
            Mode::Cluster if self.cluster.is_none() => "no cluster was named: use --cluster df://HOST:PORT",
            Mode::ClusterProcesses1 | Mode::ClusterProcesses if self.program.is_none() => {
                "worker processes need the warpframe program, and this is another"
            }
            _ => return None,
        };
        Some(reason.to_owned())
    }

    /// The GPUs that take part.
    fn gpus(&self) -> Result<Arc<Gpus>, CudaError> {
        self.gpus.clone().map_or_else(cuda::gpus, Ok)
    }

    /// Times a mode: a first run, then the repeats, and every answer checked off the clock.
    fn measure<A: Into<verify::Answer>>(
        &self,
        reference: &Reference,
        on_repeat: impl Fn(usize, usize),
        mut run: impl FnMut() -> Result<(Duration, A)>,
    ) -> Result<Measured> {
        let (first, answer) = run()?;
        let mut verified = reference.verify(answer.into())?;
        let affordable = MAX_TIME_PER_MODE.as_secs_f64() / first.as_secs_f64().max(1e-9);
        let repeats = self.repeat.get().min((affordable as usize).max(1));
        let mut times = Vec::with_capacity(repeats);
        for repeat in 1..=repeats {
            let (time, answer) = run()?;
            let again = reference.verify(answer.into())?;
            verified = verified.worse(again);
            times.push(time);
            on_repeat(repeat, repeats);
        }
        times.sort();
        Ok(Measured { first, times, verified })
    }
}

/// What was measured of a mode.
#[derive(Debug)]
pub struct Measured {
    first: Duration,
    /// In ascending order, at least one.
    times: Vec<Duration>,
    verified: Verified,
}

/// The median of times in ascending order; zero if there are none.
fn median(times: &[f64]) -> f64 {
    match (times.len() / 2, times.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => (times[middle - 1] + times[middle]) / 2.0,
        (middle, _) => times[middle],
    }
}

/// Runs something by the clock.
fn timed<T>(run: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let value = run()?;
    Ok((start.elapsed(), value))
}

/// The distribution's name and seed as they are shown: a sequence has no seed.
fn describe_rows(generator: &RowGenerator) -> String {
    match generator.distribution {
        Distribution::Sequence => "sequence".to_owned(),
        Distribution::Uniform => format!("uniform, seed {}", generator.seed),
    }
}
