//! Division by a constant, without dividing.
//!
//! Method: `q = x (high + low)` with `1/d` as a sum of two numbers errs by little more than half an ULP, so its remainder
//! `x - q d` is exact, and `q + (x - q d) high`, rounded once, is the correctly rounded quotient (P. Markstein,
//! "Computation of elementary functions on the IBM RISC System/6000 processor", IBM J. Res. Dev. 34, 1990). That holds
//! where no step overflows or loses bits below the smallest normal number; elsewhere, and where multiply-adds are not
//! fused, registers are divided.

use super::super::lanes::{Element, Lanes};

/// A divisor with its reciprocal as a sum of two numbers.
#[derive(Debug, Clone, Copy)]
pub struct Divisor<E> {
    value: E,
    high: E,
    low: E,
    /// The magnitudes of dividends for which the method holds.
    range: (E, E),
}

impl<E: Element> Divisor<E> {
    /// The divisor, or `None` if its magnitude is outside of the range in which the method holds.
    pub fn new(value: E) -> Option<Self> {
        let (least, most, largest) = E::DIVISIBLE;
        let size = value.to_f64().abs();
        if !(1.0 / largest..=largest).contains(&size) {
            return None;
        }
        let [high, low] = value.inverse();
        // Both the number and its quotient have to lie between.
        let range = (E::from_f64(least * size.max(1.0)), E::from_f64(most * size.min(1.0)));
        Some(Self { value, high, low, range })
    }

    /// The quotient, correctly rounded.
    #[inline(always)]
    pub fn divide<L: Lanes<Element = E>>(&self, x: L) -> L {
        let value = L::splat(self.value);
        let magnitude = x.abs();
        let in_range = magnitude.clamp(L::splat(self.range.0), L::splat(self.range.1)).equal(magnitude);
        if !L::FUSED || L::mask_bits(in_range) != L::mask_bits(value.equal(value)) {
            return x.div(value);
        }
        let high = L::splat(self.high);
        let quotient = x.mul_add(high, x.mul(L::splat(self.low)));
        quotient.neg().mul_add(value, x).mul_add(high, quotient)
    }
}
