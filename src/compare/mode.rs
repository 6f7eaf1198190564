//! The execution modes.

use std::fmt;
use std::str::FromStr;

use datafusion::common::{DataFusionError, Result};

use super::named_enum::named;

/// A way to evaluate the formula. The names are stable: the command line, the JSON report, the charts and the documentation
/// use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One thread, row at a time, without compilation.
    Interpreted,
    /// One thread, DataFusion's own operators, one at a time over whole batches.
    Columnar,
    /// One thread, the formula fused into one pass of native code.
    Vectorized,
    /// All threads, the formula fused into one pass of native code.
    Parallel,
    /// All threads, the kernel alone on the arrays. The difference from `Parallel` is the cost of the engine.
    Rayon,
    /// NVIDIA GPUs, from host arrays to host arrays.
    Cuda,
    /// One NVIDIA GPU, with columns and results in GPU memory. The difference from `Cuda` is the cost of the bus and the
    /// engine.
    CudaResident,
    /// A cluster scheduler and one executor with one slot, in this process.
    ClusterThreads1,
    /// The same with one slot per thread.
    ClusterThreads,
    /// A cluster scheduler, and one executor with one slot in a separate process.
    ClusterProcesses1,
    /// The same with one executor process per thread.
    ClusterProcesses,
    /// A running cluster, given by its address.
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
    /// A short description of the mode.
    pub fn description(self) -> &'static str {
        match self {
            Self::Interpreted => "row at a time",
            Self::Columnar => "DataFusion, unfused",
            Self::Vectorized => "fused native code",
            Self::Parallel => "fused native code",
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

    /// Whether the mode evaluates arrays in memory without the engine, and so cannot read or write files.
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
