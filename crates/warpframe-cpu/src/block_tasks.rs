//! The loops over the numbers of a block, as tasks that are compiled for each instruction set. Each is a function of its own,
//! small enough for the compiler to keep constants in registers.
//!
//! A task requires that the locations of its operands are readable, and its target is writable, for its rows, a multiple of
//! [`WORD`], or for the rows of its mask words; that the target overlaps with no operand; and that locations and types fit.

use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::{Comparison, ScalarType};

use super::block::{Location, WORD};
use super::dispatch::Task;
use super::integers;
use super::lanes::{InstructionSet, Lanes, MAX_LANES, SimdElement};
use super::math::Divisor;
use super::ops::{BinaryCode, BinaryLoop, UnaryCode, UnaryLoop, dispatch_binary, dispatch_unary};
use super::predicates::{self, Equal, Less, LessAsIntegers, Predicate, SameBits, TotalLess, word_of};

/// A unary op of floats.
pub(super) struct UnaryOp<E> {
    pub op: Unary,
    pub x: Location<E>,
    pub target: *mut E,
    pub rows: usize,
}

impl<E: SimdElement> Task for UnaryOp<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        dispatch_unary::<E::Register<S>>(self.op, self);
    }
}

impl<E: SimdElement, L: Lanes<Element = E>> UnaryLoop<L> for UnaryOp<E> {
    #[inline(always)]
    fn run<C: UnaryCode<L>>(self) {
        for row in (0..self.rows).step_by(L::COUNT) {
            // SAFETY: the task requires it.
            unsafe { C::apply(self.x.load(row)).store(self.target.add(row)) };
        }
    }
}

/// A binary op of floats.
pub(super) struct BinaryOp<E> {
    pub op: Binary,
    pub x: Location<E>,
    pub y: Location<E>,
    pub target: *mut E,
    pub rows: usize,
}

impl<E: SimdElement> Task for BinaryOp<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        dispatch_binary::<E::Register<S>>(self.op, self);
    }
}

impl<E: SimdElement, L: Lanes<Element = E>> BinaryLoop<L> for BinaryOp<E> {
    #[inline(always)]
    fn run<C: BinaryCode<L>>(self) {
        for row in (0..self.rows).step_by(L::COUNT) {
            // SAFETY: the task requires it.
            unsafe { C::apply(self.x.load(row), self.y.load(row)).store(self.target.add(row)) };
        }
    }
}

/// The division of floats by a constant.
pub(super) struct Division<E> {
    pub divisor: Divisor<E>,
    pub x: Location<E>,
    pub target: *mut E,
    pub rows: usize,
}

impl<E: SimdElement> Task for Division<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        for row in (0..self.rows).step_by(E::Register::<S>::COUNT) {
            // SAFETY: the task requires it.
            unsafe {
                let x: E::Register<S> = self.x.load(row);
                self.divisor.divide(x).store(self.target.add(row));
            }
        }
    }
}

/// A unary op of integers.
pub(super) struct IntegerUnaryOp {
    pub op: Unary,
    pub scalar_type: ScalarType,
    pub x: Location,
    pub target: Location,
    pub rows: usize,
}

impl Task for IntegerUnaryOp {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        let Self { op, scalar_type, x, target, rows } = self;
        // SAFETY: the task requires it.
        unsafe {
            match scalar_type {
                ScalarType::I64 => integers::unary_i64(op, x.of(), target.of().first, rows),
                ScalarType::I32 => integers::unary_i32(op, x.of(), target.of().first, rows),
                _ => {}
            }
        }
    }
}

/// A binary op of integers.
pub(super) struct IntegerBinaryOp {
    pub op: Binary,
    pub scalar_type: ScalarType,
    pub x: Location,
    pub y: Location,
    pub target: Location,
    pub rows: usize,
}

impl Task for IntegerBinaryOp {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        let Self { op, scalar_type, x, y, target, rows } = self;
        // SAFETY: the task requires it.
        unsafe {
            match scalar_type {
                ScalarType::I64 => integers::binary_i64(op, x.of(), y.of(), target.of().first, rows),
                ScalarType::I32 => integers::binary_i32(op, x.of(), y.of(), target.of().first, rows),
                _ => {}
            }
        }
    }
}

/// A conversion among types of numbers.
pub(super) struct IntegerCast {
    pub from: ScalarType,
    pub to: ScalarType,
    pub x: Location,
    pub target: Location,
    pub rows: usize,
}

impl Task for IntegerCast {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        // SAFETY: the task requires it.
        unsafe { integers::cast(self.from, self.to, self.x, self.target.first, self.rows) };
    }
}

/// The conversion of Booleans to numbers of the width of `E`: the number with the bits `one`, or 0.
pub(super) struct ZeroOrOne<'a, E> {
    pub bits: &'a [u64],
    pub one: i64,
    pub target: *mut E,
}

impl<E: SimdElement> Task for ZeroOrOne<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        let zero = E::Register::<S>::splat(E::ZERO);
        let one = E::Register::<S>::splat(E::from_integer_bits(self.one));
        for (word, bits) in self.bits.iter().enumerate() {
            for lane in (0..WORD).step_by(E::Register::<S>::COUNT) {
                let mask = E::Register::<S>::mask_from_bits(bits >> lane);
                let number = E::Register::<S>::select(mask, one, zero);
                // SAFETY: the task requires it.
                unsafe { number.store(self.target.add(word * WORD + lane)) };
            }
        }
    }
}

