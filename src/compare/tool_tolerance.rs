//! How far a result of an external tool may be from the exact value of a program in a row: a running error analysis.
//!
//! Other than warpframe's backends, tools do not agree on the bits of additions and divisions: some multiply by the reciprocal of a
//! constant, contract `a * b + c`, or evaluate functions with larger errors. So each operation that is not exact may err by
//! [`FACTOR`] times its bound in the op table, and its operands by what they may err themselves. The error of an operand is carried
//! through an operation by evaluating it at both ends.

use arrow::array::ArrayRef;

use warpframe_ir::Scalar;
use warpframe_ir::instruction::{Comparison, Instruction};
use warpframe_ir::ops::{Binary, OpInfo, Unary};
use warpframe_ir::program::Program;

/// The errors that tools may have, in bounds of the op table.
const FACTOR: f64 = 4.0;

/// A value of a program in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Approximate {
    /// A number and the largest distance of a tool's value from it.
    Number(f64, f64),
    /// A Boolean.
    Boolean(bool),
    /// Any value, as it depends on rounding errors.
    Unknown,
}

/// Whether a tool's result of the program's first output is within the tolerance. `arguments` are Float64 columns that match the
/// program's inputs.
pub fn is_tolerated(program: &Program, arguments: &[ArrayRef], row: usize, result: f64) -> bool {
    let output = program.outputs()[0].value.position();
    match values(program, arguments, row).get(output) {
        Some(Approximate::Number(value, error)) => {
            (result - value).abs() <= *error || result == *value || result.is_nan() && value.is_nan()
        }
        _ => true,
    }
}

fn values(program: &Program, arguments: &[ArrayRef], row: usize) -> Vec<Approximate> {
    let mut values: Vec<Approximate> = Vec::with_capacity(program.instructions().len());
    for instruction in program.instructions() {
        let of = |value: warpframe_ir::instruction::Value| values[value.position()];
        let value = match *instruction {
            Instruction::Input(input) => match Scalar::read(&arguments[input as usize], row) {
                Ok(Some(scalar)) => exact(scalar),
                _ => Approximate::Unknown,
            },
            Instruction::Const(scalar) => exact(scalar),
            Instruction::Unary(op, x) => unary(op, of(x)),
            Instruction::Binary(op, x, y) => binary(op, of(x), of(y)),
            Instruction::Compare(comparison, x, y) => compare(comparison, of(x), of(y)),
            Instruction::IsNan(x) => match of(x) {
                Approximate::Number(value, _) => Approximate::Boolean(value.is_nan()),
                _ => Approximate::Unknown,
            },
            // No column has nulls.
            Instruction::IsNull(_) => Approximate::Boolean(false),
            Instruction::Not(x) => match of(x) {
                Approximate::Boolean(value) => Approximate::Boolean(!value),
                _ => Approximate::Unknown,
            },
            Instruction::And(x, y) => logical(false, of(x), of(y)),
            Instruction::Or(x, y) => logical(true, of(x), of(y)),
            Instruction::Select(condition, x, y) => match of(condition) {
                Approximate::Boolean(true) => of(x),
                Approximate::Boolean(false) => of(y),
                _ => Approximate::Unknown,
            },
            Instruction::Null(_)
            | Instruction::Cast(..)
            | Instruction::InTable(..)
            | Instruction::TrapIf(..) => Approximate::Unknown,
        };
        values.push(value);
    }
    values
}

fn exact(scalar: Scalar) -> Approximate {
    match (scalar.as_float(), scalar.as_bool()) {
        (Some(number), _) => Approximate::Number(number, 0.0),
        (_, Some(boolean)) => Approximate::Boolean(boolean),
        _ => Approximate::Unknown,
    }
}

fn unary(op: Unary, x: Approximate) -> Approximate {
    let Approximate::Number(x, error) = x else { return Approximate::Unknown };
    around(op.f64(x), [x - error, x + error].into_iter().map(|x| op.f64(x)), op.info())
}

fn binary(op: Binary, x: Approximate, y: Approximate) -> Approximate {
    let (Approximate::Number(x, x_error), Approximate::Number(y, y_error)) = (x, y) else {
        return Approximate::Unknown;
    };
    let ends = [x - x_error, x + x_error].into_iter();
    let corners = ends.flat_map(|x| [y - y_error, y + y_error].map(|y| op.f64(x, y)));
    around(op.f64(x, y), corners, op.info())
}

