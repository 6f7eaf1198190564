//! Measures the parameters of the cost model on this machine, once, and stores them on disk.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float32Array, Float64Array};
use arrow_schema::DataType;
use warpframe_ir::backend::{Backend, KernelContext};
use warpframe_ir::error::Result;

use super::calibration::{Calibration, FORMAT};
use super::calibration_programs::{CalibrationProgram, CalibrationPrograms};
use super::cuda_backend::{Cuda, CudaSettings};
use super::disk_cache;
use super::gpu::{Gpus, SlotBytes, StreamSlot};
use super::staging::parallel_copy;

/// The bytes of the measured copies between host and device.
const COPY_BYTES: usize = 32 << 20;

/// The bytes of the measured copy within device memory: more than the caches of a GPU.
const DEVICE_COPY_BYTES: usize = 256 << 20;

/// The bytes of the measured copy within host memory: two buffers of this size are more than the caches of most CPUs.
const HOST_COPY_BYTES: usize = 128 << 20;

/// The rows of measured programs on a GPU.
const GPU_ROWS: usize = 1 << 20;

/// The rows of measured programs on a CPU core.
const CPU_ROWS: usize = 1 << 15;

/// The number of repetitions of a measurement; the minimum counts.
const REPEATS: usize = 5;

/// The calibration of this machine with the first of these GPUs and a backend for the CPU. It is measured, which takes
/// about a second, unless this process or an earlier one has done so. Concurrent calls measure once.
///
/// # Errors
/// The GPU cannot be opened or fails, or memory is exhausted. The error is remembered: later calls return it at once.
pub fn calibrate(gpus: &Arc<Gpus>, cpu: &Arc<dyn Backend>) -> Result<Calibration> {
    gpus.calibration().get_or_init(|| stored_or_measured(gpus, cpu)).clone()
}

fn stored_or_measured(gpus: &Arc<Gpus>, cpu: &Arc<dyn Backend>) -> Result<Calibration> {
    let file = file(gpus, cpu.as_ref());
    let stored = file.as_ref().and_then(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok());
    if let Some(stored) = stored {
        return Ok(stored);
    }
    let measured = measure(gpus, cpu)?;
    if let (Some(file), Ok(text)) = (file, serde_json::to_vec(&measured)) {
        // An error is ignored: the next process then measures again.
        let _ = disk_cache::write(&file, &[&text]);
    }
    Ok(measured)
}

/// Measures this machine with the first of these GPUs and a backend for the CPU, regardless of stored calibrations. The
/// memory of the measurement is freed.
///
/// # Errors
/// The GPU cannot be opened or fails, or memory is exhausted.
pub fn measure(gpus: &Arc<Gpus>, cpu: &Arc<dyn Backend>) -> Result<Calibration> {
    let measured = measured(gpus, cpu);
    gpus.trim();
    measured
}

fn measured(gpus: &Arc<Gpus>, cpu: &Arc<dyn Backend>) -> Result<Calibration> {
    let cuda = Cuda::new(Arc::clone(gpus), CudaSettings::default(), Arc::clone(cpu));
    let programs = CalibrationPrograms::get()?;
    // Kernels are loaded first: where that fails, nothing large is allocated.
    let on_gpu = |one: &CalibrationProgram| -> Result<f64> {
        let mut resident = cuda.upload(&one.program, &[uniform_column(&one.input, GPU_ROWS)])?;
        Ok(min_nanoseconds(|| resident.evaluate())? / GPU_ROWS as f64 / one.ops)
    };
    let timed = |backend: &dyn Backend, one: &CalibrationProgram, rows: usize| -> Result<f64> {
        let kernel = backend.compile(&one.program)?;
        let (column, context) = (uniform_column(&one.input, rows), KernelContext::default());
        min_nanoseconds(|| {
            let start = Instant::now();
            black_box(kernel.evaluate(std::slice::from_ref(&column), rows, &context)?);
            Ok(start.elapsed())
        })
    };
    let on_cpu = |one: &CalibrationProgram| -> Result<f64> {
        Ok(timed(cpu.as_ref(), one, CPU_ROWS)? / CPU_ROWS as f64 / one.ops)
    };
    let [gpu_cheap, gpu_costly] = [on_gpu(&programs.cheap)?, on_gpu(&programs.costly)?];
    let [gpu_cheap_f32, gpu_costly_f32] = [on_gpu(&programs.cheap_f32)?, on_gpu(&programs.costly_f32)?];
    let BusCopies { stage, h2d, d2h, two_way } = bus_copies(gpus)?;
    Ok(Calibration {
        h2d,
        d2h,
        two_way,
        stage,
        device_copy: device_copy(gpus)?,
        host_copy: host_copy()?,
        latency: timed(&cuda, &programs.cheap, 1)?,
        gpu_cheap,
        gpu_costly,
        gpu_cheap_f32,
        gpu_costly_f32,
        cpu_cheap: on_cpu(&programs.cheap)?,
        cpu_costly: on_cpu(&programs.costly)?,
        cpu_cheap_f32: on_cpu(&programs.cheap_f32)?,
        cpu_costly_f32: on_cpu(&programs.costly_f32)?,
    })
}

