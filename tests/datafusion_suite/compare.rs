//! Compares the outcomes of a statement.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::engine::{Answer, Outcome};

/// What ends a number in a cell of a nested type.
const DELIMITERS: [char; 8] = [' ', ',', ':', '[', ']', '{', '}', '='];

/// What is different between two outcomes, if something is.
pub fn difference(one: &Outcome, other: &Outcome, only_errors: bool) -> Option<String> {
    match (one, other) {
        (Err(one), Err(other)) => (one != other).then(|| format!("error: {one}\nerror: {other}")),
        (Err(error), Ok(_)) => Some(format!("error: {error}\nno error")),
        (Ok(_), Err(error)) => Some(format!("no error\nerror: {error}")),
        (Ok(_), Ok(_)) if only_errors => None,
        (Ok(one), Ok(other)) => in_schemas(one, other).or_else(|| in_rows(one, other)),
    }
}

/// The difference between two schemas, without the names of columns: one engine heads them as they were written.
fn in_schemas(one: &Answer, other: &Answer) -> Option<String> {
    let unnamed = |answer: &Answer| -> Vec<_> {
        answer.schema.fields().iter().map(|field| field.as_ref().clone().with_name("")).collect()
    };
    (unnamed(one) != unnamed(other)).then(|| format!("{:?}\n{:?}", one.schema, other.schema))
}

fn in_rows(one: &Answer, other: &Answer) -> Option<String> {
    let types: Vec<_> = one.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    let (one, other) = match (rows(one), rows(other)) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => return Some(format!("not printable: {:?} {:?}", one.err(), other.err())),
    };
    if one.len() != other.len() {
        return Some(format!("{} rows\n{} rows", one.len(), other.len()));
    }
    let same = |one: &[String], other: &[String]| {
        types
            .iter()
            .zip(one.iter().zip(other))
            .all(|(data_type, (one, other))| is_same(data_type, one, other))
    };
    let index = one.iter().zip(&other).position(|(one, other)| !same(one, other))?;
    Some(format!("row {index}: {:?}\nrow {index}: {:?}", one[index], other[index]))
}

/// The cells of all rows. Rows of unordered results are sorted.
fn rows(answer: &Answer) -> Result<Vec<Vec<String>>, ArrowError> {
    let options = FormatOptions::default().with_display_error(false).with_null("∅");
    let mut rows = Vec::new();
    for batch in &answer.batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| column.value(row).try_to_string());
            rows.push(cells.collect::<Result<Vec<_>, _>>()?);
        }
    }
    if !answer.ordered {
        // Numbers that are the same but for the last digits must not change the order.
        rows.sort_by_cached_key(|row| {
            (row.iter().map(|cell| rounded(cell)).collect::<Vec<_>>(), row.clone())
        });
    }
    Ok(rows)
}

fn rounded(cell: &str) -> String {
    match float(cell) {
        Some(number) => format!("{number:.4e}"),
        None => cell.to_owned(),
    }
}

/// A floating-point number as Arrow prints it.
fn float(text: &str) -> Option<f64> {
    text.contains(['.', 'e', 'N', 'i']).then(|| text.parse().ok())?
}

/// Whether two cells are the same. Floating-point numbers may differ by a few units of the last place.
fn is_same(data_type: &DataType, one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let data_type = data_type.to_string();
    let tolerance = match () {
        () if data_type.contains("Float32") => 1e-5,
        () if data_type.contains("Float64") => 1e-12,
        () => return false,
    };
    let (mut one, mut other) = (one.split_inclusive(DELIMITERS), other.split_inclusive(DELIMITERS));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if is_same_word(one, other, tolerance) => {}
            _ => return false,
        }
    }
}

fn is_same_word(one: &str, other: &str, tolerance: f64) -> bool {
    let (number, end) = one.split_at(one.trim_end_matches(DELIMITERS).len());
    let (other_number, other_end) = other.split_at(other.trim_end_matches(DELIMITERS).len());
    let is_close = |one: f64, other: f64| {
        (one.is_finite() && other.is_finite())
            && one.is_sign_negative() == other.is_sign_negative()
            && (one - other).abs() <= tolerance * one.abs().max(other.abs())
    };
    end == other_end
        && (number == other_number
            || float(number).zip(float(other_number)).is_some_and(|(one, other)| is_close(one, other)))
}
