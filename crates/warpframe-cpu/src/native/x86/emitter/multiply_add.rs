//! Fused multiply-adds, whose result replaces an operand.

use super::Emitter;
use crate::native::vec_ir::MultiplyAdd;
use crate::native::x86::codes::{self, Forms};
use crate::native::x86::instruction::Operand;
use crate::native::x86::registers::File;

impl Emitter<'_> {
    /// `a * b + c` with the given signs.
    pub(super) fn multiply_add(&mut self, signs: MultiplyAdd, value: u32, [a, b, c]: [u32; 3]) {
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
            this.registers.register(value).is_none() && this.op(value).is_constant_vector()
        };
        let dies = |this: &Self, value: u32, others: [u32; 2]| {
            !this.op(value).is_constant_vector()
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
}
