//! A vector register that records the ops of formulas as VecIR instead of computing them.
//!
//! Formulas choose the code for common arguments by [`Lanes::all`] and [`Lanes::are_normal`]. For this register both return
//! true, and the condition becomes a requirement: in a row that does not meet it, the recorded code has no defined result, and
//! the caller must evaluate the formula in another way. Since a formula's result for a row depends on nothing but the row, the
//! two agree in all other rows.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use super::vec_ir::{Arithmetic, Conversion, Id, Logic, MultiplyAdd, Rounding, Test, VecCode, VecOp};
use crate::class::Class;
use crate::lanes::{CELL_OFFSET_F32, CELL_OFFSET_F64, DoubleLanes, Function64, Lanes, Parts, SimdElement};
use crate::math::Table;

/// A number that is being recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded<E> {
    pub id: Id,
    element: PhantomData<E>,
}

/// The code that has been recorded so far.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub code: VecCode,
    /// The value of each op, to merge equal ones.
    known: HashMap<VecOp, Id>,
    /// The mask of rows that meet all requirements so far, if there are any.
    pub required: Option<Id>,
    /// The masks that are part of it.
    requirements: HashSet<Id>,
    /// Whether a formula has done what cannot be recorded.
    pub failed: bool,
}

impl Recorder {
    /// The value of an op, which is computed if its operands are constant.
    pub fn push(&mut self, op: VecOp) -> Id {
        let op = self.folded(op);
        *self.known.entry(op).or_insert_with(|| {
            self.code.ops.push(op);
            Id(self.code.ops.len() as u32 - 1)
        })
    }

    fn folded(&self, op: VecOp) -> VecOp {
        let bits_of = |operand| match self.code.op(operand) {
            VecOp::Table(_, table) => Some(table.into()),
            _ => self.constant_bits(operand),
        };
        if op.operands().next().is_none() || !op.operands().all(|operand| bits_of(operand).is_some()) {
            return op;
        }
        let bits = op.evaluate(|_| 0, |id| bits_of(id).unwrap_or_default(), &self.code.tables);
        match op.is_mask() {
            true => VecOp::ConstantMask(op.class(), bits == 1),
            false => VecOp::Constant(op.class(), bits),
        }
    }

    /// The bits of a value that is constant: 1 or 0 of a mask.
    pub fn constant_bits(&self, id: Id) -> Option<u64> {
        match self.code.op(id) {
            VecOp::Constant(_, bits) => Some(bits),
            VecOp::ConstantMask(_, value) => Some(value.into()),
            _ => None,
        }
    }

    /// A constant by its bits, none of which is outside of the class.
    pub fn constant(&mut self, class: Class, bits: u64) -> Id {
        self.push(VecOp::Constant(class, bits))
    }

    /// A constant by the bits of a [`Scalar`](warpframe_ir::Scalar), which extend the sign.
    pub fn constant_of(&mut self, class: Class, bits: i64) -> Id {
        let bits = match class {
            Class::Wide => bits.cast_unsigned(),
            _ => u64::from(bits as u32),
        };
        self.constant(class, bits)
    }

    /// The result of an op of two numbers.
    pub fn arithmetic(&mut self, op: Arithmetic, class: Class, x: Id, y: Id) -> Id {
        // The shift of normal numbers is zero. An exponent is no signaling NaN, which a subtraction would change.
        if op == Arithmetic::Subtract
            && self.constant_bits(y) == Some(0)
            && matches!(self.code.op(x), VecOp::Exponent(..))
        {
            return x;
        }
        self.push(VecOp::Arithmetic(op, class, x, y))
    }

    /// One number where a mask of any class is true, else another.
    pub fn select(&mut self, class: Class, mask: Id, yes: Id, no: Id) -> Id {
        let mask = self.mask_of(class, mask);
        self.push(VecOp::Select(class, mask, yes, no))
    }

    /// A table of numbers of a class.
    fn table(&mut self, class: Class, table: [u64; 8]) -> Id {
        let known = self.code.tables.iter().position(|known| *known == table);
        let position = known.unwrap_or_else(|| {
            self.code.tables.push(table);
            self.code.tables.len() - 1
        });
        self.push(VecOp::Table(class, position as u32))
    }

    /// A mask as one of numbers of a class.
    pub fn mask_of(&mut self, class: Class, mask: Id) -> Id {
        match self.code.op(mask).class() == class {
            true => mask,
            false => self.push(VecOp::ConvertMask(class, mask)),
        }
    }

    /// Adds a mask that must be true. It is joined with the earlier ones at once, so that only one is kept.
    pub fn require(&mut self, mask: Id) {
        if self.requirements.insert(mask) {
            self.required = Some(match self.required {
                Some(required) => self.logic(Logic::And, required, mask),
                None => mask,
            });
        }
    }

    /// A logical op of two masks, of the class of the first.
    pub fn logic(&mut self, op: Logic, x: Id, y: Id) -> Id {
        let class = self.code.op(x).class();
        let y = self.mask_of(class, y);
        self.push(VecOp::Logic(op, class, x, y))
    }
}

