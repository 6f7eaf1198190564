//! The input and the output of a comparison.

use std::fmt;
use std::str::FromStr;

use datafusion::common::{DataFusionError, Result};

use super::named_enum::named;
use warpframe_datafusion::rows::{Distribution, RowGenerator};

/// Where the rows are when the clock starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// Arrow arrays in memory.
    #[default]
    Memory,
    /// A Parquet file in the page cache.
    Parquet,
}

/// What each mode produces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResultSink {
    /// All results as Arrow arrays in memory.
    #[default]
    Collect,
    /// The sum of the results.
    Sum,
    /// All results in Parquet files.
    Parquet,
}

named!(Source, "source", Memory => "memory", Parquet => "parquet");
named!(ResultSink, "result", Collect => "collect", Sum => "sum", Parquet => "parquet");

/// The name of the distribution, and its seed if it has one, as reports show them.
pub fn describe_rows(generator: &RowGenerator) -> String {
    match generator.distribution {
        Distribution::Sequence => "sequence".to_owned(),
        Distribution::Uniform => format!("uniform, seed {}", generator.seed),
    }
}
