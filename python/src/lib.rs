//! The native module of the Python package `warpframe`.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod arrow_stream;
mod errors;

use pyo3::prelude::*;

// Results of the same sizes are allocated again and again: see the command's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
mod _warpframe {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::arrow_stream::ArrowArray;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("WarpframeError", module.py().get_type::<crate::errors::WarpframeError>())
    }

    #[pyfunction]
    fn _roundtrip(object: &Bound<'_, PyAny>) -> PyResult<ArrowArray> {
        Ok(ArrowArray::new(crate::arrow_stream::import_array(object)?))
    }
}
