//! The environment of tasks on an executor: threads, memory pools, spill folder and object stores.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use ballista_core::RuntimeProducer;
use ballista_executor::runtime_cache::MemoryPoolPolicy;
use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use tokio::runtime::Runtime;

use super::executor_options::ExecutorOptions;
use warpframe_datafusion::memory::SharedPool;
use warpframe_datafusion::runtime_builder;
use warpframe_io::{ObjectStores, SpillFiles};

/// The thread pool of the tasks, with a thread for each slot. Dropping it cancels the tasks.
pub(super) struct TaskThreads(Option<Runtime>, tokio::runtime::Handle);

impl TaskThreads {
    pub fn start(slots: NonZeroUsize) -> Result<Self> {
        let runtime = runtime_builder(slots).thread_name("warpframe-task").build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    pub fn handle(&self) -> tokio::runtime::Handle {
        self.1.clone()
    }
}

impl Drop for TaskThreads {
    fn drop(&mut self) {
        // The destructor of a runtime blocks, which panics inside another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The runtime environment of tasks: it spills into the work folder and has the object stores of this host.
pub(super) fn runtime_producer(work_dir: &Path) -> RuntimeProducer {
    let (work_dir, stores) = (work_dir.to_owned(), Arc::new(ObjectStores::default()));
    Arc::new(move |_| {
        RuntimeEnvBuilder::new()
            .with_disk_manager_builder(SpillFiles::within(&work_dir).disk_manager())
            .with_object_store_registry(Arc::clone(&stores) as _)
            .build_arc()
    })
}

/// A memory pool for each task, whose share of the limit is the task's share of the slots.
pub(super) fn memory_policy(options: &ExecutorOptions) -> MemoryPoolPolicy {
    let limit = options.memory_limit.bytes();
    let per_slot = limit.map(|limit| (limit / options.slots).max(1));
    Arc::new(move |base, _, slots| {
        let Some(per_slot) = per_slot else { return Ok(base) };
        let pool = SharedPool::new(per_slot.saturating_mul(slots.max(1) as usize));
        RuntimeEnvBuilder::from_runtime_env(&base).with_memory_pool(Arc::new(pool)).build_arc()
    })
}
