//! Stores of numbers and masks, and loads of masks.

use iced_x86::{Code, Register};

use warpframe_ir::reduction::CHUNK;

use super::ops::arithmetic;
use super::{ADDRESS, BITS, COPIES, Emitter, ROW, ROW_BYTE, SCRATCH_MASK, SUM, mask_register};
use crate::native::vec_ir::{Delivery, SUMS};
use crate::native::x86::codes;
use crate::native::x86::instruction::{Address, Operand};
use crate::native::x86::target::Form;

impl Emitter<'_> {
    /// Loads the mask of a copy's rows.
    pub(super) fn load_mask(&mut self, value: u32, input: usize) {
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

    /// Stores the numbers of a copy.
    pub(super) fn store(&mut self, value: u32, output: u32, delivery: Delivery) {
        let (class, copy) = (self.class(value), value as usize % COPIES);
        let entry = self.inputs + output as usize;
        self.locked.clear();
        let from = self.in_register(value);
        let from = self.vector(class, from);
        match delivery {
            Delivery::Sum(op) => {
                let sums = Operand::Memory(self.sums(entry, copy));
                let (sum, eviction) = self.scratch();
                let sum = self.vector(class, sum);
                self.load(class, sum, sums);
                // Of two NaN, the result is the first: that of the earlier row.
                self.push(self.code(arithmetic(op), class), &[sum, sum, from]);
                self.push(self.code(codes::STORE, class), &[sums, sum]);
                self.restore(eviction, sum);
            }
            Delivery::NonTemporal => {
                let to = Operand::Memory(self.rows(entry, class, copy));
                self.push(self.code(codes::STORE_NON_TEMPORAL, class), &[to, from]);
            }
            Delivery::Plain | Delivery::Inverted => {
                let to = Operand::Memory(self.rows(entry, class, copy));
                self.push(self.code(codes::STORE, class), &[to, from]);
            }
        }
        self.release(&[value]);
        self.locked.clear();
    }

    /// The address of the sums that a copy's rows belong to: see [`Delivery::Sum`].
    fn sums(&mut self, entry: usize, copy: usize) -> Address {
        if !std::mem::replace(&mut self.has_sum, true) {
            let [sum, in_chunk, row] = [SUM, ADDRESS, ROW].map(Operand::Register);
            self.push(Code::Mov_r64_rm64, &[sum, row]);
            self.push(Code::Shr_rm64_imm8, &[sum, Operand::Immediate(CHUNK.ilog2() as u8)]);
            self.push(Code::Shl_rm64_imm8, &[sum, Operand::Immediate(SUMS.ilog2() as u8)]);
            self.push(Code::Mov_r64_rm64, &[in_chunk, row]);
            self.push(Code::And_rm64_imm8, &[in_chunk, Operand::SignExtended(SUMS as i8 - 1)]);
            self.push(Code::Add_r64_rm64, &[sum, in_chunk]);
        }
        let base = self.base(entry);
        let displacement = (copy * self.target.lanes * size_of::<u64>()) as u64;
        Address { base, index: SUM, scale: size_of::<u64>() as u32, displacement }
    }

    /// Stores the masks of all copies as bits.
    pub(super) fn store_mask(&mut self, masks: [u32; COPIES], output: u32, inverted: bool) {
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
        self.has_sum = false;
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
