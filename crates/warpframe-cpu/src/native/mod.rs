//! Native code: machine code for groups of a program's instructions, made when the program is compiled.
//!
//! The block executor runs a group as one step: a loop over the rows of the block in which all values stay in vector registers.
//! Everything else, such as validity, conversion of inputs, reductions and the choice of rows, is as for other steps.
//!
//! - `groups` orders the instructions of a program so that those of a group follow each other.
//! - `parts` cuts long groups.
//! - `translation` translates a group to VecIR (`vec_ir`): the formulas are applied to registers that record (`recorder`). `integers`
//!   has the code of integers, whose loops are plain Rust.
//! - `x86` encodes VecIR for AVX2 and AVX-512.
//!
//! Recorded formulas have the code for common arguments only. The function of a group reports the rows with others, and the
//! executor evaluates the 64 rows around each of them again, by the loops of its instructions. These have the same formulas, so
//! the results of the other rows do not change.

mod error;
mod groups;
mod integers;
mod parts;
mod recorder;
#[cfg_attr(not(all(target_arch = "x86_64", unix)), allow(dead_code, reason = "only encoders read VecIR"))]
mod translation;
#[cfg_attr(not(all(target_arch = "x86_64", unix)), allow(dead_code, reason = "only encoders read VecIR"))]
mod vec_ir;
#[cfg(all(target_arch = "x86_64", unix))]
mod x86;

pub(crate) use self::error::NativeError;
pub(crate) use self::groups::Grouping;
pub(crate) use self::parts::translate;
pub(crate) use self::translation::Translation;
pub(crate) use self::vec_ir::{Arithmetic, Delivery, SUMS, VecCode};
#[cfg(all(target_arch = "x86_64", unix))]
pub(crate) use self::x86::Function;
use crate::dispatch::DetectedPath;

/// Compiles code with this number of inputs, and an output for each store, for a path.
///
/// # Errors
/// There is no native code for the path, or the system refuses executable memory.
#[cfg(all(target_arch = "x86_64", unix))]
pub(crate) fn compile(path: DetectedPath, code: &VecCode, inputs: usize) -> Result<Function, NativeError> {
    use crate::simd_path::SimdPath;
    let set = match path.path() {
        // Code for AVX-512 uses instructions for shorter registers, too.
        SimdPath::Avx512 if is_x86_feature_detected!("avx512vl") => x86::InstructionSet::Avx512,
        SimdPath::Avx2 => x86::InstructionSet::Avx2,
        _ => return Err(NativeError::Unsupported),
    };
    Function::new(set, code, inputs)
}

/// Native code, of which there is none for this architecture.
#[cfg(not(all(target_arch = "x86_64", unix)))]
#[derive(Debug)]
pub(crate) enum Function {}

#[cfg(not(all(target_arch = "x86_64", unix)))]
impl Function {
    /// # Safety
    /// None: there is no value to call.
    pub unsafe fn call(&self, _: &[usize]) {
        match *self {}
    }
}

/// # Errors
/// Always: there is no native code for this architecture.
#[cfg(not(all(target_arch = "x86_64", unix)))]
pub(crate) fn compile(_: DetectedPath, _: &VecCode, _: usize) -> Result<Function, NativeError> {
    Err(NativeError::Unsupported)
}
