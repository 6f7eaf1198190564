//! The rows of the suite.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::unary;
use arrow::datatypes::Float64Type;
use datafusion::common::Result;

use crate::compare::columns;
use crate::compare::formula::schema;
use warpframe_datafusion::rows::{Distribution, RowGenerator};

/// From the values of the generator, in (0, 1e6], to those of the suite.
const SCALE: f64 = 1e-4;

/// The columns x, y, z and w: independent uniform numbers in (0, 100]. Formulas read x, y and z, conditions read w.
///
/// # Errors
/// The batch cannot be made.
pub fn generate(seed: u64, rows: u64, pool: &rayon::ThreadPool) -> Result<RecordBatch> {
    let of_seed = |seed: u64| {
        columns::generate(&RowGenerator { distribution: Distribution::Uniform, seed }, rows, pool)
    };
    let (formula, condition) = (of_seed(seed)?, of_seed(!seed)?);
    let arrays = formula.columns().iter().chain([condition.column(0)]);
    let scaled = arrays.map(|array| -> ArrayRef {
        Arc::new(unary::<_, _, Float64Type>(array.as_primitive::<Float64Type>(), |value| value * SCALE))
    });
    Ok(RecordBatch::try_new(Arc::new(schema(&["x", "y", "z", "w"])), scaled.collect())?)
}

/// The numbers of the rows that the condition `w <= percent` keeps, in ascending order.
pub fn kept(rows: &RecordBatch, percent: u8) -> Vec<usize> {
    let w = rows.column(3).as_primitive::<Float64Type>().values();
    let keep = w.iter().enumerate().filter(|(_, w)| **w <= f64::from(percent));
    keep.map(|(row, _)| row).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn values_are_independent_and_conditions_keep_their_share() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let rows = generate(7, 50_000, &pool).unwrap();
        let columns: Vec<_> =
            rows.columns().iter().map(|array| array.as_primitive::<Float64Type>()).collect();
        for (position, column) in columns.iter().enumerate() {
            assert!(column.values().iter().all(|value| *value > 0.0 && *value <= 100.0));
            let mean = column.values().iter().sum::<f64>() / 50_000.0;
            assert!((mean - 50.0).abs() < 1.0, "the mean of column {position} is {mean}");
            // Of two independent uniform numbers, either is the smaller one in half of the rows.
            for other in &columns[..position] {
                let pairs = column.values().iter().zip(other.values());
                let smaller = pairs.filter(|(one, other)| one < other).count();
                assert!((24_000..26_000).contains(&smaller), "{smaller} rows of column {position}");
            }
        }
        let tenth = kept(&rows, 10);
        assert!((4_700..5_300).contains(&tenth.len()) && tenth.is_sorted(), "{} rows", tenth.len());
        assert!(tenth.iter().all(|row| columns[3].value(*row) <= 10.0));
        assert_eq!(generate(7, 50_000, &pool).unwrap(), rows);
    }
}
