//! The reduction of an output of any type.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::Reductions;
use super::chunk::{ChunkedValues, Element, Moments};
use crate::error::Result;
use crate::scalar::Scalar;
use crate::scalar_type::ScalarType;

/// The reductions of the values of an output, or of a column, that are not null.
#[derive(Debug, Clone)]
pub struct Accumulator {
    values: Values,
}

/// The values of an [`Accumulator`], by their type.
#[derive(Debug, Clone)]
pub enum Values {
    /// The number of values of any type.
    Count(u64),
    /// `i32`
    I32(ChunkedValues<i32>),
    /// `i64`
    I64(ChunkedValues<i64>),
    /// `f32`
    F32(ChunkedValues<f32>),
    /// `f64`
    F64(ChunkedValues<f64>),
}

/// Evaluates an expression with the [`ChunkedValues`] of a type; another one with the count.
macro_rules! by_type {
    ($values:expr, $count:pat => $of_count:expr, $chunked:pat => $of_chunked:expr) => {
        match $values {
            Values::Count($count) => $of_count,
            Values::I32($chunked) => $of_chunked,
            Values::I64($chunked) => $of_chunked,
            Values::F32($chunked) => $of_chunked,
            Values::F64($chunked) => $of_chunked,
        }
    };
}

impl Accumulator {
    /// No values of a type. Of Booleans, and where nothing else is asked for, only the number of values is computed.
    pub fn new(scalar_type: ScalarType, reductions: Reductions) -> Self {
        if reductions == Reductions::default() {
            return Self::counter();
        }
        let values = match scalar_type {
            ScalarType::Bool => Values::Count(0),
            ScalarType::I32 => Values::I32(ChunkedValues::new(reductions)),
            ScalarType::I64 => Values::I64(ChunkedValues::new(reductions)),
            ScalarType::F32 => Values::F32(ChunkedValues::new(reductions)),
            ScalarType::F64 => Values::F64(ChunkedValues::new(reductions)),
        };
        Self { values }
    }

    /// The number of values of any Arrow type.
    pub fn counter() -> Self {
        Self { values: Values::Count(0) }
    }

    /// What is computed, besides the number of values. For backends that compute it themselves.
    pub fn reductions(&self) -> Reductions {
        by_type!(&self.values, _ => Reductions::default(), values => values.reductions())
    }

    /// The type of the values; `None` if only their number is computed, of any type.
    pub fn scalar_type(&self) -> Option<ScalarType> {
        match self.values {
            Values::Count(_) => None,
            Values::I32(_) => Some(ScalarType::I32),
            Values::I64(_) => Some(ScalarType::I64),
            Values::F32(_) => Some(ScalarType::F32),
            Values::F64(_) => Some(ScalarType::F64),
        }
    }

    /// The values.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The values, for backends that add to them.
    pub fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    /// Adds the elements of an array that are not null.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput): programs have no values of the array's type.
    pub fn update(&mut self, array: &ArrayRef) -> Result<()> {
        match (&mut self.values, array.data_type()) {
            (Values::Count(count), _) => *count += (array.len() - array.logical_null_count()) as u64,
            (Values::I32(values), DataType::Int32) => extend::<Int32Type>(values, array),
            (Values::I64(values), DataType::Int64) => extend::<Int64Type>(values, array),
            (Values::F32(values), DataType::Float32) => extend::<Float32Type>(values, array),
            (Values::F64(values), DataType::Float64) => extend::<Float64Type>(values, array),
            // Other Arrow types with values of these types.
            (values, _) => {
                for row in 0..array.len() {
                    match (&mut *values, Scalar::read(array, row)?) {
                        (Values::I32(values), Some(Scalar::I32(value))) => values.extend(&[value]),
                        (Values::I64(values), Some(Scalar::I64(value))) => values.extend(&[value]),
                        (Values::F32(values), Some(Scalar::F32(value))) => values.extend(&[value]),
                        (Values::F64(values), Some(Scalar::F64(value))) => values.extend(&[value]),
                        (_, None) => {}
                        (_, Some(value)) => {
                            return Err(crate::Error::InvalidInput(format!(
                                "an accumulator of other values cannot add {value}"
                            )));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        by_type!(&self.values, count => *count, values => values.count())
    }

    /// The sum; `None` of no values, or if it was not asked for.
    pub fn sum(&self) -> Option<Scalar> {
        by_type!(&self.values, _ => None, values => values.sum())
    }

    /// The smallest value; `None` of no values, or if it was not asked for.
    pub fn min(&self) -> Option<Scalar> {
        by_type!(&self.values, _ => None, values => values.min())
    }

    /// The largest value; `None` of no values, or if it was not asked for.
    pub fn max(&self) -> Option<Scalar> {
        by_type!(&self.values, _ => None, values => values.max())
    }

    /// The moments; those of no values if they were not asked for.
    pub fn moments(&self) -> Moments {
        by_type!(&self.values, _ => Moments::default(), values => values.moments())
    }
}

/// Adds the elements of an array that are not null.
fn extend<T: ArrowPrimitiveType<Native: Element>>(values: &mut ChunkedValues<T::Native>, array: &ArrayRef) {
    let array = array.as_primitive::<T>();
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => values.extend(array.values()),
        Some(nulls) => {
            for (start, end) in nulls.valid_slices() {
                values.extend(&array.values()[start..end]);
            }
        }
    }
}
