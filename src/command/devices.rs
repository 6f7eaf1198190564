//! `warpframe devices`: shows the CPU, the SIMD instruction sets and the GPUs of this machine.

use std::io::Write;
use std::sync::Arc;

use super::error::CliError;
use crate::machine::Machine;
use warpframe_cpu::Simd;
use warpframe_cpu::kernel::SIMD_VARIABLE;
use warpframe_cuda::{Calibration, Gpus, calibrate, gpus};

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
    match gpus() {
        Ok(gpus) => show(&gpus, &mut out),
        Err(error) => Ok(writeln!(out, "GPU     none: {error}")?),
    }
}

/// Shows the GPUs, and the transfer rates measured on the first.
fn show(gpus: &Arc<Gpus>, out: &mut impl Write) -> Result<(), CliError> {
    let driver = gpus.driver();
    for device in driver.devices() {
        let gib = device.memory_bytes as f64 / f64::from(1 << 30);
        let (major, minor) = device.compute_capability;
        writeln!(out, "GPU     {}, {gib:.1} GiB, compute capability {major}.{minor}", device.name)?;
    }
    let compiler = driver.compiler().unwrap_or_else(|error| error.to_string());
    writeln!(out, "driver  CUDA {}; {compiler}", driver.version())?;
    let measured = Simd::native().and_then(|cpu| calibrate(gpus, &(Arc::new(cpu) as _)));
    match measured {
        Ok(Calibration { h2d, d2h, two_way, stage, device_copy, latency, .. }) => writeln!(
            out,
            "bus     {h2d:.1} GB/s to the GPU, {d2h:.1} GB/s from it, {two_way:.1} GB/s both at once, \
             {stage:.1} GB/s into page-locked memory, {device_copy:.0} GB/s on the GPU, {:.0} µs for a call",
            latency / 1e3
        )?,
        Err(error) => writeln!(out, "bus     not measured: {error}")?,
    }
    Ok(())
}
