//! Translates VecIR to instructions, with registers assigned on the way.

use std::collections::HashMap;
use std::ops::Range;

use iced_x86::{Code, Instruction, OpKind, Register};

use super::codes::{self, Forms};
use super::registers::{Eviction, File, Registers};
use super::target::{Form, Target};
use crate::class::Class;
use crate::native::vec_ir::{Arithmetic, Conversion, Id, Logic, MultiplyAdd, Rounding, Test, VecCode, VecOp};

/// The vectors that an iteration of the loop computes: enough for whole bytes of mask bits, and for the CPU to have independent
/// work.
pub(super) const COPIES: usize = 2;

/// The distance of prefetched numbers: computing the rows between takes about as long as a read from memory.
const PREFETCH_BYTES: usize = 2048;
const CACHE_LINE: usize = 64;

/// The general registers that hold addresses of inputs and outputs. Those of further ones are loaded where they are used.
const ADDRESS_REGISTERS: [Register; 9] = [
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::RBX,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
/// The argument: the table of addresses, whose first entry is the number of rows.
pub(super) const TABLE: Register = Register::RDI;
/// The row.
pub(super) const ROW: Register = Register::RCX;
/// The byte of the row's mask bit.
pub(super) const ROW_BYTE: Register = Register::RDX;
/// Scratch registers: for an address, and for mask bits.
const ADDRESS: Register = Register::RAX;
const BITS: [Register; 2] = [Register::EAX, Register::ESI];

/// An operand of an instruction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    Register(Register),
    Memory(Address),
    /// The number at an address, in all lanes.
    Broadcast(Address),
    Immediate(u8),
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
        }
    }
    instruction
}

/// Something that is emitted: the op of a value, or a store.
#[derive(Debug, Clone, Copy)]
enum Item {
    Op(u32),
    Store {
        value: u32,
        output: u32,
    },
    /// The mask of each copy.
    StoreMask {
        masks: [u32; COPIES],
        output: u32,
        inverted: bool,
    },
}

/// The body of the loop.
#[derive(Debug)]
pub(super) struct Body {
    /// Executed once, before the loop.
    pub preamble: Vec<Instruction>,
    pub instructions: Vec<Instruction>,
    /// The constants, from address 0 on.
    pub pool: Vec<u8>,
    pub stack_slots: u32,
    /// The number of the last general register that holds an address, with the entries of the table.
    pub addresses: Vec<Register>,
}

/// Emits the body of the loop for code with this number of inputs. The entries of the address table behind the number of rows
/// are those of inputs, then those of outputs.
pub(super) fn emit(target: Target, code: &VecCode, inputs: usize, outputs: usize) -> Body {
    let mut emitter = Emitter::new(target, code, inputs);
    let items = emitter.items();
    let uses = emitter.uses(&items);
    let in_memory = (0..emitter.value_count()).map(|value| {
        matches!(emitter.op(value), VecOp::Load(..) | VecOp::Constant(..))
            || matches!(emitter.op(value), VecOp::ConstantMask(..)) && !target.has_mask_registers()
    });
    let constants = emitter.frequent_constants(&uses);
    emitter.registers = Registers::new(target.vectors(), SCRATCH_MASK as usize, uses, in_memory.collect());
    emitter.pin(constants);
    let preamble = std::mem::take(&mut emitter.instructions);
    emitter.prefetch();
    for (position, item) in (0u32..).zip(items) {
        emitter.position = position;
        emitter.registers.reuse_slots();
        match item {
            Item::Op(value) => emitter.op_of(value),
            Item::Store { value, output } => emitter.store(value, output),
            Item::StoreMask { masks, output, inverted } => emitter.store_mask(masks, output, inverted),
        }
    }
    let addresses = ADDRESS_REGISTERS.into_iter().take(inputs + outputs).collect();
    Body {
        preamble,
        instructions: emitter.instructions,
        pool: emitter.pool,
        stack_slots: emitter.registers.slot_count(),
        addresses,
    }
}

struct Emitter<'a> {
    target: Target,
    code: &'a VecCode,
    inputs: usize,
    registers: Registers,
    instructions: Vec<Instruction>,
    pool: Vec<u8>,
    /// The addresses of constant vectors in the pool, by their lanes.
    vectors: HashMap<(Class, Vec<u64>), u64>,
    /// The addresses of numbers in the pool that are broadcast, by their bits, and the free part of a line for more.
    numbers: HashMap<u64, u64>,
    free: Range<u64>,
    /// The item that is being emitted.
    position: u32,
    /// Values whose registers must be kept while it is.
    locked: Vec<u32>,
}

impl<'a> Emitter<'a> {
    fn new(target: Target, code: &'a VecCode, inputs: usize) -> Self {
        Self {
            target,
            code,
            inputs,
            registers: Registers::new(0, 0, Vec::new(), Vec::new()),
            instructions: Vec::new(),
            pool: Vec::new(),
            vectors: HashMap::new(),
            numbers: HashMap::new(),
            free: 0..0,
            position: 0,
            locked: Vec::new(),
        }
    }

    /// The values of all copies: value `v` of copy `c` has the number `v * COPIES + c`.
    fn value_count(&self) -> u32 {
        (self.code.ops.len() * COPIES) as u32
    }

    fn op(&self, value: u32) -> VecOp {
        self.code.ops[value as usize / COPIES]
    }

