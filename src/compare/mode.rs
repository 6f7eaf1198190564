//! The execution modes: their names and what each stands for.

use std::fmt;
use std::str::FromStr;

use datafusion::common::{DataFusionError, Result};

use super::named_enum::named;

/// A way to evaluate the formula. The names are stable: command line, JSON, drawing and documentation
/// use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One thread, row at a time: what a language without compilation does.
    Interpreted,
    /// One thread, DataFusion's own operators, one at a time over columns.
    Columnar,
    /// One thread, the formula in one pass on vector instructions.
    Vectorized,
    /// All threads, the formula in one pass on vector instructions.
    Parallel,
    /// All threads, the bare kernel on the arrays, without the engine: what the engine costs.
    Rayon,
    /// NVIDIA GPUs, from arrays in memory to arrays in memory.
    Cuda,
    /// One NVIDIA GPU, with columns and results in its own memory: what the bus costs.
    CudaResident,
    /// A cluster's scheduler and one executor with one slot, inside this process.
    ClusterThreads1,
    /// The same with a slot for each thread.
    ClusterThreads,
    /// A cluster's scheduler, and one executor with one slot in a process of its own.
    ClusterProcesses1,
    /// The same with a process for each thread.
    ClusterProcesses,
    /// A cluster that was there before, and is named.
    Cluster,
}

named!(
    Mode,
    "mode",
    Interpreted => "interpreted",
    Columnar => "columnar",
    Vectorized => "vectorized",
    Parallel => "parallel",
    Rayon => "rayon",
    Cuda => "cuda",
    CudaResident => "cuda-resident",
    ClusterThreads1 => "cluster-threads-1",
    ClusterThreads => "cluster-threads",
    ClusterProcesses1 => "cluster-processes-1",
    ClusterProcesses => "cluster-processes",
    Cluster => "cluster"
);

impl Mode {
    /// What the mode does, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Self::Interpreted => "row at a time",
            Self::Columnar => "DataFusion, unfused",
            Self::Vectorized => "fused SIMD",
            Self::Parallel => "fused SIMD",
            Self::Rayon => "bare kernel, no engine",
            Self::Cuda => "GPU, host to host",
            Self::CudaResident => "GPU, columns on it",
            Self::ClusterThreads1 | Self::ClusterThreads => "Ballista, in-process",
            Self::ClusterProcesses1 | Self::ClusterProcesses => "Ballista, processes",
            Self::Cluster => "Ballista, named",
        }
    }

    /// Whether the mode uses all threads.
    pub fn is_parallel(self) -> bool {
        matches!(
            self,
            Self::Parallel | Self::Rayon | Self::Cuda | Self::ClusterThreads | Self::ClusterProcesses
        )
    }

    /// Whether the mode needs a GPU.
    pub fn needs_gpu(self) -> bool {
        matches!(self, Self::Cuda | Self::CudaResident)
    }

    /// Whether the mode evaluates arrays in memory without the engine, which then cannot read or write files.
    pub fn is_bare(self) -> bool {
        matches!(self, Self::Rayon | Self::CudaResident)
    }

    /// Whether the mode runs on a cluster.
    pub fn is_clustered(self) -> bool {
        matches!(
            self,
            Self::ClusterThreads1
                | Self::ClusterThreads
                | Self::ClusterProcesses1
                | Self::ClusterProcesses
                | Self::Cluster
        )
    }
}
