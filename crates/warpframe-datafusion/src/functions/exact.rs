//! Built-in functions that DataFusion evaluates with avoidable errors, as functions of ours: `log`, and `round` and `trunc` to a
//! number of decimal places.

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

use super::program_function::{ProgramBody, ProgramFunction};
use warpframe_ir::builder::Builder;
use warpframe_ir::instruction::{Comparison, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::{Scalar, ScalarType};

/// `log(base, x)` of floats: exact where the result is an integer `n`, and `power(base, n)` is exact, else `ln(x) / ln(base)`.
pub fn exact_log() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function("log", &["base", "x"], log));
    Arc::clone(&FUNCTION)
}

/// `round(x, n)` of floats: the multiple of 10⁻ⁿ that is closest to `x`, for any integer `n`; of two, the one away from zero.
pub fn exact_round() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function("round", &["x", "n"], round));
    Arc::clone(&FUNCTION)
}

/// `trunc(x, n)` of floats: the multiple of 10⁻ⁿ between zero and `x` that is closest to `x`, for any integer `n`.
pub fn exact_trunc() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function("trunc", &["x", "n"], trunc));
    Arc::clone(&FUNCTION)
}

fn function(name: &'static str, parameters: &'static [&'static str], body: ProgramBody) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(ProgramFunction::new(name, parameters, body).null_only_with_arguments()))
}

fn log(builder: &mut Builder, arguments: &[Value]) -> Value {
    match *arguments {
        [base, x] => log_to_base(builder, base, x),
        _ => builder.null(ScalarType::F64),
    }
}

/// The logarithm to a base.
pub(crate) fn log_to_base(builder: &mut Builder, base: Value, x: Value) -> Value {
    let logarithm = match builder.as_constant(base).and_then(Scalar::as_float) {
        Some(2.0) => builder.unary(Unary::Log2, x),
        Some(10.0) => builder.unary(Unary::Log10, x),
        _ => {
            let (x, base) = (builder.unary(Unary::Ln, x), builder.unary(Unary::Ln, base));
            builder.binary(Binary::Divide, x, base)
        }
    };
    let integer = builder.unary(Unary::Round, logarithm);
    let power = builder.binary(Binary::Power, base, integer);
    let exact = builder.compare(Comparison::Eq, power, x);
    builder.select(exact, integer, logarithm)
}

fn round(builder: &mut Builder, arguments: &[Value]) -> Value {
    at_decimal_place(builder, Unary::Round, arguments)
}

fn trunc(builder: &mut Builder, arguments: &[Value]) -> Value {
    at_decimal_place(builder, Unary::Trunc, arguments)
}

/// Applies an op that makes integers at a decimal place: to `x * 10ⁿ`, or to `x / 10⁻ⁿ` if `n` is negative, since negative powers
/// of ten are not exact.
fn at_decimal_place(builder: &mut Builder, op: Unary, arguments: &[Value]) -> Value {
    let [x, n] = *arguments else { return builder.null(ScalarType::F64) };
    let float = builder.scalar_type(x);
    let x = null_with(builder, x, n);
    let (zero, ten) = (builder.const_float(float, 0.0), builder.const_float(float, 10.0));
    // Numbers from here on are integers.
    let integral = builder
        .const_float(float, if float == ScalarType::F32 { 8_388_608.0 } else { 4_503_599_627_370_496.0 });
    let infinity = builder.const_float(float, f64::INFINITY);
    let places = builder.unary(Unary::Abs, n);
    let factor = builder.binary(Binary::Power, ten, places);

    let scaled = builder.binary(Binary::Multiply, x, factor);
    let size = builder.unary(Unary::Abs, scaled);
    let has_fraction = builder.compare(Comparison::Lt, size, integral);
    let integer = builder.unary(op, scaled);
    let fine = builder.binary(Binary::Divide, integer, factor);
    // Also for infinities and NaN, and if the factor is infinite.
    let fine = builder.select(has_fraction, fine, x);

    let scaled = builder.binary(Binary::Divide, x, factor);
    let integer = builder.unary(op, scaled);
    let coarse = builder.binary(Binary::Multiply, integer, factor);
    let size = builder.unary(Unary::Abs, x);
    let is_finite = builder.compare(Comparison::Lt, size, infinity);
    let nothing = builder.binary(Binary::Multiply, x, zero);
    let known_factor = builder.compare(Comparison::Lt, factor, infinity);
    let coarse = builder.select(known_factor, coarse, nothing);
    let coarse = builder.select(is_finite, coarse, x);

    let negative = builder.compare(Comparison::Lt, n, zero);
    builder.select(negative, coarse, fine)
}

/// `x` where `n`, which is finite, is not null.
fn null_with(builder: &mut Builder, x: Value, n: Value) -> Value {
    if builder.as_constant(n).is_some() {
        return x;
    }
    let float = builder.scalar_type(x);
    let (zero, one) = (builder.const_float(float, 0.0), builder.const_float(float, 1.0));
    let nothing = builder.binary(Binary::Multiply, n, zero);
    let factor = builder.binary(Binary::Add, nothing, one);
    builder.binary(Binary::Multiply, x, factor)
}