    fn class(&self, value: u32) -> Class {
        self.op(value).class()
    }

    /// The value that has the lanes of a value: a mask in a vector register needs only the highest bits of lanes, and all copies of
    /// a constant are the first.
    fn resolve(&self, value: u32) -> u32 {
        let copy = value as usize % COPIES;
        match (self.op(value), self.target.has_mask_registers()) {
            (VecOp::Constant(..), _) => value - copy as u32,
            (VecOp::IsNegative(_, x), false) | (VecOp::ConvertMask(_, x), true) => {
                self.resolve((x.position() * COPIES + copy) as u32)
            }
            _ => value,
        }
    }

    /// An operand of a value's op.
    fn operand(&self, value: u32, operand: Id) -> u32 {
        self.resolve((operand.position() * COPIES + value as usize % COPIES) as u32)
    }

    fn file(&self, value: u32) -> File {
        match self.op(value).is_mask() && self.target.has_mask_registers() {
            true => File::Masks,
            false => File::Vectors,
        }
    }

    /// What is emitted, in order. The copies alternate if the registers suffice for both at once.
    fn items(&self) -> Vec<Item> {
        let ops = self.code.ops.len();
        let interleaved = self.is_interleaved();
        let order = |step: usize| match interleaved {
            true => (step / COPIES, step % COPIES),
            false => (step % ops, step / ops),
        };
        let mut items = Vec::new();
        for step in 0..ops * COPIES {
            let (position, copy) = order(step);
            let value = (position * COPIES + copy) as u32;
            if self.resolve(value) == value {
                items.push(Item::Op(value));
            }
            // Numbers are stored as soon as they are known.
            let stores = self.code.stores.iter().filter(|store| store.value.position() == position);
            for store in stores.filter(|_| !self.op(value).is_mask()) {
                items.push(Item::Store { value, output: store.output });
            }
        }
        for store in &self.code.stores {
            let masks = [0, 1].map(|copy| self.resolve((store.value.position() * COPIES + copy) as u32));
            if self.code.op(store.value).is_mask() {
                items.push(Item::StoreMask { masks, output: store.output, inverted: store.inverted });
            }
        }
        items
    }

    /// The positions of the items that read each value.
    fn uses(&self, items: &[Item]) -> Vec<Vec<u32>> {
        let mut uses = vec![Vec::new(); self.value_count() as usize];
        for (position, item) in (0u32..).zip(items) {
            match item {
                Item::Op(value) => {
                    for operand in self.op(*value).operands() {
                        uses[self.operand(*value, operand) as usize].push(position);
                    }
                }
                Item::Store { value, .. } => uses[*value as usize].push(position),
                Item::StoreMask { masks, .. } => {
                    masks.iter().for_each(|mask| uses[*mask as usize].push(position))
                }
            }
        }
        uses
    }

    /// The constants that are read most often, as many as there are registers that other values do not need.
    fn frequent_constants(&self, uses: &[Vec<u32>]) -> Vec<u32> {
        let mut pressure = self.code.pressure(!self.target.has_mask_registers());
        if self.is_interleaved() {
            pressure *= COPIES;
        }
        // One more for a value that is read from memory.
        let count = self.target.vectors().saturating_sub(pressure + 2);
        let is_constant =
            |value: &u32| matches!(self.op(*value), VecOp::Constant(..)) && self.resolve(*value) == *value;
        let mut constants: Vec<_> = (0..self.value_count()).filter(is_constant).collect();
        constants.sort_by_key(|value| std::cmp::Reverse(uses[*value as usize].len()));
        constants.truncate(count);
        constants
    }

    fn pin(&mut self, constants: Vec<u32>) {
        for value in constants {
            let home = self.home(value);
            if let (Some(home), Some(register)) = (home, self.registers.pin(value)) {
                let class = self.class(value);
                self.load(class, self.vector(class, register), home);
            }
        }
    }

    /// Prefetches the inputs of later iterations: the hardware's prefetcher does not cross the end of a page.
    fn prefetch(&mut self) {
        for op in &self.code.ops {
            let VecOp::Load(class, input) = *op else { continue };
            let bytes = COPIES * self.target.lanes * class.width();
            for line in (0..bytes).step_by(CACHE_LINE) {
                let mut address = self.rows(input as usize, class, 0);
                address.displacement = (PREFETCH_BYTES + line) as u64;
                self.push(Code::Prefetcht0_m8, &[Operand::Memory(address)]);
            }
        }
    }

    fn is_interleaved(&self) -> bool {
        self.code.pressure(!self.target.has_mask_registers()) <= self.target.interleaved_pressure()
    }

    fn push(&mut self, code: Code, operands: &[Operand]) {
        self.instructions.push(instruction(code, operands));
    }

    /// The operand for the vector register with this number.
    fn vector(&self, class: Class, number: u8) -> Operand {
        Operand::Register(self.target.vector(class, number))
    }

    /// The operand for the register of a value.
    fn register_operand(&self, value: u32, number: u8) -> Operand {
        match self.file(value) {
            File::Vectors => self.vector(self.class(value), number),
            File::Masks => mask_register(number),
        }
    }

    fn code(&self, forms: Forms, class: Class) -> Code {
        forms.code(self.target.form(class))
    }