thread_local! {
    static RECORDER: RefCell<Recorder> = RefCell::default();
}

/// Calls a function with the recorder of this thread. Formulas do not call each other's ops while they record one.
fn with<T>(function: impl FnOnce(&mut Recorder) -> T) -> T {
    RECORDER.with_borrow_mut(function)
}

/// Records the ops of a formula in addition to those of `recorder`.
pub(crate) fn record<T>(recorder: &mut Recorder, formula: impl FnOnce() -> T) -> T {
    with(|current| std::mem::swap(current, recorder));
    let result = formula();
    with(|current| std::mem::swap(current, recorder));
    result
}

fn push(op: VecOp) -> Id {
    with(|recorder| recorder.push(op))
}

/// Remembers that the formula cannot be recorded.
fn fail() {
    with(|recorder| recorder.failed = true);
}

/// The class of the numbers of an element type.
fn class<E>() -> Class {
    if size_of::<E>() == 8 { Class::Wide } else { Class::Narrow }
}

impl<E: SimdElement> Recorded<E> {
    /// The number with this identity, of this type.
    pub fn new(id: Id) -> Self {
        Self { id, element: PhantomData }
    }

    fn op(op: VecOp) -> Self {
        Self::new(push(op))
    }

    fn bits(bits: u64) -> Self {
        let mask = if size_of::<E>() == 8 { u64::MAX } else { u32::MAX.into() };
        Self::op(VecOp::Constant(class::<E>(), bits & mask))
    }

    fn arithmetic(self, op: Arithmetic, other: Self) -> Self {
        Self::new(with(|recorder| recorder.arithmetic(op, class::<E>(), self.id, other.id)))
    }

    fn test(self, test: Test, other: Self) -> Id {
        push(VecOp::Test(test, class::<E>(), self.id, other.id))
    }

    /// The number without its negation, and whether there was one.
    fn without_negation(self) -> (Self, bool) {
        with(|recorder| match recorder.code.op(self.id) {
            VecOp::Arithmetic(Arithmetic::Xor, _, x, sign)
                if recorder.code.op(sign) == VecOp::Constant(class::<E>(), format::<E>().sign) =>
            {
                (Self::new(x), true)
            }
            _ => (self, false),
        })
    }

    /// Signed integers that have the total order of the numbers, as in `avx2`.
    fn ordered_bits(self) -> Self {
        let spread = Self::op(VecOp::SpreadSign(class::<E>(), self.id));
        let magnitude = Self::op(VecOp::ShiftRight(class::<E>(), spread.id, 1));
        self.arithmetic(Arithmetic::Xor, magnitude)
    }
}

/// Constants of a floating-point type, as bits.
struct Format {
    sign: u64,
    cell_offset: u64,
    mantissa_bits: u8,
}

/// The format of a type, `f64` or `f32`.
fn format<E>() -> Format {
    match class::<E>() {
        Class::Wide => Format { sign: 1 << 63, cell_offset: CELL_OFFSET_F64, mantissa_bits: 52 },
        _ => Format { sign: 1 << 31, cell_offset: CELL_OFFSET_F32.into(), mantissa_bits: 23 },
    }
}

/// The bits of a number.
fn bits_of<E: SimdElement>(value: E) -> u64 {
    let bits = value.to_integer_bits().cast_unsigned();
    if size_of::<E>() == 8 { bits } else { bits & u64::from(u32::MAX) }
}

impl<E: SimdElement> Lanes for Recorded<E> {
    type Element = E;
    type Cell = Id;
    type Mask = Id;
    const COUNT: usize = 1;
    const HAS_FMA: bool = true;
    const RECORDS: bool = true;

    unsafe fn load(_: *const E) -> Self {
        fail();
        Self::splat(E::ZERO)
    }

    unsafe fn store(self, _: *mut E) {
        fail();
    }

    fn splat(value: E) -> Self {
        Self::bits(bits_of(value))
    }

    fn add(self, other: Self) -> Self {
        self.arithmetic(Arithmetic::Add, other)
    }

    fn sub(self, other: Self) -> Self {
        self.arithmetic(Arithmetic::Subtract, other)
    }

    fn mul(self, other: Self) -> Self {
        self.arithmetic(Arithmetic::Multiply, other)
    }

    fn div(self, other: Self) -> Self {
        self.arithmetic(Arithmetic::Divide, other)
    }

    fn mul_add(self, factor: Self, addend: Self) -> Self {
        let (a, negates_a) = self.without_negation();
        let (b, negates_b) = factor.without_negation();
        let (c, negate_addend) = addend.without_negation();
        let signs = MultiplyAdd { negate_product: negates_a != negates_b, negate_addend };
        Self::op(VecOp::MultiplyAdd(signs, class::<E>(), a.id, b.id, c.id))
    }

    fn sqrt(self) -> Self {
        Self::op(VecOp::Sqrt(class::<E>(), self.id))
    }

