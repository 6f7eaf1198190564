//! The methods of `Lanes` that AVX2 and AVX-512 implement with the same sequence of intrinsics.

/// Calls intrinsics whose only precondition is the instruction set.
macro_rules! intrinsic {
    ($call:expr) => {{
        // SAFETY: the CPU has the instruction set: it is the precondition of all methods of `Lanes`.
        unsafe { $call }
    }};
}
pub(super) use intrinsic;

/// Most methods of `Lanes` for a register type, by the names of its intrinsics. Masks differ: they are implemented in
/// `avx2` and `avx512`. `$register` is the width of the register in bits.
macro_rules! x86_lanes {
    ($float:ty, $bits:ty, $register:expr, $mask:ty, $load:ident, $store:ident, $splat:ident, $add:ident,
     $sub:ident, $mul:ident, $div:ident, $fma:ident, $sqrt:ident, $and:ident, $andnot:ident, $or:ident,
     $xor:ident, $round:ident, $min:ident, $max:ident, $compare:ident) => {
        type Element = $float;
        type Mask = $mask;
        const COUNT: usize = $register / <$bits>::BITS as usize;
        const HAS_FMA: bool = true;

        #[inline(always)]
        unsafe fn load(from: *const $float) -> Self {
            // SAFETY: the caller guarantees that `from` is readable; the load may be unaligned.
            Self(unsafe { $load(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut $float) {
            // SAFETY: the caller guarantees that `to` is writable; the store may be unaligned.
            unsafe { $store(to, self.0) }
        }

        #[inline(always)]
        fn prefetch(from: *const $float) {
            intrinsic!(_mm_prefetch::<_MM_HINT_T0>(from.cast()));
        }

        #[inline(always)]
        fn splat(value: $float) -> Self {
            Self(intrinsic!($splat(value)))
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(intrinsic!($add(self.0, other.0)))
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(intrinsic!($sub(self.0, other.0)))
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(intrinsic!($mul(self.0, other.0)))
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(intrinsic!($div(self.0, other.0)))
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            Self(intrinsic!($fma(self.0, factor.0, addend.0)))
        }

        #[inline(always)]
        fn sqrt(self) -> Self {
            Self(intrinsic!($sqrt(self.0)))
        }

        #[inline(always)]
        fn abs(self) -> Self {
            Self(intrinsic!($andnot($splat(-0.0), self.0)))
        }

        #[inline(always)]
        fn neg(self) -> Self {
            Self(intrinsic!($xor($splat(-0.0), self.0)))
        }

        #[inline(always)]
        fn copysign(self, sign: Self) -> Self {
            let mask = Self::splat(-0.0).0;
            Self(intrinsic!($or($andnot(mask, self.0), $and(mask, sign.0))))
        }

        #[inline(always)]
        fn floor(self) -> Self {
            Self(intrinsic!($round::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(self.0)))
        }

        #[inline(always)]
        fn ceil(self) -> Self {
            Self(intrinsic!($round::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(self.0)))
        }

        #[inline(always)]
        fn trunc(self) -> Self {
            Self(intrinsic!($round::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(self.0)))
        }

        #[inline(always)]
        fn clamp(self, low: Self, high: Self) -> Self {
            // Both instructions return their second operand if an operand is NaN.
            Self(intrinsic!($min(high.0, $max(low.0, self.0))))
        }

        #[inline(always)]
        fn less(self, other: Self) -> $mask {
            intrinsic!($compare::<_CMP_LT_OQ>(self.0, other.0))
        }

        #[inline(always)]
        fn equal(self, other: Self) -> $mask {
            intrinsic!($compare::<_CMP_EQ_OQ>(self.0, other.0))
        }

        #[inline(always)]
        fn is_nan(self) -> $mask {
            intrinsic!($compare::<_CMP_UNORD_Q>(self.0, self.0))
        }
    };
}
pub(super) use x86_lanes;
