//! The memory of a block while a program is executed: the locations of values, mask words, and loaded inputs.

use std::cell::{Cell, RefCell};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use warpframe_ir::Scalar;
use warpframe_ir::instruction::Value;
use warpframe_ir::program::Program;

use super::block::{CacheLine, Location, Place, WORD};
use super::block_code::BlockCode;
use super::class::Class;
use super::input_conversion::{Loader, copy_bits};
use super::lanes::MAX_LANES;
use super::register_allocation::{RegisterAllocation, Slot};
use super::validity::computes_validity;

/// The memory of the blocks of one evaluation.
pub(super) struct BlockMemory<'a> {
    program: &'a Program,
    code: &'a BlockCode,
    inputs: &'a [ArrayRef],
    /// The address of the first number of each input that is read in place; null for others.
    in_place: Vec<*const u8>,
    /// Rows in a block, a multiple of [`WORD`].
    block_rows: usize,
    scratch: &'a mut Scratch,
    /// For each input the offset of its block in the scratch memory, in bytes.
    input_offsets: Vec<usize>,
}

/// The memory of a block, reused by all evaluations of a thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// A block for each register for numbers, a block for each input, and [`MAX_LANES`] copies of each constant.
    numbers: Vec<CacheLine>,
    /// The mask words of each register for Booleans, then those of the validity of each value. Loops write to them through
    /// pointers.
    words: Vec<Cell<u64>>,
    /// The location of each value that is a number; [`Location::NONE`] for others.
    locations: Vec<Location>,
}

impl Scratch {
    /// Calls a function with the memory of the current thread.
    pub fn with<T>(function: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        SCRATCH.with(|scratch| function(&mut scratch.borrow_mut()))
    }
}

impl<'a> BlockMemory<'a> {
    /// The memory for an evaluation of a program, in blocks of at most `block_rows` rows, on inputs that satisfy
    /// `Program::check_inputs`.
    pub fn new(
        program: &'a Program,
        code: &'a BlockCode,
        inputs: &'a [ArrayRef],
        rows: usize,
        scratch: &'a mut Scratch,
        block_rows: usize,
    ) -> Self {
        let block_rows = block_rows.min(rows.next_multiple_of(WORD).max(WORD));
        let in_place = inputs.iter().zip(&code.loaders).map(|(array, loader)| match loader {
            Loader::InPlace(width) => first_number(array, *width),
            Loader::Converted(..) | Loader::Bits => std::ptr::null(),
        });
        let mut memory = Self {
            program,
            code,
            inputs,
            in_place: in_place.collect(),
            block_rows,
            scratch,
            input_offsets: Vec::with_capacity(inputs.len()),
        };
        memory.prepare();
        memory
    }

    /// The input arrays.
    pub fn inputs(&self) -> &[ArrayRef] {
        self.inputs
    }

    /// Rows in a block, a multiple of [`WORD`].
    pub fn block_rows(&self) -> usize {
        self.block_rows
    }

    /// The mask words of a block.
    fn words(&self) -> usize {
        self.block_rows / WORD
    }

    /// Allocates the scratch memory, and sets the locations of registers and constants.
    fn prepare(&mut self) {
        let RegisterAllocation { slots, constants, .. } = &self.code.registers;
        let registers = &self.code.registers;
        // Offsets in bytes, multiples of 64: `block_rows` is, and so are `MAX_LANES` numbers of 4 bytes.
        let wide_registers = registers.count(Class::Wide) * self.block_rows * 8;
        let mut end = wide_registers + registers.count(Class::Narrow) * self.block_rows * 4;
        for loader in &self.code.loaders {
            self.input_offsets.push(end);
            end += self.block_rows * loader.width();
        }
        let first_constant = end;
        end += constants.len() * MAX_LANES * 8;
        let word_count = (self.chosen_register() + 1) * self.words();
        let Scratch { numbers, words, locations } = &mut *self.scratch;
        // Contents of earlier evaluations are overwritten before they are read.
        let lines = end.div_ceil(size_of::<CacheLine>());
        if numbers.len() < lines {
            numbers.resize(lines, CacheLine::ZERO);
        }
        if words.len() < word_count {
            words.resize(word_count, Cell::new(0));
        }
        let start = numbers.as_mut_ptr().cast::<u8>();
        locations.clear();
        for (position, slot) in slots.iter().enumerate() {
            let class = Class::of(self.program.scalar_type(Value::at(position)));
            let (offset, stride) = match (*slot, class) {
                (Slot::Register(register), Class::Wide) => (register * self.block_rows * 8, 1),
                (Slot::Register(register), Class::Narrow) => {
                    (wide_registers + register * self.block_rows * 4, 1)
                }
                (Slot::Constant(constant), _) => {
                    let offset = first_constant + constant * MAX_LANES * 8;
                    // SAFETY: the offset is that of the constant's copies, within the scratch memory.
                    unsafe { store_constant(constants[constant], start.add(offset)) };
                    (offset, 0)
                }
                // Inputs and outputs have another location in each block.
                _ => {
                    locations.push(Location::NONE);
                    continue;
                }
            };
            // SAFETY: the offset is within the scratch memory.
            locations.push(Location { first: unsafe { start.add(offset) }.cast(), stride });
        }
    }

