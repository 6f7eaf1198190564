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
use warpframe::ir::{Backend, Builder, Input, Interpreter, Program, ScalarType};

const CASES: u64 = 3000;

fn backends() -> Vec<Box<dyn Backend>> {
    let simd = SimdPath::available().into_iter().map(|path| Box::new(Simd::on(path).unwrap()) as _);
    std::iter::once(Box::new(Interpreter) as _).chain(simd).collect()
}

fn program_of(
    scalar_type: ScalarType,
    arguments: usize,
    op: impl Fn(&mut Builder, &[warpframe::ir::Value]) -> warpframe::ir::Value,
) -> Arc<Program> {
    let mut builder = Builder::new();
    let input = Input { data_type: scalar_type.data_type(), nullable: false };
    let inputs: Vec<_> = (0..arguments).map(|_| builder.add_input(input.clone())).collect();
    let output = op(&mut builder, &inputs);
    Arc::new(builder.finish_one(output).unwrap())
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
        Binary::Atan2 if !x.is_zero() && !y.is_zero() => exact_atan2(x, y, constants),
        // The standard library is the reference: on every path it computes these powers, its remainder is exact (see
        // `exact_remainder`), and the angles are multiples of pi/2.
        Binary::Power | Binary::Remainder | Binary::Atan2 => return None,
        // Of integers only.
        Binary::BitAnd | Binary::BitOr | Binary::BitXor | Binary::ShiftLeft | Binary::ShiftRight => {
            return None;
        }
    })
}

/// The angle of the point (`x`, `y`), neither of which is zero.
fn exact_atan2(y: &BigFloat, x: &BigFloat, constants: &mut Consts) -> BigFloat {
    let (p, r) = (2 * PRECISION, ROUNDING);
    let (height, width) = (y.abs(), x.abs());
    let is_steep = height > width;
    let (smaller, larger) = if is_steep { (&width, &height) } else { (&height, &width) };
    let ratio = smaller.div(larger, p, r);
    // For tiny ratios the arc tangent is equal to the precision of the reference, and takes long to compute.
    let is_tiny = ratio.exponent().is_some_and(|exponent| exponent < -100);
    let angle = if is_tiny { ratio } else { ratio.atan(p, r, constants) };
    let pi = constants.pi(p, r);
    let angle = if is_steep { pi.div(&BigFloat::from_word(2, p), p, r).sub(&angle, p, r) } else { angle };
    let angle = if x.is_negative() { pi.sub(&angle, p, r) } else { angle };
    if y.is_negative() { angle.neg() } else { angle }
}

