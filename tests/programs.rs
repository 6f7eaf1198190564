//! Random programs over all types, instructions, several outputs and predicates: the SIMD paths must give results within the
//! error bounds of the ops, and the nulls, rows and traps of the interpreter. And serialized programs that are damaged: they are
//! refused, or are programs that all backends evaluate alike.

mod common;

use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow::buffer::NullBuffer;
use common::programs::{Case, Checked, Random, array, case, check};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use warpframe::cpu::{Simd, SimdPath};
use warpframe::ir::{
    Accumulator, Backend, Error, Evaluated, Interpreter, Kernel, KernelContext, Program, Reductions,
    write_values,
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
    let reductions = Reductions { sum: true, min: true, max: true, moments: true };
    let outputs = case.program.outputs().iter();
    let new = || -> Vec<_> {
        outputs.clone().map(|one| Accumulator::new(case.program.scalar_type(one.value), reductions)).collect()
    };
    let (mut expected, mut found) = (new(), new());
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

/// Values that are written into memory of the caller, aligned or not, must be those of the array of an evaluation.
fn check_evaluate_into(case: &Case, kernel: &dyn Kernel, evaluated: &Result<Evaluated, Error>) {
    let [output] = case.program.outputs() else { return };
    let width = output.data_type.primitive_width().unwrap_or(1);
    let rows = evaluated.as_ref().map_or(case.rows, |evaluated| evaluated.rows);
    for offset in [0, 4, 1] {
        let mut memory = vec![MaybeUninit::new(0xAAu8); 64 + rows * width + 64];
        let start = memory.as_ptr().align_offset(64) + offset;
        let target = &mut memory[start..][..rows * width];
        let written = kernel.evaluate_into(&case.inputs, case.rows, &KernelContext::default(), target);
        let (column, nulls) = match (evaluated, written) {
            (Ok(evaluated), Ok(nulls)) => (&evaluated.columns[0], nulls),
            (Err(one), Err(other)) => return assert_eq!(one.to_string(), other.to_string()),
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

/// Evaluates a case on all paths, and checks the results.
fn check_paths(case: &Case) -> Checked {
    let mut checked = Checked::default();
    for path in SimdPath::available() {
        let kernel = Simd::on(path).unwrap().compile(&case.program).unwrap();
        let result = kernel.evaluate(&case.inputs, case.rows, &KernelContext::default());
        check_reductions(case, kernel.as_ref(), &result);
        check_evaluate_into(case, kernel.as_ref(), &result);
        let Checked { known, unknown, traps } = check(case, result, path.name());
        checked.known += known;
        checked.unknown += unknown;
        checked.traps += traps;
    }
    checked
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
