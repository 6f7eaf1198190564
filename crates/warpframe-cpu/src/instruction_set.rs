//! Instruction sets, as types that code is generic over.

use super::lanes::{DoubleLanes, Lanes};

/// An instruction set: its vector registers for each type of number.
pub trait InstructionSet {
    /// The register for `f64`, and for the bits of `i64`.
    type F64: DoubleLanes;
    /// The register for `f32`, and for the bits of `i32`.
    type F32: Lanes<Element = f32>;
}

macro_rules! instruction_sets {
    ($($(#[$attribute:meta])* $name:ident, $double:ty, $single:ty;)+) => {$(
        $(#[$attribute])*
        pub struct $name;

        $(#[$attribute])*
        impl InstructionSet for $name {
            type F64 = $double;
            type F32 = $single;
        }
    )+};
}

instruction_sets! {
    #[cfg(target_arch = "x86_64")]
    Avx512, super::avx512::F64x8, super::avx512::F32x16;
    #[cfg(target_arch = "x86_64")]
    Avx2, super::avx2::F64x4, super::avx2::F32x8;
    #[cfg(target_arch = "aarch64")]
    Neon, super::neon::F64x2, super::neon::F32x4;
    Portable, f64, f32;
}