    /// The address of a constant vector: the lanes of a number of a class, repeated.
    fn constant(&mut self, class: Class, lanes: &[u64]) -> Address {
        let key = (class, lanes.to_vec());
        let address = self.vectors.get(&key).copied().unwrap_or_else(|| {
            let address = self.pool.len() as u64;
            let end = self.pool.len() + self.target.vector_bytes();
            let lanes =
                lanes.iter().cycle().flat_map(|lane| lane.to_le_bytes().into_iter().take(class.width()));
            self.pool.extend(lanes.take(end - self.pool.len()));
            self.vectors.insert(key, address);
            address
        });
        Address::base(Register::RIP, address)
    }

    /// The operand for a number in all lanes. AVX-512 broadcasts it: then constants fill few lines of the cache, and loads of them
    /// rarely have the offset in a page that a pending store has, which delays them.
    fn splat(&mut self, class: Class, bits: u64) -> Operand {
        if !self.target.has_mask_registers() {
            return Operand::Memory(self.constant(class, &[bits]));
        }
        let address = self.numbers.get(&bits).copied().unwrap_or_else(|| {
            if self.free.is_empty() {
                let start = self.pool.len() as u64;
                self.pool.resize(self.pool.len() + CACHE_LINE, 0);
                self.free = start..self.pool.len() as u64;
            }
            let address = self.free.start;
            self.free.start += size_of::<u64>() as u64;
            let number = &mut self.pool[address as usize..][..size_of::<u64>()];
            number.copy_from_slice(&bits.to_le_bytes());
            self.numbers.insert(bits, address);
            address
        });
        Operand::Broadcast(Address::base(Register::RIP, address))
    }

    /// Loads a value of a class into a vector register.
    fn load(&mut self, class: Class, to: Operand, from: Operand) {
        let code = match (from, self.target.form(class)) {
            (Operand::Broadcast(_), Form::WideZmm) => Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
            (Operand::Broadcast(_), Form::NarrowZmm) => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
            (Operand::Broadcast(_), _) => Code::EVEX_Vbroadcastss_ymm_k1z_xmmm32,
            _ => self.code(codes::LOAD, class),
        };
        // These instructions always read one number.
        let from = match from {
            Operand::Broadcast(address) => Operand::Memory(address),
            other => other,
        };
        self.push(code, &[to, from]);
    }

    /// The address of the table's entry at a position, or the register that holds the entry.
    fn base(&mut self, entry: usize) -> Register {
        match ADDRESS_REGISTERS.get(entry) {
            Some(register) => *register,
            None => {
                let entry = Address::base(TABLE, 8 * (entry as u64 + 1));
                self.push(Code::Mov_r64_rm64, &[Operand::Register(ADDRESS), Operand::Memory(entry)]);
                ADDRESS
            }
        }
    }

    /// The address of the numbers of a copy's rows.
    fn rows(&mut self, entry: usize, class: Class, copy: usize) -> Address {
        let base = self.base(entry);
        let scale = class.width() as u32;
        let displacement = (copy * self.target.lanes * class.width()) as u64;
        Address { base, index: ROW, scale, displacement }
    }

    /// The address of the mask bits of a copy's rows, or of both if they share a byte.
    fn bits(&mut self, entry: usize, copy: usize) -> Address {
        let base = self.base(entry);
        Address { base, index: ROW_BYTE, scale: 1, displacement: (copy * self.target.lanes / 8) as u64 }
    }

    fn stack(&self, slot: u32) -> Address {
        Address::base(Register::RSP, (slot as usize * self.target.vector_bytes()) as u64)
    }

    /// Where a value that is in no register is, if it is in memory.
    fn home(&mut self, value: u32) -> Option<Operand> {
        if let Some(slot) = self.registers.slot(value) {
            return Some(Operand::Memory(self.stack(slot)));
        }
        match self.op(value) {
            VecOp::Load(class, input) => {
                Some(Operand::Memory(self.rows(input as usize, class, value as usize % COPIES)))
            }
            VecOp::Constant(class, bits) => Some(self.splat(class, bits)),
            VecOp::ConstantMask(class, value) => {
                let bits = if value { u64::MAX } else { 0 };
                Some(Operand::Memory(self.constant(class, &[bits])))
            }
            _ => None,
        }
    }

    fn store_evicted(&mut self, eviction: Option<Eviction>) {
        let Some(Eviction { value, register, slot }) = eviction else { return };
        let to = Operand::Memory(self.stack(slot));
        let from = self.register_operand(value, register);
        match self.file(value) {
            File::Vectors => self.push(self.code(codes::STORE, self.class(value)), &[to, from]),
            File::Masks => self.push(Code::VEX_Kmovw_m16_kr, &[to, from]),
        }
    }

    /// A register for a new value.
    fn define(&mut self, value: u32) -> u8 {
        let file = self.file(value);
        let locked = std::mem::take(&mut self.locked);
        let (register, eviction) = self.registers.take(file, value, self.position, &locked);
        self.locked = locked;
        self.store_evicted(eviction);
        register
    }

    /// The register of a value, into which it is loaded if it is in none. It is kept while the item is emitted.
    fn in_register(&mut self, value: u32) -> u8 {
        if let Some(register) = self.registers.register(value) {
            self.locked.push(value);
            return register;
        }
        let register = self.define(value);
        self.locked.push(value);
        let to = self.register_operand(value, register);
        if let Some(home) = self.home(value) {
            match self.file(value) {
                File::Vectors => self.load(self.class(value), to, home),
                File::Masks => self.push(Code::VEX_Kmovw_kr_km16, &[to, home]),
            }
        }
        register
    }

