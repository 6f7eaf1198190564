//! The CUDA backend on simulated GPUs, whose kernels run on the CPU (see `common::gpu`), and on this machine's GPUs, if
//! it has any. Failures are tested on simulated GPUs only.

#[path = "cuda/auto.rs"]
mod auto;
mod common;
#[path = "cuda/libraries.rs"]
mod libraries;

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema};
use common::gpu::{Controls, FakeDriver, Operation, SLOW_BUS, has_compiler};
use common::kernels::{evaluate, log3};
use common::trees::{for_random_expressions, schema};
use common::{finish, skipped};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::functions::expr_fn::{exp, ln, sqrt};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion::prelude::{col, lit};
use futures::StreamExt;
use libraries::{simulated_driver, with_driver};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use warpframe::Session;
use warpframe::auto_backend::Auto;
use warpframe::compare::{Comparison, Mode, ResultSink, Source, Status};
use warpframe::cost_model::CostModel;
use warpframe::cpu::Simd;
use warpframe::cuda::metrics::{BATCHES, COMPILE_TIME, D2H_BYTES, FALLBACK_BATCHES};
use warpframe::cuda::{Calibration, Compiler, Cuda, CudaSettings, Gpus, KernelSource, measure};
use warpframe::ir::{
    Accumulator, Backend, Error, ErrorInterval, Evaluated, Interpreter, Kernel, KernelContext, KernelUse,
    MemoryBudget, Program, Reductions, Scalar, ScalarType,
};
use warpframe::lowering::compile;
use warpframe::memory::PoolBudget;
use warpframe::rows::{Distribution, RowGenerator};

/// Simulated GPUs; `None` without a C++ compiler.
fn simulated_gpus(devices: usize) -> Option<(Arc<Gpus>, Arc<Controls>)> {
    if !has_compiler() {
        skipped("there is no C++ compiler to compile kernels for the CPU");
        return None;
    }
    Some(FakeDriver::gpus(devices))
}

/// A simulated GPU, and this machine's GPUs, as far as there are any.
fn all_gpus() -> Vec<Arc<Gpus>> {
    static ONCE: Once = Once::new();
    let real = warpframe::cuda::gpus();
    if let Err(error) = &real {
        ONCE.call_once(|| skipped(&format!("nothing is tested on a real GPU: {error}")));
    }
    simulated_gpus(1).map(|(gpus, _)| gpus).into_iter().chain(real).collect()
}

/// The backend with a context whose metrics count its evaluations.
struct Metered {
    cuda: Cuda,
    context: KernelContext,
}

impl Metered {
    fn evaluate(&self, program: &Arc<Program>, inputs: &[ArrayRef], rows: usize) -> Result<ArrayRef, Error> {
        self.cuda.compile(program)?.evaluate(inputs, rows, &self.context)?.into_column()
    }

    fn count(&self, name: &str) -> u64 {
        self.context.metrics.snapshot().count(name)
    }

    fn with_memory(self, memory: impl MemoryBudget + 'static) -> Self {
        let context = KernelContext { memory: Arc::new(memory), ..self.context };
        Self { context, ..self }
    }
}

impl Deref for Metered {
    type Target = Cuda;

    fn deref(&self) -> &Cuda {
        &self.cuda
    }
}

fn simd() -> Simd {
    Simd::active().unwrap()
}

fn cuda(gpus: &Arc<Gpus>, settings: CudaSettings) -> Metered {
    let cuda = Cuda::new(Arc::clone(gpus), settings, Arc::new(simd()));
    Metered { cuda, context: KernelContext::default() }
}

/// Settings with chunks of a number of rows of `log3` in `f64`, so that few rows are several chunks.
fn chunked(chunk_rows: usize) -> CudaSettings {
    CudaSettings { chunk_bytes: 24 * chunk_rows, ..CudaSettings::default() }
}

/// Drops the GPUs, and panics if anything was leaked or there was another violation.
fn assert_nothing_leaked(gpus: Arc<Gpus>, controls: &Controls) {
    drop(gpus);
    controls.assert_no_violations();
}

/// Input columns for `log3` with a different value in each row.
fn columns(rows: usize) -> Vec<ArrayRef> {
    let column =
        |factor: f64| Float64Array::from_iter_values((0..rows).map(|row| factor * (row as f64 + 0.5)));
    vec![Arc::new(column(1.0)), Arc::new(column(0.25)), Arc::new(column(1e3))]
}

/// Panics if a result differs from the expected one by a relative error of more than 8 epsilon. Each of two backends
/// may be off by 4 ULP, the bound of `log3`.
fn assert_near(result: &ArrayRef, expected: &ArrayRef) {
    assert_eq!(result.data_type(), expected.data_type());
    assert_eq!(result.nulls(), expected.nulls());
    let (one, other) = (result.to_data(), expected.to_data());
    assert_eq!(one.len(), other.len());
    for row in (0..one.len()).filter(|row| result.is_valid(*row)) {
        let (one, other, unit) = match result.data_type() {
            DataType::Float32 => {
                let at = |array: &ArrayRef| f64::from(array.as_primitive::<Float32Type>().value(row));
                (at(result), at(expected), f64::from(f32::EPSILON))
            }
            _ => {
                let at = |array: &ArrayRef| array.as_primitive::<Float64Type>().value(row);
                (at(result), at(expected), f64::EPSILON)
            }
        };
        let near =
            one == other || one.is_nan() && other.is_nan() || (one - other).abs() <= 8.0 * unit * one.abs();
        assert!(near, "row {row}: {one} is not {other}");
    }
}

/// A program with input rows.
struct Case {
    text: String,
    program: Arc<Program>,
    arguments: Vec<ArrayRef>,
    rows: usize,
}

fn cases(count: u32, scalar_type: ScalarType) -> Vec<Case> {
    let cases = RefCell::new(Vec::new());
    for_random_expressions(count, scalar_type, |expr, batch| {
        // Every fourth program is Boolean.
        let expr = if cases.borrow().len() % 4 == 3 { expr.gt(lit(0.5)) } else { expr };
        let Ok(compiled) = compile(&expr, &schema(scalar_type)) else { return };
        let column = |name: &String| batch.column_by_name(name).unwrap().clone();
        let arguments = compiled.columns.iter().map(column).collect();
        let (text, rows) = (expr.to_string(), batch.num_rows());
        cases.borrow_mut().push(Case { text, program: compiled.program, arguments, rows });
    });
    cases.into_inner()
}

