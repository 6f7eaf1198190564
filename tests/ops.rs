//! Every op of the op table is within its error bound of an arbitrary-precision reference, on every CPU backend and
//! SIMD path of this machine.

mod common;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array, Float64Array};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use astro_float::{BigFloat, Consts};
use common::kernels::evaluate;
use common::reference::{PRECISION, ROUNDING, big, random, ulp_error};
use rayon::prelude::*;
use warpframe::cpu::{Simd, SimdPath};

use warpframe::ir::ops::{Binary, OpInfo, Unary};
use warpframe::ir::{Backend, Builder, Input, Interpreter, Precision, Program};

const CASES: u64 = 3000;

fn backends() -> Vec<Box<dyn Backend>> {
    let simd = SimdPath::available().into_iter().map(|path| Box::new(Simd::on(path).unwrap()) as _);
    std::iter::once(Box::new(Interpreter) as _).chain(simd).collect()
}

fn program_of(
    precision: Precision,
    arguments: usize,
    op: impl Fn(&mut Builder, &[warpframe::ir::Value]) -> warpframe::ir::Value,
) -> Arc<Program> {
    let mut builder = Builder::new(precision);
    let input = Input { data_type: precision.data_type(), nullable: false };
    let inputs: Vec<_> = (0..arguments).map(|_| builder.add_input(input.clone())).collect();
    let output = op(&mut builder, &inputs);
    Arc::new(builder.finish(output).unwrap())
}

/// Random numbers: over all exponents, of moderate size, close to 1, and close to multiples of pi/2.
fn number(index: u64) -> f64 {
    let bits = random(index);
    let unit = (bits >> 11) as f64 / 2f64.powi(53);
    let sign = if bits & 1 == 0 { 1.0 } else { -1.0 };
    match index % 6 {
        0 => f64::from_bits(bits & !(1 << 63)) * sign,
        1 => sign * unit * 10.0,
        2 => sign * unit * 800.0,
        3 => 1.0 + (unit - 0.5) / 2f64.powi((bits % 50) as i32),
        4 => {
            let multiple = ((bits >> 40) % 100_000) as f64 * std::f64::consts::FRAC_PI_2;
            f64::from_bits(multiple.to_bits().wrapping_add(bits % 5).wrapping_sub(2)) * sign
        }
        _ => sign * unit / 2f64.powi((bits % 60) as i32),
    }
}

fn exact_unary(op: Unary, x: &BigFloat, constants: &mut Consts) -> BigFloat {
    let (p, r) = (PRECISION, ROUNDING);
    let one = BigFloat::from_word(1, p);
    match op {
        Unary::Negate => x.neg(),
        Unary::Abs => x.abs(),
        Unary::Sqrt => x.sqrt(p, r),
        Unary::Cbrt => x.cbrt(p, r),
        Unary::Ln => x.ln(p, r, constants),
        Unary::Log2 => x.log2(p, r, constants),
        Unary::Log10 => x.log10(p, r, constants),
        Unary::Exp => x.exp(p, r, constants),
        Unary::Sin => x.sin(p, r, constants),
        Unary::Cos => x.cos(p, r, constants),
        Unary::Tan => x.tan(p, r, constants),
        Unary::Asin => x.asin(p, r, constants),
        Unary::Acos => x.acos(p, r, constants),
        Unary::Atan => x.atan(p, r, constants),
        Unary::Sinh => x.sinh(p, r, constants),
        Unary::Cosh => x.cosh(p, r, constants),
        Unary::Tanh => x.tanh(p, r, constants),
        Unary::Degrees => x.mul(&BigFloat::from_word(180, p), p, r).div(&constants.pi(p, r), p, r),
        Unary::Radians => x.mul(&constants.pi(p, r), p, r).div(&BigFloat::from_word(180, p), p, r),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => {
            let half = one.div(&BigFloat::from_word(2, p), p, r);
            let up = x.abs().add(&half, 2 * p, r).floor();
            if x.is_negative() { up.neg() } else { up }
        }
        Unary::Trunc => x.int(),
        Unary::Signum if x.is_zero() => BigFloat::from_word(0, p),
        Unary::Signum if x.is_negative() => one.neg(),
        Unary::Signum => one,
    }
}

