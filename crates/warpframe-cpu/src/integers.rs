//! Loops over the numbers of blocks without vector registers of their own: integer ops and conversions. They are plain loops,
//! which the compiler vectorizes for the instruction set of the function that they are inlined into.

use std::mem::MaybeUninit;

use warpframe_ir::ScalarType;
use warpframe_ir::ops::{Binary, Unary};

use super::block::Location;
use super::integer_division::{divide_i32, divide_i64, remainder_i32};

/// Writes `function(x)` for each row.
///
/// # Safety
/// The location must be readable, and the target writable, for `rows` rows. They do not overlap.
#[inline(always)]
unsafe fn map<T: Copy, U: Copy>(x: Location<T>, target: *mut U, rows: usize, function: impl Fn(T) -> U) {
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
        /// Computes a unary op for each row.
        ///
        /// # Safety
        /// As [`map`].
        #[inline(always)]
        pub(super) unsafe fn $unary(op: Unary, x: Location<$type>, target: *mut $type, rows: usize) {
            // SAFETY: the caller has the same obligation.
            unsafe {
                match op {
                    $(Unary::$one => map(x, target, rows, |x| Unary::$one.$type(x)),)+
                    $(Unary::$no_one)|+ => {}
                }
            }
        }

        /// Computes a binary op for each row.
        ///
        /// # Safety
        /// As [`zip`].
        #[inline(always)]
        pub(super) unsafe fn $binary(
            op: Binary,
            x: Location<$type>,
            y: Location<$type>,
            target: *mut $type,
            rows: usize,
        ) {
            // SAFETY: the caller has the same obligation.
            unsafe {
                match op {
                    $(Binary::$two => zip(x, y, target, rows, |x, y| Binary::$two.$type(x, y)),)+
                    Binary::Divide => $divide(x, y, target, rows),
                    Binary::Remainder => $remainder(x, y, target, rows),
                    $(Binary::$no_two)|+ => {}
                }
            }
        }
    };
}
integer_ops!(i32, unary_i32, binary_i32, zip_divide_i32, zip_remainder_i32);
integer_ops!(i64, unary_i64, binary_i64, divide_i64::<false>, divide_i64::<true>);

/// # Safety
/// As [`zip`].
#[inline(always)]
unsafe fn zip_divide_i32(x: Location<i32>, y: Location<i32>, target: *mut i32, rows: usize) {
    // SAFETY: the caller has the same obligation.
    unsafe { zip(x, y, target, rows, divide_i32) }
}

/// # Safety
/// As [`zip`].
#[inline(always)]
unsafe fn zip_remainder_i32(x: Location<i32>, y: Location<i32>, target: *mut i32, rows: usize) {
    // SAFETY: the caller has the same obligation.
    unsafe { zip(x, y, target, rows, remainder_i32) }
}

/// Converts the numbers of each row to another type of number.
///
/// # Safety
/// As [`map`]: the location must have numbers of type `from`, the target those of type `to`.
#[inline(always)]
pub(super) unsafe fn cast(from: ScalarType, to: ScalarType, x: Location, target: *mut (), rows: usize) {
    use ScalarType::*;
    macro_rules! casts {
        ($($from:ident $native_from:ident -> $($to:ident $native_to:ident),+;)+) => {
            match (from, to) {
                $($(($from, $to) => {
                    map(x.of::<$native_from>(), target.cast::<$native_to>(), rows, |x| x as $native_to)
                })+)+
                // Booleans are mask words, and the builder removes conversions to the same type: a copy.
                (I32 | F32, _) => map(x.of::<u32>(), target.cast::<u32>(), rows, |x| x),
                (I64 | F64, _) => map(x.of::<u64>(), target.cast::<u64>(), rows, |x| x),
                (Bool, _) => {}
            }
        };
    }
    // SAFETY: the caller has the same obligation.
    unsafe {
        casts! {
            I32 i32 -> I64 i64, F32 f32, F64 f64;
            I64 i64 -> I32 i32, F32 f32, F64 f64;
            F32 f32 -> I32 i32, I64 i64, F64 f64;
            F64 f64 -> I32 i32, I64 i64, F32 f32;
        }
    }
}
