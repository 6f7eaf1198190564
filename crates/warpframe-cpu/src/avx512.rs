//! [`Lanes`] for AVX-512 (F and DQ): eight lanes of `f64` or sixteen of `f32`.

use std::arch::x86_64::*;

use super::lanes::{CELL_OFFSET_F32, CELL_OFFSET_F64, DoubleLanes, Function64, Lanes, Parts};
use super::math::Table;
use super::x86::{intrinsic, x86_lanes};

/// Eight `f64`.
#[derive(Clone, Copy)]
pub struct F64x8(__m512d);

/// Sixteen `f32`.
#[derive(Clone, Copy)]
pub struct F32x16(__m512);

/// The classes of numbers that are not positive and normal: quiet NaN, +0, -0, +inf, -inf, subnormal, negative, signalling
/// NaN.
const NOT_NORMAL: i32 = 0xFF;

/// The classes of infinities and NaN.
const NOT_FINITE: i32 = 0b1001_1001;

/// The methods of masks, which are in mask registers.
macro_rules! masks {
    ($mask:ty, $select:ident, $to_bits:ident, $less_bits:ident, $equal_bits:ident) => {
        #[inline(always)]
        fn total_less(self, other: Self) -> $mask {
            intrinsic!($less_bits(self.ordered_bits(), other.ordered_bits()))
        }

        #[inline(always)]
        fn same_bits(self, other: Self) -> $mask {
            intrinsic!($equal_bits($to_bits(self.0), $to_bits(other.0)))
        }

        #[inline(always)]
        fn less_as_integers(self, other: Self) -> $mask {
            intrinsic!($less_bits($to_bits(self.0), $to_bits(other.0)))
        }

        #[inline(always)]
        fn mask_bits(mask: $mask) -> u64 {
            mask.into()
        }

        #[inline(always)]
        fn mask_from_bits(bits: u64) -> $mask {
            bits as $mask
        }

        #[inline(always)]
        fn select(mask: $mask, yes: Self, no: Self) -> Self {
            Self(intrinsic!($select(mask, no.0, yes.0)))
        }
    };
}

impl F64x8 {
    /// Signed integers that have the total order of the numbers: the bits except the sign are inverted where the sign is
    /// set.
    #[inline(always)]
    fn ordered_bits(self) -> __m512i {
        intrinsic!({
            let bits = _mm512_castpd_si512(self.0);
            let magnitude = _mm512_srli_epi64::<1>(_mm512_srai_epi64::<63>(bits));
            _mm512_xor_si512(bits, magnitude)
        })
    }
}

impl Lanes for F64x8 {
    type Cell = __m512i;
    x86_lanes!(
        f64,
        u64,
        512,
        __mmask8,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_set1_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd,
        _mm512_div_pd,
        _mm512_fmadd_pd,
        _mm512_sqrt_pd,
        _mm512_and_pd,
        _mm512_andnot_pd,
        _mm512_or_pd,
        _mm512_xor_pd,
        _mm512_roundscale_pd,
        _mm512_min_pd,
        _mm512_max_pd,
        _mm512_cmp_pd_mask
    );
    masks!(
        __mmask8,
        _mm512_mask_blend_pd,
        _mm512_castpd_si512,
        _mm512_cmplt_epi64_mask,
        _mm512_cmpeq_epi64_mask
    );

    #[inline(always)]
    fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
        F::apply(arguments)
    }

    #[inline(always)]
    fn are_normal(self) -> bool {
        // The exponent of the shifted number in `decompose` must not overflow.
        intrinsic!({
            let offset = _mm512_set1_epi64(CELL_OFFSET_F64.cast_signed());
            let shifted = _mm512_castpd_si512(self.0);
            let shifted = _mm512_castsi512_pd(_mm512_add_epi64(shifted, offset));
            (_mm512_fpclass_pd_mask::<NOT_NORMAL>(self.0) | _mm512_fpclass_pd_mask::<NOT_FINITE>(shifted))
                == 0
        })
    }

    #[inline(always)]
    fn decompose(self) -> Parts<Self> {
        intrinsic!({
            const ONE: i64 = 1f64.to_bits().cast_signed();
            const OFFSET: i64 = CELL_OFFSET_F64.cast_signed();
            let shifted = _mm512_add_epi64(_mm512_castpd_si512(self.0), _mm512_set1_epi64(OFFSET));
            let fraction = _mm512_and_si512(shifted, _mm512_set1_epi64((1 << 52) - 1));
            let mantissa = _mm512_add_epi64(fraction, _mm512_set1_epi64(ONE - OFFSET));
            Parts {
                mantissa: Self(_mm512_castsi512_pd(mantissa)),
                exponent: Self(_mm512_getexp_pd(_mm512_castsi512_pd(shifted))),
                // The permutation in `look_up` uses only the low three bits of an index.
                cell: _mm512_srli_epi64::<49>(shifted),
            }
        })
    }

    #[inline(always)]
    unsafe fn compress_store(self, selected: u64, to: *mut f64) {
        // Not the instruction that stores the selected lanes only, which is slow on AMD's CPUs.
        let selected = Self(intrinsic!(_mm512_maskz_compress_pd(selected as __mmask8, self.0)));
        // SAFETY: the caller guarantees it.
        unsafe { selected.store(to) };
    }

    #[inline(always)]
    fn look_up(table: &Table<f64>, cell: __m512i) -> Self {
        // SAFETY: the table has eight elements.
        let table = unsafe { Self::load(table.0.as_ptr()) };
        Self(intrinsic!(_mm512_permutexvar_pd(cell, table.0)))
    }
}