#[test]
fn random_programs_match_the_other_backends() {
    let mut cases = cases(120, ScalarType::F64);
    cases.extend(self::cases(80, ScalarType::F32));
    if let Some((gpus, controls)) = simulated_gpus(1) {
        // Compiled together, which is faster.
        controls.compile_all(&cases.iter().map(|case| KernelSource::of(&case.program)).collect::<Vec<_>>());
        check_programs(&gpus, &cases);
        assert_nothing_leaked(gpus, &controls);
    }
    if let Ok(gpus) = warpframe::cuda::gpus() {
        check_programs(&gpus, &cases);
    }
}

fn check_programs(gpus: &Arc<Gpus>, cases: &[Case]) {
    let (mut checked, mut booleans) = (0, 0);
    for case in cases {
        let expected = Interpreter::evaluate(&case.program, &case.arguments, case.rows);
        let expected = expected.and_then(Evaluated::into_column);
        // In one chunk, and in several with a partial last one.
        for chunk_bytes in [8 << 20, 1] {
            let cuda = cuda(gpus, CudaSettings { chunk_bytes, ..CudaSettings::default() });
            let result = cuda.evaluate(&case.program, &case.arguments, case.rows);
            assert_eq!(result.is_err(), expected.is_err(), "{}: {result:?}", case.text);
            let (Ok(result), Ok(expected)) = (result, &expected) else { continue };
            assert_eq!(cuda.count(BATCHES), 1, "{}", case.text);
            assert_eq!(result.data_type(), expected.data_type());
            if let Some(result) = result.as_boolean_opt() {
                for row in 0..case.rows {
                    let truth = result.is_valid(row).then(|| result.value(row));
                    match ErrorInterval::of(&case.program, &case.arguments, row) {
                        Some(ErrorInterval::Bool(known)) => {
                            assert_eq!(truth, Some(known), "{}: row {row}", case.text)
                        }
                        Some(ErrorInterval::Null) => assert_eq!(truth, None, "{}: row {row}", case.text),
                        _ => continue,
                    }
                    booleans += 1;
                }
                continue;
            }
            let simd = evaluate(&simd(), &case.program, &case.arguments, case.rows).unwrap();
            for row in 0..case.rows {
                let Some(range) = ErrorInterval::of(&case.program, &case.arguments, row) else { continue };
                // Both backends are within the error bounds of the ops.
                for (backend, array) in [("cuda", &result), ("simd", &simd)] {
                    let value = Scalar::read(array, row).unwrap();
                    assert!(
                        range.contains(value),
                        "{}: {backend} row {row}: {value:?}, not in {range:?}",
                        case.text
                    );
                }
                if !matches!(range, ErrorInterval::Unknown) {
                    assert_eq!(result.is_valid(row), simd.is_valid(row), "{}: row {row}", case.text);
                }
                checked += 1;
            }
        }
    }
    println!("{} programs, {checked} numbers, {booleans} Booleans", cases.len());
    assert!(checked > 1000 && booleans > 1000);
}

#[test]
fn log3_matches_simd_at_all_lengths_and_offsets() {
    for gpus in all_gpus() {
        check_lengths(&cuda(&gpus, chunked(128)));
    }
}

fn check_lengths(cuda: &Metered) {
    for scalar_type in [ScalarType::F64, ScalarType::F32] {
        let all = columns(1000);
        let all: Vec<ArrayRef> = match scalar_type {
            ScalarType::F64 => all,
            _ => all
                .iter()
                .map(|column| {
                    let numbers = column.as_primitive::<Float64Type>().values();
                    Arc::new(Float32Array::from_iter_values(numbers.iter().map(|x| *x as f32))) as ArrayRef
                })
                .collect(),
        };
        for rows in [0, 1, 2, 3, 7, 63, 64, 65, 127, 128, 129, 255, 384, 600] {
            for offset in [0, 1, 5] {
                let arguments: Vec<_> = all.iter().map(|column| column.slice(offset, rows)).collect();
                let result = cuda.evaluate(&log3(scalar_type), &arguments, rows).unwrap();
                let expected = evaluate(&simd(), &log3(scalar_type), &arguments, rows).unwrap();
                assert_near(&result, &expected);
            }
        }
    }
}

#[test]
fn result_nulls_are_the_union_of_input_nulls() {
    for gpus in all_gpus() {
        check_nulls(&cuda(&gpus, chunked(64)));
    }
}

fn check_nulls(cuda: &Metered) {
    let holes = |every: usize| -> ArrayRef {
        Arc::new((0..500).map(|row| (row % every != 0).then_some(row as f64 + 1.0)).collect::<Float64Array>())
    };
    for offset in [0, 3] {
        let arguments = [holes(3), holes(7), columns(500)[0].clone()].map(|column| column.slice(offset, 490));
        let result = cuda.evaluate(&log3(ScalarType::F64), &arguments, 490).unwrap();
        let expected = evaluate(&simd(), &log3(ScalarType::F64), &arguments, 490).unwrap();
        assert_near(&result, &expected);
        assert!(result.null_count() > 100);
    }
    assert_eq!(cuda.count(FALLBACK_BATCHES), 0);
}

