//! Which validity the block executor computes.

use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::program::Program;

/// Whether the validity of a value is computed. That of strict programs is not: it is the union of the inputs'.
pub(super) fn computes_validity(program: &Program, value: Value) -> bool {
    !program.is_strict()
        && program.may_be_null(value)
        && !matches!(program.definition(value), Instruction::TrapIf(..))
}
