//! The CPUs on which threads wake.
//!
//! On virtual machines, Linux counts an idle CPU as taken away by the host, and lets a thread that is woken wait for the CPU of the
//! thread that has woken it, up to several milliseconds: two threads that are woken for a short task run one after the other. A
//! thread that is bound to one CPU when it is woken gets that CPU at once. When it runs, it may move again.

use std::sync::atomic::{AtomicBool, Ordering};

/// The CPUs on which the threads of a pool run, and wake.
#[derive(Debug)]
pub struct WakeCpus {
    cpus: Vec<usize>,
    /// Whether an idle thread of the pool waits on each.
    taken: Vec<AtomicBool>,
}

/// An idle thread that waits on a CPU.
#[derive(Debug)]
pub struct Waiting {
    /// The position of the CPU in the pool's.
    position: usize,
    /// The CPUs on which the thread may run otherwise.
    allowed: Vec<usize>,
}

impl WakeCpus {
    /// The CPUs of a pool: those on which the calling thread may run. `None` if there is only one, and where it is not known that
    /// threads wait for busy CPUs: on machines that are not virtual, and on other systems than Linux on x86-64.
    pub fn new() -> Option<Self> {
        let cpus = if is_virtual_machine() { allowed_cpus() } else { Vec::new() };
        (cpus.len() > 1).then(|| Self::of(cpus))
    }

    fn of(cpus: Vec<usize>) -> Self {
        let taken = cpus.iter().map(|_| AtomicBool::new(false)).collect();
        Self { cpus, taken }
    }

    /// Binds the calling thread, which is about to wait, to the CPU that it is on, or to the next one on which no thread of the pool
    /// waits. `None` if there is none.
    pub fn wait(&self) -> Option<Waiting> {
        let position = self.take(self.position_of_caller())?;
        let allowed = allowed_cpus();
        set_affinity(0, &[self.cpus[position]]);
        Some(Waiting { position, allowed })
    }

    /// Lets the calling thread, which has been woken, run on all CPUs again, unless somebody else has bound it to others.
    pub fn wake(&self, waiting: &Waiting) {
        self.taken[waiting.position].store(false, Ordering::Relaxed);
        if allowed_cpus() == [self.cpus[waiting.position]] {
            set_affinity(0, &waiting.allowed);
        }
    }

    /// Takes the first free CPU from a position on.
    fn take(&self, first: usize) -> Option<usize> {
        let positions = (first..self.cpus.len()).chain(0..first);
        let mut free = positions.filter(|position| !self.taken[*position].swap(true, Ordering::Relaxed));
        free.next()
    }

    /// CPUs for as many threads beside the calling one, which goes on: as far away from each other as possible.
    pub fn beside_caller(&self, threads: usize) -> Vec<usize> {
        self.beside(self.position_of_caller(), threads)
    }

    fn beside(&self, caller: usize, threads: usize) -> Vec<usize> {
        let others = self.cpus.len() - 1;
        let step = |thread: usize| (thread * others / threads.min(others).max(1)) % others;
        (0..threads).map(|thread| self.cpus[(caller + 1 + step(thread)) % self.cpus.len()]).collect()
    }

    fn position_of_caller(&self) -> usize {
        current_cpu().and_then(|own| self.cpus.iter().position(|cpu| *cpu == own)).unwrap_or_default()
    }

    /// Binds a thread, of this number in the operating system, to a CPU.
    pub fn bind(thread: i32, cpu: usize) {
        set_affinity(thread, &[cpu]);
    }

    /// Lets the calling thread run on all CPUs of the pool, if it is bound to one.
    pub fn unbind(&self) {
        if allowed_cpus().len() == 1 {
            set_affinity(0, &self.cpus);
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use self::linux::{allowed_cpus, current_thread};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use self::linux::{current_cpu, is_virtual_machine, set_affinity};

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
pub use self::other::{allowed_cpus, current_thread};
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
use self::other::{current_cpu, is_virtual_machine, set_affinity};

/// Systems on which threads are not bound.
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

    /// The CPUs on which the calling thread may run; unknown.
    pub fn allowed_cpus() -> Vec<usize> {
        Vec::new()
    }

    pub fn set_affinity(_: i32, _: &[usize]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_threads_wait_on_different_cpus() {
        let pool = WakeCpus::of(vec![0, 2, 3, 5]);
        assert_eq!([2, 2, 0, 2].map(|own| pool.take(own)), [Some(2), Some(3), Some(0), Some(1)]);
        assert_eq!(pool.take(1), None);
        pool.taken[3].store(false, Ordering::Relaxed);
        assert_eq!(pool.take(1), Some(3));
    }

    #[test]
    fn threads_beside_a_caller_have_other_cpus() {
        let pool = WakeCpus::of(vec![0, 2, 3, 5, 8, 9]);
        for (caller, own) in pool.cpus.iter().enumerate() {
            for threads in 0..12 {
                let others = pool.beside(caller, threads);
                assert_eq!(others.len(), threads);
                assert!(others.iter().all(|cpu| cpu != own && pool.cpus.contains(cpu)));
                let distinct: std::collections::BTreeSet<_> = others.iter().collect();
                assert_eq!(distinct.len(), threads.min(5), "{others:?}");
            }
        }
    }
}
