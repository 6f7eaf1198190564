//! [`Lanes`] for AVX2 with FMA: four lanes of `f64` or eight of `f32`.

use std::arch::x86_64::*;

use super::lanes::{DoubleLanes, Function64, Lanes};
use super::x86::{intrinsic, x86_lanes};

/// Four `f64`.
#[derive(Clone, Copy)]
pub struct F64x4(__m256d);

/// Eight `f32`.
#[derive(Clone, Copy)]
pub struct F32x8(__m256);

/// The methods of masks. A mask is a vector register in which all bits of a lane are 1 (true) or 0 (false).
macro_rules! masks {
    ($register:ty, $select:ident, $to_bits:ident, $from_bits:ident, $greater_bits:ident, $equal_bits:ident,
     $move_mask:ident) => {
        #[inline(always)]
        fn total_less(self, other: Self) -> $register {
            intrinsic!($from_bits($greater_bits(other.ordered_bits(), self.ordered_bits())))
        }

        #[inline(always)]
        fn same_bits(self, other: Self) -> $register {
            intrinsic!($from_bits($equal_bits($to_bits(self.0), $to_bits(other.0))))
        }

        #[inline(always)]
        fn less_as_integers(self, other: Self) -> $register {
            intrinsic!($from_bits($greater_bits($to_bits(other.0), $to_bits(self.0))))
        }

        #[inline(always)]
        fn mask_bits(mask: $register) -> u64 {
            u64::from(intrinsic!($move_mask(mask)) as u32)
        }

        #[inline(always)]
        fn select(mask: $register, yes: Self, no: Self) -> Self {
            Self(intrinsic!($select(no.0, yes.0, mask)))
        }
    };
}

impl F64x4 {
    /// Whether all lanes are positive, finite and normal.
    #[inline(always)]
    fn all_normal(self) -> bool {
        let above = intrinsic!(_mm256_cmp_pd::<_CMP_GE_OQ>(self.0, _mm256_set1_pd(f64::MIN_POSITIVE)));
        let below = intrinsic!(_mm256_cmp_pd::<_CMP_LT_OQ>(self.0, _mm256_set1_pd(f64::INFINITY)));
        intrinsic!(_mm256_movemask_pd(_mm256_and_pd(above, below))) == 0b1111
    }

    fn to_array(self) -> [f64; 4] {
        let mut lanes = [0.0; 4];
        // SAFETY: the array has four elements.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }

    fn from_array(lanes: [f64; 4]) -> Self {
        // SAFETY: the array has four elements.
        unsafe { Self::load(lanes.as_ptr()) }
    }

    #[cold]
    #[inline(never)]
    fn split_scalar(self) -> (Self, Self, __m256i) {
        let parts = self.to_array().map(Lanes::split);
        let indices = parts.map(|(_, _, index)| index as i64);
        (
            Self::from_array(parts.map(|(mantissa, _, _)| mantissa)),
            Self::from_array(parts.map(|(_, exponent, _)| exponent)),
            // SAFETY: the array has the size of the register, and the load may be unaligned.
            unsafe { _mm256_loadu_si256(indices.as_ptr().cast()) },
        )
    }

    #[cold]
    #[inline(never)]
    fn patch_scalar(self, argument: Self) -> Self {
        let (mut results, arguments) = (self.to_array(), argument.to_array());
        for (result, argument) in results.iter_mut().zip(arguments) {
            *result = result.patch_ln(argument);
        }
        Self::from_array(results)
    }

    /// Signed integers that have the total order of the numbers: the bits except the sign are inverted where the sign is
    /// set.
    #[inline(always)]
    fn ordered_bits(self) -> __m256i {
        intrinsic!({
            let bits = _mm256_castpd_si256(self.0);
            let negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), bits);
            _mm256_xor_si256(bits, _mm256_srli_epi64::<1>(negative))
        })
    }
}

