//! JSON files: objects one behind the other, such as one per line, or an array of objects. Which of both a file is, is seen by
//! its first character.
//!
//! DataFusion's format finds columns from 1,000 records and in no order, has to be told of arrays, and loses the compression
//! of files and the mark of arrays on clusters. [`JsonFormat`] replaces it where files are read:
//!
//! - Columns are those of the objects in the first 64 MiB of a table's files, in the order in which they occur first.
//! - A column of numbers has the type BIGINT or DOUBLE, also if some are the strings "NaN", "Infinity" or "-Infinity". A column of
//!   different scalars is text. Objects are structs, and arrays are lists.
//! - A local file of one object per line is read by several threads.

mod array_items;
mod format;
mod opener;
mod scan;
mod schema;

pub use format::{JsonFormat, JsonFormatFactory};
pub use scan::JsonScan;