#[test]
fn undeclared_nulls_fall_back_to_the_cpu() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let cuda = cuda(&gpus, CudaSettings::default());
    let schema = Schema::new(vec![Field::new("x", DataType::Float64, false)]);
    // The value under a null must not be evaluated: here its square root is an error.
    let program = compile(&(sqrt(col("x")) + lit(1.0)), &schema).unwrap().program;
    let numbers = Float64Array::new(vec![1.0, -1.0].into(), Some(vec![true, false].into()));
    let undeclared: ArrayRef = Arc::new(numbers);
    let expected = Interpreter::evaluate(&program, std::slice::from_ref(&undeclared), 2).unwrap();
    let expected = expected.into_column().unwrap();
    assert_eq!(&cuda.evaluate(&program, &[undeclared], 2).unwrap(), &expected);
    assert_eq!(cuda.count(FALLBACK_BATCHES), 1);
    drop(cuda);
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn results_and_pinned_columns_outlive_the_backend() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let cuda = cuda(&gpus, chunked(64));
    let plain = columns(1000);
    let pinned: Vec<_> = plain.iter().map(|column| cuda.pin(&column.slice(10, 900)).unwrap()).collect();
    let result = cuda.evaluate(&log3(ScalarType::F64), &pinned, 900).unwrap();
    let starts: Vec<_> =
        pinned.iter().map(|column| column.as_primitive::<Float64Type>().values().as_ptr() as usize).collect();
    for start in starts {
        assert!(controls.htod_sources().contains(&start), "pinned columns are copied without staging");
    }
    let before = controls.htod_sources().len();
    let half: Vec<_> = pinned.iter().map(|column| column.slice(450, 64)).collect();
    let of_half = cuda.evaluate(&log3(ScalarType::F64), &half, 64).unwrap();
    assert_eq!(controls.htod_sources().len(), before + 3);
    assert_eq!(&of_half, &result.slice(450, 64));
    let again = cuda.evaluate(&log3(ScalarType::F64), &[result.clone(), result.clone(), result.clone()], 900);
    let held = gpus.allocated_bytes();
    drop((cuda, gpus, pinned));
    let expected: Vec<_> = plain.iter().map(|column| column.slice(10, 900)).collect();
    let expected = evaluate(&simd(), &log3(ScalarType::F64), &expected, 900).unwrap();
    assert_near(&result, &expected);
    assert!(held > 0);
    drop((result, of_half, again));
    controls.assert_no_violations();
}

#[test]
fn columns_pinned_by_one_gpu_are_read_by_all() {
    let Some((gpus, controls)) = simulated_gpus(2) else { return };
    let cuda = cuda(&gpus, CudaSettings::default());
    let plain = columns(1000);
    let pinned: Vec<_> = plain.iter().map(|column| cuda.pin(column).unwrap()).collect();
    let start = pinned[0].as_primitive::<Float64Type>().values().as_ptr() as usize;
    let results = [(); 2].map(|()| cuda.evaluate(&log3(ScalarType::F64), &pinned, 1000).unwrap());
    assert_eq!(&results[0], &results[1]);
    let mut launches = controls.launches();
    launches.sort_unstable();
    assert_eq!(launches, [0, 1]);
    assert_eq!(controls.htod_sources().iter().filter(|source| **source == start).count(), 2);
    drop((cuda, pinned, results));
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn memory_is_reused_and_released() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let cuda = cuda(&gpus, chunked(4096));
    let arguments = columns(50_000);
    drop(cuda.evaluate(&log3(ScalarType::F64), &arguments, 50_000).unwrap());
    let held = gpus.allocated_bytes();
    for _ in 0..10 {
        drop(cuda.evaluate(&log3(ScalarType::F64), &arguments, 50_000).unwrap());
    }
    assert_eq!(gpus.allocated_bytes(), held, "buffers are reused by the next evaluation");
    gpus.trim();
    assert_eq!(gpus.allocated_bytes(), 0);
    drop(cuda);
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn low_memory_shrinks_chunks_then_falls_back_to_the_cpu() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let arguments = columns(100_000);
    let expected = evaluate(&simd(), &log3(ScalarType::F64), &arguments, 100_000).unwrap();
    for (memory, pinned, limit, fallbacks) in [
        // A chunk of 65,536 rows does not fit, one of 16,384 does.
        (2 << 20, usize::MAX, usize::MAX, 0),
        (usize::MAX, usize::MAX, 4 << 20, 0),
        // No chunk fits.
        (1 << 10, usize::MAX, usize::MAX, 1),
        (usize::MAX, 1 << 10, usize::MAX, 1),
        (usize::MAX, usize::MAX, 1 << 10, 1),
    ] {
        controls.memory_limit.store(memory, Ordering::Relaxed);
        controls.pinned_limit.store(pinned, Ordering::Relaxed);
        gpus.trim();
        let cuda = cuda(&gpus, CudaSettings { memory_limit: limit, ..chunked(65_536) });
        let result = cuda.evaluate(&log3(ScalarType::F64), &arguments, 100_000).unwrap();
        assert_near(&result, &expected);
        assert_eq!(
            (cuda.count(BATCHES), cuda.count(FALLBACK_BATCHES)),
            (1 - fallbacks, fallbacks),
            "{memory} {pinned}"
        );
    }
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn memory_is_reserved_in_the_session_pool() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let arguments = columns(10_000);
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 30));
    let cuda = cuda(&gpus, chunked(4096)).with_memory(PoolBudget(Arc::clone(&pool)));
    let result = cuda.evaluate(&log3(ScalarType::F64), &arguments, 10_000).unwrap();
    assert_eq!(pool.reserved(), 80_000, "the result is reserved while it exists");
    let slice = result.slice(5, 5);
    drop(result);
    assert_eq!(pool.reserved(), 80_000);
    drop(slice);
    assert_eq!(pool.reserved(), 0);

    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 10));
    let cuda = self::cuda(&gpus, chunked(4096)).with_memory(PoolBudget(pool));
    assert!(cuda.evaluate(&log3(ScalarType::F64), &arguments, 10_000).is_ok());
    assert_eq!(cuda.count(FALLBACK_BATCHES), 1);
    drop(cuda);
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn a_failed_call_is_an_error_and_the_next_query_succeeds() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let (arguments, rows) = (columns(1000), 1000);
    let expected = evaluate(&simd(), &log3(ScalarType::F64), &arguments, rows).unwrap();
    let cuda = cuda(&gpus, chunked(64));
    use Operation::{Launch, MemcpyDtoH, MemcpyHtoD, Open, Wait};
    let cases = [MemcpyHtoD, MemcpyDtoH, Launch, Wait]
        .into_iter()
        .flat_map(|operation| [1, 2, 5, 10].map(|number| (operation, number)));
    for (operation, number) in [(Open, 1)].into_iter().chain(cases) {
        controls.fail_nth(operation, number);
        let error = cuda.evaluate(&log3(ScalarType::F64), &arguments, rows).unwrap_err().to_string();
        assert!(
            error.contains("a call of the GPU's driver has failed") && error.contains("run the query again"),
            "{error}"
        );
        assert_near(&cuda.evaluate(&log3(ScalarType::F64), &arguments, rows).unwrap(), &expected);
    }
    assert_eq!(controls.opened(), 1, "the GPU stays open");
    assert_eq!((cuda.count(FALLBACK_BATCHES), gpus.lost()), (0, None));
    drop(cuda);
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn a_lost_gpu_is_not_used_again() {
    let (arguments, rows) = (columns(1000), 1000);
    use Operation::{Launch, MemcpyDtoH, MemcpyHtoD, Open, Wait};
    for (operation, number) in
        [(Open, 1), (MemcpyHtoD, 2), (MemcpyDtoH, 5), (Launch, 1), (Launch, 10), (Wait, 2)]
    {
        let Some((gpus, controls)) = simulated_gpus(1) else { return };
        let cuda = cuda(&gpus, chunked(64));
        controls.lose_nth(operation, number);
        let error = cuda.evaluate(&log3(ScalarType::F64), &arguments, rows).unwrap_err().to_string();
        let reason = format!("{operation:?} fails on request of the test");
        for words in ["this process cannot use it any more", &reason, "start a new process"] {
            assert!(error.contains(words), "{error}");
        }
        let (opened, launched) = (controls.opened(), controls.launches().len());
        let again = cuda.evaluate(&log3(ScalarType::F64), &arguments, rows).unwrap_err().to_string();
        assert_eq!(again, error, "the first reason stays");
        assert!(cuda.pin(&arguments[0]).unwrap_err().to_string().contains(&reason));
        assert_eq!((controls.opened(), controls.launches().len()), (opened, launched));
        assert_eq!((gpus.lost(), cuda.count(FALLBACK_BATCHES)), (Some(reason), 0));
        drop(cuda);
        assert_nothing_leaked(gpus, &controls);
    }
}