fn exact_binary(op: Binary, x: &BigFloat, y: &BigFloat, constants: &mut Consts) -> Option<BigFloat> {
    let (p, r) = (PRECISION, ROUNDING);
    Some(match op {
        Binary::Add => x.add(y, 2 * p, r),
        Binary::Subtract => x.sub(y, 2 * p, r),
        Binary::Multiply => x.mul(y, 2 * p, r),
        Binary::Divide => x.div(y, 2 * p, r),
        Binary::Power if x.is_positive() => x.pow(y, p, r, constants),
        // Computed by the standard library on every path.
        Binary::Power | Binary::Remainder | Binary::Atan2 => return None,
    })
}

/// Whether a result is not compared with the reference: it is zero, not finite, or too small or large for it.
fn is_special(result: f64) -> bool {
    !result.is_finite() || result == 0.0 || result.abs() < 1e-300 || result.abs() > 1e300
}

/// Checks the results of an op against the reference, and special results against the scalar function. Returns the
/// largest error in ULP.
fn check(
    entry: OpInfo,
    backend: &dyn Backend,
    results: &[f64],
    plain: &[f64],
    exact: &[Option<BigFloat>],
    what: impl Fn(usize) -> String,
) -> f64 {
    let mut worst = 0.0f64;
    for (row, (&result, &plain)) in results.iter().zip(plain).enumerate() {
        let place = || format!("{} on {}: {}", entry.name, backend.description(), what(row));
        match &exact[row] {
            Some(exact) if !is_special(plain) => {
                let error = ulp_error(result, exact);
                assert!(error <= entry.ulp + 1e-3, "{} is {result:e}, off by {error:.3} ULP", place());
                worst = worst.max(error);
            }
            _ => {
                // Special results: at most twice the bound from the scalar function.
                let distance = if plain.is_nan() || result.is_nan() {
                    if plain.is_nan() == result.is_nan() { 0 } else { i64::MAX }
                } else {
                    (plain.to_bits() as i64).wrapping_sub(result.to_bits() as i64).abs()
                };
                assert!(distance as f64 <= 2.0 * entry.ulp, "{} is {result:e}, not {plain:e}", place());
            }
        }
    }
    worst
}

#[test]
fn unary_ops_are_within_their_error_bounds() {
    let inputs: Vec<f64> = (0..CASES)
        .map(number)
        .chain([
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            5e-324,
            0.5,
            -0.5,
            2.5,
            -2.5,
            0.49999999999999994,
            1.0,
            -1.0,
            1000.0,
            8.0,
            710.0,
            -745.2,
            1e300,
            4503599627370497.5,
        ])
        .collect();
    let array: ArrayRef = Arc::new(Float64Array::from(inputs.clone()));
    for &op in Unary::ALL {
        let exact: Vec<_> = inputs
            .par_iter()
            .map_init(
                || Consts::new().unwrap(),
                |constants, &x| {
                    // The reference takes minutes to reduce such an angle; backends call the standard library.
                    let huge_angle = matches!(op, Unary::Sin | Unary::Cos | Unary::Tan) && x.abs() > 1e9;
                    let large =
                        matches!(op, Unary::Exp | Unary::Sinh | Unary::Cosh | Unary::Tanh) && x.abs() > 1e4;
                    (x.is_finite() && !huge_angle && !large).then(|| exact_unary(op, &big(x), constants))
                },
            )
            .collect();
        let plain: Vec<f64> = inputs.iter().map(|&x| op.f64(x)).collect();
        let program = program_of(Precision::Double, 1, |builder, inputs| builder.unary(op, inputs[0]));
        let mut worst = Vec::new();
        for backend in backends() {
            let results = evaluate(&*backend, &program, std::slice::from_ref(&array), inputs.len()).unwrap();
            let results = results.as_primitive::<Float64Type>().values();
            let error =
                check(op.info(), &*backend, results, &plain, &exact, |row| format!("{:e}", inputs[row]));
            worst.push(format!("{} {error:.3}", backend.description()));
        }
        println!("{}: {}", op.info().name, worst.join(", "));
    }
}