    /// The operand for a value that an instruction may read from memory.
    fn register_or_memory(&mut self, value: u32) -> Operand {
        let is_constant = matches!(self.op(value), VecOp::Constant(..) | VecOp::ConstantMask(..));
        let read_once = self.registers.reads_from(value, self.position) <= 1;
        if self.registers.register(value).is_none()
            && (is_constant || read_once)
            && let Some(home) = self.home(value)
        {
            return home;
        }
        let register = self.in_register(value);
        self.register_operand(value, register)
    }

    /// Frees the registers of values that are not read any more.
    fn release(&mut self, values: &[u32]) {
        for &value in values {
            self.registers.release(self.file(value), value, self.position);
        }
    }

    /// The register of a result, after those of operands that are not read any more have been freed, unless the result is
    /// written before they are read.
    fn result(&mut self, value: u32, operands: &[u32], early: bool) -> u8 {
        if !early {
            self.release(operands);
            self.locked.clear();
        }
        let register = self.define(value);
        if early {
            self.release(operands);
        }
        self.locked.clear();
        // A result that nothing reads is not kept.
        register
    }

    fn op_of(&mut self, value: u32) {
        let (op, class) = (self.op(value), self.class(value));
        let operand = |this: &Self, id: Id| this.operand(value, id);
        self.locked.clear();
        match op {
            // Read where they are used.
            VecOp::Load(..) | VecOp::Constant(..) => {}
            VecOp::ConstantMask(_, bits) => {
                if self.target.has_mask_registers() {
                    let k = mask_register(self.result(value, &[], false));
                    let code = if bits { Code::VEX_Kxnorw_kr_kr_kr } else { Code::VEX_Kxorw_kr_kr_kr };
                    self.push(code, &[k, k, k]);
                }
            }
            VecOp::LoadMask(_, input) => self.load_mask(value, input as usize),
            VecOp::Arithmetic(op, _, a, b) => {
                let (a, b) = (operand(self, a), operand(self, b));
                self.binary(arithmetic(op), value, a, b, None);
            }
            VecOp::MultiplyAdd(signs, _, a, b, c) => {
                let operands = [a, b, c].map(|id| operand(self, id));
                self.multiply_add(signs, value, operands);
            }
            VecOp::Sqrt(_, a) => {
                let a = operand(self, a);
                self.unary(self.code(codes::SQRT, class), value, a, None);
            }
            VecOp::Round(rounding, _, a) => {
                // Without the exception for inexact results.
                let mode = match rounding {
                    Rounding::Floor => 9,
                    Rounding::Ceil => 10,
                    Rounding::Trunc => 11,
                };
                let a = operand(self, a);
                self.unary(self.code(codes::ROUND, class), value, a, Some(mode));
            }
            VecOp::ShiftLeft(_, a, bits) => {
                let a = operand(self, a);
                self.shift(self.code(codes::SHIFT_LEFT, class), value, a, bits);
            }
            VecOp::ShiftRight(_, a, bits) => {
                let a = operand(self, a);
                self.shift(self.code(codes::SHIFT_RIGHT, class), value, a, bits);
            }
            VecOp::SpreadSign(_, a) => {
                let a = operand(self, a);
                self.spread_sign(value, a);
            }
            VecOp::Exponent(_, a) => {
                let code = match self.target.form(class) {
                    Form::WideZmm => Code::EVEX_Vgetexppd_zmm_k1z_zmmm512b64_sae,
                    Form::NarrowZmm => Code::EVEX_Vgetexpps_zmm_k1z_zmmm512b32_sae,
                    // AVX2 has no such instruction, and its code no such op.
                    _ => Code::EVEX_Vgetexpps_ymm_k1z_ymmm256b32,
                };
                let a = operand(self, a);
                self.unary(code, value, a, None);
            }
            VecOp::Cell(_, a) => {
                let a = operand(self, a);
                // The upper half of a wide lane has the index in its lowest bits, as the permutation needs it.
                let (code, bits) = match self.target.form(class) {
                    Form::WideYmm => (Code::VEX_Vpsrld_ymm_ymm_imm8, 17),
                    Form::WideZmm => (Code::EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8, 49),
                    _ => (self.code(codes::SHIFT_RIGHT, class), 20),
                };
                self.shift(code, value, a, bits);
            }
            VecOp::LookUp(_, table, cell) => {
                let cell = operand(self, cell);
                self.look_up(value, table as usize, cell);
            }
            VecOp::Test(test, class, a, b) => {
                let (a, b) = (operand(self, a), operand(self, b));
                let (forms, predicate) = match test {
                    Test::Less => (codes::COMPARE, Some(0x11)),
                    Test::Equal => (codes::COMPARE, Some(0)),
                    Test::Unordered => (codes::COMPARE, Some(3)),
                    Test::GreaterIntegers => (codes::GREATER_INTEGERS, None),
                    Test::SameBits => (codes::SAME_BITS, None),
                };
                debug_assert_eq!(self.class(value), class);
                self.binary(forms, value, a, b, predicate);
            }
            VecOp::IsNegative(class, a) => {
                let a = operand(self, a);
                let from = self.in_register(a);
                let from = self.vector(class, from);
                let to = mask_register(self.result(value, &[a], false));
                let code = match self.target.form(class) {
                    Form::WideZmm => Code::EVEX_Vpmovq2m_kr_zmm,
                    Form::NarrowZmm => Code::EVEX_Vpmovd2m_kr_zmm,
                    _ => Code::EVEX_Vpmovd2m_kr_ymm,
                };
                self.push(code, &[to, from]);
            }
            VecOp::Logic(logic, _, a, b) => {
                let (a, b) = (operand(self, a), operand(self, b));
                if !self.target.has_mask_registers() {
                    let forms = match logic {
                        Logic::And => codes::AND,
                        Logic::Or => codes::OR,
                        Logic::AndNot => codes::AND_NOT,
                    };
                    return self.binary(forms, value, a, b, None);
                }
                let code = match logic {
                    Logic::And => Code::VEX_Kandw_kr_kr_kr,
                    Logic::Or => Code::VEX_Korw_kr_kr_kr,
                    Logic::AndNot => Code::VEX_Kandnw_kr_kr_kr,
                };
                let operands = [a, b].map(|mask| mask_register(self.in_register(mask)));
                let to = mask_register(self.result(value, &[a, b], false));
                self.push(code, &[to, operands[0], operands[1]]);
            }
            VecOp::Not(_, a) => {
                let a = operand(self, a);
                let from = self.in_register(a);
                if self.target.has_mask_registers() {
                    let to = mask_register(self.result(value, &[a], false));
                    return self.push(Code::VEX_Knotw_kr_kr, &[to, mask_register(from)]);
                }
                let ones = Operand::Memory(self.constant(class, &[u64::MAX]));
                let from = self.vector(class, from);
                let to = self.result(value, &[a], false);
                let to = self.vector(class, to);
                self.push(self.code(codes::XOR, class), &[to, from, ones]);
            }
            VecOp::Select(_, mask, yes, no) => {
                let [mask, yes, no] = [mask, yes, no].map(|id| operand(self, id));
                self.select(value, mask, yes, no);
            }
            VecOp::Convert(conversion, a) => {
                let a = operand(self, a);
                self.convert(value, conversion, a);
            }
            VecOp::ConvertMask(_, a) => {
                let a = operand(self, a);
                match class {
                    Class::Wide => self.unary(Code::VEX_Vpmovsxdq_ymm_xmmm128, value, a, None),
                    _ => self.upper_halves(value, a, 0xDD),
                }
            }
        }
        // A value that is not read is not kept.
        self.registers.release(self.file(value), value, self.position);
        self.locked.clear();
    }