/// The remainder of two finite numbers, the second not zero, in integer arithmetic: as multiples of powers of two,
/// `x = m 2^e` and `y = n 2^f`.
fn exact_remainder(x: f64, y: f64) -> f64 {
    let parts = |number: f64| {
        let (bits, fraction) = (number.abs().to_bits(), number.to_bits() & ((1 << 52) - 1));
        match bits >> 52 {
            0 => (u128::from(fraction), -1074),
            exponent => (u128::from(fraction | 1 << 52), exponent as i32 - 1075),
        }
    };
    let ((m, e), (n, f)) = (parts(x), parts(y));
    // m 2^(e - f) modulo n, in steps of 2^60; or m modulo n 2^(f - e), which exceeds m if the shift is 60 or more.
    let (remainder, unit) = if e >= f {
        let shift = e - f;
        let steps = (0..shift / 60).fold(m % n, |m, _| (m << 60) % n);
        ((steps << (shift % 60)) % n, f)
    } else if f - e < 60 {
        (m % (n << (f - e)), e)
    } else {
        (m, e)
    };
    // Exact: the remainder is representable, and it is a multiple of the smallest subnormal number.
    let half = unit / 2;
    (remainder as f64 * 2f64.powi(half) * 2f64.powi(unit - half)).copysign(x)
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
        let program = program_of(ScalarType::F64, 1, |builder, inputs| builder.unary(op, inputs[0]));
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
    for &op in Binary::ALL.iter().filter(|op| op.info().floats) {
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
            program_of(ScalarType::F64, 2, |builder, inputs| builder.binary(op, inputs[0], inputs[1]));
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

/// Arguments at which the formulas of the cube root and the hyperbolic functions change or end, with their neighbors.
fn critical_arguments() -> Vec<f64> {
    let powers = (-1074..1024).map(|exponent| 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2));
    let halves = (0..1030).map(|k| (f64::from(k) + 0.5) * std::f64::consts::LN_2);
    // The largest argument of a finite cosh, and that of a finite exp.
    let overflow = [710.4758600739439, 709.782712893384, 750.0, f64::MAX];
    let smallest = [0.0, 5e-324, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN];
    let numbers: Vec<f64> = powers.chain(halves).chain(overflow).collect();
    let neighbors = numbers.into_iter().flat_map(|x| [x.next_down(), x, x.next_up()]);
    let subnormal = (0..500).map(|index| f64::from_bits(random(index) >> (12 + index % 50)));
    neighbors.chain(smallest).chain(subnormal).flat_map(|x| [x, -x]).collect()
}

/// Random numbers of all exponents and random signs.
fn any_number(index: u64) -> f64 {
    f64::from_bits(random(index))
}

/// The results of a program on each backend. Those of the SIMD paths with FMA instructions must have the same bits.
fn results_of(program: &Arc<Program>, arguments: &[&[f64]]) -> Vec<(Box<dyn Backend>, Vec<f64>)> {
    let array = |&numbers: &&[f64]| Arc::new(Float64Array::from(numbers.to_vec())) as ArrayRef;
    let arrays: Vec<ArrayRef> = arguments.iter().map(array).collect();
    let results = backends().into_iter().map(|backend| {
        let results = evaluate(&*backend, program, &arrays, arguments[0].len()).unwrap();
        (backend, results.as_primitive::<Float64Type>().values().to_vec())
    });
    let results: Vec<_> = results.collect();
    let has_fma = |backend: &dyn Backend| {
        let description = backend.description();
        ["avx512", "avx2", "neon"].iter().any(|path| description.ends_with(path))
    };
    let mut fused = results.iter().filter(|(backend, _)| has_fma(&**backend));
    if let Some((_, first)) = fused.next() {
        for (backend, others) in fused {
            for (row, (one, other)) in first.iter().zip(others).enumerate() {
                let row: Vec<f64> = arguments.iter().map(|argument| argument[row]).collect();
                let same = one.to_bits() == other.to_bits();
                assert!(same, "{row:?}: {other:e} on {}, {one:e} elsewhere", backend.description());
            }
        }
    }
    results
}

/// Checks a unary op of `f64` on all backends: the results within the bound of the exact ones, where they are computed, and a
/// condition on the sign of each argument and result.
fn check_unary(
    op: Unary,
    inputs: &[f64],
    is_computed: impl Fn(f64) -> bool + Sync,
    has_sign: impl Fn(f64, f64) -> bool,
) {
    let exact: Vec<_> = inputs
        .par_iter()
        .map_init(
            || Consts::new().unwrap(),
            |constants, &x| is_computed(x).then(|| exact_unary(op, &big(x), constants)),
        )
        .collect();
    let plain: Vec<f64> = inputs.iter().map(|&x| op.f64(x)).collect();
    let program = program_of(ScalarType::F64, 1, |builder, inputs| builder.unary(op, inputs[0]));
    for (backend, results) in results_of(&program, &[inputs]) {
        let worst = check(op.info(), &*backend, &results, &plain, &exact, |row| format!("{:e}", inputs[row]));
        println!("{}: {} {worst:.3}", op.info().name, backend.description());
        for (&x, &result) in inputs.iter().zip(&results) {
            let has_sign = has_sign(x, result);
            assert!(has_sign, "{} of {x:e} on {} is {result:e}", op.info().name, backend.description());
        }
    }
}

/// Positive arguments at which the formula of the logarithms changes, with their neighbors: powers of two, the boundaries of
/// the cells of the argument reduction (25/24 + i/8), and 1 with many neighbors; random numbers close to 1, and subnormal ones.
fn critical_arguments_of_logarithms() -> Vec<f64> {
    let cells = (0..8).map(|cell| 25.0 / 24.0 + f64::from(cell) / 8.0).chain([23.0 / 24.0, 1.0]);
    let scaled =
        cells.flat_map(|x| [-1021, -300, -1, 0, 1, 2, 600, 1023].map(|exponent| x * 2f64.powi(exponent)));
    let boundaries = scaled.flat_map(|x| (-20..=20).map(move |step| x.to_bits().wrapping_add_signed(step)));
    let near_one = (0..15_000).map(|index| number(6 * index + 3));
    let around_one = (0..15_000).map(|index| 0.9 + (random(index) >> 11) as f64 / 2f64.powi(55));
    critical_arguments()
        .into_iter()
        .chain(boundaries.map(f64::from_bits))
        .chain(near_one)
        .chain(around_one)
        .collect()
}

#[test]
fn logarithms_are_within_their_error_bounds_everywhere() {
    let random = (0..10_000).map(number).chain((0..10_000).map(any_number));
    let inputs: Vec<f64> = random.chain(critical_arguments_of_logarithms()).collect();
    for op in [Unary::Ln, Unary::Log2, Unary::Log10] {
        check_unary(op, &inputs, |x| x > 0.0 && x.is_finite(), |_, _| true);
    }
}

#[test]
fn binary_logarithms_of_powers_of_two_are_exact() {
    let exponents: Vec<i32> = (-1074..=1023).collect();
    let inputs: Vec<f64> =
        exponents.iter().map(|&e| 2f64.powi(e.max(-1022)) * 2f64.powi((e + 1022).min(0))).collect();
    let program = program_of(ScalarType::F64, 1, |builder, inputs| builder.unary(Unary::Log2, inputs[0]));
    for (backend, results) in results_of(&program, &[&inputs]) {
        for (&exponent, result) in exponents.iter().zip(results) {
            assert_eq!(result, f64::from(exponent), "log2 of 2^{exponent} on {}", backend.description());
        }
    }
}

/// Bases at which the formula of the logarithms changes, with exponents of which many make the power almost as large or small
/// as numbers can be: there the error of the logarithm matters most.
#[test]
fn powers_are_within_their_error_bound_everywhere() {
    let bases = critical_arguments_of_logarithms().into_iter().chain((0..10_000).map(any_number));
    let points = bases.enumerate().map(|(index, x)| {
        let unit = (random(index as u64) >> 11) as f64 / 2f64.powi(53) - 0.5;
        let y = match index % 4 {
            0 => any_number(index as u64 + 1),
            1 => unit * 20.0,
            _ => unit * 1400.0 / x.abs().ln(),
        };
        [x, if x < 0.0 { y.round() } else { y }]
    });
    let (x, y): (Vec<f64>, Vec<f64>) = points.map(|[x, y]| (x, y)).unzip();
    let plain: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x.powf(*y)).collect();
    let exact: Vec<_> = (0..x.len())
        .into_par_iter()
        .map_init(
            || Consts::new().unwrap(),
            |constants, row| {
                let is_computed = x[row].is_finite() && y[row].is_finite() && !is_special(plain[row]);
                let power = is_computed
                    .then(|| exact_binary(Binary::Power, &big(x[row].abs()), &big(y[row]), constants));
                power.flatten().map(|power| if plain[row] < 0.0 { power.neg() } else { power })
            },
        )
        .collect();
    let program =
        program_of(ScalarType::F64, 2, |builder, inputs| builder.binary(Binary::Power, inputs[0], inputs[1]));
    for (backend, results) in results_of(&program, &[&x, &y]) {
        let place = |row: usize| format!("{:e}, {:e}", x[row], y[row]);
        let worst = check(Binary::Power.info(), &*backend, &results, &plain, &exact, place);
        println!("power: {} {worst:.3}", backend.description());
    }
}

