//! The vector register that formulas are generic over. `avx512`, `avx2`, `neon` and `portable` implement [`Lanes`] for
//! their registers; the formulas are in `math`, `elementwise` and `predicates`.

use warpframe_ir::ops::{Binary, Unary};

use super::math::{LogElement, Table};

/// The largest number of lanes of a register.
pub const MAX_LANES: usize = 16;

/// An instruction set: its vector registers for each type of number.
pub trait InstructionSet {
    /// The register for `f64`, and for the bits of `i64`.
    type F64: DoubleLanes;
    /// The register for `f32`, and for the bits of `i32`.
    type F32: Lanes<Element = f32>;
}

/// A floating-point type, `f64` or `f32`, with its vector register type in each instruction set.
pub trait SimdElement: LogElement + Lanes<Element = Self> + Send + Sync {
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// The smallest positive normal number.
    const MIN_POSITIVE: Self;
    /// A power of two that makes all subnormal numbers normal, and its exponent.
    const SUBNORMAL_SCALE: (Self, Self);
    /// The largest number below 1/2.
    const ALMOST_HALF: Self;
    /// The range in which division by a constant through its reciprocal is correctly rounded (see `math::Divisor`): the
    /// smallest and the largest magnitude of dividends and quotients, and the largest magnitude `d` of divisors, whose
    /// smallest is `1 / d`.
    const DIVISION_BOUNDS: (f64, f64, f64);
    /// The vector register of an instruction set.
    type Register<S: InstructionSet>: Lanes<Element = Self>;

    /// The number, rounded to this type.
    fn from_f64(value: f64) -> Self;

    /// The number in double precision.
    fn to_f64(self) -> f64;

    /// The number with the bits of an integer, of the lowest 32 bits for `f32`.
    fn from_integer_bits(bits: i64) -> Self;

    /// The bits as an integer, sign-extended for `f32`.
    fn to_integer_bits(self) -> i64;

    /// The reciprocal as an unevaluated sum of two numbers, the larger first.
    fn reciprocal(self) -> [Self; 2];

    /// The scalar definition of a unary op.
    fn unary(op: Unary, x: Self) -> Self;

    /// The scalar definition of a binary op.
    fn binary(op: Binary, x: Self, y: Self) -> Self;
}

/// The low mantissa bits of the sum of this constant and a number of magnitude below 2^50 are the nearest integer.
pub const INTEGER_SHIFT: f64 = 1.5 * (1u64 << 52) as f64;

/// A twelfth of the distance of neighboring powers of two in the bits of numbers. Added to the bits of a number, it makes the
/// exponent of [`Parts`] the biased exponent, and the cell the upper three bits of the mantissa.
pub const CELL_OFFSET_F64: u64 = (1 << 52) / 12;
/// [`CELL_OFFSET_F64`] for `f32`.
pub const CELL_OFFSET_F32: u32 = (1 << 23) / 12;

/// The parts of positive normal numbers: `mantissa * 2^exponent`, with the mantissa in [23/24, 23/12). Cell 0 is
/// [23/24, 25/24), and cell `i` from 1 to 7 is [25/24 + (i - 1)/8, 25/24 + i/8).
pub struct Parts<L: Lanes> {
    /// The mantissa.
    pub mantissa: L,
    /// The exponent.
    pub exponent: L,
    /// The cell of the mantissa.
    pub cell: L::Cell,
}

