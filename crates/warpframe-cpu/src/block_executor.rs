//! The block executor: executes a program on blocks of rows, instruction by instruction. The registers of a block fit in
//! the L1 cache; the instructions that define outputs write to the arrays of the outputs. The loops over numbers are the
//! tasks of `block_tasks`; Booleans and validity are mask words.

use arrow_array::ArrayRef;
use warpframe_ir::instruction::{Comparison, Instruction, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::{Scalar, ScalarType, Trap};

use super::block::{Location, WORD};
use super::block_memory::{BlockCode, BlockMemory, MAX_BLOCK_ROWS, Scratch};
use super::block_tasks::{
    BinaryOp, Compare, Division, InTable, IntegerBinaryOp, IntegerCast, IntegerUnaryOp, IsNan, IsNonzero,
    Select, UnaryOp, ZeroOrOne,
};
use super::dispatch::{DetectedPath, Task, run_on};
use super::lanes::SimdElement;
use super::math::Divisor;
use super::output_buffer::OutputBuffer;
use super::register_allocation::{Class, Slot};

/// One evaluation of a program.
pub(super) struct Execution<'a> {
    path: DetectedPath,
    program: &'a Program,
    code: &'a BlockCode,
    memory: BlockMemory<'a>,
    rows: usize,
    outputs: &'a mut [OutputBuffer],
}

