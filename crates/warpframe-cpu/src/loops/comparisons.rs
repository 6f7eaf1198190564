//! Comparisons of numbers, to mask words.

use std::marker::PhantomData;

use warpframe_ir::{Comparison, ScalarType};

use super::predicates::{
    Equal, IsNan, Less, LessAsIntegers, Predicate, SameBits, SameNumber, TotalLess, TotalLessOfNumbers,
    word_of,
};
use crate::block::{Arguments, Location};
use crate::dispatch::{BoundLoop, DetectedPath, Loop, bind};
use crate::lanes::{InstructionSet, MAX_LANES, SimdElement};

/// A comparison that a loop computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberComparison {
    pub comparison: Comparison,
    pub scalar_type: ScalarType,
    /// Whether zeros of different signs are equal in the comparisons in which they are not.
    pub equal_zeros: bool,
}

/// A function that is instantiated for the predicate of each comparison, and the type whose registers it compares.
pub trait ComparisonVisitor {
    type Output;
    fn visit<E: SimdElement, P: Predicate>(self) -> Self::Output;
}

impl NumberComparison {
    /// Calls a function with the predicate; `None` for Booleans, which are compared as mask words.
    pub fn visit<V: ComparisonVisitor>(self, visitor: V) -> Option<V::Output> {
        use Comparison::*;
        Some(match (self.scalar_type, self.comparison, self.equal_zeros) {
            (ScalarType::F64, Lt, _) => visitor.visit::<f64, Less>(),
            (ScalarType::F64, Eq, _) => visitor.visit::<f64, Equal>(),
            (ScalarType::F64, TotalLt, false) => visitor.visit::<f64, TotalLess>(),
            (ScalarType::F64, TotalLt, true) => visitor.visit::<f64, TotalLessOfNumbers>(),
            (ScalarType::F64, BitEq, true) => visitor.visit::<f64, SameNumber>(),
            (ScalarType::F32, Lt, _) => visitor.visit::<f32, Less>(),
            (ScalarType::F32, Eq, _) => visitor.visit::<f32, Equal>(),
            (ScalarType::F32, TotalLt, false) => visitor.visit::<f32, TotalLess>(),
            (ScalarType::F32, TotalLt, true) => visitor.visit::<f32, TotalLessOfNumbers>(),
            (ScalarType::F32, BitEq, true) => visitor.visit::<f32, SameNumber>(),
            (ScalarType::F64, BitEq, false) | (ScalarType::I64, Eq | BitEq, _) => {
                visitor.visit::<f64, SameBits>()
            }
            (ScalarType::F32, BitEq, false) | (ScalarType::I32, Eq | BitEq, _) => {
                visitor.visit::<f32, SameBits>()
            }
            (ScalarType::I64, Lt | TotalLt, _) => visitor.visit::<f64, LessAsIntegers>(),
            (ScalarType::I32, Lt | TotalLt, _) => visitor.visit::<f32, LessAsIntegers>(),
            (ScalarType::Bool, ..) => return None,
        })
    }
}

/// The loop of a comparison; `None` for Booleans.
pub fn compare(path: DetectedPath, comparison: NumberComparison) -> Option<BoundLoop> {
    comparison.visit(BindCompare(path))
}

/// The loop that tests whether floats are NaN.
pub fn is_nan<E: SimdElement>(path: DetectedPath) -> BoundLoop {
    bind::<Compare<E, IsNan, true>>(path)
}

/// The loop that tests whether numbers are not zero, by IEEE 754 for floats, so that NaN is not zero; `None` for Booleans.
pub fn is_nonzero(path: DetectedPath, scalar_type: ScalarType) -> Option<BoundLoop> {
    Some(match scalar_type {
        ScalarType::F64 => bind::<IsNonzero<f64, Equal>>(path),
        ScalarType::F32 => bind::<IsNonzero<f32, Equal>>(path),
        ScalarType::I64 => bind::<IsNonzero<f64, SameBits>>(path),
        ScalarType::I32 => bind::<IsNonzero<f32, SameBits>>(path),
        ScalarType::Bool => return None,
    })
}

struct BindCompare(DetectedPath);

impl ComparisonVisitor for BindCompare {
    type Output = BoundLoop;

    fn visit<E: SimdElement, P: Predicate>(self) -> BoundLoop {
        bind::<Compare<E, P, false>>(self.0)
    }
}

/// With one operand if `UNARY`.
struct Compare<E, P, const UNARY: bool>(PhantomData<(E, P)>);

impl<E: SimdElement, P: Predicate, const UNARY: bool> Loop for Compare<E, P, UNARY> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let x = arguments.operand::<E>(0);
        let y = if UNARY { x } else { arguments.operand(1) };
        // SAFETY: the result is a Boolean.
        let target = unsafe { arguments.target_words() };
        for (word, bits) in target.iter_mut().enumerate() {
            // SAFETY: the operands are readable for all rows.
            *bits = unsafe { word_of::<E::Register<S>, P>(x, y, word) };
        }
    }
}

struct IsNonzero<E, Eq>(PhantomData<(E, Eq)>);

impl<E: SimdElement, Eq: Predicate> Loop for IsNonzero<E, Eq> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let mut copies = [E::ZERO; MAX_LANES];
        let zero = Location { first: copies.as_mut_ptr(), stride: 0 };
        // SAFETY: the result is a Boolean.
        let target = unsafe { arguments.target_words() };
        for (word, bits) in target.iter_mut().enumerate() {
            // SAFETY: the operand is readable for all rows, and there are as many zeros as lanes.
            *bits = !unsafe { word_of::<E::Register<S>, Eq>(arguments.operand(0), zero, word) };
        }
    }
}