impl Lanes for F64x4 {
    type Indices = __m256i;
    x86_lanes!(
        f64,
        u64,
        256,
        __m256d,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_set1_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd,
        _mm256_div_pd,
        _mm256_fmadd_pd,
        _mm256_sqrt_pd,
        _mm256_and_pd,
        _mm256_andnot_pd,
        _mm256_or_pd,
        _mm256_xor_pd,
        _mm256_round_pd,
        _mm256_min_pd,
        _mm256_max_pd,
        _mm256_cmp_pd
    );
    masks!(
        __m256d,
        _mm256_blendv_pd,
        _mm256_castpd_si256,
        _mm256_castsi256_pd,
        _mm256_cmpgt_epi64,
        _mm256_cmpeq_epi64,
        _mm256_movemask_pd
    );

    #[inline(always)]
    fn mask_from_bits(bits: u64) -> __m256d {
        intrinsic!({
            let lane = _mm256_setr_epi64x(1, 2, 4, 8);
            let set = _mm256_and_si256(_mm256_set1_epi64x(bits as i64), lane);
            _mm256_castsi256_pd(_mm256_cmpeq_epi64(set, lane))
        })
    }

    #[inline(always)]
    fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
        F::apply(arguments)
    }

    #[inline(always)]
    fn split(self) -> (Self, Self, __m256i) {
        if !self.all_normal() {
            return self.split_scalar();
        }
        intrinsic!({
            let bits = _mm256_castpd_si256(self.0);
            let one = _mm256_castpd_si256(_mm256_set1_pd(1.0));
            let fraction = _mm256_and_si256(bits, _mm256_set1_epi64x((1 << 52) - 1));
            let mantissa = _mm256_castsi256_pd(_mm256_or_si256(fraction, one));
            // AVX2 cannot convert 64-bit integers: with the biased exponent in the low mantissa bits of 2^52 the number
            // is 2^52 plus the biased exponent, and one subtraction removes 2^52 and the bias.
            let biased = _mm256_srli_epi64::<52>(bits);
            let two_to_52 = _mm256_castpd_si256(_mm256_set1_pd(TWO_TO_52));
            let shifted = _mm256_castsi256_pd(_mm256_or_si256(biased, two_to_52));
            let exponent = _mm256_sub_pd(shifted, _mm256_set1_pd(TWO_TO_52 + 1023.0));
            let indices = _mm256_srli_epi64::<48>(fraction);
            (Self(mantissa), Self(exponent), indices)
        })
    }

    #[inline(always)]
    fn look_up(table: &[f64; 16], indices: __m256i) -> Self {
        // SAFETY: the indices come from `split` and are from 0 to 15, so within the table.
        Self(unsafe { _mm256_i64gather_pd::<8>(table.as_ptr(), indices) })
    }

    #[inline(always)]
    fn patch_ln(self, argument: Self) -> Self {
        if argument.all_normal() { self } else { self.patch_scalar(argument) }
    }
}

impl DoubleLanes for F64x4 {
    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        // Multiply by two exact powers of two: only the second product can be subnormal, so it rounds once.
        let half = exponent.mul(Self::splat(0.5)).floor();
        self.mul(half.power_of_two()).mul(exponent.sub(half).power_of_two())
    }

    #[inline(always)]
    fn has_bit(self, bit: u64) -> __m256d {
        intrinsic!({
            let bit = _mm256_set1_epi64x(bit as i64);
            let found = _mm256_and_si256(_mm256_castpd_si256(self.0), bit);
            _mm256_castsi256_pd(_mm256_cmpeq_epi64(found, bit))
        })
    }
}

impl F64x4 {
    /// `2^self` for an integer from -1022 to 1023; NaN for NaN.
    #[inline(always)]
    fn power_of_two(self) -> Self {
        // The low mantissa bits of the sum are the biased exponent.
        let shifted = self.add(Self::splat(TWO_TO_52 + 1023.0));
        let power =
            Self(intrinsic!(_mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(shifted.0)))));
        Self::select(self.is_nan(), self, power)
    }
}

const TWO_TO_52: f64 = (1u64 << 52) as f64;

impl F32x8 {
    /// Whether all lanes are positive, finite and normal.
    #[inline(always)]
    fn all_normal(self) -> bool {
        let above = intrinsic!(_mm256_cmp_ps::<_CMP_GE_OQ>(self.0, _mm256_set1_ps(f32::MIN_POSITIVE)));
        let below = intrinsic!(_mm256_cmp_ps::<_CMP_LT_OQ>(self.0, _mm256_set1_ps(f32::INFINITY)));
        intrinsic!(_mm256_movemask_ps(_mm256_and_ps(above, below))) == 0b1111_1111
    }

