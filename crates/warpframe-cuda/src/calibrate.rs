//! Measures the parameters of the cost model on this machine, once, and stores them on disk.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;
use warpframe_ir::ScalarType;
use warpframe_ir::backend::{Backend, KernelContext};
use warpframe_ir::builder::Builder;
use warpframe_ir::error::Result;
use warpframe_ir::instruction::{Input, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;

use super::calibration::Calibration;
use super::cuda_backend::{Cuda, CudaSettings};
use super::disk_cache;
use super::gpu::{Gpus, SlotBytes};
use super::staging::parallel_copy;

/// The bytes of the measured copies between host and device.
const COPY_BYTES: usize = 32 << 20;

/// The bytes of the measured copy within device memory: more than the caches of a GPU.
const DEVICE_COPY_BYTES: usize = 256 << 20;

/// The rows of measured programs on a GPU.
const GPU_ROWS: usize = 1 << 20;

/// The rows of measured programs on a CPU core.
const CPU_ROWS: usize = 1 << 15;

/// The number of repetitions of a measurement; the minimum counts.
const REPEATS: usize = 5;

/// The calibration of this machine with the first of these GPUs and a backend for the CPU. It is measured, which takes
/// about a second, unless this process or an earlier one has done so.
///
/// # Errors
/// The GPU cannot be opened or fails, or memory is exhausted.
pub fn calibrate(gpus: &Arc<Gpus>, cpu: &Arc<dyn Backend>) -> Result<Calibration> {
    if let Some(known) = gpus.calibration().get() {
        return Ok(*known);
    }
    let file = file(gpus, cpu.as_ref());
    let stored = file.as_ref().and_then(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok());
    let calibration = match stored {
        Some(stored) => stored,
        None => {
            let measured = measure(gpus, cpu)?;
            if let (Some(file), Ok(text)) = (file, serde_json::to_vec(&measured)) {
                // An error is ignored: the next process then measures again.
                let _ = disk_cache::write(&file, &[&text]);
            }
            measured
        }
    };
    Ok(*gpus.calibration().get_or_init(|| calibration))
}

/// Measures this machine with the first of these GPUs and a backend for the CPU, regardless of stored calibrations.
///
/// # Errors
/// The GPU cannot be opened or fails, or memory is exhausted.
pub fn measure(gpus: &Arc<Gpus>, cpu: &Arc<dyn Backend>) -> Result<Calibration> {
    let cuda = Cuda::new(Arc::clone(gpus), CudaSettings::default(), Arc::clone(cpu));
    let (stage, h2d, d2h) = copies(gpus)?;
    let [cheap, costly] = &programs()?;
    let timed = |backend: &dyn Backend, program: &Arc<Program>, rows: usize| -> Result<f64> {
        let kernel = backend.compile(program)?;
        let (column, context) = (uniform_column(rows), KernelContext::default());
        min_nanoseconds(|| {
            let start = Instant::now();
            black_box(kernel.evaluate(std::slice::from_ref(&column), rows, &context)?);
            Ok(start.elapsed())
        })
    };
    let on_gpu = |program: &Program, ops: f64| -> Result<f64> {
        let mut resident = cuda.upload(program, &[uniform_column(GPU_ROWS)])?;
        Ok(min_nanoseconds(|| resident.evaluate())? / GPU_ROWS as f64 / ops)
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
    })
}

/// The number of ops of the program of cheap ops.
const CHEAP_OPS: f64 = 32.0;

/// The number of ops of the program of costly ops.
const COSTLY_OPS: f64 = 8.0;

/// Programs of cheap ops and of costly ops. They have enough ops not to be bound by memory bandwidth.
fn programs() -> Result<[Arc<Program>; 2]> {
    let program = |steps: f64, step: fn(&mut Builder, Value, Value, usize) -> Value| {
        let mut builder = Builder::new();
        let x = builder.add_input(Input { data_type: DataType::Float64, nullable: false });
        let output = (0..steps as usize / 2).fold(x, |value, number| step(&mut builder, x, value, number));
        builder.finish_one(output).map(Arc::new)
    };
    Ok([
        program(CHEAP_OPS, |builder, x, value, number| {
            let factor = builder.const_float(ScalarType::F64, 0.5 + number as f64);
            let product = builder.binary(Binary::Multiply, value, factor);
            builder.binary(Binary::Add, product, x)
        })?,
        program(COSTLY_OPS, |builder, _, value, _| {
            let power = builder.unary(Unary::Exp, value);
            builder.unary(Unary::Ln, power)
        })?,
    ])
}

/// A column of uniformly spaced numbers in [0, 1).
fn uniform_column(rows: usize) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / rows as f64)))
}

/// The minimum of [`REPEATS`] measured times, in nanoseconds, after a warm-up.
fn min_nanoseconds(mut measure: impl FnMut() -> Result<Duration>) -> Result<f64> {
    measure()?;
    let mut min = Duration::MAX;
    for _ in 0..REPEATS {
        min = min.min(measure()?);
    }
    Ok((min.as_nanos() as f64).max(1.0))
}

/// The bandwidths of copies into page-locked memory, to the GPU and from the GPU, in bytes per nanosecond.
fn copies(gpus: &Gpus) -> Result<(f64, f64, f64)> {
    let gpu = gpus.next()?;
    let mut slot = gpu.stream_slot(SlotBytes { device: COPY_BYTES, staging: COPY_BYTES }, usize::MAX)?;
    let pageable = vec![1u8; COPY_BYTES];
    let stage = min_nanoseconds(|| {
        let start = Instant::now();
        // SAFETY: no operation is pending in the slot's stream.
        parallel_copy(unsafe { slot.staging.range_mut(0, COPY_BYTES) }, &pageable);
        Ok(start.elapsed())
    })?;
    let (device, stream, memory) = (&gpu.device, slot.stream, slot.memory.at(0));
    let address = slot.staging.address().as_ptr();
    // SAFETY: both ranges are memory of the slot and have this length, and `timed` waits for the copy.
    let to_device = || unsafe { device.memcpy_htod_async(stream, memory, address, COPY_BYTES) };
    let h2d = min_nanoseconds(|| Ok(slot.timed(to_device)?))?;
    // SAFETY: as above.
    let to_host = || unsafe { device.memcpy_dtoh_async(stream, address, memory, COPY_BYTES) };
    let d2h = min_nanoseconds(|| Ok(slot.timed(to_host)?))?;
    let bandwidth = |time: f64| COPY_BYTES as f64 / time;
    Ok((bandwidth(stage), bandwidth(h2d), bandwidth(d2h)))
}

/// The bandwidth of device memory in bytes per nanosecond: bytes read plus bytes written by a copy within it.
fn device_copy(gpus: &Gpus) -> Result<f64> {
    let gpu = gpus.next()?;
    let slot = gpu.stream_slot(SlotBytes { device: 0, staging: 0 }, usize::MAX)?;
    let memory = gpu.memory(2 * DEVICE_COPY_BYTES, usize::MAX)?;
    let (to, from) = (memory.at(DEVICE_COPY_BYTES), memory.at(0));
    // SAFETY: both halves of the memory have this length, and `timed` waits for the copy.
    let copy = || unsafe { gpu.device.memcpy_dtod_async(slot.stream, to, from, DEVICE_COPY_BYTES) };
    let time = min_nanoseconds(|| Ok(slot.timed(copy)?))?;
    drop(slot);
    Ok(2.0 * DEVICE_COPY_BYTES as f64 / time)
}

/// The file of a calibration, whose name has the GPU, the driver, the CPU backend, the number of threads and the version
/// of this crate. `None` for simulated GPUs, and if the user has no cache folder.
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