#[test]
fn binary_ops_are_within_their_error_bounds() {
    let x: Vec<f64> = (0..CASES)
        .map(|index| number(2 * index))
        .chain([0.0, -0.0, 1.0, -8.0, -2.0, f64::INFINITY, f64::NAN, 2.0, 1e300, 0.5, 1.0000000000000002])
        .collect();
    let mut y: Vec<f64> = (0..CASES)
        .map(|index| number(2 * index + 1))
        .chain([3.0, 3.0, f64::NAN, 3.0, 0.5, -1.0, 0.0, -1074.0, 2.0, 1e308, 1e17])
        .collect();
    // Exponents for which the power neither overflows nor underflows.
    for (y, x) in y.iter_mut().zip(&x) {
        if *x > 0.0 && x.is_finite() && *x != 1.0 && y.is_finite() && y.to_bits() % 2 == 0 {
            *y = (*y % 700.0) / x.ln();
        }
    }
    let arrays: [ArrayRef; 2] =
        [Arc::new(Float64Array::from(x.clone())), Arc::new(Float64Array::from(y.clone()))];
    for &op in Binary::ALL {
        let exact: Vec<_> = (0..x.len())
            .into_par_iter()
            .map_init(
                || Consts::new().unwrap(),
                |constants, row| {
                    let extreme = op == Binary::Power && is_special(op.f64(x[row], y[row]));
                    (x[row].is_finite() && y[row].is_finite() && !extreme)
                        .then(|| exact_binary(op, &big(x[row]), &big(y[row]), constants))
                        .flatten()
                },
            )
            .collect();
        let plain: Vec<f64> = (0..x.len()).map(|row| op.f64(x[row], y[row])).collect();
        let program =
            program_of(Precision::Double, 2, |builder, inputs| builder.binary(op, inputs[0], inputs[1]));
        let mut worst = Vec::new();
        for backend in backends() {
            let results = evaluate(&*backend, &program, &arrays, x.len()).unwrap();
            let results = results.as_primitive::<Float64Type>().values();
            let error = check(op.info(), &*backend, results, &plain, &exact, |row| {
                format!("{:e}, {:e}", x[row], y[row])
            });
            worst.push(format!("{} {error:.3}", backend.description()));
        }
        println!("{}: {}", op.info().name, worst.join(", "));
    }
}

/// Division by a constant is compiled without a division instruction, and must give the same bits as one.
#[test]
fn division_by_a_constant_is_correctly_rounded() {
    const DIVISORS: u64 = 400;
    let common = [360.0, 10.0, 3.0, -7.0, 0.1, 1e-5, 1e60, -1e-60, 1e5, 1e200, 0.5, 8.0, -1.0, 5e-324, 0.0];
    let random = (0..DIVISORS).map(|index| 1.0 + (random(index) >> 12) as f64 / 2f64.powi(52));
    let infinite = [f64::INFINITY, f64::NAN, f64::MAX, f64::MIN_POSITIVE, 2f64.powi(1023)];
    for divisor in common.into_iter().chain(random).chain(infinite) {
        // Quotients close to the midpoint of two numbers, where rounding is hardest, and random numbers.
        let hard = (0..CASES).map(|index| divisor * (number(6 * index + 3) + f64::EPSILON / 2.0));
        let x: Vec<f64> = hard.chain((0..CASES).map(number)).chain([0.0, -0.0, f64::NAN]).collect();
        let singles: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let of = |precision| {
            program_of(precision, 1, |builder, inputs| {
                let divisor = builder.const_float(divisor);
                builder.binary(Binary::Divide, inputs[0], divisor)
            })
        };
        let (double, single) = (of(Precision::Double), of(Precision::Single));
        let arrays: [ArrayRef; 2] =
            [Arc::new(Float64Array::from(x.clone())), Arc::new(Float32Array::from(singles.clone()))];
        for backend in backends() {
            let results = evaluate(&*backend, &double, &arrays[..1], x.len()).unwrap();
            for (x, result) in x.iter().zip(results.as_primitive::<Float64Type>().values()) {
                let exact = x / divisor;
                let same = result.to_bits() == exact.to_bits() || result.is_nan() && exact.is_nan();
                assert!(same, "{x:e} / {divisor:e} on {} is {result:e}", backend.description());
            }
            let results = evaluate(&*backend, &single, &arrays[1..], x.len()).unwrap();
            for (x, result) in singles.iter().zip(results.as_primitive::<Float32Type>().values()) {
                let exact = x / divisor as f32;
                let same = result.to_bits() == exact.to_bits() || result.is_nan() && exact.is_nan();
                assert!(same, "{x:e} / {divisor:e} on {} is {result:e}", backend.description());
            }
        }
    }
}

