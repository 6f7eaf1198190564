//! [`Lanes`] for AVX2 with FMA: four lanes of `f64` or eight of `f32`.

use std::arch::x86_64::*;

use super::lanes::{CELL_OFFSET_F32, CELL_OFFSET_F64, DoubleLanes, Function64, Lanes, Parts};
use super::math::Table;
use super::x86::{intrinsic, x86_lanes};

/// Four `f64`.
#[derive(Clone, Copy)]
pub struct F64x4(__m256d);

/// Eight `f32`.
#[derive(Clone, Copy)]
pub struct F32x8(__m256);

/// For each mask of four lanes, the selected lanes, one after the other.
static COMPRESSED_F32: [[u32; 4]; 16] = {
    let mut table = [[0; 4]; 16];
    let mut mask = 0;
    while mask < 16 {
        let (mut lane, mut count) = (0, 0);
        while lane < 4 {
            if mask >> lane & 1 == 1 {
                table[mask][count] = lane;
                count += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    table
};

/// [`COMPRESSED_F32`] for lanes of two elements.
static COMPRESSED_F64: [[u32; 8]; 16] = {
    let mut table = [[0; 8]; 16];
    let mut mask = 0;
    while mask < 16 {
        let mut lane = 0;
        while lane < 4 {
            table[mask][2 * lane] = 2 * COMPRESSED_F32[mask][lane];
            table[mask][2 * lane + 1] = 2 * COMPRESSED_F32[mask][lane] + 1;
            lane += 1;
        }
        mask += 1;
    }
    table
};

/// The methods of masks. A mask is a vector register in which the highest bit of a lane is 1 (true) or 0 (false).
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
    type Cell = __m256i;
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
    fn are_normal(self) -> bool {
        intrinsic!({
            // In the upper halves, which have the sign and the exponent: bits - MIN < INFINITY - MIN of unsigned integers.
            // The instruction compares signed ones, so both sides have the sign bit inverted.
            const MIN: i32 = (f64::MIN_POSITIVE.to_bits() >> 32) as i32;
            const INFINITY: i32 = (f64::INFINITY.to_bits() >> 32) as i32;
            let above = _mm256_sub_epi32(_mm256_castpd_si256(self.0), _mm256_set1_epi32(MIN ^ i32::MIN));
            let normal = _mm256_cmpgt_epi32(_mm256_set1_epi32((INFINITY - MIN) ^ i32::MIN), above);
            _mm256_movemask_pd(_mm256_castsi256_pd(normal)) == 0b1111
        })
    }

    #[inline(always)]
    fn decompose(self) -> Parts<Self> {
        intrinsic!({
            const ONE: i64 = 1f64.to_bits().cast_signed();
            const OFFSET: i64 = CELL_OFFSET_F64.cast_signed();
            let shifted = _mm256_add_epi64(_mm256_castpd_si256(self.0), _mm256_set1_epi64x(OFFSET));
            let fraction = _mm256_and_si256(shifted, _mm256_set1_epi64x((1 << 52) - 1));
            let mantissa = _mm256_add_epi64(fraction, _mm256_set1_epi64x(ONE - OFFSET));
            // AVX2 cannot convert 64-bit integers: with the biased exponent in the low mantissa bits of 2^52 the number
            // is 2^52 plus the biased exponent, and one subtraction removes 2^52 and the bias.
            let biased = _mm256_srli_epi64::<52>(shifted);
            let two_to_52 = _mm256_castpd_si256(_mm256_set1_pd(TWO_TO_52));
            let exponent = _mm256_castsi256_pd(_mm256_or_si256(biased, two_to_52));
            Parts {
                mantissa: Self(_mm256_castsi256_pd(mantissa)),
                exponent: Self(_mm256_sub_pd(exponent, _mm256_set1_pd(TWO_TO_52 + 1023.0))),
                // The low three bits of the upper halves are the cell.
                cell: _mm256_srli_epi32::<17>(shifted),
            }
        })
    }

    #[inline(always)]
    unsafe fn compress_store(self, selected: u64, to: *mut f64) {
        let indices = COMPRESSED_F64[selected as usize & 15].as_ptr();
        // SAFETY: the table has eight indices; the caller guarantees that `to` is writable.
        unsafe {
            let indices = _mm256_loadu_si256(indices.cast());
            let lanes = _mm256_permutevar8x32_ps(_mm256_castpd_ps(self.0), indices);
            Self(_mm256_castps_pd(lanes)).store(to);
        }
    }

    #[inline(always)]
    fn look_up(table: &Table<f64>, cell: __m256i) -> Self {
        let [upper, lower] = halves(table);
        intrinsic!({
            let upper = _mm256_permutevar8x32_epi32(upper, cell);
            let lower = match is_short(table) {
                true => _mm256_setzero_si256(),
                false => _mm256_permutevar8x32_epi32(lower, _mm256_srli_epi64::<32>(cell)),
            };
            Self(_mm256_castsi256_pd(_mm256_blend_epi32::<0b1010_1010>(lower, upper)))
        })
    }
}

impl DoubleLanes for F64x4 {
    #[inline(always)]
    fn add_exponent(self, shifted: Self) -> Self {
        intrinsic!({
            let exponent = _mm256_slli_epi64::<52>(_mm256_castpd_si256(shifted.0));
            Self(_mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(self.0), exponent)))
        })
    }

    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        // Multiply by two exact powers of two: only the second product can be subnormal, so it rounds once.
        let half = exponent.mul(Self::splat(0.5)).floor();
        self.mul(half.power_of_two()).mul(exponent.sub(half).power_of_two())
    }

    #[inline(always)]
    fn has_bit(self, bit: u64) -> __m256d {
        // A mask needs only the highest bits of lanes.
        intrinsic!({
            let shift = _mm_cvtsi64_si128(bit.leading_zeros().into());
            _mm256_castsi256_pd(_mm256_sll_epi64(_mm256_castpd_si256(self.0), shift))
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

/// Whether the last 32 bits of all numbers of a table are zero. The compiler decides it for a constant table.
#[inline(always)]
fn is_short(table: &Table<f64>) -> bool {
    table.0.iter().all(|number| number.to_bits() << 32 == 0)
}

/// The upper and the lower halves of the numbers of a table. The compiler computes them for a constant table.
#[inline(always)]
fn halves(table: &Table<f64>) -> [__m256i; 2] {
    let halves = |shift: u32| table.0.map(|number| (number.to_bits() >> shift) as u32);
    [halves(32), halves(0)].map(|halves| {
        // SAFETY: the array has the size of the register, and the load may be unaligned.
        unsafe { _mm256_loadu_si256(halves.as_ptr().cast()) }
    })
}

impl F32x8 {
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
    type Cell = __m256i;
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
    fn are_normal(self) -> bool {
        intrinsic!({
            // As for `F64x4`.
            const MIN: i32 = f32::MIN_POSITIVE.to_bits().cast_signed();
            const INFINITY: i32 = f32::INFINITY.to_bits().cast_signed();
            let above = _mm256_sub_epi32(_mm256_castps_si256(self.0), _mm256_set1_epi32(MIN ^ i32::MIN));
            let normal = _mm256_cmpgt_epi32(_mm256_set1_epi32((INFINITY - MIN) ^ i32::MIN), above);
            _mm256_movemask_ps(_mm256_castsi256_ps(normal)) == 0b1111_1111
        })
    }

    #[inline(always)]
    fn decompose(self) -> Parts<Self> {
        intrinsic!({
            const ONE: i32 = 1f32.to_bits().cast_signed();
            const OFFSET: i32 = CELL_OFFSET_F32.cast_signed();
            let shifted = _mm256_add_epi32(_mm256_castps_si256(self.0), _mm256_set1_epi32(OFFSET));
            let fraction = _mm256_and_si256(shifted, _mm256_set1_epi32((1 << 23) - 1));
            let mantissa = _mm256_add_epi32(fraction, _mm256_set1_epi32(ONE - OFFSET));
            let exponent = _mm256_sub_epi32(_mm256_srli_epi32::<23>(shifted), _mm256_set1_epi32(127));
            Parts {
                mantissa: Self(_mm256_castsi256_ps(mantissa)),
                exponent: Self(_mm256_cvtepi32_ps(exponent)),
                // The permutation in `look_up` uses only the low three bits of an index.
                cell: _mm256_srli_epi32::<20>(shifted),
            }
        })
    }

    #[inline(always)]
    unsafe fn compress_store(self, selected: u64, to: *mut f32) {
        // SAFETY: the tables have four indices; at most four elements are written behind the selected ones of the lower half.
        unsafe {
            let half = |half: __m128, selected: u64, to: *mut f32| {
                let indices = _mm_loadu_si128(COMPRESSED_F32[selected as usize & 15].as_ptr().cast());
                _mm_storeu_ps(to, _mm_permutevar_ps(half, indices));
            };
            half(_mm256_castps256_ps128(self.0), selected, to);
            let count = (selected & 15).count_ones() as usize;
            half(_mm256_extractf128_ps::<1>(self.0), selected >> 4, to.add(count));
        }
    }

    #[inline(always)]
    fn look_up(table: &Table<f32>, cell: __m256i) -> Self {
        // SAFETY: the table has eight elements.
        let table = unsafe { Self::load(table.0.as_ptr()) };
        Self(intrinsic!(_mm256_permutevar8x32_ps(table.0, cell)))
    }
}
