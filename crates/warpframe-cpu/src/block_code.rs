//! The compiled form of a program for the block executor: steps, each of which computes a value of a block of rows.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use warpframe_ir::error::Result;
use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::metrics::Metrics;
use warpframe_ir::program::Program;
use warpframe_ir::reduction::CHUNK;
use warpframe_ir::{Scalar, ScalarType, Trap};

use super::block::{LoopData, MAX_OPERANDS, Place, WORD};
use super::class::Class;
use super::dispatch::{BoundLoop, DetectedPath};
use super::input_conversion::Loader;
use super::instruction_selection::{Operation, Selected, select_instructions};
use super::lanes::SimdElement;
use super::loops;
use super::native::{self, Arithmetic, Delivery, Grouping, NativeError, Translation};
use super::native_code::{NativeCode, Variant};
use super::register_allocation::{RegisterAllocation, Slot};
use super::validity::computes_validity;

/// The bytes of all numbers of a block: of its inputs, registers and outputs. They fit in an L1 data cache of 32 KiB. With larger
/// blocks, which read one input alone for longer, inputs that are not in the cache are read more slowly; with smaller ones, the
/// steps cost more.
const BLOCK_BYTES: usize = 20 * 1024;

/// The largest number of rows in a block whose numbers are in the L1 cache: those of a chunk of a reduction, so that native code can
/// add them up.
pub(super) const MAX_BLOCK_ROWS: usize = CHUNK;

/// The number of rows in a block that one function computes from arrays into arrays, so that nothing else depends on it. Calls of the
/// function take no time then.
pub(super) const MAX_DIRECT_ROWS: usize = 8 * MAX_BLOCK_ROWS;

/// The metric of the time in which a program was compiled to native code. A kernel reports it when it first evaluates, and when it
/// first evaluates in another way, for which it has other code.
pub const NATIVE_COMPILE_TIME: &str = "native_compile_time";

/// The compiled form of a program.
#[derive(Debug)]
pub(super) struct BlockCode {
    /// The path that the loops are bound to.
    pub path: DetectedPath,
    pub registers: RegisterAllocation,
    /// The number of rows in a block, a multiple of [`WORD`].
    pub block_rows: usize,
    /// The loader of each input.
    pub loaders: Vec<Loader>,
    /// The positions of the instructions that load inputs, with the positions of the inputs.
    pub inputs: Vec<(usize, usize)>,
    /// What is executed for each block, in this order.
    pub steps: Vec<Step>,
    /// The loops of the steps, and those that compute the same as native code.
    pub loops: Vec<LoopCode>,
    /// Whether there are steps that are loops.
    pub has_loop_steps: bool,
    /// The operands and targets of loops whose numbers have another location in each block.
    pub moving: Vec<Moving>,
    /// The positions of the instructions that compute an output in its array, with the positions of the outputs.
    pub in_outputs: Vec<(usize, usize)>,
    /// The native code of the steps.
    pub native: Vec<NativeCode>,
    /// The native code that stores the output past the caches.
    non_temporal: OnceLock<Option<Variant>>,
    /// The native code that computes sums, with the outputs of which it was first asked for.
    sums: OnceLock<(Vec<Option<Delivery>>, Option<Variant>)>,
}

/// A program and its code, with the program's instructions in the order of the code.
#[derive(Debug)]
pub(super) struct Compiled {
    pub program: Program,
    pub code: BlockCode,
}

/// What became of native code.
#[derive(Debug, Clone)]
pub(super) enum NativeState {
    /// Not asked for, or there is nothing to gain.
    None,
    /// Compiled, in this time.
    Compiled(Duration),
    /// Not possible.
    Failed(NativeError),
}

impl NativeState {
    /// The state of two programs together: that of the second, with the time of both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Compiled(one), Self::Compiled(other)) => Self::Compiled(one + other),
            (_, other) => other,
        }
    }
}

/// A step of the execution of a block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The loop at this position.
    Loop(usize),
    /// The instruction at this position, which computes mask words of Booleans from mask words.
    Words(usize),
    /// The validity of the value of the instruction at this position.
    Validity(usize),
    /// The mask words of rows in which this value is valid and true, for the next step.
    Chosen(Value),
    /// An error if the value is true in a row.
    Trap(Trap, Value),
    /// The native code at this position.
    Native(usize),
}