    /// `to = op(a, b)`
    fn binary(&mut self, forms: Forms, value: u32, a: u32, b: u32, immediate: Option<u8>) {
        let class = self.class(a);
        let first = self.in_register(a);
        let second = self.register_or_memory(b);
        let first = self.vector(class, first);
        let to = self.result(value, &[a, b], false);
        let to = self.register_operand(value, to);
        let operands = [Some(to), Some(first), Some(second), immediate.map(Operand::Immediate)];
        let operands: Vec<_> = operands.into_iter().flatten().collect();
        self.push(self.code(forms, class), &operands);
    }

    /// `to = op(a)`
    fn unary(&mut self, code: Code, value: u32, a: u32, immediate: Option<u8>) {
        let from = self.register_or_memory(a);
        let to = self.result(value, &[a], false);
        let to = self.register_operand(value, to);
        match immediate {
            Some(immediate) => self.push(code, &[to, from, Operand::Immediate(immediate)]),
            None => self.push(code, &[to, from]),
        }
    }

    fn shift(&mut self, code: Code, value: u32, a: u32, bits: u8) {
        let class = self.class(a);
        let from = self.in_register(a);
        let from = self.vector(class, from);
        let to = self.result(value, &[a], false);
        self.push(code, &[self.vector(class, to), from, Operand::Immediate(bits)]);
    }

    fn spread_sign(&mut self, value: u32, a: u32) {
        let class = self.class(value);
        let code = match self.target.form(class) {
            Form::WideYmm => {
                // AVX2 cannot shift 64-bit integers with their signs: 0 > a.
                let zero = self.constant(class, &[0]);
                let from = self.in_register(a);
                let from = self.vector(class, from);
                let to = self.result(value, &[a], true);
                let to = self.vector(class, to);
                self.push(self.code(codes::LOAD, class), &[to, Operand::Memory(zero)]);
                return self.push(self.code(codes::GREATER_INTEGERS, class), &[to, to, from]);
            }
            Form::WideZmm => return self.shift(Code::EVEX_Vpsraq_zmm_k1z_zmmm512b64_imm8, value, a, 63),
            Form::NarrowXmm => Code::VEX_Vpsrad_xmm_xmm_imm8,
            Form::NarrowYmm => Code::VEX_Vpsrad_ymm_ymm_imm8,
            Form::NarrowYmmEvex => Code::EVEX_Vpsrad_ymm_k1z_ymmm256b32_imm8,
            Form::NarrowZmm => Code::EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8,
        };
        self.shift(code, value, a, 31);
    }

