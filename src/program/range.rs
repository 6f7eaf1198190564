//! How far a result may be off when every op is within its bound: intervals, calculated along with the values
//! by trying every op at the ends of its arguments' intervals. What the answers of two backends are compared
//! by; too slow for anything else.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use super::ops::{Binary, Unary};
use super::{Fault, Instruction, Precision, Program, Value};

/// What a value may be in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Null.
    Null,
    /// A number from the first to the last; two NaN for NaN.
    Number(f64, f64),
    /// A truth value.
    Truth(bool),
    /// Anything: it depends on the last bits of what it is calculated from.
    Unknown,
}

impl Range {
    /// Whether a number, or null, is one that the value may be.
    pub fn holds(&self, number: Option<f64>) -> bool {
        match (*self, number) {
            (Self::Null, None) | (Self::Unknown, _) => true,
            (Self::Number(low, high), Some(x)) => x >= low && x <= high || x.is_nan() && low.is_nan(),
            _ => false,
        }
    }
}

/// The same number: the same bits, or NaN of any kind.
fn same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan()
}

impl Precision {
    /// An op of one number of this precision.
    fn unary(self, op: Unary, x: f64) -> f64 {
        match self {
            Self::Double => op.f64(x),
            Self::Single => f64::from(op.f32(x as f32)),
        }
    }

    /// An op of two numbers of this precision.
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

    /// The unit in the last place.
    fn unit(self, x: f64) -> f64 {
        match self {
            _ if !x.is_finite() => 0.0,
            Self::Double => x.abs().next_up() - x.abs(),
            Self::Single => f64::from((x.abs() as f32).next_up()) - f64::from(x.abs() as f32),
        }
    }

    /// An interval with ends of this precision around one.
    fn outward(self, low: f64, high: f64) -> Range {
        match self {
            Self::Double => Range::Number(low, high),
            Self::Single => {
                let (mut below, mut above) = (low as f32, high as f32);
                if f64::from(below) > low {
                    below = below.next_down();
                }
                if f64::from(above) < high {
                    above = above.next_up();
                }
                Range::Number(f64::from(below), f64::from(above))
            }
        }
    }
}

/// An interval, up and down by some units in the last place.
fn widen(low: f64, high: f64, ulp: f64, precision: Precision) -> Range {
    if low.is_nan() || high.is_nan() {
        return if low.is_nan() && high.is_nan() {
            Range::Number(f64::NAN, f64::NAN)
        } else {
            Range::Unknown
        };
    }
    if ulp == 0.0 {
        // Infinities stay what they are.
        return Range::Number(low, high);
    }
    precision.outward(low - ulp * precision.unit(low), high + ulp * precision.unit(high))
}

fn around(candidates: impl IntoIterator<Item = f64>, ulp: f64, precision: Precision) -> Range {
    let candidates: Vec<_> = candidates.into_iter().collect();
    let nans = candidates.iter().filter(|x| x.is_nan()).count();
    if nans > 0 {
        return if nans == candidates.len() { Range::Number(f64::NAN, f64::NAN) } else { Range::Unknown };
    }
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for candidate in candidates {
        // In the total order, for the signs of zeros.
        low = if candidate.total_cmp(&low).is_lt() { candidate } else { low };
        high = if candidate.total_cmp(&high).is_gt() { candidate } else { high };
    }
    widen(low, high, ulp, precision)
}

/// Numbers of an interval at which a monotonic function, or an even one, has its extremes.
fn ends(low: f64, high: f64) -> [f64; 3] {
    let middle = if low < 0.0 && high > 0.0 { 0.0 } else { low };
    [low, middle, high]
}