/// A loop, and where it reads and writes.
#[derive(Debug)]
pub(super) struct LoopCode {
    /// The position of the instruction.
    pub position: usize,
    pub bound: BoundLoop,
    pub operands: [Place; MAX_OPERANDS],
    pub target: Place,
    pub data: LoopData,
    /// The bytes from a mask word's rows to those of the next one, of each operand.
    pub operand_bytes: [usize; MAX_OPERANDS],
    /// The same of the target.
    pub target_bytes: usize,
}

/// An operand or the target of a loop that is an input or an output.
#[derive(Debug)]
pub(super) struct Moving {
    /// The position of the loop.
    pub position: usize,
    /// The operand; `None` for the target.
    pub operand: Option<usize>,
    /// The value.
    pub value: Value,
}

impl Compiled {
    /// Compiles a program for a path, with native code if `native` is set and it can be had.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`](warpframe_ir::Error::InvalidProgram): inputs of a type are not supported.
    pub fn new(path: DetectedPath, program: &Program, native: bool) -> Result<(Self, NativeState)> {
        if !native {
            let code = BlockCode::new(path, program, &select_instructions(program), &[])?;
            return Ok((Self { program: program.clone(), code }, NativeState::None));
        }
        let start = Instant::now();
        let Grouping { order, groups } = Grouping::new(program);
        let program = program.reordered(&order)?;
        let selected = select_instructions(&program);
        let translations = native::translate(&program, &selected, groups);
        let groups: Vec<_> = translations.iter().map(|(group, _)| group.clone()).collect();
        let mut code = BlockCode::new(path, &program, &selected, &groups)?;
        let state = match code.add_native((&program, &selected), translations) {
            Ok(()) if code.native.is_empty() => NativeState::None,
            Ok(()) => NativeState::Compiled(start.elapsed()),
            Err(error) => NativeState::Failed(error),
        };
        Ok((Self { program, code }, state))
    }
}

impl BlockCode {
    /// Compiles a program for a path. The operands of groups are kept until the end of their group.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`](warpframe_ir::Error::InvalidProgram): inputs of a type are not supported.
    fn new(
        path: DetectedPath,
        program: &Program,
        selected: &[Option<Selected>],
        groups: &[Range<usize>],
    ) -> Result<Self> {
        let registers = RegisterAllocation::new(program, selected, groups);
        let loaders = program.inputs().iter().map(|input| Loader::of(&input.data_type));
        let loaders = loaders.collect::<Result<Vec<_>>>()?;
        let block_rows = block_rows(program, &registers, &loaders);
        let mut code = Self {
            path,
            block_rows,
            loaders,
            inputs: Vec::new(),
            steps: Vec::new(),
            loops: Vec::new(),
            has_loop_steps: false,
            moving: Vec::new(),
            in_outputs: Vec::new(),
            native: Vec::new(),
            non_temporal: OnceLock::new(),
            sums: OnceLock::new(),
            registers,
        };
        for (position, (instruction, selected)) in program.instructions().iter().zip(selected).enumerate() {
            if let Instruction::Input(input) = instruction {
                code.inputs.push((position, *input as usize));
                continue;
            }
            if let Slot::Output(output) = code.registers.slots[position] {
                code.in_outputs.push((position, output));
            }
            if let Some(selected) = selected {
                code.add_steps(path, program, position, selected);
            }
            if computes_validity(program, Value::at(position)) {
                code.steps.push(Step::Validity(position));
            }
        }
        code.has_loop_steps = !code.loops.is_empty();
        Ok(code)
    }

