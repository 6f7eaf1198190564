//! Tables of constants, for tests of membership.

use serde::{Deserialize, Serialize};

use super::scalar::Scalar;
use super::scalar_type::ScalarType;

/// A set of constants of one type, in which [`InTable`](super::instruction::Instruction::InTable) searches for a value's
/// bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Table {
    scalar_type: ScalarType,
    /// [`Scalar::bits`] of the constants, ascending and without duplicates.
    bits: Vec<i64>,
}

impl Table {
    /// The table of constants, in any order; `None` unless all of them have the given type.
    pub fn new(scalar_type: ScalarType, constants: &[Scalar]) -> Option<Self> {
        let same_type = constants.iter().all(|constant| constant.scalar_type() == scalar_type);
        let mut bits: Vec<_> = constants.iter().map(|constant| constant.bits()).collect();
        bits.sort_unstable();
        bits.dedup();
        same_type.then_some(Self { scalar_type, bits })
    }

    /// The type of its constants.
    pub fn scalar_type(&self) -> ScalarType {
        self.scalar_type
    }

    /// [`Scalar::bits`] of its constants, ascending and without duplicates.
    pub fn bits(&self) -> &[i64] {
        &self.bits
    }

    /// Whether a scalar of the table's type is among the constants.
    pub fn contains(&self, scalar: Scalar) -> bool {
        self.bits.binary_search(&scalar.bits()).is_ok()
    }

    /// Whether the bits are strictly ascending, as [`new`](Self::new) makes them, and of the width of the type.
    pub(super) fn is_valid(&self) -> bool {
        let in_range = |bits: i64| match self.scalar_type {
            ScalarType::Bool => (0..=1).contains(&bits),
            ScalarType::I32 | ScalarType::F32 => i32::try_from(bits).is_ok(),
            ScalarType::I64 | ScalarType::F64 => true,
        };
        self.bits.is_sorted_by(|x, y| x < y) && self.bits.iter().all(|&bits| in_range(bits))
    }
}
