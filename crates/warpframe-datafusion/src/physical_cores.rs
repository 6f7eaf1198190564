//! The number of CPU cores that threads run on.

use std::sync::LazyLock;

use sysinfo::System;

/// The number of physical cores that `threads` threads use: two threads of a core share its vector units, so that more threads
/// than cores do not compute faster. `threads`, where the system does not report its cores.
pub fn physical_cores(threads: usize) -> usize {
    static CORES: LazyLock<Option<usize>> = LazyLock::new(System::physical_core_count);
    CORES.filter(|cores| *cores > 0).map_or(threads, |cores| threads.min(cores))
}
