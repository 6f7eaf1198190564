//! The `warpframe` command.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]

use std::ffi::{c_int, c_long};
use std::process::ExitCode;

use warpframe::command::Launcher;

// Queries allocate many buffers of the same sizes. mimalloc reuses them instead of returning them to the operating
// system: the page faults of fresh memory take longer than the kernels.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long free memory is kept before it is returned to the operating system. The default, 10 ms, is over between the queries
/// of a person.
const PURGE_DELAY_MS: c_long = 1000;

/// `mi_option_purge_delay`, which the bindings do not name.
const PURGE_DELAY: c_int = 15;

fn main() -> ExitCode {
    // SAFETY: the function changes an option of the allocator, unless the environment variable MIMALLOC_PURGE_DELAY has set it;
    // no other thread runs.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) };
    ExitCode::from(warpframe::command::main(std::env::args_os().skip(1), Launcher::current_exe().ok()))
}
