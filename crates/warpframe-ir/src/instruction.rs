//! Instructions, the values that they read and define, and the inputs and outputs of programs.

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use super::ops::{Binary, Unary};
use super::scalar::Scalar;
use super::scalar_type::ScalarType;
use super::trap::Trap;

/// An SSA value, identified by the position of the instruction that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Value(pub(crate) u32);

impl Value {
    /// The value that the instruction at a position defines.
    pub fn at(position: usize) -> Self {
        Self(position as u32)
    }

    /// The position of the instruction that defines it.
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// A comparison of two values of the same type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Comparison {
    /// Less-than: as IEEE 754 defines for floats (false for NaN); of integers; and of Booleans, false before true.
    Lt,
    /// Equality: as IEEE 754 defines for floats (false for NaN, and -0 equals +0); of integers and of Booleans.
    Eq,
    /// Less-than in the total order of IEEE 754, as in Arrow's comparison kernels. Of floats only.
    TotalLt,
    /// Whether the bits are equal: equality in the total order. Of floats only.
    BitEq,
}

impl Comparison {
    /// All comparisons.
    pub const ALL: [Self; 4] = [Self::Lt, Self::Eq, Self::TotalLt, Self::BitEq];

    /// Whether values of a type can be compared.
    pub fn is_defined_for(self, scalar_type: ScalarType) -> bool {
        matches!(self, Self::Lt | Self::Eq) || scalar_type.is_float()
    }

    /// The result for two scalars; `None` if their types differ, or if the comparison is not defined for their type.
    pub fn apply(self, x: Scalar, y: Scalar) -> Option<bool> {
        let order = x.total_cmp(y)?;
        match (self, x.as_float().zip(y.as_float())) {
            (Self::Lt, Some((x, y))) => Some(x < y),
            (Self::Eq, Some((x, y))) => Some(x == y),
            (Self::TotalLt | Self::BitEq, None) => None,
            (Self::Lt | Self::TotalLt, _) => Some(order.is_lt()),
            (Self::Eq | Self::BitEq, _) => Some(order.is_eq()),
        }
    }
}

/// An instruction. Unless stated otherwise, its result is null if an operand is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Instruction {
    /// The program's input at this position, of the type that [`ScalarType::of`] names for its Arrow type.
    Input(u32),
    /// A constant.
    Const(Scalar),
    /// A null of a type.
    Null(ScalarType),
    /// A unary op. Result and operand have the same type.
    Unary(Unary, Value),
    /// A binary op. Result and operands have the same type.
    Binary(Binary, Value, Value),
    /// A comparison of two values of the same type.
    Compare(Comparison, Value, Value),
    /// The value converted to a type: see [`Scalar::cast`].
    Cast(ScalarType, Value),
    /// Whether the program's table at this position has a value with the same bits.
    InTable(u32, Value),
    /// Whether a floating-point value is NaN.
    IsNan(Value),
    /// Whether a value is null; never null.
    IsNull(Value),
    /// Logical negation.
    Not(Value),
    /// SQL's AND: false if either operand is false, else null if either is null.
    And(Value, Value),
    /// SQL's OR: true if either operand is true, else null if either is null.
    Or(Value, Value),
    /// The second operand where the first is true, the third where it is false or null.
    Select(Value, Value, Value),
    /// Traps if the Boolean is true in any row. The message shows the other operands, if there are any. Defines no value.
    TrapIf(Trap, Value, [Option<Value>; 2]),
}

impl Instruction {
    /// The values that it reads, to be changed in place. All traversals of operands use it.
    fn operands_mut(&mut self) -> [Option<&mut Value>; 3] {
        match self {
            Self::Input(_) | Self::Const(_) | Self::Null(_) => [None, None, None],
            Self::Unary(_, a)
            | Self::Cast(_, a)
            | Self::InTable(_, a)
            | Self::IsNan(a)
            | Self::IsNull(a)
            | Self::Not(a) => [Some(a), None, None],
            Self::Binary(_, a, b) | Self::Compare(_, a, b) | Self::And(a, b) | Self::Or(a, b) => {
                [Some(a), Some(b), None]
            }
            Self::Select(a, b, c) => [Some(a), Some(b), Some(c)],
            Self::TrapIf(_, a, [b, c]) => [Some(a), b.as_mut(), c.as_mut()],
        }
    }

    /// The values that it reads.
    pub fn operands(&self) -> impl Iterator<Item = Value> + use<> {
        let mut copy = *self;
        copy.operands_mut().map(|operand| operand.copied()).into_iter().flatten()
    }

    /// The same instruction with each operand replaced by `to(operand)`.
    pub fn map_operands(mut self, to: impl Fn(Value) -> Value) -> Self {
        self.operands_mut().into_iter().flatten().for_each(|operand| *operand = to(*operand));
        self
    }
}

/// An input of a program: one Arrow array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Input {
    /// The Arrow type, one that has a [`ScalarType`].
    pub data_type: DataType,
    /// Whether the array may have nulls.
    pub nullable: bool,
}

/// An output of a program: one Arrow array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Output {
    /// The value of each row.
    pub value: Value,
    /// The Arrow type, one whose [`ScalarType`] is that of the value, and not `UInt64`. Integers are truncated to the width
    /// of an 8, 16 or 32-bit type.
    pub data_type: DataType,
}
