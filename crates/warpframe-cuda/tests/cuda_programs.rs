//! Programs with all instructions, of all types, on simulated GPUs, whose kernels run on the CPU (see `gpu`), and on this
//! machine's GPUs, if it has any: compared with the interpreter. NVRTC and ptxas, where they are installed, compile the same
//! programs.

mod fault;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "../../../tests/common/gpu.rs"]
mod gpu;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "../../../tests/common/kernel_compiler.rs"]
mod kernel_compiler;
mod programs;
mod reductions;
#[path = "../../../tests/common/skipped.rs"]
mod skipped;
mod transfers;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use gpu::{Controls, FakeDriver, has_compiler};
use kernel_compiler::{ARCHITECTURES, assemble, compiler, ptx};
use programs::{Case, array, input, logical_types, random_cases, special_values, typed_cases};
use skipped::skipped;
use warpframe_cuda::metrics::{BATCHES, FALLBACK_BATCHES};
use warpframe_cuda::{Cuda, CudaSettings, Gpus, KernelSource};
use warpframe_ir::{
    Backend, Binary, Builder, Comparison, Error, ErrorInterval, Evaluated, IntegerType, Interpreter,
    KernelContext, MemoryBudget, Output, Program, Reservation, Scalar, ScalarType, Trap, Unary,
};

/// A simulated GPU with its controls; `None` without a C++ compiler.
fn simulated() -> Option<(Arc<Gpus>, Arc<Controls>)> {
    if !has_compiler() {
        skipped("there is no C++ compiler to compile kernels for the CPU");
        return None;
    }
    Some(FakeDriver::gpus(1))
}

/// Runs a test on a simulated GPU, for which the kernels of the cases are compiled together, and on this machine's GPUs.
fn on_all_gpus(cases: &[Case], test: impl Fn(&Arc<Gpus>)) {
    if let Some((gpus, controls)) = simulated() {
        let kernels: Vec<_> = cases.iter().map(|case| KernelSource::of(&case.program)).collect();
        kernels.chunks(40).for_each(|kernels| controls.compile_all(kernels));
        test(&gpus);
        drop(gpus);
        controls.assert_no_violations();
    }
    static ONCE: Once = Once::new();
    match warpframe_cuda::gpus() {
        Ok(gpus) => test(&gpus),
        Err(error) => ONCE.call_once(|| skipped(&format!("nothing is tested on a real GPU: {error}"))),
    }
}

/// The size of chunks of as few rows as possible, 64.
const SMALLEST_CHUNKS: usize = 1;

/// The default size of chunks, in which there is one for the rows of a test.
const LARGE_CHUNKS: usize = 8 << 20;

fn cuda(gpus: &Arc<Gpus>, chunk_bytes: usize) -> Cuda {
    let settings = CudaSettings { chunk_bytes, ..CudaSettings::default() };
    Cuda::new(Arc::clone(gpus), settings, Arc::new(Interpreter))
}

/// Evaluates a program on a GPU, and panics if the CPU has evaluated it instead.
fn evaluate(
    cuda: &Cuda,
    program: &Arc<Program>,
    inputs: &[ArrayRef],
    rows: usize,
) -> Result<Evaluated, Error> {
    let context = KernelContext::default();
    let evaluated = cuda.compile(program)?.evaluate(inputs, rows, &context)?;
    let count = |name: &str| context.metrics.snapshot().count(name);
    assert_eq!((count(BATCHES), count(FALLBACK_BATCHES)), (u64::from(rows > 0), 0));
    Ok(evaluated)
}

/// Whether two results have the same bits, or both are NaN.
fn same(one: Option<Scalar>, other: Option<Scalar>) -> bool {
    let is_nan = |x: Option<Scalar>| x.and_then(Scalar::as_float).is_some_and(f64::is_nan);
    one == other || is_nan(one) && is_nan(other)
}

/// For each value of a program, whether no backend may round it differently.
fn exact_values(program: &Program) -> Vec<bool> {
    let mut exact: Vec<bool> = Vec::new();
    for instruction in program.instructions() {
        let ulp = match instruction {
            warpframe_ir::Instruction::Unary(op, _) => op.info().ulp,
            warpframe_ir::Instruction::Binary(op, ..) => op.info().ulp,
            _ => 0.0,
        };
        let next = ulp <= 0.5 && instruction.operands().all(|operand| exact[operand.position()]);
        exact.push(next);
    }
    exact
}