/// The value of an operation, and its error from its values at the ends of the operands.
fn around(value: f64, corners: impl Iterator<Item = f64>, info: OpInfo) -> Approximate {
    let mut error = 0f64;
    for corner in corners.filter(|corner| corner.to_bits() != value.to_bits()) {
        match (corner - value).abs() {
            distance if distance.is_finite() => error = error.max(distance),
            // Rounding errors decide whether there is a number.
            _ if !(corner.is_nan() && value.is_nan()) => return Approximate::Unknown,
            _ => {}
        }
    }
    // A correctly rounded operation has an error of half an ULP, and so the least tolerance is that of two.
    let own = if value.is_finite() { FACTOR * info.ulp * f64::EPSILON * value.abs() } else { 0.0 };
    Approximate::Number(value, error + own)
}

fn compare(comparison: Comparison, x: Approximate, y: Approximate) -> Approximate {
    let known =
        |x: Scalar, y: Scalar| comparison.apply(x, y).map_or(Approximate::Unknown, Approximate::Boolean);
    match (x, y) {
        (Approximate::Number(x, x_error), Approximate::Number(y, y_error)) => {
            let errors = x_error + y_error;
            match errors > 0.0 && (x - y).abs() <= errors {
                true => Approximate::Unknown,
                false => known(Scalar::F64(x), Scalar::F64(y)),
            }
        }
        (Approximate::Boolean(x), Approximate::Boolean(y)) => known(Scalar::Bool(x), Scalar::Bool(y)),
        _ => Approximate::Unknown,
    }
}

/// AND (`decisive` is false) or OR (`decisive` is true).
fn logical(decisive: bool, x: Approximate, y: Approximate) -> Approximate {
    match (x, y) {
        (Approximate::Boolean(value), _) | (_, Approximate::Boolean(value)) if value == decisive => {
            Approximate::Boolean(decisive)
        }
        (Approximate::Boolean(_), Approximate::Boolean(_)) => Approximate::Boolean(!decisive),
        _ => Approximate::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::sync::Arc;

    use arrow::array::Float64Array;

    use super::super::formula::Formula;
    use super::*;

    /// Whether results of a formula of x alone are tolerated at a value of x.
    fn tolerated(formula: &str, x: f64, results: &[f64]) -> Vec<bool> {
        let formula = Formula::new(Some(formula)).unwrap();
        let x: ArrayRef = Arc::new(Float64Array::from(vec![x]));
        let program = &formula.compiled.program;
        results.iter().map(|result| is_tolerated(program, std::slice::from_ref(&x), 0, *result)).collect()
    }

    #[test]
    fn a_product_with_the_reciprocal_is_tolerated_and_other_numbers_are_not() {
        // The quotient errs by half an ULP, and the exponential function multiplies the relative error by 80.
        let x: f64 = 803.0;
        let other = (x * 0.1).exp();
        let right = (x / 10.0).exp();
        assert!(right != other);
        assert_eq!(tolerated("exp(x / 10)", x, &[right, other, right * (1.0 + 1e-12)]), [true, true, false]);
    }

    #[test]
    fn cancellation_is_measured_by_the_operands() {
        // The error of the sum of 1 and x is that of a number near 1, not near x.
        assert_eq!(tolerated("(x + 1) - 1", 1e-10, &[1e-10, 1e-10 + 2e-16, 1.1e-10]), [true, true, false]);
    }

    #[test]
    fn exact_operations_have_no_tolerance() {
        assert_eq!(tolerated("abs(floor(x))", -2.5, &[3.0, 3.0 + 1e-15]), [true, false]);
        assert_eq!(tolerated("CASE WHEN x > 2 THEN x ELSE 0 END", 3.0, &[3.0, 0.0]), [true, false]);
        assert_eq!(tolerated("greatest(x, 2)", 1.0, &[2.0, 1.0]), [true, false]);
    }

    #[test]
    fn a_condition_that_depends_on_rounding_errors_tolerates_both_branches() {
        let formula = "CASE WHEN x * 0.1 < 0.3 THEN 1 ELSE 2.0 END";
        assert_eq!(tolerated(formula, 3.0, &[1.0, 2.0]), [true, true]);
        assert_eq!(tolerated(formula, 4.0, &[1.0, 2.0]), [false, true]);
    }

    #[test]
    fn nan_and_infinity_are_exact() {
        assert_eq!(tolerated("ln(x)", 0.0, &[f64::NEG_INFINITY, -700.0]), [true, false]);
        assert_eq!(tolerated("ln(x)", -1.0, &[f64::NAN, 0.0]), [true, false]);
    }
}