impl DoubleLanes for F64x8 {
    #[inline(always)]
    fn add_exponent(self, shifted: Self) -> Self {
        intrinsic!({
            let exponent = _mm512_slli_epi64::<52>(_mm512_castpd_si512(shifted.0));
            Self(_mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(self.0), exponent)))
        })
    }

    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        Self(intrinsic!(_mm512_scalef_pd(self.0, exponent.0)))
    }

    #[inline(always)]
    fn has_bit(self, bit: u64) -> __mmask8 {
        intrinsic!(_mm512_test_epi64_mask(_mm512_castpd_si512(self.0), _mm512_set1_epi64(bit as i64)))
    }
}

impl F32x16 {
    /// As for [`F64x8`].
    #[inline(always)]
    fn ordered_bits(self) -> __m512i {
        intrinsic!({
            let bits = _mm512_castps_si512(self.0);
            let magnitude = _mm512_srli_epi32::<1>(_mm512_srai_epi32::<31>(bits));
            _mm512_xor_si512(bits, magnitude)
        })
    }
}

impl Lanes for F32x16 {
    type Cell = __m512i;
    x86_lanes!(
        f32,
        u32,
        512,
        __mmask16,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_div_ps,
        _mm512_fmadd_ps,
        _mm512_sqrt_ps,
        _mm512_and_ps,
        _mm512_andnot_ps,
        _mm512_or_ps,
        _mm512_xor_ps,
        _mm512_roundscale_ps,
        _mm512_min_ps,
        _mm512_max_ps,
        _mm512_cmp_ps_mask
    );
    masks!(
        __mmask16,
        _mm512_mask_blend_ps,
        _mm512_castps_si512,
        _mm512_cmplt_epi32_mask,
        _mm512_cmpeq_epi32_mask
    );

    #[inline(always)]
    fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
        intrinsic!({
            let low = F::apply(arguments.map(|x| F64x8(_mm512_cvtps_pd(_mm512_castps512_ps256(x.0)))));
            let high = F::apply(arguments.map(|x| {
                let upper = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x.0));
                F64x8(_mm512_cvtps_pd(_mm256_castpd_ps(upper)))
            }));
            let low = _mm512_castps256_ps512(_mm512_cvtpd_ps(low.0));
            let high = _mm256_castps_pd(_mm512_cvtpd_ps(high.0));
            Self(_mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castps_pd(low), high)))
        })
    }

    #[inline(always)]
    fn are_normal(self) -> bool {
        // As for `F64x8`.
        intrinsic!({
            let offset = _mm512_set1_epi32(CELL_OFFSET_F32.cast_signed());
            let shifted = _mm512_castps_si512(self.0);
            let shifted = _mm512_castsi512_ps(_mm512_add_epi32(shifted, offset));
            (_mm512_fpclass_ps_mask::<NOT_NORMAL>(self.0) | _mm512_fpclass_ps_mask::<NOT_FINITE>(shifted))
                == 0
        })
    }

    #[inline(always)]
    fn decompose(self) -> Parts<Self> {
        intrinsic!({
            const ONE: i32 = 1f32.to_bits().cast_signed();
            const OFFSET: i32 = CELL_OFFSET_F32.cast_signed();
            let shifted = _mm512_add_epi32(_mm512_castps_si512(self.0), _mm512_set1_epi32(OFFSET));
            let fraction = _mm512_and_si512(shifted, _mm512_set1_epi32((1 << 23) - 1));
            let mantissa = _mm512_add_epi32(fraction, _mm512_set1_epi32(ONE - OFFSET));
            Parts {
                mantissa: Self(_mm512_castsi512_ps(mantissa)),
                exponent: Self(_mm512_getexp_ps(_mm512_castsi512_ps(shifted))),
                cell: _mm512_srli_epi32::<20>(shifted),
            }
        })
    }

    #[inline(always)]
    unsafe fn compress_store(self, selected: u64, to: *mut f32) {
        let selected = Self(intrinsic!(_mm512_maskz_compress_ps(selected as __mmask16, self.0)));
        // SAFETY: the caller guarantees it.
        unsafe { selected.store(to) };
    }

    #[inline(always)]
    fn look_up(table: &Table<f32>, cell: __m512i) -> Self {
        // The permutation uses the low four bits of an index, the last of which is the exponent's: the table is repeated.
        // SAFETY: the table has eight elements, and the load may be unaligned.
        let table = unsafe { _mm256_loadu_ps(table.0.as_ptr()) };
        Self(intrinsic!(_mm512_permutexvar_ps(cell, _mm512_broadcast_f32x8(table))))
    }
}
