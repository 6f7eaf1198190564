//! Runs a program over blocks of rows: each op goes over a block of numbers that lies in the L1 cache, and the last op
//! writes into the output.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::thread::LocalKey;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use warpframe_ir::instruction::{Instruction, Kind, Trap, Value};
use warpframe_ir::ops::Binary;
use warpframe_ir::program::Program;

use super::block::{Source, WORD};
use super::dispatch::Task;
use super::input_conversion::{Converter, copy_bits};
use super::lanes::{Element, Lanes};
use super::math::Divisor;
use super::ops::{BinaryCode, BinaryLoop, UnaryCode, UnaryLoop, dispatch_binary, dispatch_unary};
use super::predicates::{BitEq, IsNan, Negative, TotalLt, ZeroAndNegative, word_of};
use super::register_allocation::{RegisterAllocation, Slot};

/// The share of the L1 cache for the registers of a block, in bytes.
const REGISTER_BYTES: usize = 24 * 1024;

/// The lanes of the widest register, which a constant has to fill.
const WIDEST: usize = 16;

/// A program being evaluated.
pub(super) struct Execution<'a, E> {
    program: &'a Program,
    registers: &'a RegisterAllocation,
    /// How inputs of another type are converted, one for each input.
    converters: &'a [Option<Converter<E>>],
    inputs: &'a [ArrayRef],
    rows: usize,
    /// Rows in a block: a multiple of [`WORD`].
    block: usize,
    /// Whether validity is computed for every value; else the result is null where an input is, and the caller merges
    /// the validity of the inputs.
    follow_nulls: bool,
    scratch: &'a mut Scratch<E>,
    /// The start of the scratch memory for numbers.
    first: *mut E,
    /// The output, if it is a number.
    numbers: &'a mut [MaybeUninit<E>],
    /// The output, if it is a Boolean.
    truths: &'a mut Vec<u64>,
    /// The validity of the output, if nulls are followed.
    validity: &'a mut Vec<u64>,
}

/// Memory for blocks, reused by later batches of the same thread.
#[derive(Debug, Default)]
pub(super) struct Scratch<E> {
    /// Registers, staged inputs, constants.
    numbers: Vec<E>,
    /// Registers of Booleans, then the validity of each value.
    words: Vec<u64>,
    /// Where the numbers of each value lie, if it has any.
    sources: Vec<Source<E>>,
}

/// A type with scratch memory for each thread.
pub(super) trait ScratchElement: Element {
    fn scratch() -> &'static LocalKey<RefCell<Scratch<Self>>>;
}

macro_rules! scratch_element {
    ($($type:ident)+) => {$(
        impl ScratchElement for $type {
            fn scratch() -> &'static LocalKey<RefCell<Scratch<Self>>> {
                thread_local! {
                    static SCRATCH: RefCell<Scratch<$type>> = RefCell::default();
                }
                &SCRATCH
            }
        }
    )+};
}
scratch_element!(f64 f32);

