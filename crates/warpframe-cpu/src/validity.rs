//! Which validity the block executor computes.

use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::program::Program;

/// Whether the validity of a value is computed. That of strict programs is not: it is the union of the inputs'.
pub(super) fn computes_validity(program: &Program, value: Value) -> bool {
    !program.is_strict()
        && program.may_be_null(value)
        && !matches!(program.definition(value), Instruction::TrapIf(..))
}

/// The Boolean whose mask words the validity of a value is computed from, although its operation may be part of native code: the
/// condition of a choice.
pub(super) fn condition_of_validity(program: &Program, value: Value) -> Option<Value> {
    match *program.definition(value) {
        Instruction::Select(condition, ..) if computes_validity(program, value) => Some(condition),
        _ => None,
    }
}
