//! The partial states of aggregates, computed from reductions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, UInt64Array, new_null_array};
use arrow::datatypes::{DataType, Fields};
use datafusion::common::Result;
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::count::Count;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::functions_aggregate::stddev::{Stddev, StddevPop};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::functions_aggregate::variance::{VariancePopulation, VarianceSample};
use datafusion::logical_expr::AggregateUDFImpl;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

use crate::errors::datafusion_error;
use warpframe_ir::reduction::{Accumulator, Reductions};
use warpframe_ir::{Scalar, ScalarType, array_of_scalars, with_logical_type};

/// An aggregate of an ungrouped aggregation that is computed by reducing its argument.
#[derive(Debug, Clone, Copy)]
pub struct ReducedAggregate {
    /// Its partial state.
    pub state: PartialState,
    /// The position of the expression that is reduced; `None` if rows are counted.
    pub argument: Option<usize>,
}

/// The partial state of an aggregate, as DataFusion's final aggregation takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialState {
    /// The number of values.
    Count,
    /// The sum; null of no values.
    Sum,
    /// The number of values and their sum.
    Average,
    /// The smallest value; null of no values.
    Min,
    /// The largest value; null of no values.
    Max,
    /// The number of values, their mean, and the sum of squared differences from it.
    Moments,
}

impl PartialState {
    /// The partial state of an aggregate whose argument has this type, if reductions compute it: `count` of any type, `sum` of
    /// `Int64` and `Float64`, `avg`, `var` and `stddev` of `Float64`, `min` and `max` of the types whose values programs have.
    pub fn of(aggregate: &AggregateFunctionExpr, argument: &DataType) -> Option<Self> {
        if aggregate.is_distinct() || aggregate.ignore_nulls() || !aggregate.order_bys().is_empty() {
            return None;
        }
        let function: &dyn AggregateUDFImpl = aggregate.fun().inner().as_ref();
        let is_variance = function.is::<VarianceSample>()
            || function.is::<VariancePopulation>()
            || function.is::<Stddev>()
            || function.is::<StddevPop>();
        let is_float = *argument == DataType::Float64;
        let state = match () {
            () if function.is::<Count>() => Self::Count,
            () if function.is::<Sum>() && (is_float || *argument == DataType::Int64) => Self::Sum,
            () if function.is::<Avg>() && is_float => Self::Average,
            () if is_variance && is_float => Self::Moments,
            () if function.is::<Min>() && has_order(argument) => Self::Min,
            () if function.is::<Max>() && has_order(argument) => Self::Max,
            () => return None,
        };
        let fields = aggregate.state_fields().ok()?;
        let types: Vec<_> = fields.iter().map(|field| field.data_type().clone()).collect();
        (types == state.types(argument)).then_some(state)
    }

    /// The types of the state's fields.
    fn types(self, argument: &DataType) -> Vec<DataType> {
        match self {
            Self::Count => vec![DataType::Int64],
            Self::Sum | Self::Min | Self::Max => vec![argument.clone()],
            Self::Average => vec![DataType::UInt64, DataType::Float64],
            Self::Moments => vec![DataType::UInt64, DataType::Float64, DataType::Float64],
        }
    }

    /// The number of fields.
    pub fn width(self) -> usize {
        self.types(&DataType::Null).len()
    }

    /// What is computed of the argument.
    pub fn reductions(self) -> Reductions {
        let none = Reductions::default();
        match self {
            Self::Count => none,
            Self::Sum | Self::Average => Reductions { sum: true, ..none },
            Self::Min => Reductions { min: true, ..none },
            Self::Max => Reductions { max: true, ..none },
            Self::Moments => Reductions { moments: true, ..none },
        }
    }

    /// The state's fields, as arrays of one row. `fields` are those of the result.
    ///
    /// # Errors
    /// A field has another type than the state.
    pub fn arrays(self, accumulator: &Accumulator, fields: &Fields) -> Result<Vec<ArrayRef>> {
        let value = |scalar: Option<Scalar>, field: usize| array(scalar, fields[field].data_type());
        let count = || -> ArrayRef { Arc::new(UInt64Array::from(vec![accumulator.count()])) };
        Ok(match self {
            Self::Count => vec![rows_counted(accumulator.count())],
            Self::Sum => vec![value(accumulator.sum(), 0)?],
            Self::Average => vec![count(), value(accumulator.sum(), 1)?],
            Self::Min => vec![value(accumulator.min(), 0)?],
            Self::Max => vec![value(accumulator.max(), 0)?],
            Self::Moments => {
                let moments = accumulator.moments();
                let float = |x: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![x])) };
                vec![count(), float(moments.mean), float(moments.m2)]
            }
        })
    }
}

/// The state of a count of rows.
pub(super) fn rows_counted(rows: u64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![rows as i64]))
}

/// Whether values of programs have the order of an Arrow type. Those of `UInt64` are rounded.
fn has_order(data_type: &DataType) -> bool {
    let is_number = ScalarType::of(data_type).is_some_and(|scalar_type| scalar_type != ScalarType::Bool);
    is_number && *data_type != DataType::UInt64
}

/// An array of one value, or a null.
fn array(scalar: Option<Scalar>, data_type: &DataType) -> Result<ArrayRef> {
    match scalar {
        Some(scalar) => {
            let array = array_of_scalars(scalar.scalar_type(), [Some(scalar)]);
            with_logical_type(array, data_type).map_err(datafusion_error)
        }
        None => Ok(new_null_array(data_type, 1)),
    }
}

/// An accumulator for an expression of a type.
pub(super) fn accumulator(data_type: &DataType, reductions: Reductions) -> Accumulator {
    match ScalarType::of(data_type) {
        Some(scalar_type) => Accumulator::new(scalar_type, reductions),
        None => Accumulator::counter(),
    }
}
