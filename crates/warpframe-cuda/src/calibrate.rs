//! Measures how fast this machine copies and computes, once, and keeps the result on disk.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;
use warpframe_ir::backend::{Backend, KernelContext};
use warpframe_ir::builder::Builder;
use warpframe_ir::error::Result;
use warpframe_ir::instruction::{Input, Precision, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;

use super::calibration::Calibration;
use super::chunk_pipeline::copy;
use super::cuda_backend::{Cuda, CudaSettings};
use super::disk_cache;
use super::gpu::{Gpus, SlotBytes};

/// Bytes of a copy whose speed is measured.
const COPY: usize = 32 << 20;

/// Bytes of a copy on the GPU: more than its cache holds.
const DEVICE_COPY: usize = 256 << 20;

/// Rows of a program whose speed is measured, on a GPU and on a CPU.
const GPU_ROWS: usize = 1 << 20;
const CPU_ROWS: usize = 1 << 15;

/// How often each thing is done; the fastest counts.
const REPEATS: usize = 5;

/// The calibration of this machine with the first of these GPUs and a backend for the CPU: as it was measured before,
/// by this process or another, or measured now, which takes about a second.
///
/// # Errors
/// The GPU does not answer.
pub fn calibrate(gpus: &Arc<Gpus>, cpu: &Arc<dyn Backend>) -> Result<Calibration> {
    if let Some(known) = gpus.calibration().get() {
        return Ok(*known);
    }
    let file = file(gpus, cpu.as_ref());
    let known = file.as_ref().and_then(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok());
    let calibration = match known {
        Some(known) => known,
        None => {
            let measured = measure(gpus, cpu)?;
            if let (Some(file), Ok(text)) = (file, serde_json::to_vec(&measured)) {
                // Without the file the next process measures again.
                let _ = disk_cache::write(&file, &[&text]);
            }
            measured
        }
    };
    Ok(*gpus.calibration().get_or_init(|| calibration))
}

/// Measures this machine with the first of these GPUs and a backend for the CPU, whatever is on disk.
///
/// # Errors
/// The GPU does not answer, or its memory is full.
pub fn measure(gpus: &Arc<Gpus>, cpu: &Arc<dyn Backend>) -> Result<Calibration> {
    let cuda = Cuda::new(Arc::clone(gpus), CudaSettings::default(), Arc::clone(cpu));
    let (stage, h2d, d2h) = copies(gpus)?;
    let [cheap, costly, scalar] = &programs()?;
    let timed = |backend: &dyn Backend, program: &Arc<Program>, rows: usize| -> Result<f64> {
        let kernel = backend.compile(program)?;
        let (column, context) = (numbers(rows), KernelContext::default());
        fastest(|| {
            let start = Instant::now();
            black_box(kernel.evaluate(std::slice::from_ref(&column), rows, &context)?);
            Ok(start.elapsed())
        })
    };
    let on_gpu = |program: &Program, ops: f64| -> Result<f64> {
        let mut resident = cuda.upload(program, &[numbers(GPU_ROWS)])?;
        Ok(fastest(|| resident.evaluate())? / GPU_ROWS as f64 / ops)
    };
    let on_cpu = |program: &Arc<Program>, ops: f64| -> Result<f64> {
        Ok(timed(cpu.as_ref(), program, CPU_ROWS)? / CPU_ROWS as f64 / ops)
    };
    Ok(Calibration {
        h2d,
        d2h,
        stage,
        device_copy: device_copy(gpus)?,
        latency: timed(&cuda, cheap, 1)?,
        gpu_cheap: on_gpu(cheap, CHEAP_OPS)?,
        gpu_costly: on_gpu(costly, COSTLY_OPS)?,
        cpu_cheap: on_cpu(cheap, CHEAP_OPS)?,
        cpu_costly: on_cpu(costly, COSTLY_OPS)?,
        cpu_scalar: on_cpu(scalar, COSTLY_OPS)?,
    })
}

const CHEAP_OPS: f64 = 32.0;
const COSTLY_OPS: f64 = 8.0;

/// Programs of cheap ops, of costly ones, and of ones without vector code, long enough that memory does not matter.
fn programs() -> Result<[Arc<Program>; 3]> {
    let program = |steps: f64, step: fn(&mut Builder, Value, Value, usize) -> Value| {
        let mut builder = Builder::new(Precision::Double);
        let x = builder.add_input(Input { data_type: DataType::Float64, nullable: false });
        let output = (0..steps as usize / 2).fold(x, |value, number| step(&mut builder, x, value, number));
        builder.finish(output).map(Arc::new)
    };
    Ok([
        program(CHEAP_OPS, |builder, x, value, number| {
            let factor = builder.const_float(0.5 + number as f64);
            let product = builder.binary(Binary::Multiply, value, factor);
            builder.binary(Binary::Add, product, x)
        })?,
        program(COSTLY_OPS, |builder, _, value, _| {
            let power = builder.unary(Unary::Exp, value);
            builder.unary(Unary::Ln, power)
        })?,
        program(COSTLY_OPS, |builder, _, value, _| {
            let root = builder.unary(Unary::Cbrt, value);
            builder.unary(Unary::Cbrt, root)
        })?,
    ])
}

fn numbers(rows: usize) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / rows as f64)))
}