impl<'a, E: Element> Execution<'a, E> {
    /// A program with inputs that match it, as `Program::check_inputs` says, and outputs of its type: as many numbers
    /// as rows, or none.
    pub(super) fn new(
        (program, registers, converters): (&'a Program, &'a RegisterAllocation, &'a [Option<Converter<E>>]),
        inputs: &'a [ArrayRef],
        rows: usize,
        scratch: &'a mut Scratch<E>,
        (numbers, truths, validity): (&'a mut [MaybeUninit<E>], &'a mut Vec<u64>, &'a mut Vec<u64>),
    ) -> Self {
        let block = REGISTER_BYTES / (registers.floats.max(1) * size_of::<E>());
        let block = (block / WORD * WORD).clamp(WORD, 1024).min(rows.next_multiple_of(WORD).max(WORD));
        let follow_nulls = !program.is_strict();
        let first = std::ptr::null_mut();
        Self {
            program,
            registers,
            converters,
            inputs,
            rows,
            block,
            follow_nulls,
            scratch,
            first,
            numbers,
            truths,
            validity,
        }
    }

    fn words(&self) -> usize {
        self.block / WORD
    }

    /// Lays out the scratch memory and sets the sources of the values that do not move.
    fn prepare(&mut self) {
        let allocation = self.registers;
        let instructions = self.program.instructions();
        let registers = allocation.floats * self.block;
        let staged = self.inputs.len() * self.block;
        let words = (allocation.bools + instructions.len()) * self.words();
        let Scratch { numbers, words: truths, sources } = &mut *self.scratch;
        // What earlier batches have left there is overwritten before it is read.
        let needed = registers + staged + allocation.constants * WIDEST;
        if numbers.len() < needed {
            numbers.resize(needed, E::ZERO);
        }
        if truths.len() < words {
            truths.resize(words, 0);
        }
        self.first = numbers.as_mut_ptr();
        sources.clear();
        for ((instruction, place), kind) in
            instructions.iter().zip(&allocation.slots).zip(self.program.kinds())
        {
            sources.push(match *place {
                Slot::Register(register) if *kind == Kind::Float => {
                    // SAFETY: the numbers begin with a block for each register.
                    Source { first: unsafe { self.first.add(register * self.block) }, stride: 1 }
                }
                Slot::Constant(constant) => {
                    // SAFETY: the numbers end with `WIDEST` for each constant.
                    let copies = unsafe {
                        let first = self.first.add(registers + staged + constant * WIDEST);
                        std::slice::from_raw_parts_mut(first, WIDEST)
                    };
                    let number = match instruction {
                        Instruction::ConstFloat(bits) => E::from_f64(f64::from_bits(*bits)),
                        _ => E::ZERO,
                    };
                    copies.fill(number);
                    Source { first: copies.as_mut_ptr(), stride: 0 }
                }
                _ => Source::NONE,
            });
        }
    }

    /// Loads the inputs of a block: where ops can read them, and padded to whole words.
    fn stage(&mut self, row: usize, rows: usize) {
        let registers = self.registers.floats * self.block;
        for (position, instruction) in self.program.instructions().iter().enumerate() {
            let Instruction::Input(input) = *instruction else { continue };
            let array = &self.inputs[input];
            if self.follow_nulls && self.program.may_be_null(Value::at(position)) {
                let validity = self.validity_words(position);
                match array.nulls() {
                    Some(nulls) => copy_bits(nulls.inner(), row, rows, validity),
                    None => validity.fill(!0),
                }
            }
            if *array.data_type() == DataType::Boolean {
                let truths = self.truth_words(position);
                copy_bits(array.as_boolean().values(), row, rows, truths);
                continue;
            }
            let direct = E::values(array).map(|values| &values[row..row + rows]);
            let first = match direct {
                Some(values) if rows == self.block => values.as_ptr().cast_mut(),
                _ => {
                    // SAFETY: after the registers the numbers have a block for each input, and nothing
                    // else reads it now.
                    let staged = unsafe {
                        let first = self.first.add(registers + input * self.block);
                        std::slice::from_raw_parts_mut(first, self.block)
                    };
                    match (direct, self.converters[input]) {
                        (Some(values), _) => staged[..rows].copy_from_slice(values),
                        (None, Some(convert)) => convert(array, row, &mut staged[..rows]),
                        // Compilation has found a converter for every type but the program's own.
                        (None, None) => {}
                    }
                    // The rows that fill up the last word repeat the last one.
                    let last = staged[rows - 1];
                    staged[rows..].fill(last);
                    staged.as_mut_ptr()
                }
            };
            self.scratch.sources[position] = Source { first, stride: 1 };
        }
    }

    #[inline(always)]
    fn source(&self, value: Value) -> Source<E> {
        self.scratch.sources[value.position()]
    }

    /// The constant that the op divides by, if that is what it does.
    fn divisor(&self, op: Binary, y: Value) -> Option<Divisor<E>> {
        match self.program.instructions()[y.position()] {
            Instruction::ConstFloat(bits) if op == Binary::Divide => {
                Divisor::new(E::from_f64(f64::from_bits(bits)))
            }
            _ => None,
        }
    }

    /// The words of a value that is a truth value.
    fn truth_words(&mut self, position: usize) -> &mut [u64] {
        let words = self.words();
        let register = match self.registers.slots[position] {
            Slot::Register(register) => register,
            _ => 0,
        };
        &mut self.scratch.words[register * words..][..words]
    }

    fn validity_words(&mut self, position: usize) -> &mut [u64] {
        let words = self.words();
        let start = (self.registers.bools + position) * words;
        &mut self.scratch.words[start..][..words]
    }

    /// A word of a truth value.
    #[inline(always)]
    fn truth(&self, value: Value, word: usize) -> u64 {
        match self.registers.slots[value.position()] {
            Slot::Register(register) => self.scratch.words[register * self.words() + word],
            _ => 0,
        }
    }

    /// A word of a value's validity.
    #[inline(always)]
    fn valid(&self, value: Value, word: usize) -> u64 {
        if !self.follow_nulls || !self.program.may_be_null(value) {
            return !0;
        }
        self.scratch.words[(self.registers.bools + value.position()) * self.words() + word]
    }

    /// A word that is set where a truth value is true, not null.
    #[inline(always)]
    fn holds(&self, value: Value, word: usize) -> u64 {
        self.truth(value, word) & self.valid(value, word)
    }

    fn write_truth(&mut self, position: usize, words: usize, word: impl Fn(&Self, usize) -> u64) {
        for index in 0..words {
            let bits = word(self, index);
            self.truth_words(position)[index] = bits;
        }
    }

    fn write_validity(&mut self, position: usize, words: usize, word: impl Fn(&Self, usize) -> u64) {
        if self.follow_nulls && self.program.may_be_null(Value::at(position)) {
            for index in 0..words {
                let bits = word(self, index);
                self.validity_words(position)[index] = bits;
            }
        }
    }

    /// Takes the result of a block.
    fn emit(&mut self, row: usize, rows: usize) {
        let output = self.program.output();
        let words = rows.div_ceil(WORD);
        match self.program.kind(output) {
            Kind::Float => {
                let Source { first, stride } = self.scratch.sources[output.position()];
                let target = self.numbers[row..row + rows].as_mut_ptr().cast::<E>();
                if !std::ptr::eq(first, target) {
                    for index in 0..rows {
                        // SAFETY: the source has a block of numbers, or one where the stride is 0, and the
                        // target has as many as there are rows.
                        unsafe { target.add(index).write(*first.add(index * stride)) };
                    }
                }
            }
            Kind::Bool => {
                for word in 0..words {
                    let bits = match self.program.instructions()[output.position()] {
                        Instruction::ConstBool(true) => !0,
                        _ => self.truth(output, word),
                    };
                    self.truths.push(bits);
                }
            }
        }
        if self.follow_nulls && self.program.may_be_null(output) {
            for word in 0..words {
                let bits = self.valid(output, word);
                self.validity.push(bits);
            }
        }
    }

    /// # Safety
    /// As [`Task::run`].
    #[inline(always)]
    unsafe fn step<L: Lanes<Element = E>>(&mut self, position: usize, rows: usize) -> Result<(), Trap> {
        let words = rows.div_ceil(WORD);
        let padded = words * WORD;
        let target = self.source(Value::at(position)).first;
        match self.program.instructions()[position] {
            Instruction::Input(_) | Instruction::ConstFloat(_) => {}
            Instruction::ConstNull(_) => self.write_validity(position, words, |_, _| 0),
            Instruction::ConstBool(value) => {
                self.write_truth(position, words, |_, _| if value { !0 } else { 0 });
            }
            Instruction::Unary(op, x) => {
                dispatch_unary::<L>(op, OverBlock { x: self.source(x), y: Source::NONE, target, padded });
                self.write_validity(position, words, |block, word| block.valid(x, word));
            }
            Instruction::Binary(op, x, y) => {
                let over = OverBlock { x: self.source(x), y: self.source(y), target, padded };
                match self.divisor(op, y) {
                    Some(divisor) => over.divide::<L>(divisor),
                    None => dispatch_binary::<L>(op, over),
                }
                self.write_validity(position, words, |block, word| {
                    block.valid(x, word) & block.valid(y, word)
                });
            }
            Instruction::TotalLt(x, y) => {
                let (a, b) = (self.source(x), self.source(y));
                // SAFETY: both sources have a block of numbers.
                self.write_truth(position, words, |_, word| unsafe { word_of::<L, TotalLt>(a, b, word) });
                self.write_validity(position, words, |block, word| {
                    block.valid(x, word) & block.valid(y, word)
                });
            }
            Instruction::BitEq(x, y) => {
                let (a, b) = (self.source(x), self.source(y));
                // SAFETY: as above.
                self.write_truth(position, words, |_, word| unsafe { word_of::<L, BitEq>(a, b, word) });
                self.write_validity(position, words, |block, word| {
                    block.valid(x, word) & block.valid(y, word)
                });
            }
            Instruction::IsNan(x) => {
                let a = self.source(x);
                // SAFETY: as above.
                self.write_truth(position, words, |_, word| unsafe { word_of::<L, IsNan>(a, a, word) });
                self.write_validity(position, words, |block, word| block.valid(x, word));
            }
            Instruction::IsNull(x) => self.write_truth(position, words, |block, word| !block.valid(x, word)),
            Instruction::Not(x) => {
                self.write_truth(position, words, |block, word| !block.truth(x, word));
                self.write_validity(position, words, |block, word| block.valid(x, word));
            }
            Instruction::And(x, y) => {
                self.write_validity(position, words, |block, word| {
                    let false_x = !block.truth(x, word) & block.valid(x, word);
                    let false_y = !block.truth(y, word) & block.valid(y, word);
                    false_x | false_y | (block.holds(x, word) & block.holds(y, word))
                });
                self.write_truth(position, words, |block, word| block.holds(x, word) & block.holds(y, word));
            }
            Instruction::Or(x, y) => {
                self.write_validity(position, words, |block, word| {
                    let neither = !block.truth(x, word) & !block.truth(y, word);
                    let known = block.valid(x, word) & block.valid(y, word);
                    block.holds(x, word) | block.holds(y, word) | (neither & known)
                });
                self.write_truth(position, words, |block, word| block.holds(x, word) | block.holds(y, word));
            }
            Instruction::Select(condition, yes, no) => {
                self.write_validity(position, words, |block, word| {
                    let chosen = block.holds(condition, word);
                    (block.valid(yes, word) & chosen) | (block.valid(no, word) & !chosen)
                });
                if self.program.kind(yes) == Kind::Bool {
                    self.write_truth(position, words, |block, word| {
                        let chosen = block.holds(condition, word);
                        (block.truth(yes, word) & chosen) | (block.truth(no, word) & !chosen)
                    });
                    return Ok(());
                }
                let (yes, no) = (self.source(yes), self.source(no));
                for word in 0..words {
                    let chosen = self.holds(condition, word);
                    for lane in (0..WORD).step_by(L::COUNT) {
                        let row = word * WORD + lane;
                        // SAFETY: the sources and the target have a block of numbers.
                        unsafe {
                            let mask = L::mask_from_bits(chosen >> lane);
                            L::select(mask, yes.load(row), no.load(row)).store(target.add(row));
                        }
                    }
                }
            }
            Instruction::TrapIf(trap, [x, y], guard) => {
                let (a, b) = (self.source(x), self.source(y));
                for word in 0..words {
                    // SAFETY: the sources have a block of numbers.
                    let holds = unsafe {
                        match trap {
                            Trap::SqrtOfNegative => word_of::<L, Negative>(a, b, word),
                            Trap::ZeroToNegativePower => word_of::<L, ZeroAndNegative>(a, b, word),
                        }
                    };
                    let guarded = guard.map_or(!0, |guard| self.holds(guard, word));
                    let left = rows - word * WORD;
                    let real = if left >= WORD { !0 } else { (1 << left) - 1 };
                    if holds & guarded & real & self.valid(x, word) & self.valid(y, word) != 0 {
                        return Err(trap);
                    }
                }
            }
        }
        Ok(())
    }
}

impl<E: Element> Task<E> for Execution<'_, E> {
    type Output = Result<(), Trap>;

    #[inline(always)]
    unsafe fn run<L: Lanes<Element = E>>(mut self) -> Result<(), Trap> {
        self.prepare();
        let output = self.program.output().position();
        let register = self.scratch.sources.get(output).copied().unwrap_or(Source::NONE);
        let in_register = matches!(self.registers.slots[output], Slot::Register(_))
            && self.program.kind(self.program.output()) == Kind::Float;
        let mut row = 0;
        while row < self.rows {
            let rows = self.block.min(self.rows - row);
            self.stage(row, rows);
            if in_register {
                // A whole block's result goes where it belongs at once.
                self.scratch.sources[output] = match rows == self.block {
                    true => Source { first: self.numbers[row..].as_mut_ptr().cast(), stride: 1 },
                    false => register,
                };
            }
            for position in 0..self.program.instructions().len() {
                // SAFETY: the caller's promise is the same.
                unsafe { self.step::<L>(position, rows)? };
            }
            self.emit(row, rows);
            row += rows;
        }
        Ok(())
    }
}

/// An op over a block.
struct OverBlock<E> {
    x: Source<E>,
    y: Source<E>,
    target: *mut E,
    padded: usize,
}

impl<E: Element> OverBlock<E> {
    #[inline(always)]
    fn divide<L: Lanes<Element = E>>(self, divisor: Divisor<E>) {
        for row in (0..self.padded).step_by(L::COUNT) {
            // SAFETY: the source and the target have a block of numbers, and `padded` is not more.
            unsafe { divisor.divide::<L>(self.x.load(row)).store(self.target.add(row)) };
        }
    }
}

impl<E: Element, L: Lanes<Element = E>> UnaryLoop<L> for OverBlock<E> {
    #[inline(always)]
    fn run<C: UnaryCode<L>>(self) {
        for row in (0..self.padded).step_by(L::COUNT) {
            // SAFETY: the source and the target have a block of numbers, and `padded` is not more.
            unsafe { C::apply(self.x.load(row)).store(self.target.add(row)) };
        }
    }
}

impl<E: Element, L: Lanes<Element = E>> BinaryLoop<L> for OverBlock<E> {
    #[inline(always)]
    fn run<C: BinaryCode<L>>(self) {
        for row in (0..self.padded).step_by(L::COUNT) {
            // SAFETY: as above.
            unsafe { C::apply(self.x.load(row), self.y.load(row)).store(self.target.add(row)) };
        }
    }
}
