//! Parquet footers of writers that do not follow the specification in everything. Readers in other languages tolerate
//! their faults, and so does this module:
//!
//! - A field has another type than the one in the specification, because the writer has used its number for something
//!   else (Dremio). Such fields are [left out](conformance).
//! - The number of rows, the sizes of columns and the offsets of dictionary pages are [repaired](repair).

mod conformance;
mod format;
mod reading;
mod repair;
mod rule;
mod validation;

pub use format::ParquetFormatFactory;
pub(super) use format::TolerantParquetFormat;
pub(super) use reading::read_footer;
pub use rule::RepairFooters;
pub(super) use validation::with_arrow_schema;
