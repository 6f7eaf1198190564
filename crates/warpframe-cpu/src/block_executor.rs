//! The block executor: executes a program on blocks of rows, instruction by instruction. The registers of a block fit in
//! the L1 cache; the instruction that defines the output writes to the output array.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::thread::LocalKey;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use warpframe_ir::instruction::{Instruction, Kind, Trap, Value};
use warpframe_ir::ops::Binary;
use warpframe_ir::program::Program;

use super::block::{Location, WORD};
use super::dispatch::Task;
use super::input_conversion::{Converter, copy_bits};
use super::lanes::{Lanes, SimdElement};
use super::math::Divisor;
use super::ops::{BinaryCode, BinaryLoop, UnaryCode, UnaryLoop, dispatch_binary, dispatch_unary};
use super::predicates::{BitEq, IsNan, Negative, TotalLt, ZeroAndNegative, word_of};
use super::register_allocation::{RegisterAllocation, Slot};

/// The bytes of all registers of a block: most of an L1 data cache of 32 KiB.
const REGISTER_BYTES: usize = 24 * 1024;

/// The number of lanes of the widest vector register: a constant is stored as many times.
const MAX_LANES: usize = 16;

/// One evaluation of a program.
pub(super) struct Execution<'a, E> {
    program: &'a Program,
    registers: &'a RegisterAllocation,
    /// For each input the converter that is used if its type is not `E`.
    converters: &'a [Option<Converter<E>>],
    inputs: &'a [ArrayRef],
    rows: usize,
    /// Rows in a block, a multiple of [`WORD`].
    block_rows: usize,
    /// Whether the validity of values is computed. If not, the program is strict, and the caller merges the validity of
    /// the inputs.
    computes_validity: bool,
    scratch: &'a mut Scratch<E>,
    /// The start of `scratch.floats`.
    floats_start: *mut E,
    /// The output, if it is a float; else empty.
    floats: &'a mut [MaybeUninit<E>],
    /// The output, if it is a Boolean.
    bools: &'a mut Vec<u64>,
    /// The validity of the output, if it is computed and the output may be null.
    validity: &'a mut Vec<u64>,
}

/// The memory of a block, reused by all evaluations of a thread.
#[derive(Debug, Default)]
pub(super) struct Scratch<E> {
    /// A block for each register for floats, a block for each input, and `MAX_LANES` elements for each constant.
    floats: Vec<E>,
    /// The mask words of each register for Booleans, then those of the validity of each value.
    words: Vec<u64>,
    /// The location of each value that is a float; [`Location::NONE`] for others.
    locations: Vec<Location<E>>,
}