    fn abs(self) -> Self {
        self.arithmetic(Arithmetic::And, Self::bits(!format::<E>().sign))
    }

    fn neg(self) -> Self {
        self.arithmetic(Arithmetic::Xor, Self::bits(format::<E>().sign))
    }

    fn copysign(self, sign: Self) -> Self {
        let sign = sign.arithmetic(Arithmetic::And, Self::bits(format::<E>().sign));
        self.abs().arithmetic(Arithmetic::Or, sign)
    }

    fn floor(self) -> Self {
        Self::op(VecOp::Round(Rounding::Floor, class::<E>(), self.id))
    }

    fn ceil(self) -> Self {
        Self::op(VecOp::Round(Rounding::Ceil, class::<E>(), self.id))
    }

    fn trunc(self) -> Self {
        Self::op(VecOp::Round(Rounding::Trunc, class::<E>(), self.id))
    }

    fn clamp(self, low: Self, high: Self) -> Self {
        high.arithmetic(Arithmetic::Min, low.arithmetic(Arithmetic::Max, self))
    }

    fn less(self, other: Self) -> Id {
        self.test(Test::Less, other)
    }

    fn equal(self, other: Self) -> Id {
        self.test(Test::Equal, other)
    }

    fn is_nan(self) -> Id {
        self.test(Test::Unordered, self)
    }

    fn total_less(self, other: Self) -> Id {
        other.ordered_bits().test(Test::GreaterIntegers, self.ordered_bits())
    }

    fn same_bits(self, other: Self) -> Id {
        self.test(Test::SameBits, other)
    }

    fn less_as_integers(self, other: Self) -> Id {
        other.test(Test::GreaterIntegers, self)
    }

    fn mask_bits(_: Id) -> u64 {
        fail();
        0
    }

    fn all(mask: Id) -> bool {
        with(|recorder| recorder.require(mask));
        true
    }

    fn mask_from_bits(_: u64) -> Id {
        fail();
        push(VecOp::ConstantMask(class::<E>(), false))
    }

    fn select(mask: Id, yes: Self, no: Self) -> Self {
        Self::new(with(|recorder| recorder.select(class::<E>(), mask, yes.id, no.id)))
    }

    fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
        if class::<E>() == Class::Wide {
            return Self::new(F::apply(arguments.map(|x| Recorded::<f64>::new(x.id))).id);
        }
        let result = F::apply(
            arguments.map(|x| Recorded::<f64>::new(push(VecOp::Convert(Conversion::F32ToF64, x.id)))),
        );
        Self::op(VecOp::Convert(Conversion::F64ToF32, result.id))
    }

    fn are_normal(self) -> bool {
        // bits - MIN < end - MIN of unsigned integers, as signed ones with inverted sign bits. At the end the cell offset would
        // carry into the exponent of infinity.
        let Format { sign, cell_offset, .. } = format::<E>();
        let end = bits_of(E::from_f64(f64::INFINITY)) - cell_offset;
        let min = bits_of(E::MIN_POSITIVE);
        let above = self.arithmetic(Arithmetic::SubtractIntegers, Self::bits(min ^ sign));
        let limit = Self::bits((end - min) ^ sign);
        Self::all(limit.test(Test::GreaterIntegers, above))
    }

    fn decompose(self) -> Parts<Self> {
        let Format { cell_offset, mantissa_bits, .. } = format::<E>();
        let shifted = self.arithmetic(Arithmetic::AddIntegers, Self::bits(cell_offset));
        let fraction = shifted.arithmetic(Arithmetic::And, Self::bits((1 << mantissa_bits) - 1));
        let one = bits_of(E::ONE);
        let mantissa = fraction.arithmetic(Arithmetic::AddIntegers, Self::bits(one - cell_offset));
        let exponent = Self::op(VecOp::Exponent(class::<E>(), shifted.id));
        let cell = push(VecOp::Cell(class::<E>(), shifted.id));
        Parts { mantissa, exponent, cell }
    }

    fn look_up(table: &Table<E>, cell: Id) -> Self {
        let table = with(|recorder| recorder.table(class::<E>(), table.0.map(bits_of)));
        Self::op(VecOp::LookUp(class::<E>(), table, cell))
    }

    fn zip_lanes(self, _: Self, _: impl Fn(E, E) -> E) -> Self {
        fail();
        self
    }
}

impl DoubleLanes for Recorded<f64> {
    fn scale(self, _: Self) -> Self {
        fail();
        self
    }

    fn add_exponent(self, shifted: Self) -> Self {
        let exponent = Self::op(VecOp::ShiftLeft(Class::Wide, shifted.id, 52));
        self.arithmetic(Arithmetic::AddIntegers, exponent)
    }

    fn has_bit(self, bit: u64) -> Id {
        let shifted = Self::op(VecOp::ShiftLeft(Class::Wide, self.id, bit.leading_zeros() as u8));
        push(VecOp::IsNegative(Class::Wide, shifted.id))
    }
}