/// Compares the results of a GPU with those of the interpreter: bit by bit, or within the error bounds of inexact ops.
/// Returns the number of compared values.
fn check(gpus: &Arc<Gpus>, case: &Case) -> usize {
    let Case { name, program, inputs, rows } = case;
    let expected = Interpreter::evaluate(program, inputs, *rows);
    let exact = exact_values(program);
    let mut compared = 0;
    // In one chunk, and in several with a partial last one.
    for chunk_bytes in [LARGE_CHUNKS, SMALLEST_CHUNKS] {
        let result = evaluate(&cuda(gpus, chunk_bytes), program, inputs, *rows);
        let (result, expected) = match (result, &expected) {
            (Ok(result), Ok(expected)) => (result, expected),
            (Err(Error::Trap(trap)), Err(Error::Trap(expected))) => {
                assert_eq!(trap.to_string(), expected.to_string(), "{name}");
                continue;
            }
            (result, expected) => panic!("{name}: {result:?}, not {expected:?}"),
        };
        assert_eq!(result.rows, expected.rows, "{name}: {chunk_bytes}");
        for (position, output) in program.outputs().iter().enumerate() {
            let (column, other) = (&result.columns[position], &expected.columns[position]);
            assert_eq!(column.data_type(), &output.data_type, "{name}");
            assert_eq!(column.len(), result.rows, "{name}");
            let definition = program.definition(output.value);
            for row in 0..result.rows {
                let [value, expected] = [column, other].map(|array| Scalar::read(array, row).unwrap());
                let near = || {
                    let intervals = ErrorInterval::of_values(program, inputs, row).unwrap();
                    intervals[output.value.position()].contains(value)
                };
                let inexact = !exact[output.value.position()] && program.predicate().is_none();
                assert!(
                    same(value, expected) || inexact && near(),
                    "{name}: output {position}, {definition:?}, row {row}: {value:?}, not {expected:?}"
                );
                compared += 1;
            }
        }
    }
    compared
}

#[test]
fn all_instructions_of_all_types_match_the_interpreter() {
    let cases = typed_cases();
    on_all_gpus(&cases, |gpus| {
        let compared: usize = cases.iter().map(|case| check(gpus, case)).sum();
        println!("{} programs, {compared} values", cases.len());
        assert!(compared > 500_000, "{compared}");
    });
}

#[test]
fn random_programs_match_the_interpreter() {
    let cases = random_cases(150);
    on_all_gpus(&cases, |gpus| {
        let compared: usize = cases.iter().map(|case| check(gpus, case)).sum();
        println!("{} programs, {compared} values", cases.len());
        assert!(compared > 50_000, "{compared}");
    });
}

/// All Arrow types of inputs and outputs, with nulls, the extremes, and arrays with offsets.
fn columns_of_all_types() -> Vec<Case> {
    let mut cases = Vec::new();
    for data_type in logical_types() {
        let scalar_type = ScalarType::of(&data_type).unwrap();
        for nullable in [true, false] {
            let values = special_values(scalar_type);
            let values: Vec<_> = values.into_iter().filter(|value| nullable || value.is_some()).collect();
            let to = if data_type == DataType::UInt64 { DataType::Float64 } else { data_type.clone() };
            // With one output the program is strict: the kernel does not compute validity.
            for outputs in [1, 3] {
                let mut builder = Builder::new();
                let x = builder.add_input(input(data_type.clone(), nullable));
                let other = match scalar_type {
                    ScalarType::Bool => builder.not(x),
                    number => {
                        let one = builder.const_integer(number, 1);
                        builder.binary(Binary::Add, x, one)
                    }
                };
                // The last one has all bits of a value that was read from a narrow type.
                let all = [(x, to.clone()), (other, to.clone()), (x, scalar_type.data_type())];
                let all = all.map(|(value, data_type)| Output { value, data_type });
                cases.push(Case::new(
                    format!("{data_type}, nullable: {nullable}, {outputs} outputs"),
                    builder.finish(all[..outputs].to_vec(), None).unwrap(),
                    vec![array(&data_type, &values)],
                ));
            }
        }
    }
    cases
}