/// The selection of numbers of the width of `E` by mask words.
pub(super) struct Select<'a, E> {
    pub chosen: &'a [u64],
    pub yes: Location<E>,
    pub no: Location<E>,
    pub target: *mut E,
}

impl<E: SimdElement> Task for Select<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        for (word, chosen) in self.chosen.iter().enumerate() {
            for lane in (0..WORD).step_by(E::Register::<S>::COUNT) {
                let row = word * WORD + lane;
                let mask = E::Register::<S>::mask_from_bits(chosen >> lane);
                // SAFETY: the task requires it.
                unsafe {
                    let (yes, no) = (self.yes.load(row), self.no.load(row));
                    E::Register::<S>::select(mask, yes, no).store(self.target.add(row));
                }
            }
        }
    }
}

/// A comparison of numbers of a type, to mask words.
pub(super) struct Compare<'a> {
    pub comparison: Comparison,
    pub scalar_type: ScalarType,
    pub x: Location,
    pub y: Location,
    pub bits: &'a mut [u64],
}

impl Compare<'_> {
    #[inline(always)]
    fn with<L: Lanes, P: Predicate>(self) {
        let (x, y) = (self.x.of::<L::Element>(), self.y.of());
        for (word, bits) in self.bits.iter_mut().enumerate() {
            // SAFETY: the task requires it.
            *bits = unsafe { word_of::<L, P>(x, y, word) };
        }
    }
}

impl Task for Compare<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        use Comparison::*;
        match (self.scalar_type, self.comparison) {
            (ScalarType::F64, Lt) => self.with::<S::F64, Less>(),
            (ScalarType::F64, Eq) => self.with::<S::F64, Equal>(),
            (ScalarType::F64, TotalLt) => self.with::<S::F64, TotalLess>(),
            (ScalarType::F32, Lt) => self.with::<S::F32, Less>(),
            (ScalarType::F32, Eq) => self.with::<S::F32, Equal>(),
            (ScalarType::F32, TotalLt) => self.with::<S::F32, TotalLess>(),
            (ScalarType::F64, BitEq) | (ScalarType::I64, Eq | BitEq) => self.with::<S::F64, SameBits>(),
            (ScalarType::F32, BitEq) | (ScalarType::I32, Eq | BitEq) => self.with::<S::F32, SameBits>(),
            (ScalarType::I64, Lt | TotalLt) => self.with::<S::F64, LessAsIntegers>(),
            (ScalarType::I32, Lt | TotalLt) => self.with::<S::F32, LessAsIntegers>(),
            // Booleans are compared as mask words.
            (ScalarType::Bool, _) => {}
        }
    }
}

/// Whether floats are NaN, to mask words.
pub(super) struct IsNan<'a, E> {
    pub x: Location<E>,
    pub bits: &'a mut [u64],
}

impl<E: SimdElement> Task for IsNan<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        for (word, bits) in self.bits.iter_mut().enumerate() {
            // SAFETY: the task requires it.
            *bits = unsafe { word_of::<E::Register<S>, predicates::IsNan>(self.x, self.x, word) };
        }
    }
}

/// Whether numbers of a type are not zero, to mask words: by IEEE 754 for floats, so that NaN is not zero.
pub(super) struct IsNonzero<'a> {
    pub scalar_type: ScalarType,
    pub x: Location,
    pub bits: &'a mut [u64],
}

impl IsNonzero<'_> {
    #[inline(always)]
    fn with<L: Lanes, Eq: Predicate>(self) {
        let mut copies = [L::Element::ZERO; MAX_LANES];
        let zero = Location { first: copies.as_mut_ptr(), stride: 0 };
        for (word, bits) in self.bits.iter_mut().enumerate() {
            // SAFETY: the task requires it, and there are as many zeros as lanes.
            *bits = !unsafe { word_of::<L, Eq>(self.x.of(), zero, word) };
        }
    }
}

impl Task for IsNonzero<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        match self.scalar_type {
            ScalarType::F64 => self.with::<S::F64, Equal>(),
            ScalarType::F32 => self.with::<S::F32, Equal>(),
            ScalarType::I64 => self.with::<S::F64, SameBits>(),
            ScalarType::I32 => self.with::<S::F32, SameBits>(),
            ScalarType::Bool => {}
        }
    }
}

/// The largest table that is searched with vector comparisons, one for each constant.
const VECTOR_TABLE: usize = 8;

/// Whether the bits of numbers of the width of `E` are in a table of ascending bits, to mask words.
pub(super) struct InTable<'a, E> {
    pub x: Location<E>,
    pub table: &'a [i64],
    pub bits: &'a mut [u64],
}

impl<E: SimdElement> Task for InTable<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        let Self { x, table, bits } = self;
        if table.len() > VECTOR_TABLE {
            for (word, found) in bits.iter_mut().enumerate() {
                *found = (0..WORD).fold(0, |found, lane| {
                    // SAFETY: the task requires it.
                    let number = unsafe { x.first.add((word * WORD + lane) * x.stride).read() };
                    found | u64::from(table.binary_search(&number.to_integer_bits()).is_ok()) << lane
                });
            }
            return;
        }
        bits.fill(0);
        for &constant in table {
            let constant = E::Register::<S>::splat(E::from_integer_bits(constant));
            for (word, found) in bits.iter_mut().enumerate() {
                for lane in (0..WORD).step_by(E::Register::<S>::COUNT) {
                    // SAFETY: the task requires it.
                    let register: E::Register<S> = unsafe { x.load(word * WORD + lane) };
                    *found |= E::Register::<S>::mask_bits(register.same_bits(constant)) << lane;
                }
            }
        }
    }
}