/// A vector register of [`COUNT`](Lanes::COUNT) lanes.
///
/// Unless stated otherwise, an operation applies to each lane, and its result is correctly rounded as IEEE 754 requires.
/// Paths with a fused multiply-add therefore return the same bits.
///
/// # CPU precondition
///
/// All methods have a precondition that the type system does not express: the CPU must have the instruction set of the
/// implementing type (AVX-512 F and DQ, or AVX2 and FMA, and POPCNT; or NEON; none for `f64` and `f32`). A call on another CPU is
/// undefined behavior. The methods, other than [`load`](Lanes::load) and [`store`](Lanes::store), are safe functions
/// nevertheless: formulas consist of calls of them, and a function with `#[target_feature]` cannot implement a safe
/// method of a trait.
///
/// The following rules establish the precondition:
///
/// - The trait, [`SimdElement`] and the register types are in private modules, and nothing public names them: the public
///   kernels are function pointers of a sealed trait (`kernel::sealed`). So all calls of the methods are in this crate.
/// - Generic code with a type parameter `L: Lanes` is instantiated for the register type of an instruction set only
///   below `dispatch::run_on`, which enters it through [`Task::run`](super::dispatch::Task::run), and in the functions that
///   `dispatch::bind` returns, which enter it through [`Loop::run`](super::dispatch::Loop::run). Both are unsafe functions that
///   have the same precondition.
/// - `run_on` and `bind` take a [`DetectedPath`](super::dispatch::DetectedPath), which exists only after
///   [`SimdPath::is_available`](super::simd_path::SimdPath::is_available) has detected the instructions, and enter the code
///   through a function with the matching `#[target_feature]`. The methods are `#[inline(always)]`, so that their intrinsics
///   are inlined into that function and compiled to single instructions.
///
/// New code must not call a method of a register type from anywhere else.
pub trait Lanes: Copy {
    /// The type of a lane.
    type Element: SimdElement;
    /// A table index for each lane, as returned by [`decompose`](Lanes::decompose).
    type Cell: Copy;
    /// A Boolean for each lane.
    type Mask: Copy;
    /// The number of lanes, a divisor of 64.
    const COUNT: usize;
    /// Whether [`mul_add`](Lanes::mul_add) is fused, that is, rounds once. Formulas that depend on it have an
    /// alternative without.
    const HAS_FMA: bool;
    /// Whether formulas are recorded: each op costs the same in all rows, so a branch that only saves time is none.
    const RECORDS: bool = false;

    /// Loads `COUNT` numbers.
    ///
    /// # Safety
    /// `from` must be valid for reading `COUNT` elements; it need not be aligned.
    unsafe fn load(from: *const Self::Element) -> Self;

    /// Stores `COUNT` numbers.
    ///
    /// # Safety
    /// `to` must be valid for writing `COUNT` elements; it need not be aligned.
    unsafe fn store(self, to: *mut Self::Element);

    /// Stores the lanes whose bits in `selected` are set, one after the other. Bits beyond the lanes are 0.
    ///
    /// # Safety
    /// `to` must be valid for writing `COUNT` elements; it need not be aligned. Those behind the selected ones are
    /// overwritten with unspecified numbers.
    #[inline(always)]
    unsafe fn compress_store(self, selected: u64, to: *mut Self::Element) {
        let mut lanes = [Self::Element::ZERO; MAX_LANES];
        let mut count = 0;
        // SAFETY: no register has more than `MAX_LANES` lanes; `count` is at most the number of the lane.
        unsafe {
            self.store(lanes.as_mut_ptr());
            // A loop without branches: each lane is written, and overwritten by the next one unless it is selected.
            for (lane, value) in lanes.iter().enumerate().take(Self::COUNT) {
                to.add(count).write(*value);
                count += (selected >> lane & 1) as usize;
            }
        }
    }

    /// Prefetches the cache line of an address, which may be invalid. The hardware prefetcher does not cross the end of a
    /// page. No operation where there is no prefetch instruction.
    #[inline(always)]
    fn prefetch(_: *const Self::Element) {}

    /// A register with the same number in all lanes.
    fn splat(value: Self::Element) -> Self;

    /// `self + other`
    fn add(self, other: Self) -> Self;

    /// `self - other`
    fn sub(self, other: Self) -> Self;

    /// `self * other`
    fn mul(self, other: Self) -> Self;

    /// `self / other`
    fn div(self, other: Self) -> Self;

    /// `self * factor + addend`, rounded once if [`HAS_FMA`](Lanes::HAS_FMA), else twice.
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// The square root; NaN for negative numbers.
    fn sqrt(self) -> Self;

    /// The absolute value.
    fn abs(self) -> Self;

    /// The number with its sign inverted.
    fn neg(self) -> Self;

    /// The magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;

    /// Rounds down to an integer.
    fn floor(self) -> Self;

    /// Rounds up to an integer.
    fn ceil(self) -> Self;

    /// Rounds towards zero to an integer.
    fn trunc(self) -> Self;

    /// `self` restricted to `[low, high]`; NaN for NaN.
    fn clamp(self, low: Self, high: Self) -> Self;

