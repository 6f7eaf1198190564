//! A comparison to be run, and what it runs.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::{Result, exec_err};

use super::external_tools::ExternalTools;
use super::machine::available_memory;
use super::mode::Mode;
use super::workload::{ResultSink, Source};
use crate::backend::cuda::driver::CudaError;
use crate::backend::cuda::{self, Gpus};
use crate::cluster::ClusterSettings;
use crate::rows::{MAX_ROWS, RowGenerator};

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

impl Comparison {
    /// Where the rows lie as Parquet, for modes that need that.
    pub(super) fn rows_file(&self) -> PathBuf {
        self.work_folder.join("rows.parquet")
    }

    pub(super) fn check_size(&self) -> Result<()> {
        if self.rows == 0 || self.rows > MAX_ROWS {
            return exec_err!("cannot compare over {} rows: the number is from 1 to {MAX_ROWS}", self.rows);
        }
        // Three columns, the reference, the bare kernel's output and an engine's, 8 bytes a row each.
        let needed = self.rows.saturating_mul(6 * 8);
        let available = available_memory();
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
    pub(super) fn runs(&self) -> Vec<(Mode, Source)> {
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
    pub(super) fn cluster_source(&self, mode: Mode) -> Source {
        let elsewhere = self.cluster.as_ref().is_some_and(|cluster| !cluster.address.is_loopback());
        if mode == Mode::Cluster && elsewhere { Source::Parquet } else { self.source }
    }

    pub(super) fn reason_to_skip(&self, mode: Mode) -> Option<String> {
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
    pub(super) fn gpus(&self) -> Result<Arc<Gpus>, CudaError> {
        self.gpus.clone().map_or_else(cuda::gpus, Ok)
    }
}
