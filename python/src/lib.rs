//! The native module of the Python package `warpframe`.
//!
//! - `trace` reads the traces of Python functions, and `lowering` compiles them to programs for the types of `dtype`.
//! - `function` (traced functions) and `expression` (SQL expressions) are `callable` with `arguments`: NumPy arrays (`numpy`,
//!   `strided`), Arrow arrays (`arrow_stream`) and numbers. What is `compiled`, and kept as
//!   `compiled_forms`, is evaluated by `engine` on all `threads`, into
//!   `result_memory`. `scalar_udf` is a traced function in SQL.
//! - `session` and `query` run on the tokio `runtime` of the process; `batch_run` is the batch run. `table`, `memory_table`,
//!   `batch_stream`, `numpy_columns` and `numpy_results` convert data.
//! - `command` is the `warpframe` command.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod arguments;
mod arrow_stream;
mod batch_run;
mod batch_stream;
mod block_on;
mod callable;
mod columns;
mod command;
mod compiled;
mod compiled_forms;
mod dtype;
mod engine;
mod errors;
mod expression;
mod fork_guard;
mod function;
mod lowering;
mod memory_table;
mod numpy;
mod numpy_columns;
mod numpy_results;
mod parquet_output;
mod query;
mod result_memory;
mod runtime;
mod scalar_udf;
mod session;
mod shared_session;
mod strided;
mod table;
mod threads;
mod trace;

use pyo3::prelude::*;

// Results of the same sizes are allocated again and again: see the command's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The native module of warpframe.
#[pymodule]
mod _warpframe {
    #[pymodule_export]
    use crate::arrow_stream::ArrowArray;
    #[pymodule_export]
    use crate::batch_run::run_batch;
    #[pymodule_export]
    use crate::command::run_command;
    #[pymodule_export]
    use crate::errors::WarpframeError;
    #[pymodule_export]
    use crate::expression::Expression;
    #[pymodule_export]
    use crate::function::Function;
    #[pymodule_export]
    use crate::numpy_columns::{array_from_buffers, array_from_bytes, array_from_texts};
    #[pymodule_export]
    use crate::query::Query;
    #[pymodule_export]
    use crate::result_memory::{ResultMemory, release_memory};
    #[pymodule_export]
    use crate::runtime::finish_cleanup;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::threads::{get_num_threads, set_num_threads};

    /// Lets NVRTC be searched where this process finds its packages: it may be one of them.
    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        use pyo3::prelude::*;
        let path = module.py().import("sys")?.getattr("path")?;
        // Entries are texts; others, which importers of applications may add, are left out.
        let folders = path.try_iter()?.filter_map(|entry| entry.ok()?.extract::<std::path::PathBuf>().ok());
        warpframe::cuda::search_python_path(folders.filter(|folder| folder.is_absolute()).collect());
        Ok(())
    }
}
