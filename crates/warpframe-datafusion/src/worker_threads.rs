//! The threads of a query engine: a tokio runtime whose workers wake on CPUs of their own.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::runtime::Builder;
use warpframe_cpu::affinity::{Waiting, WakeCpus};

thread_local! {
    /// What an idle worker waits on.
    static WAITING: RefCell<Option<Waiting>> = const { RefCell::new(None) };
}

/// The builder of a runtime with this number of worker threads, with time and I/O. On virtual machines, where the partitions of a
/// short query would wait for the same CPU otherwise, idle workers wait on different ones ([`WakeCpus`]).
pub fn runtime_builder(threads: NonZeroUsize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads.get()).enable_all();
    if threads > NonZeroUsize::MIN
        && let Some(cpus) = WakeCpus::new()
    {
        let cpus = Arc::new(cpus);
        let waited = Arc::clone(&cpus);
        builder.on_thread_park(move || {
            WAITING.set(waited.wait());
        });
        builder.on_thread_unpark(move || {
            if let Some(waiting) = WAITING.take() {
                cpus.wake(&waiting);
            }
        });
    }
    builder
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Result;
    use std::time::{Duration, Instant};

    use super::*;
    use warpframe_cpu::affinity::allowed_cpus;

    #[test]
    fn idle_workers_wait_on_different_cpus_and_run_on_all() -> Result<()> {
        let all = allowed_cpus();
        let threads = NonZeroUsize::MIN.saturating_add(1);
        let runtime = runtime_builder(threads).thread_name("placed").build()?;
        for _ in 0..3 {
            runtime.block_on(async {
                for task in [(); 8].map(|()| tokio::spawn(async { allowed_cpus() })) {
                    assert_eq!(task.await?, all);
                }
                Result::Ok(())
            })?;
            std::thread::sleep(Duration::from_millis(5));
        }
        if WakeCpus::new().is_none() {
            eprintln!("SKIPPED: the machine is not virtual, has one CPU or another system");
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let waiting = cpus_of_threads("placed")?;
            let different: BTreeSet<_> =
                waiting.iter().filter(|cpus| cpus.parse::<usize>().is_ok()).collect();
            if different.len() == 2 {
                return Ok(());
            }
            assert!(Instant::now() < deadline, "{waiting:?} of {all:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The CPUs on which threads of a name may run, as Linux prints them.
    fn cpus_of_threads(name: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for thread in std::fs::read_dir("/proc/self/task")? {
            let thread = thread?.path();
            if std::fs::read_to_string(thread.join("comm"))?.trim() == name {
                let status = std::fs::read_to_string(thread.join("status"))?;
                let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
                found.push(line.unwrap_or_default().trim().to_owned());
            }
        }
        Ok(found)
    }
}
