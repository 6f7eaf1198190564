//! Correctly rounded division by a constant with multiplications and FMAs.
//!
//! Method: `1/d = high + low` as an unevaluated sum. The error of `q = x (high + low)` is little more than 1/2 ULP, so the
//! remainder `x - q d` is exact, and `q + (x - q d) high`, rounded once, is the correctly rounded quotient (P. Markstein,
//! "Computation of elementary functions on the IBM RISC System/6000 processor", IBM J. Res. Dev. 34, 1990). This holds if
//! no step overflows or underflows. Otherwise, and without FMA, the division instruction is used.

use super::super::lanes::{Lanes, SimdElement};

/// A divisor, with its reciprocal as an unevaluated sum of two numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divisor<E> {
    value: E,
    high: E,
    low: E,
    /// The smallest and the largest magnitude of dividends for which the method is correct.
    range: (E, E),
}

impl<E: SimdElement> Divisor<E> {
    /// The divisor, or `None` if the method is not correct for its magnitude.
    pub fn new(value: E) -> Option<Self> {
        let (min, max, max_divisor) = E::DIVISION_BOUNDS;
        let magnitude = value.to_f64().abs();
        if !(1.0 / max_divisor..=max_divisor).contains(&magnitude) {
            return None;
        }
        let [high, low] = value.reciprocal();
        // Both the dividend and the quotient must be within the bounds.
        let range = (E::from_f64(min * magnitude.max(1.0)), E::from_f64(max * magnitude.min(1.0)));
        Some(Self { value, high, low, range })
    }

    /// The divisor in another type, all of whose numbers it can represent.
    pub fn convert<T: SimdElement>(&self) -> Divisor<T> {
        let convert = |number: E| T::from_f64(number.to_f64());
        Divisor {
            value: convert(self.value),
            high: convert(self.high),
            low: convert(self.low),
            range: (convert(self.range.0), convert(self.range.1)),
        }
    }

    /// The correctly rounded quotient.
    #[inline(always)]
    pub fn divide<L: Lanes<Element = E>>(&self, x: L) -> L {
        let value = L::splat(self.value);
        if L::RECORDS {
            // The test of the range costs as much as the division saves.
            return x.div(value);
        }
        let magnitude = x.abs();
        let in_range = magnitude.clamp(L::splat(self.range.0), L::splat(self.range.1)).equal(magnitude);
        if !L::HAS_FMA || !L::all(in_range) {
            return x.div(value);
        }
        let high = L::splat(self.high);
        let quotient = x.mul_add(high, x.mul(L::splat(self.low)));
        quotient.neg().mul_add(value, x).mul_add(high, quotient)
    }
}
