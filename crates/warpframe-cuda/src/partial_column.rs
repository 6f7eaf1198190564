//! The columns of partial results that a reducing kernel stores: a number for each of its threads.

use warpframe_ir::{Reductions, ScalarType};

/// A column of the partial results of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartialColumn {
    /// The number of values.
    Count,
    /// Their sum.
    Sum,
    /// The key of the smallest value in the total order; the largest key if there is no value.
    Min,
    /// The key of the largest value; the smallest key if there is no value.
    Max,
    /// The first value of the thread, from which the differences are.
    Pivot,
    /// The sum of the differences from the first value.
    Differences,
    /// The sum of the squares of the differences from the first value.
    Squares,
}

impl PartialColumn {
    /// The columns of an output with values of a type, in the order of the kernel's parameters. Of Booleans, only the number
    /// of values is computed.
    pub fn of(values: ScalarType, reductions: Reductions) -> impl Iterator<Item = Self> {
        let numbers = values != ScalarType::Bool;
        let Reductions { sum, min, max, moments } = reductions;
        let columns = [
            (Self::Count, true),
            (Self::Sum, numbers && sum),
            (Self::Min, numbers && min),
            (Self::Max, numbers && max),
            (Self::Pivot, numbers && moments),
            (Self::Differences, numbers && moments),
            (Self::Squares, numbers && moments),
        ];
        columns.into_iter().filter(|(_, wanted)| *wanted).map(|(column, _)| column)
    }

    /// The name of the column in the source of kernels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Pivot => "pivot",
            Self::Differences => "differences",
            Self::Squares => "squares",
        }
    }

    /// The type of its numbers; `None` for counts, which are 32-bit integers without a sign.
    pub fn scalar_type(self, values: ScalarType) -> Option<ScalarType> {
        match self {
            Self::Count => None,
            Self::Sum if values.is_integer() => Some(ScalarType::I64),
            Self::Sum | Self::Pivot | Self::Differences | Self::Squares => Some(ScalarType::F64),
            Self::Min | Self::Max => match values {
                ScalarType::I64 | ScalarType::F64 => Some(ScalarType::I64),
                _ => Some(ScalarType::I32),
            },
        }
    }

    /// The size of a number in bytes.
    pub fn width(self, values: ScalarType) -> usize {
        match self.scalar_type(values) {
            None => COUNT_BYTES,
            Some(number) => number.data_type().primitive_width().unwrap_or(COUNT_BYTES),
        }
    }
}

/// The size in bytes of a count of a thread's rows or values.
pub(super) const COUNT_BYTES: usize = size_of::<u32>();
