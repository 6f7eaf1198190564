//! The classes of values: how the executor stores them.

use warpframe_ir::ScalarType;

/// The class of a value, and of the registers that can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Mask words of Booleans.
    Bool,
    /// Numbers of 4 bytes.
    Narrow,
    /// Numbers of 8 bytes.
    Wide,
}

impl Class {
    /// The class of values of a type.
    pub fn of(scalar_type: ScalarType) -> Self {
        match scalar_type {
            ScalarType::Bool => Self::Bool,
            ScalarType::I32 | ScalarType::F32 => Self::Narrow,
            ScalarType::I64 | ScalarType::F64 => Self::Wide,
        }
    }

    /// The size of a number in bytes; 0 for Booleans.
    pub fn width(self) -> usize {
        match self {
            Self::Bool => 0,
            Self::Narrow => 4,
            Self::Wide => 8,
        }
    }
}