/// Arguments at which the formulas of the exponential, trigonometric and inverse functions change or end, with their neighbors.
fn critical_arguments_of_functions() -> Vec<f64> {
    let eighths = (0..=20).map(|index| f64::from(index) / 8.0);
    let halves = (0..1080).map(|n| (f64::from(n) + 0.5) * std::f64::consts::LN_2);
    let angles = (0..400).map(|n| f64::from(n) * std::f64::consts::FRAC_PI_4);
    let large_angles = (0..400).map(|n| (random(n) >> 37) as f64 * std::f64::consts::FRAC_PI_4);
    let limits = [0.8, 350.0, 708.0, 709.782712893384, 745.1332191019411, 750.0, 134217728.0, 1e10, 1e300];
    let numbers: Vec<f64> = eighths.chain(halves).chain(angles).chain(large_angles).chain(limits).collect();
    let neighbors = numbers.into_iter().flat_map(|x| [x.next_down(), x, x.next_up()]);
    let smallest = [0.0, 5e-324, f64::MIN_POSITIVE, 1e-300, 1e-20, f64::MAX, f64::INFINITY, f64::NAN];
    let near_one = (0..3_000).map(|index| 1.0 - 2f64.powi(-(index % 54)) * f64::from(index) / 3_000.0);
    neighbors.chain(smallest).chain(near_one).flat_map(|x| [x, -x]).collect()
}

