//! Reductions by kernels whose threads store partial results, compared with those of the interpreter's arrays.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::{Array, ArrayRef, Float32Array, Float64Array, Int64Array, make_array};
use arrow_data::transform::MutableArrayData;
use arrow_schema::DataType;
use warpframe_cuda::metrics::{BATCHES, D2H_BYTES, FALLBACK_BATCHES};
use warpframe_cuda::{CudaSettings, Gpus, KernelSource};
use warpframe_ir::reduction::Moments;
use warpframe_ir::{
    Accumulator, Backend, Binary, Builder, Error, Evaluated, Interpreter, KernelContext, Output, Program,
    Reductions, Scalar, ScalarType, Unary,
};

use super::gpu::{FakeDriver, Operation, has_compiler};
use super::kernel_compiler::{ARCHITECTURES, assemble_without_spills, compiler, ptx};
use super::programs::{Case, input, random_cases};
use super::skipped::skipped;
use super::{LARGE_CHUNKS, SMALLEST_CHUNKS, columns_of_all_types, cuda, same, selection, simulated, traps};

const ALL: Reductions = Reductions { sum: true, min: true, max: true, moments: true };

/// All reductions, or some of them, for the output at a position.
fn some(position: usize) -> Reductions {
    match position % 4 {
        0 => ALL,
        1 => Reductions { sum: true, ..Reductions::default() },
        2 => Reductions { min: true, moments: true, ..Reductions::default() },
        _ => Reductions::default(),
    }
}

fn accumulators(program: &Program, reductions: impl Fn(usize) -> Reductions) -> Vec<Accumulator> {
    let outputs = program.outputs().iter().enumerate();
    outputs
        .map(|(position, output)| Accumulator::new(program.scalar_type(output.value), reductions(position)))
        .collect()
}

/// The kernel that reduces the outputs for accumulators.
fn kernel(program: &Program, accumulators: &[Accumulator]) -> KernelSource {
    let reductions: Vec<_> = accumulators.iter().map(Accumulator::reductions).collect();
    KernelSource::of_reduction(program, &reductions)
}

/// Runs a test on a simulated GPU, for which the reducing kernels of the cases are compiled together, and on this machine's
/// GPUs.
fn on_all_gpus(cases: &[Case], reductions: impl Fn(usize) -> Reductions, test: impl Fn(&Arc<Gpus>)) {
    if let Some((gpus, controls)) = simulated() {
        let kernels =
            cases.iter().map(|case| kernel(&case.program, &accumulators(&case.program, &reductions)));
        kernels.collect::<Vec<_>>().chunks(40).for_each(|kernels| controls.compile_all(kernels));
        test(&gpus);
        drop(gpus);
        controls.assert_no_violations();
    }
    if let Ok(gpus) = warpframe_cuda::gpus() {
        test(&gpus);
    }
}

/// The result of a reduction, and what the metrics count.
struct Reduced {
    rows: usize,
    d2h_bytes: u64,
    batches: u64,
    fallback_batches: u64,
}

fn reduce(
    cuda: &warpframe_cuda::Cuda,
    case: &Case,
    accumulators: &mut [Accumulator],
) -> Result<Reduced, Error> {
    let context = KernelContext::default();
    let rows = cuda.compile(&case.program)?.reduce(&case.inputs, case.rows, &context, accumulators)?;
    let count = |name: &str| context.metrics.snapshot().count(name);
    let [d2h_bytes, batches, fallback_batches] = [D2H_BYTES, BATCHES, FALLBACK_BATCHES].map(count);
    Ok(Reduced { rows, d2h_bytes, batches, fallback_batches })
}

/// The case with its rows several times.
fn repeated(case: &Case, times: usize) -> Case {
    let repeat = |array: &ArrayRef| {
        let data = array.to_data();
        let mut all = MutableArrayData::new(vec![&data], false, times * case.rows);
        (0..times).for_each(|_| all.try_extend(0, 0, case.rows).unwrap());
        make_array(all.freeze())
    };
    Case { inputs: case.inputs.iter().map(repeat).collect(), rows: times * case.rows, ..case.clone() }
}