#[test]
fn other_gpus_go_on_if_one_is_lost() {
    let Some((gpus, controls)) = simulated_gpus(2) else { return };
    let (arguments, rows) = (columns(1000), 1000);
    let expected = evaluate(&simd(), &log3(ScalarType::F64), &arguments, rows).unwrap();
    let cuda = cuda(&gpus, chunked(64));
    controls.lose_nth(Operation::Launch, 2);
    assert!(cuda.evaluate(&log3(ScalarType::F64), &arguments, rows).is_err());
    let before = controls.launches().len();
    for _ in 0..3 {
        assert_near(&cuda.evaluate(&log3(ScalarType::F64), &arguments, rows).unwrap(), &expected);
    }
    assert!(controls.launches()[before..].iter().all(|device| *device == 1), "{:?}", controls.launches());
    assert_eq!(gpus.lost(), None);
    drop(cuda);
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn shipped_kernels_run_without_a_compiler() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    controls.compiler.store(false, Ordering::Relaxed);
    let cuda = cuda(&gpus, CudaSettings::default());
    assert!(cuda.evaluate(&log3(ScalarType::F64), &columns(10), 10).is_ok());
    let schema = Schema::new(vec![Field::new("x", DataType::Float64, false)]);
    let program = compile(&(col("x") * col("x") + col("x")), &schema).unwrap().program;
    let error = cuda.evaluate(&program, &columns(10)[..1], 10).unwrap_err();
    assert!(error.to_string().contains("there is no compiler"), "{error}");
    drop(cuda);
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn threads_share_gpus_evenly() {
    let Some((gpus, controls)) = simulated_gpus(2) else { return };
    let cuda = cuda(&gpus, chunked(64));
    let arguments = columns(2000);
    let expected = evaluate(&simd(), &log3(ScalarType::F64), &arguments, 2000).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_near(&cuda.evaluate(&log3(ScalarType::F64), &arguments, 2000).unwrap(), &expected);
                }
            });
        }
    });
    let on_first = controls.launches().iter().filter(|device| **device == 0).count();
    assert_eq!(on_first * 2, controls.launches().len());
    assert_eq!(cuda.count(BATCHES), 80);
    // The simulated compiler takes a millisecond.
    let compile_time = cuda.context.metrics.snapshot().time(COMPILE_TIME);
    assert_eq!(compile_time, Duration::from_millis(2), "once for each GPU");
    drop(cuda);
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn resident_columns_are_evaluated_and_summed() {
    for gpus in all_gpus() {
        check_resident(&cuda(&gpus, CudaSettings::default()));
    }
}

fn check_resident(cuda: &Metered) {
    let arguments = columns(100_001);
    let expected = evaluate(&simd(), &log3(ScalarType::F64), &arguments, 100_001).unwrap();
    let mut resident = cuda.upload(&log3(ScalarType::F64), &arguments).unwrap();
    resident.evaluate().unwrap();
    let results = resident.results().unwrap();
    assert_near(&(Arc::new(results.clone()) as ArrayRef), &expected);
    let (sum, _) = resident.sum().unwrap();
    let exact: f64 = results.values().iter().sum();
    assert!((sum - exact).abs() <= 1e-12 * exact.abs(), "{sum} {exact}");
    assert_eq!(resident.sum().unwrap().0.to_bits(), sum.to_bits(), "the sum is reproducible");
    let partials = |numbers: &[f64], count: usize| -> Vec<f64> {
        (0..count)
            .map(|first| numbers.iter().skip(first).step_by(count).fold(0.0, |sum, x| sum + x))
            .collect()
    };
    let steps = partials(&partials(&partials(results.values(), 65_536), 256), 1);
    assert_eq!(sum.to_bits(), steps[0].to_bits(), "in the documented summation order");
}

/// A session with a table `t` that has nullable columns a, b and c.
fn session(gpus: &Arc<Gpus>) -> Session {
    let session = Session::builder().gpus(Arc::clone(gpus)).threads(2.try_into().unwrap()).build().unwrap();
    let column = |every: usize| -> ArrayRef {
        Arc::new((0..20_000).map(|row| (row % every != 0).then_some(row as f64)).collect::<Float64Array>())
    };
    let columns = [("a", column(5)), ("b", column(11)), ("c", column(20_001))];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
    session.context().register_batch("t", batch.unwrap()).unwrap();
    session
}

async fn rows(session: &Session, query: &str) -> Vec<RecordBatch> {
    session.sql(query).await.unwrap().collect().await.unwrap()
}

