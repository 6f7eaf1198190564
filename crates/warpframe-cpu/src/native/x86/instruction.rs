//! Instructions by their operands.

use iced_x86::{Code, Instruction, OpKind, Register};

/// An operand of an instruction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    Register(Register),
    Memory(Address),
    /// The number at an address, in all lanes.
    Broadcast(Address),
    Immediate(u8),
    /// A number that the instruction extends to 64 bits.
    SignExtended(i8),
}

/// An address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    pub base: Register,
    pub index: Register,
    pub scale: u32,
    pub displacement: u64,
}

impl Address {
    pub fn base(base: Register, displacement: u64) -> Self {
        Self { base, index: Register::None, scale: 1, displacement }
    }
}

/// An instruction of these operands.
pub(super) fn instruction(code: Code, operands: &[Operand]) -> Instruction {
    let mut instruction = Instruction::default();
    instruction.set_code(code);
    for (index, operand) in (0u32..).zip(operands) {
        match *operand {
            Operand::Register(register) => {
                instruction.set_op_kind(index, OpKind::Register);
                instruction.set_op_register(index, register);
            }
            Operand::Memory(address) | Operand::Broadcast(address) => {
                instruction.set_is_broadcast(matches!(operand, Operand::Broadcast(_)));
                instruction.set_op_kind(index, OpKind::Memory);
                instruction.set_memory_base(address.base);
                instruction.set_memory_index(address.index);
                instruction.set_memory_index_scale(address.scale);
                instruction.set_memory_displacement64(address.displacement);
                instruction.set_memory_displ_size(u32::from(address.displacement != 0));
            }
            Operand::Immediate(value) => {
                instruction.set_op_kind(index, OpKind::Immediate8);
                instruction.set_immediate8(value);
            }
            Operand::SignExtended(value) => {
                instruction.set_op_kind(index, OpKind::Immediate8to64);
                instruction.set_immediate8to64(value.into());
            }
        }
    }
    instruction
}