    /// `self < other` by IEEE 754: false if either is NaN.
    fn less(self, other: Self) -> Self::Mask;

    /// `self = other` by IEEE 754: false if either is NaN; -0 equals +0.
    fn equal(self, other: Self) -> Self::Mask;

    /// Whether the lane is NaN.
    fn is_nan(self) -> Self::Mask;

    /// `self < other` in the total order of IEEE 754, as in Arrow's comparison kernels: -NaN, -inf, ..., -0, +0, ...,
    /// +inf, +NaN.
    fn total_less(self, other: Self) -> Self::Mask;

    /// Whether both have the same bits: equality in the total order.
    fn same_bits(self, other: Self) -> Self::Mask;

    /// `self < other` of the bits as signed integers. With this, [`same_bits`](Lanes::same_bits) and
    /// [`select`](Lanes::select) a register also compares and selects integers of its lanes' width.
    fn less_as_integers(self, other: Self) -> Self::Mask;

    /// The mask as an integer: bit `i` is lane `i`, higher bits are 0.
    fn mask_bits(mask: Self::Mask) -> u64;

    /// Whether the mask is true in all lanes.
    #[inline(always)]
    fn all(mask: Self::Mask) -> bool {
        Self::mask_bits(mask) == !0 >> (64 - Self::COUNT)
    }

    /// The inverse of [`mask_bits`](Lanes::mask_bits); higher bits are ignored.
    fn mask_from_bits(bits: u64) -> Self::Mask;

    /// The lanes of `yes` where the mask is true, else those of `no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// Applies a function in double precision: the arguments are converted to `f64`, and the result is rounded to the
    /// lane type.
    fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self;

    /// Whether all lanes are positive normal numbers. False also if a lane is greater than half of the largest number and
    /// [`decompose`](Lanes::decompose) does not support it.
    fn are_normal(self) -> bool;

    /// Decomposes numbers for which [`are_normal`](Lanes::are_normal) is true. The results of other lanes are unspecified.
    fn decompose(self) -> Parts<Self>;

    /// Table lookup: for each lane the table's entry for its cell, which comes from [`decompose`](Lanes::decompose).
    fn look_up(table: &Table<Self::Element>, cell: Self::Cell) -> Self;

    /// Applies a scalar function to each lane in turn.
    #[inline(always)]
    fn map_lanes(self, function: impl Fn(Self::Element) -> Self::Element) -> Self {
        self.zip_lanes(self, |value, _| function(value))
    }

    /// Applies a scalar function to each pair of lanes in turn.
    #[inline(always)]
    fn zip_lanes(
        self,
        other: Self,
        function: impl Fn(Self::Element, Self::Element) -> Self::Element,
    ) -> Self {
        let mut left = [Self::Element::ZERO; MAX_LANES];
        let mut right = [Self::Element::ZERO; MAX_LANES];
        // SAFETY: no register has more than `MAX_LANES` lanes.
        unsafe {
            self.store(left.as_mut_ptr());
            other.store(right.as_mut_ptr());
        }
        for (left, right) in left.iter_mut().zip(right).take(Self::COUNT) {
            *left = function(*left, right);
        }
        // SAFETY: as above.
        unsafe { Self::load(left.as_ptr()) }
    }
}

/// Operations of registers with lanes of type `f64`. The CPU precondition of [`Lanes`] applies.
pub trait DoubleLanes: Lanes<Element = f64> {
    /// `self * 2^exponent`, rounded once, for an integer `exponent` from -1100 to 1100 and a magnitude of `self` in
    /// [1/4, 4]. NaN if either is NaN.
    fn scale(self, exponent: Self) -> Self;

    /// `self * 2^n` for the integer `n` whose sum with [`INTEGER_SHIFT`] is `shifted`. Both `self` and the result are normal
    /// numbers.
    fn add_exponent(self, shifted: Self) -> Self;

    /// Whether a bit of the number's binary representation is set; `bit` is a power of two.
    fn has_bit(self, bit: u64) -> Self::Mask;
}

/// A function of `N` arguments that is computed in double precision.
pub trait Function64<const N: usize> {
    /// Applies the function to each lane.
    fn apply<L: DoubleLanes>(arguments: [L; N]) -> L;
}