    fn to_array(self) -> [f32; 8] {
        let mut lanes = [0.0; 8];
        // SAFETY: the array has eight elements.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }

    fn from_array(lanes: [f32; 8]) -> Self {
        // SAFETY: the array has eight elements.
        unsafe { Self::load(lanes.as_ptr()) }
    }

    #[cold]
    #[inline(never)]
    fn split_scalar(self) -> (Self, Self, __m256i) {
        let parts = self.to_array().map(Lanes::split);
        let indices = parts.map(|(_, _, index)| index as i32);
        (
            Self::from_array(parts.map(|(mantissa, _, _)| mantissa)),
            Self::from_array(parts.map(|(_, exponent, _)| exponent)),
            // SAFETY: the array has the size of the register, and the load may be unaligned.
            unsafe { _mm256_loadu_si256(indices.as_ptr().cast()) },
        )
    }

    #[cold]
    #[inline(never)]
    fn patch_scalar(self, argument: Self) -> Self {
        let (mut results, arguments) = (self.to_array(), argument.to_array());
        for (result, argument) in results.iter_mut().zip(arguments) {
            *result = result.patch_ln(argument);
        }
        Self::from_array(results)
    }

    /// As for [`F64x4`].
    #[inline(always)]
    fn ordered_bits(self) -> __m256i {
        intrinsic!({
            let bits = _mm256_castps_si256(self.0);
            let negative = _mm256_cmpgt_epi32(_mm256_setzero_si256(), bits);
            _mm256_xor_si256(bits, _mm256_srli_epi32::<1>(negative))
        })
    }
}

impl Lanes for F32x8 {
    type Indices = __m256i;
    x86_lanes!(
        f32,
        u32,
        256,
        __m256,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_div_ps,
        _mm256_fmadd_ps,
        _mm256_sqrt_ps,
        _mm256_and_ps,
        _mm256_andnot_ps,
        _mm256_or_ps,
        _mm256_xor_ps,
        _mm256_round_ps,
        _mm256_min_ps,
        _mm256_max_ps,
        _mm256_cmp_ps
    );
    masks!(
        __m256,
        _mm256_blendv_ps,
        _mm256_castps_si256,
        _mm256_castsi256_ps,
        _mm256_cmpgt_epi32,
        _mm256_cmpeq_epi32,
        _mm256_movemask_ps
    );

    #[inline(always)]
    fn mask_from_bits(bits: u64) -> __m256 {
        intrinsic!({
            let lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let set = _mm256_and_si256(_mm256_set1_epi32(bits as i32), lane);
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane))
        })
    }

    #[inline(always)]
    fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
        intrinsic!({
            let low = F::apply(arguments.map(|x| F64x4(_mm256_cvtps_pd(_mm256_castps256_ps128(x.0)))));
            let high = F::apply(arguments.map(|x| F64x4(_mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x.0)))));
            Self(_mm256_set_m128(_mm256_cvtpd_ps(high.0), _mm256_cvtpd_ps(low.0)))
        })
    }

    #[inline(always)]
    fn split(self) -> (Self, Self, __m256i) {
        if !self.all_normal() {
            return self.split_scalar();
        }
        intrinsic!({
            let bits = _mm256_castps_si256(self.0);
            let one = _mm256_castps_si256(_mm256_set1_ps(1.0));
            let fraction = _mm256_and_si256(bits, _mm256_set1_epi32((1 << 23) - 1));
            let mantissa = _mm256_castsi256_ps(_mm256_or_si256(fraction, one));
            let biased = _mm256_srli_epi32::<23>(bits);
            let exponent = _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)));
            let indices = _mm256_srli_epi32::<19>(fraction);
            (Self(mantissa), Self(exponent), indices)
        })
    }

    #[inline(always)]
    fn look_up(table: &[f32; 16], indices: __m256i) -> Self {
        // SAFETY: the indices come from `split` and are from 0 to 15, so within the table.
        Self(unsafe { _mm256_i32gather_ps::<4>(table.as_ptr(), indices) })
    }

    #[inline(always)]
    fn patch_ln(self, argument: Self) -> Self {
        if argument.all_normal() { self } else { self.patch_scalar(argument) }
    }
}