    /// Replaces the loops of groups of instructions by native code.
    ///
    /// # Errors
    /// There is none on this CPU. The loops are still there.
    fn add_native(
        &mut self,
        (program, selected): (&Program, &[Option<Selected>]),
        translations: Vec<(Range<usize>, Translation)>,
    ) -> Result<(), NativeError> {
        let mut groups = vec![None; program.instructions().len()];
        for (index, (group, _)) in translations.iter().enumerate() {
            groups[group.clone()].fill(Some(index));
        }
        let group_of = |loops: &[LoopCode], step: &Step| match *step {
            Step::Loop(position) => groups[loops[position].position],
            Step::Words(position) => groups[position],
            _ => None,
        };
        // All native instructions have loops; a group with another step would keep its steps.
        let mut group_loops: Vec<_> = translations.iter().map(|_| Some(Vec::new())).collect();
        for step in &self.steps {
            match (group_of(&self.loops, step), step) {
                (Some(group), Step::Loop(position)) => {
                    group_loops[group].iter_mut().for_each(|loops| loops.push(*position))
                }
                (Some(group), _) => group_loops[group] = None,
                (None, _) => {}
            }
        }
        let place = |position: usize| self.place(program, Value::at(position));
        let codes = translations.into_iter().zip(group_loops).map(|(translation, loops)| {
            let code =
                loops.map(|loops| NativeCode::new(self.path, (program, selected), translation, place, loops));
            code.transpose()
        });
        let mut codes = codes.collect::<Result<Vec<_>, _>>()?;
        let mut replaced = vec![false; codes.len()];
        for step in std::mem::take(&mut self.steps) {
            let group = group_of(&self.loops, &step);
            let Some(group) = group.filter(|group| replaced[*group] || codes[*group].is_some()) else {
                self.steps.push(step);
                continue;
            };
            // The first step of a group becomes that of its code, the others are part of it.
            if let Some(code) = codes[group].take() {
                replaced[group] = true;
                self.steps.push(Step::Native(self.native.len()));
                self.native.push(code);
            }
        }
        self.has_loop_steps = self.steps.iter().any(|step| matches!(step, Step::Loop(_)));
        if !self.native.is_empty() && !self.has_loop_steps {
            // Registers of numbers are rarely used then.
            self.block_rows = MAX_BLOCK_ROWS;
        }
        Ok(())
    }

    /// Whether one function computes all outputs from arrays into arrays, if all inputs fill whole mask words.
    pub fn is_direct(&self, program: &Program) -> bool {
        let outputs = program.outputs().iter().enumerate();
        matches!(self.steps[..], [Step::Native(_)])
            && program.predicate().is_none()
            && self.loaders.iter().all(|loader| matches!(loader, Loader::InPlace(_)))
            && outputs.into_iter().all(|(position, output)| self.is_in_output(output.value, position))
    }

    /// Whether a value is computed in the array of the output at a position.
    pub fn is_in_output(&self, value: Value, output: usize) -> bool {
        self.registers.slots[value.position()] == Slot::Output(output)
    }

    /// The native code that stores the program's only output past the caches, compiled at the first call; `None` if the output is not
    /// a number that native code computes.
    pub fn non_temporal(&self, metrics: &Metrics) -> Option<&Variant> {
        let compile = || Variant::new(self.path, &self.native, 1, |_| Some(Delivery::NonTemporal));
        self.non_temporal.get_or_init(|| timed(metrics, compile)).as_ref()
    }

    /// The native code that computes sums of the outputs for which that is asked, compiled at the first call; `None` if there is none,
    /// or one for other outputs was asked for earlier. Sums are those of whole chunks of rows, all of which count.
    pub fn sums(&self, program: &Program, is_sum: &[bool], metrics: &Metrics) -> Option<&Variant> {
        if self.block_rows != CHUNK || program.predicate().is_some() {
            return None;
        }
        let delivery = |output: usize| {
            let value = program.outputs()[output].value;
            match program.scalar_type(value) {
                _ if !is_sum[output] || computes_validity(program, value) => None,
                ScalarType::F64 => Some(Delivery::Sum(Arithmetic::Add)),
                ScalarType::I64 => Some(Delivery::Sum(Arithmetic::AddIntegers)),
                _ => None,
            }
        };
        let deliveries: Vec<_> = (0..is_sum.len()).map(delivery).collect();
        if deliveries.iter().all(Option::is_none) {
            return None;
        }
        let (compiled_for, variant) = self.sums.get_or_init(|| {
            let compile =
                || Variant::new(self.path, &self.native, deliveries.len(), |output| deliveries[output]);
            (deliveries.clone(), timed(metrics, compile))
        });
        variant.as_ref().filter(|_| *compiled_for == deliveries)
    }

