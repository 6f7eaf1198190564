//! The `warpframe` command.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]

mod cli;

use std::process::ExitCode;

// Query results are made of many buffers of the same sizes. This allocator hands them out again instead of
// giving them back to the operating system, whose fresh pages cost more than the kernels' arithmetic.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
