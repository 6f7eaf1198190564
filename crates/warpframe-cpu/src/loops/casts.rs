//! Conversions among types of numbers, and of Booleans to numbers.

use std::marker::PhantomData;

use warpframe_ir::ScalarType;

use super::integer_division::truncate;
use super::integers::map;
use crate::block::{Arguments, Location, LoopData, WORD};
use crate::dispatch::{BoundLoop, DetectedPath, Loop, bind};
use crate::lanes::{InstructionSet, Lanes, SimdElement};

/// The loop that converts numbers from one type to another; `None` for Booleans.
pub fn cast(path: DetectedPath, from: ScalarType, to: ScalarType) -> Option<BoundLoop> {
    macro_rules! casts {
        ($($from:ident $native_from:ident -> $($to:ident $loop:ident |$x:ident| $convert:expr),+;)+) => {
            match (from, to) {
                $($((ScalarType::$from, ScalarType::$to) => {
                    struct Cast;
                    impl Loop for Cast {
                        #[inline(always)]
                        unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
                            let (x, target) = (arguments.operand(0), arguments.target.cast());
                            // SAFETY: the operand is readable, and the target writable, for all rows.
                            unsafe { $loop(x, target, arguments.rows, |$x: $native_from| $convert) };
                        }
                    }
                    Some(bind::<Cast>(path))
                })+)+
                _ => None,
            }
        };
    }
    casts! {
        I32 i32 -> I32 map |x| x, I64 map |x| i64::from(x), F32 map |x| x as f32, F64 map |x| f64::from(x);
        I64 i64 -> I32 map |x| x as i32, I64 map |x| x, F32 map |x| x as f32, F64 map |x| x as f64;
        F32 f32 -> I32 map |x| saturate(x.into()), I64 to_i64 |x| f64::from(x), F32 map |x| x, F64 map |x| f64::from(x);
        F64 f64 -> I32 map |x| saturate(x), I64 to_i64 |x| x, F32 map |x| x as f32, F64 map |x| x;
    }
}

/// `x as i32`. Unlike that, the compiler vectorizes it.
#[inline(always)]
fn saturate(x: f64) -> i32 {
    let (min, max) = (f64::from(i32::MIN), f64::from(i32::MAX));
    let above = if x > min { x } else { min };
    let within = if above < max { above } else { max };
    // SAFETY: the number is not NaN, since the first comparison is false for NaN, and within the range of `i32`.
    let integer = unsafe { within.to_int_unchecked::<i32>() };
    if x.is_nan() { 0 } else { integer }
}

/// Writes `to_f64(x) as i64` for each row. Mask words of rows with small numbers are converted by vector instructions.
///
/// # Safety
/// The location must be readable, and the target writable, for `rows` rows, a multiple of [`WORD`]. They do not overlap.
#[inline(always)]
unsafe fn to_i64<T: Copy>(x: Location<T>, target: *mut i64, rows: usize, to_f64: impl Fn(T) -> f64) {
    const LIMIT: f64 = (1u64 << 51) as f64;
    for word in (0..rows).step_by(WORD) {
        // SAFETY: the caller guarantees that the location is readable.
        let numbers = unsafe {
            match x.stride {
                0 => [x.first.read(); WORD],
                _ => x.first.add(word).cast::<[T; WORD]>().read(),
            }
        };
        let numbers = numbers.map(&to_f64);
        // The highest bit of the difference is set if the number is smaller. This is vectorized, comparisons are not.
        let difference = |number: &f64| number.abs().to_bits().wrapping_sub(LIMIT.to_bits());
        let are_small = numbers.iter().fold(u64::MAX, |all, number| all & difference(number)) >> 63 == 1;
        let mut integers = [0; WORD];
        let pairs = integers.iter_mut().zip(numbers);
        match are_small {
            true => pairs.for_each(|(integer, number)| *integer = truncate(number)),
            false => pairs.for_each(|(integer, number)| *integer = number as i64),
        }
        // SAFETY: the caller guarantees that the target is writable.
        unsafe { target.add(word).cast::<[i64; WORD]>().write(integers) };
    }
}

/// The loop that converts Booleans to numbers of the width of `E`: the number with the bits of [`LoopData`], or 0.
pub fn zero_or_one<E: SimdElement>(path: DetectedPath) -> BoundLoop {
    bind::<ZeroOrOne<E>>(path)
}

struct ZeroOrOne<E>(PhantomData<E>);

impl<E: SimdElement> Loop for ZeroOrOne<E> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let LoopData::Bits(one) = *arguments.data else { return };
        let zero = E::Register::<S>::splat(E::ZERO);
        let one = E::Register::<S>::splat(E::from_integer_bits(one));
        let target = arguments.target.cast::<E>();
        // SAFETY: the operand is a Boolean, and the target is writable for all rows.
        unsafe {
            for (word, bits) in arguments.words(0).iter().enumerate() {
                for lane in (0..WORD).step_by(E::Register::<S>::COUNT) {
                    let mask = E::Register::<S>::mask_from_bits(bits >> lane);
                    E::Register::<S>::select(mask, one, zero).store(target.add(word * WORD + lane));
                }
            }
        }
    }
}