/// The least of some times, in nanoseconds, after one that does not count.
fn fastest(mut once: impl FnMut() -> Result<Duration>) -> Result<f64> {
    once()?;
    let mut least = Duration::MAX;
    for _ in 0..REPEATS {
        least = least.min(once()?);
    }
    Ok((least.as_nanos() as f64).max(1.0))
}

/// Bytes per nanosecond into page-locked memory, to the GPU and back.
fn copies(gpus: &Gpus) -> Result<(f64, f64, f64)> {
    let gpu = gpus.next()?;
    let mut slot = gpu.stream_slot(SlotBytes { device: COPY, staging: COPY }, usize::MAX)?;
    let plain = vec![1u8; COPY];
    let stage = fastest(|| {
        let start = Instant::now();
        // SAFETY: nothing is in the slot's stream.
        copy(unsafe { slot.staging.part_mut(0, COPY) }, &plain);
        Ok(start.elapsed())
    })?;
    let (device, stream, memory) = (&gpu.device, slot.stream, slot.memory.at(0));
    let address = slot.staging.address().as_ptr();
    // SAFETY: both ranges are the slot's and that long, and the copy is waited for.
    let h2d =
        fastest(|| Ok(slot.timed(|| unsafe { device.memcpy_htod_async(stream, memory, address, COPY) })?))?;
    // SAFETY: as above.
    let d2h =
        fastest(|| Ok(slot.timed(|| unsafe { device.memcpy_dtoh_async(stream, address, memory, COPY) })?))?;
    let rate = |time: f64| COPY as f64 / time;
    Ok((rate(stage), rate(h2d), rate(d2h)))
}

/// Bytes per nanosecond, read and written, of a copy on the GPU.
fn device_copy(gpus: &Gpus) -> Result<f64> {
    let gpu = gpus.next()?;
    let slot = gpu.stream_slot(SlotBytes { device: 0, staging: 0 }, usize::MAX)?;
    let memory = gpu.memory(2 * DEVICE_COPY, usize::MAX)?;
    let (to, from) = (memory.at(DEVICE_COPY), memory.at(0));
    // SAFETY: both halves of the memory are that long, and the copy is waited for.
    let copy = || unsafe { gpu.device.memcpy_dtod_async(slot.stream, to, from, DEVICE_COPY) };
    let time = fastest(|| Ok(slot.timed(copy)?))?;
    drop(slot);
    Ok(2.0 * DEVICE_COPY as f64 / time)
}

/// The file of a calibration: one for each pair of CPU backend and GPU; `None` for simulated GPUs.
fn file(gpus: &Gpus, cpu: &dyn Backend) -> Option<PathBuf> {
    let driver = gpus.driver();
    let device = driver.devices().first()?;
    if !driver.is_real() {
        return None;
    }
    let cpu = cpu.description();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("{} {} {cpu} {threads} {version}.json", device.name, driver.version());
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    Some(disk_cache::folder("calibration")?.join(name))
}