#[test]
fn elementary_functions_are_within_their_error_bounds_everywhere() {
    let unit = |index| (random(index) >> 11) as f64 / 2f64.powi(52) - 1.0;
    let random = (0..6_000).map(number).chain((0..3_000).map(any_number)).chain((0..6_000).map(unit));
    let inputs: Vec<f64> = random.chain(critical_arguments_of_functions()).collect();
    for op in
        [Unary::Exp, Unary::Sin, Unary::Cos, Unary::Tan, Unary::Asin, Unary::Acos, Unary::Atan, Unary::Tanh]
    {
        // The reference takes minutes for such arguments.
        let is_computed = |x: f64| match op {
            Unary::Exp | Unary::Tanh => x.abs() < 800.0,
            Unary::Sin | Unary::Cos | Unary::Tan => x.abs() < 1e9,
            Unary::Asin | Unary::Acos => x.abs() <= 1.0,
            _ => x.is_finite(),
        };
        let is_odd = !matches!(op, Unary::Exp | Unary::Cos | Unary::Acos);
        let has_sign = |x: f64, result: f64| !(x == 0.0 && is_odd) || result.to_bits() == x.to_bits();
        check_unary(op, &inputs, is_computed, has_sign);
    }
}

/// Registers with special or extreme numbers take another code than the usual ones. The result of a row must not depend on it:
/// it is the same among other numbers as in registers of this number only.
#[test]
fn results_do_not_depend_on_other_rows() {
    let inputs: Vec<f64> = critical_arguments_of_functions()
        .into_iter()
        .chain(critical_arguments().into_iter().step_by(3))
        .chain((0..2_000).map(number))
        .collect();
    let others: Vec<f64> = (0..inputs.len() as u64).map(|index| number(index + 17)).collect();
    let repeat = |numbers: &[f64]| numbers.iter().flat_map(|&x| [x; 16]).collect::<Vec<f64>>();
    let check = |entry: OpInfo, program: &Arc<Program>, arguments: &[&[f64]]| {
        let repeated: Vec<Vec<f64>> = arguments.iter().map(|numbers| repeat(numbers)).collect();
        let repeated: Vec<&[f64]> = repeated.iter().map(Vec::as_slice).collect();
        let mixed = results_of(program, arguments);
        for ((backend, mixed), (_, alone)) in mixed.iter().zip(results_of(program, &repeated)) {
            for (row, (one, other)) in mixed.iter().zip(alone.chunks(16)).enumerate() {
                let same = one.to_bits() == other[0].to_bits() || one.is_nan() && other[0].is_nan();
                let place = format!("{} of row {row} on {}", entry.name, backend.description());
                assert!(same, "{place} is {one:e} among others, {:e} alone", other[0]);
            }
        }
    };
    for &op in Unary::ALL {
        let program = program_of(ScalarType::F64, 1, |builder, inputs| builder.unary(op, inputs[0]));
        check(op.info(), &program, &[&inputs]);
    }
    for &op in Binary::ALL.iter().filter(|op| op.info().floats) {
        let program =
            program_of(ScalarType::F64, 2, |builder, inputs| builder.binary(op, inputs[0], inputs[1]));
        check(op.info(), &program, &[&inputs, &others]);
        check(op.info(), &program, &[&others, &inputs]);
    }
}

#[test]
fn roots_and_hyperbolic_functions_are_within_their_error_bounds_everywhere() {
    let random = (0..30_000).map(number).chain((0..10_000).map(any_number));
    let inputs: Vec<f64> = random.chain(critical_arguments()).collect();
    for op in [Unary::Cbrt, Unary::Sinh, Unary::Cosh] {
        let is_computed = |x: f64| x.is_finite() && (op == Unary::Cbrt || x.abs() < 800.0);
        let has_sign = |x: f64, result: f64| {
            let negative = op != Unary::Cosh && x.is_sign_negative();
            x.is_nan() || result.is_sign_negative() == negative
        };
        check_unary(op, &inputs, is_computed, has_sign);
    }
}

