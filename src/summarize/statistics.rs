//! The statistics of a column, as aggregate expressions that depend on its type.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::expr_fn::{greatest, least, named_struct};
use datafusion::functions::math::expr_fn::{abs, floor, log10, round};
use datafusion::functions_aggregate::expr_fn::{
    approx_distinct, approx_percentile_cont, avg, count, max, min, stddev,
};
use datafusion::logical_expr::{Expr, ExprFunctionExt, cast, lit, try_cast, when};

/// The number of significant digits of means, standard deviations and quantiles. Digits before the decimal point are kept.
const DIGITS: i32 = 4;

/// The smallest numbers that are rounded: powers of ten with more places are infinite.
const MIN_ROUNDED: f64 = 1e-290;

/// The columns of a summary that follow the name and the type of a column: their names and types. A value is an expression
/// over aggregates.
pub const COLUMNS: [(&str, DataType); 10] = [
    ("count", DataType::Int64),
    ("nulls", DataType::Int64),
    ("unique", DataType::Int64),
    ("min", DataType::Utf8),
    ("max", DataType::Utf8),
    ("mean", DataType::Float64),
    ("std", DataType::Float64),
    ("q25", DataType::Utf8),
    ("q50", DataType::Utf8),
    ("q75", DataType::Utf8),
];

/// What a type has statistics of.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Integer,
    Float,
    Decimal,
    /// A date, time or duration: the type whose quantiles are shown, and the type of the integers that it consists of.
    Temporal(DataType, DataType),
    /// There is an order, but no distance.
    Ordered,
    /// Values can be counted.
    Opaque,
    /// Nothing but nulls can be counted.
    NullsOnly,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        use DataType::*;
        match data_type {
            _ if data_type.is_integer() => Self::Integer,
            _ if data_type.is_floating() => Self::Float,
            _ if data_type.is_decimal() => Self::Decimal,
            Date32 | Time32(_) => Self::Temporal(data_type.clone(), Int32),
            // A double does not have the digits of nanoseconds since 1970.
            Timestamp(TimeUnit::Nanosecond, zone) => {
                Self::Temporal(Timestamp(TimeUnit::Microsecond, zone.clone()), Int64)
            }
            Date64 | Time64(_) | Timestamp(..) | Duration(_) => Self::Temporal(data_type.clone(), Int64),
            Boolean | Utf8 | LargeUtf8 | Utf8View => Self::Ordered,
            Null | RunEndEncoded(..) | Dictionary(..) => Self::NullsOnly,
            _ => Self::Opaque,
        }
    }
}

/// The aggregates of a column, in the order of [`COLUMNS`], and the expressions that make values of the columns of their
/// results.
#[derive(Debug)]
pub struct Statistics {
    kind: Kind,
    column: Expr,
    data_type: DataType,
}

impl Statistics {
    /// Those of a column of a type.
    pub fn new(column: Expr, data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(_, values) => {
                let column = cast(column, values.as_ref().clone());
                Self { kind: Kind::of(values), column, data_type: values.as_ref().clone() }
            }
            other => Self { kind: Kind::of(other), column, data_type: other.clone() },
        }
    }

    /// The aggregate of each column of the summary; `None` where the type has none.
    ///
    /// # Errors
    /// Never: the filters that aggregates have are valid.
    pub fn aggregates(&self) -> Result<[Option<Expr>; COLUMNS.len()]> {
        let ordered = || (!matches!(self.kind, Kind::Opaque | Kind::NullsOnly)).then(|| self.column.clone());
        let number = match self.kind {
            Kind::Integer | Kind::Float | Kind::Decimal => Some(cast(self.column.clone(), DataType::Float64)),
            _ => None,
        };
        Ok([
            Some(count(self.column.clone())),
            Some(count(self.column.clone().is_null()).filter(self.column.clone().is_null()).build()?),
            self.unique()?,
            ordered().map(min),
            ordered().map(max),
            number.clone().map(avg),
            number.map(stddev),
            self.quantile(0.25)?,
            self.quantile(0.5)?,
            self.quantile(0.75)?,
        ])
    }

    /// The number of different values, approximately.
    fn unique(&self) -> Result<Option<Expr>> {
        let column = self.column.clone();
        match self.kind {
            Kind::NullsOnly => Ok(None),
            // DataFusion's function does not take floats themselves.
            Kind::Float => {
                let wrapped = named_struct(vec![lit("value"), column.clone()]);
                approx_distinct(wrapped).filter(column.is_not_null()).build().map(Some)
            }
            _ => Ok(Some(approx_distinct(column))),
        }
    }

    /// A quantile of the finite values, as a double.
    fn quantile(&self, part: f64) -> Result<Option<Expr>> {
        let number = match &self.kind {
            Kind::Integer | Kind::Float | Kind::Decimal => cast(self.column.clone(), DataType::Float64),
            Kind::Temporal(shown, integer) => {
                cast(cast(cast(self.column.clone(), shown.clone()), integer.clone()), DataType::Float64)
            }
            _ => return Ok(None),
        };
        let quantile = approx_percentile_cont(number.clone().sort(true, false), lit(part), None);
        match self.kind {
            // NaN is greater than all numbers.
            Kind::Float => quantile.filter(abs(number).lt_eq(lit(f64::MAX))).build().map(Some),
            _ => Ok(Some(quantile)),
        }
    }

    /// The values of the columns of the summary, of their types, from the results of the [aggregates](Self::aggregates).
    ///
    /// # Errors
    /// Never: the conditions are complete.
    pub fn values(&self, results: [Option<Expr>; COLUMNS.len()]) -> Result<Vec<Expr>> {
        let count = results[0].clone();
        let values = COLUMNS.iter().zip(results).map(|((name, data_type), result)| {
            let Some(result) = result else {
                return Ok(cast(lit(ScalarValue::Null), data_type.clone()));
            };
            let value = match *name {
                // The approximation may be greater.
                "unique" => {
                    least([cast(result, data_type.clone())].into_iter().chain(count.clone()).collect())
                }
                "mean" | "std" => rounded(result)?,
                "q25" | "q50" | "q75" => self.in_column_type(result)?,
                _ => result,
            };
            Ok(cast(value, data_type.clone()))
        });
        values.collect()
    }

    /// The value of the column's type for a double.
    fn in_column_type(&self, number: Expr) -> Result<Expr> {
        Ok(match &self.kind {
            // The largest integers as doubles may be out of range.
            Kind::Integer => try_cast(round(vec![number]), self.data_type.clone()),
            Kind::Decimal => try_cast(number, self.data_type.clone()),
            Kind::Temporal(shown, integer) => {
                cast(try_cast(round(vec![number]), integer.clone()), shown.clone())
            }
            _ => rounded(number)?,
        })
    }
}

/// A number rounded to [`DIGITS`] significant digits, or to a whole number if that has more.
fn rounded(number: Expr) -> Result<Expr> {
    let size = abs(number.clone());
    let places = cast(lit(f64::from(DIGITS - 1)) - floor(log10(size.clone())), DataType::Int32);
    let places = greatest(vec![places, lit(0)]);
    when(size.between(lit(MIN_ROUNDED), lit(f64::MAX)), round(vec![number.clone(), places])).otherwise(number)
}