/// An element type with thread-local scratch memory.
pub(super) trait ScratchElement: SimdElement {
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

impl<'a, E: SimdElement> Execution<'a, E> {
    /// An evaluation of a program on inputs that satisfy `Program::check_inputs`. `floats` has one element for each row if
    /// the output is a float, else none.
    pub(super) fn new(
        (program, registers, converters): (&'a Program, &'a RegisterAllocation, &'a [Option<Converter<E>>]),
        inputs: &'a [ArrayRef],
        rows: usize,
        scratch: &'a mut Scratch<E>,
        (floats, bools, validity): (&'a mut [MaybeUninit<E>], &'a mut Vec<u64>, &'a mut Vec<u64>),
    ) -> Self {
        let block_rows = REGISTER_BYTES / (registers.floats.max(1) * size_of::<E>());
        let block_rows =
            (block_rows / WORD * WORD).clamp(WORD, 1024).min(rows.next_multiple_of(WORD).max(WORD));
        let computes_validity = !program.is_strict();
        Self {
            program,
            registers,
            converters,
            inputs,
            rows,
            block_rows,
            computes_validity,
            scratch,
            floats_start: std::ptr::null_mut(),
            floats,
            bools,
            validity,
        }
    }

    /// The mask words of a block.
    fn words(&self) -> usize {
        self.block_rows / WORD
    }

    /// Allocates the scratch memory, and sets the locations of registers and constants.
    fn prepare(&mut self) {
        let allocation = self.registers;
        let instructions = self.program.instructions();
        let in_registers = allocation.floats * self.block_rows;
        let in_inputs = self.inputs.len() * self.block_rows;
        let float_count = in_registers + in_inputs + allocation.constants * MAX_LANES;
        let word_count = (allocation.bools + instructions.len()) * self.words();
        let Scratch { floats, words, locations } = &mut *self.scratch;
        // Contents of earlier evaluations are overwritten before they are read.
        if floats.len() < float_count {
            floats.resize(float_count, E::ZERO);
        }
        if words.len() < word_count {
            words.resize(word_count, 0);
        }
        self.floats_start = floats.as_mut_ptr();
        locations.clear();
        for ((instruction, slot), kind) in
            instructions.iter().zip(&allocation.slots).zip(self.program.kinds())
        {
            locations.push(match *slot {
                Slot::Register(register) if *kind == Kind::Float => {
                    // SAFETY: `floats` begins with a block for each register.
                    let first = unsafe { self.floats_start.add(register * self.block_rows) };
                    Location { first, stride: 1 }
                }
                Slot::Constant(constant) => {
                    // SAFETY: after the registers and the inputs, `floats` has `MAX_LANES` elements for each constant.
                    let copies = unsafe {
                        let first = self.floats_start.add(in_registers + in_inputs + constant * MAX_LANES);
                        std::slice::from_raw_parts_mut(first, MAX_LANES)
                    };
                    let constant = match instruction {
                        Instruction::ConstFloat(bits) => E::from_f64(f64::from_bits(*bits)),
                        _ => E::ZERO,
                    };
                    copies.fill(constant);
                    Location { first: copies.as_mut_ptr(), stride: 0 }
                }
                _ => Location::NONE,
            });
        }
    }

    /// Loads the inputs of a block of `rows` rows from `row` on. A full block of the program's own type is read in place;
    /// other inputs are copied or converted to scratch memory, and padded to a full block.
    fn load_inputs(&mut self, row: usize, rows: usize) {
        let in_registers = self.registers.floats * self.block_rows;
        for (position, instruction) in self.program.instructions().iter().enumerate() {
            let Instruction::Input(input) = *instruction else { continue };
            let array = &self.inputs[input];
            if self.computes_validity && self.program.may_be_null(Value::at(position)) {
                let validity = self.validity_words(position);
                match array.nulls() {
                    Some(nulls) => copy_bits(nulls.inner(), row, rows, validity),
                    None => validity.fill(!0),
                }
            }
            if *array.data_type() == DataType::Boolean {
                copy_bits(array.as_boolean().values(), row, rows, self.bool_words(position));
                continue;
            }
            let direct = E::values(array).map(|values| &values[row..row + rows]);
            let first = match direct {
                Some(values) if rows == self.block_rows => values.as_ptr().cast_mut(),
                _ => {
                    // SAFETY: after the registers, `floats` has a block for each input, and there is no other reference to
                    // it.
                    let block = unsafe {
                        let first = self.floats_start.add(in_registers + input * self.block_rows);
                        std::slice::from_raw_parts_mut(first, self.block_rows)
                    };
                    match (direct, self.converters[input]) {
                        (Some(values), _) => block[..rows].copy_from_slice(values),
                        (None, Some(convert)) => convert(array, row, &mut block[..rows]),
                        // Only Booleans have no converter, and they do not get here.
                        (None, None) => {}
                    }
                    // Padding rows repeat the last row, so that they take no slow path that it does not take.
                    let last = block[rows - 1];
                    block[rows..].fill(last);
                    block.as_mut_ptr()
                }
            };
            self.scratch.locations[position] = Location { first, stride: 1 };
        }
    }

    #[inline(always)]
    fn location(&self, value: Value) -> Location<E> {
        self.scratch.locations[value.position()]
    }

    /// For a division by a constant that [`Divisor`] supports, the divisor.
    fn divisor(&self, op: Binary, y: Value) -> Option<Divisor<E>> {
        match self.program.instructions()[y.position()] {
            Instruction::ConstFloat(bits) if op == Binary::Divide => {
                Divisor::new(E::from_f64(f64::from_bits(bits)))
            }
            _ => None,
        }
    }

    /// The mask words of a Boolean.
    fn bool_words(&mut self, position: usize) -> &mut [u64] {
        let words = self.words();
        let register = match self.registers.slots[position] {
            Slot::Register(register) => register,
            _ => 0,
        };
        &mut self.scratch.words[register * words..][..words]
    }

    /// The mask words of a value's validity.
    fn validity_words(&mut self, position: usize) -> &mut [u64] {
        let words = self.words();
        let start = (self.registers.bools + position) * words;
        &mut self.scratch.words[start..][..words]
    }

    /// A mask word of a Boolean.
    #[inline(always)]
    fn bool_word(&self, value: Value, word: usize) -> u64 {
        match self.registers.slots[value.position()] {
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
        self.scratch.words[(self.registers.bools + value.position()) * self.words() + word]
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

    /// Stores the output of a block.
    fn store_output(&mut self, row: usize, rows: usize) {
        let output = self.program.output();
        let words = rows.div_ceil(WORD);
        match self.program.kind(output) {
            Kind::Float => {
                let Location { first, stride } = self.scratch.locations[output.position()];
                let target = self.floats[row..row + rows].as_mut_ptr().cast::<E>();
                if !std::ptr::eq(first, target) {
                    for index in 0..rows {
                        // SAFETY: the location is readable for all rows of the block, and the target writable for `rows`
                        // elements.
                        unsafe { target.add(index).write(*first.add(index * stride)) };
                    }
                }
            }
            Kind::Bool => {
                for word in 0..words {
                    let bits = match self.program.instructions()[output.position()] {
                        Instruction::ConstBool(true) => !0,
                        _ => self.bool_word(output, word),
                    };
                    self.bools.push(bits);
                }
            }
        }
        if self.computes_validity && self.program.may_be_null(output) {
            for word in 0..words {
                let bits = self.validity_word(output, word);
                self.validity.push(bits);
            }
        }
    }

    /// Executes the instruction at a position on the current block.
    ///
    /// # Safety
    /// The CPU must have the instruction set of `L`.
    #[inline(always)]
    unsafe fn execute<L: Lanes<Element = E>>(&mut self, position: usize, rows: usize) -> Result<(), Trap> {
        let words = rows.div_ceil(WORD);
        let padded = words * WORD;
        let target = self.location(Value::at(position)).first;
        match self.program.instructions()[position] {
            Instruction::Input(_) | Instruction::ConstFloat(_) => {}
            Instruction::ConstNull(_) => self.write_validity(position, words, |_, _| 0),
            Instruction::ConstBool(value) => {
                self.write_bools(position, words, |_, _| if value { !0 } else { 0 });
            }
            Instruction::Unary(op, x) => {
                dispatch_unary::<L>(op, BlockLoop { x: self.location(x), y: Location::NONE, target, padded });
                self.write_validity(position, words, |this, word| this.validity_word(x, word));
            }
            Instruction::Binary(op, x, y) => {
                let over = BlockLoop { x: self.location(x), y: self.location(y), target, padded };
                match self.divisor(op, y) {
                    Some(divisor) => over.divide::<L>(divisor),
                    None => dispatch_binary::<L>(op, over),
                }
                self.write_validity(position, words, |this, word| {
                    this.validity_word(x, word) & this.validity_word(y, word)
                });
            }
            Instruction::TotalLt(x, y) => {
                let (a, b) = (self.location(x), self.location(y));
                // SAFETY: both locations are readable for all rows of the block.
                self.write_bools(position, words, |_, word| unsafe { word_of::<L, TotalLt>(a, b, word) });
                self.write_validity(position, words, |this, word| {
                    this.validity_word(x, word) & this.validity_word(y, word)
                });
            }
            Instruction::BitEq(x, y) => {
                let (a, b) = (self.location(x), self.location(y));
                // SAFETY: as above.
                self.write_bools(position, words, |_, word| unsafe { word_of::<L, BitEq>(a, b, word) });
                self.write_validity(position, words, |this, word| {
                    this.validity_word(x, word) & this.validity_word(y, word)
                });
            }
            Instruction::IsNan(x) => {
                let a = self.location(x);
                // SAFETY: as above.
                self.write_bools(position, words, |_, word| unsafe { word_of::<L, IsNan>(a, a, word) });
                self.write_validity(position, words, |this, word| this.validity_word(x, word));
            }
            Instruction::IsNull(x) => {
                self.write_bools(position, words, |this, word| !this.validity_word(x, word))
            }
            Instruction::Not(x) => {
                self.write_bools(position, words, |this, word| !this.bool_word(x, word));
                self.write_validity(position, words, |this, word| this.validity_word(x, word));
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
                if self.program.kind(yes) == Kind::Bool {
                    self.write_bools(position, words, |this, word| {
                        let chosen = this.true_word(condition, word);
                        (this.bool_word(yes, word) & chosen) | (this.bool_word(no, word) & !chosen)
                    });
                    return Ok(());
                }
                let (yes, no) = (self.location(yes), self.location(no));
                for word in 0..words {
                    let chosen = self.true_word(condition, word);
                    for lane in (0..WORD).step_by(L::COUNT) {
                        let row = word * WORD + lane;
                        // SAFETY: the locations are readable, and the target writable, for all rows of the block.
                        unsafe {
                            let mask = L::mask_from_bits(chosen >> lane);
                            L::select(mask, yes.load(row), no.load(row)).store(target.add(row));
                        }
                    }
                }
            }
            Instruction::TrapIf(trap, [x, y], guard) => {
                let (a, b) = (self.location(x), self.location(y));
                for word in 0..words {
                    // SAFETY: the locations are readable for all rows of the block.
                    let condition = unsafe {
                        match trap {
                            Trap::SqrtOfNegative => word_of::<L, Negative>(a, b, word),
                            Trap::ZeroToNegativePower => word_of::<L, ZeroAndNegative>(a, b, word),
                        }
                    };
                    let guard = guard.map_or(!0, |guard| self.true_word(guard, word));
                    let valid = self.validity_word(x, word) & self.validity_word(y, word);
                    // The last word may have padding rows.
                    let remaining = rows - word * WORD;
                    let in_range = if remaining >= WORD { !0 } else { (1 << remaining) - 1 };
                    if condition & guard & valid & in_range != 0 {
                        return Err(trap);
                    }
                }
            }
        }
        Ok(())
    }
}

impl<E: SimdElement> Task<E> for Execution<'_, E> {
    type Output = Result<(), Trap>;

    #[inline(always)]
    unsafe fn run<L: Lanes<Element = E>>(mut self) -> Result<(), Trap> {
        self.prepare();
        let output = self.program.output().position();
        let register = self.scratch.locations.get(output).copied().unwrap_or(Location::NONE);
        let in_register = matches!(self.registers.slots[output], Slot::Register(_))
            && self.program.kind(self.program.output()) == Kind::Float;
        let mut row = 0;
        while row < self.rows {
            let rows = self.block_rows.min(self.rows - row);
            self.load_inputs(row, rows);
            if in_register {
                // The output of a full block is computed in place, in the output array.
                self.scratch.locations[output] = match rows == self.block_rows {
                    true => Location { first: self.floats[row..].as_mut_ptr().cast(), stride: 1 },
                    false => register,
                };
            }
            for position in 0..self.program.instructions().len() {
                // SAFETY: the caller has the same obligation.
                unsafe { self.execute::<L>(position, rows)? };
            }
            self.store_output(row, rows);
            row += rows;
        }
        Ok(())
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
