//! The compiled form of a program for the block executor: steps, each of which computes a value of a block of rows.

use warpframe_ir::error::Result;
use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::program::Program;
use warpframe_ir::{Scalar, ScalarType, Trap};

use super::block::{LoopData, MAX_OPERANDS, WORD};
use super::class::Class;
use super::dispatch::{BoundLoop, DetectedPath};
use super::input_conversion::Loader;
use super::instruction_selection::{Operation, Selected, select_instructions};
use super::lanes::SimdElement;
use super::loops;
use super::register_allocation::{RegisterAllocation, Slot};

/// The bytes of all numbers of a block: of its inputs, registers and outputs. They fit in an L1 data cache of 32 KiB. With larger
/// blocks, which read one input alone for longer, inputs that are not in the cache are read more slowly; with smaller ones, the
/// steps cost more.
const BLOCK_BYTES: usize = 20 * 1024;

/// The largest number of rows in a block.
pub(super) const MAX_BLOCK_ROWS: usize = 1024;

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
    /// The loops of the steps.
    pub loops: Vec<LoopCode>,
    /// The operands and targets of loops whose numbers have another location in each block.
    pub moving: Vec<Moving>,
    /// The positions of the instructions that compute an output in its array, with the positions of the outputs.
    pub in_outputs: Vec<(usize, usize)>,
}

/// A step of the execution of a block.
#[derive(Debug)]
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
}

/// A loop, and where it reads and writes.
#[derive(Debug)]
pub(super) struct LoopCode {
    pub bound: BoundLoop,
    pub operands: [Place; MAX_OPERANDS],
    pub target: Place,
    pub data: LoopData,
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

/// Where a value is while a block is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: the loop has no such operand.
    None,
    /// The location of the numbers of the instruction at this position.
    Numbers(usize),
    /// The register for mask words with this number.
    Words(usize),
    /// The mask words of [`Step::Chosen`].
    Chosen,
}

impl BlockCode {
    /// Compiles a program for a path.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`](warpframe_ir::Error::InvalidProgram): inputs of a type are not supported.
    pub fn new(path: DetectedPath, program: &Program) -> Result<Self> {
        let selected = select_instructions(program);
        let registers = RegisterAllocation::new(program, &selected);
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
            moving: Vec::new(),
            in_outputs: Vec::new(),
            registers,
        };
        for (position, (instruction, selected)) in program.instructions().iter().zip(&selected).enumerate() {
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
            if code.computes_validity(program, Value::at(position)) {
                code.steps.push(Step::Validity(position));
            }
        }
        Ok(code)
    }

    /// Whether the validity of a value is computed. That of strict programs is not: it is the union of the inputs'.
    pub fn computes_validity(&self, program: &Program, value: Value) -> bool {
        !program.is_strict()
            && program.may_be_null(value)
            && !matches!(program.definition(value), Instruction::TrapIf(..))
    }

    /// Adds the steps that compute the value of an instruction.
    fn add_steps(&mut self, path: DetectedPath, program: &Program, position: usize, selected: &Selected) {
        if let Instruction::TrapIf(trap, condition, _) = program.instructions()[position] {
            return self.steps.push(Step::Trap(trap, condition));
        }
        let Some((bound, data)) = bound_loop(path, program, position, selected) else {
            return self.steps.push(Step::Words(position));
        };
        let place = |value: Value| match (self.registers.slots[value.position()], program.scalar_type(value))
        {
            (Slot::Register(register), ScalarType::Bool) => Place::Words(register),
            _ => Place::Numbers(value.position()),
        };
        let mut operands = [Place::None; MAX_OPERANDS];
        for (operand, value) in operands.iter_mut().zip(&selected.operands) {
            *operand = place(*value);
        }
        let target = place(Value::at(position));
        if let (Instruction::Select(condition, ..), Operation::Instruction) =
            (program.instructions()[position], selected.operation)
            && self.computes_validity(program, condition)
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
        self.loops.push(LoopCode { bound, operands, target, data });
    }
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
    let is_constant = |value: Value| matches!(program.definition(value), Instruction::Const(_));
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
