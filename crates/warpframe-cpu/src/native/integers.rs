//! The code of ops of integers, and of conversions between them and floats.
//!
//! Quotients are those of floats, as in `loops::integer_division`, which proves that they are exact.

use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::{Scalar, ScalarType};

use super::recorder::Recorder;
use super::vec_ir::{Arithmetic, Conversion, Id, Rounding, Test, VecOp};
use crate::class::Class;
use crate::loops::{LIMIT, MAGIC, reciprocal};

/// Floats below this magnitude become 64-bit integers by the addition of [`MAGIC`].
const CONVERTED: f64 = (1u64 << 51) as f64;

/// Whether an op of two integers of a type has code. `constants` are the operands that are constant. Integers of 64 bits are
/// divided within a limit only, which rows keep more often than constants that do not.
pub(super) fn has_code(op: Binary, scalar_type: ScalarType, constants: [Option<Scalar>; 2]) -> bool {
    let is_small = |constant: &Scalar| (-LIMIT..LIMIT).contains(&constant.bits());
    match op {
        Binary::Power | Binary::Atan2 => false,
        Binary::Divide | Binary::Remainder if scalar_type == ScalarType::I64 => {
            constants.iter().flatten().all(is_small)
        }
        _ => true,
    }
}

/// Whether a conversion has code.
pub(super) fn has_cast(from: ScalarType, to: ScalarType) -> bool {
    from != to
}

/// The result of an op of an integer; `None` if it has no code.
pub(super) fn unary(recorder: &mut Recorder, class: Class, op: Unary, x: Id) -> Option<Id> {
    match op {
        Unary::Negate => {
            let zero = recorder.constant(class, 0);
            Some(recorder.arithmetic(Arithmetic::SubtractIntegers, class, zero, x))
        }
        Unary::Abs => {
            let sign = recorder.push(VecOp::SpreadSign(class, x));
            let inverted = recorder.arithmetic(Arithmetic::Xor, class, x, sign);
            Some(recorder.arithmetic(Arithmetic::SubtractIntegers, class, inverted, sign))
        }
        _ => None,
    }
}

/// The result of an op of two integers; `None` if it has no code.
pub(super) fn binary(recorder: &mut Recorder, class: Class, op: Binary, x: Id, y: Id) -> Option<Id> {
    let op = match op {
        Binary::Add => Arithmetic::AddIntegers,
        Binary::Subtract => Arithmetic::SubtractIntegers,
        Binary::Multiply => Arithmetic::MultiplyIntegers,
        Binary::BitAnd => Arithmetic::And,
        Binary::BitOr => Arithmetic::Or,
        Binary::BitXor => Arithmetic::Xor,
        Binary::Divide => {
            let quotient = quotient(recorder, class, x, y);
            return Some(zero_if_divided_by_zero(recorder, class, y, quotient));
        }
        Binary::Remainder => {
            let quotient = quotient(recorder, class, x, y);
            let product = recorder.arithmetic(Arithmetic::MultiplyIntegers, class, quotient, y);
            let remainder = recorder.arithmetic(Arithmetic::SubtractIntegers, class, x, product);
            return Some(zero_if_divided_by_zero(recorder, class, y, remainder));
        }
        Binary::ShiftLeft => return Some(shift(recorder, class, Direction::Left, x, y)),
        Binary::ShiftRight => {
            // Negative integers are shifted as their complements.
            let sign = recorder.push(VecOp::SpreadSign(class, x));
            let positive = recorder.arithmetic(Arithmetic::Xor, class, x, sign);
            let shifted = shift(recorder, class, Direction::Right, positive, y);
            return Some(recorder.arithmetic(Arithmetic::Xor, class, shifted, sign));
        }
        Binary::Power | Binary::Atan2 => return None,
    };
    Some(recorder.arithmetic(op, class, x, y))
}