#[test]
fn single_precision_ops_are_within_their_error_bounds() {
    let x: Vec<f32> = (0..20_000).map(|index| number(index) as f32).collect();
    let y: Vec<f32> = (0..20_000).map(|index| number(index + 7) as f32).collect();
    let arrays: [ArrayRef; 2] =
        [Arc::new(Float32Array::from(x.clone())), Arc::new(Float32Array::from(y.clone()))];
    let check = |entry: OpInfo, program: &Arc<Program>, arrays: &[ArrayRef], exact: &dyn Fn(usize) -> f64| {
        assert_eq!(program.data_type(), DataType::Float32);
        for backend in backends() {
            let results = evaluate(&*backend, program, arrays, x.len()).unwrap();
            for (row, &result) in results.as_primitive::<Float32Type>().values().iter().enumerate() {
                let exact = exact(row);
                let rounded = exact as f32;
                if !rounded.is_finite() || rounded.abs() < f32::MIN_POSITIVE {
                    let tiny = f64::from((result - rounded).abs()) <= 2.0 * entry.ulp * 1.5e-45;
                    let same = result == rounded || result.is_nan() && rounded.is_nan() || tiny;
                    // Close to the overflow threshold, both infinity and a finite result are within the bound.
                    assert!(
                        same || exact.abs() > 3.4e38,
                        "{} of {:e} on {} is {result:e}, not {rounded:e}",
                        entry.name,
                        x[row],
                        backend.description()
                    );
                    continue;
                }
                let ulp = f64::from(rounded.abs().next_up() - rounded.abs());
                let error = (f64::from(result) - exact).abs() / ulp;
                assert!(
                    error <= entry.ulp + 1e-3,
                    "{} of {:e}, {:e} on {} is {result:e}, off by {error:.3} ULP",
                    entry.name,
                    x[row],
                    y[row],
                    backend.description()
                );
            }
        }
    };
    for &op in Unary::ALL {
        let program = program_of(Precision::Single, 1, |builder, inputs| builder.unary(op, inputs[0]));
        check(op.info(), &program, &arrays[..1], &|row| op.f64(x[row].into()));
    }
    for &op in Binary::ALL {
        let program =
            program_of(Precision::Single, 2, |builder, inputs| builder.binary(op, inputs[0], inputs[1]));
        check(op.info(), &program, &arrays, &|row| op.f64(x[row].into(), y[row].into()));
    }
}

#[test]
fn programs_with_type_errors_are_rejected() {
    let mut builder = Builder::new(Precision::Double);
    let boolean = builder.add_input(Input { data_type: DataType::Boolean, nullable: false });
    let output = builder.unary(Unary::Sqrt, boolean);
    assert!(builder.finish(output).unwrap_err().to_string().contains("cannot have Unary(Sqrt"));
    let mut builder = Builder::new(Precision::Double);
    let text = builder.add_input(Input { data_type: DataType::Utf8, nullable: false });
    assert!(builder.finish(text).unwrap_err().to_string().contains("Utf8"));
}
