//! The external tools: Python programs that evaluate the formula with NumPy, Numba, DuckDB and others, and with warpframe's own
//! Python package. The command line and the JSON report call them peers.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use datafusion::common::{Result, exec_err};

/// A mode of an external tool.
#[derive(Debug, PartialEq, Eq)]
pub struct ToolMode {
    /// The name of the mode on the command line, in the JSON report and in charts.
    pub name: &'static str,
    /// The program in `benches/peers`. On the command line its name selects all its modes.
    pub program: &'static str,
    /// A short description.
    pub description: &'static str,
    /// Whether it runs on a GPU.
    pub needs_gpu: bool,
}

macro_rules! tools {
    ($($program:literal { $($name:literal: $description:literal $(on $gpu:ident)?),+ })+) => {
        /// The modes of all external tools.
        pub const ALL: &[ToolMode] = &[
            $($(ToolMode {
                name: $name,
                program: $program,
                description: $description,
                needs_gpu: tools!(@needs $($gpu)?),
            }),+),+
        ];

        /// The Python programs, which are embedded in this binary: file name and text.
        pub(super) const PROGRAMS: &[(&str, &str)] = &[
            ("run.py", include_str!("../../benches/peers/run.py")),
            ("formula.py", include_str!("../../benches/peers/formula.py")),
            $((
                concat!("peer_", $program, ".py"),
                include_str!(concat!("../../benches/peers/peer_", $program, ".py"))
            )),+
        ];
    };
    (@needs gpu) => {
        true
    };
    (@needs) => {
        false
    };
}

tools! {
    "warpframe" {
        "warpframe-numpy": "Python, NumPy arrays",
        "warpframe-sql": "Python, SQL"
    }
    "python" { "python": "plain loop, extrapolated" }
    "numpy" { "numpy": "NumPy" }
    "numexpr" { "numexpr": "numexpr" }
    "blosc2" { "blosc2": "Blosc2, lazy expression" }
    "numba" {
        "numba": "Numba",
        "numba-parallel": "Numba, parallel",
        "numba-rows": "Numba, row triples",
        "numba-ufunc": "Numba, vectorize",
        "numba-ufunc-parallel": "Numba, vectorize"
    }
    "jax" {
        "jax": "JAX, jit",
        "jax-gpu": "JAX, GPU, host to host" on gpu,
        "jax-gpu-resident": "JAX, arrays on GPU" on gpu
    }
    "polars" { "polars": "Polars, in memory", "polars-streaming": "Polars, streaming" }
    "duckdb" { "duckdb": "DuckDB" }
    "datafusion" { "datafusion-python": "DataFusion's package" }
    "dask" {
        "dask-threads-1": "Dask, in-process",
        "dask-threads": "Dask, in-process",
        "dask-processes-1": "Dask, processes",
        "dask-processes": "Dask, processes",
        "dask-rows": "Dask, row triples"
    }
    "cupy" { "cupy": "CuPy, host to host" on gpu, "cupy-resident": "CuPy, arrays on GPU" on gpu }
    "torch" { "torch": "PyTorch, host to host" on gpu, "torch-resident": "PyTorch, arrays on GPU" on gpu }
    "numba_cuda" { "numba-cuda": "Numba CUDA, host to host" on gpu }
}

/// warpframe's own Python package, which runs as the external tools do.
const OWN_PROGRAM: &str = "warpframe";

impl ToolMode {
    /// Whether it is another tool than warpframe.
    pub fn is_external(&self) -> bool {
        self.program != OWN_PROGRAM
    }
}

/// The mode of this name that runs in a Python process.
pub fn find(name: &str) -> Option<&'static ToolMode> {
    ALL.iter().find(|mode| mode.name == name)
}

/// The modes with these names, in the order of [`ALL`]. A name is that of a mode, or of a program for all its modes.
/// Without names, returns all modes.
///
/// # Errors
/// A name is unknown.
pub fn select(names: &[String]) -> Result<Vec<&'static ToolMode>> {
    let matches = |mode: &ToolMode, name: &String| mode.name == name || mode.program == name;
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|mode| matches(mode, name))) {
        let mut seen = HashSet::new();
        let known: Vec<_> = ALL.iter().flat_map(|mode| [mode.program, mode.name]).collect();
        let known: Vec<_> = known.into_iter().filter(|name| seen.insert(*name)).collect();
        return exec_err!("there is no peer '{unknown}': use one of {}", known.join(", "));
    }
    let selected = ALL.iter().filter(|mode| names.is_empty() || names.iter().any(|name| matches(mode, name)));
    Ok(selected.collect())
}

/// The modes with exactly these names, in the order of [`ALL`].
pub fn with_names(names: &[&str]) -> Vec<&'static ToolMode> {
    ALL.iter().filter(|mode| names.contains(&mode.name)).collect()
}

impl fmt::Display for ToolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The external tools of a comparison, and how they run.
#[derive(Debug, Clone)]
pub struct ExternalTools {
    /// The modes, in the order in which they run.
    pub modes: Vec<&'static ToolMode>,
    /// The Python interpreter.
    pub python: PathBuf,
    /// The limit for loading the rows, and for each run. A mode that takes longer fails.
    pub timeout: Duration,
}
