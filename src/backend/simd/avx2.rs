//! [`Lanes`] for AVX2 with FMA: four `f64` or eight `f32`.

use std::arch::x86_64::*;

use super::lanes::Lanes;

/// Four `f64`.
#[derive(Clone, Copy)]
pub struct F64x4(__m256d);

/// Eight `f32`.
#[derive(Clone, Copy)]
pub struct F32x8(__m256);

/// Calls an intrinsic whose only requirement is the instruction set.
macro_rules! avx2 {
    ($call:expr) => {{
        // SAFETY: values of these types exist only below the entry point that enables avx2 and fma,
        // and that is called only on a CPU that has both (see `Lanes`).
        unsafe { $call }
    }};
}

impl F64x4 {
    /// Whether all lanes are normal, positive and finite.
    #[inline(always)]
    fn all_normal(self) -> bool {
        let above = avx2!(_mm256_cmp_pd::<_CMP_GE_OQ>(self.0, _mm256_set1_pd(f64::MIN_POSITIVE)));
        let below = avx2!(_mm256_cmp_pd::<_CMP_LT_OQ>(self.0, _mm256_set1_pd(f64::INFINITY)));
        avx2!(_mm256_movemask_pd(_mm256_and_pd(above, below))) == 0b1111
    }

    fn to_array(self) -> [f64; 4] {
        let mut lanes = [0.0; 4];
        // SAFETY: the array has room for four elements.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }

    fn from_array(lanes: [f64; 4]) -> Self {
        // SAFETY: the array holds four elements.
        unsafe { Self::load(lanes.as_ptr()) }
    }

    #[cold]
    #[inline(never)]
    fn split_each(self) -> (Self, Self, __m256i) {
        let parts = self.to_array().map(Lanes::split);
        let cells = parts.map(|(_, _, cell)| cell as i64);
        (
            Self::from_array(parts.map(|(mantissa, _, _)| mantissa)),
            Self::from_array(parts.map(|(_, exponent, _)| exponent)),
            // SAFETY: the array has the size of the register; an unaligned load asks no more.
            unsafe { _mm256_loadu_si256(cells.as_ptr().cast()) },
        )
    }

    #[cold]
    #[inline(never)]
    fn patch_each(self, argument: Self) -> Self {
        let (mut results, arguments) = (self.to_array(), argument.to_array());
        for (result, argument) in results.iter_mut().zip(arguments) {
            *result = result.patch_ln(argument);
        }
        Self::from_array(results)
    }
}

impl Lanes for F64x4 {
    type Element = f64;
    type Cells = __m256i;
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        // SAFETY: the caller vouches for `from`; an unaligned load has no other requirement.
        Self(unsafe { _mm256_loadu_pd(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller vouches for `to`; an unaligned store has no other requirement.
        unsafe { _mm256_storeu_pd(to, self.0) }
    }

    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self(avx2!(_mm256_set1_pd(value)))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(avx2!(_mm256_add_pd(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(avx2!(_mm256_sub_pd(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(avx2!(_mm256_mul_pd(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(avx2!(_mm256_fmadd_pd(self.0, factor.0, addend.0)))
    }

    #[inline(always)]
    fn mul_sub_one(self, factor: Self) -> Self {
        self.mul_add(factor, Self::splat(-1.0))
    }

    #[inline(always)]
    fn split(self) -> (Self, Self, __m256i) {
        if !self.all_normal() {
            return self.split_each();
        }
        avx2!({
            let bits = _mm256_castpd_si256(self.0);
            let one = _mm256_castpd_si256(_mm256_set1_pd(1.0));
            let fraction = _mm256_and_si256(bits, _mm256_set1_epi64x((1 << 52) - 1));
            let mantissa = _mm256_castsi256_pd(_mm256_or_si256(fraction, one));
            // There is no conversion of 64-bit integers: put the biased exponent into the low bits of
            // 2^52 and subtract what is too much.
            let biased = _mm256_srli_epi64::<52>(bits);
            let magic = _mm256_castpd_si256(_mm256_set1_pd(TWO_TO_52));
            let shifted = _mm256_castsi256_pd(_mm256_or_si256(biased, magic));
            let exponent = _mm256_sub_pd(shifted, _mm256_set1_pd(TWO_TO_52 + 1023.0));
            let cells = _mm256_srli_epi64::<48>(fraction);
            (Self(mantissa), Self(exponent), cells)
        })
    }

    #[inline(always)]
    fn look_up(table: &[f64; 16], cells: __m256i) -> Self {
        // SAFETY: `split` gives cells from 0 to 15, all inside the table.
        Self(unsafe { _mm256_i64gather_pd::<8>(table.as_ptr(), cells) })
    }

    #[inline(always)]
    fn patch_ln(self, argument: Self) -> Self {
        if argument.all_normal() { self } else { self.patch_each(argument) }
    }
}

const TWO_TO_52: f64 = (1u64 << 52) as f64;

impl F32x8 {
    /// Whether all lanes are normal, positive and finite.
    #[inline(always)]
    fn all_normal(self) -> bool {
        let above = avx2!(_mm256_cmp_ps::<_CMP_GE_OQ>(self.0, _mm256_set1_ps(f32::MIN_POSITIVE)));
        let below = avx2!(_mm256_cmp_ps::<_CMP_LT_OQ>(self.0, _mm256_set1_ps(f32::INFINITY)));
        avx2!(_mm256_movemask_ps(_mm256_and_ps(above, below))) == 0b1111_1111
    }

    fn to_array(self) -> [f32; 8] {
        let mut lanes = [0.0; 8];
        // SAFETY: the array has room for eight elements.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }

    fn from_array(lanes: [f32; 8]) -> Self {
        // SAFETY: the array holds eight elements.
        unsafe { Self::load(lanes.as_ptr()) }
    }

    #[cold]
    #[inline(never)]
    fn split_each(self) -> (Self, Self, __m256i) {
        let parts = self.to_array().map(Lanes::split);
        let cells = parts.map(|(_, _, cell)| cell as i32);
        (
            Self::from_array(parts.map(|(mantissa, _, _)| mantissa)),
            Self::from_array(parts.map(|(_, exponent, _)| exponent)),
            // SAFETY: the array has the size of the register; an unaligned load asks no more.
            unsafe { _mm256_loadu_si256(cells.as_ptr().cast()) },
        )
    }

    #[cold]
    #[inline(never)]
    fn patch_each(self, argument: Self) -> Self {
        let (mut results, arguments) = (self.to_array(), argument.to_array());
        for (result, argument) in results.iter_mut().zip(arguments) {
            *result = result.patch_ln(argument);
        }
        Self::from_array(results)
    }
}

impl Lanes for F32x8 {
    type Element = f32;
    type Cells = __m256i;
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for `from`; an unaligned load has no other requirement.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for `to`; an unaligned store has no other requirement.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(avx2!(_mm256_set1_ps(value)))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(avx2!(_mm256_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(avx2!(_mm256_sub_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(avx2!(_mm256_mul_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(avx2!(_mm256_fmadd_ps(self.0, factor.0, addend.0)))
    }

    #[inline(always)]
    fn mul_sub_one(self, factor: Self) -> Self {
        self.mul_add(factor, Self::splat(-1.0))
    }

    #[inline(always)]
    fn split(self) -> (Self, Self, __m256i) {
        if !self.all_normal() {
            return self.split_each();
        }
        avx2!({
            let bits = _mm256_castps_si256(self.0);
            let one = _mm256_castps_si256(_mm256_set1_ps(1.0));
            let fraction = _mm256_and_si256(bits, _mm256_set1_epi32((1 << 23) - 1));
            let mantissa = _mm256_castsi256_ps(_mm256_or_si256(fraction, one));
            let biased = _mm256_srli_epi32::<23>(bits);
            let exponent = _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)));
            let cells = _mm256_srli_epi32::<19>(fraction);
            (Self(mantissa), Self(exponent), cells)
        })
    }

    #[inline(always)]
    fn look_up(table: &[f32; 16], cells: __m256i) -> Self {
        // SAFETY: `split` gives cells from 0 to 15, all inside the table.
        Self(unsafe { _mm256_i32gather_ps::<4>(table.as_ptr(), cells) })
    }

    #[inline(always)]
    fn patch_ln(self, argument: Self) -> Self {
        if argument.all_normal() { self } else { self.patch_each(argument) }
    }
}
