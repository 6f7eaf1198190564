//! Random expressions over random columns give the same values, nulls and errors with and without fusion.
//!
//! `WARPFRAME_TREES` sets the number of expressions, 400 by default.
//!
//! Results of the interpreted backend must equal those of DataFusion bit by bit, because both call the same scalar
//! functions. Results of the SIMD paths must be within the error bounds of the ops, which `ErrorInterval` propagates
//! through the program.

mod common;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use common::kernels::evaluate;
use common::trees::{for_random_expressions, schema};
use datafusion::logical_expr::{Expr, lit, when};
use datafusion::prelude::col;
use warpframe::Session;
use warpframe::cpu::{Simd, SimdPath};
use warpframe::ir::{Backend, ErrorInterval, Interpreter, Precision};
use warpframe::lowering::compile;

fn run(backend: &str, fuse: bool, batch: &RecordBatch, expr: &Expr) -> Result<ArrayRef, String> {
    let session = Session::builder().backend(backend).fuse(fuse).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let rows = session.context().read_batch(batch.clone()).unwrap();
        let result = rows.select(vec![expr.clone().alias("r")]).map_err(|error| error.to_string())?;
        let batches = result.collect().await.map_err(|error| error.strip_backtrace())?;
        let columns: Vec<_> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
        Ok(arrow::compute::concat(&columns).unwrap())
    })
}

/// Whether two numbers have the same bits or both are NaN.
fn same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan()
}

/// The values of a floating-point array as f64; `None` for Booleans.
fn numbers(array: &ArrayRef) -> Option<Float64Array> {
    let float = matches!(array.data_type(), DataType::Float32 | DataType::Float64);
    float.then(|| cast(array, &DataType::Float64).unwrap().as_primitive::<Float64Type>().clone())
}

fn check_same(expr: &Expr, unfused: &ArrayRef, fused: &ArrayRef, batch: &RecordBatch) {
    assert_eq!(unfused.data_type(), fused.data_type(), "{expr}");
    let (Some(one), Some(other)) = (numbers(unfused), numbers(fused)) else { return };
    assert_eq!(one.len(), other.len(), "{expr}");
    for row in 0..one.len() {
        let equal = one.is_null(row) == other.is_null(row)
            && (one.is_null(row) || same(one.value(row), other.value(row)));
        assert!(
            equal,
            "{expr}\nrow {row}: unfused {:?}, fused {:?}, arguments {:?}",
            one.is_valid(row).then(|| one.value(row)),
            other.is_valid(row).then(|| other.value(row)),
            batch.slice(row, 1)
        );
    }
}

/// Checks the results of all SIMD paths. `counts` are the checked results, those without a bound, and the programs of
/// single precision.
fn check_paths(expr: &Expr, batch: &RecordBatch, counts: &mut [usize; 3]) {
    let Ok(compiled) = compile(expr, &batch.schema()) else { return };
    let arguments: Vec<ArrayRef> =
        compiled.columns.iter().map(|name| batch.column_by_name(name).unwrap().clone()).collect();
    let program = &compiled.program;
    counts[2] += usize::from(program.precision() == Precision::Single);
    let interpreted = Interpreter::evaluate(program, &arguments, batch.num_rows());
    let ranges: Option<Vec<ErrorInterval>> =
        (0..batch.num_rows()).map(|row| ErrorInterval::of(program, &arguments, row)).collect();
    let Some(ranges) = ranges else { return };
    for path in SimdPath::available() {
        let result = evaluate(&Simd::on(path).unwrap(), program, &arguments, batch.num_rows());
        assert_eq!(result.is_ok(), interpreted.is_ok(), "{path}: {expr}: {result:?}");
        let Ok(result) = result else { return };
        let Some(result) = numbers(&result) else { continue };
        for (row, range) in ranges.iter().enumerate() {
            if matches!(range, ErrorInterval::Unknown) {
                counts[1] += 1;
                continue;
            }
            let fits = range.contains(result.is_valid(row).then(|| result.value(row)));
            counts[0] += 1;
            assert!(
                fits,
                "{path}: {expr}\nrow {row} is {:?}, not in {range:?}: {:?}",
                result.is_valid(row).then(|| result.value(row)),
                batch.slice(row, 1)
            );
        }
    }
}

#[test]
fn random_expressions_evaluate_the_same_fused_and_unfused() {
    check_random(Precision::Double);
}

#[test]
fn single_precision_expressions_evaluate_the_same_fused_and_unfused() {
    check_random(Precision::Single);
}

fn check_random(precision: Precision) {
    let trees = std::env::var("WARPFRAME_TREES").ok().and_then(|trees| trees.parse().ok()).unwrap_or(400);
    let counts = std::cell::Cell::new([0; 3]);
    for_random_expressions(trees, precision, |expr, batch| {
        let unfused = run("interpreted", false, &batch, &expr);
        let fused = run("interpreted", true, &batch, &expr);
        match (&unfused, &fused) {
            (Ok(unfused), Ok(fused)) => check_same(&expr, unfused, fused, &batch),
            (Err(_), Err(_)) => {}
            _ => panic!("{expr}\nunfused {unfused:?}\nfused {fused:?}"),
        }
        let mut now = counts.get();
        check_paths(&expr, &batch, &mut now);
        counts.set(now);
    });
    let [checked, unknown, single] = counts.get();
    println!(
        "{trees} expressions of {precision:?}: {checked} results checked, {unknown} left out, {single} single"
    );
    match precision {
        Precision::Double => assert_eq!(single, 0),
        Precision::Single => {
            assert!(single > trees as usize / 3, "only {single} programs of single precision")
        }
    }
    assert!(checked > 20 * trees as usize, "too few results could be checked: {checked}");
}

#[test]
fn deep_expressions_are_evaluated() {
    let text = (1..300).fold("x".to_owned(), |text, term| format!("{text} + x * {term}"));
    let query = format!("SELECT {text} AS r FROM generate_rows(1)");
    let evaluate = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let query = Session::new().unwrap().sql(&query).await.unwrap();
            query.collect().await.unwrap()[0].column(0).as_primitive::<Float64Type>().value(0)
        })
    };
    // DataFusion in debug builds needs more stack than a test thread has.
    let sum = std::thread::Builder::new().stack_size(64 << 20).spawn(evaluate).unwrap().join().unwrap();
    assert_eq!(sum, 1.0 + f64::from((1..300).sum::<u32>()));
}

#[test]
fn undeclared_nulls_are_nulls() {
    let case = when(col("x").gt(lit(1.0)), col("x") * lit(2.0)).otherwise(col("x")).unwrap();
    let compiled = compile(&case, &schema(Precision::Double)).unwrap();
    let x: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.0), None, Some(1.0)]));
    let expected = Float64Array::from(vec![Some(4.0), None, Some(1.0)]);
    for backend in [&Simd::active().unwrap() as &dyn Backend, &Interpreter] {
        let result = evaluate(backend, &compiled.program, std::slice::from_ref(&x), 3).unwrap();
        assert_eq!(result.as_ref(), &expected as &dyn Array);
    }
}
