//! Register allocation: assigns a storage location to each value of a program while it is executed on a block of rows. A
//! register holds a block of Booleans, or of numbers of 4 or 8 bytes, and is reused after the last use of its value.

use std::ops::Range;

use warpframe_ir::Scalar;
use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::program::Program;

use super::class::Class;
use super::instruction_selection::{Selected, roots};
use super::validity::condition_of_validity;

/// The storage location of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The input array at this position.
    Input(usize),
    /// The constant at this position of the constant pool.
    Constant(usize),
    /// The register with this number, among the registers of the value's class.
    Register(usize),
    /// The array of the output at this position.
    Output(usize),
    /// None: the instruction defines no value.
    None,
}

/// The slots of all values of a program.
#[derive(Debug, Clone)]
pub struct RegisterAllocation {
    /// One slot for each instruction.
    pub slots: Vec<Slot>,
    /// The number of registers of each [`Class`].
    pub registers: [usize; 3],
    /// The constants that numbers are compared and computed with; 0 in the place of a null.
    pub constants: Vec<Scalar>,
}

impl RegisterAllocation {
    /// Allocates registers for a program with the operations of its instructions. Numbers of an output that are the result of
    /// an operation are computed in the output's array, unless rows are left out by a predicate. What a group of instructions
    /// reads is kept until its end, since the group may be executed as a whole.
    pub fn new(program: &Program, selected: &[Option<Selected>], groups: &[Range<usize>]) -> Self {
        let class = |value: Value| Class::of(program.scalar_type(value));
        let mut last_use: Vec<usize> = (0..selected.len()).collect();
        let mut next_group = 0;
        for (position, selected) in selected.iter().enumerate() {
            let operands = selected.iter().flat_map(|one| &one.operands);
            while groups.get(next_group).is_some_and(|group| group.end <= position) {
                next_group += 1;
            }
            let group = groups.get(next_group).filter(|group| group.contains(&position));
            for operand in operands.map(|operand| operand.position()) {
                let end = group.filter(|group| !group.contains(&operand)).map(|group| group.end - 1);
                last_use[operand] = last_use[operand].max(end.unwrap_or(position));
            }
            // The validity of a choice is computed after the group, from its condition.
            if let (Some(group), Some(condition)) =
                (group, condition_of_validity(program, Value::at(position)))
            {
                let last_use = &mut last_use[condition.position()];
                *last_use = (*last_use).max(group.end);
            }
        }
        roots(program).for_each(|root| last_use[root.position()] = usize::MAX);

        let mut allocation = Self { slots: Vec::new(), registers: [0; 3], constants: Vec::new() };
        let mut free: [Vec<usize>; 3] = Default::default();
        for (position, instruction) in program.instructions().iter().enumerate() {
            let value = Value::at(position);
            let class_of_value = class(value);
            let is_number = class_of_value != Class::Bool;
            let output = program.outputs().iter().position(|output| output.value == value);
            let slot = match (instruction, &selected[position], output) {
                (Instruction::TrapIf(..), ..) => Slot::None,
                (Instruction::Input(input), ..) if is_number => Slot::Input(*input as usize),
                (Instruction::Const(constant), ..) if is_number => allocation.constant(*constant),
                (Instruction::Null(scalar_type), ..) if is_number => {
                    allocation.constant(Scalar::of_integer(*scalar_type, 0))
                }
                // Boolean inputs are loaded before the first operation, so their registers must not hold other values before.
                (Instruction::Input(_), ..) => Slot::Register(allocation.new_register(class_of_value)),
                (_, None, _) => Slot::None,
                (_, _, Some(output)) if is_number && program.predicate().is_none() => Slot::Output(output),
                _ => {
                    let reused = free[class_of_value as usize].pop();
                    Slot::Register(reused.unwrap_or_else(|| allocation.new_register(class_of_value)))
                }
            };
            allocation.slots.push(slot);
            // Operands are freed after the result has a register: an operation never writes to a register that it reads.
            let operands = selected[position].iter().flat_map(|one| one.operands.iter().copied());
            for operand in operands.chain([value]) {
                if last_use[operand.position()] == position
                    && let Slot::Register(register) = allocation.slots[operand.position()]
                {
                    let free = &mut free[class(operand) as usize];
                    // An operation may read a value twice.
                    if !free.contains(&register) {
                        free.push(register);
                    }
                }
            }
        }
        allocation
    }

    fn new_register(&mut self, class: Class) -> usize {
        let count = &mut self.registers[class as usize];
        *count += 1;
        *count - 1
    }

    /// The number of registers of a class.
    pub fn count(&self, class: Class) -> usize {
        self.registers[class as usize]
    }

    fn constant(&mut self, constant: Scalar) -> Slot {
        self.constants.push(constant);
        Slot::Constant(self.constants.len() - 1)
    }
}
