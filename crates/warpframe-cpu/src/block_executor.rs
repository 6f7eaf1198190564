//! The block executor: executes a program on blocks of rows, instruction by instruction. The registers of a block fit in
//! the L1 cache; the instructions that define outputs write to the arrays of the outputs.

use std::cell::RefCell;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_data::ArrayData;
use warpframe_ir::instruction::{Comparison, Instruction, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::{Scalar, ScalarType, Trap};

use super::block::{CacheLine, Location, MAX_LANES, WORD};
use super::dispatch::Task;
use super::input_conversion::{Loader, copy_bits};
use super::instruction_set::InstructionSet;
use super::integers;
use super::lanes::{Lanes, SimdElement};
use super::math::Divisor;
use super::ops::{BinaryCode, BinaryLoop, UnaryCode, UnaryLoop, dispatch_binary, dispatch_unary};
use super::output_buffer::OutputBuffer;
use super::predicates::{Equal, SameBits, compare, in_table, is_nan, is_nonzero};
use super::register_allocation::{Class, RegisterAllocation, Slot};

/// The bytes of all registers of a block: most of an L1 data cache of 32 KiB.
const REGISTER_BYTES: usize = 24 * 1024;

/// The compiled form of a program.
#[derive(Debug)]
pub(super) struct BlockCode {
    pub registers: RegisterAllocation,
    /// The loader of each input.
    pub loaders: Vec<Loader>,
}

/// One evaluation of a program.
pub(super) struct Execution<'a> {
    program: &'a Program,
    code: &'a BlockCode,
    inputs: &'a [ArrayRef],
    /// The address of the first number of each input that is read in place; null for others.
    in_place: Vec<*const u8>,
    rows: usize,
    /// Rows in a block, a multiple of [`WORD`].
    block_rows: usize,
    /// Whether the validity of values is computed. If not, the program is strict, and the caller merges the validity of
    /// the inputs.
    computes_validity: bool,
    scratch: &'a mut Scratch,
    /// For each input the offset of its block in the scratch memory, in bytes.
    input_offsets: Vec<usize>,
    outputs: &'a mut [OutputBuffer],
}

/// The memory of a block, reused by all evaluations of a thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// A block for each register for numbers, a block for each input, and [`MAX_LANES`] copies of each constant.
    numbers: Vec<CacheLine>,
    /// The mask words of each register for Booleans, then those of the validity of each value.
    words: Vec<u64>,
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

impl<'a> Execution<'a> {
    /// An evaluation of a program on inputs that satisfy `Program::check_inputs`, with an [`OutputBuffer`] for the rows of each
    /// output.
    pub(super) fn new(
        program: &'a Program,
        code: &'a BlockCode,
        inputs: &'a [ArrayRef],
        rows: usize,
        scratch: &'a mut Scratch,
        outputs: &'a mut [OutputBuffer],
    ) -> Self {
        let registers = &code.registers;
        let row_bytes = 8 * registers.count(Class::Wide) + 4 * registers.count(Class::Narrow);
        let block_rows = REGISTER_BYTES / row_bytes.max(4);
        let block_rows =
            (block_rows / WORD * WORD).clamp(WORD, 1024).min(rows.next_multiple_of(WORD).max(WORD));
        let in_place = inputs.iter().zip(&code.loaders).map(|(array, loader)| match loader {
            Loader::InPlace(width) => first_number(&array.to_data(), *width),
            Loader::Converted(..) | Loader::Bits => std::ptr::null(),
        });
        Self {
            program,
            code,
            inputs,
            in_place: in_place.collect(),
            rows,
            block_rows,
            computes_validity: !program.is_strict(),
            scratch,
            input_offsets: Vec::with_capacity(inputs.len()),
            outputs,
        }
    }

    /// The mask words of a block.
    fn words(&self) -> usize {
        self.block_rows / WORD
    }

