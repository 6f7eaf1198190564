//! Lookups in tables of eight numbers.

use iced_x86::{Code, Register};

use super::Emitter;
use crate::class::Class;
use crate::native::vec_ir::VecOp;
use crate::native::x86::codes;
use crate::native::x86::instruction::Operand;
use crate::native::x86::target::Form;

impl Emitter<'_> {
    /// The numbers of a table for the cells of lanes.
    pub(super) fn look_up(&mut self, value: u32, table: u32, cell: u32) {
        let class = self.class(value);
        let number = self.in_register(cell);
        if let (VecOp::Table(_, table), Form::WideYmm) = (self.op(table), self.target.form(class)) {
            return self.look_up_halves(value, self.code.tables[table as usize], cell, number);
        }
        let table = self.register_or_memory(table);
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
    pub(super) fn scratch(&mut self) -> (u8, Option<u32>) {
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

    pub(super) fn restore(&mut self, slot: Option<u32>, register: Operand) {
        if let Some(slot) = slot {
            let from = Operand::Memory(self.stack(slot));
            self.push(self.code(codes::LOAD, Class::Wide), &[register, from]);
            self.registers.free_slot(slot);
        }
    }
}
