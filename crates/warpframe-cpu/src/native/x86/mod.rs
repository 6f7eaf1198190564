//! Machine code for x86-64: AVX2 with FMA, and AVX-512.
//!
//! A kernel is a leaf function, `extern "sysv64" fn(table: *const usize)`. The table has the number of rows, a positive multiple
//! of 64, then the addresses of inputs and of outputs: of numbers, or of mask words. Each iteration of its loop computes
//! [`COPIES`] vectors. Constants are in front of the code, in the same pages.

mod codes;
mod constant_pool;
#[cfg(all(test, not(miri)))]
mod disassembly;
mod emitter;
mod instruction;
mod legalization;
mod memory;
mod perf_map;
mod registers;
mod target;
#[cfg(all(test, not(miri)))]
mod tests;

use iced_x86::{Code, Encoder, IcedError, Instruction, Register};

use self::emitter::{Body, COPIES, ROW, ROW_BYTE, TABLE, emit};
use self::instruction::{Address, Operand, instruction};
use self::legalization::legalize;
use self::memory::ExecutableMemory;
pub(crate) use self::target::InstructionSet;
use self::target::Target;
use super::error::NativeError;
use super::vec_ir::VecCode;

/// Registers that a function must preserve.
const PRESERVED: [Register; 5] = [Register::RBX, Register::R12, Register::R13, Register::R14, Register::R15];

/// A compiled function.
#[derive(Debug)]
pub(crate) struct Function {
    memory: ExecutableMemory,
    entry: usize,
}

impl Function {
    /// Compiles code with this number of inputs, and an output for each store.
    ///
    /// # Errors
    /// The code cannot be encoded, or the system refuses executable memory.
    pub fn new(set: InstructionSet, code: &VecCode, inputs: usize) -> Result<Self, NativeError> {
        let (bytes, entry) = encode(set, code, inputs)?;
        let memory = ExecutableMemory::new(&bytes)?;
        let name = format!("{set:?} of {} ops", code.ops.len());
        perf_map::add(memory.address().wrapping_add(entry), bytes.len() - entry, &name);
        Ok(Self { memory, entry })
    }

    /// Calls the function.
    ///
    /// # Safety
    /// The table must be as the module describes it: inputs readable, and outputs writable, for the number of rows; outputs that are
    /// stored past the caches aligned to vector registers; and in the place of outputs that are added up, sums for all chunks of the
    /// rows, readable and writable. An output may overlap with no other. The CPU must have the instruction set.
    pub unsafe fn call(&self, table: &[usize]) {
        let address = self.memory.address().wrapping_add(self.entry);
        // SAFETY: the address is that of the entry of a function of this type, in executable memory that lives as long as `self`.
        let function = unsafe { std::mem::transmute::<*const u8, extern "sysv64" fn(*const usize)>(address) };
        function(table.as_ptr());
    }
}

/// The constants and the code, and the offset of the entry.
///
/// # Errors
/// An instruction cannot be encoded.
pub(crate) fn encode(
    set: InstructionSet,
    code: &VecCode,
    inputs: usize,
) -> Result<(Vec<u8>, usize), NativeError> {
    let code = legalize(set, code);
    let target = Target::new(set, &code);
    let body = emit(target, &code, inputs);
    let mut bytes = body.pool.clone();
    bytes.resize(bytes.len().next_multiple_of(64), 0);
    let entry = bytes.len();
    let encoded = function(target, &body, entry as u64).map_err(NativeError::Encoding)?;
    bytes.extend(encoded);
    Ok((bytes, entry))
}

/// Encodes the function at an address.
fn function(target: Target, body: &Body, entry: u64) -> Result<Vec<u8>, IcedError> {
    let mut encoder = Encoder::new(64);
    let mut address = entry;
    let mut encode = |instruction: Instruction| -> Result<u64, IcedError> {
        let start = address;
        address += encoder.encode(&instruction, start)? as u64;
        Ok(start)
    };
    let registers = |code, operands: &[Register]| {
        instruction(code, &operands.iter().copied().map(Operand::Register).collect::<Vec<_>>())
    };
    let load =
        |to, from: Address| instruction(Code::Mov_r64_rm64, &[Operand::Register(to), Operand::Memory(from)]);
    let preserved: Vec<_> =
        PRESERVED.into_iter().filter(|register| body.addresses.contains(register)).collect();

    encode(registers(Code::Push_r64, &[Register::RBP]))?;
    encode(registers(Code::Mov_r64_rm64, &[Register::RBP, Register::RSP]))?;
    for register in &preserved {
        encode(registers(Code::Push_r64, &[*register]))?;
    }
    if body.stack_slots > 0 {
        let frame = body.stack_slots as usize * target.vector_bytes();
        encode(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, frame as i32)?)?;
        encode(Instruction::with2(Code::And_rm64_imm8, Register::RSP, -64)?)?;
    }
    for (entry, register) in (1u64..).zip(&body.addresses) {
        encode(load(*register, Address::base(TABLE, 8 * entry)))?;
    }
    encode(registers(Code::Xor_r32_rm32, &[Register::ECX, Register::ECX]))?;
    for instruction in &body.preamble {
        encode(*instruction)?;
    }
    let start = encode(registers(Code::Mov_r64_rm64, &[ROW_BYTE, ROW]))?;
    encode(Instruction::with2(Code::Shr_rm64_imm8, ROW_BYTE, 3)?)?;
    for instruction in &body.instructions {
        encode(*instruction)?;
    }
    encode(Instruction::with2(Code::Add_rm64_imm8, ROW, (target.lanes * COPIES) as i32)?)?;
    encode(instruction(
        Code::Cmp_r64_rm64,
        &[Operand::Register(ROW), Operand::Memory(Address::base(TABLE, 0))],
    ))?;
    encode(Instruction::with_branch(Code::Jb_rel32_64, start)?)?;
    encode(Instruction::with(Code::VEX_Vzeroupper))?;
    if body.stack_slots > 0 {
        let below = (8 * preserved.len() as u64).wrapping_neg();
        let top = Operand::Memory(Address::base(Register::RBP, below));
        encode(instruction(Code::Lea_r64_m, &[Operand::Register(Register::RSP), top]))?;
    }
    for register in preserved.iter().rev() {
        encode(registers(Code::Pop_r64, &[*register]))?;
    }
    encode(registers(Code::Pop_r64, &[Register::RBP]))?;
    encode(Instruction::with(Code::Retnq))?;
    Ok(encoder.take_buffer())
}
