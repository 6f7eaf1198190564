//! Sums and differences of dates, timestamps and durations, as Arrow's kernels compute them: those of timestamps and durations
//! of one unit, checked for overflow.

use arrow::array::timezone::Tz;
use arrow::datatypes::DataType;
use arrow::temporal_conversions::MILLISECONDS_IN_DAY;
use datafusion::logical_expr::Expr;

use super::lowered::LowerResult;
use super::lowerer::Lowerer;
use warpframe_ir::instruction::{Comparison, Value};
use warpframe_ir::ops::Binary;
use warpframe_ir::{ScalarType, Trap};

impl Lowerer<'_> {
    /// Lowers a sum or a difference in which a date or a timestamp is an operand.
    pub(super) fn lower_time_arithmetic(
        &mut self,
        op: Binary,
        left: &Expr,
        right: &Expr,
    ) -> LowerResult<Option<Value>> {
        use DataType::{Date32, Date64, Duration, Timestamp};
        let types = (self.data_type(left)?, self.data_type(right)?);
        match (op, &types.0, &types.1) {
            (Binary::Subtract, Date32, Date32) | (Binary::Subtract, Date64, Date64) => {
                self.lower_days_between(&types.0, left, right).map(Some)
            }
            // The result is a duration.
            (Binary::Subtract, Timestamp(unit, zone), Timestamp(other, _))
                if unit == other && is_zone(zone) =>
            {
                self.lower_checked(op, left, right).map(Some)
            }
            // The result is a timestamp.
            (Binary::Add | Binary::Subtract, Timestamp(unit, zone), Duration(other))
                if unit == other && is_zone(zone) =>
            {
                self.lower_checked(op, left, right).map(Some)
            }
            (Binary::Add, Duration(unit), Timestamp(other, zone)) if unit == other && is_zone(zone) => {
                self.lower_checked(op, right, left).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The sum or the difference of two values of `i64`. An overflow is an error.
    fn lower_checked(&mut self, op: Binary, left: &Expr, right: &Expr) -> LowerResult<Value> {
        let [x, y] = self.lower_each([left, right])?;
        self.work.add_binary(op, ScalarType::I64);
        let builder = &mut self.builder;
        let result = builder.binary(op, x, y);
        // A sum overflows if its sign is that of neither operand; a difference, if its sign and that of the subtrahend are
        // not that of the minuend.
        let of_x = builder.binary(Binary::BitXor, x, result);
        let (trap, of_y) = match op {
            Binary::Add => (Trap::AddOverflow, builder.binary(Binary::BitXor, y, result)),
            _ => (Trap::SubtractOverflow, builder.binary(Binary::BitXor, x, y)),
        };
        let (signs, zero) =
            (builder.binary(Binary::BitAnd, of_x, of_y), builder.const_integer(ScalarType::I64, 0));
        let overflows = builder.compare(Comparison::Lt, signs, zero);
        self.trap_where(trap, overflows, &[x, y])?;
        Ok(result)
    }

    /// The difference of two dates in whole days, as Int64.
    fn lower_days_between(&mut self, date: &DataType, left: &Expr, right: &Expr) -> LowerResult<Value> {
        let operands = self.lower_each([left, right])?;
        let [x, y] = operands.map(|operand| self.builder.cast(ScalarType::I64, operand));
        self.work.add_binary(Binary::Subtract, ScalarType::I64);
        let difference = self.builder.binary(Binary::Subtract, x, y);
        if *date == DataType::Date32 {
            return Ok(difference);
        }
        let day = self.builder.const_integer(ScalarType::I64, MILLISECONDS_IN_DAY);
        Ok(self.builder.binary(Binary::Divide, difference, day))
    }
}

/// Whether a timestamp has no time zone or one that exists. With any other, DataFusion's arithmetic fails.
fn is_zone(zone: &Option<std::sync::Arc<str>>) -> bool {
    zone.as_ref().is_none_or(|zone| zone.parse::<Tz>().is_ok())
}
