//! The block executor: executes a program on blocks of rows, instruction by instruction. The registers of a block fit in
//! the L1 cache; the instructions that define outputs write to the arrays of the outputs. The loops over numbers are the tasks
//! of `block_tasks`; Booleans and validity are mask words.

use std::cell::RefCell;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use warpframe_ir::instruction::{Comparison, Instruction, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::{Scalar, ScalarType, Trap};

use super::block::{CacheLine, Location, MAX_LANES, WORD};
use super::block_tasks::{
    BinaryOp, Compare, Division, InTable, IntegerBinaryOp, IntegerCast, IntegerUnaryOp, IsNan, IsNonzero,
    Select, UnaryOp, ZeroOrOne,
};
use super::dispatch::{DetectedPath, Task, run_on};
use super::input_conversion::{Loader, copy_bits};
use super::lanes::SimdElement;
use super::math::Divisor;
use super::output_buffer::OutputBuffer;
use super::register_allocation::{Class, RegisterAllocation, Slot};

/// The bytes of all registers and outputs of a block: most of an L1 data cache of 32 KiB.
const REGISTER_BYTES: usize = 24 * 1024;

/// The largest number of rows in a block.
const MAX_BLOCK_ROWS: usize = 1024;

/// The compiled form of a program.
#[derive(Debug)]
pub(super) struct BlockCode {
    pub registers: RegisterAllocation,
    /// The loader of each input.
    pub loaders: Vec<Loader>,
}

/// One evaluation of a program.
pub(super) struct Execution<'a> {
    path: DetectedPath,
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
    pub fn new(
        path: DetectedPath,
        (program, code): (&'a Program, &'a BlockCode),
        inputs: &'a [ArrayRef],
        rows: usize,
        scratch: &'a mut Scratch,
        outputs: &'a mut [OutputBuffer],
    ) -> Self {
        let registers = &code.registers;
        let output_bytes =
            program.outputs().iter().map(|output| Class::of(program.scalar_type(output.value)).width());
        let row_bytes = 8 * registers.count(Class::Wide) + 4 * registers.count(Class::Narrow);
        let row_bytes = row_bytes + output_bytes.sum::<usize>();
        let block_rows = REGISTER_BYTES / row_bytes.max(4);
        let block_rows =
            (block_rows / WORD * WORD).clamp(WORD, MAX_BLOCK_ROWS).min(rows.next_multiple_of(WORD).max(WORD));
        let in_place = inputs.iter().zip(&code.loaders).map(|(array, loader)| match loader {
            Loader::InPlace(width) => first_number(array, *width),
            Loader::Converted(..) | Loader::Bits => std::ptr::null(),
        });
        Self {
            path,
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
            if let Some(start) = self.validity_start(Value::at(position)) {
                let words = self.words();
                let validity = &mut self.scratch.words[start..][..words];
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

    /// The position of the first mask word of a Boolean. Numbers have none.
    fn bool_start(&self, position: usize) -> usize {
        match self.code.registers.slots[position] {
            Slot::Register(register) => register * self.words(),
            _ => 0,
        }
    }

    /// The mask words of a Boolean.
    fn bool_words(&mut self, position: usize) -> &mut [u64] {
        let (start, words) = (self.bool_start(position), self.words());
        &mut self.scratch.words[start..][..words]
    }

    /// The position of the first mask word of a value's validity; `None` if it is never null, or the validity is not
    /// computed.
    fn validity_start(&self, value: Value) -> Option<usize> {
        let nullable = self.computes_validity && self.program.may_be_null(value);
        nullable.then(|| (self.code.registers.count(Class::Bool) + value.position()) * self.words())
    }

    /// A mask word of a Boolean.
    fn bool_word(&self, value: Value, word: usize) -> u64 {
        self.scratch.words[self.bool_start(value.position()) + word]
    }

    /// A mask word of a value's validity.
    fn validity_word(&self, value: Value, word: usize) -> u64 {
        self.validity_start(value).map_or(!0, |start| self.scratch.words[start + word])
    }

    /// The mask word of rows in which a Boolean is valid and true.
    fn true_word(&self, value: Value, word: usize) -> u64 {
        self.bool_word(value, word) & self.validity_word(value, word)
    }

    /// Computes the mask words of a Boolean.
    fn write_bools(&mut self, value: Value, words: usize, word: impl Fn(&Self, usize) -> u64) {
        let start = self.bool_start(value.position());
        for index in 0..words {
            self.scratch.words[start + index] = word(self, index);
        }
    }

    /// Computes the mask words of a value's validity, unless it is never null.
    fn write_validity(&mut self, value: Value, words: usize, word: impl Fn(&Self, usize) -> u64) {
        if let Some(start) = self.validity_start(value) {
            for index in 0..words {
                self.scratch.words[start + index] = word(self, index);
            }
        }
    }

    /// Computes the validity of a value that is null where an operand is.
    fn propagate_nulls(&mut self, value: Value, words: usize, x: Value, y: Value) {
        let Some(target) = self.validity_start(value) else { return };
        let operands = (self.validity_start(x), self.validity_start(y));
        let all = &mut self.scratch.words;
        match operands {
            (Some(x), Some(y)) if x != y => {
                for word in 0..words {
                    all[target + word] = all[x + word] & all[y + word];
                }
            }
            (Some(one), _) | (None, Some(one)) => all.copy_within(one..one + words, target),
            (None, None) => all[target..target + words].fill(!0),
        }
    }

    /// Stores the outputs of a block, of the rows that the predicate selects, and returns their number.
    fn store_outputs(&mut self, rows: usize) -> usize {
        let words = rows.div_ceil(WORD);
        let mut selected_words = [0; MAX_BLOCK_ROWS / WORD];
        for (word, selected) in selected_words[..words].iter_mut().enumerate() {
            let predicate = self.program.predicate();
            *selected =
                predicate.map_or(!0, |predicate| self.true_word(predicate, word)) & in_range(word, rows);
        }
        for (position, output) in self.program.outputs().iter().enumerate() {
            let value = output.value;
            let scalar_type = self.program.scalar_type(value);
            let Location { first, stride } = self.location(value);
            let in_place = self.code.registers.slots[value.position()] == Slot::Output(position);
            let validity = self.validity_start(value);
            for (word, &selected) in selected_words[..words].iter().enumerate() {
                if scalar_type == ScalarType::Bool {
                    let bits = self.bool_word(value, word);
                    self.outputs[position].append_bools(bits, selected);
                } else if !in_place {
                    let width = Class::of(scalar_type).width();
                    let from = first.cast::<u8>().wrapping_add(word * WORD * stride * width);
                    // SAFETY: the location is readable for all rows of the word, and the buffer has memory for all rows.
                    unsafe { self.outputs[position].append_numbers(from.cast(), stride, selected) };
                }
                if let Some(start) = validity {
                    self.outputs[position].append_validity(self.scratch.words[start + word], selected);
                }
            }
        }
        selected_words[..words].iter().map(|selected| selected.count_ones() as usize).sum()
    }

    /// Executes the instruction at a position on the current block.
    ///
    /// # Errors
    /// A row traps.
    fn execute(&mut self, position: usize, rows: usize) -> Result<(), Trap> {
        let words = rows.div_ceil(WORD);
        let value = Value::at(position);
        // Of numbers, the locations of operands are readable, and the target is writable, for all rows of the block: what the
        // tasks rely on.
        match self.program.instructions()[position] {
            Instruction::Input(_) => {}
            Instruction::Const(constant) => {
                if let Scalar::Bool(constant) = constant {
                    self.bool_words(position).fill(if constant { !0 } else { 0 });
                }
            }
            Instruction::Null(scalar_type) => {
                if scalar_type == ScalarType::Bool {
                    self.bool_words(position).fill(0);
                }
                self.write_validity(value, words, |_, _| 0);
            }
            Instruction::Unary(op, x) => {
                self.unary(op, x, value, words);
                self.propagate_nulls(value, words, x, x);
            }
            Instruction::Binary(op, x, y) => {
                self.binary(op, [x, y], value, words);
                self.propagate_nulls(value, words, x, y);
            }
            Instruction::Compare(comparison, x, y) => {
                self.compare(comparison, [x, y], value, words);
                self.propagate_nulls(value, words, x, y);
            }
            Instruction::Cast(_, x) => {
                self.cast(x, value, words);
                self.propagate_nulls(value, words, x, x);
            }
            Instruction::InTable(table, x) => {
                self.in_table(self.program.tables()[table as usize].bits(), x, value, words);
                self.propagate_nulls(value, words, x, x);
            }
            Instruction::IsNan(x) => {
                let (path, wide, x_at) = (self.path, self.is_wide(x), self.location(x));
                let bits = &mut self.bool_words(position)[..words];
                match wide {
                    true => run(path, IsNan::<f64> { x: x_at.of(), bits }),
                    false => run(path, IsNan::<f32> { x: x_at.of(), bits }),
                }
                self.propagate_nulls(value, words, x, x);
            }
            Instruction::IsNull(x) => {
                self.write_bools(value, words, |this, word| !this.validity_word(x, word));
            }
            Instruction::Not(x) => {
                self.write_bools(value, words, |this, word| !this.bool_word(x, word));
                self.propagate_nulls(value, words, x, x);
            }
            Instruction::And(x, y) => {
                self.write_validity(value, words, |this, word| {
                    let false_x = !this.bool_word(x, word) & this.validity_word(x, word);
                    let false_y = !this.bool_word(y, word) & this.validity_word(y, word);
                    false_x | false_y | (this.true_word(x, word) & this.true_word(y, word))
                });
                self.write_bools(value, words, |this, word| {
                    this.true_word(x, word) & this.true_word(y, word)
                });
            }
            Instruction::Or(x, y) => {
                self.write_validity(value, words, |this, word| {
                    let both_false = !this.bool_word(x, word) & !this.bool_word(y, word);
                    let both_valid = this.validity_word(x, word) & this.validity_word(y, word);
                    this.true_word(x, word) | this.true_word(y, word) | (both_false & both_valid)
                });
                self.write_bools(value, words, |this, word| {
                    this.true_word(x, word) | this.true_word(y, word)
                });
            }
            Instruction::Select(condition, yes, no) => self.select(condition, yes, no, value, words),
            Instruction::TrapIf(trap, condition, _) => {
                // The last word may have padding rows.
                let traps = |word: &usize| self.true_word(condition, *word) & in_range(*word, rows) != 0;
                if (0..words).any(|word| traps(&word)) {
                    return Err(trap);
                }
            }
        }
        Ok(())
    }

    fn is_wide(&self, value: Value) -> bool {
        Class::of(self.program.scalar_type(value)) == Class::Wide
    }

    /// Computes a unary op of numbers.
    fn unary(&self, op: Unary, x: Value, value: Value, words: usize) {
        let (x, target, rows) = (self.location(x), self.location(value), words * WORD);
        match self.program.scalar_type(value) {
            ScalarType::F64 => {
                run(self.path, UnaryOp::<f64> { op, x: x.of(), target: target.of().first, rows })
            }
            ScalarType::F32 => {
                run(self.path, UnaryOp::<f32> { op, x: x.of(), target: target.of().first, rows })
            }
            scalar_type => run(self.path, IntegerUnaryOp { op, scalar_type, x, target, rows }),
        }
    }

    /// Computes a binary op of numbers.
    fn binary(&self, op: Binary, [x, y]: [Value; 2], value: Value, words: usize) {
        let divisor = y;
        let (x, y, target, rows) = (self.location(x), self.location(y), self.location(value), words * WORD);
        macro_rules! floats {
            ($type:ident) => {{
                let (x, y, target) = (x.of::<$type>(), y.of(), target.of().first);
                match self.divisor(op, divisor) {
                    Some(divisor) => run(self.path, Division { divisor, x, target, rows }),
                    None => run(self.path, BinaryOp { op, x, y, target, rows }),
                }
            }};
        }
        match self.program.scalar_type(value) {
            ScalarType::F64 => floats!(f64),
            ScalarType::F32 => floats!(f32),
            scalar_type => run(self.path, IntegerBinaryOp { op, scalar_type, x, y, target, rows }),
        }
    }

    /// Compares two values.
    fn compare(&mut self, comparison: Comparison, [x, y]: [Value; 2], value: Value, words: usize) {
        let scalar_type = self.program.scalar_type(x);
        if scalar_type == ScalarType::Bool {
            return self.write_bools(value, words, |this, word| {
                let (x, y) = (this.bool_word(x, word), this.bool_word(y, word));
                match comparison {
                    Comparison::Lt | Comparison::TotalLt => !x & y,
                    Comparison::Eq | Comparison::BitEq => !(x ^ y),
                }
            });
        }
        let (path, x, y) = (self.path, self.location(x), self.location(y));
        let bits = &mut self.bool_words(value.position())[..words];
        run(path, Compare { comparison, scalar_type, x, y, bits });
    }

    /// Converts a value to the type of another.
    fn cast(&mut self, x: Value, value: Value, words: usize) {
        let (from, to) = (self.program.scalar_type(x), self.program.scalar_type(value));
        let (path, location, target) = (self.path, self.location(x), self.location(value));
        match (from, to) {
            (ScalarType::Bool, ScalarType::Bool) => {
                self.write_bools(value, words, |this, word| this.bool_word(x, word));
            }
            (ScalarType::Bool, _) => {
                let one = Scalar::Bool(true).cast(to).bits();
                let start = self.bool_start(x.position());
                let bits = &self.scratch.words[start..][..words];
                match Class::of(to) {
                    Class::Wide => run(path, ZeroOrOne::<f64> { bits, one, target: target.of().first }),
                    _ => run(path, ZeroOrOne::<f32> { bits, one, target: target.of().first }),
                }
            }
            (_, ScalarType::Bool) => {
                let bits = &mut self.bool_words(value.position())[..words];
                run(path, IsNonzero { scalar_type: from, x: location, bits });
            }
            _ => run(path, IntegerCast { from, to, x: location, target, rows: words * WORD }),
        }
    }

    /// Tests whether a value's bits are in a table.
    fn in_table(&mut self, table: &[i64], x: Value, value: Value, words: usize) {
        if self.program.scalar_type(x) == ScalarType::Bool {
            let [holds_false, holds_true] = [0, 1].map(|bits| table.contains(&bits));
            return self.write_bools(value, words, |this, word| {
                let x = this.bool_word(x, word);
                (if holds_true { x } else { 0 }) | (if holds_false { !x } else { 0 })
            });
        }
        let (path, wide, x) = (self.path, self.is_wide(x), self.location(x));
        let bits = &mut self.bool_words(value.position())[..words];
        match wide {
            true => run(path, InTable::<f64> { x: x.of(), table, bits }),
            false => run(path, InTable::<f32> { x: x.of(), table, bits }),
        }
    }

    /// Selects `yes` where the condition is true, else `no`.
    fn select(&mut self, condition: Value, yes: Value, no: Value, value: Value, words: usize) {
        let mut chosen = [0; MAX_BLOCK_ROWS / WORD];
        let chosen = &mut chosen[..words];
        for (word, bits) in chosen.iter_mut().enumerate() {
            *bits = self.true_word(condition, word);
        }
        self.write_validity(value, words, |this, word| {
            let chosen = chosen[word];
            (this.validity_word(yes, word) & chosen) | (this.validity_word(no, word) & !chosen)
        });
        let class = Class::of(self.program.scalar_type(value));
        if class == Class::Bool {
            return self.write_bools(value, words, |this, word| {
                let chosen = chosen[word];
                (this.bool_word(yes, word) & chosen) | (this.bool_word(no, word) & !chosen)
            });
        }
        let (yes, no, target) = (self.location(yes), self.location(no), self.location(value));
        match class {
            Class::Wide => run(
                self.path,
                Select::<f64> { chosen, yes: yes.of(), no: no.of(), target: target.of().first },
            ),
            _ => run(
                self.path,
                Select::<f32> { chosen, yes: yes.of(), no: no.of(), target: target.of().first },
            ),
        }
    }

    /// Evaluates all rows, and returns the number of those that are in the result.
    ///
    /// # Errors
    /// A row traps.
    pub fn evaluate(mut self) -> Result<usize, Trap> {
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
                self.execute(position, rows)?;
            }
            selected += self.store_outputs(rows);
            row += rows;
        }
        Ok(selected)
    }
}

/// Runs a task of a block with the vector registers of a path.
fn run<T: Task>(path: DetectedPath, task: T) -> T::Output {
    // SAFETY: the locations of a block are readable for all its rows: registers, inputs and outputs have memory for whole mask
    // words, and constants for a vector register. A result has another register than the operands, or is an output. The
    // verifier guarantees that types fit.
    unsafe { run_on(path, task) }
}

/// The bits of a mask word that belong to the rows of a block of `rows` rows.
fn in_range(word: usize, rows: usize) -> u64 {
    let remaining = rows - word * WORD;
    if remaining >= WORD { !0 } else { (1 << remaining) - 1 }
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
