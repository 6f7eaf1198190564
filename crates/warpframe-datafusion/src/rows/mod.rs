//! Generated rows: the columns `id`, `x`, `y`, `z` of the reference workload as a table whose rows are computed on
//! read. `distribution` has the values, `exec` the physical operator, and `table` the table provider and the table
//! function.

mod distribution;
mod exec;
mod table;

pub use distribution::{Distribution, MAX_ROWS, RowGenerator};
pub use exec::GenerateExec;
pub use table::{GenerateRows, GeneratedRows};