impl Program {
    /// What the result may be in a row, each op being within its bound; none if it may or may not be an error. The
    /// arguments must fit the program.
    pub fn range(&self, arguments: &[ArrayRef], row: usize) -> Option<Range> {
        let mut values: Vec<Range> = Vec::new();
        let precision = self.precision();
        let around = |candidates: Vec<f64>, ulp: f64| around(candidates, ulp, precision);
        let bound = |ulp: f64| if ulp <= 0.5 { 0.0 } else { 2.0 * ulp };
        for instruction in self.instructions() {
            let at = |value: Value| values[value.position()];
            let range = match *instruction {
                Instruction::Input(input) => {
                    let array = &arguments[input];
                    match array.data_type() {
                        _ if array.is_null(row) => Range::Null,
                        _ => match ScalarValue::try_from_array(array, row) {
                            Ok(ScalarValue::Boolean(Some(value))) => Range::Truth(value),
                            Ok(number) => match number.cast_to(&DataType::Float64) {
                                Ok(ScalarValue::Float64(Some(number))) => {
                                    let number = precision.round(number);
                                    Range::Number(number, number)
                                }
                                _ => Range::Unknown,
                            },
                            Err(_) => Range::Unknown,
                        },
                    }
                }
                Instruction::Number(bits) => {
                    let number = precision.round(f64::from_bits(bits));
                    Range::Number(number, number)
                }
                Instruction::Boolean(value) => Range::Truth(value),
                Instruction::Null(_) => Range::Null,
                Instruction::Unary(op, x) => match at(x) {
                    Range::Number(low, high) => {
                        // Signs of zeros do not survive the interval.
                        let lost_sign = op == Unary::Signum && low <= 0.0 && high >= 0.0;
                        let ulp = bound(op.entry().ulp);
                        match op {
                            _ if same(low, high) => around(vec![precision.unary(op, low)], ulp),
                            // Their slope is at most 1.
                            Unary::Sin | Unary::Cos => match around(vec![precision.unary(op, low)], ulp) {
                                Range::Number(below, above) => {
                                    precision.outward(below - (high - low), above + (high - low))
                                }
                                other => other,
                            },
                            Unary::Tan => Range::Unknown,
                            _ if lost_sign => Range::Unknown,
                            _ => around(ends(low, high).map(|x| precision.unary(op, x)).to_vec(), ulp),
                        }
                    }
                    other => other,
                },
                Instruction::Binary(op, x, y) => match (at(x), at(y)) {
                    (Range::Null, _) | (_, Range::Null) => Range::Null,
                    (Range::Number(a, b), Range::Number(c, d)) => {
                        let exact =
                            same(a, b) && same(c, d) || a.is_nan() && b.is_nan() || c.is_nan() && d.is_nan();
                        // A divisor around zero, and the jumps of the others, say nothing of the result.
                        let corners = || {
                            let pairs = ends(a, b).into_iter().flat_map(|x| ends(c, d).map(|y| (x, y)));
                            pairs.map(|(x, y)| precision.binary(op, x, y)).collect()
                        };
                        let jumps = matches!(op.entry().name, "%" | "atan2" | "power" | "/");
                        match jumps && !exact {
                            true if op.entry().name == "/" && !(c <= 0.0 && d >= 0.0) => {
                                around(corners(), bound(op.entry().ulp))
                            }
                            true => Range::Unknown,
                            false => around(corners(), bound(op.entry().ulp)),
                        }
                    }
                    _ => Range::Unknown,
                },
                Instruction::Less(x, y) | Instruction::Same(x, y) => match (at(x), at(y)) {
                    (Range::Null, _) | (_, Range::Null) => Range::Null,
                    (Range::Number(a, b), Range::Number(c, d)) => {
                        // The sign of a NaN, which the total order looks at, is what the CPU makes it.
                        let nan = a.is_nan() || c.is_nan();
                        let exact = !nan && same(a, b) && same(c, d);
                        let less = matches!(instruction, Instruction::Less(..));
                        if exact {
                            Range::Truth(if less {
                                a.total_cmp(&c).is_lt()
                            } else {
                                a.to_bits() == c.to_bits()
                            })
                        } else if nan {
                            Range::Unknown
                        } else if b < c {
                            Range::Truth(less)
                        } else if d < a {
                            Range::Truth(false)
                        } else {
                            Range::Unknown
                        }
                    }
                    _ => Range::Unknown,
                },
                Instruction::IsNan(x) => match at(x) {
                    Range::Number(low, _) => Range::Truth(low.is_nan()),
                    other => other,
                },
                Instruction::IsNull(x) => match at(x) {
                    Range::Null => Range::Truth(true),
                    Range::Unknown => Range::Unknown,
                    _ => Range::Truth(false),
                },
                Instruction::Not(x) => match at(x) {
                    Range::Truth(value) => Range::Truth(!value),
                    other => other,
                },
                Instruction::And(x, y) => match (at(x), at(y)) {
                    (Range::Truth(false), _) | (_, Range::Truth(false)) => Range::Truth(false),
                    (Range::Unknown, _) | (_, Range::Unknown) => Range::Unknown,
                    (Range::Null, _) | (_, Range::Null) => Range::Null,
                    _ => Range::Truth(true),
                },
                Instruction::Or(x, y) => match (at(x), at(y)) {
                    (Range::Truth(true), _) | (_, Range::Truth(true)) => Range::Truth(true),
                    (Range::Unknown, _) | (_, Range::Unknown) => Range::Unknown,
                    (Range::Null, _) | (_, Range::Null) => Range::Null,
                    _ => Range::Truth(false),
                },
                Instruction::Select(condition, yes, no) => match at(condition) {
                    Range::Truth(true) => at(yes),
                    Range::Unknown => Range::Unknown,
                    _ => at(no),
                },
                Instruction::Forbid(fault, [x, y], guard) => {
                    let guarded = guard.map_or(Range::Truth(true), at);
                    let happens = happens(fault, at(x), at(y));
                    match (guarded, happens) {
                        (Range::Truth(false) | Range::Null, _) | (_, Some(false)) => {}
                        (Range::Truth(true), Some(true)) => {}
                        // Whether it is an error may hang on the last bit, or on the sign of a NaN.
                        _ => return None,
                    }
                    Range::Unknown
                }
            };
            values.push(range);
        }
        Some(values[self.output().position()])
    }
}

/// Whether a fault happens with these arguments; nothing if it may or may not.
fn happens(fault: Fault, x: Range, y: Range) -> Option<bool> {
    // Whether a number of the interval is negative: all, some or none. None of NaN is.
    let negative = |low: f64, high: f64| match (low < 0.0, high < 0.0) {
        (true, false) => None,
        (below, _) => Some(below),
    };
    match (fault, x, y) {
        (_, Range::Null, _) | (_, _, Range::Null) => Some(false),
        (Fault::SqrtOfNegative, Range::Number(low, high), _) => negative(low, high),
        (Fault::ZeroToNegativePower, Range::Number(a, b), Range::Number(c, d)) => {
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
