//! How fast a machine is where it decides between CPU and GPU: measured once, and kept on disk.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;
use datafusion::functions::expr_fn::{cbrt, exp, ln};
use datafusion::prelude::{col, lit};
use serde::{Deserialize, Serialize};

use super::cached;
use super::call::copy;
use super::gpu::LaneBytes;
use super::{Cuda, CudaSettings, Gpus};
use crate::backend::{Backend, Simd};
use crate::program::{Precision, Program, compile, log3};

/// Bytes of a copy whose speed is measured.
const COPY: usize = 32 << 20;

/// Bytes of a copy on the GPU: more than its cache holds.
const DEVICE_COPY: usize = 256 << 20;

/// Rows of a program whose speed is measured, on a GPU and on a CPU.
const GPU_ROWS: usize = 1 << 20;
const CPU_ROWS: usize = 1 << 15;

/// How often each thing is done; the fastest counts.
const REPEATS: usize = 5;

/// What a machine takes for the parts of an evaluation. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Bytes per nanosecond (so also GB/s) to the GPU, from page-locked memory.
    pub h2d: f64,
    /// The same from the GPU.
    pub d2h: f64,
    /// The same into page-locked memory, on all threads.
    pub stage: f64,
    /// The same from one place on the GPU to another, read and written bytes together.
    pub device_copy: f64,
    /// The time of a call with next to no rows.
    pub latency: f64,
    /// A cheap op of a row on the GPU.
    pub gpu_cheap: f64,
    /// A costly op of a row on the GPU.
    pub gpu_costly: f64,
    /// A cheap op of a row on one of the CPU's cores.
    pub cpu_cheap: f64,
    /// A costly op of a row on one of the CPU's cores, by vector code.
    pub cpu_costly: f64,
    /// The same without vector code.
    pub cpu_scalar: f64,
}

impl Rates {
    /// Those of this machine with the first of these GPUs: as they were found once, or measured now, which takes
    /// about a second.
    pub(super) fn known_or_measured(gpus: &Arc<Gpus>) -> Result<Self> {
        let file = file(gpus);
        let known = file.as_ref().and_then(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok());
        if let Some(known) = known {
            return Ok(known);
        }
        let rates = Self::measure(gpus)?;
        if let (Some(file), Ok(text)) = (file, serde_json::to_vec(&rates)) {
            // Without it the next process measures again.
            let _ = cached::write(&file, &[&text]);
        }
        Ok(rates)
    }

    /// Measures them.
    ///
    /// # Errors
    /// The GPU does not answer, or its memory is full.
    pub fn measure(gpus: &Arc<Gpus>) -> Result<Self> {
        let cuda = Cuda::new(Arc::clone(gpus), CudaSettings::default(), None)?;
        let (stage, h2d, d2h) = copies(gpus)?;
        let one_row: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let latency = fastest(|| {
            let start = Instant::now();
            cuda.evaluate(&PROGRAMS[0], std::slice::from_ref(&one_row), 1)?;
            Ok(start.elapsed())
        })?;
        let on_gpu = |program: &Program, ops: f64| -> Result<f64> {
            let mut resident = cuda.upload(program, &[numbers(GPU_ROWS)])?;
            Ok(fastest(|| resident.evaluate())? / GPU_ROWS as f64 / ops)
        };
        let simd = Simd::active()?;
        let on_cpu = |program: &Program, ops: f64| -> Result<f64> {
            let column = numbers(CPU_ROWS);
            let time = fastest(|| {
                let start = Instant::now();
                black_box(simd.evaluate(program, std::slice::from_ref(&column), CPU_ROWS)?);
                Ok(start.elapsed())
            })?;
            Ok(time / CPU_ROWS as f64 / ops)
        };
        let [cheap, costly, scalar] = &*PROGRAMS;
        Ok(Self {
            h2d,
            d2h,
            stage,
            device_copy: device_copy(gpus)?,
            latency,
            gpu_cheap: on_gpu(cheap, CHEAP_OPS)?,
            gpu_costly: on_gpu(costly, COSTLY_OPS)?,
            cpu_cheap: on_cpu(cheap, CHEAP_OPS)?,
            cpu_costly: on_cpu(costly, COSTLY_OPS)?,
            cpu_scalar: on_cpu(scalar, COSTLY_OPS)?,
        })
    }
}

const CHEAP_OPS: f64 = 32.0;
const COSTLY_OPS: f64 = 8.0;

/// Programs of cheap ops, of costly ones, and of those without vector code, so long that memory does not matter.
static PROGRAMS: LazyLock<[Program; 3]> = LazyLock::new(|| {
    let schema = Schema::new(vec![Field::new("x", DataType::Float64, false)]);
    let (mut cheap, mut costly, mut scalar) = (col("x"), col("x"), col("x"));
    for step in 0..CHEAP_OPS as usize / 2 {
        cheap = cheap * lit(0.5 + step as f64) + col("x");
    }
    for _ in 0..COSTLY_OPS as usize / 2 {
        costly = ln(exp(costly));
        scalar = cbrt(cbrt(scalar));
    }
    [cheap, costly, scalar].map(|expr| match compile(&expr, &schema) {
        Ok(compiled) => compiled.program,
        // Programs have all of these ops.
        Err(_) => log3(Precision::Double).as_ref().clone(),
    })
});

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
    let mut lane = gpu.lane(LaneBytes { device: COPY, staging: COPY }, usize::MAX)?;
    let plain = vec![1u8; COPY];
    let stage = fastest(|| {
        let start = Instant::now();
        // SAFETY: nothing is in the lane's stream.
        copy(unsafe { lane.staging.part_mut(0, COPY) }, &plain);
        Ok(start.elapsed())
    })?;
    let (device, stream, memory) = (&gpu.device, lane.stream, lane.memory.at(0));
    let address = lane.staging.address().as_ptr();
    // SAFETY: both ranges are the lane's and that long, and the copy is waited for.
    let h2d = fastest(|| Ok(lane.timed(|| unsafe { device.copy_in(stream, memory, address, COPY) })?))?;
    // SAFETY: as above.
    let d2h = fastest(|| Ok(lane.timed(|| unsafe { device.copy_out(stream, address, memory, COPY) })?))?;
    let rate = |time: f64| COPY as f64 / time;
    Ok((rate(stage), rate(h2d), rate(d2h)))
}

/// Bytes per nanosecond, read and written, of a copy on the GPU.
fn device_copy(gpus: &Gpus) -> Result<f64> {
    let gpu = gpus.next()?;
    let lane = gpu.lane(LaneBytes { device: 0, staging: 0 }, usize::MAX)?;
    let memory = gpu.memory(2 * DEVICE_COPY, usize::MAX)?;
    let (to, from) = (memory.at(DEVICE_COPY), memory.at(0));
    // SAFETY: both halves of the memory are that long, and the copy is waited for.
    let copy = || unsafe { gpu.device.copy_within(lane.stream, to, from, DEVICE_COPY) };
    let time = fastest(|| Ok(lane.timed(copy)?))?;
    drop(lane);
    Ok(2.0 * DEVICE_COPY as f64 / time)
}

/// Where rates are kept: a file for each pair of CPU path and GPU. None for GPUs that are not real.
fn file(gpus: &Gpus) -> Option<PathBuf> {
    let driver = gpus.driver();
    let device = driver.devices().first()?;
    if !driver.is_real() {
        return None;
    }
    let simd = Simd::active().ok()?.description();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("{} {} {simd} {threads} {version}.json", device.name, driver.version());
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    Some(cached::folder("rates")?.join(name))
}
