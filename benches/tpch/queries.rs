//! The tables and queries of TPC-H, sessions that have them, and the comparison of answers. The queries have the
//! validation parameters of the specification.

use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use warpframe::Session;

/// The tables: each is a file `NAME.parquet`.
pub const TABLES: [&str; 8] =
    ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"];

/// The text of each query, and the columns of its result that its ORDER BY names.
pub const QUERIES: [(&str, &[usize]); 22] = [
    (include_str!("queries/q1.sql"), &[0, 1]),
    (include_str!("queries/q2.sql"), &[0, 2, 1, 3]),
    (include_str!("queries/q3.sql"), &[1, 2]),
    (include_str!("queries/q4.sql"), &[0]),
    (include_str!("queries/q5.sql"), &[1]),
    (include_str!("queries/q6.sql"), &[]),
    (include_str!("queries/q7.sql"), &[0, 1, 2]),
    (include_str!("queries/q8.sql"), &[0]),
    (include_str!("queries/q9.sql"), &[0, 1]),
    (include_str!("queries/q10.sql"), &[2]),
    (include_str!("queries/q11.sql"), &[1]),
    (include_str!("queries/q12.sql"), &[0]),
    (include_str!("queries/q13.sql"), &[1, 0]),
    (include_str!("queries/q14.sql"), &[]),
    (include_str!("queries/q15.sql"), &[0]),
    (include_str!("queries/q16.sql"), &[3, 0, 1, 2]),
    (include_str!("queries/q17.sql"), &[]),
    (include_str!("queries/q18.sql"), &[4, 3]),
    (include_str!("queries/q19.sql"), &[]),
    (include_str!("queries/q20.sql"), &[0]),
    (include_str!("queries/q21.sql"), &[1, 0]),
    (include_str!("queries/q22.sql"), &[0]),
];

/// A session of DataFusion and one of ours, both with the tables in a folder and otherwise with their defaults.
pub async fn sessions(folder: &Path) -> Result<(SessionContext, Session)> {
    let (bare, ours) = (SessionContext::new(), Session::new()?);
    for context in [&bare, ours.context()] {
        for table in TABLES {
            let path = folder.join(format!("{table}.parquet"));
            context.register_parquet(table, &path.to_string_lossy(), ParquetReadOptions::default()).await?;
        }
    }
    Ok((bare, ours))
}

/// The relative error of a floating-point number. Its sums depend on the order of rows, which is not settled.
const TOLERANCE: f64 = 1e-9;

/// A value of a result.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Cell {
    Null,
    Float(f64),
    Text(String),
}

/// Why two results of a query differ; `None` if they don't. The columns `ordered` must be the same row by row, and the
/// rows the same in any order, because rows that are equal in these columns may change places.
pub fn difference(one: &[RecordBatch], other: &[RecordBatch], ordered: &[usize]) -> Option<String> {
    let types = |batches: &[RecordBatch]| batches.first().map(|batch| batch.schema());
    let (schema, other_schema) = (types(one), types(other));
    if let (Some(schema), Some(other_schema)) = (schema, other_schema) {
        let fields = schema.fields().iter().zip(other_schema.fields());
        for (field, other) in fields {
            if (field.name(), field.data_type()) != (other.name(), other.data_type()) {
                return Some(format!("a column is {field} and {other}"));
            }
        }
    }
    let (mut one, mut other) = (cells(one), cells(other));
    if one.len() != other.len() {
        return Some(format!("{} rows and {}", one.len(), other.len()));
    }
    for (row, (one, other)) in one.iter().zip(&other).enumerate() {
        for &column in ordered {
            if !same(&one[column], &other[column]) {
                return Some(format!("row {row} is {one:?} and {other:?}"));
            }
        }
    }
    for rows in [&mut one, &mut other] {
        rows.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    }
    let differ = |(one, other): &(&Vec<Cell>, &Vec<Cell>)| {
        !one.iter().zip(*other).all(|(one, other)| same(one, other))
    };
    let found = one.iter().zip(&other).find(differ);
    found.map(|(one, other)| format!("a row is {one:?} and {other:?}"))
}

fn same(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Float(one), Cell::Float(other)) => {
            one == other || (one - other).abs() <= TOLERANCE * one.abs().max(other.abs())
        }
        _ => one == other,
    }
}

fn cells(batches: &[RecordBatch]) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for batch in batches {
        let mut of_batch = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
        for column in batch.columns() {
            let options = FormatOptions::default();
            let format = ArrayFormatter::try_new(column, &options).unwrap();
            for (row, cells) in of_batch.iter_mut().enumerate() {
                cells.push(match column.data_type() {
                    _ if column.is_null(row) => Cell::Null,
                    DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
                    _ => Cell::Text(format.value(row).to_string()),
                });
            }
        }
        rows.extend(of_batch);
    }
    rows
}