/// A column of `f64`, or of `f32`, of uniformly spaced numbers in [0, 1).
fn uniform_column(data_type: &DataType, rows: usize) -> ArrayRef {
    let numbers = (0..rows).map(|row| row as f64 / rows as f64);
    match data_type {
        DataType::Float32 => Arc::new(Float32Array::from_iter_values(numbers.map(|number| number as f32))),
        _ => Arc::new(Float64Array::from_iter_values(numbers)),
    }
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

/// The bandwidths of copies into page-locked memory, to the GPU, from the GPU, and of both directions at once, in bytes per
/// nanosecond.
struct BusCopies {
    stage: f64,
    h2d: f64,
    d2h: f64,
    two_way: f64,
}

fn bus_copies(gpus: &Gpus) -> Result<BusCopies> {
    let gpu = gpus.next()?;
    let bytes = SlotBytes { device: COPY_BYTES, staging: COPY_BYTES };
    let (mut slot, other) = (gpu.stream_slot(bytes, usize::MAX)?, gpu.stream_slot(bytes, usize::MAX)?);
    let pageable = vec![1u8; COPY_BYTES];
    let stage = min_nanoseconds(|| {
        let start = Instant::now();
        // SAFETY: no operation is pending in the slot's stream.
        parallel_copy(unsafe { slot.staging.range_mut(0, COPY_BYTES) }, &pageable);
        Ok(start.elapsed())
    })?;
    let device = &gpu.device;
    let ends = |slot: &StreamSlot| (slot.stream, slot.memory.at(0), slot.staging.address().as_ptr());
    let ((stream, memory, address), (second, second_memory, second_address)) = (ends(&slot), ends(&other));
    // SAFETY: both ranges are memory of the slot and have this length, and the callers wait for the copy.
    let to_device = || unsafe { device.memcpy_htod_async(stream, memory, address, COPY_BYTES) };
    // SAFETY: as above.
    let to_host = || unsafe { device.memcpy_dtoh_async(second, second_address, second_memory, COPY_BYTES) };
    let h2d = min_nanoseconds(|| Ok(slot.timed(to_device)?))?;
    let d2h = min_nanoseconds(|| Ok(other.timed(to_host)?))?;
    let both = min_nanoseconds(|| {
        let start = Instant::now();
        to_device()?;
        to_host()?;
        // SAFETY: the streams were created by this device.
        unsafe {
            device.synchronize(stream)?;
            device.synchronize(second)?;
        }
        Ok(start.elapsed())
    })?;
    let bandwidth = |time: f64| COPY_BYTES as f64 / time;
    Ok(BusCopies {
        stage: bandwidth(stage),
        h2d: bandwidth(h2d),
        d2h: bandwidth(d2h),
        two_way: 2.0 * bandwidth(both),
    })
}

/// The bandwidth of host memory in bytes per nanosecond: bytes read plus bytes written by a copy on all threads.
fn host_copy() -> Result<f64> {
    let (from, mut to) = (vec![1u8; HOST_COPY_BYTES], vec![MaybeUninit::new(2u8); HOST_COPY_BYTES]);
    let time = min_nanoseconds(|| {
        let start = Instant::now();
        parallel_copy(&mut to, black_box(&from));
        black_box(&to);
        Ok(start.elapsed())
    })?;
    Ok(2.0 * HOST_COPY_BYTES as f64 / time)
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

/// The file of a calibration, whose name has the GPU, the driver, the CPU backend, the number of threads, the version
/// of this crate and that of the format. `None` for simulated GPUs, and if the user has no cache folder.
fn file(gpus: &Gpus, cpu: &dyn Backend) -> Option<PathBuf> {
    let driver = gpus.driver();
    let device = driver.devices().first()?;
    if !driver.is_real() {
        return None;
    }
    let cpu = cpu.description();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("{} {} {cpu} {threads} {version} format {FORMAT}.json", device.name, driver.version());
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    Some(disk_cache::folder("calibration")?.join(name))
}
