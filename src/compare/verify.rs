//! Verifies the results of a mode or a tool: the number of rows, the sum, and every row. The reference for `log3` is computed
//! with the standard library's logarithm, that for any other formula with DataFusion's own operators.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use datafusion::common::{Result, exec_err, internal_err};
use rayon::prelude::*;

use super::columns::{arguments, xyz};
use super::formula::Formula;
use super::tool_tolerance::is_tolerated;
use warpframe_ir::Scalar;
use warpframe_ir::error_interval::ErrorInterval;
use warpframe_ir::program::Program;

/// The largest distance of a row from the reference that is always allowed. For `log3` both are within 4 ULP of the exact
/// value.
const MAX_ULP: u64 = 8;

/// The largest allowed error of a sum, relative to the sum of the magnitudes: for `log3`, and for other formulas, whose
/// operations may have larger error bounds.
const MAX_SUM_ERROR: f64 = 1e-12;
const MAX_SUM_ERROR_OF_EXPRESSIONS: f64 = 1e-9;

/// The rows of a task of the verification.
const ROWS_PER_TASK: usize = 1 << 16;

/// Whose results are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultsOf {
    /// Warpframe and DataFusion: each operation is within its error bound.
    Engine,
    /// An external tool.
    Tool,
}

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
    /// The number of each row among all rows of the comparison, in ascending order; `None` if these are all rows.
    numbers: Option<Vec<usize>>,
    sum: f64,
    sum_tolerance: f64,
    /// The allowed error of the sum, relative to the sum of the magnitudes.
    relative: f64,
    /// The program and its arguments over all rows, whose error bounds decide about rows that are more than `MAX_ULP` away.
    /// `None` for `log3`.
    program: Option<(Arc<Program>, Vec<ArrayRef>)>,
}

impl Reference {
    /// Computes `log3` with the standard library's logarithm.
    pub fn log3(rows: &RecordBatch, pool: &rayon::ThreadPool) -> Self {
        let [x, y, z] = xyz(rows);
        let rows: Vec<f64> = pool.install(|| {
            (x, y, z).into_par_iter().map(|(x, y, z): (&f64, &f64, &f64)| x.ln() * y.ln() * z.ln()).collect()
        });
        Self::of(rows, None, MAX_SUM_ERROR, None)
    }

    /// The reference for any formula, from the results of DataFusion's own operators.
    ///
    /// # Errors
    /// The number of results is not the number of rows.
    pub fn new(results: Vec<Float64Array>, formula: &Formula, rows: &RecordBatch) -> Result<Self> {
        let results: Vec<f64> = results.iter().flat_map(|array| array.values().iter().copied()).collect();
        if results.len() != rows.num_rows() {
            return internal_err!("the reference has {} rows", results.len());
        }
        let program = (formula.compiled.program.clone(), arguments(rows, formula));
        Ok(Self::of(results, None, MAX_SUM_ERROR_OF_EXPRESSIONS, Some(program)))
    }

    fn of(
        rows: Vec<f64>,
        numbers: Option<Vec<usize>>,
        relative: f64,
        program: Option<(Arc<Program>, Vec<ArrayRef>)>,
    ) -> Self {
        let sum = accurate_sum(rows.iter().copied());
        let magnitude = rows.iter().map(|row| row.abs()).sum::<f64>();
        Self { rows, numbers, sum, sum_tolerance: relative * magnitude, relative, program }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The expected result if only the rows with these numbers are kept. This must be a reference for all rows, and the
    /// numbers must be in ascending order.
    pub fn of_rows(&self, numbers: Vec<usize>) -> Self {
        let rows = numbers.iter().filter_map(|row| self.rows.get(*row).copied()).collect();
        Self::of(rows, Some(numbers), self.relative, self.program.clone())
    }

    /// The expected result for the first of all rows only.
    pub fn first(&self, rows: usize) -> Cow<'_, Self> {
        let (kept, numbers) = match &self.numbers {
            Some(numbers) => {
                let kept = numbers.partition_point(|number| *number < rows);
                (kept, Some(numbers[..kept].to_vec()))
            }
            None => (rows.min(self.rows.len()), None),
        };
        if kept == self.rows.len() {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self::of(self.rows[..kept].to_vec(), numbers, self.relative, self.program.clone()))
    }

    /// Whether a result is within the error bounds of the program for this row.
    fn is_allowed(&self, row: usize, result: f64, whose: ResultsOf) -> bool {
        let Some((program, arguments)) = &self.program else { return false };
        let row = self.numbers.as_ref().map_or(row, |numbers| numbers[row]);
        match whose {
            ResultsOf::Engine => ErrorInterval::of(program, arguments, row)
                .is_none_or(|interval| interval.contains(Some(Scalar::F64(result)))),
            ResultsOf::Tool => is_tolerated(program, arguments, row, result),
        }
    }

    /// Verifies a result.
    ///
    /// # Errors
    /// The number of rows, the sum or a row is wrong.
    pub fn verify(&self, answer: Answer, whose: ResultsOf) -> Result<Verified> {
        match answer {
            Answer::Sum(sum) => {
                self.check_sum(sum)?;
                Ok(Verified { sum, max_ulp: None })
            }
            Answer::Unordered(arrays) => {
                self.check_count(&arrays)?;
                let results = arrays.iter().flat_map(|array| array.values().iter().copied());
                self.verify(Answer::Sum(accurate_sum(results)), whose)
            }
            Answer::Rows(arrays) => {
                self.check_count(&arrays)?;
                let max_ulp = self.check_rows(&arrays, whose)?;
                let sum = accurate_sum(arrays.iter().flat_map(|array| array.values().iter().copied()));
                self.check_sum(sum)?;
                Ok(Verified { sum, max_ulp: Some(max_ulp) })
            }
        }
    }

    /// Checks every row on the threads of the current pool, and returns the largest distance from the reference.
    fn check_rows(&self, arrays: &[Float64Array], whose: ResultsOf) -> Result<u64> {
        let starts = arrays.iter().scan(0, |end, array| {
            let start = *end;
            *end += array.values().len();
            Some(start)
        });
        let parts = starts.zip(arrays).flat_map(|(start, array)| {
            let chunks = array.values().chunks(ROWS_PER_TASK).enumerate();
            chunks.map(move |(chunk, values)| (start + chunk * ROWS_PER_TASK, values))
        });
        let parts: Vec<_> = parts.collect();
        let checked = parts.into_par_iter().map(|(start, values)| {
            let mut max_ulp = 0;
            for (row, result) in (start..).zip(values) {
                let expected = self.rows[row];
                let distance = ulp_distance(*result, expected);
                if distance > MAX_ULP && !self.is_allowed(row, *result, whose) {
                    let row = self.numbers.as_ref().map_or(row, |numbers| numbers[row]);
                    return exec_err!("wrong answer: row {row} is {result:e} instead of {expected:e}");
                }
                max_ulp = max_ulp.max(distance);
            }
            Ok(max_ulp)
        });
        // The error of the first wrong row.
        let checked: Vec<_> = checked.collect();
        checked.into_iter().try_fold(0, |max_ulp, part| Ok(max_ulp.max(part?)))
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