#[test]
fn angles_of_points_are_within_their_error_bound_everywhere() {
    let special = [0.0, 5e-324, 1e-310, 1e-300, 1e-270, 0.1, 1.0, 1e270, 1e300, f64::MAX, f64::INFINITY];
    let special: Vec<f64> = special.into_iter().chain([f64::NAN]).flat_map(|x| [x, -x]).collect();
    let mut points: Vec<[f64; 2]> =
        special.iter().flat_map(|&y| special.iter().map(move |&x| [y, x])).collect();
    for index in 0..20_000 {
        let (one, other) = (number(2 * index), number(2 * index + 1));
        points.extend([[one, other], [any_number(2 * index), any_number(2 * index + 1)]]);
        // Ratios close to those at which the formula changes, at any magnitude.
        let ratio = [0.0, 0.41421356237309503, 1.0, 2.414213562373095][index as usize % 4];
        let near = other * (ratio + one / 2f64.powi(10 + (index % 44) as i32));
        points.extend([[near, other], [near, -other]]);
    }
    let (y, x): (Vec<f64>, Vec<f64>) = points.iter().map(|&[y, x]| (y, x)).unzip();
    let exact: Vec<_> = points
        .par_iter()
        .map_init(
            || Consts::new().unwrap(),
            |constants, [y, x]| {
                let is_finite = x.is_finite() && y.is_finite();
                is_finite.then(|| exact_binary(Binary::Atan2, &big(*y), &big(*x), constants)).flatten()
            },
        )
        .collect();
    let plain: Vec<f64> = points.iter().map(|[y, x]| y.atan2(*x)).collect();
    let program =
        program_of(ScalarType::F64, 2, |builder, inputs| builder.binary(Binary::Atan2, inputs[0], inputs[1]));
    for (backend, results) in results_of(&program, &[&y, &x]) {
        let place = |row: usize| format!("{:e}, {:e}", y[row], x[row]);
        let worst = check(Binary::Atan2.info(), &*backend, &results, &plain, &exact, place);
        println!("atan2: {} {worst:.3}", backend.description());
        for (row, result) in results.iter().enumerate() {
            let sign = plain[row].is_nan() || result.is_sign_negative() == y[row].is_sign_negative();
            assert!(sign, "atan2 of {} on {} is {result:e}", place(row), backend.description());
        }
    }
}

/// Dividends and divisors of remainders: any two numbers, quotients close to integers, quotients close to the powers of
/// two where the method changes, subnormal numbers, and special cases.
fn divisions() -> Vec<[f64; 2]> {
    let special = [0.0, 5e-324, 1e-323, f64::MIN_POSITIVE, 1.0, 3.0, 1e300, f64::MAX, f64::INFINITY];
    let special: Vec<f64> = special.into_iter().chain([f64::NAN]).flat_map(|x| [x, -x]).collect();
    let mut pairs: Vec<[f64; 2]> =
        special.iter().flat_map(|&x| special.iter().map(move |&y| [x, y])).collect();
    for index in 0..20_000 {
        let (one, other, bits) = (number(2 * index), number(2 * index + 1), random(index + 1_000_000));
        pairs.extend([[one, other], [any_number(2 * index), any_number(2 * index + 1)]]);
        // A multiple of the divisor, or one of its neighbors.
        let multiple = (bits >> (bits % 64)) as f64 * any_number(index + 1).copysign(1.0);
        let near = f64::from_bits(multiple.to_bits().wrapping_add(index % 5).wrapping_sub(2));
        pairs.extend([[near, any_number(index + 1)], [-near, any_number(index + 1)]]);
        let power = 2f64.powi([52, 53, 54, 106, 279, 280, 1023][index as usize % 7]);
        pairs.push([other * power * (1.0 + (one * 1e-15)), other]);
        let subnormal = |bits: u64| f64::from_bits(bits >> (12 + bits % 52));
        pairs.extend([[subnormal(bits), subnormal(bits.rotate_left(32))], [one, subnormal(bits)]]);
    }
    pairs
}

