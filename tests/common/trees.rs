//! Random expressions with random input rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, UInt8Array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions::core::expr_fn::{greatest, least, nullif};
use datafusion::functions::math::expr_fn as math;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, cast, lit, try_cast, when};
use datafusion::prelude::col;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use warpframe::ir::ScalarType;

/// Runs a test on random expressions and rows with floats of a type. The cases are the same in every run.
pub fn for_random_expressions(cases: u32, precision: ScalarType, test: impl Fn(Expr, RecordBatch)) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&(any_expression(), any_batch()), |(expr, batch)| {
        match precision {
            ScalarType::F32 => test(in_single(expr), single_batch(&batch)),
            _ => test(expr, batch),
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

/// Small integers, and those at the ends of the types.
pub fn any_integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -9i64..10,
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, i32::MIN.into(), i32::MAX.into(), -32768, 255, 1 << 53]),
        1 => any::<i64>(),
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
    RecordBatch::try_new(schema(ScalarType::F32), columns.collect()).unwrap()
}

/// The schema of the rows.
pub fn schema(precision: ScalarType) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("x", precision.data_type(), false),
        Field::new("y", precision.data_type(), true),
        Field::new("i", DataType::Int64, true),
        Field::new("k", DataType::Int32, false),
        Field::new("s", DataType::Int16, true),
        Field::new("u", DataType::UInt8, false),
        Field::new("b", DataType::Boolean, true),
    ]))
}

/// Random rows as a slice of a longer batch, so that array offsets are not zero.
pub fn any_batch() -> impl Strategy<Value = RecordBatch> {
    let row = (
        any_number(),
        prop::option::weighted(0.8, any_number()),
        prop::option::weighted(0.9, any_integer()),
        any_integer(),
        prop::option::weighted(0.8, any::<bool>()),
    );
    (prop::collection::vec(row, 4..150), 0usize..4).prop_map(|(rows, skip)| {
        let x: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Float64Array>());
        let y: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>());
        let i: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>());
        let k: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.3 as i32)).collect::<Int32Array>());
        let s: ArrayRef =
            Arc::new(rows.iter().map(|row| row.2.map(|s| (s >> 1) as i16)).collect::<Int16Array>());
        let u: ArrayRef = Arc::new(rows.iter().map(|row| Some((row.3 >> 3) as u8)).collect::<UInt8Array>());
        let b: ArrayRef = Arc::new(rows.iter().map(|row| row.4).collect::<BooleanArray>());
        let whole = RecordBatch::try_new(schema(ScalarType::F64), vec![x, y, i, k, s, u, b]).unwrap();
        whole.slice(skip, rows.len() - skip)
    })
}

type UnaryFunction = fn(Expr) -> Expr;

fn is_distinct_from(one: Expr, other: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(one), Operator::IsDistinctFrom, Box::new(other)))
}

/// Random integer expressions over the columns of [`schema`]. DataFusion's type coercion mixes their types.
fn any_integer_expression() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        2 => Just(col("i")),
        2 => Just(col("k")),
        1 => Just(col("s")),
        1 => Just(col("u")),
        2 => (1i64..9).prop_map(lit),
        1 => any_integer().prop_map(lit),
        1 => (-4i32..5).prop_map(lit),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        let types =
            vec![DataType::Int64, DataType::Int32, DataType::Int16, DataType::UInt8, DataType::UInt32];
        prop_oneof![
            8 => (inner.clone(), inner.clone(), 0..10).prop_map(|(one, other, operator)| match operator {
                0 | 1 => one + other,
                2 => one - other,
                3 => one * other,
                4 => one / other,
                5 => one % other,
                6 => one & other,
                7 => one | other,
                8 => one ^ other,
                _ => one << (other & lit(7)),
            }),
            1 => (inner.clone(), 0i32..8).prop_map(|(one, shift)| one >> lit(shift)),
            1 => inner.clone().prop_map(|one| -one),
            1 => inner.clone().prop_map(math::abs),
            2 => (inner.clone(), prop::sample::select(types)).prop_map(|(one, to)| try_cast(one, to)),
            1 => (inner.clone(), inner.clone()).prop_map(|(one, other)| greatest(vec![one, other])),
            1 => (inner.clone(), inner).prop_map(|(one, other)| nullif(one, other)),
        ]
    })
}

/// Random expressions of all types over the columns of [`schema`].
pub fn any_expression() -> impl Strategy<Value = Expr> {
    prop_oneof![
        4 => any_float_expression(),
        2 => any_integer_expression(),
        1 => any_condition(any_float_expression().boxed()),
    ]
}

/// Random conditions on floats and integers.
fn any_condition(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Expr> {
    let integer = any_integer_expression().boxed();
    let comparison = |one: BoxedStrategy<Expr>, other: BoxedStrategy<Expr>| {
        (one, other, 0..8).prop_map(|(one, other, operator)| match operator {
            0 => one.eq(other),
            1 => one.not_eq(other),
            2 => one.lt(other),
            3 => one.lt_eq(other),
            4 => one.gt(other),
            5 => one.gt_eq(other),
            6 => is_distinct_from(one, other),
            _ => one.clone().between(other, one + lit(2)),
        })
    };
    let of_floats = comparison(inner.clone(), inner.clone()).boxed();
    let of_integers = comparison(integer.clone(), integer.clone()).boxed();
    let constants = prop::collection::vec(any_integer().prop_map(lit), 1..30);
    prop_oneof![
        4 => of_floats.clone(),
        3 => of_integers.clone(),
        1 => (integer, constants, any::<bool>()).prop_map(|(one, list, negated)| one.in_list(list, negated)),
        1 => Just(col("b")),
        1 => inner.clone().prop_map(Expr::is_null),
        1 => inner.clone().prop_map(Expr::is_not_null),
        1 => inner.prop_map(math::isnan),
        1 => (of_floats.clone(), of_integers.clone()).prop_map(|(one, other)| one.and(other)),
        1 => (of_floats, Just(col("b"))).prop_map(|(one, other)| one.or(other)),
        1 => of_integers.prop_map(|condition| !condition),
    ]
    .boxed()
}

/// Random floating-point expressions over the columns of [`schema`].
fn any_float_expression() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        3 => Just(col("x")),
        3 => Just(col("y")),
        1 => any_integer_expression().prop_map(|integer| cast(integer, DataType::Float64)),
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
        let condition = any_condition(inner.clone().boxed());
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
