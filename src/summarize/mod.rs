//! `SUMMARIZE`: statistics of the columns of a table or query, a row for each column.
//!
//! `SUMMARIZE t` is parsed as `SELECT * FROM summarize(t)`. Before a statement is planned, [`expand`] makes a query of the
//! argument of `summarize`, and the [table function](Summarize) plans one aggregation of that query.

mod plan;
mod statement;
mod statistics;

pub use self::plan::{Summarize, summary};
pub use self::statement::{expand, parse};

/// The name of the table function.
pub const FUNCTION: &str = "summarize";
