//! Ops of integers. They are plain loops, which the compiler vectorizes for the instruction set of the function that they are
//! inlined into.

use std::mem::MaybeUninit;

use warpframe_ir::ScalarType;
use warpframe_ir::ops::{Binary, Unary};

use super::integer_division::{IntegerDivisor, divide_i32, divide_i64, remainder_i32};
use crate::block::{Arguments, Location};
use crate::dispatch::{BoundLoop, DetectedPath, Loop, bind};
use crate::lanes::InstructionSet;

/// Writes `function(x)` for each row.
///
/// # Safety
/// The location must be readable, and the target writable, for `rows` rows. They do not overlap.
#[inline(always)]
pub(super) unsafe fn map<T: Copy, U: Copy>(
    x: Location<T>,
    target: *mut U,
    rows: usize,
    function: impl Fn(T) -> U,
) {
    // SAFETY: the caller guarantees that the target is writable.
    let target = unsafe { std::slice::from_raw_parts_mut(target.cast::<MaybeUninit<U>>(), rows) };
    if x.stride == 0 {
        // SAFETY: the caller guarantees that the location is readable.
        let result = function(unsafe { x.first.read() });
        target.fill(MaybeUninit::new(result));
        return;
    }
    // SAFETY: the caller guarantees that the location is readable, and that it does not overlap with the target.
    let x = unsafe { std::slice::from_raw_parts(x.first, rows) };
    for (target, &x) in target.iter_mut().zip(x) {
        target.write(function(x));
    }
}

/// Writes `function(x, y)` for each row.
///
/// # Safety
/// As [`map`], for both locations.
#[inline(always)]
unsafe fn zip<T: Copy>(
    x: Location<T>,
    y: Location<T>,
    target: *mut T,
    rows: usize,
    function: impl Fn(T, T) -> T,
) {
    // SAFETY: the caller guarantees that the locations are readable.
    unsafe {
        match (x.stride, y.stride) {
            (0, _) => {
                let x = x.first.read();
                map(y, target, rows, |y| function(x, y));
            }
            (_, 0) => {
                let y = y.first.read();
                map(x, target, rows, |x| function(x, y));
            }
            _ => {
                let y = std::slice::from_raw_parts(y.first, rows);
                let x = std::slice::from_raw_parts(x.first, rows);
                let target = std::slice::from_raw_parts_mut(target.cast::<MaybeUninit<T>>(), rows);
                for ((target, &x), &y) in target.iter_mut().zip(x).zip(y) {
                    target.write(function(x, y));
                }
            }
        }
    }
}

/// Binds a loop of integers of a type: `$run` computes it from the locations of the operands, the target and the number of rows.
macro_rules! bind_integers {
    ($path:ident, |$arguments:ident| $run:expr) => {{
        struct Op;
        impl Loop for Op {
            #[inline(always)]
            unsafe fn run<S: InstructionSet>($arguments: &Arguments<'_>) {
                // SAFETY: the operands are readable, and the target writable, for all rows, a multiple of a word's.
                unsafe { $run }
            }
        }
        Some(bind::<Op>($path))
    }};
}

/// Defines the functions for the ops of an integer type. The matches are exhaustive: ops that are not defined for integers are
/// listed after the semicolon.
macro_rules! integer_ops {
    ($type:ident, $unary:ident, $binary:ident, $divide:path, $remainder:path) => {
        integer_ops!(@functions $type, $unary, $binary, [$divide, $remainder],
            [Negate Abs; Sqrt Cbrt Ln Log2 Log10 Exp Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Degrees Radians Floor Ceil
             Round Trunc Signum],
            [Add Subtract Multiply BitAnd BitOr BitXor ShiftLeft ShiftRight; Power Atan2]);
    };
    (@functions $type:ident, $unary:ident, $binary:ident, [$divide:path, $remainder:path], [$($one:ident)+; $($no_one:ident)+],
        [$($two:ident)+; $($no_two:ident)+]) => {
        fn $unary(path: DetectedPath, op: Unary) -> Option<BoundLoop> {
            match op {
                $(Unary::$one => bind_integers!(path, |a| {
                    map(a.operand::<$type>(0), a.target.cast(), a.rows, |x| Unary::$one.$type(x))
                }),)+
                $(Unary::$no_one)|+ => None,
            }
        }

        fn $binary(path: DetectedPath, op: Binary) -> Option<BoundLoop> {
            match op {
                $(Binary::$two => bind_integers!(path, |a| {
                    zip(a.operand::<$type>(0), a.operand(1), a.target.cast(), a.rows, |x, y| Binary::$two.$type(x, y))
                }),)+
                Binary::Divide => bind_integers!(path, |a| {
                    $divide(a.operand(0), a.operand(1), a.target.cast(), a.rows)
                }),
                Binary::Remainder => bind_integers!(path, |a| {
                    $remainder(a.operand(0), a.operand(1), a.target.cast(), a.rows)
                }),
                $(Binary::$no_two)|+ => None,
            }
        }
    };
}
integer_ops!(i32, unary_i32, binary_i32, zip_divide_i32, zip_remainder_i32);
integer_ops!(i64, unary_i64, binary_i64, divide_i64::<false>, divide_i64::<true>);

/// The loop of a unary op; `None` if it is not defined for the type.
pub fn unary(path: DetectedPath, scalar_type: ScalarType, op: Unary) -> Option<BoundLoop> {
    match scalar_type {
        ScalarType::I32 => unary_i32(path, op),
        ScalarType::I64 => unary_i64(path, op),
        _ => None,
    }
}

/// The loop of a binary op; `None` if it is not defined for the type.
pub fn binary(path: DetectedPath, scalar_type: ScalarType, op: Binary) -> Option<BoundLoop> {
    match scalar_type {
        ScalarType::I32 => binary_i32(path, op),
        ScalarType::I64 => binary_i64(path, op),
        _ => None,
    }
}

/// # Safety
/// As [`zip`].
#[inline(always)]
unsafe fn zip_divide_i32(x: Location<i32>, y: Location<i32>, target: *mut i32, rows: usize) {
    // SAFETY: the caller has the same obligation.
    unsafe {
        if y.stride == 0 {
            let divisor = IntegerDivisor::<i32>::new(y.first.read());
            map(x, target, rows, |x| divisor.divide(x));
        } else {
            zip(x, y, target, rows, divide_i32);
        }
    }
}

/// # Safety
/// As [`zip`].
#[inline(always)]
unsafe fn zip_remainder_i32(x: Location<i32>, y: Location<i32>, target: *mut i32, rows: usize) {
    // SAFETY: the caller has the same obligation.
    unsafe {
        if y.stride == 0 {
            let divisor = IntegerDivisor::<i32>::new(y.first.read());
            map(x, target, rows, |x| divisor.remainder(x));
        } else {
            zip(x, y, target, rows, remainder_i32);
        }
    }
}
