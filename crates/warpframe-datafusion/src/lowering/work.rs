//! The operations of a lowered expression, from which the planner decides whether fusion pays.

use warpframe_ir::ScalarType;
use warpframe_ir::instruction::Instruction;
use warpframe_ir::ops::{Binary, OpInfo, Unary};
use warpframe_ir::program::Program;

/// The operations of an expression for which DataFusion makes a pass over memory of its own. The instructions that give
/// them DataFusion's results at the limits of types, such as those of traps, are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// The number of arithmetic operations, comparisons, casts and functions.
    pub operations: usize,
    /// Whether one of them selects among values, such as CASE or `greatest`.
    pub selects: bool,
    /// Whether one of them is an op that takes longer than reading its operands from memory, which vector instructions
    /// evaluate faster than DataFusion does.
    pub costly: bool,
}

impl Work {
    /// Counts a unary op of floats.
    pub fn add_unary(&mut self, op: Unary) {
        self.add(op.info(), true);
    }

    /// Counts a binary op of a type.
    pub fn add_binary(&mut self, op: Binary, scalar_type: ScalarType) {
        self.add(op.info(), scalar_type.is_float());
    }

    fn add(&mut self, info: OpInfo, of_floats: bool) {
        self.operations += 1;
        self.costly |= info.costly && of_floats;
    }

    /// Counts an operation without costly ops.
    pub fn add_cheap(&mut self) {
        self.operations += 1;
    }

    /// Counts a selection among values.
    pub fn add_select(&mut self) {
        self.operations += 1;
        self.selects = true;
    }

    /// Counts the operations of a program.
    pub fn add_program(&mut self, program: &Program) {
        for instruction in program.instructions() {
            match *instruction {
                Instruction::Unary(op, _) => self.add_unary(op),
                Instruction::Binary(op, x, _) => self.add_binary(op, program.scalar_type(x)),
                Instruction::Compare(..) | Instruction::Cast(..) | Instruction::InTable(..) => {
                    self.add_cheap();
                }
                Instruction::Select(..) => self.add_select(),
                _ => {}
            }
        }
    }

    /// Whether fusion makes the expression faster: it has a costly op, a selection, or at least two
    /// operations, each of which would read and write memory without fusion.
    pub fn is_profitable(self) -> bool {
        self.costly || self.selects || self.operations >= 2
    }
}
