//! The CPUs on which threads wake.
//!
//! On virtual machines, Linux counts an idle CPU as taken away by the host, and lets a thread that is woken wait for the CPU of the
//! thread that has woken it, up to several milliseconds: two threads that are woken for a short task run one after the other. A
//! thread that may run on one CPU only when it is woken gets that CPU at once. When it runs, it may move again.

/// The CPUs on which the threads of a pool wake, and those on which they run.
#[derive(Debug, Clone)]
pub struct WakeCpus {
    cpus: Vec<usize>,
    threads: usize,
}

impl WakeCpus {
    /// The CPUs for the threads of a pool, among those on which the calling thread may run. `None` if there is only one, and where
    /// threads wake on idle CPUs anyway: on machines that are not virtual, and on other systems than Linux.
    pub fn new(threads: usize) -> Option<Self> {
        let cpus = if is_virtual_machine() { allowed_cpus() } else { Vec::new() };
        (threads > 0 && cpus.len() > 1).then_some(Self { cpus, threads })
    }

    /// The CPU on which a thread of the pool wakes if no other thread works: threads are as far away from each other as possible, and
    /// the pools of processes begin at different CPUs.
    pub fn home(&self, thread: usize) -> usize {
        self.spread(std::process::id() as usize, self.cpus.len(), thread)
    }

    /// The CPU on which a thread of the pool wakes if the calling thread, which is not of the pool, works too.
    pub fn beside_caller(&self, thread: usize) -> usize {
        match current_cpu().and_then(|own| self.cpus.iter().position(|cpu| *cpu == own)) {
            Some(own) => self.spread(own + 1, self.cpus.len() - 1, thread),
            None => self.home(thread),
        }
    }

    /// The CPU for a thread among `count` ones from the position `first` on.
    fn spread(&self, first: usize, count: usize, thread: usize) -> usize {
        let step = (thread % self.threads) * count / self.threads.min(count) % count;
        self.cpus[(first + step) % self.cpus.len()]
    }

    /// Lets a thread, of this number in the operating system or 0 for the calling one, wake on a CPU, or run there if it runs.
    pub fn wait_on(cpu: usize, thread: i32) {
        set_affinity(thread, &[cpu]);
    }

    /// Lets the calling thread run on all CPUs of the pool.
    pub fn run_anywhere(&self) {
        set_affinity(0, &self.cpus);
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use self::linux::current_thread;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use self::linux::{allowed_cpus, current_cpu, is_virtual_machine, set_affinity};

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux {
    use std::mem::MaybeUninit;

    /// The number of the calling thread in the operating system.
    pub fn current_thread() -> i32 {
        // SAFETY: the call has no preconditions.
        unsafe { libc::syscall(libc::SYS_gettid) as i32 }
    }

    /// Whether the CPUs are those of a virtual machine.
    pub fn is_virtual_machine() -> bool {
        // The bit that CPUs reserve for hypervisors: bit 31 of ECX of leaf 1.
        std::arch::x86_64::__cpuid(1).ecx >> 31 == 1
    }

    /// The CPU that runs the calling thread.
    pub fn current_cpu() -> Option<usize> {
        // SAFETY: the call has no preconditions.
        usize::try_from(unsafe { libc::sched_getcpu() }).ok()
    }

    /// The CPUs on which the calling thread may run, ascending; none if there are more than 1024.
    pub fn allowed_cpus() -> Vec<usize> {
        let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
        // SAFETY: the set has the given size. All its bit patterns are valid.
        let set = unsafe {
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) != 0 {
                return Vec::new();
            }
            set.assume_init()
        };
        // SAFETY: the numbers are below the size of the set.
        (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
    }

    /// Lets a thread run on these CPUs. If the system refuses it, such as for a thread that has ended, all stays as it is.
    pub fn set_affinity(thread: i32, cpus: &[usize]) {
        // SAFETY: all bit patterns of the set are valid.
        let mut set = unsafe { MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init() };
        for &cpu in cpus.iter().filter(|cpu| **cpu < libc::CPU_SETSIZE as usize) {
            // SAFETY: the number is below the size of the set.
            unsafe { libc::CPU_SET(cpu, &mut set) };
        }
        // SAFETY: the set has the given size.
        unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &set) };
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub use self::other::current_thread;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
use self::other::{allowed_cpus, current_cpu, is_virtual_machine, set_affinity};

/// Systems on which threads cannot be placed, or wake on idle CPUs.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod other {
    /// The number of the calling thread in the operating system; unknown.
    pub fn current_thread() -> i32 {
        0
    }

    pub fn is_virtual_machine() -> bool {
        false
    }

    pub fn current_cpu() -> Option<usize> {
        None
    }

    pub fn allowed_cpus() -> Vec<usize> {
        Vec::new()
    }

    pub fn set_affinity(_: i32, _: &[usize]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_wake_on_different_cpus() {
        let cpus = vec![0, 2, 3, 5, 8, 9];
        for threads in 1..=cpus.len() {
            let wake = WakeCpus { cpus: cpus.clone(), threads };
            let distinct = |homes: Vec<usize>| {
                assert!(homes.iter().all(|cpu| cpus.contains(cpu)), "{homes:?}");
                homes.into_iter().collect::<std::collections::BTreeSet<_>>().len()
            };
            assert_eq!(distinct((0..threads).map(|thread| wake.home(thread)).collect()), threads);
            for caller in 0..cpus.len() {
                let others = 0..threads.min(cpus.len() - 1);
                let mut used: Vec<_> =
                    others.map(|thread| wake.spread(caller + 1, cpus.len() - 1, thread)).collect();
                used.push(cpus[caller]);
                assert_eq!(distinct(used), (threads + 1).min(cpus.len()));
            }
        }
        // More threads than CPUs share them evenly.
        let wake = WakeCpus { cpus: vec![4, 6], threads: 6 };
        assert_eq!((0..6).filter(|thread| wake.home(*thread) == 4).count(), 3);
    }
}
