//! The settings of a comparison, and the modes that follow from them.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::{Result, exec_err};

use super::external_tools::ExternalTools;
use super::mode::Mode;
use super::running_cluster::RunningCluster;
use super::workload::{ResultSink, Source};
use crate::machine::available_memory;
use warpframe_cluster::{ClusterSettings, Launcher};
use warpframe_cuda::driver::CudaError;
use warpframe_cuda::{self, Gpus};
use warpframe_datafusion::rows::{MAX_ROWS, RowGenerator};

/// The settings of a comparison.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The SQL expression over x, y and z; `ln(x) * ln(y) * ln(z)` if `None`.
    pub expression: Option<String>,
    /// The number of rows, at least one.
    pub rows: u64,
    /// Generates the values of the rows.
    pub generator: RowGenerator,
    /// Where the rows are when the clock starts.
    pub source: Source,
    /// What each mode produces.
    pub result: ResultSink,
    /// The modes, in the order in which they run.
    pub modes: Vec<Mode>,
    /// The number of timed runs of each mode, after one warm-up run. Slow modes have fewer.
    pub repeat: NonZeroUsize,
    /// The number of threads of the parallel modes.
    pub threads: NonZeroUsize,
    /// An existing folder for temporary files, which the executors of `cluster` must be able to read and write. The
    /// caller removes it.
    pub work_folder: PathBuf,
    /// How to start executor processes. Without it, modes that need them are skipped.
    pub launcher: Option<Launcher>,
    /// The cluster of the mode `cluster`.
    pub cluster: Option<ClusterSettings>,
    /// The GPUs; those of this machine if `None`.
    pub gpus: Option<Arc<Gpus>>,
    /// The external tools that run after the modes, if any.
    pub external_tools: Option<ExternalTools>,
    /// The local cluster of the mode that runs, for a caller that ends the process before the comparison has ended.
    pub running_cluster: RunningCluster,
}

impl Comparison {
    /// The Parquet file with the rows, for modes that read Parquet.
    pub(super) fn rows_file(&self) -> PathBuf {
        self.work_folder.join("rows.parquet")
    }

    /// Checks that the number of rows is valid and that they fit into memory.
    pub(super) fn check_size(&self) -> Result<()> {
        if self.rows == 0 || self.rows > MAX_ROWS {
            return exec_err!("cannot compare over {} rows: the number is from 1 to {MAX_ROWS}", self.rows);
        }
        // Three columns, the reference, the result of a mode and a copy of it: 8 bytes per row each.
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

    /// The modes to run and their sources. If a cluster mode reads Parquet, the other modes run on both sources.
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

    /// The source of a cluster mode. Only executors on this machine can read a table that is in memory here.
    pub(super) fn cluster_source(&self, mode: Mode) -> Source {
        let elsewhere = self.cluster.as_ref().is_some_and(|cluster| !cluster.address.is_loopback());
        if mode == Mode::Cluster && elsewhere { Source::Parquet } else { self.source }
    }

    /// Why a mode cannot run with these settings or on this machine; `None` if it can.
    pub(super) fn reason_to_skip(&self, mode: Mode) -> Option<String> {
        let reason = match mode {
            Mode::Rayon if self.source != Source::Memory => {
                "the kernel reads arrays in memory only: use --source memory"
            }
            Mode::Rayon if self.result == ResultSink::Parquet => {
                "the kernel does not write Parquet: use --result collect or sum"
            }
            _ if mode.needs_gpu() && self.gpus().is_err() => return self.gpus().err().map(|e| e.to_string()),
            Mode::CudaResident if self.source != Source::Memory => {
                "columns in GPU memory are copied from arrays in memory: use --source memory"
            }
            Mode::CudaResident if self.result == ResultSink::Parquet => {
                "results in GPU memory are not written to Parquet: use --result collect or sum"
            }
            Mode::Cluster if self.cluster.is_none() => "no cluster was named: use --cluster df://HOST:PORT",
            Mode::ClusterProcesses1 | Mode::ClusterProcesses if self.launcher.is_none() => {
                "it is unknown how to start executor processes"
            }
            _ => return None,
        };
        Some(reason.to_owned())
    }

    /// The GPUs of the GPU modes.
    pub(super) fn gpus(&self) -> Result<Arc<Gpus>, CudaError> {
        self.gpus.clone().map_or_else(warpframe_cuda::gpus, Ok)
    }
}