#[test]
fn columns_of_all_types_are_read_and_written() {
    let cases = columns_of_all_types();
    on_all_gpus(&cases, |gpus| {
        for case in &cases {
            assert!(check(gpus, case) > 0);
        }
    });
}

/// A program with outputs of all widths and a predicate on its first input, and rows of which every `every`-th is selected.
fn selection(every: usize, rows: usize) -> Case {
    let mut builder = Builder::new();
    let keep = builder.add_input(input(DataType::Boolean, true));
    let number = builder.add_input(input(DataType::Int64, true));
    let plain = builder.add_input(input(DataType::Int32, false));
    let narrow = builder.cast(ScalarType::I32, number);
    let float = builder.cast(ScalarType::F64, number);
    let single = builder.cast(ScalarType::F32, plain);
    let even = builder.in_table(plain, &[0, 2, 4, 6, 8].map(Scalar::I32));
    let less = builder.compare(Comparison::Lt, narrow, plain);
    let outputs = [
        (narrow, DataType::Int8),
        (narrow, DataType::UInt16),
        (plain, DataType::Date32),
        (number, DataType::Int64),
        (float, DataType::Float64),
        (single, DataType::Float32),
        (even, DataType::Boolean),
        (less, DataType::Boolean),
    ];
    let outputs = outputs.map(|(value, data_type)| Output { value, data_type }).to_vec();
    let program = builder.finish(outputs, Some(keep)).unwrap();
    let of = |data_type: &DataType, value: &dyn Fn(usize) -> Option<Scalar>| {
        array(data_type, &(0..rows).map(value).collect::<Vec<_>>())
    };
    let keep = of(&DataType::Boolean, &|row| match (row % 11, row % every) {
        // Rows in which the predicate is null are not selected.
        (3, _) => None,
        (_, rest) => Some(Scalar::Bool(rest == every - 1)),
    });
    let number = of(&DataType::Int64, &|row| (row % 7 != 2).then_some(Scalar::I64(row as i64 * 37 - 5000)));
    let plain = of(&DataType::Int32, &|row| Some(Scalar::I32(row as i32 % 19)));
    Case::new(format!("1 of {every} of {rows} rows"), program, vec![keep, number, plain])
}

#[test]
fn predicates_select_rows_of_all_outputs() {
    let mut cases = Vec::new();
    for rows in [1, 64, 65, 700] {
        cases.extend([1, 2, 3, 65, 1000].map(|every| selection(every, rows)));
    }
    on_all_gpus(&cases, |gpus| {
        cases.iter().for_each(|case| {
            check(gpus, case);
        });
        let counts: Vec<_> = cases
            .iter()
            .map(|case| {
                evaluate(&cuda(gpus, SMALLEST_CHUNKS), &case.program, &case.inputs, case.rows).unwrap().rows
            })
            .collect();
        assert!(counts.contains(&0) && counts.iter().any(|count| *count > 600), "{counts:?}");
    });
}

/// A budget that counts the reserved bytes.
#[derive(Debug, Clone, Default)]
struct CountingBudget(Arc<AtomicUsize>);

#[derive(Debug)]
struct CountedBytes(Arc<AtomicUsize>, usize);

impl MemoryBudget for CountingBudget {
    fn reserve(&self, _: &str, bytes: usize) -> Result<Box<dyn Reservation>, Error> {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Ok(Box::new(CountedBytes(Arc::clone(&self.0), bytes)))
    }
}

