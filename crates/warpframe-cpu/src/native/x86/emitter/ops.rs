//! The instructions of ops.

use iced_x86::{Code, Register};

use super::{Emitter, mask_register};
use crate::class::Class;
use crate::native::vec_ir::{Arithmetic, Conversion, Id, Logic, Rounding, Test, VecOp};
use crate::native::x86::codes::{self, Forms};
use crate::native::x86::instruction::{Operand, instruction};
use crate::native::x86::target::Form;

impl Emitter<'_> {
    /// Emits the op of a value.
    pub(super) fn op_of(&mut self, value: u32) {
        let (op, class) = (self.op(value), self.class(value));
        let operand = |this: &Self, id: Id| this.operand(value, id);
        self.locked.clear();
        match op {
            // Read where they are used.
            VecOp::Load(..) | VecOp::Constant(..) | VecOp::Table(..) => {}
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
            VecOp::MultiplyHalves(a, b) => {
                let (a, b) = (operand(self, a), operand(self, b));
                self.binary(codes::MULTIPLY_HALVES, value, a, b, None);
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
                let [table, cell] = [table, cell].map(|id| operand(self, id));
                self.look_up(value, table, cell);
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
    pub(super) fn unary(&mut self, code: Code, value: u32, a: u32, immediate: Option<u8>) {
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
}

/// The instructions of an op of two numbers.
pub(super) fn arithmetic(op: Arithmetic) -> Forms {
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
        Arithmetic::MultiplyIntegers => codes::MULTIPLY_INTEGERS,
        Arithmetic::ShiftLeft => codes::SHIFT_LEFT_BY,
        Arithmetic::ShiftRight => codes::SHIFT_RIGHT_BY,
    }
}