/// The numbers of an array that are not null.
fn numbers(array: &ArrayRef) -> Vec<f64> {
    let scalars = (0..array.len()).filter_map(|row| Scalar::read(array, row).unwrap());
    scalars.filter_map(|scalar| scalar.cast(ScalarType::F64).as_float()).collect()
}

/// Compares an accumulator with that of the same values in another order: exactly, but for sums of floats and moments, which
/// have an error bound where none of their parts overflows. Returns whether it had such sums.
fn compare(found: &Accumulator, expected: &Accumulator, numbers: &[f64], text: &str) -> bool {
    assert_eq!(found.count(), expected.count(), "{text}");
    let has_nan = numbers.iter().any(|x| x.is_nan());
    for (what, one, other) in [("min", found.min(), expected.min()), ("max", found.max(), expected.max())] {
        // The sign of a computed NaN, which decides whether it is the smallest or the largest number, is not defined.
        let is_float = one.is_some_and(|one| one.as_float().is_some());
        assert!(has_nan && is_float || same(one, other), "{text}: {what} {one:?}, not {other:?}");
    }
    let float = |sum: Option<Scalar>| sum.and_then(Scalar::as_float);
    let absolute: f64 = numbers.iter().map(|x| x.abs()).sum();
    let unit = f64::EPSILON * numbers.len() as f64;
    match (float(found.sum()), float(expected.sum())) {
        (Some(one), Some(other)) if absolute.is_finite() => {
            assert!((one - other).abs() <= unit * absolute, "{text}: sum {one}, not {other}");
        }
        (Some(one), Some(_)) if numbers.iter().all(|x| x.abs() < 1e300 || !x.is_finite()) => {
            let infinite: f64 = numbers.iter().filter(|x| !x.is_finite()).sum();
            assert!(one == infinite || one.is_nan() && infinite.is_nan(), "{text}: sum {one}");
        }
        (Some(_), Some(_)) => {}
        _ => assert_eq!(found.sum(), expected.sum(), "{text}"),
    }
    let squares: f64 = numbers.iter().map(|x| x * x).sum();
    let (one, other) = (found.moments(), expected.moments());
    assert_eq!(one.count, other.count, "{text}");
    let bounded = squares.is_finite() && one.count > 0;
    if bounded {
        assert!((one.mean - other.mean).abs() <= unit * absolute, "{text}: {one:?}, not {other:?}");
        assert!((one.m2 - other.m2).abs() <= 8.0 * unit * squares, "{text}: {one:?}, not {other:?}");
    } else if numbers.iter().all(|x| x.abs() < 1e300 || !x.is_finite()) {
        // Squares that overflow are infinite, those of an infinite number have no variance.
        let class = |x: f64| (x.is_nan(), x.is_infinite());
        assert_eq!(class(one.m2), class(other.m2), "{text}: {one:?}, not {other:?}");
    }
    bounded
}

/// Reduces a case twice with the same accumulators, in one chunk and in several. Returns the number of outputs whose sums and
/// moments were compared.
fn check(gpus: &Arc<Gpus>, case: &Case, reductions: impl Fn(usize) -> Reductions) -> usize {
    let Case { name, program, inputs, rows } = case;
    let expected = Interpreter::evaluate(program, inputs, *rows);
    let mut compared = 0;
    for chunk_bytes in [LARGE_CHUNKS, 1 << 14, SMALLEST_CHUNKS] {
        let cuda = cuda(gpus, chunk_bytes);
        let mut found = accumulators(program, &reductions);
        let first = reduce(&cuda, case, &mut found);
        let Evaluated { columns, rows } = match (&expected, &first) {
            (Ok(expected), Ok(_)) => expected,
            (Err(expected), Err(error)) => {
                assert_eq!(error.to_string(), expected.to_string(), "{name}");
                continue;
            }
            (expected, first) => panic!("{name}: {:?}, not {expected:?}", first.as_ref().map(|one| one.rows)),
        };
        let second = reduce(&cuda, case, &mut found).unwrap();
        assert_eq!((second.batches, second.fallback_batches), (1, 0), "{name}");
        assert_eq!((first.unwrap().rows, second.rows), (*rows, *rows), "{name}");
        let mut both = accumulators(program, &reductions);
        let evaluated = Evaluated { columns: columns.clone(), rows: *rows };
        for _ in 0..2 {
            evaluated.reduce(&mut both).unwrap();
        }
        for (position, (found, expected)) in found.iter().zip(&both).enumerate() {
            let numbers = numbers(&columns[position]).repeat(2);
            let text = format!("{name}, output {position}, chunks of {chunk_bytes} bytes");
            compared += usize::from(compare(found, expected, &numbers, &text));
        }
    }
    compared
}

