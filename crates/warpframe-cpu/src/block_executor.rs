//! The block executor: executes a program on blocks of rows, step by step. The registers of a block fit in the L1 cache; the
//! steps that define outputs write to the arrays of the outputs. Steps over numbers are `loops`; Booleans and validity are
//! mask words.

use std::cell::Cell;
use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_buffer::NullBuffer;
use warpframe_ir::instruction::{Comparison, Instruction, Value};
use warpframe_ir::program::Program;
use warpframe_ir::reduction::CHUNK;
use warpframe_ir::{Scalar, ScalarType, Trap};

use super::block::{Arguments, Location, WORD};
use super::block_code::{BlockCode, LoopCode, MAX_DIRECT_ROWS, Moving, Step};
use super::block_memory::{BlockMemory, Scratch};
use super::compaction::in_range;
use super::input_conversion::copy_bits;
use super::native::{Function, SUMS};
use super::native_code::{NativeCode, NativeOutput};
use super::native_execution::{Functions, NativeExecution};
use super::non_temporal;
use super::sink::{Selection, Sink};

/// One evaluation of a program.
pub(super) struct Execution<'a, 'b> {
    program: &'a Program,
    code: &'a BlockCode,
    memory: BlockMemory<'a>,
    /// The arguments of each loop, for the current block if `has_arguments`.
    arguments: Vec<Arguments<'a>>,
    has_arguments: bool,
    rows: usize,
    outputs: &'a mut [Sink<'b>],
    /// Memory for the mask words of a block: of selected rows, and of those in which an output is valid, too.
    words: [Vec<u64>; 2],
    /// The nulls of the only output of a strict program, whose validity is not computed, if it is reduced.
    nulls: Option<&'a NullBuffer>,
    native: NativeExecution<'a>,
}

