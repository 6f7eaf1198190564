//! Generated rows: the columns `id`, `x`, `y`, `z` of the reference workload, as a lazy table. What a row
//! holds is in `distribution`, how plans make them in `exec`, how tables and SQL see it in `table`.

mod distribution;
mod exec;
mod table;

pub use distribution::{Distribution, MAX_ROWS, RowGenerator};
pub use exec::GenerateExec;
pub use table::{GenerateRows, GeneratedRows};