#[test]
fn random_programs_reduce_as_the_interpreter_does() {
    let cases: Vec<_> = random_cases(80).iter().map(|case| repeated(case, 40)).collect();
    on_all_gpus(&cases, some, |gpus| {
        let compared: usize = cases.iter().map(|case| check(gpus, case, some)).sum();
        println!("{} programs, {compared} outputs with bounded sums", cases.len());
        assert!(compared > 100, "{compared}");
    });
}

#[test]
fn columns_of_all_types_are_reduced() {
    let cases: Vec<_> = columns_of_all_types().iter().map(|case| repeated(case, 100)).collect();
    on_all_gpus(
        &cases,
        |_| ALL,
        |gpus| {
            let compared: usize = cases.iter().map(|case| check(gpus, case, |_| ALL)).sum();
            assert!(compared > 500, "{compared}");
        },
    );
}

#[test]
fn predicates_select_the_values_that_are_reduced() {
    let cases: Vec<_> = [1, 64, 65, 700, 20_000]
        .into_iter()
        .flat_map(|rows| [1, 2, 65, 100_000].map(|every| selection(every, rows)))
        .collect();
    on_all_gpus(&cases, some, |gpus| {
        cases.iter().for_each(|case| {
            check(gpus, case, some);
        })
    });
}

#[test]
fn traps_are_those_of_the_interpreter() {
    let cases: Vec<_> = traps().into_iter().map(|(case, _)| case).collect();
    on_all_gpus(
        &cases,
        |_| ALL,
        |gpus| {
            cases.iter().for_each(|case| {
                check(gpus, case, |_| ALL);
            })
        },
    );
}

/// The program of a column.
fn column(values: ArrayRef) -> Case {
    let mut builder = Builder::new();
    let x = builder.add_input(input(values.data_type().clone(), values.is_nullable()));
    let program = builder.finish_one(x).unwrap();
    Case::new(format!("a column of {}", values.data_type()), program, vec![values])
}

/// Reduces a column, and returns its accumulator.
fn reduce_column(cuda: &warpframe_cuda::Cuda, values: ArrayRef) -> Accumulator {
    let case = column(values);
    let mut reduced = accumulators(&case.program, |_| ALL);
    reduce(cuda, &case, &mut reduced).unwrap();
    reduced.remove(0)
}

#[test]
fn extremes_are_those_of_the_total_order() {
    on_all_gpus(&[], some, |gpus| {
        let special = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -5e-324];
        for first in special {
            for second in special {
                let values = (0..5000).map(|row| if row % 777 == 3 { first } else { second });
                let values: Vec<f64> = values.collect();
                let (min, max) =
                    if first.total_cmp(&second).is_lt() { (first, second) } else { (second, first) };
                let found = reduce_column(&cuda(gpus, 8 << 10), Arc::new(Float64Array::from(values.clone())));
                assert_eq!(found.min(), Some(Scalar::F64(min)));
                assert_eq!(found.max(), Some(Scalar::F64(max)));
                let values = values.iter().map(|x| *x as f32);
                let found =
                    reduce_column(&cuda(gpus, 8 << 10), Arc::new(Float32Array::from_iter_values(values)));
                assert_eq!(found.min(), Some(Scalar::F32(min as f32)));
                assert_eq!(found.max(), Some(Scalar::F32(max as f32)));
            }
        }
    });
}

#[test]
fn moments_keep_the_digits_of_a_small_variance() {
    on_all_gpus(&[], some, |gpus| {
        let rows = 30_000;
        let values = (0..rows).map(|row| 1e9 + f64::from(row % 100));
        let found = reduce_column(&cuda(gpus, 32 << 10), Arc::new(Float64Array::from_iter_values(values)));
        let Moments { count, mean, m2 } = found.moments();
        assert_eq!(count, 30_000);
        assert!((mean - (1e9 + 49.5)).abs() < 1e-5, "{mean}");
        // The variance of 0..100 is (100^2 - 1) / 12. Sums of squares near 1e18 would have lost it.
        assert!((m2 / f64::from(rows) - 833.25).abs() < 1e-4, "{m2}");
    });
}

