//! Random programs over all types, instructions, several outputs and predicates: the SIMD paths must give results within the
//! error bounds of the ops, and the nulls, rows and traps of the interpreter. And serialized programs that are damaged: they are
//! refused, or are programs that all backends evaluate alike.

mod common;

use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use common::programs::{Case, Checked, Random, array, case, check};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use warpframe::cpu::{NATIVE_COMPILE_TIME, Simd, SimdPath};
use warpframe::ir::{
    Accumulator, Backend, Binary, Builder, Comparison, Error, Evaluated, Input, Interpreter, Kernel,
    KernelContext, Output, Program, Reductions, ScalarType, Trap, Unary, Value, write_values,
};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

/// A runner of this many cases, or as many as the environment variable `PROPTEST_CASES` says.
fn runner(cases: u32) -> TestRunner {
    let config = Config { failure_persistence: None, ..Config::default() };
    TestRunner::new(match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => Config { cases, ..config },
    })
}

/// Reductions must be those of the arrays of an evaluation, in each bit. Several evaluations fill several chunks.
fn check_reductions(case: &Case, kernel: &dyn Kernel, evaluated: &Result<Evaluated, Error>) {
    let all = Reductions { sum: true, min: true, max: true, moments: true };
    // Native code adds up what is nothing but a sum.
    for reductions in [all, ONLY_SUM] {
        check_reductions_of(case, kernel, evaluated, reductions);
    }
}

const ONLY_SUM: Reductions = Reductions { sum: true, min: false, max: false, moments: false };

/// An accumulator for each output of a program.
fn accumulators(program: &Program, reductions: Reductions) -> Vec<Accumulator> {
    let outputs = program.outputs().iter();
    outputs.map(|output| Accumulator::new(program.scalar_type(output.value), reductions)).collect()
}

fn check_reductions_of(
    case: &Case,
    kernel: &dyn Kernel,
    evaluated: &Result<Evaluated, Error>,
    reductions: Reductions,
) {
    let [mut expected, mut found] = [(); 2].map(|()| accumulators(&case.program, reductions));
    for _ in 0..10 {
        let rows = kernel.reduce(&case.inputs, case.rows, &KernelContext::default(), &mut found);
        match (evaluated, rows) {
            (Ok(evaluated), Ok(rows)) => assert_eq!(evaluated.reduce(&mut expected).unwrap(), rows),
            (Err(one), Err(other)) => return assert_eq!(one.to_string(), other.to_string()),
            (one, other) => panic!("{one:?} and {other:?}"),
        }
    }
    for (expected, found) in expected.iter().zip(&found) {
        let results = |one: &Accumulator| {
            let moments = one.moments();
            let moments = (moments.count, moments.mean.to_bits(), moments.m2.to_bits());
            (one.count(), one.sum(), one.min(), one.max(), moments)
        };
        assert_eq!(results(expected), results(found), "{}", kernel.description());
    }
}

/// Values that are written into memory of the caller, aligned or not, past the caches or not, must be those of the array of an
/// evaluation.
fn check_evaluate_into(case: &Case, kernel: &dyn Kernel, evaluated: &Result<Evaluated, Error>) {
    let [output] = case.program.outputs() else { return };
    let width = output.data_type.primitive_width().unwrap_or(1);
    let rows = evaluated.as_ref().map_or(case.rows, |evaluated| evaluated.rows);
    for (offset, non_temporal) in [(0, false), (0, true), (4, false), (8, true), (1, false)] {
        let context = KernelContext { non_temporal, ..KernelContext::default() };
        let mut memory = vec![MaybeUninit::new(0xAAu8); 64 + rows * width + 64];
        let start = memory.as_ptr().align_offset(64) + offset;
        let target = &mut memory[start..][..rows * width];
        let written = kernel.evaluate_into(&case.inputs, case.rows, &context, target);
        let (column, nulls) = match (evaluated, written) {
            (Ok(evaluated), Ok(nulls)) => (&evaluated.columns[0], nulls),
            (Err(one), Err(other)) => {
                assert_eq!(one.to_string(), other.to_string());
                continue;
            }
            (one, other) => panic!("{one:?} and {other:?}"),
        };
        let mut expected = vec![MaybeUninit::new(0u8); rows * width];
        let expected_nulls = write_values(column, &mut expected).unwrap();
        let is_null =
            |nulls: &Option<NullBuffer>, row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        // SAFETY: all bytes were initialized above.
        let read = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init_read() };
        for row in 0..rows {
            assert_eq!(is_null(&nulls, row), is_null(&expected_nulls, row), "{}", kernel.description());
            let bytes = |memory: &[MaybeUninit<u8>]| -> Vec<u8> {
                memory[row * width..][..width].iter().map(read).collect()
            };
            if !is_null(&nulls, row) {
                assert_eq!(bytes(target), bytes(&expected), "{}", kernel.description());
            }
        }
        // Nothing is written behind the values.
        assert!(memory[start + rows * width..].iter().all(|byte| read(byte) == 0xAA));
    }
}

