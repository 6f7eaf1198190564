//! JSON files: objects one behind the other, such as one per line, or an array of objects. Which of both a file is, is seen by
//! its first character.
//!
//! DataFusion's format finds columns from 1,000 records and in no order, has to be told of arrays, and loses the compression
//! of files and the mark of arrays on clusters. [`JsonFormat`] replaces it where files are read:
//!
//! - Columns are those of the objects in the first 64 MiB of a table's files, in the order in which they occur first.
//! - A column of numbers has the type BIGINT, BIGINT UNSIGNED or DOUBLE, also if some are the strings "NaN", "Infinity" or
//!   "-Infinity"; it is text if none of these keeps the digits of its integers. A column of different scalars is text. Objects are
//!   structs, and arrays are lists.
//! - A local file of one object per line is read by several threads.
//!
//! DataFusion's sink leaves out columns that are NULL, and loses NaN and infinities; [`JsonSink`] writes what `--out` writes.

mod array_items;
mod format;
mod numbers;
mod object_names;
mod opener;
mod scan;
mod schema;
mod sink;

pub use format::{JsonFormat, JsonFormatFactory};
pub(super) use object_names::object_names;
pub use scan::JsonScan;
pub(super) use schema::sample_bytes;
pub use sink::JsonSink;
