//! The text of programs, one instruction per line.

use std::fmt;

use super::instruction::{Comparison, Instruction, Value};
use super::program::Program;

/// The instructions, one per line, such as `%3: f64 = ln %0`, and the outputs.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, instruction) in self.instructions().iter().enumerate() {
            if !matches!(instruction, Instruction::TrapIf(..)) {
                write!(f, "%{position}: {} = ", self.scalar_type(Value::at(position)))?;
            }
            match instruction {
                Instruction::Input(input) => {
                    write!(f, "input {input} {}", self.inputs()[*input as usize].data_type)?;
                }
                Instruction::Const(constant) => write!(f, "{constant}")?,
                Instruction::Null(_) => f.write_str("null")?,
                Instruction::Unary(op, _) => write!(f, "{}", op.info().name)?,
                Instruction::Binary(op, ..) => write!(f, "{}", op.info().name)?,
                Instruction::Compare(comparison, ..) => f.write_str(match comparison {
                    Comparison::Lt => "lt",
                    Comparison::Eq => "eq",
                    Comparison::TotalLt => "total_lt",
                    Comparison::BitEq => "bit_eq",
                })?,
                Instruction::Cast(to, _) => write!(f, "cast {to}")?,
                Instruction::InTable(table, _) => write!(f, "in_table {table}")?,
                Instruction::IsNan(_) => f.write_str("is_nan")?,
                Instruction::IsNull(_) => f.write_str("is_null")?,
                Instruction::Not(_) => f.write_str("not")?,
                Instruction::And(..) => f.write_str("and")?,
                Instruction::Or(..) => f.write_str("or")?,
                Instruction::Select(..) => f.write_str("select")?,
                Instruction::TrapIf(trap, ..) => write!(f, "trap_if {trap:?}")?,
            }
            for operand in instruction.operands() {
                write!(f, " %{}", operand.position())?;
            }
            writeln!(f)?;
        }
        if let Some(predicate) = self.predicate() {
            writeln!(f, "where %{}", predicate.position())?;
        }
        for output in self.outputs() {
            writeln!(f, "return %{} {}", output.value.position(), output.data_type)?;
        }
        Ok(())
    }
}