impl<'a, 'b> Execution<'a, 'b> {
    /// An evaluation of a program on inputs that satisfy `Program::check_inputs`, with a [`Sink`] for each output.
    pub fn new(
        (program, code): (&'a Program, &'a BlockCode),
        inputs: &'a [ArrayRef],
        rows: usize,
        scratch: &'a mut Scratch,
        outputs: &'a mut [Sink<'b>],
        nulls: Option<&'a NullBuffer>,
        functions: Functions<'a>,
    ) -> Self {
        let is_delivered = |(output, sink): (usize, &Sink<'_>)| match functions {
            Functions::Sums(variant) => variant.delivers(output),
            Functions::Plain | Functions::NonTemporal(_) => sink.is_in_place(),
        };
        let is_direct = code.is_direct(program) && outputs.iter().enumerate().all(is_delivered);
        let block_rows = if is_direct { MAX_DIRECT_ROWS } else { code.block_rows };
        let memory = BlockMemory::new(program, code, inputs, rows, scratch, block_rows);
        let arguments = code.loops.iter().map(|LoopCode { operands, target, data, .. }| Arguments {
            operands: operands.map(|operand| memory.locate(operand)),
            target: memory.locate(*target).first,
            rows: 0,
            data,
        });
        let arguments = arguments.collect();
        let words = [(); 2].map(|()| vec![0; memory.block_rows() / WORD]);
        let native = NativeExecution::new(functions, outputs.len());
        Self { program, code, memory, arguments, has_arguments: false, rows, outputs, words, nulls, native }
    }

    /// Stores the outputs of a block, of the rows that the predicate selects, and returns their number.
    fn store_outputs(&mut self, row: usize, rows: usize) -> usize {
        let outputs = 0..self.outputs.len();
        if self.program.predicate().is_none() && outputs.clone().all(|output| self.is_delivered(output)) {
            outputs.for_each(|output| self.add_sums(output, 0..rows / CHUNK));
            return rows;
        }
        let words = rows.div_ceil(WORD);
        let [mut selected_words, mut valid_words] = std::mem::take(&mut self.words);
        let (selected, valid) = (&mut selected_words[..words], &mut valid_words[..words]);
        for (word, selected) in selected.iter_mut().enumerate() {
            *selected = self.selected_word(word, rows);
        }
        let is_full = self.program.predicate().is_none();
        if let Some(nulls) = self.nulls {
            valid.fill(0);
            copy_bits(nulls.inner(), row, rows, Cell::from_mut(&mut *valid).as_slice_of_cells());
        }
        let selection = Selection { rows, words: selected, is_full };
        for (position, output) in self.program.outputs().iter().enumerate() {
            if self.is_delivered(position) {
                self.add_sums(position, 0..rows / CHUNK);
                continue;
            }
            let (value, sink) = (output.value, &mut self.outputs[position]);
            let has_validity = self.memory.computes_validity_of(value);
            let mut stored = selection;
            match sink {
                Sink::Array(buffer) if has_validity => {
                    for (word, &selected) in selection.words.iter().enumerate() {
                        buffer.append_validity(self.memory.validity_word(value, word), selected);
                    }
                }
                Sink::Reduction(..) if has_validity || self.nulls.is_some() => {
                    for (word, (valid, selected)) in valid.iter_mut().zip(selection.words).enumerate() {
                        if has_validity {
                            *valid = self.memory.validity_word(value, word);
                        }
                        *valid &= selected;
                    }
                    stored = Selection { words: valid, is_full: false, ..selection };
                }
                _ => {}
            }
            if self.program.scalar_type(value) == ScalarType::Bool {
                sink.store_bools(|word| self.memory.bool_word(value, word), stored);
                continue;
            }
            if !self.code.is_in_output(value, position) || !sink.is_in_place() {
                // SAFETY: the location is readable for all rows of the words. Values in the memory of an array are in place.
                unsafe { sink.store_numbers(self.code.path, self.memory.location(value), stored) };
            }
        }
        let count = selection.count() as usize;
        self.words = [selected_words, valid_words];
        count
    }

    /// Whether native code has delivered a block of an output without nulls: in its array, or as sums.
    fn is_delivered(&self, output: usize) -> bool {
        let value = self.program.outputs()[output].value;
        let is_in_array = || {
            self.outputs[output].is_in_place()
                && self.code.is_in_output(value, output)
                && !self.memory.computes_validity_of(value)
        };
        self.native.is_summed(output) || is_in_array()
    }

    /// Adds the sums of chunks of an output, if native code has computed them, to its reduction.
    fn add_sums(&mut self, output: usize, chunks: Range<usize>) {
        if self.native.is_summed(output) {
            let sums = &self.native.sums[output].0[chunks];
            sums.iter().for_each(|sums| self.outputs[output].add_lane_sums(*sums));
        }
    }

    /// The mask word of the rows of a block of `rows` rows that are in the result.
    fn selected_word(&self, word: usize, rows: usize) -> u64 {
        self.program.predicate().map_or(!0, |predicate| self.memory.true_word(predicate, word))
            & in_range(word, rows)
    }

    /// Loads the inputs of a block of `rows` rows from `row` on, and sets the arguments of the loops if there are steps for them.
    fn prepare_block(&mut self, row: usize, rows: usize) {
        self.memory.load_inputs(row, rows);
        for &(position, output) in &self.code.in_outputs {
            let first = self.outputs[output].block(row);
            self.memory.set_location(position, Location { first, stride: 1 });
        }
        self.has_arguments = false;
        if self.code.has_loop_steps {
            self.set_arguments(rows);
        }
    }

    /// Sets the arguments of the loops for the current block, of `rows` rows, unless they are set. Beside native code, loops are rarely
    /// executed.
    fn set_arguments(&mut self, rows: usize) {
        if std::mem::replace(&mut self.has_arguments, true) {
            return;
        }
        for &Moving { position, operand, value } in &self.code.moving {
            let (location, arguments) = (self.memory.location(value), &mut self.arguments[position]);
            match operand {
                Some(operand) => arguments.operands[operand] = location,
                None => arguments.target = location.first,
            }
        }
        let rows = rows.next_multiple_of(WORD);
        for arguments in self.arguments.iter_mut().filter(|arguments| arguments.rows != rows) {
            arguments.rows = rows;
        }
    }

    /// Executes a loop on the current block.
    fn execute_loop(&self, position: usize) {
        // SAFETY: the locations of a block are readable for all its rows: registers, inputs and outputs have memory for
        // whole mask words, and constants for a vector register. A result has another register than the operands, or
        // is an output. The verifier guarantees that types fit.
        unsafe { (self.code.loops[position].bound)(&self.arguments[position]) };
    }

    /// Executes the native code at a position on the current block, of `rows` rows from `row` on.
    fn execute_native(&mut self, position: usize, row: usize, rows: usize) {
        let code = self.code;
        let native = &code.native[position];
        if self.native.uses_loops {
            self.set_arguments(rows);
            return native.loops.iter().for_each(|position| self.execute_loop(*position));
        }
        let variant = self.native.variant().and_then(|variant| variant.function(position));
        self.call(native, variant.unwrap_or(&native.function), rows);
        let rare_words = if native.has_rare_rows { self.rare_words(row, rows) } else { 0 };
        let words = rows.div_ceil(WORD);
        self.native.words += words;
        if rare_words == 0 {
            return;
        }
        if native
            .outputs
            .iter()
            .filter_map(|output| output.output)
            .any(|output| self.native.is_summed(output))
        {
            return self.native.add_rare_chunks(rare_words);
        }
        self.native.repeated += rare_words.count_ones() as usize;
        self.set_arguments(rows);
        // Stores past the caches come before those of the loops to the same memory.
        drop(non_temporal::Fence);
        let rare_words = (0..words).filter(|word| rare_words >> word & 1 == 1);
        rare_words.for_each(|word| self.execute_loops(native, word));
    }

    /// Calls a function of native code for the current block, of so many rows.
    fn call(&mut self, native: &NativeCode, function: &Function, rows: usize) {
        let mut table = std::mem::take(&mut self.native.table);
        table.clear();
        table.push(rows.next_multiple_of(WORD));
        let inputs = native.inputs.iter().map(|place| self.memory.locate(*place).first);
        table.extend(inputs.map(|first| first.expose_provenance()));
        for &NativeOutput { place, output } in &native.outputs {
            table.push(match output.filter(|output| self.native.is_summed(*output)) {
                Some(output) => {
                    let sums = &mut self.native.sums[output].0;
                    sums[..rows / CHUNK].fill([0; SUMS]);
                    sums.as_mut_ptr().expose_provenance()
                }
                None => self.memory.locate(place).first.expose_provenance(),
            });
        }
        if native.has_rare_rows {
            table.push(self.native.rare.as_mut_ptr().expose_provenance());
        }
        // SAFETY: the locations of a block are readable, and those of results writable, for all its rows, whole mask words; inputs
        // keep their registers until the end of the group, so no output overlaps with one. Sums have memory of their own, for all
        // chunks of the block. The path has been detected. The array of a program whose output is stored past the caches is aligned.
        unsafe { function.call(&table) };
        self.native.table = table;
    }

    /// The mask words, as bits, with rows whose results native code has left undefined, although they are in the block and no input
    /// is null.
    fn rare_words(&self, row: usize, rows: usize) -> u128 {
        const { assert!(MAX_DIRECT_ROWS / WORD <= u128::BITS as usize) };
        let is_rare = |word: &usize| {
            let rare = self.native.rare[*word] & in_range(*word, rows);
            rare != 0 && rare & self.valid_word(row, *word, rows) != 0
        };
        (0..rows.div_ceil(WORD)).filter(is_rare).fold(0, |words, word| words | 1u128 << word)
    }

    /// The mask word of rows in which no input is null, if results are null in all others.
    fn valid_word(&self, row: usize, word: usize, rows: usize) -> u64 {
        if !self.program.is_strict() {
            return !0;
        }
        let (start, count) = (row + word * WORD, WORD.min(rows - word * WORD));
        self.memory.inputs().iter().filter_map(|array| array.nulls()).fold(!0, |valid, nulls| {
            let word = Cell::new(0);
            copy_bits(nulls.inner(), start, count, std::slice::from_ref(&word));
            valid & word.get()
        })
    }

    /// Executes the loops of native code on the rows of a mask word.
    fn execute_loops(&self, native: &NativeCode, word: usize) {
        for &position in &native.loops {
            let (code, block) = (&self.code.loops[position], &self.arguments[position]);
            let mut operands = block.operands;
            for (operand, bytes) in operands.iter_mut().zip(code.operand_bytes) {
                operand.first = operand.first.wrapping_byte_add(word * bytes);
            }
            let target = block.target.wrapping_byte_add(word * code.target_bytes);
            let arguments = Arguments { operands, target, rows: WORD, data: block.data };
            // SAFETY: as for `execute_loop`; the rows of the word are among those of the block.
            unsafe { (code.bound)(&arguments) };
        }
    }

    /// Executes a step on the current block.
    ///
    /// # Errors
    /// A row traps.
    fn execute(&mut self, step: &Step, row: usize, rows: usize) -> Result<(), Trap> {
        let words = rows.div_ceil(WORD);
        match step {
            Step::Loop(position) => self.execute_loop(*position),
            Step::Native(position) => self.execute_native(*position, row, rows),
            Step::Words(position) => self.compute_words(*position, words),
            Step::Validity(position) => self.compute_validity(*position, words),
            Step::Chosen(value) => self.memory.choose(*value, words),
            Step::Trap(trap, condition) => {
                // The last word may have padding rows.
                let traps = |word| self.memory.true_word(*condition, word) & in_range(word, rows) != 0;
                if (0..words).any(traps) {
                    return Err(*trap);
                }
            }
        }
        Ok(())
    }

    /// Computes the mask words of a Boolean from mask words.
    fn compute_words(&mut self, position: usize, words: usize) {
        let (program, value) = (self.program, Value::at(position));
        let memory = &mut self.memory;
        match program.instructions()[position] {
            Instruction::Const(constant) => {
                let all = if constant == Scalar::Bool(true) { !0 } else { 0 };
                memory.write_bools(value, words, |_, _| all);
            }
            Instruction::IsNull(x) => {
                memory.write_bools(value, words, |this, word| !this.validity_word(x, word))
            }
            Instruction::Not(x) => memory.write_bools(value, words, |this, word| !this.bool_word(x, word)),
            Instruction::And(x, y) => memory
                .write_bools(value, words, |this, word| this.true_word(x, word) & this.true_word(y, word)),
            Instruction::Or(x, y) => memory
                .write_bools(value, words, |this, word| this.true_word(x, word) | this.true_word(y, word)),
            Instruction::Compare(comparison, x, y) => memory.write_bools(value, words, |this, word| {
                let (x, y) = (this.bool_word(x, word), this.bool_word(y, word));
                match comparison {
                    Comparison::Lt | Comparison::TotalLt => !x & y,
                    Comparison::Eq | Comparison::BitEq => !(x ^ y),
                }
            }),
            Instruction::InTable(table, x) => {
                let table = program.tables()[table as usize].bits();
                let [holds_false, holds_true] = [0, 1].map(|bits| table.contains(&bits));
                memory.write_bools(value, words, |this, word| {
                    let x = this.bool_word(x, word);
                    (if holds_true { x } else { 0 }) | (if holds_false { !x } else { 0 })
                });
            }
            Instruction::Select(condition, yes, no) => memory.write_bools(value, words, |this, word| {
                let chosen = this.true_word(condition, word);
                (this.bool_word(yes, word) & chosen) | (this.bool_word(no, word) & !chosen)
            }),
            Instruction::Cast(_, x) => memory.write_bools(value, words, |this, word| this.bool_word(x, word)),
            // A null. Other instructions have loops.
            _ => memory.write_bools(value, words, |_, _| 0),
        }
    }

    /// Computes the validity of a value.
    fn compute_validity(&mut self, position: usize, words: usize) {
        let value = Value::at(position);
        let memory = &mut self.memory;
        match self.program.instructions()[position] {
            Instruction::Null(_) => memory.write_validity(value, words, |_, _| 0),
            Instruction::And(x, y) => memory.write_validity(value, words, |this, word| {
                let false_x = !this.bool_word(x, word) & this.validity_word(x, word);
                let false_y = !this.bool_word(y, word) & this.validity_word(y, word);
                false_x | false_y | (this.true_word(x, word) & this.true_word(y, word))
            }),
            Instruction::Or(x, y) => memory.write_validity(value, words, |this, word| {
                let both_false = !this.bool_word(x, word) & !this.bool_word(y, word);
                let both_valid = this.validity_word(x, word) & this.validity_word(y, word);
                this.true_word(x, word) | this.true_word(y, word) | (both_false & both_valid)
            }),
            Instruction::Select(condition, yes, no) => memory.write_validity(value, words, |this, word| {
                let chosen = this.true_word(condition, word);
                (this.validity_word(yes, word) & chosen) | (this.validity_word(no, word) & !chosen)
            }),
            instruction => {
                let mut operands = instruction.operands();
                if let Some(x) = operands.next() {
                    memory.propagate_nulls(value, words, x, operands.next().unwrap_or(x));
                }
            }
        }
    }

    /// The largest number of rows of the block at a row. The first one shows whether rows are so often rare that the loops are better,
    /// whose blocks must fit in the L1 cache.
    fn most_rows(&self, row: usize) -> usize {
        let may_waste = self.code.native.iter().any(|native| native.has_rare_rows);
        match may_waste && (row == 0 || self.native.uses_loops) {
            true => self.memory.block_rows().min(self.code.block_rows),
            false => self.memory.block_rows(),
        }
    }

    /// Evaluates all rows, and returns the number of those that are in the result.
    ///
    /// # Errors
    /// A row traps.
    pub fn evaluate(mut self) -> Result<usize, Trap> {
        let (mut row, mut selected) = (0, 0);
        while row < self.rows {
            let rows = self.native.start_block(self.most_rows(row).min(self.rows - row), self.outputs);
            selected += self.evaluate_block(row, rows)?;
            row += rows;
        }
        Ok(selected)
    }

    /// Evaluates a block of `rows` rows from `row` on, and returns the number of those that are in the result.
    ///
    /// # Errors
    /// A row traps.
    fn evaluate_block(&mut self, row: usize, rows: usize) -> Result<usize, Trap> {
        self.prepare_block(row, rows);
        for step in &self.code.steps {
            self.execute(step, row, rows)?;
            // Later steps would read undefined numbers, and might trap.
            if self.native.has_rare_chunks() {
                break;
            }
        }
        let rare_chunks = self.native.take_rare_chunks();
        if rare_chunks == 0 {
            return Ok(self.store_outputs(row, rows));
        }
        // Either the sums are all outputs, or there is one chunk.
        for chunk in 0..rows / CHUNK {
            if rare_chunks >> chunk & 1 == 0 {
                (0..self.outputs.len()).for_each(|output| self.add_sums(output, chunk..chunk + 1));
                continue;
            }
            self.native.start_plain_chunk();
            self.evaluate_block(row + chunk * CHUNK, CHUNK)?;
            self.native.resume_sums();
        }
        Ok(rows)
    }
}
