//! The bare kernels: accuracy against an arbitrary-precision logarithm, agreement of all SIMD paths of this CPU, and
//! results that do not depend on a row's position.

mod common;

use astro_float::{BigFloat, Consts};
use common::reference::{PRECISION, ROUNDING, big, random, ulp_error};
use proptest::prelude::*;
use rayon::prelude::*;
use warpframe::kernel::{Element, KernelError, SimdPath, ln_on, log3, log3_on, par_log3};

/// The exact logarithm of an f64.
fn exact_ln(x: f64, constants: &mut Consts) -> BigFloat {
    big(x).ln(PRECISION, ROUNDING, constants)
}

/// Positive finite numbers: a third over all exponents, a third in (0, 1e6], a third close to 1.
fn random_positive(index: u64) -> f64 {
    let bits = random(index);
    let unit = (bits >> 11) as f64 / 2f64.powi(53);
    match index % 3 {
        0 => f64::from_bits(bits % f64::INFINITY.to_bits()).max(5e-324),
        1 => (unit + 2f64.powi(-53)) * 1e6,
        _ => 0.5 + unit,
    }
}

/// Critical arguments: the ends and some interior points of every binade, cell boundaries of the argument reduction,
/// and the neighbours of 1.
fn critical_arguments() -> Vec<f64> {
    let mut numbers = Vec::new();
    for exponent in -1074..=1023 {
        let power = 2f64.powi(exponent.max(-1022)) * 2f64.powi((exponent + 1022).min(0));
        for factor in [1.0, 1.0 + f64::EPSILON, 1.2, 1.4999, 1.5, 1.75, 2.0 - f64::EPSILON] {
            numbers.push(power * factor);
        }
    }
    // The cells end at 25/24 + i/8, the first begins at 23/24.
    for boundary in (0..8).map(|cell| 25.0 / 24.0 + f64::from(cell) / 8.0).chain([23.0 / 24.0, 1.0]) {
        for power in [0.25, 0.5, 1.0, 2.0] {
            let bits = (boundary * power).to_bits();
            numbers.extend((-20..=20).map(|step| f64::from_bits(bits.wrapping_add_signed(step))));
        }
    }
    let (mut above, mut below) = (1.0f64, 1.0f64);
    for _ in 0..100 {
        (above, below) = (above.next_up(), below.next_down());
        numbers.extend([above, below]);
    }
    numbers.retain(|number| *number > 0.0 && number.is_finite());
    numbers
}

fn ln_of<E: Element + Default>(path: SimdPath, x: &[E]) -> Vec<E> {
    let mut output = vec![E::default(); x.len()];
    ln_on(path, x, &mut output).unwrap();
    output
}

fn log3_of<E: Element + Default>(path: SimdPath, x: &[E], y: &[E], z: &[E]) -> Vec<E> {
    let mut output = vec![E::default(); x.len()];
    log3_on(path, x, y, z, &mut output).unwrap();
    output
}

#[test]
fn ln_is_within_one_ulp_in_every_binade_and_at_cell_boundaries() {
    let numbers = critical_arguments();
    let results: Vec<_> =
        SimdPath::available().into_iter().map(|path| (path, ln_of(path, &numbers))).collect();
    let worst = numbers
        .par_iter()
        .enumerate()
        .map_init(
            || Consts::new().unwrap(),
            |constants, (row, &x)| {
                let exact = exact_ln(x, constants);
                let error = |(_, results): &(SimdPath, Vec<f64>)| (ulp_error(results[row], &exact), x);
                results
                    .iter()
                    .map(error)
                    .fold((0.0, 0.0), |one, other| if other.0 > one.0 { other } else { one })
            },
        )
        .reduce(|| (0.0, 0.0), |one, other| if other.0 > one.0 { other } else { one });
    println!("worst ln: {:.3} ULP at {:e}", worst.0, worst.1);
    assert!(worst.0 <= 1.0, "ln({:e}) is off by {:.3} ULP", worst.1, worst.0);
}

#[test]
fn a_million_random_rows_are_within_four_ulp_and_their_logarithms_within_one() {
    const ROWS: u64 = 1_000_000;
    let column = |column: u64| (0..ROWS).map(|row| random_positive(3 * row + column)).collect::<Vec<_>>();
    let [x, y, z] = [column(0), column(1), column(2)];
    let paths = SimdPath::available();
    let logarithms: Vec<_> = paths.iter().map(|&path| ln_of(path, &x)).collect();
    let products: Vec<_> = paths.iter().map(|&path| log3_of(path, &x, &y, &z)).collect();
    let (ln, log3) = (0..ROWS as usize)
        .into_par_iter()
        .map_init(
            || Consts::new().unwrap(),
            |constants, row| {
                let [x, y, z] = [x[row], y[row], z[row]].map(|number| exact_ln(number, constants));
                let product = x.mul(&y, PRECISION, ROUNDING).mul(&z, PRECISION, ROUNDING);
                let ln = logarithms.iter().map(|of_path| ulp_error(of_path[row], &x)).fold(0.0, f64::max);
                let log3 =
                    products.iter().map(|of_path| ulp_error(of_path[row], &product)).fold(0.0, f64::max);
                (ln, log3)
            },
        )
        .reduce(|| (0.0, 0.0), |one, other| (f64::max(one.0, other.0), f64::max(one.1, other.1)));
    println!("worst of {ROWS} random rows: ln {ln:.3} ULP, log3 {log3:.3} ULP");
    assert!(ln <= 1.0, "ln is off by {ln:.3} ULP");
    assert!(log3 <= 4.0, "log3 is off by {log3:.3} ULP");
}

