//! Selection of numbers by conditions.

use std::marker::PhantomData;

use super::comparisons::{ComparisonVisitor, NumberComparison};
use super::predicates::Predicate;
use crate::block::{Arguments, WORD};
use crate::dispatch::{BoundLoop, DetectedPath, Loop, bind};
use crate::lanes::{InstructionSet, Lanes, SimdElement};

/// The loop that selects numbers of the width of `E` by mask words: of the second operand where the first is true, else of the
/// third.
pub fn select<E: SimdElement>(path: DetectedPath) -> BoundLoop {
    bind::<Select<E>>(path)
}

/// The loop that selects numbers by a comparison of the first two operands: of the third where it holds, else of the fourth.
/// All have the same width. `None` for Booleans.
pub fn select_by_comparison(path: DetectedPath, comparison: NumberComparison) -> Option<BoundLoop> {
    comparison.visit(BindSelect(path))
}

struct BindSelect(DetectedPath);

impl ComparisonVisitor for BindSelect {
    type Output = BoundLoop;

    fn visit<E: SimdElement, P: Predicate>(self) -> BoundLoop {
        bind::<SelectByComparison<E, P>>(self.0)
    }
}

struct Select<E>(PhantomData<E>);

impl<E: SimdElement> Loop for Select<E> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let (yes, no) = (arguments.operand::<E>(1), arguments.operand::<E>(2));
        let target = arguments.target.cast::<E>();
        // SAFETY: the condition is a Boolean, the other operands are readable, and the target is writable, for all rows.
        unsafe {
            for (word, chosen) in arguments.words(0).iter().enumerate() {
                for lane in (0..WORD).step_by(E::Register::<S>::COUNT) {
                    let row = word * WORD + lane;
                    let mask = E::Register::<S>::mask_from_bits(chosen >> lane);
                    E::Register::<S>::select(mask, yes.load(row), no.load(row)).store(target.add(row));
                }
            }
        }
    }
}

struct SelectByComparison<E, P>(PhantomData<(E, P)>);

impl<E: SimdElement, P: Predicate> Loop for SelectByComparison<E, P> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let [x, y, yes, no] = [0, 1, 2, 3].map(|index| arguments.operand::<E>(index));
        let target = arguments.target.cast::<E>();
        for row in (0..arguments.rows).step_by(E::Register::<S>::COUNT) {
            // SAFETY: the operands are readable, and the target writable, for all rows.
            unsafe {
                let mask = P::holds::<E::Register<S>>(x.load(row), y.load(row));
                E::Register::<S>::select(mask, yes.load(row), no.load(row)).store(target.add(row));
            }
        }
    }
}
