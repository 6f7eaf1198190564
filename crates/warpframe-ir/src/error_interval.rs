//! The interval of the results that the error bounds of the ops allow, by interval arithmetic on one row at a time: every
//! op is evaluated at the endpoints of its operands' intervals. Tests and comparisons check the results of backends
//! against it.

use arrow_array::ArrayRef;

use super::instruction::{Instruction, Precision, Trap, Value};
use super::ops::{Binary, Unary};
use super::program::Program;
use super::scalar::Scalar;

/// The values that a result may have in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorInterval {
    /// Null.
    Null,
    /// A number in a closed interval, given by its endpoints. Both are NaN if the result is NaN.
    Number(f64, f64),
    /// A Boolean.
    Bool(bool),
    /// Any value: the result depends on rounding errors of an intermediate value.
    Unknown,
}

impl ErrorInterval {
    /// Whether the interval contains a result; `None` is null.
    pub fn contains(&self, number: Option<f64>) -> bool {
        match (*self, number) {
            (Self::Null, None) | (Self::Unknown, _) => true,
            (Self::Number(low, high), Some(x)) => x >= low && x <= high || x.is_nan() && low.is_nan(),
            _ => false,
        }
    }

    /// The interval of a program's result in a row, or `None` if rounding errors decide whether the row traps. The
    /// arrays must match the program's inputs ([`Program::check_inputs`]).
    pub fn of(program: &Program, arrays: &[ArrayRef], row: usize) -> Option<Self> {
        interval(program, arrays, row)
    }
}

/// Whether two numbers have the same bits, or both are NaN of any payload.
fn same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan()
}

impl Precision {
    /// A unary op in this precision.
    fn unary(self, op: Unary, x: f64) -> f64 {
        match self {
            Self::Double => op.f64(x),
            Self::Single => f64::from(op.f32(x as f32)),
        }
    }

    /// A binary op in this precision.
    fn binary(self, op: Binary, x: f64, y: f64) -> f64 {
        match self {
            Self::Double => op.f64(x, y),
            Self::Single => f64::from(op.f32(x as f32, y as f32)),
        }
    }

    /// The nearest number of this precision.
    fn round(self, x: f64) -> f64 {
        match self {
            Self::Double => x,
            Self::Single => f64::from(x as f32),
        }
    }

    /// The unit in the last place (ULP) of a number; 0 for infinities and NaN.
    fn ulp_of(self, x: f64) -> f64 {
        match self {
            _ if !x.is_finite() => 0.0,
            Self::Double => x.abs().next_up() - x.abs(),
            Self::Single => f64::from((x.abs() as f32).next_up()) - f64::from(x.abs() as f32),
        }
    }

    /// The smallest interval with endpoints of this precision that contains the given one (outward rounding).
    fn round_outward(self, low: f64, high: f64) -> ErrorInterval {
        match self {
            Self::Double => ErrorInterval::Number(low, high),
            Self::Single => {
                let (mut below, mut above) = (low as f32, high as f32);
                if f64::from(below) > low {
                    below = below.next_down();
                }
                if f64::from(above) < high {
                    above = above.next_up();
                }
                ErrorInterval::Number(f64::from(below), f64::from(above))
            }
        }
    }
}

/// The interval, widened at both ends by `ulp` units in the last place.
fn widen(low: f64, high: f64, ulp: f64, precision: Precision) -> ErrorInterval {
    if low.is_nan() || high.is_nan() {
        return if low.is_nan() && high.is_nan() {
            ErrorInterval::Number(f64::NAN, f64::NAN)
        } else {
            ErrorInterval::Unknown
        };
    }
    if ulp == 0.0 {
        return ErrorInterval::Number(low, high);
    }
    precision.round_outward(low - ulp * precision.ulp_of(low), high + ulp * precision.ulp_of(high))
}

/// The smallest interval that contains all candidates, widened by `ulp` units in the last place.
fn hull(candidates: impl IntoIterator<Item = f64>, ulp: f64, precision: Precision) -> ErrorInterval {
    let candidates: Vec<_> = candidates.into_iter().collect();
    let nans = candidates.iter().filter(|x| x.is_nan()).count();
    if nans > 0 {
        return if nans == candidates.len() {
            ErrorInterval::Number(f64::NAN, f64::NAN)
        } else {
            ErrorInterval::Unknown
        };
    }
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for candidate in candidates {
        // The total order distinguishes -0 from +0.
        low = if candidate.total_cmp(&low).is_lt() { candidate } else { low };
        high = if candidate.total_cmp(&high).is_gt() { candidate } else { high };
    }
    widen(low, high, ulp, precision)
}

