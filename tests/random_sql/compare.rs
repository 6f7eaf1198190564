//! Compares two outcomes of a query.

use std::cmp::Ordering;

use arrow::datatypes::DataType;

use crate::engines::{Cell, Outcome};
use crate::expr::Query;

/// The relative error that inexact columns may have, by their type.
fn tolerance(data_type: &DataType) -> f64 {
    if *data_type == DataType::Float32 { 1e-5 } else { 1e-12 }
}

/// Why the outcomes differ; `None` if they are the same. Values must be the same, NaN without its sign and payload;
/// those of inexact columns may differ by a few units in the last place if `approximately`.
pub fn difference(
    query: &Query,
    expected: &Outcome,
    actual: &Outcome,
    approximately: bool,
) -> Option<String> {
    let (expected, actual) = match (expected, actual) {
        (Ok(expected), Ok(actual)) => (expected, actual),
        (Err(expected), Err(actual)) => {
            // With several, it is not settled which one is found first.
            let (expected, actual) = (innermost(expected), innermost(actual));
            let differ =
                query.fallible_operations() <= 1 && expected != actual && !expected.starts_with("panic: ");
            return differ.then(|| format!("the messages differ: '{expected}' and '{actual}'"));
        }
        // Faults of DataFusion that other expressions don't bring out, such as a wrong nullability in a plan, or an
        // overflow that panics without optimization.
        (Err(error), Ok(_)) if error.starts_with("Internal error: ") || error.starts_with("panic: ") => {
            return None;
        }
        // DataFusion also evaluates operations in rows that another condition leaves out, fused operators do not.
        (Err(_), Ok(_)) if query.leaves_out_rows() && query.fallible_operations() > 0 => return None,
        (Err(error), Ok(_)) => return Some(format!("only DataFusion fails: {error}")),
        (Ok(_), Err(error)) => return Some(format!("DataFusion does not fail: {error}")),
    };
    let mut fields = expected.fields.iter().zip(&actual.fields);
    // A column may be known to have no nulls in one plan and not in the other.
    if expected.fields.len() != actual.fields.len() || fields.any(|(one, other)| one != other) {
        return Some(format!("the columns differ: {:?} and {:?}", expected.fields, actual.fields));
    }
    let inexact = query.inexact_columns();
    let tolerances: Vec<Option<f64>> = inexact
        .into_iter()
        .zip(&expected.fields)
        .map(|(inexact, (_, data_type))| (inexact && approximately).then(|| tolerance(data_type)))
        .collect();
    compare_rows(&expected.rows, &actual.rows, &tolerances, query.order.is_some())
}

/// A message without the kinds of errors that it was wrapped in.
fn innermost(message: &str) -> &str {
    let kinds = [
        "Arrow error: ",
        "Compute error: ",
        "Execution error: ",
        "Error during planning: ",
        "External error: ",
    ];
    let stripped = kinds.iter().find_map(|kind| message.strip_prefix(kind));
    stripped.map_or(message, innermost)
}

/// Why the rows differ. A column with a tolerance has approximate numbers.
pub fn compare_rows(
    expected: &[Vec<Cell>],
    actual: &[Vec<Cell>],
    tolerances: &[Option<f64>],
    ordered: bool,
) -> Option<String> {
    if expected.len() != actual.len() {
        return Some(format!("{} rows and {}", expected.len(), actual.len()));
    }
    let sorted = |rows: &[Vec<Cell>]| {
        let mut rows = rows.to_vec();
        if !ordered {
            rows.sort_by(|one, other| compare_exact_cells(one, other, tolerances));
        }
        rows
    };
    for (expected, actual) in sorted(expected).into_iter().zip(sorted(actual)) {
        let cells = expected.iter().zip(&actual).zip(tolerances);
        for (column, ((one, other), tolerance)) in cells.enumerate() {
            if !same(one, other, *tolerance) {
                return Some(format!("column r{column}: {one:?} and {other:?}, row {expected:?}"));
            }
        }
    }
    None
}

/// The order of two rows by the cells without a tolerance.
fn compare_exact_cells(one: &[Cell], other: &[Cell], tolerances: &[Option<f64>]) -> Ordering {
    let cells = one.iter().zip(other).zip(tolerances);
    let orders = cells.map(|((one, other), tolerance)| match (one, other) {
        _ if tolerance.is_some() => Ordering::Equal,
        (Cell::Float(one), Cell::Float(other)) => {
            one.abs().total_cmp(&other.abs()).then(one.total_cmp(other))
        }
        _ => one.partial_cmp(other).unwrap_or(Ordering::Equal),
    });
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn same(one: &Cell, other: &Cell, tolerance: Option<f64>) -> bool {
    match (one, other) {
        (Cell::Float(one), Cell::Float(other)) => match tolerance {
            _ if one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan() => true,
            Some(tolerance) => {
                let scale = one.abs().max(other.abs()).max(f32::MIN_POSITIVE.into());
                one == other || (one - other).abs() <= tolerance * scale
            }
            None => false,
        },
        _ => one == other,
    }
}
