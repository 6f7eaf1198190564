//! The expected results of a formula.

use std::num::NonZeroUsize;

use arrow::array::{Float64Array, RecordBatch};
use datafusion::common::{Result, exec_err};

use super::formula::Formula;
use super::mode::Mode;
use super::session_query::{memory_table, run_to_arrays, runtime, session, session_builder};
use super::verify::{Answer, Reference};

/// The expected results over all rows: of `log3` by the standard library's logarithm, of any other formula by DataFusion's own
/// operators.
///
/// # Errors
/// DataFusion cannot evaluate the formula in some row, or some results are null.
pub fn reference(formula: &Formula, rows: &RecordBatch, pool: &rayon::ThreadPool) -> Result<Reference> {
    match formula.is_log3() {
        true => Ok(Reference::log3(rows, pool)),
        false => Reference::new(evaluate_unfused(&formula.sql, rows)?, formula, rows),
    }
}

fn evaluate_unfused(expression: &str, rows: &RecordBatch) -> Result<Vec<Float64Array>> {
    let one = NonZeroUsize::MIN;
    let session = session(session_builder(Mode::Columnar, one), memory_table(rows, one)?)?;
    let query = format!("SELECT {expression} AS r FROM rows");
    match run_to_arrays(&runtime(one)?, &session, &query)?.0.1 {
        Answer::Rows(results) => Ok(results),
        _ => exec_err!("the reference has no rows"),
    }
}
