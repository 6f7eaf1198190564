//! Random expressions over random columns give the same values, nulls and errors with and without fusion.
//!
//! `WARPFRAME_TREES` sets the number of expressions, 400 by default.
//!
//! Results of the interpreted backend must equal those of DataFusion bit by bit, because both call the same scalar
//! definitions. Results of the SIMD paths must be within the error bounds of the ops, which `ErrorInterval` propagates
//! through the program.

mod common;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use common::kernels::evaluate;
use common::programs::{Case, Checked, check};
use common::trees::{for_random_expressions, schema};
use datafusion::logical_expr::{Expr, lit, when};
use datafusion::prelude::col;
use warpframe::Session;
use warpframe::cpu::{Simd, SimdPath};
use warpframe::ir::{Backend, Interpreter, KernelContext, ScalarType};
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

/// The values of a floating-point array as f64; `None` for other arrays.
fn numbers(array: &ArrayRef) -> Option<Float64Array> {
    let float = matches!(array.data_type(), DataType::Float32 | DataType::Float64);
    float.then(|| cast(array, &DataType::Float64).unwrap().as_primitive::<Float64Type>().clone())
}

fn check_same(expr: &Expr, unfused: &ArrayRef, fused: &ArrayRef, batch: &RecordBatch) {
    assert_eq!(unfused.data_type(), fused.data_type(), "{expr}");
    let (Some(one), Some(other)) = (numbers(unfused), numbers(fused)) else {
        assert_eq!(unfused, fused, "{expr}");
        return;
    };
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

/// Checks the results of all SIMD paths. Returns the checked results, and whether the program has values of `f32`.
fn check_paths(expr: &Expr, batch: &RecordBatch) -> (Checked, bool) {
    let mut checked = Checked::default();
    let Ok(compiled) = compile(expr, &batch.schema()) else { return (checked, false) };
    let inputs: Vec<ArrayRef> =
        compiled.columns.iter().map(|name| batch.column_by_name(name).unwrap().clone()).collect();
    let case = Case { program: compiled.program, inputs, rows: batch.num_rows() };
    for path in SimdPath::available() {
        let kernel = Simd::on(path).unwrap().compile(&case.program).unwrap();
        let result = kernel.evaluate(&case.inputs, case.rows, &KernelContext::default());
        let Checked { known, unknown, traps } = check(&case, result, &format!("{path}: {expr}"));
        checked.known += known;
        checked.unknown += unknown;
        checked.traps += traps;
    }
    let values = (0..case.program.instructions().len()).map(warpframe::ir::Value::at);
    let single = values.map(|value| case.program.scalar_type(value)).any(|one| one == ScalarType::F32);
    (checked, single)
}

#[test]
fn random_expressions_evaluate_the_same_fused_and_unfused() {
    check_random(ScalarType::F64);
}

#[test]
fn single_precision_expressions_evaluate_the_same_fused_and_unfused() {
    check_random(ScalarType::F32);
}

fn check_random(precision: ScalarType) {
    let trees = std::env::var("WARPFRAME_TREES").ok().and_then(|trees| trees.parse().ok()).unwrap_or(400);
    let counts = std::cell::Cell::new((Checked::default(), 0, 0));
    for_random_expressions(trees, precision, |expr, batch| {
        let unfused = run("interpreted", false, &batch, &expr);
        let fused = run("interpreted", true, &batch, &expr);
        let (mut sum, mut singles, mut failed) = counts.get();
        match (&unfused, &fused) {
            (Ok(unfused), Ok(fused)) => check_same(&expr, unfused, fused, &batch),
            (Err(_), Err(_)) => failed += 1,
            _ => panic!("{expr}\nunfused {unfused:?}\nfused {fused:?}"),
        }
        let (checked, single) = check_paths(&expr, &batch);
        sum.known += checked.known;
        sum.unknown += checked.unknown;
        sum.traps += checked.traps;
        singles += u32::from(single);
        counts.set((sum, singles, failed));
    });
    let (sum, singles, failed) = counts.get();
    println!("{trees} expressions of {precision}: {sum:?}, {singles} with values of f32, {failed} fail");
    match precision {
        ScalarType::F32 => assert!(singles > trees / 4, "only {singles} programs with values of f32"),
        _ => assert_eq!(singles, 0),
    }
    assert!(failed < trees / 3, "too many expressions fail: {failed}");
    assert!(sum.known > 20 * trees as usize, "too few results could be checked: {sum:?}");
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
    let compiled = compile(&case, &schema(ScalarType::F64)).unwrap();
    let x: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.0), None, Some(1.0)]));
    let expected = Float64Array::from(vec![Some(4.0), None, Some(1.0)]);
    for backend in [&Simd::active().unwrap() as &dyn Backend, &Interpreter] {
        let result = evaluate(backend, &compiled.program, std::slice::from_ref(&x), 3).unwrap();
        assert_eq!(result.as_ref(), &expected as &dyn Array);
    }
}
