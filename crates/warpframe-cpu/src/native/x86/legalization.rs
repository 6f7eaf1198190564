//! Replacement of ops that an instruction set does not have.

use super::target::InstructionSet;
use crate::class::Class;
use crate::native::vec_ir::{Arithmetic, Conversion, Id, Store, VecCode, VecOp};

/// The same code for an instruction set. AVX2 has no instructions for exponents and for products of wide integers.
pub(super) fn legalize(set: InstructionSet, code: &VecCode) -> VecCode {
    if set == InstructionSet::Avx512 {
        return code.clone();
    }
    let mut legal = VecCode { tables: code.tables.clone(), ..VecCode::default() };
    let mut push = |op: VecOp| {
        legal.ops.push(op);
        Id(legal.ops.len() as u32 - 1)
    };
    let mut renamed: Vec<Id> = Vec::with_capacity(code.ops.len());
    for op in &code.ops {
        let op = op.map_operands(|operand| renamed[operand.position()]);
        let value = match op {
            VecOp::Exponent(Class::Wide, x) => {
                // 2^52 with the biased exponent in its low mantissa bits, without 2^52 and the bias.
                const TWO_TO_52: f64 = (1u64 << 52) as f64;
                let biased = push(VecOp::ShiftRight(Class::Wide, x, 52));
                let power = push(VecOp::Constant(Class::Wide, TWO_TO_52.to_bits()));
                let sum = push(VecOp::Arithmetic(Arithmetic::Or, Class::Wide, biased, power));
                let offset = push(VecOp::Constant(Class::Wide, (TWO_TO_52 + 1023.0).to_bits()));
                push(VecOp::Arithmetic(Arithmetic::Subtract, Class::Wide, sum, offset))
            }
            VecOp::Exponent(class, x) => {
                let biased = push(VecOp::ShiftRight(class, x, 23));
                let bias = push(VecOp::Constant(class, 127));
                let exponent = push(VecOp::Arithmetic(Arithmetic::SubtractIntegers, class, biased, bias));
                push(VecOp::Convert(Conversion::I32ToF32, exponent))
            }
            VecOp::Arithmetic(Arithmetic::MultiplyIntegers, Class::Wide, x, y) => {
                // Of the product of the upper halves, nothing is in the low half of the result.
                let [upper_x, upper_y] = [x, y].map(|value| push(VecOp::ShiftRight(Class::Wide, value, 32)));
                let lower = push(VecOp::MultiplyHalves(x, y));
                let one = push(VecOp::MultiplyHalves(upper_x, y));
                let other = push(VecOp::MultiplyHalves(x, upper_y));
                let mixed = push(VecOp::Arithmetic(Arithmetic::AddIntegers, Class::Wide, one, other));
                let mixed = push(VecOp::ShiftLeft(Class::Wide, mixed, 32));
                push(VecOp::Arithmetic(Arithmetic::AddIntegers, Class::Wide, lower, mixed))
            }
            op => push(op),
        };
        renamed.push(value);
    }
    let stores = code.stores.iter();
    legal.stores = stores.map(|store| Store { value: renamed[store.value.position()], ..*store }).collect();
    legal
}
