//! What tasks run in on an executor: threads, memory, folders and stores.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use ballista_core::RuntimeProducer;
use ballista_executor::runtime_cache::MemoryPoolPolicy;
use datafusion::common::Result;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use sysinfo::{MemoryRefreshKind, System};
use tokio::runtime::Runtime;

use super::executor_options::ExecutorOptions;
use crate::stores::Stores;

/// The part of the machine's memory that the tasks may hold together if nothing else is said.
const DEFAULT_MEMORY_FRACTION: f64 = 0.7;

/// The threads on which tasks run. Dropped, tasks are given up.
pub(super) struct TaskThreads(Option<Runtime>, tokio::runtime::Handle);

impl TaskThreads {
    pub fn start(slots: NonZeroUsize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(slots.get())
            .thread_name("warpframe-task")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    pub fn handle(&self) -> tokio::runtime::Handle {
        self.1.clone()
    }
}

impl Drop for TaskThreads {
    fn drop(&mut self) {
        // A runtime cannot wait for its threads inside of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What tasks run in: spilled data in the work folder, and the stores that this host can reach.
pub(super) fn runtime_producer(work_dir: &Path) -> RuntimeProducer {
    let (work_dir, stores) = (work_dir.to_owned(), Arc::new(Stores::default()));
    Arc::new(move |_| {
        RuntimeEnvBuilder::new()
            .with_temp_file_path(work_dir.clone())
            .with_object_store_registry(Arc::clone(&stores) as _)
            .build_arc()
    })
}

/// A memory pool for each task: of all tasks' memory what its slots are of all slots.
pub(super) fn memory_policy(options: &ExecutorOptions) -> MemoryPoolPolicy {
    let all = options
        .memory_limit
        .unwrap_or_else(|| (available_memory() as f64 * DEFAULT_MEMORY_FRACTION) as usize);
    let for_slot = (all / options.slots).max(1);
    Arc::new(move |base, _, slots| {
        let pool = FairSpillPool::new(for_slot.saturating_mul(slots.max(1) as usize));
        RuntimeEnvBuilder::from_runtime_env(&base).with_memory_pool(Arc::new(pool)).build_arc()
    })
}

/// Bytes of memory that this process can have: the machine's, or its control group's; all there can be if nothing says it.
fn available_memory() -> u64 {
    let Ok(mut system) = System::new() else { return u64::MAX };
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let of_group = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    system.total_memory().min(of_group)
}
