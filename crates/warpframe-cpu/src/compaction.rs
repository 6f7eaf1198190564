//! The numbers of selected rows of a block, one after the other.

use warpframe_ir::reduction::{ChunkedValues, Element};

use super::block::{Location, WORD};
use super::dispatch::Task;
use super::lanes::{InstructionSet, Lanes, SimdElement};

/// Copies the numbers of selected rows, and returns how many there are. Of `f64` for all numbers of 8 bytes, of `f32` for those
/// of 4 bytes.
///
/// The location must be readable for all rows of the words, and `to` writable for as many.
pub(super) struct Compact<'a, E> {
    pub from: Location<E>,
    /// The mask words of the rows.
    pub selected: &'a [u64],
    pub to: *mut E,
}

impl<E: SimdElement> Task for Compact<'_, E> {
    type Output = usize;

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) -> usize {
        let mut count = 0;
        for (word, &selected) in self.selected.iter().enumerate() {
            // SAFETY: the caller guarantees that all rows are readable and writable; no row is written behind its position.
            count += unsafe { compact_word::<E::Register<S>>(self.from, word, selected, self.to.add(count)) };
        }
        count
    }
}

/// Adds the numbers of selected rows to a reduction. `E` is the type with the width of `T` that is loaded into registers.
///
/// The location must be readable for all rows of the words.
pub(super) struct Reduce<'a, E, T: Element> {
    pub from: Location<E>,
    /// The number of rows, without the padding of the last word.
    pub rows: usize,
    /// The mask words of the rows; `None` if all are selected.
    pub selected: Option<&'a [u64]>,
    pub values: &'a mut ChunkedValues<T>,
}

impl<E: SimdElement, T: Element> Task for Reduce<'_, E, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        const { assert!(size_of::<E>() == size_of::<T>()) };
        let Self { from, rows, selected, values } = self;
        let Some(selected) = selected.or((from.stride == 0).then_some(&[])) else {
            // SAFETY: the rows are next to each other and readable.
            values.extend(unsafe { std::slice::from_raw_parts(from.first.cast(), rows) });
            return;
        };
        for word in 0..rows.div_ceil(WORD) {
            let selected = match selected.get(word) {
                Some(selected) => *selected,
                None => in_range(word, rows),
            };
            if selected != 0 {
                let to = values.next_word().as_mut_ptr().cast();
                // SAFETY: all rows of the word are readable, and there is room for a word.
                let count = unsafe { compact_word::<E::Register<S>>(from, word, selected, to) };
                values.advance(count);
            }
        }
    }
}

/// Copies the numbers of the selected rows of a word, and returns how many there are.
///
/// # Safety
/// The location must be readable for all rows of the word, and `to` writable for as many numbers. The CPU must have the
/// instruction set.
#[inline(always)]
unsafe fn compact_word<L: Lanes>(
    from: Location<L::Element>,
    word: usize,
    selected: u64,
    to: *mut L::Element,
) -> usize {
    let row = word * WORD;
    let is_full = selected == !0;
    if is_full || selected.count_ones() > WORD as u32 / 8 {
        let mut count = 0;
        for first in (0..WORD).step_by(L::COUNT) {
            let bits = selected >> first & !0 >> (WORD - L::COUNT);
            // SAFETY: the caller guarantees it; `count` is at most `first`.
            unsafe {
                let numbers = from.load::<L>(row + first);
                if is_full {
                    numbers.store(to.add(first));
                } else {
                    numbers.compress_store(bits, to.add(count));
                }
            }
            count += bits.count_ones() as usize;
        }
        return count;
    }
    let (mut rest, mut count) = (selected, 0);
    while rest != 0 {
        let row = row + rest.trailing_zeros() as usize;
        // SAFETY: the caller guarantees it; `count` is below the number of selected rows.
        unsafe { to.add(count).write(from.first.add(row * from.stride).read()) };
        rest &= rest - 1;
        count += 1;
    }
    count
}

/// The bits of a mask word that belong to the rows of a block of `rows` rows.
pub(super) fn in_range(word: usize, rows: usize) -> u64 {
    let remaining = rows - word * WORD;
    if remaining >= WORD { !0 } else { (1 << remaining) - 1 }
}
