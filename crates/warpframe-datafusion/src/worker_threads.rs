//! The threads of a query engine: a tokio runtime whose workers wake on CPUs of their own.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Builder;
use warpframe_cpu::affinity::WakeCpus;

thread_local! {
    /// The position of a worker among those of its runtime.
    static POSITION: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The builder of a runtime with this number of worker threads, with time and I/O. On virtual machines, where the partitions of a
/// short query would wait for the same CPU otherwise, idle workers wait on one CPU each ([`WakeCpus`]).
pub fn runtime_builder(threads: NonZeroUsize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads.get()).enable_all();
    if threads > NonZeroUsize::MIN
        && let Some(cpus) = WakeCpus::new(threads.get())
    {
        let (cpus, workers) = (Arc::new(cpus), AtomicUsize::new(0));
        let homes = Arc::clone(&cpus);
        builder.on_thread_park(move || {
            let position = POSITION.get().unwrap_or_else(|| workers.fetch_add(1, Ordering::Relaxed));
            POSITION.set(Some(position));
            WakeCpus::wait_on(homes.home(position), 0);
        });
        builder.on_thread_unpark(move || cpus.run_anywhere());
    }
    builder
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Result;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    /// The CPUs on which a thread may run, as the system prints them.
    fn allowed(thread: &Path) -> Result<String> {
        let status = std::fs::read_to_string(thread.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Ok(line.unwrap_or_default().trim().to_owned())
    }

    #[test]
    fn idle_workers_wait_on_cpus_of_their_own_and_run_on_all() -> Result<()> {
        let own = Path::new("/proc/thread-self");
        let all = allowed(own)?;
        let threads = NonZeroUsize::MIN.saturating_add(1);
        let runtime = runtime_builder(threads).thread_name("placed").build()?;
        for _ in 0..3 {
            runtime.block_on(async {
                for task in [(); 8].map(|()| tokio::spawn(async { allowed(Path::new("/proc/thread-self")) }))
                {
                    assert_eq!(task.await??, all);
                }
                Result::Ok(())
            })?;
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut homes = Vec::new();
        for thread in std::fs::read_dir("/proc/self/task")? {
            let thread = thread?.path();
            if std::fs::read_to_string(thread.join("comm"))?.trim() == "placed" {
                homes.push(allowed(&thread)?);
            }
        }
        match WakeCpus::new(threads.get()) {
            None => eprintln!("SKIPPED: the machine is not virtual, or has one CPU"),
            Some(_) => assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 2, "{homes:?} of {all}"),
        }
        assert_eq!(homes.len(), 2);
        Ok(())
    }
}
