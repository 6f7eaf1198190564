//! The interval of the results that the error bounds of the ops allow, by interval arithmetic on one row at a time: every
//! op is evaluated at the endpoints of its operands' intervals. Tests and comparisons check the results of backends
//! against it.

use arrow_array::ArrayRef;

use super::instruction::{Comparison, Instruction, Value};
use super::ops::{Binary, Unary};
use super::program::Program;
use super::scalar::Scalar;
use super::scalar_type::ScalarType;

/// The values that a result may have in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorInterval {
    /// Null.
    Null,
    /// A floating-point number in a closed interval, given by its endpoints. Both are NaN if the result is NaN.
    Number(f64, f64),
    /// An integer.
    Integer(i64),
    /// A Boolean.
    Bool(bool),
    /// Any value: the result depends on rounding errors of an intermediate value.
    Unknown,
}

impl ErrorInterval {
    /// Whether the interval contains a result; `None` is null.
    pub fn contains(&self, result: Option<Scalar>) -> bool {
        let Some(result) = result else { return matches!(self, Self::Null | Self::Unknown) };
        match *self {
            Self::Unknown => true,
            Self::Null => false,
            Self::Bool(value) => result.as_bool() == Some(value),
            Self::Integer(integer) => result.as_integer() == Some(integer),
            Self::Number(low, high) => {
                result.as_float().is_some_and(|x| x >= low && x <= high || x.is_nan() && low.is_nan())
            }
        }
    }

    /// The interval of a program's first output in a row: see [`of_values`](Self::of_values).
    pub fn of(program: &Program, arrays: &[ArrayRef], row: usize) -> Option<Self> {
        let output = program.outputs()[0].value;
        Self::of_values(program, arrays, row).map(|values| values[output.position()])
    }

    /// The intervals of all values of a program in a row, by position; `None` if rounding errors decide whether the row
    /// traps. The arrays must match the program's inputs ([`Program::check_inputs`]).
    pub fn of_values(program: &Program, arrays: &[ArrayRef], row: usize) -> Option<Vec<Self>> {
        let mut values = Vec::with_capacity(program.instructions().len());
        for (position, instruction) in program.instructions().iter().enumerate() {
            let value = match *instruction {
                Instruction::Input(input) => {
                    Scalar::read(&arrays[input as usize], row).map_or(Self::Unknown, Self::of_scalar)
                }
                Instruction::TrapIf(_, condition, _) => match values[condition.position()] {
                    Self::Unknown => return None,
                    _ => Self::Unknown,
                },
                _ => interval(program, Value::at(position), &values),
            };
            values.push(value);
        }
        Some(values)
    }

    /// The interval with one value.
    fn of_scalar(scalar: Option<Scalar>) -> Self {
        match scalar {
            None => Self::Null,
            Some(Scalar::Bool(value)) => Self::Bool(value),
            Some(Scalar::I32(x)) => Self::Integer(x.into()),
            Some(Scalar::I64(x)) => Self::Integer(x),
            Some(Scalar::F32(x)) => Self::Number(x.into(), x.into()),
            Some(Scalar::F64(x)) => Self::Number(x, x),
        }
    }

    /// The only value of the interval, of the given type; `None` if there are several, or for null.
    fn scalar(self, scalar_type: ScalarType) -> Option<Scalar> {
        match self {
            Self::Bool(value) => Some(Scalar::Bool(value)),
            Self::Integer(integer) => Some(Scalar::of_integer(scalar_type, integer)),
            Self::Number(low, high) if same(low, high) => Some(Scalar::of_float(scalar_type, low)),
            _ => None,
        }
    }
}

/// Whether two numbers have the same bits, or both are NaN of any payload.
fn same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan()
}

/// A floating-point type.
#[derive(Clone, Copy)]
enum Precision {
    Double,
    Single,
}