/// Values, nulls and rows must be equal in each bit.
fn check_bits(one: &Result<Evaluated, Error>, other: &Result<Evaluated, Error>, name: &str) {
    let (one, other) = match (one, other) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(one), Err(other)) => return assert_eq!(one.to_string(), other.to_string(), "{name}"),
        (one, other) => panic!("{name}: {one:?} and {other:?}"),
    };
    assert_eq!(one.rows, other.rows, "{name}");
    for (one, other) in one.columns.iter().zip(&other.columns) {
        let bytes = |array: &ArrayRef| {
            let mut bytes =
                vec![MaybeUninit::new(0u8); array.len() * array.data_type().primitive_width().unwrap_or(1)];
            let nulls = write_values(array, &mut bytes).unwrap();
            // SAFETY: all bytes were initialized.
            let bytes: Vec<u8> = bytes.iter().map(|byte| unsafe { byte.assume_init_read() }).collect();
            (bytes, nulls)
        };
        let ((one, one_nulls), (other, other_nulls)) = (bytes(one), bytes(other));
        let width = one.len().checked_div(other_nulls.as_ref().map_or(0, |nulls| nulls.len()));
        for (position, (one, other)) in one.iter().zip(&other).enumerate() {
            let is_null = |nulls: &Option<NullBuffer>| {
                nulls.as_ref().zip(width).is_some_and(|(nulls, width)| nulls.is_null(position / width))
            };
            assert_eq!(is_null(&one_nulls), is_null(&other_nulls), "{name}, byte {position}");
            assert!(is_null(&one_nulls) || one == other, "{name}, byte {position}: {one} and {other}");
        }
    }
}

/// Evaluates a case on all paths, by loops and by native code, and checks the results.
fn check_paths(case: &Case) -> Checked {
    let mut checked = Checked::default();
    for path in SimdPath::available() {
        let simd = Simd::on(path).unwrap();
        let kernel = simd.compile(&case.program).unwrap();
        let result = kernel.evaluate(&case.inputs, case.rows, &KernelContext::default());
        let native = simd.with_native_code().compile(&case.program).unwrap();
        let native_result = native.evaluate(&case.inputs, case.rows, &KernelContext::default());
        check_bits(&result, &native_result, &native.description());
        check_reductions(case, native.as_ref(), &native_result);
        check_evaluate_into(case, native.as_ref(), &native_result);
        check_reductions(case, kernel.as_ref(), &result);
        check_evaluate_into(case, kernel.as_ref(), &result);
        let Checked { known, unknown, traps } = check(case, result, path.name());
        checked.known += known;
        checked.unknown += unknown;
        checked.traps += traps;
    }
    checked
}

/// Numbers for which formulas have code of their own: special ones, and those at the limits of the common ranges.
fn critical_numbers() -> Vec<f64> {
    let magnitudes = [
        0.0,
        f64::from_bits(1),
        f64::MIN_POSITIVE,
        f64::from(f32::MIN_POSITIVE),
        1e-271,
        0.3,
        0.5,
        0.99,
        1.0,
        1.5,
        2.0,
        27.0,
        88.8,
        349.0,
        351.0,
        707.9,
        708.1,
        (1u64 << 27) as f64,
        1e16,
        1e300,
        f64::from(f32::MAX),
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
    ];
    let near = |x: f64| [x.next_down(), x, x.next_up()];
    magnitudes.into_iter().flat_map(near).flat_map(|x| [x, -x]).collect()
}

