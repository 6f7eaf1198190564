//! What an evaluation copies, sets and allocates on a simulated GPU.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use warpframe_cuda::metrics::{D2H_BYTES, H2D_BYTES};
use warpframe_cuda::{Cuda, Gpus, KernelSource};
use warpframe_ir::{
    Backend, Binary, Builder, Comparison, Interpreter, KernelContext, Output, Program, Scalar, ScalarType,
    Trap,
};

use super::gpu::Controls;
use super::programs::{Case, array, input};
use super::{cuda, selection, simulated};

/// The number of rows, 8 chunks of 640 rows and one of 250.
const ROWS: usize = 5370;
const CHUNKS: usize = 9;

/// The bytes of 640 rows of three columns of `Int64` that may be null.
const CHUNK_BYTES: usize = 640 * 3 * 65 / 8;

/// `x + y - z` of columns that may be null, and optionally a check that fails in no row.
fn three_columns(can_trap: bool) -> Case {
    let mut builder = Builder::new();
    let [x, y, z] = [(); 3].map(|()| builder.add_input(input(DataType::Int64, true)));
    let sum = builder.binary(Binary::Add, x, y);
    let result = builder.binary(Binary::Subtract, sum, z);
    if can_trap {
        let min = builder.const_integer(ScalarType::I64, i64::MIN);
        let is_min = builder.compare(Comparison::Eq, result, min);
        builder.trap_if(Trap::DivideByZero, is_min, &[]);
    }
    // Outputs with different nulls: the kernel computes validity.
    let is_less = builder.compare(Comparison::Lt, x, y);
    let outputs = [(result, DataType::Int64), (is_less, DataType::Boolean)];
    let outputs = outputs.map(|(value, data_type)| Output { value, data_type }).to_vec();
    let program = builder.finish(outputs, None).unwrap();
    let column = |factor: i64| -> ArrayRef {
        let values =
            (0..ROWS as i64).map(|row| (row % (factor + 5) != 2).then_some(Scalar::I64(row * factor)));
        array(&DataType::Int64, &values.collect::<Vec<_>>())
    };
    Case::new("x + y - z".to_owned(), program, vec![column(1), column(2), column(3)])
}

/// The calls of the driver for an evaluation, which is compared with the interpreter's: copies to the GPU, copies from it,
/// memsets, and the bytes of the copies.
fn calls(cuda: &Cuda, controls: &Controls, case: &Case) -> ([usize; 3], [u64; 2]) {
    let counts = || [controls.htod_sources().len(), controls.dtoh_copies(), controls.memsets()];
    let (before, context) = (counts(), KernelContext::default());
    let found = cuda.compile(&case.program).unwrap().evaluate(&case.inputs, case.rows, &context).unwrap();
    let expected = Interpreter::evaluate(&case.program, &case.inputs, case.rows).unwrap();
    assert_eq!(found.columns, expected.columns, "{}", case.name);
    let mut made = counts();
    made.iter_mut().zip(before).for_each(|(count, before)| *count -= before);
    let metrics = context.metrics.snapshot();
    (made, [H2D_BYTES, D2H_BYTES].map(|name| metrics.count(name)))
}

fn assert_nothing_leaked(gpus: Arc<Gpus>, controls: &Controls) {
    drop(gpus);
    controls.assert_no_violations();
}

/// Bytes at most, with an alignment of each of some columns in each chunk.
fn aligned(bytes: usize, columns: usize) -> std::ops::RangeInclusive<u64> {
    bytes as u64..=(bytes + CHUNKS * columns * 256) as u64
}

