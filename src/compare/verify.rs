//! Checks the answers of a mode: the number of rows, their sum, and every row, against values computed
//! with the standard library's logarithm.

use arrow::array::Float64Array;
use datafusion::common::{Result, exec_err};
use rayon::prelude::*;

use super::bare::Columns;

/// How far a row may be from the reference. Both are within 4 ULP of the exact value.
const MAX_ULP: u64 = 8;

/// How far a sum may be from the reference, relative to it.
const MAX_SUM_ERROR: f64 = 1e-12;

/// What a run has produced.
pub enum Answer {
    /// All results, in the order of the rows.
    Rows(Vec<Float64Array>),
    /// Their sum.
    Sum(f64),
}

/// An answer found right.
#[derive(Debug, Clone, Copy)]
pub struct Verified {
    /// The sum of the results.
    pub sum: f64,
    /// The largest distance of a row from the reference, in units in the last place; `None` where the
    /// answer has no rows.
    pub max_ulp: Option<u64>,
}

impl Verified {
    /// The one of two answers that is farther from the reference.
    pub fn worse(self, other: Self) -> Self {
        if other.max_ulp > self.max_ulp { other } else { self }
    }
}

/// The right answer.
pub struct Reference {
    rows: Vec<f64>,
    sum: f64,
}

impl Reference {
    pub fn new(columns: &Columns, pool: &rayon::ThreadPool) -> Self {
        let [x, y, z] = columns.inputs.each_ref().map(|column| column.values().as_ref());
        let rows: Vec<f64> = pool.install(|| {
            (x, y, z).into_par_iter().map(|(x, y, z): (&f64, &f64, &f64)| x.ln() * y.ln() * z.ln()).collect()
        });
        let sum = accurate_sum(rows.iter().copied());
        Self { rows, sum }
    }

    /// Checks an answer.
    pub fn verify(&self, answer: Answer) -> Result<Verified> {
        match answer {
            Answer::Sum(sum) => {
                self.check_sum(sum)?;
                Ok(Verified { sum, max_ulp: None })
            }
            Answer::Rows(arrays) => {
                let count: usize = arrays.iter().map(|array| array.values().len()).sum();
                if count != self.rows.len() {
                    return exec_err!("wrong answer: {count} rows instead of {}", self.rows.len());
                }
                let results = arrays.iter().flat_map(|array| array.values().iter().copied());
                let mut max_ulp = 0;
                for (row, (result, expected)) in results.clone().zip(&self.rows).enumerate() {
                    let distance = ulp_distance(result, *expected);
                    if distance > MAX_ULP {
                        return exec_err!("wrong answer: row {row} is {result:e} instead of {expected:e}");
                    }
                    max_ulp = max_ulp.max(distance);
                }
                let sum = accurate_sum(results);
                self.check_sum(sum)?;
                Ok(Verified { sum, max_ulp: Some(max_ulp) })
            }
        }
    }

    fn check_sum(&self, sum: f64) -> Result<()> {
        let error = (sum - self.sum).abs();
        // A NaN is neither within the bound nor beyond it.
        if error <= MAX_SUM_ERROR * self.sum.abs() {
            Ok(())
        } else {
            exec_err!("wrong answer: the sum is {sum} instead of {}", self.sum)
        }
    }
}

/// How many floating-point numbers lie between two, plus one; 0 for two NaN, the maximum for one.
fn ulp_distance(one: f64, other: f64) -> u64 {
    if one.is_nan() || other.is_nan() {
        return if one.is_nan() && other.is_nan() { 0 } else { u64::MAX };
    }
    // Ordered like the numbers, with both zeros in one place.
    let ordered = |value: f64| {
        let bits = value.to_bits() as i64;
        i128::from(if bits < 0 { i64::MIN - bits } else { bits })
    };
    ordered(one).abs_diff(ordered(other)) as u64
}

/// Neumaier's compensated sum: the error does not grow with the number of rows.
fn accurate_sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    sum + lost
}
