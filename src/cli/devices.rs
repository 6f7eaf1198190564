//! `warpframe devices`: what this machine can compute with.

use std::io::Write;

use warpframe::compare::Machine;
use warpframe::kernel::SIMD_VARIABLE;

use super::error::CliError;

pub fn run() -> Result<(), CliError> {
    let machine = Machine::detect()?;
    let forced = match std::env::var_os(SIMD_VARIABLE) {
        Some(_) => format!(" (forced by {SIMD_VARIABLE})"),
        None => format!(" (set {SIMD_VARIABLE} to force another)"),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "CPU     {}", machine.cpu)?;
    writeln!(out, "cores   {}", machine.cores)?;
    writeln!(out, "SIMD    {} of {}{forced}", machine.simd, machine.simd_available.join(", "))?;
    writeln!(out, "memory  {:.1} GiB", machine.memory_bytes as f64 / f64::from(1 << 30))?;
    writeln!(out, "system  {}", machine.os)?;
    Ok(())
}