/// Integers around zero, powers of two and limits.
fn critical_integers() -> Vec<i64> {
    let powers = [0, 1, 4, 15, 30, 31, 32, 49, 50, 51, 52, 62].map(|bits| 1i64 << bits);
    let near = powers.into_iter().flat_map(|power| [power - 1, power, power + 1]);
    let all = near.chain([5, 7, 10, 1_000_003, i64::MAX]).flat_map(|number| [number, -number]);
    all.chain([i64::MIN]).collect()
}

/// Columns in which critical numbers are in every position of a word, next to common ones, and words without any.
fn critical_columns(scalar_type: ScalarType) -> [ArrayRef; 2] {
    let (critical, integers) = (critical_numbers(), critical_integers());
    let hash = |row: u64| row.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // The position of a critical number among `count`, if the row has one.
    let position = |row: u64, stride: u64, count: usize| match row / 64 % 4 {
        0 => Some((row * stride % count as u64) as usize),
        1 if row.is_multiple_of(13) => Some((row * stride / 13 % count as u64) as usize),
        _ => None,
    };
    let number = |row: u64, stride: u64| match position(row, stride, critical.len()) {
        Some(position) => critical[position],
        None => (hash(row * stride) >> 40) as f64 / 1e6,
    };
    let integer = |row: u64, stride: u64| match position(row, stride, integers.len()) {
        Some(position) => integers[position],
        None => (hash(row * stride) as i64) >> 40,
    };
    let rows = 0..40_007;
    [1, 7].map(|stride| -> ArrayRef {
        let numbers = rows.clone().map(|row| number(row, stride));
        let integers = rows.clone().map(|row| integer(row, stride));
        match scalar_type {
            ScalarType::F32 => Arc::new(numbers.map(|x| Some(x as f32)).collect::<Float32Array>()),
            ScalarType::F64 => Arc::new(numbers.map(Some).collect::<Float64Array>()),
            ScalarType::I32 => Arc::new(integers.map(|x| Some(x as i32)).collect::<Int32Array>()),
            ScalarType::I64 => Arc::new(integers.map(Some).collect::<Int64Array>()),
            ScalarType::Bool => Arc::new(integers.map(|x| Some(x % 3 == 0)).collect::<BooleanArray>()),
        }
    })
}

/// The paths for which there is native code.
fn native_paths() -> Vec<SimdPath> {
    let is_native = |path: &SimdPath| matches!(path, SimdPath::Avx2 | SimdPath::Avx512);
    SimdPath::available().into_iter().filter(is_native).collect()
}

/// Starts and numbers of rows of slices.
const SLICES: [(usize, usize); 5] = [(0, 40_007), (63, 1), (129, 100), (3, 1027), (10_000, 30_000)];

/// Native code of a program must have the bits of the loops, in slices of the inputs.
fn check_native(program: &Arc<Program>, inputs: &[ArrayRef; 2], slices: &[(usize, usize)], name: &str) {
    for path in native_paths() {
        let simd = Simd::on(path).unwrap();
        let native = simd.with_native_code().compile(program).unwrap();
        assert_eq!(native.description(), format!("native {path}"), "{name}");
        let loops = simd.compile(program).unwrap();
        for &(start, rows) in slices {
            let inputs =
                inputs[..program.inputs().len()].iter().map(|input| input.slice(start, rows)).collect();
            let case = Case { program: Arc::clone(program), inputs, rows };
            let results = [&loops, &native]
                .map(|kernel| kernel.evaluate(&case.inputs, rows, &KernelContext::default()));
            check_bits(&results[0], &results[1], &format!("{path} {name}"));
            check_evaluate_into(&case, native.as_ref(), &results[1]);
            let sums = [&loops, &native].map(|kernel| {
                let mut sums = accumulators(program, ONLY_SUM);
                kernel.reduce(&case.inputs, rows, &KernelContext::default(), &mut sums).unwrap();
                sums.iter().map(|sum| (sum.count(), sum.sum())).collect::<Vec<_>>()
            });
            assert_eq!(sums[0], sums[1], "{path} {name}: {rows} rows from {start}");
        }
    }
}