async fn text(session: &Session, query: &str) -> String {
    arrow::util::pretty::pretty_format_batches(&rows(session, query).await).unwrap().to_string()
}

const QUERY: &str = "SELECT log3(a + 1, b + 1, c + 1) AS r, CASE WHEN a > 100 THEN sqrt(a) * b ELSE exp(-b) END AS s \
                     FROM t WHERE c * a + b > 50 ORDER BY c";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_results_on_the_gpu_match_the_cpu() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let session = session(&gpus);
    let expected = rows(&session, QUERY).await;
    rows(&session, "SET warpframe.backend = 'cuda'").await;
    let plan = text(&session, &format!("EXPLAIN FORMAT INDENT {QUERY}")).await;
    assert!(plan.contains("[cuda Imaginary]"), "{plan}");
    assert!(plan.contains("GpuBatchExec: batch_rows=1048576"), "{plan}");
    let on_gpu = rows(&session, QUERY).await;
    for column in 0..2 {
        let whole = |batches: &[RecordBatch]| {
            concat(&batches.iter().map(|batch| batch.column(column).as_ref()).collect::<Vec<_>>()).unwrap()
        };
        assert_near(&whole(&on_gpu), &whole(&expected));
    }
    assert!(!controls.launches().is_empty());

    let analyzed = text(&session, &format!("EXPLAIN ANALYZE {QUERY}")).await;
    let line = analyzed.lines().find(|line| line.contains("GpuBatchExec")).unwrap();
    for metric in [
        "output_rows=",
        "output_batches=",
        "h2d_bytes=",
        "d2h_bytes=",
        "kernel_time=",
        "compile_time=",
        "fallback_batches=0",
    ] {
        assert!(line.contains(metric), "{metric} is not in {line}");
    }
    for none in ["h2d_bytes=0", "output_rows=0", "output_batches=0", "elapsed_compute=NOT"] {
        assert!(!line.contains(none), "{line}");
    }
    // The option sets another batch size.
    rows(&session, "SET warpframe.cuda.batch_rows = 1000").await;
    let before = controls.launches().len();
    rows(&session, "SELECT log3(a, b, c) FROM t").await;
    assert!(controls.launches().len() >= before + 20);
    drop((session, on_gpu));
    assert_nothing_leaked(gpus, &controls);
}

/// A scan may move files between partitions unless `with_preserve_order` is called, which `GpuBatchExec` must pass on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gpu_plans_can_preserve_file_order() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let session = session(&gpus);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.parquet");
    rows(&session, &format!("COPY t TO '{}' STORED AS PARQUET", file.display())).await;
    rows(&session, "SET warpframe.backend = 'cuda'").await;
    rows(&session, "SET datafusion.optimizer.enable_round_robin_repartition = false").await;
    rows(
        &session,
        &format!("CREATE EXTERNAL TABLE f STORED AS PARQUET LOCATION '{}'", folder.path().display()),
    )
    .await;
    let query = session.sql("SELECT log3(a, b, c) AS r FROM f").await.unwrap();
    let plan = query.create_physical_plan().await.unwrap();
    let batches = Arc::clone(plan.children()[0]);
    assert_eq!(batches.name(), "GpuBatchExec");
    let below = batches.children()[0].with_preserve_order(true).expect("the scan can preserve the order");
    let ordered = batches.with_preserve_order(true).expect("GpuBatchExec passes it on");
    assert_eq!(ordered.name(), "GpuBatchExec");
    let shown = |plan: &dyn ExecutionPlan| displayable(plan).indent(true).to_string();
    assert_eq!(shown(ordered.children()[0].as_ref()), shown(below.as_ref()));
    drop((session, plan, batches, ordered, below));
    assert_nothing_leaked(gpus, &controls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_and_failed_queries_leak_nothing() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let session = session(&gpus);
    for statement in [
        "SET warpframe.backend = 'cuda'",
        "SET warpframe.cuda.chunk_bytes = 1",
        "SET warpframe.cuda.batch_rows = 500",
    ] {
        rows(&session, statement).await;
    }
    let mut stream =
        session.sql("SELECT log3(a, b, c) FROM t").await.unwrap().execute_stream().await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    drop(stream);
    controls.fail_nth(Operation::Launch, 20);
    let failed = session.sql("SELECT sum(log3(a, b, c)) FROM t").await.unwrap().collect().await;
    assert!(failed.unwrap_err().to_string().contains("a call of the GPU's driver has failed"));
    assert_eq!(rows(&session, "SELECT sum(log3(a, b, c)) FROM t").await[0].num_rows(), 1);
    drop((first, session));
    assert_nothing_leaked(gpus, &controls);
}

/// The only worker runs another task while a query waits for a GPU, whichever operator it waits in.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn workers_are_free_while_a_gpu_computes() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let session = Arc::new(session(&gpus));
    rows(&session, "SET warpframe.backend = 'cuda'").await;
    let (handle, results) = (tokio::runtime::Handle::current(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&results);
    controls.on_wait(move || {
        let (sender, receiver) = std::sync::mpsc::channel();
        handle.spawn(async move { sender.send(()) });
        // Much longer than the task takes, which starts only after the query if there is no free worker.
        seen.lock().unwrap().push(receiver.recv_timeout(Duration::from_secs(20)).is_ok());
    });
    let mut queries = vec!["SELECT log3(a, b, c) FROM t"];
    if Compiler::version().is_ok() {
        queries.extend(["SELECT sum(a * b + c) FROM t", "SELECT exp(a / 1e5) * c, exp(a / 1e5) * b FROM t"]);
    }
    for query in queries {
        results.lock().unwrap().clear();
        let (session, text) = (Arc::clone(&session), query.to_owned());
        let found = tokio::spawn(async move { rows(&session, &text).await }).await.unwrap();
        assert!(!found.is_empty());
        let results = results.lock().unwrap().clone();
        assert!(!results.is_empty() && results.iter().all(|ran| *ran), "{query}: {results:?}");
    }
    drop(session);
    assert_nothing_leaked(gpus, &controls);
}