#[test]
fn a_chunk_is_one_copy_to_the_gpu() {
    let Some((gpus, controls)) = simulated() else { return };
    for can_trap in [false, true] {
        let ([to_gpu, from_gpu, memsets], [h2d, d2h]) =
            calls(&cuda(&gpus, CHUNK_BYTES), &controls, &three_columns(can_trap));
        assert_eq!(to_gpu, CHUNKS, "all columns and their validity");
        // The numbers are copied to the result, and the bitmaps, with the trap code, to staging memory.
        assert_eq!(from_gpu, 2 * CHUNKS);
        assert_eq!(memsets, if can_trap { CHUNKS } else { 0 });
        // A number and a bit of each column; of the results the number, its validity, the truth value and its validity.
        assert!(aligned(ROWS * 3 * 65 / 8, 6).contains(&h2d), "{h2d}");
        assert!(aligned(ROWS * 8 + 3 * ROWS / 8, 4).contains(&d2h), "{d2h}");
    }
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn numbers_without_nulls_are_the_only_copy_from_the_gpu() {
    let Some((gpus, controls)) = simulated() else { return };
    let mut builder = Builder::new();
    let x = builder.add_input(input(DataType::Float64, false));
    let double = builder.binary(Binary::Add, x, x);
    let program = builder.finish_one(double).unwrap();
    let values: Vec<_> = (0..ROWS).map(|row| Some(Scalar::F64(row as f64))).collect();
    let case = Case::new("x + x".to_owned(), program, vec![array(&DataType::Float64, &values)]);
    let (calls, bytes) = calls(&cuda(&gpus, 640 * 8), &controls, &case);
    assert_eq!((calls, bytes), ([CHUNKS, CHUNKS, 0], [ROWS as u64 * 8; 2]));
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn pinned_columns_are_copied_apart_from_their_staged_neighbors() {
    let Some((gpus, controls)) = simulated() else { return };
    let (mut case, cuda) = (three_columns(false), cuda(&gpus, CHUNK_BYTES));
    // The first column is pinned; its validity and the other columns are neighbors in staging memory.
    case.inputs[0] = cuda.pin(&case.inputs[0]).unwrap();
    let ([to_gpu, ..], _) = calls(&cuda, &controls, &case);
    assert_eq!(to_gpu, 2 * CHUNKS);
    // Staged parts on both sides of a pinned column are two copies.
    case.inputs.swap(0, 1);
    let ([to_gpu, ..], _) = calls(&cuda, &controls, &case);
    assert_eq!(to_gpu, 3 * CHUNKS);
    drop((case, cuda));
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn bitmaps_are_right_at_all_numbers_of_rows() {
    let Some((gpus, controls)) = simulated() else { return };
    let case = three_columns(false);
    for rows in [1, 2, 31, 32, 33, 63, 64, 65, 95, 96, 97, 255, 256, 257, 639, 640, 641, 1000] {
        let inputs = case.inputs.iter().map(|column| column.slice(5, rows)).collect();
        let part = Case { name: format!("{rows} rows"), inputs, rows, ..case.clone() };
        calls(&cuda(&gpus, CHUNK_BYTES), &controls, &part);
    }
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn results_are_in_ordinary_memory_if_page_locked_memory_does_not_suffice() {
    let Some((gpus, controls)) = simulated() else { return };
    let cases = [three_columns(false), selection(2, ROWS), selection(100, ROWS)];
    let launches = |cuda: &Cuda, case: &Case| {
        let before = controls.launches().len();
        calls(cuda, &controls, case);
        controls.launches().len() - before
    };
    for case in &cases {
        gpus.limit_pinned_memory(usize::MAX);
        let expected = launches(&cuda(&gpus, CHUNK_BYTES), case);
        for (limit, driver_limit) in [(1 << 10, usize::MAX), (usize::MAX, 400_000)] {
            gpus.trim();
            gpus.limit_pinned_memory(limit);
            controls.pinned_limit.store(driver_limit, Ordering::Relaxed);
            let found = launches(&cuda(&gpus, CHUNK_BYTES), case);
            assert_eq!(found, expected, "{}: chunks stay as large as they are", case.name);
        }
        controls.pinned_limit.store(usize::MAX, Ordering::Relaxed);
    }
    assert_nothing_leaked(gpus, &controls);
}

#[test]
fn page_locked_memory_of_results_has_a_limit() {
    let Some((gpus, controls)) = simulated() else { return };
    let (case, cuda) = (three_columns(false), cuda(&gpus, CHUNK_BYTES));
    let kernel = cuda.compile(&case.program).unwrap();
    gpus.limit_pinned_memory(100_000);
    let mut results = Vec::new();
    let pinned = || controls.pinned_bytes();
    for _ in 0..10 {
        results.push(kernel.evaluate(&case.inputs, case.rows, &KernelContext::default()).unwrap());
    }
    let all = pinned();
    gpus.limit_pinned_memory(0);
    results.clear();
    gpus.trim();
    // Two results of 42,960 bytes are in page-locked memory, and staging memory is a few columns of three chunks.
    assert!((80_000..300_000).contains(&all), "{all}");
    assert_eq!(pinned(), 0);
    assert!(cuda.pin(&case.inputs[0]).unwrap_err().to_string().contains("a quarter of the host's memory"));
    drop((kernel, cuda));
    assert_nothing_leaked(gpus, &controls);
}

/// A slot of a chunk that fits into the memory once is not kept for smaller chunks, of which there are several at a time.
#[test]
fn smaller_chunks_do_not_use_the_memory_of_larger_ones() {
    let Some((gpus, controls)) = simulated() else { return };
    let mut builder = Builder::new();
    let x = builder.add_input(input(DataType::Float64, false));
    let double = builder.binary(Binary::Add, x, x);
    let program = builder.finish_one(double).unwrap();
    let values: Vec<_> = (0..100_000).map(|row| Some(Scalar::F64(f64::from(row)))).collect();
    let case = Case::new("x + x".to_owned(), program, vec![array(&DataType::Float64, &values)]);
    // 16 bytes for each of 65,536 rows, and for a quarter of them in addition.
    controls.memory_limit.store(65_536 * 20, Ordering::Relaxed);
    let before = controls.launches().len();
    calls(&cuda(&gpus, 65_536 * 8), &controls, &case);
    // In chunks of 16,384 rows, not on the CPU.
    assert_eq!(controls.launches().len() - before, 7);
    assert_nothing_leaked(gpus, &controls);
}

/// A program that cannot trap has no parameter for the code of a trap.
#[test]
fn only_programs_that_can_trap_have_a_trap_code() {
    let source = |program: &Program| KernelSource::of(program).text.into_owned();
    assert!(!source(&three_columns(false).program).contains("int *trap"));
    assert!(source(&three_columns(true).program).contains("int *trap"));
}
