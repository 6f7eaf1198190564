//! Tests whether numbers are in a table of constants, to mask words.

use std::marker::PhantomData;

use crate::block::{Arguments, LoopData, WORD};
use crate::dispatch::{BoundLoop, DetectedPath, Loop, bind};
use crate::lanes::{InstructionSet, Lanes, SimdElement};

/// The largest table that is searched with vector comparisons, one for each constant.
const VECTOR_TABLE: usize = 8;

/// The loop that tests whether the bits of numbers of the width of `E` are in the table of [`LoopData`].
pub fn in_table<E: SimdElement>(path: DetectedPath, constants: usize) -> BoundLoop {
    match constants {
        0..=VECTOR_TABLE => bind::<InSmallTable<E>>(path),
        _ => bind::<InLargeTable<E>>(path),
    }
}

struct InSmallTable<E>(PhantomData<E>);

impl<E: SimdElement> Loop for InSmallTable<E> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let LoopData::Table(table) = arguments.data else { return };
        let x = arguments.operand::<E>(0);
        // SAFETY: the result is a Boolean.
        let target = unsafe { arguments.target_words() };
        target.fill(0);
        for &constant in table {
            let constant = E::Register::<S>::splat(E::from_integer_bits(constant));
            for (word, found) in target.iter_mut().enumerate() {
                for lane in (0..WORD).step_by(E::Register::<S>::COUNT) {
                    // SAFETY: the operand is readable for all rows.
                    let register: E::Register<S> = unsafe { x.load(word * WORD + lane) };
                    *found |= E::Register::<S>::mask_bits(register.same_bits(constant)) << lane;
                }
            }
        }
    }
}

struct InLargeTable<E>(PhantomData<E>);

impl<E: SimdElement> Loop for InLargeTable<E> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let LoopData::Table(table) = arguments.data else { return };
        let x = arguments.operand::<E>(0);
        // SAFETY: the result is a Boolean.
        let target = unsafe { arguments.target_words() };
        for (word, found) in target.iter_mut().enumerate() {
            *found = (0..WORD).fold(0, |found, lane| {
                // SAFETY: the operand is readable for all rows.
                let number = unsafe { x.first.add((word * WORD + lane) * x.stride).read() };
                found | u64::from(table.binary_search(&number.to_integer_bits()).is_ok()) << lane
            });
        }
    }
}