    /// Loads the inputs of a block of `rows` rows from `row` on. Numbers of the program's own type are read in place, if they
    /// fill whole mask words; other inputs are copied or converted to scratch memory, and padded to whole words.
    pub fn load_inputs(&mut self, row: usize, rows: usize) {
        for &(position, input) in &self.code.inputs {
            let array = &self.inputs[input];
            if let Some(start) = self.validity_start(Value::at(position)) {
                let validity = &self.scratch.words[start..][..self.words()];
                match array.nulls() {
                    Some(nulls) => copy_bits(nulls.inner(), row, rows, validity),
                    None => validity.iter().for_each(|word| word.set(!0)),
                }
            }
            let width = match self.code.loaders[input] {
                Loader::Bits => {
                    copy_bits(array.as_boolean().values(), row, rows, self.bool_words(position));
                    continue;
                }
                Loader::InPlace(width) if rows.is_multiple_of(WORD) => {
                    let first = self.in_place[input].wrapping_add(row * width).cast_mut().cast();
                    self.scratch.locations[position] = Location { first, stride: 1 };
                    continue;
                }
                Loader::InPlace(width) | Loader::Converted(_, width) => width,
            };
            let start = self.scratch.numbers.as_mut_ptr().cast::<u8>();
            // SAFETY: the scratch memory has a block of this width for the input, which nothing else refers to; the array has
            // the rows, and the type that the loader is for.
            let first = unsafe {
                let block = start.add(self.input_offsets[input]);
                match self.code.loaders[input] {
                    Loader::Converted(convert, _) => convert(array, row, rows, block.cast()),
                    _ => {
                        let from = self.in_place[input].add(row * width);
                        std::ptr::copy_nonoverlapping(from, block, rows * width);
                    }
                }
                match width {
                    4 => pad::<u32>(block.cast(), rows),
                    _ => pad::<u64>(block.cast(), rows),
                }
                block
            };
            self.scratch.locations[position] = Location { first: first.cast(), stride: 1 };
        }
    }

    /// The register for mask words of [`Step::Chosen`](super::block_code::Step::Chosen): the last one, after those for Booleans
    /// and for the validity of each value.
    fn chosen_register(&self) -> usize {
        self.code.registers.count(Class::Bool) + self.program.instructions().len()
    }

    /// The location of a place.
    pub fn locate(&self, place: Place) -> Location {
        let register = match place {
            Place::None => return Location::NONE,
            Place::Numbers(position) => return self.scratch.locations[position],
            Place::Words(register) => register,
            Place::Chosen => self.chosen_register(),
        };
        let first = self.scratch.words.as_ptr().cast_mut().wrapping_add(register * self.words());
        Location { first: first.cast(), stride: 0 }
    }

    /// Computes the mask words of rows in which a Boolean is valid and true.
    pub fn choose(&self, value: Value, words: usize) {
        let start = self.chosen_register() * self.words();
        for word in 0..words {
            self.scratch.words[start + word].set(self.true_word(value, word));
        }
    }

    /// The location of a number.
    pub fn location(&self, value: Value) -> Location {
        self.scratch.locations[value.position()]
    }

    /// Sets the location of the number of an output in the current block.
    pub fn set_location(&mut self, position: usize, location: Location) {
        self.scratch.locations[position] = location;
    }

    /// The position of the first mask word of a Boolean. Numbers have none.
    fn bool_start(&self, position: usize) -> usize {
        match self.code.registers.slots[position] {
            Slot::Register(register) => register * self.words(),
            _ => 0,
        }
    }

