//! Verifies the results of a mode: the number of rows, the sum, and every row. The reference for `log3` is computed with
//! the standard library's logarithm, that for any other formula with DataFusion's own operators.

use std::sync::Arc;

use std::borrow::Cow;

use arrow::array::{ArrayRef, Float64Array};
use datafusion::common::{Result, exec_err, internal_err};
use rayon::prelude::*;

use super::columns::Columns;
use super::formula::Formula;
use warpframe_ir::Scalar;
use warpframe_ir::error_interval::ErrorInterval;
use warpframe_ir::program::Program;

/// The largest allowed distance of a row from the reference. For `log3` both are within 4 ULP of the exact value.
const MAX_ULP: u64 = 8;

/// The largest allowed error of a sum, relative to the sum of the magnitudes: for `log3`, and for other formulas, whose
/// operations may have larger error bounds.
const MAX_SUM_ERROR: f64 = 1e-12;
const MAX_SUM_ERROR_OF_EXPRESSIONS: f64 = 1e-9;

/// The result of a run.
pub enum Answer {
    /// All results, in the order of the rows.
    Rows(Vec<Float64Array>),
    /// All results, in any order.
    Unordered(Vec<Float64Array>),
    /// Their sum.
    Sum(f64),
}

/// A result that passed verification.
#[derive(Debug, Clone, Copy)]
pub struct Verified {
    /// The sum of the results.
    pub sum: f64,
    /// The largest distance of a row from the reference, in units in the last place; `None` if the rows were not
    /// compared.
    pub max_ulp: Option<u64>,
}

impl Verified {
    /// Returns the result that is farther from the reference.
    pub fn worse(self, other: Self) -> Self {
        if other.max_ulp > self.max_ulp { other } else { self }
    }
}

/// The expected result.
#[derive(Clone)]
pub struct Reference {
    rows: Vec<f64>,
    sum: f64,
    sum_tolerance: f64,
    /// The program and its arguments, whose error intervals decide about rows that are more than `MAX_ULP` away. `None`
    /// for `log3`.
    program: Option<(Arc<Program>, Vec<ArrayRef>)>,
}

impl Reference {
    /// Computes `log3` with the standard library's logarithm.
    pub fn log3(columns: &Columns, pool: &rayon::ThreadPool) -> Self {
        let [x, y, z] = columns.inputs.each_ref().map(|column| column.values().as_ref());
        let rows: Vec<f64> = pool.install(|| {
            (x, y, z).into_par_iter().map(|(x, y, z): (&f64, &f64, &f64)| x.ln() * y.ln() * z.ln()).collect()
        });
        Self::of(rows, MAX_SUM_ERROR, None)
    }

    /// The reference for any formula, from the results of DataFusion's own operators.
    ///
    /// # Errors
    /// The number of results is not the number of rows.
    pub fn new(results: Vec<Float64Array>, formula: &Formula, columns: &Columns) -> Result<Self> {
        let rows: Vec<f64> = results.iter().flat_map(|array| array.values().iter().copied()).collect();
        if rows.len() != columns.inputs[0].len() {
            return internal_err!("the reference has {} rows", rows.len());
        }
        let program = (formula.compiled.program.clone(), columns.arguments(formula));
        Ok(Self::of(rows, MAX_SUM_ERROR_OF_EXPRESSIONS, Some(program)))
    }

    fn of(rows: Vec<f64>, relative: f64, program: Option<(Arc<Program>, Vec<ArrayRef>)>) -> Self {
        let sum = accurate_sum(rows.iter().copied());
        let magnitude = rows.iter().map(|row| row.abs()).sum::<f64>();
        Self { rows, sum, sum_tolerance: relative * magnitude, program }
    }

    /// The expected result for the first rows only.
    pub fn first(&self, rows: usize) -> Cow<'_, Self> {
        if rows >= self.rows.len() {
            return Cow::Borrowed(self);
        }
        let first = Self::of(self.rows[..rows].to_vec(), MAX_SUM_ERROR, self.program.clone());
        Cow::Owned(first)
    }

    /// Whether a result lies within the error interval of the program for this row.
    fn is_allowed(&self, row: usize, result: f64) -> bool {
        self.program.as_ref().is_some_and(|(program, arguments)| {
            ErrorInterval::of(program, arguments, row)
                .is_none_or(|interval| interval.contains(Some(Scalar::F64(result))))
        })
    }

    /// Verifies a result.
    ///
    /// # Errors
    /// The number of rows, the sum or a row is wrong.
    pub fn verify(&self, answer: Answer) -> Result<Verified> {
        match answer {
            Answer::Sum(sum) => {
                self.check_sum(sum)?;
                Ok(Verified { sum, max_ulp: None })
            }
            Answer::Unordered(arrays) => {
                self.check_count(&arrays)?;
                let results = arrays.iter().flat_map(|array| array.values().iter().copied());
                self.verify(Answer::Sum(accurate_sum(results)))
            }
            Answer::Rows(arrays) => {
                self.check_count(&arrays)?;
                let results = arrays.iter().flat_map(|array| array.values().iter().copied());
                let mut max_ulp = 0;
                for (row, (result, expected)) in results.clone().zip(&self.rows).enumerate() {
                    let distance = ulp_distance(result, *expected);
                    if distance > MAX_ULP && !self.is_allowed(row, result) {
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

    fn check_count(&self, arrays: &[Float64Array]) -> Result<()> {
        let count: usize = arrays.iter().map(|array| array.values().len()).sum();
        match count == self.rows.len() {
            true => Ok(()),
            false => exec_err!("wrong answer: {count} rows instead of {}", self.rows.len()),
        }
    }

    fn check_sum(&self, sum: f64) -> Result<()> {
        let error = (sum - self.sum).abs();
        // Comparisons with NaN are false; equal infinities and two NaN are accepted separately.
        if error <= self.sum_tolerance || sum == self.sum || sum.is_nan() && self.sum.is_nan() {
            Ok(())
        } else {
            exec_err!("wrong answer: the sum is {sum} instead of {}", self.sum)
        }
    }
}

/// The distance of two numbers in units in the last place: 0 for two NaN, `u64::MAX` for a NaN and a number.
fn ulp_distance(one: f64, other: f64) -> u64 {
    if one.is_nan() || other.is_nan() {
        return if one.is_nan() && other.is_nan() { 0 } else { u64::MAX };
    }
    // Maps the numbers to integers in the same order, and both zeros to 0.
    let ordered = |value: f64| {
        let bits = value.to_bits() as i64;
        i128::from(if bits < 0 { i64::MIN - bits } else { bits })
    };
    ordered(one).abs_diff(ordered(other)) as u64
}

/// Neumaier's compensated summation: the rounding error is nearly independent of the number of rows.
fn accurate_sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    sum + lost
}