    /// Allocates the scratch memory, and sets the locations of registers and constants.
    fn prepare(&mut self) {
        let RegisterAllocation { slots, constants, .. } = &self.code.registers;
        let registers = &self.code.registers;
        let instructions = self.program.instructions();
        // Offsets in bytes, multiples of 64: `block_rows` is, and so are `MAX_LANES` numbers of 4 bytes.
        let wide_registers = registers.count(Class::Wide) * self.block_rows * 8;
        let mut end = wide_registers + registers.count(Class::Narrow) * self.block_rows * 4;
        self.input_offsets.clear();
        for loader in &self.code.loaders {
            self.input_offsets.push(end);
            end += self.block_rows * loader.width();
        }
        let first_constant = end;
        end += constants.len() * MAX_LANES * 8;
        let word_count = (registers.count(Class::Bool) + instructions.len()) * self.words();
        let Scratch { numbers, words, locations } = &mut *self.scratch;
        // Contents of earlier evaluations are overwritten before they are read.
        let lines = end.div_ceil(size_of::<CacheLine>());
        if numbers.len() < lines {
            numbers.resize(lines, CacheLine::ZERO);
        }
        if words.len() < word_count {
            words.resize(word_count, 0);
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

    /// Loads the inputs of a block of `rows` rows from `row` on. A full block of numbers of the program's own type is read in
    /// place; other inputs are copied or converted to scratch memory, and padded to a full block.
    fn load_inputs(&mut self, row: usize, rows: usize) {
        for (position, instruction) in self.program.instructions().iter().enumerate() {
            let Instruction::Input(input) = *instruction else { continue };
            let input = input as usize;
            let array = &self.inputs[input];
            if self.computes_validity && self.program.may_be_null(Value::at(position)) {
                let validity = self.validity_words(position);
                match array.nulls() {
                    Some(nulls) => copy_bits(nulls.inner(), row, rows, validity),
                    None => validity.fill(!0),
                }
            }
            let width = match self.code.loaders[input] {
                Loader::Bits => {
                    copy_bits(array.as_boolean().values(), row, rows, self.bool_words(position));
                    continue;
                }
                Loader::InPlace(width) if rows == self.block_rows => {
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
                // Padding rows repeat the last row, so that they take no slow path that it does not take.
                for padding in rows..self.block_rows {
                    let last = block.add((rows - 1) * width);
                    std::ptr::copy_nonoverlapping(last, block.add(padding * width), width);
                }
                block
            };
            self.scratch.locations[position] = Location { first: first.cast(), stride: 1 };
        }
    }

    #[inline(always)]
    fn location(&self, value: Value) -> Location {
        self.scratch.locations[value.position()]
    }

    /// For a division by a constant that [`Divisor`] supports, the divisor.
    fn divisor<E: SimdElement>(&self, op: Binary, y: Value) -> Option<Divisor<E>> {
        match self.program.definition(y) {
            Instruction::Const(constant) if op == Binary::Divide => {
                Divisor::new(E::from_f64(constant.as_float()?))
            }
            _ => None,
        }
    }

    /// The mask words of a Boolean.
    fn bool_words(&mut self, position: usize) -> &mut [u64] {
        let words = self.words();
        let register = match self.code.registers.slots[position] {
            Slot::Register(register) => register,
            _ => 0,
        };
        &mut self.scratch.words[register * words..][..words]
    }

    /// The mask words of a value's validity.
    fn validity_words(&mut self, position: usize) -> &mut [u64] {
        let words = self.words();
        let start = (self.code.registers.count(Class::Bool) + position) * words;
        &mut self.scratch.words[start..][..words]
    }

    /// A mask word of a Boolean.
    #[inline(always)]
    fn bool_word(&self, value: Value, word: usize) -> u64 {
        match self.code.registers.slots[value.position()] {
            Slot::Register(register) => self.scratch.words[register * self.words() + word],
            _ => 0,
        }
    }

    /// A mask word of a value's validity.
    #[inline(always)]
    fn validity_word(&self, value: Value, word: usize) -> u64 {
        if !self.computes_validity || !self.program.may_be_null(value) {
            return !0;
        }
        let first = self.code.registers.count(Class::Bool);
        self.scratch.words[(first + value.position()) * self.words() + word]
    }

    /// The mask word of rows in which a Boolean is valid and true.
    #[inline(always)]
    fn true_word(&self, value: Value, word: usize) -> u64 {
        self.bool_word(value, word) & self.validity_word(value, word)
    }

    /// Computes the mask words of a Boolean.
    // Inlined, as all that takes a closure over registers: in a function without the CPU's instructions every one of them
    // would be a call.
    #[inline(always)]
    fn write_bools(&mut self, position: usize, words: usize, word: impl Fn(&Self, usize) -> u64) {
        for index in 0..words {
            let bits = word(self, index);
            self.bool_words(position)[index] = bits;
        }
    }

    /// Computes the mask words of a value's validity, unless it is never null.
    #[inline(always)]
    fn write_validity(&mut self, position: usize, words: usize, word: impl Fn(&Self, usize) -> u64) {
        if self.computes_validity && self.program.may_be_null(Value::at(position)) {
            for index in 0..words {
                let bits = word(self, index);
                self.validity_words(position)[index] = bits;
            }
        }
    }

    /// The validity of a value that is null where an operand is.
    #[inline(always)]
    fn propagate_nulls(&mut self, position: usize, words: usize) {
        let instruction = self.program.instructions()[position];
        self.write_validity(position, words, |this, word| {
            instruction.operands().fold(!0, |valid, operand| valid & this.validity_word(operand, word))
        });
    }

    /// Stores the outputs of a block, of the rows that the predicate selects.
    fn store_outputs(&mut self, row: usize, rows: usize) {
        let words = rows.div_ceil(WORD);
        for (position, output) in self.program.outputs().iter().enumerate() {
            let value = output.value;
            let is_bool = self.program.scalar_type(value) == ScalarType::Bool;
            let appends_validity = self.computes_validity && self.program.may_be_null(value);
            let Location { first, stride } = self.location(value);
            let in_place = self.code.registers.slots[value.position()] == Slot::Output(position);
            for word in 0..words {
                let selected = self.selected_word(word, rows);
                if is_bool {
                    let bits = self.bool_word(value, word);
                    self.outputs[position].append_bools(bits, selected);
                } else if !in_place {
                    let width = match Class::of(self.program.scalar_type(value)) {
                        Class::Wide => 8,
                        _ => 4,
                    };
                    let from = first.cast::<u8>().wrapping_add(word * WORD * stride * width);
                    // SAFETY: the location is readable for all rows of the word, and the buffer has memory for all rows.
                    unsafe { self.outputs[position].append_numbers(from.cast(), stride, selected) };
                }
                if appends_validity {
                    let bits = self.validity_word(value, word);
                    self.outputs[position].append_validity(bits, selected);
                }
            }
        }
        debug_assert!(row.is_multiple_of(WORD));
    }

    /// The mask word of the rows of a block of `rows` rows that are in the result.
    fn selected_word(&self, word: usize, rows: usize) -> u64 {
        self.program.predicate().map_or(!0, |predicate| self.true_word(predicate, word))
            & in_range(word, rows)
    }

    /// Executes the instruction at a position on the current block.
    ///
    /// # Safety
    /// The CPU must have the instruction set.
    #[inline(always)]
    unsafe fn execute<S: InstructionSet>(&mut self, position: usize, rows: usize) -> Result<(), Trap> {
        let words = rows.div_ceil(WORD);
        let padded = words * WORD;
        let value = Value::at(position);
        let target = self.location(value);
        let scalar_type = self.program.scalar_type(value);
        match self.program.instructions()[position] {
            Instruction::Input(_) => return Ok(()),
            Instruction::Const(Scalar::Bool(constant)) => {
                self.write_bools(position, words, |_, _| if constant { !0 } else { 0 });
            }
            Instruction::Const(_) => {}
            Instruction::Null(_) => {
                if scalar_type == ScalarType::Bool {
                    self.write_bools(position, words, |_, _| 0);
                }
                self.write_validity(position, words, |_, _| 0);
            }
            Instruction::Unary(op, x) => {
                let x = self.location(x);
                // SAFETY: the locations are readable, and the target writable, for all rows of the block.
                unsafe { unary::<S>(op, scalar_type, x, target, padded) };
                self.propagate_nulls(position, words);
            }
            Instruction::Binary(op, x, y) => {
                // SAFETY: as above.
                unsafe { self.binary::<S>(op, scalar_type, x, y, target, padded) };
                self.propagate_nulls(position, words);
            }
            Instruction::Compare(comparison, x, y) => {
                let operand_type = self.program.scalar_type(x);
                if operand_type == ScalarType::Bool {
                    self.write_bools(position, words, |this, word| {
                        let (x, y) = (this.bool_word(x, word), this.bool_word(y, word));
                        match comparison {
                            Comparison::Lt | Comparison::TotalLt => !x & y,
                            Comparison::Eq | Comparison::BitEq => !(x ^ y),
                        }
                    });
                } else {
                    let (x, y) = (self.location(x), self.location(y));
                    let bits = &mut self.bool_words(position)[..words];
                    // SAFETY: as above.
                    unsafe { compare::<S>(comparison, operand_type, x, y, bits) };
                }
                self.propagate_nulls(position, words);
            }
            Instruction::Cast(to, x) => {
                // SAFETY: as above.
                unsafe { self.cast::<S>(to, x, position, padded) };
                self.propagate_nulls(position, words);
            }
            Instruction::InTable(table, x) => {
                let (operand_type, location) = (self.program.scalar_type(x), self.location(x));
                let table = self.program.tables()[table as usize].bits();
                if operand_type == ScalarType::Bool {
                    let [holds_false, holds_true] = [0, 1].map(|bits| table.contains(&bits));
                    self.write_bools(position, words, |this, word| {
                        let x = this.bool_word(x, word);
                        (if holds_true { x } else { 0 }) | (if holds_false { !x } else { 0 })
                    });
                } else {
                    let bits = &mut self.bool_words(position)[..words];
                    // SAFETY: as above.
                    unsafe {
                        match Class::of(operand_type) {
                            Class::Wide => in_table::<S::F64>(location, table, bits),
                            _ => in_table::<S::F32>(location, table, bits),
                        }
                    }
                }
                self.propagate_nulls(position, words);
            }
            Instruction::IsNan(x) => {
                let (wide, x) = (Class::of(self.program.scalar_type(x)) == Class::Wide, self.location(x));
                let bits = &mut self.bool_words(position)[..words];
                // SAFETY: as above.
                unsafe { if wide { is_nan::<S::F64>(x, bits) } else { is_nan::<S::F32>(x, bits) } };
                self.propagate_nulls(position, words);
            }
            Instruction::IsNull(x) => {
                self.write_bools(position, words, |this, word| !this.validity_word(x, word))
            }
            Instruction::Not(x) => {
                self.write_bools(position, words, |this, word| !this.bool_word(x, word));
                self.propagate_nulls(position, words);
            }
            Instruction::And(x, y) => {
                self.write_validity(position, words, |this, word| {
                    let false_x = !this.bool_word(x, word) & this.validity_word(x, word);
                    let false_y = !this.bool_word(y, word) & this.validity_word(y, word);
                    false_x | false_y | (this.true_word(x, word) & this.true_word(y, word))
                });
                self.write_bools(position, words, |this, word| {
                    this.true_word(x, word) & this.true_word(y, word)
                });
            }
            Instruction::Or(x, y) => {
                self.write_validity(position, words, |this, word| {
                    let both_false = !this.bool_word(x, word) & !this.bool_word(y, word);
                    let both_valid = this.validity_word(x, word) & this.validity_word(y, word);
                    this.true_word(x, word) | this.true_word(y, word) | (both_false & both_valid)
                });
                self.write_bools(position, words, |this, word| {
                    this.true_word(x, word) | this.true_word(y, word)
                });
            }
            Instruction::Select(condition, yes, no) => {
                self.write_validity(position, words, |this, word| {
                    let chosen = this.true_word(condition, word);
                    (this.validity_word(yes, word) & chosen) | (this.validity_word(no, word) & !chosen)
                });
                // SAFETY: as above.
                unsafe {
                    match Class::of(scalar_type) {
                        Class::Wide => self.select::<S::F64>(condition, yes, no, target, words),
                        Class::Narrow => self.select::<S::F32>(condition, yes, no, target, words),
                        Class::Bool => self.write_bools(position, words, |this, word| {
                            let chosen = this.true_word(condition, word);
                            (this.bool_word(yes, word) & chosen) | (this.bool_word(no, word) & !chosen)
                        }),
                    }
                }
            }
            Instruction::TrapIf(trap, condition, _) => {
                for word in 0..words {
                    // The last word may have padding rows.
                    if self.true_word(condition, word) & in_range(word, rows) != 0 {
                        return Err(trap);
                    }
                }
            }
        }
        Ok(())
    }

    /// Computes a binary op for each row.
    ///
    /// # Safety
    /// The CPU must have the instruction set. The operands are readable, and the target writable, for `padded` rows.
    #[inline(always)]
    unsafe fn binary<S: InstructionSet>(
        &mut self,
        op: Binary,
        scalar_type: ScalarType,
        x: Value,
        y: Value,
        target: Location,
        padded: usize,
    ) {
        let (a, b) = (self.location(x), self.location(y));
        macro_rules! floats {
            ($type:ident, $register:ident) => {{
                let over = BlockLoop { x: a.of::<$type>(), y: b.of(), target: target.of().first, padded };
                match self.divisor::<$type>(op, y) {
                    Some(divisor) => over.divide::<S::$register>(divisor),
                    None => dispatch_binary::<S::$register>(op, over),
                }
            }};
        }
        // SAFETY: the caller has the same obligations.
        unsafe {
            match scalar_type {
                ScalarType::F64 => floats!(f64, F64),
                ScalarType::F32 => floats!(f32, F32),
                ScalarType::I64 => integers::binary_i64(op, a.of(), b.of(), target.of().first, padded),
                ScalarType::I32 => integers::binary_i32(op, a.of(), b.of(), target.of().first, padded),
                ScalarType::Bool => {}
            }
        }
    }

    /// Converts a value for each row.
    ///
    /// # Safety
    /// As [`binary`](Self::binary).
    #[inline(always)]
    unsafe fn cast<S: InstructionSet>(&mut self, to: ScalarType, x: Value, position: usize, padded: usize) {
        let (from, location, words) = (self.program.scalar_type(x), self.location(x), padded / WORD);
        let target = self.location(Value::at(position));
        // SAFETY: the caller has the same obligations.
        unsafe {
            match (from, to) {
                (ScalarType::Bool, ScalarType::Bool) => {
                    self.write_bools(position, words, |this, word| this.bool_word(x, word));
                }
                (ScalarType::Bool, _) => {
                    let one = Scalar::Bool(true).cast(to).bits();
                    match Class::of(to) {
                        Class::Wide => self.select_constants::<S::F64>(x, one, target, words),
                        _ => self.select_constants::<S::F32>(x, one, target, words),
                    }
                }
                (_, ScalarType::Bool) => {
                    let bits = &mut self.bool_words(position)[..words];
                    match from {
                        ScalarType::F64 => is_nonzero::<S::F64, Equal>(location, bits),
                        ScalarType::F32 => is_nonzero::<S::F32, Equal>(location, bits),
                        ScalarType::I64 => is_nonzero::<S::F64, SameBits>(location, bits),
                        _ => is_nonzero::<S::F32, SameBits>(location, bits),
                    }
                }
                _ => integers::cast(from, to, location, target.first, padded),
            }
        }
    }

    /// Writes the number of `yes` where the condition is true, else that of `no`.
    ///
    /// # Safety
    /// As [`binary`](Self::binary), for the rows of the words.
    #[inline(always)]
    unsafe fn select<L: Lanes>(
        &self,
        condition: Value,
        yes: Value,
        no: Value,
        target: Location,
        words: usize,
    ) {
        let (yes, no) = (self.location(yes).of::<L::Element>(), self.location(no).of::<L::Element>());
        for word in 0..words {
            let chosen = self.true_word(condition, word);
            for lane in (0..WORD).step_by(L::COUNT) {
                let row = word * WORD + lane;
                // SAFETY: the caller guarantees that the locations are readable, and the target writable.
                unsafe {
                    let mask = L::mask_from_bits(chosen >> lane);
                    L::select(mask, yes.load(row), no.load(row))
                        .store(target.of::<L::Element>().first.add(row));
                }
            }
        }
    }

    /// Writes the number with the bits `one` where a Boolean is true, else 0.
    ///
    /// # Safety
    /// As [`select`](Self::select).
    #[inline(always)]
    unsafe fn select_constants<L: Lanes>(&self, x: Value, one: i64, target: Location, words: usize) {
        let (zero, one) = (L::splat(L::Element::ZERO), L::splat(L::Element::from_integer_bits(one)));
        for word in 0..words {
            let bits = self.bool_word(x, word);
            for lane in (0..WORD).step_by(L::COUNT) {
                let mask = L::mask_from_bits(bits >> lane);
                // SAFETY: the caller guarantees that the target is writable.
                unsafe {
                    L::select(mask, one, zero).store(target.of::<L::Element>().first.add(word * WORD + lane))
                };
            }
        }
    }
}

impl Task for Execution<'_> {
    type Output = Result<usize, Trap>;

    /// Evaluates all rows, and returns the number of those that are in the result.
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(mut self) -> Result<usize, Trap> {
        self.prepare();
        let (mut row, mut selected) = (0, 0);
        while row < self.rows {
            let rows = self.block_rows.min(self.rows - row);
            self.load_inputs(row, rows);
            for (position, slot) in self.code.registers.slots.iter().enumerate() {
                if let Slot::Output(output) = *slot {
                    let first = self.outputs[output].address(row);
                    self.scratch.locations[position] = Location { first, stride: 1 };
                }
            }
            for position in 0..self.program.instructions().len() {
                // SAFETY: the caller has the same obligation.
                unsafe { self.execute::<S>(position, rows)? };
            }
            self.store_outputs(row, rows);
            selected += match self.program.predicate() {
                None => rows,
                Some(_) => {
                    let words = 0..rows.div_ceil(WORD);
                    words.map(|word| self.selected_word(word, rows).count_ones() as usize).sum()
                }
            };
            row += rows;
        }
        Ok(selected)
    }
}

/// The bits of a mask word that belong to the rows of a block of `rows` rows.
fn in_range(word: usize, rows: usize) -> u64 {
    let remaining = rows - word * WORD;
    if remaining >= WORD { !0 } else { (1 << remaining) - 1 }
}

/// The address of the first number of an array of numbers of this size.
fn first_number(data: &ArrayData, width: usize) -> *const u8 {
    match data.buffers() {
        [numbers] => numbers.as_ptr().wrapping_add(data.offset() * width),
        _ => std::ptr::null(),
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

/// Computes a unary op for each row.
///
/// # Safety
/// The CPU must have the instruction set. The operand is readable, and the target writable, for `padded` rows.
#[inline(always)]
unsafe fn unary<S: InstructionSet>(
    op: Unary,
    scalar_type: ScalarType,
    x: Location,
    target: Location,
    padded: usize,
) {
    macro_rules! floats {
        ($register:ident) => {{
            let over = BlockLoop { x: x.of(), y: Location::NONE.of(), target: target.of().first, padded };
            dispatch_unary::<S::$register>(op, over)
        }};
    }
    // SAFETY: the caller has the same obligations.
    unsafe {
        match scalar_type {
            ScalarType::F64 => floats!(F64),
            ScalarType::F32 => floats!(F32),
            ScalarType::I64 => integers::unary_i64(op, x.of(), target.of().first, padded),
            ScalarType::I32 => integers::unary_i32(op, x.of(), target.of().first, padded),
            ScalarType::Bool => {}
        }
    }
}

/// The loop of an op over a block. `x`, `y` (for binary ops) and `target` must be valid for `padded` rows.
struct BlockLoop<E> {
    x: Location<E>,
    y: Location<E>,
    target: *mut E,
    padded: usize,
}

impl<E: SimdElement> BlockLoop<E> {
    #[inline(always)]
    fn divide<L: Lanes<Element = E>>(self, divisor: Divisor<E>) {
        for row in (0..self.padded).step_by(L::COUNT) {
            // SAFETY: the locations are readable, and the target writable, for `padded` rows, a multiple of `COUNT`.
            unsafe { divisor.divide::<L>(self.x.load(row)).store(self.target.add(row)) };
        }
    }
}

impl<E: SimdElement, L: Lanes<Element = E>> UnaryLoop<L> for BlockLoop<E> {
    #[inline(always)]
    fn run<C: UnaryCode<L>>(self) {
        for row in (0..self.padded).step_by(L::COUNT) {
            // SAFETY: the locations are readable, and the target writable, for `padded` rows, a multiple of `COUNT`.
            unsafe { C::apply(self.x.load(row)).store(self.target.add(row)) };
        }
    }
}

impl<E: SimdElement, L: Lanes<Element = E>> BinaryLoop<L> for BlockLoop<E> {
    #[inline(always)]
    fn run<C: BinaryCode<L>>(self) {
        for row in (0..self.padded).step_by(L::COUNT) {
            // SAFETY: as above.
            unsafe { C::apply(self.x.load(row), self.y.load(row)).store(self.target.add(row)) };
        }
    }
}