    /// Where a value is.
    fn place(&self, program: &Program, value: Value) -> Place {
        match (self.registers.slots[value.position()], program.scalar_type(value)) {
            (Slot::Register(register), ScalarType::Bool) => Place::Words(register),
            _ => Place::Numbers(value.position()),
        }
    }

    /// Adds the steps that compute the value of an instruction.
    fn add_steps(&mut self, path: DetectedPath, program: &Program, position: usize, selected: &Selected) {
        if let Instruction::TrapIf(trap, condition, _) = program.instructions()[position] {
            return self.steps.push(Step::Trap(trap, condition));
        }
        let Some((bound, data)) = bound_loop(path, program, position, selected) else {
            return self.steps.push(Step::Words(position));
        };
        let word_bytes =
            |value: Value| match (self.registers.slots[value.position()], program.scalar_type(value)) {
                (Slot::Constant(_), _) => 0,
                (_, ScalarType::Bool) => size_of::<u64>(),
                (_, scalar_type) => Class::of(scalar_type).width() * WORD,
            };
        let mut operands = [Place::None; MAX_OPERANDS];
        let mut operand_bytes = [0; MAX_OPERANDS];
        for (index, value) in selected.operands.iter().enumerate() {
            operands[index] = self.place(program, *value);
            operand_bytes[index] = word_bytes(*value);
        }
        let (target, target_bytes) =
            (self.place(program, Value::at(position)), word_bytes(Value::at(position)));
        if let (Instruction::Select(condition, ..), Operation::Instruction) =
            (program.instructions()[position], selected.operation)
            && computes_validity(program, condition)
        {
            self.steps.push(Step::Chosen(condition));
            operands[0] = Place::Chosen;
        }
        let operand_values = selected.operands.iter().enumerate().map(|(index, value)| (Some(index), *value));
        for (operand, value) in operand_values.chain([(None, Value::at(position))]) {
            if matches!(self.registers.slots[value.position()], Slot::Input(_) | Slot::Output(_)) {
                self.moving.push(Moving { position: self.loops.len(), operand, value });
            }
        }
        self.steps.push(Step::Loop(self.loops.len()));
        self.loops.push(LoopCode { position, bound, operands, target, data, operand_bytes, target_bytes });
    }
}

/// Compiles native code, and adds the time to the metrics if there is some.
fn timed(metrics: &Metrics, compile: impl FnOnce() -> Option<Variant>) -> Option<Variant> {
    let start = Instant::now();
    let variant = compile();
    if variant.is_some() {
        metrics.add_time(NATIVE_COMPILE_TIME, start.elapsed());
    }
    variant
}

/// The number of rows in a block of a program.
fn block_rows(program: &Program, registers: &RegisterAllocation, loaders: &[Loader]) -> usize {
    let widths = |class: Class| class.width() * registers.count(class);
    let outputs = program.outputs().iter().map(|output| Class::of(program.scalar_type(output.value)).width());
    let inputs = loaders.iter().map(|loader| loader.width());
    let row_bytes = widths(Class::Wide) + widths(Class::Narrow) + outputs.chain(inputs).sum::<usize>();
    (BLOCK_BYTES / row_bytes.max(1) / WORD * WORD).clamp(WORD, MAX_BLOCK_ROWS)
}