#[test]
fn remainders_are_exact() {
    let (x, y): (Vec<f64>, Vec<f64>) = divisions().iter().map(|&[x, y]| (x, y)).unzip();
    let program = |scalar_type| {
        program_of(scalar_type, 2, |builder, inputs| builder.binary(Binary::Remainder, inputs[0], inputs[1]))
    };
    let exact = |x: f64, y: f64| match (x.is_finite(), y) {
        (true, y) if y.is_infinite() => x,
        (true, y) if y != 0.0 && !y.is_nan() => exact_remainder(x, y),
        _ => f64::NAN,
    };
    for (backend, results) in results_of(&program(ScalarType::F64), &[&x, &y]) {
        for ((&x, &y), &result) in x.iter().zip(&y).zip(&results) {
            for expected in [exact(x, y), x % y] {
                let same = result.to_bits() == expected.to_bits() || result.is_nan() && expected.is_nan();
                let place = format!("{x:e} % {y:e} on {}", backend.description());
                assert!(same, "{place} is {result:e}, not {expected:e}");
            }
        }
    }

    // The same numbers as f32, and random ones of all exponents.
    let any = |index: u64| f32::from_bits(random(index) as u32);
    let singles = |numbers: &[f64], offset: u64| -> Vec<f32> {
        let multiples = (0..20_000).map(|index| match offset {
            0 => any(index) * (random(index + 7) >> (random(index) % 64)) as f32,
            _ => any(index),
        });
        let random = (0..20_000).map(|index| any(2 * index + offset));
        numbers.iter().map(|&number| number as f32).chain(multiples).chain(random).collect()
    };
    let (x, y) = (singles(&x, 0), singles(&y, 1));
    let arrays: [ArrayRef; 2] =
        [Arc::new(Float32Array::from(x.clone())), Arc::new(Float32Array::from(y.clone()))];
    for backend in backends() {
        let results = evaluate(&*backend, &program(ScalarType::F32), &arrays, x.len()).unwrap();
        for ((&x, &y), &result) in x.iter().zip(&y).zip(results.as_primitive::<Float32Type>().values()) {
            for expected in [exact(x.into(), y.into()) as f32, x % y] {
                let same = result.to_bits() == expected.to_bits() || result.is_nan() && expected.is_nan();
                let place = format!("{x:e} % {y:e} on {}", backend.description());
                assert!(same, "{place} is {result:e}, not {expected:e}");
            }
        }
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
        let of = |scalar_type| {
            program_of(scalar_type, 1, |builder, inputs| {
                let divisor = builder.const_float(scalar_type, divisor);
                builder.binary(Binary::Divide, inputs[0], divisor)
            })
        };
        let (double, single) = (of(ScalarType::F64), of(ScalarType::F32));
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
    let any = |index: u64| f32::from_bits(random(index) as u32);
    let x: Vec<f32> = (0..20_000).map(|index| number(index) as f32).chain((0..20_000).map(any)).collect();
    let y = (0..20_000).map(|index| number(index + 7) as f32).chain((0..20_000).map(|index| any(index + 7)));
    let y: Vec<f32> = y.collect();
    let arrays: [ArrayRef; 2] =
        [Arc::new(Float32Array::from(x.clone())), Arc::new(Float32Array::from(y.clone()))];
    let check = |entry: OpInfo, program: &Arc<Program>, arrays: &[ArrayRef], exact: &dyn Fn(usize) -> f64| {
        assert_eq!(*program.data_type(), DataType::Float32);
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
        let program = program_of(ScalarType::F32, 1, |builder, inputs| builder.unary(op, inputs[0]));
        check(op.info(), &program, &arrays[..1], &|row| op.f64(x[row].into()));
    }
    for &op in Binary::ALL.iter().filter(|op| op.info().floats) {
        let program =
            program_of(ScalarType::F32, 2, |builder, inputs| builder.binary(op, inputs[0], inputs[1]));
        check(op.info(), &program, &arrays, &|row| op.f64(x[row].into(), y[row].into()));
    }
}

#[test]
fn programs_with_type_errors_are_rejected() {
    let mut builder = Builder::new();
    let boolean = builder.add_input(Input { data_type: DataType::Boolean, nullable: false });
    let output = builder.unary(Unary::Sqrt, boolean);
    assert!(builder.finish_one(output).unwrap_err().to_string().contains("cannot have Unary(Sqrt"));
    let mut builder = Builder::new();
    let text = builder.add_input(Input { data_type: DataType::Utf8, nullable: false });
    assert!(builder.finish_one(text).unwrap_err().to_string().contains("Utf8"));
}
