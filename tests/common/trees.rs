//! Random expressions with random input rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions::core::expr_fn::{greatest, least, nullif};
use datafusion::functions::math::expr_fn as math;
use datafusion::logical_expr::{Expr, cast, lit, when};
use datafusion::prelude::col;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use warpframe::ir::Precision;

/// Runs a test on random expressions and rows in a precision. The cases are the same in every run.
pub fn for_random_expressions(cases: u32, precision: Precision, test: impl Fn(Expr, RecordBatch)) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&(any_expression(), any_batch()), |(expr, batch)| {
        match precision {
            Precision::Double => test(expr, batch),
            Precision::Single => test(in_single(expr), single_batch(&batch)),
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Special values, numbers that have found bugs, and ordinary numbers.
pub fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -100.0..100.0f64,
        2 => prop::sample::select(vec![
            0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 10.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308,
            -1e308, 5e-324, -5e-324, f64::MIN_POSITIVE, 1e15, 0.49999999999999994, 1e-10, 3.5, -2.5,
        ]),
        1 => any::<f64>(),
    ]
}

/// The expression with literals and casts in single precision.
fn in_single(expr: Expr) -> Expr {
    let single = expr.transform(|expr| {
        Ok(match expr {
            Expr::Literal(ScalarValue::Float64(Some(number)), _) => Transformed::yes(lit(number as f32)),
            Expr::Cast(inner) if *inner.field.data_type() == DataType::Float64 => {
                Transformed::yes(cast(*inner.expr, DataType::Float32))
            }
            other => Transformed::no(other),
        })
    });
    single.unwrap().data
}

/// The rows in single precision, also as slices with an offset.
fn single_batch(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Float64 => {
            let longer = concat(&[&column.slice(0, 1), column]).unwrap();
            arrow::compute::cast(&longer, &DataType::Float32).unwrap().slice(1, column.len())
        }
        _ => column.clone(),
    });
    RecordBatch::try_new(schema(Precision::Single), columns.collect()).unwrap()
}

/// The schema of the rows.
pub fn schema(precision: Precision) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("x", precision.data_type(), false),
        Field::new("y", precision.data_type(), true),
        Field::new("i", DataType::Int64, true),
        Field::new("b", DataType::Boolean, true),
    ]))
}

/// Random rows as a slice of a longer batch, so that array offsets are not zero.
pub fn any_batch() -> impl Strategy<Value = RecordBatch> {
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
        let whole = RecordBatch::try_new(schema(Precision::Double), vec![x, y, i, b]).unwrap();
        whole.slice(skip, rows.len() - skip)
    })
}

type UnaryFunction = fn(Expr) -> Expr;

/// Random expressions over the columns of [`schema`].
pub fn any_expression() -> impl Strategy<Value = Expr> {
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
            math::degrees,
            math::radians,
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
            1 => inner.clone().prop_map(math::sqrt),
            1 => (inner.clone(), inner).prop_map(|(base, x)| math::log(base, x)),
        ]
    })
}
