//! Calls that wait for a GPU, made so that the workers of tokio's runtime are free meanwhile.
//!
//! An evaluation ends after the chunks that are in flight on the GPU, also if the query has been cancelled: it owns the arrays
//! and the memory that the GPU accesses.

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use tokio::runtime::{Handle, RuntimeFlavor};
use warpframe_ir::backend::Kernel;

/// Whether a kernel evaluates a number of rows on a device.
pub fn uses_device(kernel: &dyn Kernel, rows: usize) -> bool {
    kernel.device_batch_rows().is_some_and(|least| rows >= least)
}

/// Calls a function on a thread for blocking work, and returns its result. If the future is dropped, the call goes on to its end
/// there. Without a runtime it is made on this thread.
///
/// # Errors
/// The runtime has shut down.
pub async fn on_blocking_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    match Handle::try_current() {
        Ok(_) => {
            let task = SpawnedTask::spawn_blocking(call);
            task.join_unwind().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))
        }
        Err(_) => Ok(call()),
    }
}

/// Calls a function on this thread, whose other tasks go to another worker before. For code that cannot await, such as scalar
/// functions.
pub fn blocking_in_place<T>(call: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(call),
        // The only worker of a runtime cannot be replaced.
        _ => call(),
    }
}
