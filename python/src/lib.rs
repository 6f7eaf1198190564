//! The native module of the Python package `warpframe`.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod arrow_stream;
mod batch_stream;
mod block_on;
mod errors;
mod fork_guard;
mod memory_table;
mod numpy_columns;
mod numpy_results;
mod parquet_output;
mod query;
mod runtime;
mod session;
mod table;

use pyo3::prelude::*;

// Results of the same sizes are allocated again and again: see the command's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
mod _warpframe {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::arrow_stream::ArrowArray;
    #[pymodule_export]
    use crate::numpy_columns::{array_from_buffers, array_from_bytes, array_from_texts};
    #[pymodule_export]
    use crate::parquet_output::run_batch;
    #[pymodule_export]
    use crate::query::Query;
    #[pymodule_export]
    use crate::runtime::finish_cleanup;
    #[pymodule_export]
    use crate::session::Session;

    /// TEMP
    #[pyclass]
    struct Function;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("WarpframeError", module.py().get_type::<crate::errors::WarpframeError>())
    }
}