    fn look_up(&mut self, value: u32, table: usize, cell: u32) {
        let (class, table) = (self.class(value), self.code.tables[table]);
        let number = self.in_register(cell);
        if self.target.form(class) == Form::WideYmm {
            return self.look_up_halves(value, table, cell, number);
        }
        let table = Operand::Memory(self.constant(class, &table));
        let to = self.result(value, &[cell], false);
        // Also of registers with four lanes, which the permutation of eight looks up too.
        let (code, first) = match self.target.form(class) {
            Form::WideZmm => (Code::EVEX_Vpermpd_zmm_k1z_zmm_zmmm512b64, Register::ZMM0),
            Form::NarrowZmm => (Code::EVEX_Vpermps_zmm_k1z_zmm_zmmm512b32, Register::ZMM0),
            Form::NarrowYmmEvex => (Code::EVEX_Vpermps_ymm_k1z_ymm_ymmm256b32, Register::YMM0),
            _ => (Code::VEX_Vpermps_ymm_ymm_ymmm256, Register::YMM0),
        };
        let register = |number: u8| Operand::Register(first + u32::from(number));
        self.push(code, &[register(to), register(number), table]);
    }

    /// A lookup of the upper and the lower halves of numbers of 8 bytes, since AVX2 permutes lanes of 4 bytes only.
    fn look_up_halves(&mut self, value: u32, table: [u64; 8], cell: u32, number: u8) {
        let from = self.vector(Class::Wide, number);
        let uppers = Operand::Memory(self.constant(Class::Narrow, &table.map(|bits| bits >> 32)));
        let lowers = table.map(|bits| bits & u64::from(u32::MAX));
        let permute = Code::VEX_Vpermd_ymm_ymm_ymmm256;
        if lowers == [0; 8] {
            let mask = Operand::Memory(self.constant(Class::Wide, &[u64::from(u32::MAX) << 32]));
            let to = self.result(value, &[cell], false);
            let to = self.vector(Class::Wide, to);
            self.push(permute, &[to, from, uppers]);
            return self.push(Code::VEX_Vandpd_ymm_ymm_ymmm256, &[to, to, mask]);
        }
        let lowers = Operand::Memory(self.constant(Class::Narrow, &lowers));
        let to = self.define(value);
        self.locked.push(value);
        let to = self.vector(Class::Wide, to);
        self.push(permute, &[to, from, uppers]);
        let (scratch, eviction) = self.scratch();
        let scratch = self.vector(Class::Wide, scratch);
        self.push(Code::VEX_Vpsrlq_ymm_ymm_imm8, &[scratch, from, Operand::Immediate(32)]);
        self.push(permute, &[scratch, scratch, lowers]);
        self.push(Code::VEX_Vpblendd_ymm_ymm_ymmm256_imm8, &[to, scratch, to, Operand::Immediate(0xAA)]);
        self.restore(eviction, scratch);
        self.release(&[cell]);
    }

    /// A vector register for an intermediate result. If all are in use, one that is not locked is stored, and must be restored.
    fn scratch(&mut self) -> (u8, Option<u32>) {
        let used: Vec<u8> = self.registers.used_vectors();
        if let Some(free) = (0..self.target.vectors() as u8).find(|number| !used.contains(number)) {
            return (free, None);
        }
        let locked: Vec<_> = self.locked.iter().filter_map(|value| self.registers.register(*value)).collect();
        let number = used.into_iter().find(|number| !locked.contains(number)).unwrap_or_default();
        let slot = self.registers.new_slot();
        let to = Operand::Memory(self.stack(slot));
        let class = Class::Wide;
        self.push(self.code(codes::STORE, class), &[to, self.vector(class, number)]);
        (number, Some(slot))
    }

    fn restore(&mut self, slot: Option<u32>, register: Operand) {
        if let Some(slot) = slot {
            let from = Operand::Memory(self.stack(slot));
            self.push(self.code(codes::LOAD, Class::Wide), &[register, from]);
            self.registers.free_slot(slot);
        }
    }

    fn select(&mut self, value: u32, mask: u32, yes: u32, no: u32) {
        let class = self.class(value);
        let mask_number = self.in_register(mask);
        let no_number = self.in_register(no);
        let yes_operand = self.register_or_memory(yes);
        let no_operand = self.vector(class, no_number);
        let to = self.result(value, &[mask, yes, no], false);
        let to = self.vector(class, to);
        let code = self.code(codes::SELECT, class);
        if self.target.has_mask_registers() {
            let mut select = instruction(code, &[to, no_operand, yes_operand]);
            select.set_op_mask(Register::K1 + u32::from(mask_number));
            self.instructions.push(select);
        } else {
            let mask = self.vector(class, mask_number);
            self.push(code, &[to, no_operand, yes_operand, mask]);
        }
    }