const AGGREGATES: &str = "SELECT count(*), count(a * b + c), sum(a * b + c), min(a * b - c), max(a * b - c), \
                          avg(c - a * 2), var_pop(c * 2 + a), sum(CAST(c AS BIGINT) * 3 + 1), count(a > b) \
                          FROM t WHERE c * a + b > 50";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregates_are_reduced_on_the_gpu() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    if Compiler::version().is_err() {
        return skipped("operators on GPUs are not fused without NVRTC");
    }
    let session = session(&gpus);
    for query in [AGGREGATES, &format!("{AGGREGATES} AND a * 2 < c - c - 1")] {
        rows(&session, "SET warpframe.backend = 'simd'").await;
        let expected = rows(&session, query).await;
        rows(&session, "SET warpframe.backend = 'cuda'").await;
        let plan = text(&session, &format!("EXPLAIN FORMAT INDENT {query}")).await;
        assert!(plan.contains("FusedAggregateExec") && plan.contains("cuda Imaginary"), "{plan}");
        let before = gpus.metrics().snapshot();
        let found = rows(&session, query).await;
        let metrics = gpus.metrics().snapshot().since(&before);
        assert_eq!((metrics.count(BATCHES) > 0, metrics.count(FALLBACK_BATCHES)), (true, 0));
        // The arrays of seven numbers would have 56 bytes a row.
        let copied = metrics.count(D2H_BYTES);
        assert!(copied < 20_000 * 28, "{copied} bytes");
        for (found, expected) in found[0].columns().iter().zip(expected[0].columns()) {
            match (found.as_primitive_opt::<Float64Type>(), expected.as_primitive_opt::<Float64Type>()) {
                (Some(found), Some(expected)) if found.is_valid(0) => {
                    let (found, expected) = (found.value(0), expected.value(0));
                    assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found}, not {expected}");
                }
                _ => assert_eq!(found, expected),
            }
        }
    }
    drop(session);
    assert_nothing_leaked(gpus, &controls);
}

#[tokio::test]
async fn errors_without_a_gpu_name_the_driver() {
    if has_gpus() {
        return skipped("this machine has a GPU");
    }
    let session = Session::new().unwrap();
    rows(&session, "SET warpframe.backend = 'cuda'").await;
    for query in ["SELECT log3(x, y, z) FROM rows LIMIT 1", "SELECT log3(1, 2, 3)"] {
        let failed = async { session.sql(query).await?.collect().await }.await.unwrap_err();
        assert!(failed.to_string().contains("NVIDIA driver"), "{failed}");
    }
    let refused = Session::builder().backend("cuda").build().map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("NVIDIA driver"), "{refused}");
    for (option, value) in [("cuda.chunk_bytes", "0"), ("cuda.memory_limit", "much"), ("cuda.nothing", "1")] {
        let failed =
            session.sql(&format!("SET warpframe.{option} = '{value}'")).await.map(|_| ()).unwrap_err();
        assert!(failed.to_string().contains(&format!("warpframe.{option}")), "{failed}");
    }
}

fn has_gpus() -> bool {
    warpframe::cuda::gpus().is_ok()
}

/// A calibration with which the GPU is faster for costly programs with enough rows.
const FAST_BUS: Calibration = Calibration {
    h2d: 50.0,
    d2h: 50.0,
    two_way: 100.0,
    gpu_cheap: 0.001,
    gpu_costly: 0.01,
    gpu_cheap_f32: 0.0005,
    gpu_costly_f32: 0.005,
    ..SLOW_BUS
};

#[test]
fn auto_decides_by_rows_and_ops() {
    let fields = ["x", "y"].map(|name| Field::new(name, DataType::Float64, false)).to_vec();
    let schema = Schema::new(fields);
    let program = |expr| compile(&expr, &schema).unwrap().program;
    let (cheap, costly) =
        (program(col("x") * col("y") + col("x")), program(ln(col("x")) * ln(exp(col("y")) + col("x"))));
    let of = |program, rates, cores| CostModel::of(program, rates, cores, KernelUse::default());
    let slow_bus = of(&costly, &SLOW_BUS, 1);
    assert_eq!((slow_bus.gpu_from, slow_bus.bottleneck), (None, "the bus"), "{}", slow_bus.reason());
    let cost = of(&costly, &FAST_BUS, 1);
    // 3 costly and 2 cheap ops: 0.8 * 3.2 ns on the CPU against 1.6 ns for copies.
    assert_eq!(cost.bottleneck, "copying into page-locked memory");
    assert_eq!(cost.gpu_from, Some((10_000.0f64 / (3.2 * 0.8 - 1.6)).ceil() as usize), "{cost:?}");
    assert_eq!(of(&costly, &FAST_BUS, 8).gpu_from, None, "8 cores are faster than the GPU");
    assert_eq!(of(&cheap, &FAST_BUS, 1).gpu_from, None, "copies dominate");
}

#[tokio::test]
async fn auto_shows_its_reason_and_uses_the_gpu_for_large_batches_only() {
    if !has_compiler() {
        return skipped("there is no C++ compiler to compile kernels for the CPU");
    }
    let (gpus, controls) = FakeDriver::with_calibration(1, FAST_BUS);
    let session = Session::builder().gpus(Arc::clone(&gpus)).threads(1.try_into().unwrap()).build().unwrap();
    let costly = "SELECT sum(ln(x) * ln(exp(y / 1e7) + x)) AS r FROM rows";
    let plan = text(&session, &format!("EXPLAIN FORMAT INDENT {costly}")).await;
    assert!(plan.contains("backend=cuda Imaginary; GPU from "), "{plan}");
    let on_gpu = rows(&session, &format!("{costly} WHERE x <= 2000000")).await;
    let launches = controls.launches().len();
    assert!(launches > 0);
    rows(&session, &format!("{costly} WHERE x <= 100")).await;
    assert_eq!(controls.launches().len(), launches, "too few rows for a GPU");
    let plan = text(&session, "EXPLAIN FORMAT INDENT SELECT x * y + z * x FROM rows").await;
    assert!(plan.contains("; no GPU: ") && !plan.contains("GpuBatchExec"), "{plan}");
    rows(&session, "SET warpframe.backend = 'simd'").await;
    let on_cpu = rows(&session, &format!("{costly} WHERE x <= 2000000")).await;
    let sum = |batches: &[RecordBatch]| batches[0].column(0).as_primitive::<Float64Type>().value(0);
    let (on_gpu, on_cpu) = (sum(&on_gpu), sum(&on_cpu));
    assert!((on_gpu - on_cpu).abs() <= 1e-12 * on_cpu.abs(), "{on_gpu} {on_cpu}");
    drop(session);
    assert_nothing_leaked(gpus, &controls);
}

