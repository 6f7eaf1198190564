//! Arrow data to and from other Python packages: the Arrow PyCapsule interface.
//!
//! A capsule holds a struct of the Arrow C data or C stream interface. Data moves between packages without copies.

mod array;
mod export;
mod import;

pub use array::ArrowArray;
pub use export::{export_array, export_schema, export_stream};
pub use import::{import_array, import_stream};

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::error::ArrowError;

/// The names of the capsules, which the interface prescribes.
const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// Runs code of the `arrow` crate that panics on data which breaks the rules of the C interfaces, or that is called from
/// C, where a panic would end the process.
fn catch_panic<T>(run: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(ArrowError::ExternalError(format!("an error inside the program: {text}").into()))
    })
}