    fn multiply_add(&mut self, signs: MultiplyAdd, value: u32, [a, b, c]: [u32; 3]) {
        let class = self.class(value);
        let forms = |forms: [Forms; 4]| {
            forms[usize::from(signs.negate_product) + 2 * usize::from(signs.negate_addend)]
        };
        let [f132, f213, f231] = [
            [
                codes::MULTIPLY_ADD_132,
                codes::MULTIPLY_ADD_132_NEGATED_PRODUCT,
                codes::MULTIPLY_ADD_132_NEGATED_ADDEND,
                codes::MULTIPLY_ADD_132_NEGATED,
            ],
            [
                codes::MULTIPLY_ADD_213,
                codes::MULTIPLY_ADD_213_NEGATED_PRODUCT,
                codes::MULTIPLY_ADD_213_NEGATED_ADDEND,
                codes::MULTIPLY_ADD_213_NEGATED,
            ],
            [
                codes::MULTIPLY_ADD_231,
                codes::MULTIPLY_ADD_231_NEGATED_PRODUCT,
                codes::MULTIPLY_ADD_231_NEGATED_ADDEND,
                codes::MULTIPLY_ADD_231_NEGATED,
            ],
        ]
        .map(forms);
        // A constant is read from memory.
        let in_memory = |this: &Self, value: u32| {
            this.registers.register(value).is_none() && matches!(this.op(value), VecOp::Constant(..))
        };
        let dies = |this: &Self, value: u32, others: [u32; 2]| {
            !matches!(this.op(value), VecOp::Constant(..))
                && this.registers.is_last_use(value, this.position)
                && !others.contains(&value)
        };
        // Which operand the result replaces, the one that must be in a register, and the one that may be in memory.
        let (replaced, second, third, forms, overwritten) = if dies(self, a, [b, c]) {
            if in_memory(self, b) && !in_memory(self, c) {
                (a, c, b, f132, true)
            } else {
                (a, b, c, f213, true)
            }
        } else if dies(self, b, [a, c]) {
            if in_memory(self, a) && !in_memory(self, c) {
                (b, c, a, f132, true)
            } else {
                (b, a, c, f213, true)
            }
        } else if dies(self, c, [a, b]) {
            if in_memory(self, a) { (c, b, a, f231, true) } else { (c, a, b, f231, true) }
        } else if in_memory(self, a) {
            (a, b, c, f213, false)
        } else if in_memory(self, b) {
            (b, a, c, f213, false)
        } else if in_memory(self, c) {
            (c, a, b, f231, false)
        } else {
            (a, b, c, f213, false)
        };
        let code = self.code(forms, class);
        let second_number = self.in_register(second);
        let to = if overwritten {
            self.in_register(replaced)
        } else {
            let from = self.copied(replaced);
            let to = self.define(value);
            self.locked.push(value);
            self.load(class, self.vector(class, to), from);
            to
        };
        // An address in memory may need the scratch register, so it comes last.
        let third_operand = self.register_or_memory(third);
        if overwritten {
            self.registers.hand_over(File::Vectors, replaced, value);
        }
        self.push(code, &[self.vector(class, to), self.vector(class, second_number), third_operand]);
        self.release(&[a, b, c]);
    }

    /// The operand to copy a value from.
    fn copied(&mut self, value: u32) -> Operand {
        if self.registers.register(value).is_none()
            && let Some(home) = self.home(value)
        {
            return home;
        }
        let register = self.in_register(value);
        self.register_operand(value, register)
    }

    fn convert(&mut self, value: u32, conversion: Conversion, a: u32) {
        let code = match (conversion, self.target.has_mask_registers(), self.target.lanes) {
            (Conversion::F32ToF64, false, _) => Code::VEX_Vcvtps2pd_ymm_xmmm128,
            (Conversion::F32ToF64, true, _) => Code::EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae,
            (Conversion::F64ToF32, false, _) => Code::VEX_Vcvtpd2ps_xmm_ymmm256,
            (Conversion::F64ToF32, true, _) => Code::EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er,
            (Conversion::I32ToF64, false, _) => Code::VEX_Vcvtdq2pd_ymm_xmmm128,
            (Conversion::I32ToF64, true, _) => Code::EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er,
            (Conversion::I32ToF32, false, 4) => Code::VEX_Vcvtdq2ps_xmm_xmmm128,
            (Conversion::I32ToF32, false, _) => Code::VEX_Vcvtdq2ps_ymm_ymmm256,
            (Conversion::I32ToF32, true, 8) => Code::EVEX_Vcvtdq2ps_ymm_k1z_ymmm256b32,
            (Conversion::I32ToF32, true, _) => Code::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er,
            (Conversion::I32ToI64, false, _) => Code::VEX_Vpmovsxdq_ymm_xmmm128,
            (Conversion::I32ToI64, true, _) => {
                // This instruction broadcasts no number.
                self.in_register(a);
                Code::EVEX_Vpmovsxdq_zmm_k1z_ymmm256
            }
            (Conversion::I64ToI32, false, _) => return self.upper_halves(value, a, 0x88),
            (Conversion::I64ToI32, true, _) => {
                let from = self.in_register(a);
                let from = self.vector(Class::Wide, from);
                let to = self.result(value, &[a], false);
                let to = self.vector(Class::Narrow, to);
                return self.push(Code::EVEX_Vpmovqd_ymmm256_k1z_zmm, &[to, from]);
            }
        };
        self.unary(code, value, a, None);
    }

    /// The halves of four wide lanes that `control` selects, as four narrow lanes.
    fn upper_halves(&mut self, value: u32, a: u32, control: u8) {
        let from = self.in_register(a);
        let to = self.result(value, &[a], true);
        let narrow = |number: u8| Operand::Register(Register::XMM0 + u32::from(number));
        let wide = self.vector(Class::Wide, from);
        self.push(Code::VEX_Vextractf128_xmmm128_ymm_imm8, &[narrow(to), wide, Operand::Immediate(1)]);
        let operands = [narrow(to), narrow(from), narrow(to), Operand::Immediate(control)];
        self.push(Code::VEX_Vshufps_xmm_xmm_xmmm128_imm8, &operands);
    }