#[test]
fn native_code_of_every_op_has_the_bits_of_its_loop() {
    if native_paths().is_empty() {
        return println!("SKIPPED: there is no native code for this CPU");
    }
    for scalar_type in [ScalarType::F64, ScalarType::F32, ScalarType::I64, ScalarType::I32] {
        let inputs = critical_columns(scalar_type);
        let unary = Unary::ALL.iter().filter(|op| op.is_defined_for(scalar_type)).map(|&op| (Some(op), None));
        let binary =
            Binary::ALL.iter().filter(|op| op.is_defined_for(scalar_type)).map(|&op| (None, Some(op)));
        for (unary, binary) in unary.chain(binary) {
            let mut builder = Builder::new();
            let input = Input { data_type: scalar_type.data_type(), nullable: false };
            let [x, y] = [(); 2].map(|()| builder.add_input(input.clone()));
            let value = match (unary, binary) {
                (Some(op), _) => builder.unary(op, x),
                (_, Some(op)) => builder.binary(op, x, y),
                _ => unreachable!(),
            };
            // Another op, which reads an output.
            let sum = builder.binary(Binary::Add, value, y);
            let output = |value| Output { value, data_type: scalar_type.data_type() };
            let program = Arc::new(builder.finish(vec![output(value), output(sum)], None).unwrap());
            check_native(&program, &inputs, &SLICES, &format!("{scalar_type:?} {unary:?} {binary:?}"));
        }
    }
}

/// Constants are read from memory or kept in registers, and what depends on nothing else is computed before.
#[test]
fn native_code_of_floats_and_constants_has_the_bits_of_its_loop() {
    if native_paths().is_empty() {
        return println!("SKIPPED: there is no native code for this CPU");
    }
    for scalar_type in [ScalarType::F64, ScalarType::F32] {
        let inputs = critical_columns(scalar_type);
        for constant in [0.0, -0.0, 0.5, 1.0, 3.0, 10.0, -2.0, 1e-40, 1e30, f64::INFINITY, f64::NAN] {
            for &op in Binary::ALL.iter().filter(|op| op.is_defined_for(scalar_type)) {
                let mut builder = Builder::new();
                let x = builder.add_input(Input { data_type: scalar_type.data_type(), nullable: false });
                let constant_value = builder.const_float(scalar_type, constant);
                let values =
                    [(constant_value, x), (x, constant_value)].map(|(x, y)| builder.binary(op, x, y));
                let output = |value| Output { value, data_type: scalar_type.data_type() };
                let program = Arc::new(builder.finish(values.map(output).into(), None).unwrap());
                let name = format!("{scalar_type:?} {op:?} {constant}");
                check_native(&program, &inputs, &[(0, 600), (63, 1)], &name);
            }
        }
    }
}

/// More constants than registers, of operations whose other operand is not in one.
#[test]
fn native_code_of_many_constants_has_the_bits_of_its_loop() {
    if native_paths().is_empty() {
        return println!("SKIPPED: there is no native code for this CPU");
    }
    let inputs = critical_columns(ScalarType::I64);
    for count in [20, 28, 30, 31, 32, 33, 40] {
        let mut builder = Builder::new();
        let input = Input { data_type: DataType::Int64, nullable: false };
        let columns = [(); 2].map(|()| builder.add_input(input.clone()));
        let constants = critical_integers().into_iter().step_by(2).take(count);
        let mut found = builder.compare(Comparison::Eq, columns[0], columns[1]);
        for (position, constant) in constants.enumerate() {
            let constant = builder.const_integer(ScalarType::I64, constant);
            let is_equal = builder.compare(Comparison::BitEq, columns[position % 2], constant);
            found = builder.or(found, is_equal);
        }
        let output = Output { value: found, data_type: DataType::Boolean };
        let program = Arc::new(builder.finish(vec![output], None).unwrap());
        check_native(&program, &inputs, &[(0, 3000)], &format!("{count} constants"));
    }
}

/// Around the rows of vector registers, of mask words and of blocks.
#[test]
fn native_code_of_every_number_of_rows_has_the_bits_of_its_loop() {
    if native_paths().is_empty() {
        return println!("SKIPPED: there is no native code for this CPU");
    }
    let mut builder = Builder::new();
    let input = Input { data_type: DataType::Float64, nullable: false };
    let [x, y] = [(); 2].map(|()| builder.add_input(input.clone()));
    let (ln, sum) = (builder.unary(Unary::Ln, x), builder.binary(Binary::Add, x, y));
    let outputs = [ln, sum].map(|value| Output { value, data_type: DataType::Float64 });
    let program = Arc::new(builder.finish(outputs.into(), None).unwrap());
    let around = |rows: usize| rows.saturating_sub(66).max(1)..rows + 66;
    let slices: Vec<_> =
        [0, 1024, 8192, 9216].into_iter().flat_map(around).map(|rows| (rows % 7, rows)).collect();
    check_native(&program, &critical_columns(ScalarType::F64), &slices, "every number of rows");
}