impl Reservation for CountedBytes {
    fn shrink(&mut self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
        self.1 -= bytes;
    }
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

#[test]
fn results_are_reserved_and_few_selected_rows_hold_no_more_memory_than_they_need() {
    let (dense, sparse) = (selection(1, 10_000), selection(100, 10_000));
    let cases = [dense, sparse];
    on_all_gpus(&cases, |gpus| {
        for (case, all_rows) in cases.iter().zip([true, false]) {
            let budget = CountingBudget::default();
            let context = KernelContext { memory: Arc::new(budget.clone()), ..KernelContext::default() };
            let kernel = cuda(gpus, 1 << 17).compile(&case.program).unwrap();
            let result = kernel.evaluate(&case.inputs, case.rows, &context).unwrap();
            let held = |rows: usize| rows * (1 + 2 + 4 + 8 + 8 + 4);
            let expected = held(if all_rows { case.rows } else { result.rows });
            assert_eq!(budget.0.load(Ordering::Relaxed), expected, "{}", case.name);
            let one = result.columns[3].clone();
            drop(result);
            assert_eq!(
                budget.0.load(Ordering::Relaxed),
                one.len().max(if all_rows { case.rows } else { 0 }) * 8
            );
            drop(one);
            assert_eq!(budget.0.load(Ordering::Relaxed), 0);
        }
    });
}

/// Programs that trap in a row, with their messages.
fn traps() -> Vec<(Case, Option<&'static str>)> {
    let mut cases = Vec::new();
    let mut add = |name: &str, builder: Builder, outputs: Vec<Output>, inputs: Vec<ArrayRef>, message| {
        cases.push((Case::new(name.to_owned(), builder.finish(outputs, None).unwrap(), inputs), message));
    };
    let output = |value, data_type| vec![Output { value, data_type }];
    let column = |values: &[Option<i64>]| {
        // The values are in the middle of other rows, in a later chunk.
        let others = (0..100).map(|row| Some(row + 1));
        let values = others.clone().chain(values.iter().copied()).chain(others);
        let values: Vec<_> = values.map(|value| value.map(Scalar::I64)).collect();
        array(&DataType::Int64, &values)
    };

    for (dividend, divisor, message) in [
        (Some(6), Some(0), Some("Divide by zero error")),
        (Some(i64::MIN), Some(-1), Some("Overflow happened on: -9223372036854775808 / -1")),
        (Some(i64::MIN), Some(1), None),
        (Some(6), None, None),
        (None, Some(-1), None),
    ] {
        let mut builder = Builder::new();
        let [x, y] = [(); 2].map(|()| builder.add_input(input(DataType::Int64, true)));
        let [zero, minus_one, min] =
            [0, -1, i64::MIN].map(|number| builder.const_integer(ScalarType::I64, number));
        let is_zero = builder.compare(Comparison::Eq, y, zero);
        builder.trap_if(Trap::DivideByZero, is_zero, &[]);
        let (is_min, by_minus_one) =
            (builder.compare(Comparison::Eq, x, min), builder.compare(Comparison::Eq, y, minus_one));
        let overflows = builder.and(is_min, by_minus_one);
        builder.trap_if(Trap::DivisionOverflow, overflows, &[x, y]);
        let quotient = builder.binary(Binary::Divide, x, y);
        let inputs = vec![column(&[Some(1), dividend]), column(&[Some(1), divisor])];
        add("division", builder, output(quotient, DataType::Int64), inputs, message);
    }

    for (number, message) in [(Some(128), Some("Can't cast value 128 to type Int8")), (Some(-128), None)] {
        let mut builder = Builder::new();
        let x = builder.add_input(input(DataType::Int64, true));
        let (low, high) =
            (builder.const_integer(ScalarType::I64, -128), builder.const_integer(ScalarType::I64, 127));
        let (below, above) =
            (builder.compare(Comparison::Lt, x, low), builder.compare(Comparison::Lt, high, x));
        let outside = builder.or(below, above);
        builder.trap_if(Trap::CastOverflow(IntegerType::Int8), outside, &[x]);
        let narrow = builder.cast(ScalarType::I32, x);
        add("cast", builder, output(narrow, DataType::Int8), vec![column(&[None, number])], message);
    }

    // The first row in which any instruction traps counts, not the first instruction.
    let mut builder = Builder::new();
    let x = builder.add_input(input(DataType::Int64, true));
    let (zero, min) =
        (builder.const_integer(ScalarType::I64, 0), builder.const_integer(ScalarType::I64, i64::MIN));
    let (is_zero, is_min) =
        (builder.compare(Comparison::Eq, x, zero), builder.compare(Comparison::Eq, x, min));
    builder.trap_if(Trap::ZeroToNegativePower, is_zero, &[x]);
    builder.trap_if(Trap::AbsOverflow(IntegerType::Int64), is_min, &[x]);
    let absolute = builder.unary(Unary::Abs, x);
    let message = Some("Int64Array overflow on abs(-9223372036854775808)");
    let inputs = vec![column(&[Some(i64::MIN), Some(0)])];
    add("the first row", builder, output(absolute, DataType::Int64), inputs, message);
    cases
}

#[test]
fn traps_name_the_operand_of_the_first_row() {
    let traps = traps();
    let cases: Vec<_> = traps.iter().map(|(case, _)| case.clone()).collect();
    on_all_gpus(&cases, |gpus| {
        for (case, message) in &traps {
            for chunk_bytes in [LARGE_CHUNKS, SMALLEST_CHUNKS] {
                let result = evaluate(&cuda(gpus, chunk_bytes), &case.program, &case.inputs, case.rows);
                let trap = match result {
                    Ok(_) => None,
                    Err(Error::Trap(trap)) => Some(trap.to_string()),
                    Err(error) => panic!("{}: {error}", case.name),
                };
                assert_eq!(trap.as_deref(), *message, "{}", case.name);
            }
            check(gpus, case);
        }
    });
}

#[test]
fn programs_with_too_many_parameters_are_compiled_for_the_cpu() {
    let Some((gpus, controls)) = simulated() else { return };
    for (outputs, on_gpu) in [(510, true), (511, false)] {
        let mut builder = Builder::new();
        let x = builder.add_input(input(DataType::Int64, false));
        let outputs = (0..outputs).map(|number| {
            let number = builder.const_integer(ScalarType::I64, number);
            Output { value: builder.binary(Binary::Add, x, number), data_type: DataType::Int64 }
        });
        let outputs = outputs.collect();
        let program = Arc::new(builder.finish(outputs, None).unwrap());
        let description = cuda(&gpus, SMALLEST_CHUNKS).compile(&program).unwrap().description();
        assert_eq!(description.starts_with("cuda"), on_gpu, "{description}");
    }
    drop(gpus);
    controls.assert_no_violations();
}

#[test]
fn resident_programs_have_one_float64_output_and_no_predicate() {
    let Some((gpus, controls)) = simulated() else { return };
    let cuda = cuda(&gpus, SMALLEST_CHUNKS);
    let upload = |outputs: usize, data_type: DataType, predicate: bool| {
        let mut builder = Builder::new();
        let x = builder.add_input(input(data_type.clone(), false));
        let keep = builder.compare(Comparison::Eq, x, x);
        let outputs = vec![Output { value: x, data_type: data_type.clone() }; outputs];
        let program = builder.finish(outputs, predicate.then_some(keep)).unwrap();
        let one = Scalar::of_integer(ScalarType::of(&data_type).unwrap(), 1);
        cuda.upload(&program, &[array(&data_type, &[Some(one); 10])])
    };
    assert!(upload(1, DataType::Float64, false).is_ok());
    for (outputs, data_type, predicate) in
        [(2, DataType::Float64, false), (1, DataType::Float64, true), (1, DataType::Int64, false)]
    {
        let error = upload(outputs, data_type, predicate).map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, Error::InvalidProgram(message) if message.contains("one output")),
            "{error}"
        );
    }
    drop(cuda);
    drop(gpus);
    controls.assert_no_violations();
}

#[test]
fn kernels_of_all_types_compile_for_the_oldest_and_the_newest_architecture() {
    let Some(compiler) = compiler(None) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = [typed_cases(), columns_of_all_types(), random_cases(6), vec![selection(2, 10)]].concat();
    for architecture in [ARCHITECTURES[0], ARCHITECTURES[ARCHITECTURES.len() - 1]] {
        let mut used = Vec::new();
        for case in &cases {
            let kernel = KernelSource::of(&case.program);
            let Some(ptx) = ptx(&compiler, &kernel, architecture) else { break };
            assert!(ptx.contains(&format!(".entry {}(", kernel.name)), "{}", case.name);
            used.extend(assemble(folder.path(), &ptx, architecture).into_iter().flatten());
        }
        let registers = used.iter().map(|used| used.registers).max();
        // Kernels with the results of many math functions at a time may spill.
        let spilling = used.iter().filter(|used| used.spilled > 0).count();
        println!(
            "sm_{architecture}: {} kernels, at most {registers:?} registers, {spilling} spill",
            used.len()
        );
    }
}