    fn load_mask(&mut self, value: u32, input: usize) {
        let (class, copy, lanes) = (self.class(value), value as usize % COPIES, self.target.lanes);
        let bits = Operand::Memory(self.bits(input, copy));
        let to = self.result(value, &[], false);
        if self.target.has_mask_registers() {
            let code = if lanes == 8 { Code::VEX_Kmovb_kr_km8 } else { Code::VEX_Kmovw_kr_km16 };
            return self.push(code, &[mask_register(to), bits]);
        }
        // Each lane gets all bits, and tests its own.
        let shift = if lanes == 4 { 4 * copy } else { 0 };
        let own: Vec<u64> = (0..lanes).map(|lane| 1 << (lane + shift)).collect();
        let own = Operand::Memory(self.constant(class, &own));
        let low = Operand::Register(Register::XMM0 + u32::from(to));
        self.push(Code::Movzx_r32_rm8, &[Operand::Register(BITS[0]), bits]);
        self.push(Code::VEX_Vmovd_xmm_rm32, &[low, Operand::Register(BITS[0])]);
        let to = self.vector(class, to);
        let broadcast = match self.target.form(class) {
            Form::NarrowXmm => Code::VEX_Vpbroadcastd_xmm_xmmm32,
            Form::NarrowYmm => Code::VEX_Vpbroadcastd_ymm_xmmm32,
            _ => Code::VEX_Vpbroadcastq_ymm_xmmm64,
        };
        self.push(broadcast, &[to, low]);
        self.push(self.code(codes::AND, class), &[to, to, own]);
        self.push(self.code(codes::SAME_BITS, class), &[to, to, own]);
    }

    fn store(&mut self, value: u32, output: u32) {
        let (class, copy) = (self.class(value), value as usize % COPIES);
        self.locked.clear();
        let from = self.in_register(value);
        let from = self.vector(class, from);
        let to = self.rows(self.inputs + output as usize, class, copy);
        self.push(self.code(codes::STORE, class), &[Operand::Memory(to), from]);
        self.release(&[value]);
        self.locked.clear();
    }

    fn store_mask(&mut self, masks: [u32; COPIES], output: u32, inverted: bool) {
        let entry = self.inputs + output as usize;
        let lanes = self.target.lanes;
        self.locked.clear();
        let numbers = masks.map(|mask| self.in_register(mask));
        if self.target.has_mask_registers() {
            for (copy, number) in numbers.into_iter().enumerate() {
                let to = Operand::Memory(self.bits(entry, copy));
                let mut from = mask_register(number);
                if inverted {
                    // The last reserved mask register is not allocated.
                    from = Operand::Register(Register::K1 + SCRATCH_MASK);
                    self.push(Code::VEX_Knotw_kr_kr, &[from, mask_register(number)]);
                }
                let code = if lanes == 8 { Code::VEX_Kmovb_m8_kr } else { Code::VEX_Kmovw_m16_kr };
                self.push(code, &[to, from]);
            }
        } else {
            self.store_sign_bits(entry, masks, numbers, inverted);
        }
        self.release(&masks);
        self.locked.clear();
    }

    /// Stores the highest bits of the lanes of vectors.
    fn store_sign_bits(&mut self, entry: usize, masks: [u32; COPIES], numbers: [u8; COPIES], inverted: bool) {
        let registers = BITS.map(Operand::Register);
        for ((register, mask), number) in registers.into_iter().zip(masks).zip(numbers) {
            let class = self.class(mask);
            let code = match self.target.form(class) {
                Form::NarrowXmm => Code::VEX_Vmovmskps_r32_xmm,
                Form::NarrowYmm => Code::VEX_Vmovmskps_r32_ymm,
                _ => Code::VEX_Vmovmskpd_r32_ymm,
            };
            self.push(code, &[register, self.vector(class, number)]);
        }
        // One of the two is scratch for an address, so the bits are joined in the other.
        let bits = if self.target.lanes == 4 { 4 } else { 8 };
        let [low, high] = registers;
        self.push(Code::Shl_rm32_imm8, &[high, Operand::Immediate(bits)]);
        self.push(Code::Or_r32_rm32, &[high, low]);
        if inverted {
            self.push(Code::Not_rm32, &[high]);
        }
        let base = self.base(entry);
        let to = Operand::Memory(Address { base, index: ROW_BYTE, scale: 1, displacement: 0 });
        match bits {
            4 => self.push(Code::Mov_rm8_r8, &[to, Operand::Register(Register::SIL)]),
            _ => self.push(Code::Mov_rm16_r16, &[to, Operand::Register(Register::SI)]),
        }
    }
}

/// The number of the mask register that holds no value: K7.
const SCRATCH_MASK: u32 = 6;

fn mask_register(number: u8) -> Operand {
    Operand::Register(Register::K1 + u32::from(number))
}

fn arithmetic(op: Arithmetic) -> Forms {
    match op {
        Arithmetic::Add => codes::ADD,
        Arithmetic::Subtract => codes::SUBTRACT,
        Arithmetic::Multiply => codes::MULTIPLY,
        Arithmetic::Divide => codes::DIVIDE,
        Arithmetic::Min => codes::MIN,
        Arithmetic::Max => codes::MAX,
        Arithmetic::And => codes::AND,
        Arithmetic::Or => codes::OR,
        Arithmetic::Xor => codes::XOR,
        Arithmetic::AddIntegers => codes::ADD_INTEGERS,
        Arithmetic::SubtractIntegers => codes::SUBTRACT_INTEGERS,
    }
}