    /// The mask words of a Boolean.
    pub fn bool_words(&self, position: usize) -> &[Cell<u64>] {
        &self.scratch.words[self.bool_start(position)..][..self.words()]
    }

    /// The position of the first mask word of a value's validity; `None` if it is never null, or the validity is not
    /// computed.
    fn validity_start(&self, value: Value) -> Option<usize> {
        let computed = computes_validity(self.program, value);
        computed.then(|| (self.code.registers.count(Class::Bool) + value.position()) * self.words())
    }

    /// Whether the validity of a value is computed: it may be null, and the program is not strict.
    pub fn computes_validity_of(&self, value: Value) -> bool {
        self.validity_start(value).is_some()
    }

    /// A mask word of a Boolean.
    pub fn bool_word(&self, value: Value, word: usize) -> u64 {
        self.scratch.words[self.bool_start(value.position()) + word].get()
    }

    /// A mask word of a value's validity.
    pub fn validity_word(&self, value: Value, word: usize) -> u64 {
        self.validity_start(value).map_or(!0, |start| self.scratch.words[start + word].get())
    }

    /// The mask word of rows in which a Boolean is valid and true.
    pub fn true_word(&self, value: Value, word: usize) -> u64 {
        self.bool_word(value, word) & self.validity_word(value, word)
    }

    /// Computes the mask words of a Boolean.
    pub fn write_bools(&self, value: Value, words: usize, word: impl Fn(&Self, usize) -> u64) {
        let start = self.bool_start(value.position());
        for index in 0..words {
            self.scratch.words[start + index].set(word(self, index));
        }
    }

    /// Computes the mask words of a value's validity, unless it is never null.
    pub fn write_validity(&self, value: Value, words: usize, word: impl Fn(&Self, usize) -> u64) {
        if let Some(start) = self.validity_start(value) {
            for index in 0..words {
                self.scratch.words[start + index].set(word(self, index));
            }
        }
    }

    /// Computes the validity of a value that is null where an operand is.
    pub fn propagate_nulls(&self, value: Value, words: usize, x: Value, y: Value) {
        let Some(target) = self.validity_start(value) else { return };
        let operands = (self.validity_start(x), self.validity_start(y));
        let all = |start: usize| &self.scratch.words[start..][..words];
        for (index, word) in all(target).iter().enumerate() {
            word.set(match operands {
                (Some(x), Some(y)) => all(x)[index].get() & all(y)[index].get(),
                (Some(one), None) | (None, Some(one)) => all(one)[index].get(),
                (None, None) => !0,
            });
        }
    }
}

/// The address of the first number of an array of numbers of this size.
fn first_number(array: &ArrayRef, width: usize) -> *const u8 {
    // The common types, without the allocation of array data.
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().values().as_ptr().cast(),
        DataType::Float32 => array.as_primitive::<Float32Type>().values().as_ptr().cast(),
        DataType::Int64 => array.as_primitive::<Int64Type>().values().as_ptr().cast(),
        DataType::Int32 => array.as_primitive::<Int32Type>().values().as_ptr().cast(),
        _ => match array.to_data().buffers() {
            [numbers] => numbers.as_ptr().wrapping_add(array.offset() * width),
            _ => std::ptr::null(),
        },
    }
}

/// Pads numbers to whole mask words with copies of the last one, so that padding rows take no slow path that it does not take.
///
/// # Safety
/// `numbers` must be readable for `rows` numbers, at least one, and writable up to the end of the last word.
unsafe fn pad<T: Copy>(numbers: *mut T, rows: usize) {
    // SAFETY: the caller guarantees it.
    unsafe {
        let last = numbers.add(rows - 1).read();
        (rows..rows.next_multiple_of(WORD)).for_each(|row| numbers.add(row).write(last));
    }
}

/// Stores [`MAX_LANES`] copies of a number.
///
/// # Safety
/// `to` must be writable for the copies, and aligned.
unsafe fn store_constant(constant: Scalar, to: *mut u8) {
    for lane in 0..MAX_LANES {
        // SAFETY: the caller guarantees that the memory is writable.
        unsafe {
            match Class::of(constant.scalar_type()) {
                Class::Wide => to.cast::<i64>().add(lane).write(constant.bits()),
                _ => to.cast::<i32>().add(lane).write(constant.bits() as i32),
            }
        }
    }
}