#[test]
fn squares_that_overflow_are_infinite_and_those_of_infinity_are_not_a_number() {
    let m2_of = |gpus: &Arc<Gpus>, rows: i32, special: f64| {
        let values = (0..rows).map(|row| if row == 3 { special } else { f64::from(row % 10) });
        reduce_column(&cuda(gpus, 8 << 10), Arc::new(Float64Array::from_iter_values(values))).moments().m2
    };
    on_all_gpus(&[], some, |gpus| {
        for rows in [4, 10, 5000] {
            assert_eq!(m2_of(gpus, rows, 1e200), f64::INFINITY);
            assert!(m2_of(gpus, rows, 1e150).is_finite());
            for special in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
                assert!(m2_of(gpus, rows, special).is_nan());
            }
        }
    });
}

/// The documented order of additions: thread t of T adds rows t, t + T, ... of a chunk; the sums of neighboring threads are
/// added, then the sums of these; and those of chunks likewise.
#[test]
fn sums_have_the_documented_order_of_additions() {
    let values: Vec<f64> = (0..9000).map(|row| 1.0 / (f64::from(row) + 0.1)).collect();
    let tree = |mut sums: Vec<f64>| {
        while sums.len() > 1 {
            sums = sums.chunks(2).map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap()).collect();
        }
        sums[0]
    };
    on_all_gpus(&[], some, |gpus| {
        // Chunks of 6,016 rows have two blocks of 256 threads, the last one has one.
        for (chunk_rows, threads) in [(6016, [512, 256]), (4544, [512, 512])] {
            let chunks = values.chunks(chunk_rows).zip(threads).map(|(chunk, threads)| {
                let of_thread = |thread: usize| {
                    chunk.iter().skip(thread).step_by(threads).fold(0.0, |sum, value| sum + value)
                };
                tree((0..threads).map(of_thread).collect())
            });
            let expected = tree(chunks.collect());
            for _ in 0..2 {
                let all = Arc::new(Float64Array::from(values.clone()));
                let found = reduce_column(&cuda(gpus, chunk_rows * 8), all).sum();
                assert_eq!(found, Some(Scalar::F64(expected)), "chunks of {chunk_rows} rows");
            }
        }
    });
}

/// `x * 2 + 1` of a column of 100,000 rows.
fn plain() -> Case {
    let mut builder = Builder::new();
    let x = builder.add_input(input(DataType::Float64, true));
    let [one, two] = [1.0, 2.0].map(|number| builder.const_float(ScalarType::F64, number));
    let double = builder.binary(Binary::Multiply, x, two);
    let output = builder.binary(Binary::Add, double, one);
    let program = builder.finish_one(output).unwrap();
    let values = (0..100_000).map(|row| (row % 7 != 2).then_some(f64::from(row)));
    Case::new("x * 2 + 1".to_owned(), program, vec![Arc::new(values.collect::<Float64Array>())])
}

/// The exact sum of [`plain`].
fn plain_sum() -> f64 {
    (0..100_000u64).filter(|row| row % 7 != 2).map(|row| (2 * row + 1) as f64).sum()
}

#[test]
fn partial_results_are_copied_instead_of_arrays() {
    let case = plain();
    let sums = |_| Reductions { sum: true, ..Reductions::default() };
    on_all_gpus(&[], some, |gpus| {
        let cuda = cuda(gpus, 1 << 18);
        let mut sum = accumulators(&case.program, sums);
        let reduced = reduce(&cuda, &case, &mut sum).unwrap();
        let context = KernelContext::default();
        cuda.compile(&case.program).unwrap().evaluate(&case.inputs, case.rows, &context).unwrap();
        let evaluated = context.metrics.snapshot().count(D2H_BYTES);
        assert!(evaluated >= 8 * 100_000, "{evaluated}");
        // A count and a sum, 12 bytes, for 16 rows.
        assert!(reduced.d2h_bytes < 100_000, "{}", reduced.d2h_bytes);
        assert_eq!(sum[0].sum(), Some(Scalar::F64(plain_sum())));
    });
}

