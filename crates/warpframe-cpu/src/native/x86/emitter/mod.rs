//! Translates VecIR to instructions, with registers assigned on the way.

mod look_up;
mod memory;
mod multiply_add;
mod ops;

use iced_x86::{Code, Instruction, Register};

use super::codes::{self, Forms};
use super::constant_pool::ConstantPool;
use super::instruction::{Address, Operand, instruction};
use super::registers::{Eviction, File, Registers};
use super::target::{Form, Target};
use crate::class::Class;
use crate::native::vec_ir::{Delivery, Id, VecCode, VecOp};

/// The vectors that an iteration of the loop computes: enough for whole bytes of mask bits, and for the CPU to have independent
/// work.
pub(super) const COPIES: usize = 2;

/// The most vector registers that one op needs at once: those of three operands, which may be in memory otherwise, and of its result.
const MOST_REGISTERS: usize = 4;

/// The distance of prefetched numbers: computing the rows between takes as long as a read from memory, also where a row takes a tenth
/// of a nanosecond. Measured on Zen 5.
const PREFETCH_BYTES: usize = 4096;
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
/// The register for the position of the rows' sums, which overlaps with `BITS`.
const SUM: Register = Register::RSI;

/// Something that is emitted: the op of a value, or a store.
#[derive(Debug, Clone, Copy)]
enum Item {
    Op(u32),
    Store {
        value: u32,
        output: u32,
        delivery: Delivery,
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
    /// The registers that hold addresses: the first entries of the table behind the number of rows.
    pub addresses: Vec<Register>,
}

/// Emits the body of the loop for code with this number of inputs. The entries of the address table behind the number of rows
/// are those of inputs, then those of outputs.
pub(super) fn emit(target: Target, code: &VecCode, inputs: usize) -> Body {
    let mut emitter = Emitter::new(target, code, inputs);
    let items = emitter.items();
    let uses = emitter.uses(&items);
    let in_memory = (0..emitter.value_count()).map(|value| {
        emitter.op(value).is_constant_vector()
            || matches!(emitter.op(value), VecOp::Load(..))
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
            Item::Store { value, output, delivery } => emitter.store(value, output, delivery),
            Item::StoreMask { masks, output, inverted } => emitter.store_mask(masks, output, inverted),
        }
    }
    let addresses = ADDRESS_REGISTERS.into_iter().take(inputs + code.stores.len()).collect();
    Body {
        preamble,
        instructions: emitter.instructions,
        pool: emitter.pool.into_bytes(),
        stack_slots: emitter.registers.slot_count(),
        addresses,
    }
}

struct Emitter<'a> {
    target: Target,
    code: &'a VecCode,
    inputs: usize,
    /// The number of values of a copy that are alive at once, at most.
    pressure: usize,
    /// Whether the copies alternate.
    is_interleaved: bool,
    registers: Registers,
    instructions: Vec<Instruction>,
    pool: ConstantPool,
    /// The item that is being emitted.
    position: u32,
    /// Values whose registers must be kept while it is.
    locked: Vec<u32>,
    /// Whether `SUM` is set.
    has_sum: bool,
}

impl<'a> Emitter<'a> {
    fn new(target: Target, code: &'a VecCode, inputs: usize) -> Self {
        let pressure = code.pressure(!target.has_mask_registers());
        Self {
            target,
            code,
            inputs,
            pressure,
            is_interleaved: pressure <= target.interleaved_pressure(),
            registers: Registers::new(0, 0, Vec::new(), Vec::new()),
            instructions: Vec::new(),
            pool: ConstantPool::default(),
            position: 0,
            locked: Vec::new(),
            has_sum: false,
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
            (op, _) if op.is_constant_vector() => value - copy as u32,
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
        let order = |step: usize| match self.is_interleaved {
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
                items.push(Item::Store { value, output: store.output, delivery: store.delivery });
            }
        }
        for store in &self.code.stores {
            let masks = [0, 1].map(|copy| self.resolve((store.value.position() * COPIES + copy) as u32));
            if self.code.op(store.value).is_mask() {
                let inverted = store.delivery == Delivery::Inverted;
                items.push(Item::StoreMask { masks, output: store.output, inverted });
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

    /// The constants and tables that are read most often, as many as there are registers that other values do not need.
    fn frequent_constants(&self, uses: &[Vec<u32>]) -> Vec<u32> {
        let pressure = self.pressure * if self.is_interleaved { COPIES } else { 1 };
        let count = self.target.vectors().saturating_sub(pressure.max(MOST_REGISTERS));
        // The permutations of AVX2 read other forms of tables.
        let is_table = |value: &u32| matches!(self.op(*value), VecOp::Table(..));
        let is_constant = |value: &u32| {
            self.op(*value).is_constant_vector()
                && self.resolve(*value) == *value
                && (self.target.has_mask_registers() || !is_table(value))
        };
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
        Address::base(Register::RIP, self.pool.vector(class, lanes, self.target.vector_bytes()))
    }

    /// The operand for a number in all lanes. AVX-512 broadcasts it: then constants fill few lines of the cache, and loads of them
    /// rarely have the offset in a page that a pending store has, which delays them.
    fn splat(&mut self, class: Class, bits: u64) -> Operand {
        match self.target.has_mask_registers() {
            true => Operand::Broadcast(Address::base(Register::RIP, self.pool.number(bits))),
            false => Operand::Memory(self.constant(class, &[bits])),
        }
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
            VecOp::Table(class, table) => {
                Some(Operand::Memory(self.constant(class, &self.code.tables[table as usize])))
            }
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
        let op = self.op(value);
        let is_constant = op.is_constant_vector() || matches!(op, VecOp::ConstantMask(..));
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
        register
    }
}

/// The number of the mask register that holds no value: K7.
const SCRATCH_MASK: u32 = 6;

fn mask_register(number: u8) -> Operand {
    Operand::Register(Register::K1 + u32::from(number))
}