/// The quotient, truncated, if the divisor is not zero.
fn quotient(recorder: &mut Recorder, class: Class, x: Id, y: Id) -> Id {
    let divisor = recorder.constant_bits(y).map(|bits| match class {
        Class::Wide => bits.cast_signed() as f64,
        _ => f64::from((bits as u32).cast_signed()),
    });
    let dividend = to_float(recorder, class, x);
    let quotient = match divisor {
        Some(divisor) => {
            let reciprocal = recorder.constant(Class::Wide, reciprocal(divisor).to_bits());
            recorder.arithmetic(Arithmetic::Multiply, Class::Wide, dividend, reciprocal)
        }
        None => {
            let divisor = to_float(recorder, class, y);
            recorder.arithmetic(Arithmetic::Divide, Class::Wide, dividend, divisor)
        }
    };
    truncate(recorder, class, quotient)
}

fn zero_if_divided_by_zero(recorder: &mut Recorder, class: Class, divisor: Id, result: Id) -> Id {
    let zero = recorder.constant(class, 0);
    let is_zero = recorder.push(VecOp::Test(Test::SameBits, class, divisor, zero));
    match recorder.constant_bits(is_zero) {
        Some(0) => result,
        Some(_) => zero,
        None => recorder.select(class, is_zero, zero, result),
    }
}

/// An integer as a double, of a wide one within [`LIMIT`].
fn to_float(recorder: &mut Recorder, class: Class, x: Id) -> Id {
    if class == Class::Narrow {
        return recorder.push(VecOp::Convert(Conversion::I32ToF64, x));
    }
    let limit = recorder.constant(class, LIMIT.cast_unsigned());
    let positive = recorder.arithmetic(Arithmetic::AddIntegers, class, x, limit);
    let outside = recorder.push(VecOp::ShiftRight(class, positive, LIMIT.trailing_zeros() as u8 + 1));
    let zero = recorder.constant(class, 0);
    let is_small = recorder.push(VecOp::Test(Test::SameBits, class, outside, zero));
    recorder.require(is_small);
    let magic = recorder.constant(class, MAGIC.to_bits());
    let sum = recorder.arithmetic(Arithmetic::AddIntegers, class, x, magic);
    recorder.arithmetic(Arithmetic::Subtract, class, sum, magic)
}

/// A double whose magnitude is below 2^51, truncated to an integer of a class. A narrow one is the low half of that.
fn truncate(recorder: &mut Recorder, class: Class, x: Id) -> Id {
    let truncated = recorder.push(VecOp::Round(Rounding::Trunc, Class::Wide, x));
    let magic = recorder.constant(Class::Wide, MAGIC.to_bits());
    let sum = recorder.arithmetic(Arithmetic::Add, Class::Wide, truncated, magic);
    match class {
        Class::Wide => recorder.arithmetic(Arithmetic::SubtractIntegers, class, sum, magic),
        _ => recorder.push(VecOp::Convert(Conversion::I64ToI32, sum)),
    }
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Left,
    /// Filled with zeros.
    Right,
}

/// An integer shifted by the low bits of another.
fn shift(recorder: &mut Recorder, class: Class, direction: Direction, x: Id, y: Id) -> Id {
    let bits = 8 * class.width() as u64;
    if let Some(count) = recorder.constant_bits(y) {
        let count = (count % bits) as u8;
        return recorder.push(match direction {
            Direction::Left => VecOp::ShiftLeft(class, x, count),
            Direction::Right => VecOp::ShiftRight(class, x, count),
        });
    }
    let mask = recorder.constant(class, bits - 1);
    let count = recorder.arithmetic(Arithmetic::And, class, y, mask);
    let op = match direction {
        Direction::Left => Arithmetic::ShiftLeft,
        Direction::Right => Arithmetic::ShiftRight,
    };
    recorder.arithmetic(op, class, x, count)
}