/// Settings with a limit of memory.
fn settings(memory_limit: usize) -> CudaSettings {
    CudaSettings { memory_limit, chunk_bytes: 8 * 65_536 }
}

#[test]
fn exhausted_memory_shrinks_chunks_or_reduces_once_on_the_cpu() {
    let Some((gpus, controls)) = simulated() else { return };
    let case = plain();
    for (device, limit, fallbacks) in [
        (600_000, usize::MAX, 0),
        (usize::MAX, 1 << 20, 0),
        (1 << 10, usize::MAX, 1),
        (usize::MAX, 1 << 10, 1),
    ] {
        controls.memory_limit.store(device, Ordering::Relaxed);
        gpus.trim();
        let cuda = warpframe_cuda::Cuda::new(Arc::clone(&gpus), settings(limit), Arc::new(Interpreter));
        let mut sum = accumulators(&case.program, |_| ALL);
        let before = controls.launches().len();
        let reduced = reduce(&cuda, &case, &mut sum).unwrap();
        assert_eq!(
            (reduced.rows, reduced.batches, reduced.fallback_batches),
            (100_000, 1 - fallbacks, fallbacks)
        );
        let launches = controls.launches().len() - before;
        assert!(if fallbacks == 0 { launches > 2 } else { launches == 0 }, "{launches} launches");
        assert_eq!(sum[0].sum(), Some(Scalar::F64(plain_sum())), "{device} {limit}");
    }
    drop(gpus);
    controls.assert_no_violations();
}

#[test]
fn a_failure_leaves_no_part_of_a_batch_in_the_accumulators() {
    let Some((gpus, controls)) = simulated() else { return };
    let (case, cuda) = (plain(), cuda(&gpus, 32 << 10));
    let mut sum = accumulators(&case.program, |_| ALL);
    for operation in [Operation::MemcpyHtoD, Operation::MemcpyDtoH, Operation::Launch, Operation::Wait] {
        // In the sixth chunk.
        controls.fail_nth(operation, 6);
        let error = reduce(&cuda, &case, &mut sum).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("a call of the GPU's driver has failed"), "{error}");
        assert_eq!(sum[0].count(), 0, "{operation:?}");
    }
    assert_eq!(reduce(&cuda, &case, &mut sum).unwrap().rows, 100_000);
    assert_eq!(sum[0].sum(), Some(Scalar::F64(plain_sum())));
    drop((cuda, gpus));
    controls.assert_no_violations();
}

#[test]
fn batches_are_reduced_on_all_gpus() {
    if !has_compiler() {
        return skipped("there is no C++ compiler to compile kernels for the CPU");
    }
    let (gpus, controls) = FakeDriver::gpus(2);
    let (case, cuda) = (plain(), cuda(&gpus, 1 << 20));
    let mut sum = accumulators(&case.program, |_| ALL);
    for _ in 0..4 {
        reduce(&cuda, &case, &mut sum).unwrap();
    }
    assert_eq!(sum[0].sum(), Some(Scalar::F64(4.0 * plain_sum())));
    assert_eq!(controls.launches(), [0, 1, 0, 1]);
    drop((cuda, gpus));
    controls.assert_no_violations();
}

