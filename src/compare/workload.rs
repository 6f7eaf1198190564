//! Where the rows of a comparison lie, and what is made of them.

use std::fmt;
use std::str::FromStr;

use datafusion::common::{DataFusionError, Result};

use super::named_enum::named;
use crate::rows::{Distribution, RowGenerator};

/// Where the rows lie when the clock starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// Arrow arrays in memory.
    #[default]
    Memory,
    /// A Parquet file in the page cache.
    Parquet,
}

/// What each mode has to produce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResultSink {
    /// All results as Arrow arrays in memory.
    #[default]
    Collect,
    /// Their sum.
    Sum,
    /// All results in Parquet files.
    Parquet,
}

named!(Source, "source", Memory => "memory", Parquet => "parquet");
named!(ResultSink, "result", Collect => "collect", Sum => "sum", Parquet => "parquet");

/// The distribution's name and seed as they are shown: a sequence has no seed.
pub fn describe_rows(generator: &RowGenerator) -> String {
    match generator.distribution {
        Distribution::Sequence => "sequence".to_owned(),
        Distribution::Uniform => format!("uniform, seed {}", generator.seed),
    }
}