/// A conversion; `None` if it has no code.
pub(super) fn cast(recorder: &mut Recorder, from: ScalarType, to: ScalarType, x: Id) -> Option<Id> {
    use ScalarType::{Bool, F32, F64, I32, I64};
    let conversion = match (from, to) {
        (F32, F64) => Conversion::F32ToF64,
        (F64, F32) => Conversion::F64ToF32,
        (I32, F64) => Conversion::I32ToF64,
        (I32, F32) => Conversion::I32ToF32,
        (I32, I64) => Conversion::I32ToI64,
        (I64, I32) => Conversion::I64ToI32,
        (I64, F64) => return Some(i64_to_f64(recorder, x)),
        (I64, F32) => {
            // The double is exact, and is rounded once.
            let double = to_float(recorder, Class::Wide, x);
            return Some(recorder.push(VecOp::Convert(Conversion::F64ToF32, double)));
        }
        (F32, I32 | I64) => {
            let double = recorder.push(VecOp::Convert(Conversion::F32ToF64, x));
            return cast(recorder, F64, to, double);
        }
        (F64, I32) => return Some(f64_to_i32(recorder, x)),
        (F64, I64) => {
            let magnitude = recorder.constant(Class::Wide, i64::MAX.cast_unsigned());
            let magnitude = recorder.arithmetic(Arithmetic::And, Class::Wide, x, magnitude);
            let limit = recorder.constant(Class::Wide, CONVERTED.to_bits());
            let is_small = recorder.push(VecOp::Test(Test::Less, Class::Wide, magnitude, limit));
            recorder.require(is_small);
            return Some(truncate(recorder, Class::Wide, x));
        }
        (Bool, F32 | F64 | I32 | I64) => {
            let class = Class::of(to);
            let one = recorder.constant_of(class, Scalar::Bool(true).cast(to).bits());
            let zero = recorder.constant(class, 0);
            return Some(recorder.select(class, x, one, zero));
        }
        (F32 | F64 | I32 | I64, Bool) => {
            let class = Class::of(from);
            let zero = recorder.constant(class, 0);
            let test = if from.is_float() { Test::Equal } else { Test::SameBits };
            let is_zero = recorder.push(VecOp::Test(test, class, x, zero));
            return Some(recorder.push(VecOp::Not(class, is_zero)));
        }
        (Bool, Bool) | (F32, F32) | (F64, F64) | (I32, I32) | (I64, I64) => return None,
    };
    Some(recorder.push(VecOp::Convert(conversion, x)))
}

/// The nearest of the integers of the type, towards zero; 0 for NaN.
fn f64_to_i32(recorder: &mut Recorder, x: Id) -> Id {
    let [min, max] =
        [i32::MIN, i32::MAX].map(|limit| recorder.constant(Class::Wide, f64::from(limit).to_bits()));
    let above = recorder.arithmetic(Arithmetic::Max, Class::Wide, x, min);
    let within = recorder.arithmetic(Arithmetic::Min, Class::Wide, above, max);
    let integer = truncate(recorder, Class::Narrow, within);
    let is_nan = recorder.push(VecOp::Test(Test::Unordered, Class::Wide, x, x));
    let zero = recorder.constant(Class::Narrow, 0);
    recorder.select(Class::Narrow, is_nan, zero, integer)
}

/// The upper and the lower half of an integer become the low mantissa bits of 2^84 and 2^52; the offsets cancel, and the last
/// sum rounds once.
fn i64_to_f64(recorder: &mut Recorder, x: Id) -> Id {
    const TWO_TO_84: u64 = (1023 + 84) << 52;
    const TWO_TO_52: u64 = (1023 + 52) << 52;
    let offset = f64::from_bits(TWO_TO_84) + f64::from_bits((1023 + 63) << 52) + f64::from_bits(TWO_TO_52);
    let upper = recorder.push(VecOp::ShiftRight(Class::Wide, x, 32));
    // The highest bit is inverted: it counts -2^63.
    let upper_offset = recorder.constant(Class::Wide, TWO_TO_84 ^ 1 << 31);
    let upper = recorder.arithmetic(Arithmetic::Xor, Class::Wide, upper, upper_offset);
    let lower_mask = recorder.constant(Class::Wide, u32::MAX.into());
    let lower = recorder.arithmetic(Arithmetic::And, Class::Wide, x, lower_mask);
    let lower_offset = recorder.constant(Class::Wide, TWO_TO_52);
    let lower = recorder.arithmetic(Arithmetic::Or, Class::Wide, lower, lower_offset);
    let offset = recorder.constant(Class::Wide, offset.to_bits());
    let upper = recorder.arithmetic(Arithmetic::Subtract, Class::Wide, upper, offset);
    recorder.arithmetic(Arithmetic::Add, Class::Wide, upper, lower)
}
