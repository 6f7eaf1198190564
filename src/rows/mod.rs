//! Generated rows: the columns `id`, `x`, `y`, `z` of the reference workload, as a lazy table. What a row
//! holds is in `distribution`, how tables and SQL see it in `table`.

mod distribution;
mod table;

pub use distribution::{Distribution, MAX_ROWS, RowGenerator};
pub use table::{GenerateRows, GeneratedRows};
