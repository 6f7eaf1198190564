//! Register allocation: assigns a storage location to each value of a program while it is executed on a block of rows.
//! A register holds a block of floats or of Booleans, and is reused after the last use of its value.

use warpframe_ir::instruction::{Instruction, Kind, Value};
use warpframe_ir::program::Program;

/// The storage location of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The input array at this position.
    Input(usize),
    /// The constant at this position of the constant pool.
    Constant(usize),
    /// The register with this number, among the registers of the value's kind.
    Register(usize),
    /// None: the instruction defines no value.
    None,
}

/// The slots of all values of a program.
#[derive(Debug, Clone)]
pub struct RegisterAllocation {
    /// One slot for each instruction.
    pub slots: Vec<Slot>,
    /// The number of registers for floats.
    pub floats: usize,
    /// The number of registers for Booleans.
    pub bools: usize,
    /// The size of the constant pool.
    pub constants: usize,
}

impl RegisterAllocation {
    /// Allocates registers for a program. The output has a register of its own, so that it can be replaced by memory of
    /// the output array.
    pub fn new(program: &Program) -> Self {
        let (instructions, kinds, output) = (program.instructions(), program.kinds(), program.output());
        let mut last_use: Vec<usize> = (0..instructions.len()).collect();
        for (position, instruction) in instructions.iter().enumerate() {
            instruction.operands().for_each(|operand| last_use[operand.position()] = position);
        }
        last_use[output.position()] = usize::MAX;

        let mut allocation = Self { slots: Vec::new(), floats: 0, bools: 0, constants: 0 };
        let mut free: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
        for (position, instruction) in instructions.iter().enumerate() {
            let kind = kinds[position];
            let slot = match (instruction, kind) {
                (Instruction::Input(input), Kind::Float) => Slot::Input(*input),
                (Instruction::ConstFloat(_), _) | (Instruction::ConstNull(Kind::Float), _) => {
                    allocation.constants += 1;
                    Slot::Constant(allocation.constants - 1)
                }
                (Instruction::TrapIf(..), _) => Slot::None,
                _ => {
                    let count = allocation.count(kind);
                    // Boolean inputs are loaded before the first instruction, so their registers must not hold other
                    // values before.
                    let dedicated =
                        position == output.position() || matches!(instruction, Instruction::Input(_));
                    let reused = if dedicated { None } else { free[kind as usize].pop() };
                    Slot::Register(reused.unwrap_or_else(|| {
                        *count += 1;
                        *count - 1
                    }))
                }
            };
            allocation.slots.push(slot);
            // Operands are freed after the result has a register: an op never writes to a register that it reads.
            let mut operands: Vec<_> = instruction.operands().collect();
            operands.dedup();
            for operand in operands.into_iter().chain([Value::at(position)]) {
                if last_use[operand.position()] == position
                    && let Slot::Register(register) = allocation.slots[operand.position()]
                    && !free[kinds[operand.position()] as usize].contains(&register)
                {
                    free[kinds[operand.position()] as usize].push(register);
                }
            }
        }
        allocation
    }

    fn count(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Float => &mut self.floats,
            Kind::Bool => &mut self.bools,
        }
    }
}