/// Integers have code of their own for constant operands.
#[test]
fn native_code_of_integers_and_constants_has_the_bits_of_its_loop() {
    if native_paths().is_empty() {
        return println!("SKIPPED: there is no native code for this CPU");
    }
    for scalar_type in [ScalarType::I64, ScalarType::I32] {
        let inputs = critical_columns(scalar_type);
        let constants = critical_integers().into_iter().filter(|number| {
            // Of constants that are too large for quotients, the loops are used.
            number.unsigned_abs() < 1 << 50
                && (scalar_type == ScalarType::I64 || i32::try_from(*number).is_ok())
        });
        for constant in constants {
            let binary = Binary::ALL.iter().filter(|op| op.is_defined_for(scalar_type));
            let mut builder = Builder::new();
            let x = builder.add_input(Input { data_type: scalar_type.data_type(), nullable: false });
            let constant_value = builder.const_integer(scalar_type, constant);
            let mut values = Vec::new();
            for &op in binary {
                values.push(builder.binary(op, x, constant_value));
                values.push(builder.binary(op, constant_value, x));
            }
            let outputs = values
                .into_iter()
                .map(|value| Output { value, data_type: scalar_type.data_type() })
                .collect();
            let program = Arc::new(builder.finish(outputs, None).unwrap());
            check_native(&program, &inputs, &[(0, 600), (63, 1)], &format!("{scalar_type:?} {constant}"));
        }
    }
}

#[test]
fn native_code_of_every_cast_has_the_bits_of_its_loop() {
    if native_paths().is_empty() {
        return println!("SKIPPED: there is no native code for this CPU");
    }
    for from in ScalarType::ALL {
        let inputs = critical_columns(from);
        for to in ScalarType::ALL.into_iter().filter(|to| *to != from) {
            let mut builder = Builder::new();
            let input = Input { data_type: from.data_type(), nullable: false };
            let [x, y] = [(); 2].map(|()| builder.add_input(input.clone()));
            let casts = [x, y].map(|value| builder.cast(to, value));
            let outputs = casts.map(|value| Output { value, data_type: to.data_type() }).into();
            let program = Arc::new(builder.finish(outputs, None).unwrap());
            check_native(&program, &inputs, &SLICES, &format!("{from:?} to {to:?}"));
        }
    }
}

/// The validity of a choice is computed from its condition after native code, which must not have reused the condition's register.
#[test]
fn conditions_of_choices_stay_for_their_validity() {
    let mut builder = Builder::new();
    let x = builder.add_input(Input { data_type: DataType::Int32, nullable: false });
    let null = builder.null(ScalarType::I32);
    let is_less = builder.compare(Comparison::Lt, x, x);
    let chosen = builder.select(is_less, null, x);
    let is_equal = builder.compare(Comparison::Eq, chosen, x);
    let program = Arc::new(builder.finish_one(is_equal).unwrap());
    let rows = 100;
    let inputs: Vec<ArrayRef> = vec![Arc::new((0..rows).map(Some).collect::<Int32Array>())];
    check_paths(&Case { program, inputs, rows: rows as usize });
}

/// Of two NaN, the result is the first, also if one is constant. Its sign affects comparisons in the total order.
#[test]
fn nan_constants_keep_the_order_of_operands() {
    let negative = f64::NAN.copysign(-1.0);
    for (x, constant) in [(negative, f64::NAN), (f64::NAN, negative)] {
        for op in [Binary::Add, Binary::Multiply] {
            let mut builder = Builder::new();
            let input = builder.add_input(Input { data_type: DataType::Float64, nullable: false });
            let doubled = builder.binary(Binary::Add, input, input);
            let constant = builder.const_float(ScalarType::F64, constant);
            let result = builder.binary(op, doubled, constant);
            let is_less = builder.compare(Comparison::TotalLt, result, doubled);
            let program = Arc::new(builder.finish_one(is_less).unwrap());
            let inputs: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(vec![x; 67]))];
            check_paths(&Case { program, inputs, rows: 67 });
        }
    }
}

