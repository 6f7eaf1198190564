//! [`Lanes`] for AVX-512F: eight `f64` or sixteen `f32`.

use std::arch::x86_64::*;

use super::lanes::Lanes;

/// Eight `f64`.
#[derive(Clone, Copy)]
pub struct F64x8(__m512d);

/// Sixteen `f32`.
#[derive(Clone, Copy)]
pub struct F32x16(__m512);

/// Calls an intrinsic whose only requirement is the instruction set.
macro_rules! avx512 {
    ($call:expr) => {{
        // SAFETY: values of these types exist only below the entry point that enables avx512f, and
        // that is called only on a CPU that has it (see `Lanes`).
        unsafe { $call }
    }};
}

// What `vfixupimm` shall do with the eight classes of the argument, four bits each from the lowest:
// quiet NaN and signalling NaN: that NaN (2); zero: -inf (4); one: keep the result (0);
// -inf: NaN (3); +inf: +inf (5); negative: NaN (3); positive: keep (0).
const LN_FIXUP: i32 = 0x0353_0422;

impl Lanes for F64x8 {
    type Element = f64;
    type Cells = __m512i;
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const f64) -> Self {
        // SAFETY: the caller vouches for `from`; an unaligned load has no other requirement.
        Self(unsafe { _mm512_loadu_pd(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller vouches for `to`; an unaligned store has no other requirement.
        unsafe { _mm512_storeu_pd(to, self.0) }
    }

    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self(avx512!(_mm512_set1_pd(value)))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(avx512!(_mm512_add_pd(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(avx512!(_mm512_sub_pd(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(avx512!(_mm512_mul_pd(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(avx512!(_mm512_fmadd_pd(self.0, factor.0, addend.0)))
    }

    #[inline(always)]
    fn mul_sub_one(self, factor: Self) -> Self {
        self.mul_add(factor, Self::splat(-1.0))
    }

    #[inline(always)]
    fn split(self) -> (Self, Self, __m512i) {
        let mantissa = avx512!(_mm512_getmant_pd::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_ZERO>(self.0));
        let exponent = avx512!(_mm512_getexp_pd(self.0));
        // The look-up uses the low four bits of each index only.
        let cells = avx512!(_mm512_srli_epi64::<48>(_mm512_castpd_si512(mantissa)));
        (Self(mantissa), Self(exponent), cells)
    }

    #[inline(always)]
    fn look_up(table: &[f64; 16], cells: __m512i) -> Self {
        // SAFETY: the table has sixteen elements, so both halves are readable.
        let (low, high) = unsafe { (Self::load(table.as_ptr()), Self::load(table.as_ptr().add(8))) };
        Self(avx512!(_mm512_permutex2var_pd(low.0, cells, high.0)))
    }

    #[inline(always)]
    fn patch_ln(self, argument: Self) -> Self {
        Self(avx512!(_mm512_fixupimm_pd::<0>(self.0, argument.0, _mm512_set1_epi64(LN_FIXUP as i64))))
    }
}

impl Lanes for F32x16 {
    type Element = f32;
    type Cells = __m512i;
    const COUNT: usize = 16;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for `from`; an unaligned load has no other requirement.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for `to`; an unaligned store has no other requirement.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(avx512!(_mm512_set1_ps(value)))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(avx512!(_mm512_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(avx512!(_mm512_sub_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(avx512!(_mm512_mul_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(avx512!(_mm512_fmadd_ps(self.0, factor.0, addend.0)))
    }

    #[inline(always)]
    fn mul_sub_one(self, factor: Self) -> Self {
        self.mul_add(factor, Self::splat(-1.0))
    }

    #[inline(always)]
    fn split(self) -> (Self, Self, __m512i) {
        let mantissa = avx512!(_mm512_getmant_ps::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_ZERO>(self.0));
        let exponent = avx512!(_mm512_getexp_ps(self.0));
        // The look-up uses the low four bits of each index only.
        let cells = avx512!(_mm512_srli_epi32::<19>(_mm512_castps_si512(mantissa)));
        (Self(mantissa), Self(exponent), cells)
    }

    #[inline(always)]
    fn look_up(table: &[f32; 16], cells: __m512i) -> Self {
        // SAFETY: the table has sixteen elements.
        let table = unsafe { Self::load(table.as_ptr()) };
        Self(avx512!(_mm512_permutexvar_ps(cells, table.0)))
    }

    #[inline(always)]
    fn patch_ln(self, argument: Self) -> Self {
        Self(avx512!(_mm512_fixupimm_ps::<0>(self.0, argument.0, _mm512_set1_epi32(LN_FIXUP))))
    }
}
