//! Casts between numbers, Booleans, dates, times, timestamps and durations, as Arrow's cast kernels do them. A number that
//! the type does not have is an error of CAST, and null in TRY_CAST.

use arrow::datatypes::{DataType, TimeUnit};
use arrow::temporal_conversions::MILLISECONDS_IN_DAY;
use datafusion::logical_expr::Expr;

use super::integers::Integer;
use super::lowered::{LowerResult, scalar_type};
use super::lowerer::Lowerer;
use warpframe_ir::instruction::{Comparison, Value};
use warpframe_ir::ops::Binary;
use warpframe_ir::{ScalarType, Trap};

/// How a value is converted. Casts that multiply timestamps are not among them: they can overflow.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Conversion {
    /// The same integer represents the value in both types.
    Reinterpret,
    /// From a number or a Boolean to another such type.
    Number(DataType, DataType),
    /// From a finer unit of time to a coarser one, this many of which it has. Truncates.
    Divide(i64),
    /// From days to milliseconds.
    DaysToMilliseconds,
}

impl Conversion {
    fn of(from: &DataType, to: &DataType) -> Option<Self> {
        use DataType::*;
        Some(match (from, to) {
            (Int32, Date32 | Time32(_)) | (Date32 | Time32(_), Int32) => Self::Reinterpret,
            (Int64, Date64 | Time64(_)) | (Date64 | Time64(_), Int64) => Self::Reinterpret,
            (Date32 | Time32(_), Int64) => Self::Number(Int32, Int64),
            (Date64, Int32) | (Int64, Date32) => Self::Number(Int64, Int32),
            (Date32 | Int32, Date64) => Self::DaysToMilliseconds,
            (Timestamp(from, zone), Timestamp(to, to_zone)) => match (zone, to_zone) {
                // The local time stays, and with it the integer changes.
                (None, Some(_)) => return None,
                _ => Self::to_unit(*from, *to)?,
            },
            (Timestamp(from, _), Date64) => Self::to_unit(*from, TimeUnit::Millisecond)?,
            (Duration(from), Duration(to)) => Self::to_unit(*from, *to)?,
            (Timestamp(..) | Duration(_), number) if is_number(number) => Self::Number(Int64, number.clone()),
            (number, Timestamp(..) | Duration(_)) if is_number(number) => Self::Number(number.clone(), Int64),
            (one, other) if [one, other].iter().all(|one| is_number(one) || **one == Boolean) => {
                Self::Number(one.clone(), other.clone())
            }
            _ => return None,
        })
    }

    /// The conversion from one unit of time to another; `None` to a finer one.
    fn to_unit(from: TimeUnit, to: TimeUnit) -> Option<Self> {
        let per_second = |unit| match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        };
        match per_second(from) / per_second(to) {
            0 => None,
            1 => Some(Self::Reinterpret),
            ratio => Some(Self::Divide(ratio)),
        }
    }
}

/// Whether values of programs have this type of numbers.
fn is_number(data_type: &DataType) -> bool {
    Integer::of(data_type).is_some() || matches!(data_type, DataType::Float32 | DataType::Float64)
}

impl Lowerer<'_> {
    /// Lowers CAST, and TRY_CAST, which is safe.
    pub(super) fn lower_cast(
        &mut self,
        inner: &Expr,
        to: &DataType,
        safe: bool,
    ) -> LowerResult<Option<Value>> {
        let from = self.data_type(inner)?;
        if from == *to {
            return self.lower_expr(inner).map(Some);
        }
        if (&from, to) == (&DataType::UInt64, &DataType::Float64) {
            // Backends convert it when they load it.
            self.work.add_cheap();
            return self.input(inner).map(Some);
        }
        let Some(conversion) = Conversion::of(&from, to) else { return Ok(None) };
        let x = self.lower_expr(inner)?;
        if conversion != Conversion::Reinterpret {
            self.work.add_cheap();
        }
        Ok(Some(match conversion {
            Conversion::Reinterpret => x,
            Conversion::Number(from, to) => self.convert_number(x, &from, &to, safe)?,
            Conversion::Divide(ratio) => {
                let ratio = self.builder.const_integer(ScalarType::I64, ratio);
                self.builder.binary(Binary::Divide, x, ratio)
            }
            Conversion::DaysToMilliseconds => {
                let days = self.builder.cast(ScalarType::I64, x);
                let milliseconds = self.builder.const_integer(ScalarType::I64, MILLISECONDS_IN_DAY);
                self.builder.binary(Binary::Multiply, days, milliseconds)
            }
        }))
    }

    /// Converts a number or a Boolean. Floats are truncated to integers.
    fn convert_number(&mut self, x: Value, from: &DataType, to: &DataType, safe: bool) -> LowerResult<Value> {
        let Some(to_type) = scalar_type(to) else { return Ok(x) };
        let value = self.builder.cast(to_type, x);
        let (Some(to), false) = (Integer::of(to), *from == DataType::Boolean) else { return Ok(value) };
        let in_range = match Integer::of(from) {
            Some(from) => self.integer_in_range(x, from, to),
            None => self.float_in_range(x, to),
        };
        let out_of_range = self.builder.not(in_range);
        if safe {
            let null = self.builder.null(to_type);
            return Ok(self.builder.select(out_of_range, null, value));
        }
        self.trap_where(Trap::CastOverflow(to.name), out_of_range, &[x])?;
        Ok(value)
    }

    /// Whether an integer type has the value of another one.
    fn integer_in_range(&mut self, x: Value, from: Integer, to: Integer) -> Value {
        let builder = &mut self.builder;
        let mut in_range = builder.const_bool(true);
        if from.min() < to.min() {
            let min = builder.const_integer(from.scalar_type, to.min());
            let below = builder.compare(Comparison::Lt, x, min);
            in_range = builder.not(below);
        }
        if from.max() > to.max() {
            let max = builder.const_integer(from.scalar_type, to.max());
            let above = builder.compare(Comparison::Lt, max, x);
            let not_above = builder.not(above);
            in_range = builder.and(in_range, not_above);
        }
        in_range
    }

    /// Whether an integer type has the truncated value of a float: one that lies between `MIN - 1` and `MAX + 1`. False for
    /// NaN.
    fn float_in_range(&mut self, x: Value, to: Integer) -> Value {
        let builder = &mut self.builder;
        let float = builder.scalar_type(x);
        // The sum is a power of two: exact, or rounded to it from `MAX`.
        let limit = builder.const_float(float, to.max() as f64 + 1.0);
        let below = builder.compare(Comparison::Lt, x, limit);
        let width = if float == ScalarType::F64 { 64 } else { 32 };
        let above = if to.bits < width || !to.signed {
            let limit = builder.const_float(float, to.min() as f64 - 1.0);
            builder.compare(Comparison::Lt, limit, x)
        } else {
            // The type of the float does not have `MIN - 1`, and no number between it and `MIN`.
            let min = builder.const_float(float, to.min() as f64);
            let less = builder.compare(Comparison::Lt, x, min);
            builder.not(less)
        };
        builder.and(above, below)
    }
}