#[tokio::test]
async fn auto_goes_on_with_the_cpu_if_the_gpu_is_lost() {
    if !has_compiler() {
        return skipped("there is no C++ compiler to compile kernels for the CPU");
    }
    let (gpus, controls) = FakeDriver::with_calibration(1, FAST_BUS);
    let session = Session::builder().gpus(Arc::clone(&gpus)).threads(1.try_into().unwrap()).build().unwrap();
    let query = "SELECT ln(x) * ln(exp(y / 1e7) + x) AS r FROM rows WHERE id <= 100000";
    rows(&session, "SET warpframe.backend = 'simd'").await;
    let expected = rows(&session, query).await;
    rows(&session, "SET warpframe.backend = 'auto'").await;
    controls.lose_nth(Operation::Launch, 1);
    let plan = text(&session, &format!("EXPLAIN ANALYZE {query}")).await;
    assert!(plan.contains("lost_gpu_batches=1"), "{plan}");
    let launches = controls.launches().len();
    let found = rows(&session, query).await;
    let together = |batches: &[RecordBatch]| {
        let columns: Vec<_> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
        concat(&columns).unwrap()
    };
    assert_eq!(&together(&found), &together(&expected));
    assert_eq!(controls.launches().len(), launches, "the GPU is not used");
    let plan = text(&session, &format!("EXPLAIN FORMAT INDENT {query}")).await;
    assert!(plan.contains("; no GPU: it has failed: Launch fails") && !plan.contains("cuda"), "{plan}");
    assert!(!plan.contains("GpuBatchExec"), "{plan}");
    // A backend that was asked for fails.
    rows(&session, "SET warpframe.backend = 'cuda'").await;
    let failed = session.sql(query).await.unwrap().collect().await.unwrap_err().to_string();
    assert!(failed.contains("this process cannot use it any more: Launch fails"), "{failed}");
    drop(session);
    assert_nothing_leaked(gpus, &controls);
}

/// A backend for the CPU that counts the calls of its kernels.
#[derive(Debug, Clone)]
struct Counting(Simd, Arc<Calls>);

#[derive(Debug, Default)]
struct Calls {
    evaluations: AtomicUsize,
    reductions: AtomicUsize,
}

#[derive(Debug)]
struct CountingKernel(Arc<dyn Kernel>, Arc<Calls>);

impl Backend for Counting {
    fn description(&self) -> String {
        self.0.description()
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>, Error> {
        Ok(Arc::new(CountingKernel(self.0.compile(program)?, Arc::clone(&self.1))))
    }
}

impl Kernel for CountingKernel {
    fn description(&self) -> String {
        self.0.description()
    }

    fn evaluate(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
    ) -> Result<Evaluated, Error> {
        self.1.evaluations.fetch_add(1, Ordering::Relaxed);
        self.0.evaluate(inputs, rows, context)
    }