#[test]
fn the_loop_of_log3_agrees_with_the_interpreter() {
    for scalar_type in [ScalarType::F64, ScalarType::F32] {
        let program = Builder::function(scalar_type, 3, |builder, arguments| {
            let [x, y, z] = [0, 1, 2].map(|position| builder.unary(Unary::Ln, arguments[position]));
            let product = builder.binary(Binary::Multiply, x, y);
            builder.binary(Binary::Multiply, product, z)
        });
        let program = Arc::new(program.unwrap());
        // Around the rows of a mask word and of a block.
        for rows in [1, 63, 64, 65, 1023, 1024, 1025, 3000] {
            let column = |step: usize| -> ArrayRef {
                let numbers = (0..rows).map(|row| ((row * step + 1) % 997) as f64 / 31.0);
                match scalar_type {
                    ScalarType::F32 => Arc::new(Float32Array::from_iter_values(numbers.map(|x| x as f32))),
                    _ => Arc::new(Float64Array::from_iter_values(numbers)),
                }
            };
            let case = Case { program: Arc::clone(&program), inputs: [7, 11, 13].map(column).to_vec(), rows };
            assert_eq!(check_paths(&case).traps, 0);
        }
    }
}

/// Columns of numbers below 1e4, with subnormal numbers, for which formulas have code of their own, in one of so many rows.
fn columns_with_rare_numbers(scalar_type: ScalarType, one_of: u64) -> [ArrayRef; 2] {
    // Not zero, whose logarithm hides the sum of all others.
    let rare = [5e-324, f64::MIN_POSITIVE / 3.0, 1e-310, 1e-40];
    let number = |row: u64, stride: u64| match (row + 1) % one_of {
        0 => rare[(row / one_of * stride) as usize % rare.len()],
        _ => ((row * stride).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / 2000.0 + 1e-3,
    };
    [1, 7].map(|stride| -> ArrayRef {
        let numbers = (0..40_007).map(|row| number(row, stride));
        match scalar_type {
            ScalarType::F32 => Arc::new(numbers.map(|x| Some(x as f32)).collect::<Float32Array>()),
            ScalarType::F64 => Arc::new(numbers.map(Some).collect::<Float64Array>()),
            ScalarType::I32 => Arc::new(numbers.map(|x| Some(x as i32)).collect::<Int32Array>()),
            _ => Arc::new(numbers.map(|x| Some((x * 1e12) as i64)).collect::<Int64Array>()),
        }
    })
}

/// Programs with outputs that native code adds up, or does not: by one function, by several, beside others.
fn programs_of_sums(scalar_type: ScalarType) -> Vec<(&'static str, Arc<Program>)> {
    let program = |body: &dyn Fn(&mut Builder, [Value; 2]) -> Vec<Value>| {
        let mut builder = Builder::new();
        let input = Input { data_type: scalar_type.data_type(), nullable: true };
        let inputs = [(); 2].map(|()| builder.add_input(input.clone()));
        let outputs = body(&mut builder, inputs).into_iter();
        let outputs = outputs.map(|value| Output { value, data_type: scalar_type.data_type() });
        Arc::new(builder.finish(outputs.collect(), None).unwrap())
    };
    let product = |builder: &mut Builder, [x, y]: [Value; 2]| builder.binary(Binary::Multiply, x, y);
    let mut programs = vec![
        ("a product", program(&|builder, inputs| vec![product(builder, inputs)])),
        (
            "a sum of products",
            program(&|builder, [x, y]| {
                let [a, b] = [(x, y), (y, y)].map(|(x, y)| builder.binary(Binary::Multiply, x, y));
                vec![builder.binary(Binary::Add, a, b)]
            }),
        ),
        (
            "an input, and outputs of which one is part of the other",
            program(&|builder, [x, y]| {
                let a = product(builder, [x, y]);
                let b = builder.binary(Binary::Subtract, a, x);
                vec![b, x, a, builder.binary(Binary::Add, b, y)]
            }),
        ),
    ];
    if scalar_type.is_float() {
        programs.push((
            "formulas with rare rows",
            program(&|builder, [x, y]| {
                let hundred = builder.const_float(scalar_type, 100.0);
                let quotient = builder.binary(Binary::Divide, x, hundred);
                let (exp, ln) = (builder.unary(Unary::Exp, quotient), builder.unary(Unary::Ln, y));
                vec![exp, ln, builder.binary(Binary::Multiply, exp, ln)]
            }),
        ));
        programs.push((
            "a formula in parts",
            program(&|builder, [x, y]| {
                let mut value = x;
                for _ in 0..8 {
                    let sin = builder.unary(Unary::Sin, value);
                    value = builder.binary(Binary::Multiply, sin, y);
                }
                vec![value]
            }),
        ));
    }
    programs
}

/// Sums that native code computes itself must be those of arrays, in each bit, wherever the rows of a call end.
#[test]
fn sums_of_native_code_are_those_of_its_arrays() {
    if native_paths().is_empty() {
        return println!("SKIPPED: there is no native code for this CPU");
    }
    let with_most = Reductions { max: true, ..ONLY_SUM };
    // Whole chunks, then calls that end within a chunk.
    let slices = [(0, 8192), (0, 1024), (5, 2048), (0, 40_007), (3, 100), (64, 3000), (1, 40_000), (0, 924)];
    for scalar_type in [ScalarType::F64, ScalarType::I64, ScalarType::F32, ScalarType::I32] {
        for ((name, program), path) in programs_of_sums(scalar_type)
            .iter()
            .flat_map(|program| native_paths().into_iter().map(move |path| (program, path)))
        {
            for (one_of, reductions) in
                [(u64::MAX, ONLY_SUM), (20_000, ONLY_SUM), (50, ONLY_SUM), (5000, with_most)]
            {
                let columns = columns_with_rare_numbers(scalar_type, one_of);
                let kernel = Simd::on(path).unwrap().with_native_code().compile(program).unwrap();
                let outputs = program.outputs();
                let new = || -> Vec<_> {
                    // The last of several is only counted.
                    let reductions = |position| match position + 1 == outputs.len() && position > 1 {
                        true => Reductions::default(),
                        false => reductions,
                    };
                    (0..outputs.len()).map(|at| Accumulator::new(scalar_type, reductions(at))).collect()
                };
                let (mut expected, mut found) = (new(), new());
                for (start, rows) in slices {
                    let inputs = columns.each_ref().map(|column| column.slice(start, rows));
                    let context = KernelContext::default();
                    let evaluated = kernel.evaluate(&inputs, rows, &context).unwrap();
                    evaluated.reduce(&mut expected).unwrap();
                    let context = KernelContext::default();
                    assert_eq!(kernel.reduce(&inputs, rows, &context, &mut found).unwrap(), rows);
                    let compiles = !context.metrics.snapshot().time(NATIVE_COMPILE_TIME).is_zero();
                    let is_wide = matches!(scalar_type, ScalarType::F64 | ScalarType::I64);
                    // The first call makes the code for sums.
                    assert_eq!(
                        compiles,
                        (start, rows) == (0, 8192) && is_wide && reductions == ONLY_SUM,
                        "{name}"
                    );
                    for (position, (expected, found)) in expected.iter().zip(&found).enumerate() {
                        let results = |one: &Accumulator| (one.count(), one.sum(), one.max());
                        assert_eq!(
                            results(expected),
                            results(found),
                            "{scalar_type:?} {path} {name}, output {position}, rows from {start}, one of {one_of}"
                        );
                    }
                }
            }
        }
    }
}

/// Where native code leaves a number undefined, no condition of it is an error.
#[test]
fn sums_of_rare_rows_do_not_trap() {
    let mut builder = Builder::new();
    let x = builder.add_input(Input { data_type: DataType::Float64, nullable: false });
    let exp = builder.unary(Unary::Exp, x);
    let zero = builder.const_float(ScalarType::F64, 0.0);
    let is_negative = builder.compare(Comparison::Lt, exp, zero);
    builder.trap_if(Trap::SqrtOfNegative, is_negative, &[exp]);
    let sqrt = builder.unary(Unary::Sqrt, exp);
    let program = Arc::new(builder.finish_one(sqrt).unwrap());
    let rows = 3000;
    let x = (0..rows).map(|row| if row % 700 == 5 { -800.0 - row as f64 } else { 0.5 });
    let inputs: Vec<ArrayRef> = vec![Arc::new(Float64Array::from_iter_values(x))];
    assert_eq!(check_paths(&Case { program, inputs, rows }).traps, 0);
}

#[test]
fn threads_share_native_code() {
    let mut builder = Builder::new();
    let input = Input { data_type: DataType::Float64, nullable: false };
    let [x, y] = [(); 2].map(|()| builder.add_input(input.clone()));
    let exp = builder.unary(Unary::Exp, x);
    let sum = builder.binary(Binary::Add, exp, y);
    let program = Arc::new(builder.finish_one(sum).unwrap());
    let inputs = critical_columns(ScalarType::F64);
    let backend = Simd::active().unwrap().with_native_code();
    let evaluate = |kernel: &dyn Kernel| kernel.evaluate(&inputs, inputs[0].len(), &KernelContext::default());
    let expected = evaluate(Simd::active().unwrap().compile(&program).unwrap().as_ref());
    let shared = backend.compile(&program).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    check_bits(&expected, &evaluate(shared.as_ref()), "shared");
                    // Code that is unmapped while other threads execute theirs.
                    check_bits(&expected, &evaluate(backend.compile(&program).unwrap().as_ref()), "own");
                }
            });
        }
    });
}