/// Points of an interval among which are the extrema of every function that is monotonic, or monotonic on either side
/// of 0.
fn extremal_points(low: f64, high: f64) -> [f64; 3] {
    let middle = if low < 0.0 && high > 0.0 { 0.0 } else { low };
    [low, middle, high]
}

/// [`ErrorInterval::of`]
fn interval(program: &Program, arrays: &[ArrayRef], row: usize) -> Option<ErrorInterval> {
    let mut values: Vec<ErrorInterval> = Vec::new();
    let precision = program.precision();
    let hull = |candidates: Vec<f64>, ulp: f64| hull(candidates, ulp, precision);
    // Correctly rounded ops have one result. For the others the reference value, the scalar definition, may be off by
    // the bound itself, hence twice the bound.
    let tolerance = |ulp: f64| if ulp <= 0.5 { 0.0 } else { 2.0 * ulp };
    for instruction in program.instructions() {
        let at = |value: Value| values[value.position()];
        let interval = match *instruction {
            Instruction::Input(input) => match Scalar::read(&arrays[input], row, precision) {
                Ok(Scalar::Null) => ErrorInterval::Null,
                Ok(Scalar::Bool(value)) => ErrorInterval::Bool(value),
                Ok(Scalar::Double(number)) => ErrorInterval::Number(number, number),
                Ok(Scalar::Single(number)) => ErrorInterval::Number(number.into(), number.into()),
                Err(_) => ErrorInterval::Unknown,
            },
            Instruction::ConstFloat(bits) => {
                let number = precision.round(f64::from_bits(bits));
                ErrorInterval::Number(number, number)
            }
            Instruction::ConstBool(value) => ErrorInterval::Bool(value),
            Instruction::ConstNull(_) => ErrorInterval::Null,
            Instruction::Unary(op, x) => match at(x) {
                ErrorInterval::Number(low, high) => {
                    // An interval around 0 has numbers of either sign.
                    let sign_unknown = op == Unary::Signum && low <= 0.0 && high >= 0.0;
                    let ulp = tolerance(op.info().ulp);
                    match op {
                        _ if same(low, high) => hull(vec![precision.unary(op, low)], ulp),
                        // The magnitude of their derivatives is at most 1.
                        Unary::Sin | Unary::Cos => match hull(vec![precision.unary(op, low)], ulp) {
                            ErrorInterval::Number(below, above) => {
                                precision.round_outward(below - (high - low), above + (high - low))
                            }
                            other => other,
                        },
                        Unary::Tan => ErrorInterval::Unknown,
                        _ if sign_unknown => ErrorInterval::Unknown,
                        _ => hull(extremal_points(low, high).map(|x| precision.unary(op, x)).to_vec(), ulp),
                    }
                }
                other => other,
            },
            Instruction::Binary(op, x, y) => match (at(x), at(y)) {
                (ErrorInterval::Null, _) | (_, ErrorInterval::Null) => ErrorInterval::Null,
                (ErrorInterval::Number(a, b), ErrorInterval::Number(c, d)) => {
                    let exact =
                        same(a, b) && same(c, d) || a.is_nan() && b.is_nan() || c.is_nan() && d.is_nan();
                    let corners = || {
                        let (xs, ys) = (extremal_points(a, b), extremal_points(c, d));
                        let pairs = xs.into_iter().flat_map(|x| ys.map(|y| (x, y)));
                        pairs.map(|(x, y)| precision.binary(op, x, y)).collect()
                    };
                    // The values at the corners do not bound these ops, with one exception: division by an interval
                    // that does not contain 0.
                    let discontinuous =
                        matches!(op, Binary::Remainder | Binary::Atan2 | Binary::Power | Binary::Divide);
                    match discontinuous && !exact {
                        true if op == Binary::Divide && !(c <= 0.0 && d >= 0.0) => {
                            hull(corners(), tolerance(op.info().ulp))
                        }
                        true => ErrorInterval::Unknown,
                        false => hull(corners(), tolerance(op.info().ulp)),
                    }
                }
                _ => ErrorInterval::Unknown,
            },
            Instruction::TotalLt(x, y) | Instruction::BitEq(x, y) => match (at(x), at(y)) {
                (ErrorInterval::Null, _) | (_, ErrorInterval::Null) => ErrorInterval::Null,
                (ErrorInterval::Number(a, b), ErrorInterval::Number(c, d)) => {
                    // The total order depends on the sign of a NaN, which IEEE 754 leaves open for results of ops.
                    let nan = a.is_nan() || c.is_nan();
                    let exact = !nan && same(a, b) && same(c, d);
                    let less = matches!(instruction, Instruction::TotalLt(..));
                    if exact {
                        ErrorInterval::Bool(if less {
                            a.total_cmp(&c).is_lt()
                        } else {
                            a.to_bits() == c.to_bits()
                        })
                    } else if nan {
                        ErrorInterval::Unknown
                    } else if b < c {
                        ErrorInterval::Bool(less)
                    } else if d < a {
                        ErrorInterval::Bool(false)
                    } else {
                        ErrorInterval::Unknown
                    }
                }
                _ => ErrorInterval::Unknown,
            },
            Instruction::IsNan(x) => match at(x) {
                ErrorInterval::Number(low, _) => ErrorInterval::Bool(low.is_nan()),
                other => other,
            },
            Instruction::IsNull(x) => match at(x) {
                ErrorInterval::Null => ErrorInterval::Bool(true),
                ErrorInterval::Unknown => ErrorInterval::Unknown,
                _ => ErrorInterval::Bool(false),
            },
            Instruction::Not(x) => match at(x) {
                ErrorInterval::Bool(value) => ErrorInterval::Bool(!value),
                other => other,
            },
            Instruction::And(x, y) => match (at(x), at(y)) {
                (ErrorInterval::Bool(false), _) | (_, ErrorInterval::Bool(false)) => {
                    ErrorInterval::Bool(false)
                }
                (ErrorInterval::Unknown, _) | (_, ErrorInterval::Unknown) => ErrorInterval::Unknown,
                (ErrorInterval::Null, _) | (_, ErrorInterval::Null) => ErrorInterval::Null,
                _ => ErrorInterval::Bool(true),
            },
            Instruction::Or(x, y) => match (at(x), at(y)) {
                (ErrorInterval::Bool(true), _) | (_, ErrorInterval::Bool(true)) => ErrorInterval::Bool(true),
                (ErrorInterval::Unknown, _) | (_, ErrorInterval::Unknown) => ErrorInterval::Unknown,
                (ErrorInterval::Null, _) | (_, ErrorInterval::Null) => ErrorInterval::Null,
                _ => ErrorInterval::Bool(false),
            },
            Instruction::Select(condition, yes, no) => match at(condition) {
                ErrorInterval::Bool(true) => at(yes),
                ErrorInterval::Unknown => ErrorInterval::Unknown,
                _ => at(no),
            },
            Instruction::TrapIf(trap, [x, y], guard) => {
                let guarded = guard.map_or(ErrorInterval::Bool(true), at);
                let condition = trap_condition(trap, at(x), at(y));
                match (guarded, condition) {
                    (ErrorInterval::Bool(false) | ErrorInterval::Null, _) | (_, Some(false)) => {}
                    (ErrorInterval::Bool(true), Some(true)) => {}
                    // Rounding errors, or the sign of a NaN, decide whether the row traps.
                    _ => return None,
                }
                ErrorInterval::Unknown
            }
        };
        values.push(interval);
    }
    Some(values[program.output().position()])
}

/// Whether the condition of a trap holds for operands in these intervals; `None` if it holds for a part of them only.
fn trap_condition(trap: Trap, x: ErrorInterval, y: ErrorInterval) -> Option<bool> {
    // Whether the numbers of the interval are negative; `None` if only some of them are. NaN is not.
    let negative = |low: f64, high: f64| match (low < 0.0, high < 0.0) {
        (true, false) => None,
        (below, _) => Some(below),
    };
    match (trap, x, y) {
        (_, ErrorInterval::Null, _) | (_, _, ErrorInterval::Null) => Some(false),
        (Trap::SqrtOfNegative, ErrorInterval::Number(low, high), _) => negative(low, high),
        (Trap::ZeroToNegativePower, ErrorInterval::Number(a, b), ErrorInterval::Number(c, d)) => {
            let zero = match a <= 0.0 && b >= 0.0 {
                true if a != b => None,
                zero => Some(zero),
            };
            match (zero, negative(c, d)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            }
        }
        _ => None,
    }
}
