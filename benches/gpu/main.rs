//! GPU throughput relative to hardware limits: the kernel to copies on the GPU, and evaluations from host to host to
//! the bus. All limits are measured in the same run. `benches/gpu/run` runs it with the other GPU benchmarks.
//!
//! `cargo bench --bench gpu -- [--json FILE] [--rows MAX]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::Float64Type;
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
use rayon::prelude::*;
use serde_json::{Value, json};
use warpframe::cpu::Simd;
use warpframe::cuda::metrics::FALLBACK_BATCHES;
use warpframe::cuda::{self, Calibration, Cuda, CudaSettings, Gpus, gpus};
use warpframe::functions::log3_function;
use warpframe::ir::{Backend, KernelContext, Program, ScalarType};
use warpframe::kernel::par_log3;
use warpframe::machine::Machine;

const REPEATS: usize = 7;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let max_rows = value("--rows").and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000_000);
    let gpus = match gpus() {
        Ok(gpus) => gpus,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    match measure(&gpus, max_rows) {
        Ok(found) => {
            if let Some(file) = value("--json") {
                let text = serde_json::to_string_pretty(&found).unwrap_or_default() + "\n";
                std::fs::write(file, text)
                    .unwrap_or_else(|error| fail(&format!("cannot write '{file}': {error}")));
            }
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(what: &str) -> ! {
    eprintln!("error: {what}");
    std::process::exit(1)
}

fn measure(gpus: &Arc<Gpus>, max_rows: usize) -> Result<Value> {
    let machine = Machine::detect()?.with_gpus(Some(gpus));
    let rates = cuda::measure(gpus, &(Arc::new(Simd::native()?) as _))?;
    println!(
        "{}, {} cores; {}, {}",
        machine.cpu,
        machine.cores,
        machine.gpus.join(", "),
        gpus.driver().version()
    );
    println!(
        "GB/s: {:.1} to the GPU, {:.1} from it, {:.1} into page-locked memory, {:.0} on the GPU; a call {:.0} µs",
        rates.h2d,
        rates.d2h,
        rates.stage,
        rates.device_copy,
        rates.latency / 1e3
    );
    println!(
        "ns a row of a cheap and a costly op: GPU {:.5} {:.5}, a core {:.3} {:.3}",
        rates.gpu_cheap, rates.gpu_costly, rates.cpu_cheap, rates.cpu_costly
    );
    println!(
        "\n{:>13} {:>34} {:>30} {:>30} {:>10}",
        "", "resident", "pinned, host to host", "ordinary, host to host", "CPU"
    );
    println!(
        "{:>13} {:>10} {:>10} {:>12} {:>14} {:>15} {:>14} {:>15} {:>10}",
        "rows", "ms", "GB/s", "of a copy", "ms", "of the bus", "ms", "of the bus", "ms"
    );
    let mut sizes = Vec::new();
    for power in 6..=9 {
        let rows = 10usize.pow(power);
        if rows > max_rows || !fits(gpus, &machine, rows) {
            println!("{rows:>13} not measured: more than --rows, or than the memory");
            continue;
        }
        sizes.push(measure_rows(gpus, &rates, rows)?);
    }
    println!("\n10,000,000 rows, host to host, by warpframe.cuda.chunk_bytes:");
    let columns = columns(10_000_000);
    let mut chunks = Vec::new();
    for power in 19..=26 {
        let settings = CudaSettings { chunk_bytes: 1 << power, ..CudaSettings::default() };
        let cuda = Cuda::new(Arc::clone(gpus), settings, Arc::new(Simd::native()?));
        let pinned = pin(&cuda, &columns)?;
        let (pinned, ordinary) = (host_to_host(&cuda, &pinned)?, host_to_host(&cuda, &columns)?);
        println!("{:>13} pinned {:>8.3} ms, ordinary {:>8.3} ms", 1 << power, ms(pinned), ms(ordinary));
        chunks.push(json!({"chunk_bytes": 1 << power, "pinned_ms": ms(pinned), "ordinary_ms": ms(ordinary)}));
        gpus.trim();
    }
    Ok(json!({
        "machine": machine,
        "version": env!("CARGO_PKG_VERSION"),
        "compiler": gpus.driver().compiler().unwrap_or_else(|error| error.to_string()),
        "rates": rates,
        "sizes": sizes,
        "chunks": chunks,
    }))
}

/// Whether the columns of a number of rows fit in GPU memory, and with all copies in host memory.
fn fits(gpus: &Gpus, machine: &Machine, rows: usize) -> bool {
    let on_gpu = gpus.driver().devices().iter().map(|device| device.memory_bytes).min().unwrap_or(0);
    let (resident, host) = (rows as u64 * 32, rows as u64 * 72);
    resident < on_gpu / 10 * 9 && host < machine.memory_bytes / 10 * 8
}

/// Measures all variants for a number of rows.
fn measure_rows(gpus: &Arc<Gpus>, rates: &Calibration, rows: usize) -> Result<Value> {
    let cuda = Cuda::new(Arc::clone(gpus), CudaSettings::default(), Arc::new(Simd::native()?));
    let plain = columns(rows);
    let (resident, sum) = resident(&cuda, &plain)?;
    let cpu = on_cpu(&plain, sum);
    let ordinary = host_to_host(&cuda, &plain)?;
    let pinned = pin(&cuda, &plain)?;
    drop(plain);
    let from_pinned = host_to_host(&cuda, &pinned)?;
    drop(pinned);
    gpus.trim();
    // The time of the copies in nanoseconds: three columns to the GPU and one from it, at bytes per nanosecond.
    let bus = (rows as f64 * 24.0 / rates.h2d).max(rows as f64 * 8.0 / rates.d2h);
    let bandwidth = rows as f64 * 32.0 / resident.as_nanos() as f64;
    let of_bus = |time: Duration| time.as_nanos() as f64 / bus;
    println!(
        "{rows:>13} {:>10.3} {:>10.0} {:>11.0}% {:>14.3} {:>14.2}x {:>14.3} {:>14.2}x {:>10.3}",
        ms(resident),
        bandwidth,
        100.0 * bandwidth / rates.device_copy,
        ms(from_pinned),
        of_bus(from_pinned),
        ms(ordinary),
        of_bus(ordinary),
        ms(cpu)
    );
    Ok(json!({
        "rows": rows,
        "resident_ms": ms(resident),
        "resident_gb_per_s": bandwidth,
        "resident_of_device_copy": bandwidth / rates.device_copy,
        "pinned_ms": ms(from_pinned),
        "pinned_of_bus": of_bus(from_pinned),
        "ordinary_ms": ms(ordinary),
        "ordinary_of_bus": of_bus(ordinary),
        "cpu_ms": ms(cpu),
        "sum": sum,
    }))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// x = y = z = 1, 2, 3, ...
fn columns(rows: usize) -> Vec<ArrayRef> {
    let column = || {
        let numbers: Vec<f64> = (0..rows).into_par_iter().map(|row| row as f64 + 1.0).collect();
        Arc::new(Float64Array::from(numbers)) as ArrayRef
    };
    (0..3).map(|_| column()).collect()
}

fn pin(cuda: &Cuda, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    columns.iter().map(|column| Ok(cuda.pin(column)?)).collect()
}

/// The median time of several runs after a warm-up.
fn median(mut run_once: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    run_once()?;
    let mut times = (0..REPEATS).map(|_| run_once()).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[REPEATS / 2])
}

fn program() -> Result<Arc<Program>> {
    Ok(log3_function().program(ScalarType::F64)?)
}

/// The kernel's time, measured by GPU events, and the sum of its results.
fn resident(cuda: &Cuda, columns: &[ArrayRef]) -> Result<(Duration, f64)> {
    let program = program()?;
    let mut resident = cuda.upload(&program, columns)?;
    let time = median(|| Ok(resident.evaluate()?))?;
    Ok((time, resident.sum()?.0))
}

/// The time of an evaluation from host memory to host memory.
fn host_to_host(cuda: &Cuda, columns: &[ArrayRef]) -> Result<Duration> {
    let rows = columns[0].len();
    let (kernel, context) = (cuda.compile(&program()?)?, KernelContext::default());
    median(|| {
        let start = Instant::now();
        let result = kernel.evaluate(columns, rows, &context)?;
        let time = start.elapsed();
        assert_eq!(result.rows, rows);
        assert_eq!(context.metrics.snapshot().count(FALLBACK_BATCHES), 0, "the CPU has evaluated it instead");
        Ok(time)
    })
}

/// The time on all CPU threads, with output memory that has been touched before. Panics if the sum differs from the
/// GPU's.
fn on_cpu(columns: &[ArrayRef], sum: f64) -> Duration {
    let [x, y, z] =
        [0, 1, 2].map(|column: usize| columns[column].as_primitive::<Float64Type>().values().as_ref());
    let mut output = vec![1.0; x.len()];
    let time = median(|| {
        let start = Instant::now();
        par_log3(x, y, z, &mut output).unwrap_or_else(|error| fail(&error.to_string()));
        Ok(start.elapsed())
    });
    let expected: f64 = output.par_chunks(4096).map(|chunk| chunk.iter().sum::<f64>()).sum();
    assert!((sum - expected).abs() <= 1e-12 * expected, "the GPU's sum {sum} is not the CPU's {expected}");
    time.unwrap_or_default()
}