#[test]
fn random_programs_agree_with_the_interpreter_on_every_path() {
    let total = std::cell::Cell::new(Checked::default());
    runner(3000)
        .run(&bytes(), |bytes| {
            let (mut sum, one) = (total.get(), check_paths(&case(&bytes)));
            sum.known += one.known;
            sum.unknown += one.unknown;
            sum.traps += one.traps;
            total.set(sum);
            Ok(())
        })
        .unwrap();
    let Checked { known, unknown, traps } = total.get();
    println!("{known} results are known, {unknown} depend on rounding errors, {traps} evaluations trap");
    assert!(known > 20 * unknown && traps > 10, "the programs are not representative: {:?}", total.get());
}

#[test]
fn damaged_programs_are_refused_or_evaluate_like_any_other() {
    let accepted = std::cell::Cell::new(0);
    let strategy = (bytes(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4));
    runner(4000)
        .run(&strategy, |(bytes, damages)| {
            let mut text = serde_json::to_string(&*case(&bytes).program).unwrap().into_bytes();
            for (index, byte) in damages {
                // Mostly digits become other digits, which more often gives a program than any other byte.
                let digits: Vec<_> = (0..text.len()).filter(|at| text[*at].is_ascii_digit()).collect();
                match byte % 8 {
                    0 => {
                        let position = index.index(text.len());
                        text[position] = byte;
                    }
                    _ => text[digits[index.index(digits.len())]] = b'0' + byte / 8 % 10,
                }
            }
            let Ok(program) = serde_json::from_slice::<Program>(&text) else { return Ok(()) };
            accepted.set(accepted.get() + 1);
            let rows = 67;
            let mut random = Random(7);
            let inputs = program.inputs().iter();
            let inputs =
                inputs.map(|input| array(&input.data_type, rows, input.nullable, random.next())).collect();
            check_paths(&Case { program: Arc::new(program), inputs, rows });
            Ok(())
        })
        .unwrap();
    println!("{} damaged programs are valid", accepted.get());
    assert!(accepted.get() > 100, "nearly all damaged programs are refused: {}", accepted.get());
}

#[test]
fn nulls_of_inputs_that_are_declared_without_are_found() {
    let mut compared = 0;
    for seed in 0..60u64 {
        let bytes: Vec<u8> = (0..200).map(|at| (Random(seed << 32 | at).next() >> 20) as u8).collect();
        let mut case = case(&bytes);
        if case.program.inputs().iter().all(|input| input.nullable) {
            continue;
        }
        let inputs = case.program.inputs().iter();
        case.inputs = inputs.map(|input| array(&input.data_type, case.rows, true, seed)).collect();
        compared += check_paths(&case).known;
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn the_interpreter_evaluates_no_rows() {
    let case = case(&[]);
    let empty: Vec<_> = case.inputs.iter().map(|input| input.slice(0, 0)).collect();
    let evaluated = Interpreter::evaluate(&case.program, &empty, 0).unwrap();
    assert_eq!((evaluated.rows, evaluated.columns[0].len()), (0, 0));
    for path in SimdPath::available() {
        let kernel = Simd::on(path).unwrap().compile(&case.program).unwrap();
        assert_eq!(kernel.evaluate(&empty, 0, &KernelContext::default()).unwrap().rows, 0);
    }
}
