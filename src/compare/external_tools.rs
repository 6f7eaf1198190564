//! The tools that people would use otherwise, on the same rows in the same run: Python programs, each in a process
//! of its own, one at a time. They get the rows as files, time themselves with the same repeats and threads,
//! and leave their last answer, which is checked like any other.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use datafusion::common::{Result, exec_err};

/// A way of a tool to evaluate the formula.
#[derive(Debug, PartialEq, Eq)]
pub struct ToolMode {
    /// The name of the mode on the command line, in JSON and in the drawing.
    pub name: &'static str,
    /// The program in `benches/peers`, and the name of all its modes together.
    pub program: &'static str,
    /// What runs, in a few words.
    pub description: &'static str,
}

macro_rules! tools {
    ($($program:literal { $($name:literal: $description:literal),+ })+) => {
        /// All peers.
        pub const ALL: &[ToolMode] = &[
            $($(ToolMode { name: $name, program: $program, description: $description }),+),+
        ];

        /// The programs, which are part of this one.
        pub(super) const PROGRAMS: &[(&str, &str)] = &[
            ("run.py", include_str!("../../benches/peers/run.py")),
            $((
                concat!("peer_", $program, ".py"),
                include_str!(concat!("../../benches/peers/peer_", $program, ".py"))
            )),+
        ];
    };
}

tools! {
    "python" { "python": "plain loop, extrapolated" }
    "numpy" { "numpy": "NumPy" }
    "numexpr" { "numexpr": "numexpr" }
    "numba" {
        "numba": "Numba",
        "numba-parallel": "Numba, parallel",
        "numba-rows": "Numba, row triples"
    }
    "jax" { "jax": "JAX, jit", "jax-gpu": "JAX, GPU, host to host", "jax-gpu-resident": "JAX, arrays on GPU" }
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
    "cupy" { "cupy": "CuPy, host to host", "cupy-resident": "CuPy, arrays on GPU" }
    "torch" { "torch": "PyTorch, host to host", "torch-resident": "PyTorch, arrays on GPU" }
    "numba_cuda" { "numba-cuda": "Numba CUDA, host to host" }
}

/// The peers with these names, each the name of a mode or of all modes of a program; all of them if there is no name.
///
/// # Errors
/// There is no such peer.
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

impl fmt::Display for ToolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The peers that take part, and how they are run.
#[derive(Debug, Clone)]
pub struct ExternalTools {
    /// The peers, in the order in which they run.
    pub modes: Vec<&'static ToolMode>,
    /// The Python interpreter.
    pub python: PathBuf,
    /// A peer that takes longer, with all its repeats, has failed.
    pub timeout: Duration,
}
