//! GPU throughput relative to hardware limits: the kernel to copies on the GPU, and evaluations from host to host to
//! the bus. All limits are measured in the same run. `benches/gpu/bandwidth` runs it.
//!
//! `cargo bench --bench gpu -- [--json FILE] [--rows N,N,...] [--chunks N]`
//!
//! `--rows` are the numbers of rows that are measured, and `--chunks` the number for a sweep over sizes of chunks; without
//! both, 1,000,000 to 1,000,000,000 and 10,000,000. FILE is rewritten after every measurement.

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
    let arguments = Arguments::parse(&arguments).unwrap_or_else(|what| {
        eprintln!("error: {what}");
        std::process::exit(2)
    });
    let gpus = gpus().unwrap_or_else(|error| fail(&error.to_string()));
    measure(&gpus, &arguments).unwrap_or_else(|error| fail(&error.to_string()));
}

fn fail(what: &str) -> ! {
    eprintln!("error: {what}");
    std::process::exit(1)
}

/// What is measured.
struct Arguments {
    json: Option<String>,
    /// The numbers of rows.
    rows: Vec<usize>,
    /// The number of rows of the sweep over sizes of chunks.
    chunks: Option<usize>,
}

impl Arguments {
    fn parse(given: &[String]) -> Result<Self, String> {
        let mut found = Self { json: None, rows: Vec::new(), chunks: None };
        for pair in given.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
            let count = |text: &str| match text.parse() {
                Ok(count) if count > 0 => Ok(count),
                _ => Err(format!("'{text}' is no number of rows, in {name}")),
            };
            match name.as_str() {
                "--json" => found.json = Some(value.clone()),
                "--rows" => found.rows = value.split(',').map(count).collect::<Result<_, _>>()?,
                "--chunks" => found.chunks = Some(count(value)?),
                _ => return Err(format!("there is no option {name}: use --json, --rows and --chunks")),
            }
        }
        if found.rows.is_empty() && found.chunks.is_none() {
            found.rows = (6..=9).map(|power| 10usize.pow(power)).collect();
            found.chunks = Some(10_000_000);
        }
        Ok(found)
    }

    /// Writes what has been measured so far.
    fn write(&self, found: &Value) -> Result<()> {
        let Some(file) = &self.json else { return Ok(()) };
        let text = serde_json::to_string_pretty(found)? + "\n";
        std::fs::write(file, text).map_err(|error| format!("cannot write '{file}': {error}").into())
    }
}

fn measure(gpus: &Arc<Gpus>, arguments: &Arguments) -> Result<()> {
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
        "GB/s: {:.1} to the GPU, {:.1} from it, {:.1} both at once, {:.1} into page-locked memory, {:.1} on the host, {:.0} on \
         the GPU; a call {:.0} µs",
        rates.h2d,
        rates.d2h,
        rates.two_way,
        rates.stage,
        rates.host_copy,
        rates.device_copy,
        rates.latency / 1e3
    );
    println!(
        "ns a row of a cheap and a costly op: GPU {:.5} {:.5}, a core {:.3} {:.3}; of f32: GPU {:.5} {:.5}, a core {:.3} {:.3}",
        rates.gpu_cheap,
        rates.gpu_costly,
        rates.cpu_cheap,
        rates.cpu_costly,
        rates.gpu_cheap_f32,
        rates.gpu_costly_f32,
        rates.cpu_cheap_f32,
        rates.cpu_costly_f32
    );
    let mut found = json!({
        "machine": machine,
        "version": env!("CARGO_PKG_VERSION"),
        "compiler": gpus.driver().compiler().unwrap_or_else(|error| error.to_string()),
        "rates": rates,
        "sizes": [],
        "chunk_sweep_rows": arguments.chunks,
        "chunks": [],
    });
    arguments.write(&found)?;
    if !arguments.rows.is_empty() {
        print_heads();
    }
    for &rows in &arguments.rows {
        if !fits(gpus, &machine, rows) {
            println!("{rows:>13} not measured: more than the memory");
            continue;
        }
        add(&mut found, "sizes", measure_rows(gpus, &rates, rows)?);
        arguments.write(&found)?;
    }
    if let Some(rows) = arguments.chunks {
        sweep_chunks(gpus, rows, |chunk| {
            add(&mut found, "chunks", chunk);
            arguments.write(&found)
        })?;
    }
    Ok(())
}

/// Appends to a list of the report.
fn add(found: &mut Value, list: &str, value: Value) {
    if let Some(list) = found[list].as_array_mut() {
        list.push(value);
    }
}

fn print_heads() {
    println!(
        "\n{:>13} {:>34} {:>30} {:>30} {:>10}",
        "", "resident", "pinned, host to host", "ordinary, host to host", "CPU"
    );
    println!(
        "{:>13} {:>10} {:>10} {:>12} {:>14} {:>15} {:>14} {:>15} {:>10}",
        "rows", "ms", "GB/s", "of a copy", "ms", "of the bus", "ms", "of the bus", "ms"
    );
}

/// Evaluations from host to host by the size of chunks. Each result goes to `report`.
fn sweep_chunks(gpus: &Arc<Gpus>, rows: usize, mut report: impl FnMut(Value) -> Result<()>) -> Result<()> {
    println!("\n{rows} rows, host to host, by warpframe.cuda.chunk_bytes:");
    let columns = columns(rows);
    let default = CudaSettings::default().chunk_bytes;
    let mut sizes: Vec<usize> = (19..=26).map(|power| 1 << power).chain([default]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for chunk_bytes in sizes {
        let settings = CudaSettings { chunk_bytes, ..CudaSettings::default() };
        let cuda = Cuda::new(Arc::clone(gpus), settings, Arc::new(Simd::native()?));
        let pinned = pin(&cuda, &columns)?;
        let (pinned, ordinary) = (host_to_host(&cuda, &pinned)?, host_to_host(&cuda, &columns)?);
        let is_default = if chunk_bytes == default { " (default)" } else { "" };
        println!(
            "{chunk_bytes:>13} pinned {:>8.3} ms, ordinary {:>8.3} ms{is_default}",
            ms(pinned),
            ms(ordinary)
        );
        report(json!({
            "chunk_bytes": chunk_bytes,
            "default": chunk_bytes == default,
            "pinned_ms": ms(pinned),
            "ordinary_ms": ms(ordinary),
        }))?;
        gpus.trim();
    }
    Ok(())
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
