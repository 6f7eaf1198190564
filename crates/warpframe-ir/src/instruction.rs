//! Instructions, the values that they read and define, and the inputs of programs.

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use super::ops::{Binary, Unary};

/// The floating-point type a program computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// `f64`
    Double,
    /// `f32`
    Single,
}

impl Precision {
    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Double => DataType::Float64,
            Self::Single => DataType::Float32,
        }
    }
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A floating-point number of the program's precision.
    Float,
    /// A Boolean.
    Bool,
}

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

/// An error of a row, such as an argument outside of the domain of a function. It fails the whole evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trap {
    /// The square root of a negative number.
    SqrtOfNegative,
    /// Zero raised to a negative power.
    ZeroToNegativePower,
}

impl Trap {
    /// All traps.
    pub const ALL: [Self; 2] = [Self::SqrtOfNegative, Self::ZeroToNegativePower];

    /// The message, worded as DataFusion's.
    pub fn message(self) -> &'static str {
        match self {
            Self::SqrtOfNegative => "cannot take square root of a negative number",
            Self::ZeroToNegativePower => "zero raised to a negative power is undefined",
        }
    }
}

/// An instruction. Unless stated otherwise, its result is null if an operand is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Instruction {
    /// The program's input at this position. Integers are converted to the program's precision, and so is `f32` in a
    /// program of double precision.
    Input(usize),
    /// A floating-point constant, as the bits of an `f64`.
    ConstFloat(u64),
    /// A Boolean constant.
    ConstBool(bool),
    /// A null of a kind.
    ConstNull(Kind),
    /// A unary op.
    Unary(Unary, Value),
    /// A binary op.
    Binary(Binary, Value, Value),
    /// Less-than in the total order of IEEE 754, as in Arrow's comparison kernels.
    TotalLt(Value, Value),
    /// Whether the bits are equal: equality in the total order.
    BitEq(Value, Value),
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
    /// Traps if, in any row, neither operand is null, the condition of the trap holds for them, and the guard, if any, is
    /// true. Defines no value.
    TrapIf(Trap, [Value; 2], Option<Value>),
}

impl Instruction {
    /// The values that it reads.
    pub fn operands(&self) -> impl Iterator<Item = Value> + use<> {
        let values = match *self {
            Self::Input(_) | Self::ConstFloat(_) | Self::ConstBool(_) | Self::ConstNull(_) => [None; 3],
            Self::Unary(_, a) | Self::IsNan(a) | Self::IsNull(a) | Self::Not(a) => [Some(a), None, None],
            Self::Binary(_, a, b)
            | Self::TotalLt(a, b)
            | Self::BitEq(a, b)
            | Self::And(a, b)
            | Self::Or(a, b) => [Some(a), Some(b), None],
            Self::Select(a, b, c) => [Some(a), Some(b), Some(c)],
            Self::TrapIf(_, [a, b], guard) => [Some(a), Some(b), guard],
        };
        values.into_iter().flatten()
    }

    /// The same instruction with each operand replaced by `to(operand)`.
    pub fn map_operands(self, to: impl Fn(Value) -> Value) -> Self {
        match self {
            Self::Input(_) | Self::ConstFloat(_) | Self::ConstBool(_) | Self::ConstNull(_) => self,
            Self::Unary(op, a) => Self::Unary(op, to(a)),
            Self::Binary(op, a, b) => Self::Binary(op, to(a), to(b)),
            Self::TotalLt(a, b) => Self::TotalLt(to(a), to(b)),
            Self::BitEq(a, b) => Self::BitEq(to(a), to(b)),
            Self::IsNan(a) => Self::IsNan(to(a)),
            Self::IsNull(a) => Self::IsNull(to(a)),
            Self::Not(a) => Self::Not(to(a)),
            Self::And(a, b) => Self::And(to(a), to(b)),
            Self::Or(a, b) => Self::Or(to(a), to(b)),
            Self::Select(a, b, c) => Self::Select(to(a), to(b), to(c)),
            Self::TrapIf(trap, operands, guard) => Self::TrapIf(trap, operands.map(&to), guard.map(&to)),
        }
    }
}

/// An input of a program: one Arrow array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Input {
    /// The Arrow type: Float64, Float32 (also in a program of double precision), an integer type, or Boolean.
    pub data_type: DataType,
    /// Whether the array may have nulls.
    pub nullable: bool,
}