#[test]
fn f32_logarithms_are_within_one_ulp() {
    let mut numbers: Vec<f32> =
        (0..1_000_000).map(|index| f32::from_bits(random(index) as u32 & 0x7F7F_FFFF)).collect();
    numbers.extend((0..1_000_000).map(|index| 0.5 + (random(index) >> 40) as f32 / 2f32.powi(24)));
    // Every 255th positive number, including subnormal ones.
    numbers.extend((1..0x7F80_0000u32).step_by(255).map(f32::from_bits));
    numbers.retain(|number| *number > 0.0);
    for path in SimdPath::available() {
        let results = ln_of(path, &numbers);
        for (&x, result) in numbers.iter().zip(results) {
            let exact = f64::from(x).ln();
            // The weight of the last of 24 significant bits of the exact logarithm.
            let ulp = 2f64.powi((exact.abs().log2().floor() as i32).max(-126) - 23);
            let error = (f64::from(result) - exact).abs() / ulp;
            assert!(
                error <= 1.0 || exact == 0.0 && result == 0.0,
                "{path}: ln({x:e}) is off by {error:.3} ULP"
            );
        }
    }
}

#[test]
fn special_values_follow_ieee_754() {
    let cases = [
        (0.0, f64::NEG_INFINITY),
        (-0.0, f64::NEG_INFINITY),
        (f64::INFINITY, f64::INFINITY),
        (1.0, 0.0),
        (-1.0, f64::NAN),
        (-f64::MIN_POSITIVE, f64::NAN),
        (-5e-324, f64::NAN),
        (f64::NEG_INFINITY, f64::NAN),
        (f64::NAN, f64::NAN),
        (-f64::NAN, f64::NAN),
    ];
    let same = |one: f64, other: f64| one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan();
    for path in SimdPath::available() {
        for (x, expected) in cases {
            // In every position of the widest register among ordinary values, and alone.
            for position in 0..16 {
                let mut row = [2.0; 16];
                row[position] = x;
                let result = ln_of(path, &row)[position];
                assert!(same(result, expected), "{path}: ln({x}) is {result}, not {expected}");
                let result = ln_of(path, &row.map(|number| number as f32))[position];
                let expected =
                    if x == -5e-324 || x == -f64::MIN_POSITIVE { f64::NEG_INFINITY } else { expected };
                assert!(same(result.into(), expected), "{path}: f32 ln({x}) is {result}, not {expected}");
            }
            assert!(same(ln_of(path, &[x])[0], expected), "{path}: ln({x}) alone");
        }
        // -inf times 0 is NaN, as in any IEEE 754 product.
        assert!(log3_of::<f64>(path, &[0.0], &[1.0], &[2.0])[0].is_nan());
        assert_eq!(log3_of(path, &[0.0], &[2.0], &[0.5])[0], f64::INFINITY);
    }
}

#[test]
fn fma_paths_are_bit_identical() {
    let numbers = critical_arguments();
    let floats: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
    let fused: Vec<_> =
        SimdPath::available().into_iter().filter(|path| *path != SimdPath::Portable).collect();
    if fused.len() < 2 {
        common::skipped(&format!(
            "this CPU has {} of the paths with fused multiply-add, two are compared",
            fused.len()
        ));
        return;
    }
    let bits = |path| ln_of(path, &numbers).iter().map(|result| result.to_bits()).collect::<Vec<_>>();
    let float_bits = |path| ln_of(path, &floats).iter().map(|result| result.to_bits()).collect::<Vec<_>>();
    for path in &fused[1..] {
        assert!(bits(*path) == bits(fused[0]), "{path} and {} differ", fused[0]);
        assert!(float_bits(*path) == float_bits(fused[0]), "{path} and {} differ for f32", fused[0]);
    }
}

#[test]
fn the_reference_workload_has_the_published_sum() {
    let x: Vec<f64> = (1..=10_000_000).map(f64::from).collect();
    let mut output = vec![0.0; x.len()];
    par_log3(&x, &x, &x, &mut output).unwrap();
    let sum: f64 = output.chunks(4096).map(|chunk| chunk.iter().sum::<f64>()).sum();
    assert!((sum / 34986983045.743 - 1.0).abs() < 1e-12, "the sum is {sum}");
}

#[test]
fn slices_of_different_lengths_are_rejected() {
    let mut output = [0.0; 3];
    let error = log3(&[1.0; 3], &[1.0; 2], &[1.0; 3], &mut output).unwrap_err();
    assert_eq!(error, KernelError::Length { position: 1, length: 2, expected: 3 });
    assert_eq!(error.to_string(), "input 1 has 2 rows, but the output has 3");
    assert!(par_log3(&[1.0; 3], &[1.0; 3], &[1.0; 4], &mut output).is_err());
}

proptest! {
    #[test]
    fn results_do_not_depend_on_row_position(
        rows in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>()), 1..100),
        offset in 0usize..20,
    ) {
        let offset = offset.min(rows.len() - 1);
        let x: Vec<_> = rows.iter().map(|row| row.0.abs()).collect();
        let y: Vec<_> = rows.iter().map(|row| row.1.abs()).collect();
        let z: Vec<_> = rows.iter().map(|row| row.2).collect();
        for path in SimdPath::available() {
            let whole = log3_of(path, &x, &y, &z);
            let sliced = log3_of(path, &x[offset..], &y[offset..], &z[offset..]);
            for (row, result) in sliced.iter().enumerate().map(|(row, result)| (row + offset, result)) {
                let alone = log3_of(path, &x[row..=row], &y[row..=row], &z[row..=row])[0];
                for other in [whole[row], alone] {
                    prop_assert!(result.to_bits() == other.to_bits() || result.is_nan() && other.is_nan());
                }
            }
        }
    }
}
