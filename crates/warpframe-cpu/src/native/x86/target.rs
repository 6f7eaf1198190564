//! What code is encoded for: the instruction set, and the number of lanes of all values.

use iced_x86::Register;

use crate::class::Class;
use crate::native::vec_ir::{VecCode, VecOp};

/// The instruction sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstructionSet {
    /// AVX2 and FMA: 16 registers of 32 bytes, which hold masks too.
    Avx2,
    /// AVX-512 F, DQ and VL: 32 registers of 64 bytes, and 7 mask registers.
    Avx512,
}

/// The instruction set and the number of lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub set: InstructionSet,
    /// As many as a register has for the widest numbers of the code.
    pub lanes: usize,
}

/// A class of numbers in registers of a width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    WideYmm,
    WideZmm,
    NarrowXmm,
    NarrowYmm,
    /// With AVX-512.
    NarrowYmmEvex,
    NarrowZmm,
}

impl Target {
    pub fn new(set: InstructionSet, code: &VecCode) -> Self {
        let is_wide = |op: &VecOp| {
            op.class() == Class::Wide || op.operands().any(|operand| code.op(operand).class() == Class::Wide)
        };
        let lanes = match (set, code.ops.iter().any(is_wide)) {
            (InstructionSet::Avx2, true) => 4,
            (InstructionSet::Avx2, false) | (InstructionSet::Avx512, true) => 8,
            (InstructionSet::Avx512, false) => 16,
        };
        Self { set, lanes }
    }

    /// Whether the instruction set is AVX-512, whose masks have registers of their own.
    pub fn has_mask_registers(self) -> bool {
        self.set == InstructionSet::Avx512
    }

    /// The bytes of the widest register.
    pub fn vector_bytes(self) -> usize {
        if self.has_mask_registers() { 64 } else { 32 }
    }

    /// The number of vector registers.
    pub fn vectors(self) -> usize {
        if self.has_mask_registers() { 32 } else { 16 }
    }

    /// The largest number of values alive at once for which copies of the code alternate. Measured on Zen 5: with more, spilling and
    /// the loads of constants cost more than the CPU gains by independent work.
    pub fn interleaved_pressure(self) -> usize {
        if self.has_mask_registers() { 14 } else { 9 }
    }

    pub fn form(self, class: Class) -> Form {
        match (self.set, class, self.lanes) {
            (InstructionSet::Avx2, Class::Wide, _) => Form::WideYmm,
            (InstructionSet::Avx512, Class::Wide, _) => Form::WideZmm,
            (InstructionSet::Avx2, _, 4) => Form::NarrowXmm,
            (InstructionSet::Avx2, ..) => Form::NarrowYmm,
            (InstructionSet::Avx512, _, 8) => Form::NarrowYmmEvex,
            (InstructionSet::Avx512, ..) => Form::NarrowZmm,
        }
    }

    /// The vector register with this number, as wide as all lanes of a class.
    pub fn vector(self, class: Class, number: u8) -> Register {
        let first = match self.form(class) {
            Form::NarrowXmm => Register::XMM0,
            Form::WideYmm | Form::NarrowYmm | Form::NarrowYmmEvex => Register::YMM0,
            Form::WideZmm | Form::NarrowZmm => Register::ZMM0,
        };
        first + u32::from(number)
    }
}