    fn reduce(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        accumulators: &mut [Accumulator],
    ) -> Result<usize, Error> {
        self.1.reductions.fetch_add(1, Ordering::Relaxed);
        self.0.reduce(inputs, rows, context, accumulators)
    }
}

#[test]
fn auto_reduces_by_the_kernel_that_it_chooses() {
    if !has_compiler() {
        return skipped("there is no C++ compiler to compile kernels for the CPU");
    }
    let (gpus, controls) = FakeDriver::with_calibration(1, FAST_BUS);
    let calls = Arc::new(Calls::default());
    let cpu = Counting(simd(), Arc::clone(&calls));
    let cuda = Cuda::new(Arc::clone(&gpus), CudaSettings::default(), Arc::new(cpu.clone()));
    let schema = Schema::new(vec![Field::new("x", DataType::Float64, false)]);
    let program = compile(&ln(exp(ln(col("x") + lit(1.0)))), &schema).unwrap().program;
    let kernel = Auto::new(Arc::new(cpu), Some(cuda), 1).compile(&program).unwrap();
    let column = columns(100_000)[0].clone();
    let sum = |rows: usize| {
        let reductions = Reductions { sum: true, ..Reductions::default() };
        let mut sums = [Accumulator::new(ScalarType::F64, reductions)];
        kernel.reduce(&[column.slice(0, rows)], rows, &KernelContext::default(), &mut sums).unwrap();
        sums[0].sum().and_then(Scalar::as_float).unwrap()
    };
    let expected: f64 = (0..1000).map(|row| (row as f64 + 1.5).ln()).sum();
    assert!((sum(1000) - expected).abs() <= 1e-10 * expected);
    let counts = || [&calls.evaluations, &calls.reductions].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts(), [0, 1], "few rows are reduced on the CPU, without arrays of results");
    assert!(controls.launches().is_empty());
    let expected: f64 = (0..100_000).map(|row| (row as f64 + 1.5).ln()).sum();
    assert!((sum(100_000) - expected).abs() <= 1e-10 * expected);
    assert_eq!((counts(), controls.launches().len()), ([0, 1], 1), "many rows are reduced on the GPU");
    drop(kernel);
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn calibration_measures_positive_rates() {
    for gpus in all_gpus() {
        let rates = measure(&gpus, &(Arc::new(simd()) as _)).unwrap();
        println!("{rates:?}");
        let found = serde_json::to_value(rates).unwrap();
        for (name, rate) in found.as_object().unwrap() {
            assert!(rate.as_f64().is_some_and(|rate| rate > 0.0), "{name}: {rates:?}");
        }
    }
}

#[test]
fn comparisons_run_the_gpu_modes() {
    let folder = tempfile::tempdir().unwrap();
    for gpus in all_gpus() {
        for result in [ResultSink::Collect, ResultSink::Sum, ResultSink::Parquet] {
            let comparison = Comparison {
                expression: None,
                rows: 100_000,
                generator: RowGenerator { distribution: Distribution::Sequence, seed: 0 },
                source: Source::Memory,
                result,
                modes: vec![Mode::Parallel, Mode::Cuda, Mode::CudaResident],
                repeat: 3.try_into().unwrap(),
                threads: 2.try_into().unwrap(),
                work_folder: folder.path().to_owned(),
                launcher: None,
                cluster: None,
                gpus: Some(Arc::clone(&gpus)),
                external_tools: None,
                running_cluster: Default::default(),
            };
            let report = comparison.run(String::new(), &|_| ()).unwrap();
            let found: Vec<_> = report.modes.iter().map(|mode| (mode.status, mode.reason.clone())).collect();
            let last = if result == ResultSink::Parquet { Status::Skipped } else { Status::Ok };
            assert_eq!([found[0].0, found[1].0, found[2].0], [Status::Ok, Status::Ok, last], "{found:?}");
            let split = report.modes[1].gpu.unwrap();
            assert_eq!(split.h2d_bytes / 100_000, 24, "{split:?}");
            // Without NVRTC, operators are not fused: the sum is one of arrays.
            let reduces = result == ResultSink::Sum && Compiler::version().is_ok();
            assert_eq!(split.d2h_bytes / 100_000, if reduces { 0 } else { 8 }, "{split:?}");
            assert_eq!(split.fallback_batches, 0);
            assert_eq!(report.machine.gpus.len(), gpus.driver().devices().len());
            if result == ResultSink::Collect {
                assert!(report.modes[2].gpu.unwrap().kernel_ms > 0.0);
                report.write_to(folder.path()).unwrap();
                let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
                assert!(page.contains("<dt>cuda</dt><dd>compile ") && page.contains("from the GPU"));
            }
        }
    }
}

#[test]
fn the_command_runs_kernels_through_the_driver_api() {
    let Some(folder) = simulated_driver() else { return };
    let run = |arguments: &[&str]| finish(with_driver(folder.path()).args(arguments).output().unwrap());
    let devices = run(&["devices"]);
    assert_eq!(devices.code, Some(0), "{devices:?}");
    assert!(devices.stdout.contains("GPU     Imaginary 0, 8.0 GiB, compute capability 9.0"), "{devices:?}");
    assert!(devices.stdout.contains("driver  CUDA 12.9; there is no NVRTC"), "{devices:?}");
    // The kernels of the calibration are shipped.
    assert!(devices.stdout.contains("GB/s both at once, "), "{devices:?}");
    let calibrations = std::fs::read_dir(folder.path().join("cache/warpframe/calibration")).unwrap();
    let names: Vec<_> = calibrations.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() == 1 && names[0].ends_with("-format-2.json"), "{names:?}");
    for result in ["collect", "sum", "parquet"] {
        let modes = "parallel,cuda,cuda-resident";
        let arguments = ["compare", "--modes", modes, "--rows", "1000000", "--repeat", "2", "--json", "-"];
        let run = run(&[&arguments[..], &["--result", result, "--report", "report"]].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let modes = report["modes"].as_array().unwrap();
        assert_eq!((&modes[1]["status"], &modes[1]["reason"]), (&"ok".into(), &serde_json::Value::Null));
        assert_eq!(modes[1]["gpu"]["h2d_bytes"], 24_000_000);
        assert_eq!(modes[1]["gpu"]["fallback_batches"], 0);
        assert_eq!(modes[2]["status"], if result == "parquet" { "skipped" } else { "ok" });
        assert_eq!(report["machine"]["gpus"], serde_json::json!(["Imaginary 0"]));
    }
    // The driver rejects allocations of a whole chunk.
    let query =
        "SET warpframe.backend = 'cuda'; SELECT sum(log3(x, y, z)) > 0 AS ok FROM rows WHERE x <= 500000";
    for (largest, code) in [("2000000", Some(0)), ("10", Some(0))] {
        let mut command = with_driver(folder.path());
        let run =
            finish(command.args(["sql", "-q", query]).env("FAKE_CUDA_LARGEST", largest).output().unwrap());
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.stdout.contains("true"), "{run:?}");
    }
    let out =
        ["--select", "id, log3(x, y, z) AS r", "--out", "out.parquet", "--backend", "cuda", "--threads", "2"];
    let rows = ["generate", "--rows", "400000", "--files", "7", "--out", "in"];
    assert_eq!(run(&rows).code, Some(0));
    assert_eq!(run(&[&["run", "--in", "in"][..], &out].concat()).code, Some(0));
    let file = std::fs::File::open(folder.path().join("out.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut next = 0;
    for batch in reader {
        for id in batch.unwrap().column(0).as_primitive::<Int64Type>().values() {
            assert_eq!(*id, next, "the rows keep their order");
            next += 1;
        }
    }
    assert_eq!(next, 400_000);
    let query = "EXPLAIN FORMAT INDENT SELECT log3(x, y, z) FROM rows";
    assert!(run(&["sql", "--backend", "cuda", "-q", query]).stdout.contains("log3[cuda Imaginary 0]"));
    let unfused =
        run(&["sql", "-q", "SET warpframe.backend = 'cuda'; SELECT exp(x) * exp(y) FROM rows LIMIT 1"]);
    assert_eq!(unfused.code, Some(1));
    assert!(unfused.stderr.contains("there is no NVRTC"), "{unfused:?}");
}

#[test]
fn errors_name_why_a_driver_is_unusable() {
    let Some(folder) = simulated_driver() else { return };
    for (variable, value, words) in [
        ("FAKE_CUDA_VERSION", "11040", "the NVIDIA driver is for CUDA 11.4, and 12.0 is needed"),
        ("FAKE_CUDA_INIT", "100", "the NVIDIA driver finds no GPU"),
        ("FAKE_CUDA_INIT", "999", "the NVIDIA driver does not start: an imaginary error"),
        ("FAKE_CUDA_DEVICES", "0", "the NVIDIA driver finds no GPU"),
        ("FAKE_CUDA_CAPABILITY", "61", "the GPU has compute capability 6.1, and 7.5 is needed"),
    ] {
        let devices =
            finish(with_driver(folder.path()).arg("devices").env(variable, value).output().unwrap());
        assert_eq!(devices.code, Some(0), "{devices:?}");
        assert!(devices.stdout.contains(&format!("GPU     none: {words}")), "{devices:?}");
        let query = ["sql", "-q", "SET warpframe.backend = 'cuda'; SELECT log3(1, 2, 3)"];
        let refused = finish(with_driver(folder.path()).args(query).env(variable, value).output().unwrap());
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
}
