//! Groups of instructions that are compiled to one function each.

use std::ops::Range;

use warpframe_ir::ScalarType;
use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::ops::Unary;
use warpframe_ir::program::Program;

use super::integers;
use crate::class::Class;
use crate::validity::computes_validity;

/// The largest table whose constants a value is compared with one by one.
pub(super) const MAX_TABLE: usize = 8;

/// An order of a program's instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grouping {
    /// The old position of each instruction.
    pub order: Vec<usize>,
    /// The new positions of the instructions of each group.
    pub groups: Vec<Range<usize>>,
}

impl Grouping {
    /// The order in which as many native instructions as possible follow each other. Traps keep their order, so that of two
    /// that fail, the same one is reported.
    pub fn new(program: &Program) -> Self {
        let instructions = program.instructions();
        let is_native: Vec<_> =
            (0..instructions.len()).map(|position| is_native(program, position)).collect();
        // A native instruction that reads the result of one that is not is in a later stage.
        let mut stages = vec![0usize; instructions.len()];
        let mut trap_stage = 0;
        for (position, instruction) in instructions.iter().enumerate() {
            let stage = instruction.operands().map(|operand| {
                let operand = operand.position();
                let follows = is_native[position] && !is_native[operand] && !is_leaf(&instructions[operand]);
                stages[operand] + usize::from(follows)
            });
            stages[position] = stage.max().unwrap_or(0);
            if matches!(instruction, Instruction::TrapIf(..)) {
                trap_stage = trap_stage.max(stages[position]);
                stages[position] = trap_stage;
            }
        }
        // Leaves first, then by stages, in each the native instructions first.
        let rank = |position: usize| match is_leaf(&instructions[position]) {
            true => (0, false),
            false => (1 + stages[position], !is_native[position]),
        };
        let mut order: Vec<_> = (0..instructions.len()).collect();
        order.sort_by_key(|&position| rank(position));
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (position, &old) in order.iter().enumerate().filter(|(_, old)| is_native[**old]) {
            match groups.last_mut() {
                Some(group) if group.end == position && rank(order[group.start]) == rank(old) => {
                    group.end += 1
                }
                _ => groups.push(position..position + 1),
            }
        }
        Self { order, groups }
    }
}

/// Whether an instruction reads no value.
fn is_leaf(instruction: &Instruction) -> bool {
    matches!(instruction, Instruction::Input(_) | Instruction::Const(_) | Instruction::Null(_))
}

/// Whether an instruction has native code. Not if it reads Booleans together with their validity.
fn is_native(program: &Program, position: usize) -> bool {
    let computes_validity = |value: Value| computes_validity(program, value);
    let scalar_type = program.scalar_type(Value::at(position));
    match program.instructions()[position] {
        Instruction::Unary(op, _) => scalar_type.is_float() || matches!(op, Unary::Negate | Unary::Abs),
        Instruction::Binary(op, x, y) => {
            let constant = |value: Value| match *program.definition(value) {
                Instruction::Const(constant) => Some(constant),
                _ => None,
            };
            scalar_type.is_float() || integers::has_code(op, scalar_type, [x, y].map(constant))
        }
        Instruction::Compare(_, x, _) => program.scalar_type(x) != ScalarType::Bool,
        Instruction::Cast(to, x) => integers::has_cast(program.scalar_type(x), to),
        Instruction::IsNan(_) => true,
        Instruction::InTable(table, x) => {
            Class::of(program.scalar_type(x)) != Class::Bool
                && program.tables()[table as usize].bits().len() <= MAX_TABLE
        }
        Instruction::Not(x) => !computes_validity(x),
        Instruction::And(x, y) | Instruction::Or(x, y) => !computes_validity(x) && !computes_validity(y),
        Instruction::Select(condition, yes, no) => {
            let operands = [condition, yes, no];
            let checked = if scalar_type == ScalarType::Bool { &operands[..] } else { &operands[..1] };
            !checked.iter().any(|&operand| computes_validity(operand))
        }
        Instruction::Input(_)
        | Instruction::Const(_)
        | Instruction::Null(_)
        | Instruction::IsNull(_)
        | Instruction::TrapIf(..) => false,
    }
}