impl Precision {
    fn of(scalar_type: ScalarType) -> Self {
        if scalar_type == ScalarType::F32 { Self::Single } else { Self::Double }
    }

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

/// The interval of the value of an instruction, given those of all values before it.
fn interval(program: &Program, value: Value, values: &[ErrorInterval]) -> ErrorInterval {
    use ErrorInterval::{Bool, Integer, Null, Number, Unknown};
    let at = |value: Value| values[value.position()];
    let type_of = |value: Value| program.scalar_type(value);
    match *program.definition(value) {
        // Handled by the caller.
        Instruction::Input(_) | Instruction::TrapIf(..) => Unknown,
        Instruction::Const(constant) => ErrorInterval::of_scalar(Some(constant)),
        Instruction::Null(_) => Null,
        Instruction::Unary(op, x) => match at(x) {
            Number(low, high) => unary(op, low, high, Precision::of(type_of(x))),
            Integer(_) => exact(at(x).scalar(type_of(x)).and_then(|x| op.apply(x))),
            other => other,
        },
        Instruction::Binary(op, x, y) => match (at(x), at(y)) {
            (Null, _) | (_, Null) => Null,
            (Number(a, b), Number(c, d)) => binary(op, (a, b), (c, d), Precision::of(type_of(x))),
            (one, other) => {
                let operands = one.scalar(type_of(x)).zip(other.scalar(type_of(y)));
                exact(operands.and_then(|(x, y)| op.apply(x, y)))
            }
        },
        Instruction::Compare(comparison, x, y) => match (at(x), at(y)) {
            (Null, _) | (_, Null) => Null,
            (Number(a, b), Number(c, d)) => compare(comparison, (a, b), (c, d)),
            (one, other) => {
                let operands = one.scalar(type_of(x)).zip(other.scalar(type_of(y)));
                exact(operands.and_then(|(x, y)| comparison.apply(x, y)).map(Scalar::Bool))
            }
        },
        Instruction::Cast(to, x) => cast(at(x), type_of(x), to),
        Instruction::InTable(table, x) => match at(x) {
            Null => Null,
            // The bits of a NaN are not specified.
            Number(low, _) if low.is_nan() => Unknown,
            known => {
                let table = &program.tables()[table as usize];
                exact(known.scalar(type_of(x)).map(|x| Scalar::Bool(table.contains(x))))
            }
        },
        Instruction::IsNan(x) => match at(x) {
            Number(low, _) => Bool(low.is_nan()),
            other => other,
        },
        Instruction::IsNull(x) => match at(x) {
            Null => Bool(true),
            Unknown => Unknown,
            _ => Bool(false),
        },
        Instruction::Not(x) => match at(x) {
            Bool(value) => Bool(!value),
            other => other,
        },
        Instruction::And(x, y) => match (at(x), at(y)) {
            (Bool(false), _) | (_, Bool(false)) => Bool(false),
            (Unknown, _) | (_, Unknown) => Unknown,
            (Null, _) | (_, Null) => Null,
            _ => Bool(true),
        },
        Instruction::Or(x, y) => match (at(x), at(y)) {
            (Bool(true), _) | (_, Bool(true)) => Bool(true),
            (Unknown, _) | (_, Unknown) => Unknown,
            (Null, _) | (_, Null) => Null,
            _ => Bool(false),
        },
        Instruction::Select(condition, yes, no) => match at(condition) {
            Bool(true) => at(yes),
            Unknown => Unknown,
            _ => at(no),
        },
    }
}

/// The interval of a scalar that is known exactly; `None` if it is not.
fn exact(scalar: Option<Scalar>) -> ErrorInterval {
    scalar.map_or(ErrorInterval::Unknown, |scalar| ErrorInterval::of_scalar(Some(scalar)))
}

/// The bound for the error of a result relative to the scalar definition. Correctly rounded ops have one result. For the
/// others the scalar definition itself may be off by the bound, hence twice the bound.
fn tolerance(ulp: f64) -> f64 {
    if ulp <= 0.5 { 0.0 } else { 2.0 * ulp }
}

/// The interval of a unary op of a float.
fn unary(op: Unary, low: f64, high: f64, precision: Precision) -> ErrorInterval {
    // An interval around 0 has numbers of either sign.
    let sign_unknown = op == Unary::Signum && low <= 0.0 && high >= 0.0;
    let ulp = tolerance(op.info().ulp);
    match op {
        _ if same(low, high) => hull([precision.unary(op, low)], ulp, precision),
        // The magnitude of their derivatives is at most 1.
        Unary::Sin | Unary::Cos => match hull([precision.unary(op, low)], ulp, precision) {
            ErrorInterval::Number(below, above) => {
                precision.round_outward(below - (high - low), above + (high - low))
            }
            other => other,
        },
        Unary::Tan => ErrorInterval::Unknown,
        _ if sign_unknown => ErrorInterval::Unknown,
        _ => hull(extremal_points(low, high).map(|x| precision.unary(op, x)), ulp, precision),
    }
}

/// The interval of a binary op of floats.
fn binary(op: Binary, (a, b): (f64, f64), (c, d): (f64, f64), precision: Precision) -> ErrorInterval {
    // A power with a NaN is 1 where the base is 1 or the exponent 0, which is one point of an interval.
    let nan = op != Binary::Power && (a.is_nan() && b.is_nan() || c.is_nan() && d.is_nan());
    let exact = same(a, b) && same(c, d) || nan;
    let (xs, ys) = (extremal_points(a, b), extremal_points(c, d));
    let corners = || {
        let pairs = xs.into_iter().flat_map(|x| ys.map(|y| (x, y)));
        hull(pairs.map(|(x, y)| precision.binary(op, x, y)), tolerance(op.info().ulp), precision)
    };
    // The values at the corners do not bound these ops, with one exception: division by an interval that does not contain
    // 0.
    let discontinuous = matches!(op, Binary::Remainder | Binary::Atan2 | Binary::Power | Binary::Divide);
    match discontinuous && !exact {
        true if op == Binary::Divide && !(c <= 0.0 && d >= 0.0) => corners(),
        true => ErrorInterval::Unknown,
        false => corners(),
    }
}

/// The interval of a comparison of floats.
fn compare(comparison: Comparison, (a, b): (f64, f64), (c, d): (f64, f64)) -> ErrorInterval {
    use ErrorInterval::{Bool, Unknown};
    let total = matches!(comparison, Comparison::TotalLt | Comparison::BitEq);
    let less = matches!(comparison, Comparison::TotalLt | Comparison::Lt);
    if a.is_nan() || c.is_nan() {
        // The total order depends on the sign of a NaN, which IEEE 754 leaves open for results of ops.
        return if total { Unknown } else { Bool(false) };
    }
    if same(a, b) && same(c, d) {
        return exact(comparison.apply(Scalar::F64(a), Scalar::F64(c)).map(Scalar::Bool));
    }
    if b < c {
        Bool(less)
    } else if d < a {
        Bool(false)
    } else {
        Unknown
    }
}

/// The interval of a conversion.
fn cast(interval: ErrorInterval, from: ScalarType, to: ScalarType) -> ErrorInterval {
    match interval {
        ErrorInterval::Null | ErrorInterval::Unknown => interval,
        ErrorInterval::Number(low, high) => {
            let ends = [low, high].map(|end| Scalar::of_float(from, end).cast(to));
            match ends.map(Scalar::as_float) {
                // Rounding is monotonic.
                [Some(low), Some(high)] => ErrorInterval::Number(low, high),
                _ if to == ScalarType::Bool && low <= 0.0 && high >= 0.0 && !same(low, high) => {
                    ErrorInterval::Unknown
                }
                _ if ends[0] == ends[1] => ErrorInterval::of_scalar(Some(ends[0])),
                _ => ErrorInterval::Unknown,
            }
        }
        known => exact(known.scalar(from).map(|scalar| scalar.cast(to))),
    }
}