impl<'a> Execution<'a> {
    /// An evaluation of a program on inputs that satisfy `Program::check_inputs`, with an [`OutputBuffer`] for the rows of
    /// each output.
    pub fn new(
        path: DetectedPath,
        (program, code): (&'a Program, &'a BlockCode),
        inputs: &'a [ArrayRef],
        rows: usize,
        scratch: &'a mut Scratch,
        outputs: &'a mut [OutputBuffer],
    ) -> Self {
        let memory = BlockMemory::new(program, code, inputs, rows, scratch);
        Self { path, program, code, memory, rows, outputs }
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

    /// Stores the outputs of a block, of the rows that the predicate selects, and returns their number.
    fn store_outputs(&mut self, rows: usize) -> usize {
        let words = rows.div_ceil(WORD);
        for (position, output) in self.program.outputs().iter().enumerate() {
            let value = output.value;
            let scalar_type = self.program.scalar_type(value);
            let has_validity = self.memory.computes_validity_of(value);
            let in_place = self.code.registers.slots[value.position()] == Slot::Output(position);
            if in_place && !has_validity {
                continue;
            }
            let Location { first, stride } = self.memory.location(value);
            for word in 0..words {
                let selected = self.selected_word(word, rows);
                if scalar_type == ScalarType::Bool {
                    let bits = self.memory.bool_word(value, word);
                    self.outputs[position].append_bools(bits, selected);
                } else if !in_place {
                    let width = Class::of(scalar_type).width();
                    let from = first.cast::<u8>().wrapping_add(word * WORD * stride * width);
                    // SAFETY: the location is readable for all rows of the word, and the buffer has memory for all rows.
                    unsafe { self.outputs[position].append_numbers(from.cast(), stride, selected) };
                }
                if has_validity {
                    let bits = self.memory.validity_word(value, word);
                    self.outputs[position].append_validity(bits, selected);
                }
            }
        }
        match self.program.predicate() {
            None => rows,
            Some(_) => (0..words).map(|word| self.selected_word(word, rows).count_ones() as usize).sum(),
        }
    }

    /// The mask word of the rows of a block of `rows` rows that are in the result.
    fn selected_word(&self, word: usize, rows: usize) -> u64 {
        self.program.predicate().map_or(!0, |predicate| self.memory.true_word(predicate, word))
            & in_range(word, rows)
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
            // Inputs are loaded, and numbers are in the constant pool.
            Instruction::Input(_) => {}
            Instruction::Const(constant) => {
                let words = if constant == Scalar::Bool(true) { !0 } else { 0 };
                self.memory.bool_words(position).fill(words);
            }
            Instruction::Null(scalar_type) => {
                if scalar_type == ScalarType::Bool {
                    self.memory.bool_words(position).fill(0);
                }
                self.memory.write_validity(value, words, |_, _| 0);
            }
            Instruction::Unary(op, x) => {
                self.unary(op, x, value, words);
                self.memory.propagate_nulls(value, words, x, x);
            }
            Instruction::Binary(op, x, y) => {
                self.binary(op, [x, y], value, words);
                self.memory.propagate_nulls(value, words, x, y);
            }
            Instruction::Compare(comparison, x, y) => {
                self.compare(comparison, [x, y], value, words);
                self.memory.propagate_nulls(value, words, x, y);
            }
            Instruction::Cast(_, x) => {
                self.cast(x, value, words);
                self.memory.propagate_nulls(value, words, x, x);
            }
            Instruction::InTable(table, x) => {
                self.in_table(self.program.tables()[table as usize].bits(), x, value, words);
                self.memory.propagate_nulls(value, words, x, x);
            }
            Instruction::IsNan(x) => {
                let (path, wide, x_at) = (self.path, self.is_wide(x), self.memory.location(x));
                let bits = &mut self.memory.bool_words(position)[..words];
                match wide {
                    true => run(path, IsNan::<f64> { x: x_at.of(), bits }),
                    false => run(path, IsNan::<f32> { x: x_at.of(), bits }),
                }
                self.memory.propagate_nulls(value, words, x, x);
            }
            Instruction::IsNull(x) => {
                self.memory.write_bools(value, words, |this, word| !this.validity_word(x, word));
            }
            Instruction::Not(x) => {
                self.memory.write_bools(value, words, |this, word| !this.bool_word(x, word));
                self.memory.propagate_nulls(value, words, x, x);
            }
            Instruction::And(x, y) => {
                self.memory.write_validity(value, words, |this, word| {
                    let false_x = !this.bool_word(x, word) & this.validity_word(x, word);
                    let false_y = !this.bool_word(y, word) & this.validity_word(y, word);
                    false_x | false_y | (this.true_word(x, word) & this.true_word(y, word))
                });
                self.memory.write_bools(value, words, |this, word| {
                    this.true_word(x, word) & this.true_word(y, word)
                });
            }
            Instruction::Or(x, y) => {
                self.memory.write_validity(value, words, |this, word| {
                    let both_false = !this.bool_word(x, word) & !this.bool_word(y, word);
                    let both_valid = this.validity_word(x, word) & this.validity_word(y, word);
                    this.true_word(x, word) | this.true_word(y, word) | (both_false & both_valid)
                });
                self.memory.write_bools(value, words, |this, word| {
                    this.true_word(x, word) | this.true_word(y, word)
                });
            }
            Instruction::Select(condition, yes, no) => self.select(condition, yes, no, value, words),
            Instruction::TrapIf(trap, condition, _) => {
                // The last word may have padding rows.
                let traps =
                    |word: &usize| self.memory.true_word(condition, *word) & in_range(*word, rows) != 0;
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
        let (x, target, rows) = (self.memory.location(x), self.memory.location(value), words * WORD);
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
        let (x, y, target, rows) =
            (self.memory.location(x), self.memory.location(y), self.memory.location(value), words * WORD);
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
            return self.memory.write_bools(value, words, |this, word| {
                let (x, y) = (this.bool_word(x, word), this.bool_word(y, word));
                match comparison {
                    Comparison::Lt | Comparison::TotalLt => !x & y,
                    Comparison::Eq | Comparison::BitEq => !(x ^ y),
                }
            });
        }
        let (path, x, y) = (self.path, self.memory.location(x), self.memory.location(y));
        let bits = &mut self.memory.bool_words(value.position())[..words];
        run(path, Compare { comparison, scalar_type, x, y, bits });
    }

    /// Converts a value to the type of another.
    fn cast(&mut self, x: Value, value: Value, words: usize) {
        let (from, to) = (self.program.scalar_type(x), self.program.scalar_type(value));
        let (path, location, target) = (self.path, self.memory.location(x), self.memory.location(value));
        match (from, to) {
            (ScalarType::Bool, ScalarType::Bool) => {
                self.memory.write_bools(value, words, |this, word| this.bool_word(x, word));
            }
            (ScalarType::Bool, _) => {
                let one = Scalar::Bool(true).cast(to).bits();
                let bits = self.memory.bools(x, words);
                match Class::of(to) {
                    Class::Wide => run(path, ZeroOrOne::<f64> { bits, one, target: target.of().first }),
                    _ => run(path, ZeroOrOne::<f32> { bits, one, target: target.of().first }),
                }
            }
            (_, ScalarType::Bool) => {
                let bits = &mut self.memory.bool_words(value.position())[..words];
                run(path, IsNonzero { scalar_type: from, x: location, bits });
            }
            _ => run(path, IntegerCast { from, to, x: location, target, rows: words * WORD }),
        }
    }

    /// Tests whether a value's bits are in a table.
    fn in_table(&mut self, table: &[i64], x: Value, value: Value, words: usize) {
        if self.program.scalar_type(x) == ScalarType::Bool {
            let [holds_false, holds_true] = [0, 1].map(|bits| table.contains(&bits));
            return self.memory.write_bools(value, words, |this, word| {
                let x = this.bool_word(x, word);
                (if holds_true { x } else { 0 }) | (if holds_false { !x } else { 0 })
            });
        }
        let (path, wide, x) = (self.path, self.is_wide(x), self.memory.location(x));
        let bits = &mut self.memory.bool_words(value.position())[..words];
        match wide {
            true => run(path, InTable::<f64> { x: x.of(), table, bits }),
            false => run(path, InTable::<f32> { x: x.of(), table, bits }),
        }
    }

    /// Selects `yes` where the condition is true, else `no`.
    fn select(&mut self, condition: Value, yes: Value, no: Value, value: Value, words: usize) {
        let mut chosen = [0; MAX_BLOCK_ROWS / WORD];
        let chosen = &mut chosen[..words];
        self.memory.copy_true_words(condition, chosen);
        self.memory.write_validity(value, words, |this, word| {
            let chosen = chosen[word];
            (this.validity_word(yes, word) & chosen) | (this.validity_word(no, word) & !chosen)
        });
        let class = Class::of(self.program.scalar_type(value));
        if class == Class::Bool {
            return self.memory.write_bools(value, words, |this, word| {
                let chosen = chosen[word];
                (this.bool_word(yes, word) & chosen) | (this.bool_word(no, word) & !chosen)
            });
        }
        let (yes, no, target) =
            (self.memory.location(yes), self.memory.location(no), self.memory.location(value));
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
        let (mut row, mut selected) = (0, 0);
        while row < self.rows {
            let rows = self.memory.block_rows().min(self.rows - row);
            self.memory.load_inputs(row, rows);
            for &(position, output) in &self.code.in_outputs {
                let first = self.outputs[output].address(row);
                self.memory.set_location(position, Location { first, stride: 1 });
            }
            for &position in &self.code.steps {
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