/// Cases whose arrays the CPU reduces, which a GPU has evaluated.
#[test]
fn arrays_are_reduced_where_a_kernel_cannot() {
    let Some((gpus, controls)) = simulated() else { return };
    let launched_arrays = |case: &Case, expected: Option<Scalar>| {
        let mut found = accumulators(&case.program, |_| ALL);
        let reduced = reduce(&cuda(&gpus, 1 << 17), case, &mut found).unwrap();
        assert_eq!((reduced.batches, reduced.fallback_batches), (1, 0), "{}", case.name);
        assert!(reduced.d2h_bytes >= 8 * case.rows as u64, "{}", case.name);
        assert_eq!(found[0].sum(), expected, "{}", case.name);
    };
    // 90 outputs with 6 columns each.
    let mut builder = Builder::new();
    let x = builder.add_input(input(DataType::Int64, false));
    let outputs = (0..90).map(|number| {
        let number = builder.const_integer(ScalarType::I64, number + 1);
        Output { value: builder.binary(Binary::Add, x, number), data_type: DataType::Int64 }
    });
    let outputs = outputs.collect();
    let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
    let case = Case::new("90 outputs".to_owned(), builder.finish(outputs, None).unwrap(), vec![rows]);
    launched_arrays(&case, Some(Scalar::I64(500_500)));

    // A strict program, whose nulls are those of the array, even if they are not declared.
    let mut builder = Builder::new();
    let x = builder.add_input(input(DataType::Int64, false));
    let negated = builder.unary(Unary::Negate, x);
    let values: Int64Array = (0..1000).map(|row| (row % 10 == 0).then_some(row)).collect();
    let program = builder.finish_one(negated).unwrap();
    launched_arrays(
        &Case::new("undeclared nulls".to_owned(), program, vec![Arc::new(values)]),
        Some(Scalar::I64(-49_500)),
    );

    // Accumulators of another type are an error, as for arrays.
    let case = column(Arc::new(Int64Array::from_iter_values(0..10)));
    let mut wrong = [Accumulator::new(ScalarType::F64, ALL)];
    assert!(matches!(reduce(&cuda(&gpus, 64), &case, &mut wrong), Err(Error::InvalidInput(_))));
    drop(gpus);
    controls.assert_no_violations();
}

#[test]
fn shipped_kernels_reduce_without_a_compiler() {
    let Some((gpus, controls)) = simulated() else { return };
    controls.compiler.store(false, Ordering::Relaxed);
    let log3 = Builder::function(ScalarType::F64, 3, |builder, arguments| {
        let [x, y, z] = [0, 1, 2].map(|position| builder.unary(Unary::Ln, arguments[position]));
        let product = builder.binary(Binary::Multiply, x, y);
        builder.binary(Binary::Multiply, product, z)
    });
    let values: ArrayRef = Arc::new(Float64Array::from(vec![std::f64::consts::E; 1000]));
    let case = Case::new("log3".to_owned(), log3.unwrap(), vec![values; 3]);
    let mut sum = accumulators(&case.program, |_| ALL);
    assert_eq!(reduce(&cuda(&gpus, 256), &case, &mut sum).unwrap().batches, 1);
    assert_eq!(sum[0].sum(), Some(Scalar::F64(1000.0)));
    let case = plain();
    let error = reduce(&cuda(&gpus, 256), &case, &mut accumulators(&case.program, |_| ALL)).map(|_| ());
    assert!(error.unwrap_err().to_string().contains("there is no compiler"));
    drop(gpus);
    controls.assert_no_violations();
}

#[test]
fn no_rows_are_reduced_to_nothing() {
    let Some((gpus, controls)) = simulated() else { return };
    let case = column(Arc::new(Int64Array::from(Vec::<i64>::new())));
    let mut found = accumulators(&case.program, |_| ALL);
    assert_eq!(reduce(&cuda(&gpus, 64), &case, &mut found).unwrap().rows, 0);
    assert_eq!((found[0].count(), found[0].sum(), found[0].min()), (0, None, None));
    assert!(controls.launches().is_empty());
}

#[test]
fn reducing_kernels_compile_for_all_architectures_without_spills() {
    let Some(compiler) = compiler(None) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = [columns_of_all_types(), random_cases(6), vec![selection(2, 10)]].concat();
    for architecture in ARCHITECTURES {
        // The programs of many types differ little.
        let ends = [ARCHITECTURES[0], ARCHITECTURES[ARCHITECTURES.len() - 1]].contains(&architecture);
        let mut used = Vec::new();
        for case in cases.iter().step_by(if ends { 3 } else { 11 }) {
            let kernel = kernel(&case.program, &accumulators(&case.program, |_| ALL));
            let Some(ptx) = ptx(&compiler, &kernel, architecture) else { break };
            assert!(ptx.contains(&format!(".entry {}(", kernel.name)), "{}", case.name);
            used.extend(assemble_without_spills(folder.path(), &ptx, architecture).into_iter().flatten());
        }
        let registers = used.iter().map(|used| used.registers).max();
        println!("sm_{architecture}: {} kernels, at most {registers:?} registers, no spills", used.len());
    }
}
