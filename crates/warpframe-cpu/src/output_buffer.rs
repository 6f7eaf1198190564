//! The memory of an output while it is computed.

use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use warpframe_ir::ScalarType;

use super::block::{Location, WORD};
use super::class::Class;
use super::compaction::Compact;
use super::dispatch::{DetectedPath, run_on};
use super::non_temporal;

/// An output of numbers or Booleans, with the validity if it is computed.
#[derive(Debug)]
pub(super) struct OutputBuffer<'a> {
    scalar_type: ScalarType,
    /// Memory for the numbers of all rows, and of the padding of the last mask word.
    numbers: Numbers<'a>,
    bools: Bits,
    validity: Bits,
    /// The number of numbers that rows were appended to.
    appended: usize,
}

/// The memory of numbers.
#[derive(Debug)]
enum Numbers<'a> {
    /// Its length is 0 until the end. Not aligned to a cache line: of the allocator's large blocks, aligned ones take more
    /// memory than they have.
    Own(Vec<u64>),
    /// The caller's.
    Borrowed(&'a mut [MaybeUninit<u8>]),
    /// The caller's, which numbers are copied to past the caches from memory for a block.
    NonTemporal(&'a mut [MaybeUninit<u8>], Vec<u64>),
}

impl<'a> OutputBuffer<'a> {
    /// Memory for a number of rows.
    pub fn new(scalar_type: ScalarType, rows: usize) -> Self {
        // A multiple of 8.
        let bytes = rows.next_multiple_of(WORD) * Class::of(scalar_type).width();
        let bools = if scalar_type == ScalarType::Bool { Bits::with_capacity(rows) } else { Bits::default() };
        let numbers = Numbers::Own(Vec::with_capacity(bytes / size_of::<u64>()));
        Self { scalar_type, numbers, bools, validity: Bits::default(), appended: 0 }
    }

    /// The memory of the caller, for as many numbers as it has space for: a multiple of the rows of a mask word. Booleans are not
    /// numbers.
    pub fn borrowed(scalar_type: ScalarType, memory: &'a mut [MaybeUninit<u8>]) -> Self {
        let numbers = Numbers::Borrowed(memory);
        Self { scalar_type, numbers, bools: Bits::default(), validity: Bits::default(), appended: 0 }
    }

    /// [`borrowed`](Self::borrowed) memory that is written past the caches, if it is aligned for that. Each block of whole mask words,
    /// of `block_rows` rows at most, is computed elsewhere. The caller must drop a fence before it accesses the memory.
    pub fn non_temporal(
        scalar_type: ScalarType,
        memory: &'a mut [MaybeUninit<u8>],
        block_rows: usize,
    ) -> Self {
        if !memory.as_ptr().addr().is_multiple_of(non_temporal::ALIGNMENT) {
            return Self::borrowed(scalar_type, memory);
        }
        let bytes = block_rows.next_multiple_of(WORD) * Class::of(scalar_type).width();
        let block = Vec::with_capacity(bytes / size_of::<u64>());
        Self { numbers: Numbers::NonTemporal(memory, block), ..Self::borrowed(scalar_type, &mut []) }
    }

    /// Whether numbers that are computed at [`block_address`](Self::block_address) are where they belong, if all rows are selected.
    pub fn is_in_place(&self) -> bool {
        !matches!(self.numbers, Numbers::NonTemporal(..))
    }

    /// The address at which to compute the numbers of a block whose first row is `row`. It is writable for whole mask words.
    pub fn block_address(&mut self, row: usize) -> *mut () {
        match &mut self.numbers {
            Numbers::NonTemporal(_, block) => block.as_mut_ptr().cast(),
            _ => self.address(row),
        }
    }

    /// The address of a row's number. It is writable from there up to the end of the last mask word.
    pub fn address(&mut self, row: usize) -> *mut () {
        let first = match &mut self.numbers {
            Numbers::Own(numbers) => numbers.as_mut_ptr().cast::<u8>(),
            Numbers::Borrowed(memory) | Numbers::NonTemporal(memory, _) => memory.as_mut_ptr().cast(),
        };
        first.wrapping_add(row * Class::of(self.scalar_type).width()).cast()
    }

    /// Appends the numbers of the rows of a block whose bits in the mask words `selected` are set.
    ///
    /// # Safety
    /// The location must be that of numbers of the output's width, readable for all rows of the mask words, and there must be
    /// memory left for as many.
    pub unsafe fn append_numbers(&mut self, path: DetectedPath, numbers: Location, selected: &[u64]) {
        let to = self.address(self.appended);
        if matches!(self.numbers, Numbers::NonTemporal(..))
            && numbers.stride == 1
            && to.addr().is_multiple_of(non_temporal::ALIGNMENT)
            && selected.iter().all(|word| *word == !0)
        {
            let rows = selected.len() * WORD;
            let bytes = rows * Class::of(self.scalar_type).width();
            // SAFETY: the caller guarantees it. The address is aligned, and the numbers of a mask word take whole cache lines. The
            // owner of the memory drops a fence.
            unsafe { non_temporal::copy(numbers.first.cast(), to.cast(), bytes) };
            self.appended += rows;
            return;
        }
        // SAFETY: the caller guarantees it.
        self.appended += unsafe {
            match Class::of(self.scalar_type) {
                Class::Bool => return,
                Class::Narrow => run_on(path, Compact::<f32> { from: numbers.of(), selected, to: to.cast() }),
                Class::Wide => run_on(path, Compact::<f64> { from: numbers.of(), selected, to: to.cast() }),
            }
        };
    }

    /// Appends the Booleans of a mask word whose bits in `selected` are set.
    pub fn append_bools(&mut self, bools: u64, selected: u64) {
        self.bools.append(bools, selected);
    }

    /// Appends the validity of the rows of a mask word whose bits in `selected` are set.
    pub fn append_validity(&mut self, validity: u64, selected: u64) {
        self.validity.append(validity, selected);
    }

    /// The nulls of the first `rows` rows. `nulls` are those of a program whose validity is not computed.
    pub fn finish_nulls(&mut self, rows: usize, nulls: Option<NullBuffer>) -> Option<NullBuffer> {
        let validity = std::mem::take(&mut self.validity);
        match validity.is_empty() {
            true => nulls,
            false => Some(NullBuffer::new(validity.finish(rows))).filter(|nulls| nulls.null_count() > 0),
        }
    }

    /// The array of the first `rows` rows, of the Arrow type of the value's own type; `None` if the numbers are in the caller's
    /// memory. `nulls` are those of a program whose validity is not computed.
    ///
    /// # Safety
    /// The numbers of the rows must have been written, or the Booleans appended.
    pub unsafe fn finish(mut self, rows: usize, nulls: Option<NullBuffer>) -> Option<ArrayRef> {
        let nulls = self.finish_nulls(rows, nulls);
        if self.scalar_type == ScalarType::Bool {
            return Some(Arc::new(BooleanArray::new(self.bools.finish(rows), nulls)));
        }
        let bytes = rows * Class::of(self.scalar_type).width();
        let end = self.address(rows);
        let Numbers::Own(mut numbers) = self.numbers else { return None };
        // SAFETY: the capacity is that of whole mask words. The caller guarantees that the numbers of all rows are
        // initialized; the second half of the last element, if it is none of them, is initialized here.
        unsafe {
            if !bytes.is_multiple_of(size_of::<u64>()) {
                end.cast::<u32>().write(0);
            }
            numbers.set_len(bytes.div_ceil(size_of::<u64>()));
        }
        let buffer = Buffer::from_vec(numbers);
        macro_rules! array {
            ($type:ty) => {
                Arc::new(PrimitiveArray::<$type>::new(ScalarBuffer::new(buffer, 0, rows), nulls))
            };
        }
        Some(match self.scalar_type {
            ScalarType::I32 => array!(Int32Type),
            ScalarType::I64 => array!(Int64Type),
            ScalarType::F32 => array!(Float32Type),
            _ => array!(Float64Type),
        })
    }
}

/// A bitmap that grows by selected bits of mask words.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    /// The bits so far, of which those of the last, incomplete word are in `last`.
    count: usize,
    last: u64,
}

impl Bits {
    fn with_capacity(rows: usize) -> Self {
        Self { words: Vec::with_capacity(rows.div_ceil(WORD)), ..Self::default() }
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn append(&mut self, bits: u64, selected: u64) {
        let (packed, added) = match selected {
            u64::MAX => (bits, WORD),
            _ => (pack(bits, selected), selected.count_ones() as usize),
        };
        let used = self.count % WORD;
        self.last |= packed << used;
        if used + added >= WORD {
            self.words.push(self.last);
            // A shift by the width of the word is not defined.
            self.last = if used == 0 { 0 } else { packed >> (WORD - used) };
        }
        self.count += added;
    }

    fn finish(mut self, rows: usize) -> BooleanBuffer {
        self.words.push(self.last);
        self.words.resize(rows.div_ceil(WORD), 0);
        BooleanBuffer::new(Buffer::from_vec(self.words), 0, rows)
    }
}

/// The selected bits, moved together at the low end.
fn pack(bits: u64, mut selected: u64) -> u64 {
    let (mut packed, mut count) = (0, 0);
    while selected != 0 {
        packed |= (bits >> selected.trailing_zeros() & 1) << count;
        selected &= selected - 1;
        count += 1;
    }
    packed
}
