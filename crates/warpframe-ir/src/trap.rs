//! Traps: errors of rows.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::scalar::Scalar;

/// An integer type of Arrow, in the message of a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of Arrow's types")]
pub enum IntegerType {
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
}

/// An error of a row, such as an argument outside of the domain of a function. It fails the whole evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trap {
    /// The square root of a negative number.
    SqrtOfNegative,
    /// Zero raised to a negative power.
    ZeroToNegativePower,
    /// Division of an integer by zero, or the remainder of one.
    DivideByZero,
    /// The quotient of the smallest integer and -1, the trap's operands.
    DivisionOverflow,
    /// The sum of the trap's operands, which is not an integer of their type.
    AddOverflow,
    /// The difference of the trap's operands, which is not an integer of their type.
    SubtractOverflow,
    /// The absolute value of the smallest integer of a type, the trap's operand.
    AbsOverflow(IntegerType),
    /// A conversion of the trap's operand to an integer type that does not have the value.
    CastOverflow(IntegerType),
}

/// A trap, with the values of its operands in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowTrap {
    /// The trap.
    pub trap: Trap,
    /// The values of the operands that the message shows; `None` for those that the trap does not have, or that are not known.
    pub operands: [Option<Scalar>; 2],
}

impl From<Trap> for RowTrap {
    fn from(trap: Trap) -> Self {
        Self { trap, operands: [None; 2] }
    }
}

/// The message, worded as DataFusion's.
impl fmt::Display for RowTrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y] = self.operands.map(|operand| match operand {
            Some(operand) => operand.to_string(),
            None => "the value".to_owned(),
        });
        match self.trap {
            Trap::SqrtOfNegative => f.write_str("cannot take square root of a negative number"),
            Trap::ZeroToNegativePower => f.write_str("zero raised to a negative power is undefined"),
            Trap::DivideByZero => f.write_str("Divide by zero error"),
            Trap::DivisionOverflow => write!(f, "Overflow happened on: {x} / {y}"),
            Trap::AddOverflow => write!(f, "Overflow happened on: {x} + {y}"),
            Trap::SubtractOverflow => write!(f, "Overflow happened on: {x} - {y}"),
            Trap::AbsOverflow(integer) => write!(f, "{integer:?}Array overflow on abs({x})"),
            Trap::CastOverflow(integer) => write!(f, "Can't cast value {x} to type {integer:?}"),
        }
    }
}
