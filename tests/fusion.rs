//! Random expressions over random columns: fused or not they give the same answers, nulls and errors.
//!
//! `WARPFRAME_TREES` sets how many expressions are tried: 400 by default.
//!
//! Against DataFusion's unfused evaluation the interpreted backend has to give the same bits, because both
//! call the same scalar functions. The vector paths may differ by each op's bound, as far as that carries:
//! `Program::range`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use datafusion::functions::core::expr_fn::{greatest, least, nullif};
use datafusion::functions::math::expr_fn as math;
use datafusion::logical_expr::{Expr, cast, lit, when};
use datafusion::prelude::col;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use warpframe::Session;
use warpframe::backend::simd::SimdPath;
use warpframe::backend::{Backend, BackendChoice, Interpreted, Simd};
use warpframe::program::{Range, compile};

/// Numbers that have found mistakes before: everything special, and ordinary ones.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -100.0..100.0f64,
        2 => prop::sample::select(vec![
            0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 10.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308,
            -1e308, 5e-324, -5e-324, f64::MIN_POSITIVE, 1e15, 0.49999999999999994, 1e-10, 3.5, -2.5,
        ]),
        1 => any::<f64>(),
    ]
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("x", DataType::Float64, false),
        Field::new("y", DataType::Float64, true),
        Field::new("i", DataType::Int64, true),
        Field::new("b", DataType::Boolean, true),
    ]))
}

/// Some rows, cut out of a longer batch so that offsets are not zero.
fn any_batch() -> impl Strategy<Value = RecordBatch> {
    let row = (
        any_number(),
        prop::option::weighted(0.8, any_number()),
        prop::option::weighted(0.9, -9i64..10),
        prop::option::weighted(0.8, any::<bool>()),
    );
    (prop::collection::vec(row, 4..150), 0usize..4).prop_map(|(rows, skip)| {
        let x: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Float64Array>());
        let y: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>());
        let i: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>());
        let b: ArrayRef = Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>());
        let whole = RecordBatch::try_new(schema(), vec![x, y, i, b]).unwrap();
        whole.slice(skip, rows.len() - skip)
    })
}

type UnaryFunction = fn(Expr) -> Expr;

fn any_expression() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        3 => Just(col("x")),
        3 => Just(col("y")),
        1 => Just(cast(col("i"), DataType::Float64)),
        1 => any_number().prop_map(lit),
        2 => (-4i8..5).prop_map(|number| lit(f64::from(number) / 2.0)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let functions: Vec<UnaryFunction> = vec![
            math::abs,
            math::cbrt,
            math::ln,
            math::log2,
            math::log10,
            math::exp,
            math::sin,
            math::cos,
            math::tan,
            math::asin,
            math::acos,
            math::atan,
            math::sinh,
            math::cosh,
            math::tanh,
            math::floor,
            math::ceil,
            math::signum,
            |x| -x,
            |x| math::sqrt(math::abs(x)),
            |x| math::round(vec![x]),
            |x| math::trunc(vec![x]),
        ];
        let comparison =
            (inner.clone(), inner.clone(), 0..6).prop_map(|(one, other, operator)| match operator {
                0 => one.eq(other),
                1 => one.not_eq(other),
                2 => one.lt(other),
                3 => one.lt_eq(other),
                4 => one.gt(other),
                _ => one.gt_eq(other),
            });
        let condition = prop_oneof![
            4 => comparison.clone(),
            1 => Just(col("b")),
            1 => inner.clone().prop_map(Expr::is_null),
            1 => inner.clone().prop_map(Expr::is_not_null),
            1 => inner.clone().prop_map(math::isnan),
            1 => (comparison.clone(), comparison.clone()).prop_map(|(one, other)| one.and(other)),
            1 => (comparison.clone(), Just(col("b"))).prop_map(|(one, other)| one.or(other)),
            1 => comparison.prop_map(|condition| !condition),
        ];
        prop_oneof![
            6 => (prop::sample::select(functions), inner.clone()).prop_map(|(function, x)| function(x)),
            6 => (inner.clone(), inner.clone(), 0..5).prop_map(|(one, other, operator)| match operator {
                0 => one + other,
                1 => one - other,
                2 => one * other,
                3 => one / other,
                _ => one % other,
            }),
            2 => (inner.clone(), inner.clone(), 0..6).prop_map(|(one, other, function)| match function {
                0 => math::atan2(one, other),
                1 => math::power(one, other),
                2 => greatest(vec![one, other]),
                3 => least(vec![one, other]),
                4 => nullif(one, other),
                _ => math::nanvl(one, other),
            }),
            2 => (condition.clone(), inner.clone(), inner.clone())
                .prop_map(|(condition, yes, no)| when(condition, yes).otherwise(no).unwrap()),
            1 => (condition.clone(), condition, inner.clone(), inner.clone())
                .prop_map(|(one, other, x, y)| when(one, x).when(other, y).end().unwrap()),
            1 => inner.clone().prop_map(|x| when(x.clone().gt_eq(lit(0.0)), math::sqrt(x)).end().unwrap()),
            1 => inner.clone().prop_map(|x| math::sqrt(x)),
            1 => (inner.clone(), inner).prop_map(|(base, x)| math::log(base, x)),
        ]
    })
}