/// The loop of an operation, with its constants; `None` for one of mask words.
fn bound_loop(
    path: DetectedPath,
    program: &Program,
    position: usize,
    selected: &Selected,
) -> Option<(BoundLoop, LoopData)> {
    let scalar_type = program.scalar_type(Value::at(position));
    match scalar_type {
        ScalarType::F64 => float_loop::<f64>(path, program, position, selected),
        ScalarType::F32 => float_loop::<f32>(path, program, position, selected),
        _ => None,
    }
    .or_else(|| {
        let bound = match (selected.operation, program.instructions()[position]) {
            (Operation::Compare(comparison), _) => loops::compare(path, comparison),
            (Operation::SelectByComparison(comparison), _) => loops::select_by_comparison(path, comparison),
            (_, Instruction::Unary(op, _)) => loops::integer_unary(path, scalar_type, op),
            (_, Instruction::Binary(op, ..)) => loops::integer_binary(path, scalar_type, op),
            (_, Instruction::Cast(to, x)) => return cast(path, program.scalar_type(x), to),
            (_, Instruction::IsNan(x)) => match program.scalar_type(x) {
                ScalarType::F64 => Some(loops::is_nan::<f64>(path)),
                _ => Some(loops::is_nan::<f32>(path)),
            },
            (_, Instruction::InTable(table, x)) => {
                return in_table(path, program.scalar_type(x), program.tables()[table as usize].bits());
            }
            (_, Instruction::Select(..)) => match Class::of(scalar_type) {
                Class::Wide => Some(loops::select::<f64>(path)),
                Class::Narrow => Some(loops::select::<f32>(path)),
                Class::Bool => logical(path, program, position),
            },
            (_, Instruction::Not(_) | Instruction::And(..) | Instruction::Or(..)) => {
                logical(path, program, position)
            }
            _ => None,
        };
        Some((bound?, LoopData::None))
    })
}

/// The loop of an op of floats.
fn float_loop<E: SimdElement>(
    path: DetectedPath,
    program: &Program,
    position: usize,
    selected: &Selected,
) -> Option<(BoundLoop, LoopData)> {
    // Of two NaN, the result is the first. Loops with a constant do not keep the order of sums and products.
    let is_constant = |value: Value| match program.definition(value) {
        Instruction::Const(constant) => constant.as_float().is_some_and(|number| !number.is_nan()),
        _ => false,
    };
    let bound = match (selected.operation, program.instructions()[position]) {
        (Operation::DivideBy(divisor), _) => {
            return Some((loops::divide_by::<E>(path), LoopData::Divisor(divisor)));
        }
        (Operation::Pair { inner, outer, right }, _) => loops::pair::<E>(path, inner, outer, right),
        (Operation::UnaryOfBinary { inner, outer }, _) => loops::unary_of_binary::<E>(path, inner, outer),
        (Operation::Instruction, Instruction::Unary(op, _)) => Some(loops::unary::<E>(path, op)),
        (Operation::Instruction, Instruction::Binary(op, x, y)) => {
            loops::binary::<E>(path, op, [is_constant(x), is_constant(y)])
        }
        _ => None,
    };
    Some((bound?, LoopData::None))
}

/// The loop of a logical instruction; `None` if an operand may be null.
fn logical(path: DetectedPath, program: &Program, position: usize) -> Option<BoundLoop> {
    let instruction = &program.instructions()[position];
    let is_nullable = instruction.operands().any(|operand| program.may_be_null(operand));
    if is_nullable && !program.is_strict() { None } else { loops::logical(path, instruction) }
}

/// The loop of a conversion; `None` from Booleans to Booleans.
fn cast(path: DetectedPath, from: ScalarType, to: ScalarType) -> Option<(BoundLoop, LoopData)> {
    let one = LoopData::Bits(Scalar::Bool(true).cast(to).bits());
    Some(match (from, to) {
        (ScalarType::Bool, ScalarType::Bool) => return None,
        (ScalarType::Bool, _) => match Class::of(to) {
            Class::Wide => (loops::zero_or_one::<f64>(path), one),
            _ => (loops::zero_or_one::<f32>(path), one),
        },
        (_, ScalarType::Bool) => (loops::is_nonzero(path, from)?, LoopData::None),
        _ => (loops::cast(path, from, to)?, LoopData::None),
    })
}

/// The loop that looks up numbers in a table; `None` for Booleans.
fn in_table(path: DetectedPath, scalar_type: ScalarType, table: &[i64]) -> Option<(BoundLoop, LoopData)> {
    let bound = match Class::of(scalar_type) {
        Class::Wide => loops::in_table::<f64>(path, table.len()),
        Class::Narrow => loops::in_table::<f32>(path, table.len()),
        Class::Bool => return None,
    };
    Some((bound, LoopData::Table(table.to_vec())))
}