fn run(backend: BackendChoice, fuse: bool, batch: &RecordBatch, expr: &Expr) -> Result<ArrayRef, String> {
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

/// The same number: the same bits, or NaN of any kind.
fn same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan()
}

fn check_same(expr: &Expr, unfused: &ArrayRef, fused: &ArrayRef, batch: &RecordBatch) {
    let (one, other) = (unfused.as_primitive::<Float64Type>(), fused.as_primitive::<Float64Type>());
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

fn check_paths(expr: &Expr, batch: &RecordBatch, counts: &mut [usize; 2]) {
    let Ok(compiled) = compile(expr, &schema()) else { return };
    let arguments: Vec<ArrayRef> =
        compiled.columns.iter().map(|name| batch.column_by_name(name).unwrap().clone()).collect();
    let program = &compiled.program;
    let interpreted = Interpreted.evaluate(program, &arguments, batch.num_rows());
    let ranges: Option<Vec<Range>> =
        (0..batch.num_rows()).map(|row| program.range(&arguments, row)).collect();
    let Some(ranges) = ranges else { return };
    for path in SimdPath::available() {
        let result = Simd::on(path).unwrap().evaluate(program, &arguments, batch.num_rows());
        assert_eq!(result.is_ok(), interpreted.is_ok(), "{path}: {expr}: {result:?}");
        let Ok(result) = result else { return };
        if *result.data_type() != DataType::Float64 {
            continue;
        }
        let result = result.as_primitive::<Float64Type>();
        for (row, range) in ranges.iter().enumerate() {
            if matches!(range, Range::Unknown) {
                counts[1] += 1;
                continue;
            }
            let fits = range.holds(result.is_valid(row).then(|| result.value(row)));
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
fn random_expressions_give_the_same_answers_fused_and_unfused() {
    let trees = std::env::var("WARPFRAME_TREES").ok().and_then(|trees| trees.parse().ok()).unwrap_or(400);
    // The same trees in every run.
    let config =
        Config { cases: trees, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let counts = std::cell::Cell::new([0; 2]);
    let outcome = runner.run(&(any_expression(), any_batch()), |(expr, batch)| {
        let unfused = run(BackendChoice::Interpreted, false, &batch, &expr);
        let fused = run(BackendChoice::Interpreted, true, &batch, &expr);
        match (&unfused, &fused) {
            (Ok(unfused), Ok(fused)) => check_same(&expr, unfused, fused, &batch),
            (Err(_), Err(_)) => {}
            _ => panic!("{expr}\nunfused {unfused:?}\nfused {fused:?}"),
        }
        let mut now = counts.get();
        check_paths(&expr, &batch, &mut now);
        counts.set(now);
        Ok(())
    });
    let [checked, unknown] = counts.get();
    println!("{trees} expressions: {checked} results checked, {unknown} left out");
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(checked > 20 * trees as usize, "too few results could be checked: {checked}");
}
