//! Lowers DataFusion expressions to programs.
//!
//! - `lower` is the entry; `lowered` has its result: the program and the arguments of an expression, or the reason why there
//!   is none.
//! - `lowerer` walks an expression; `arithmetic`, `comparison`, `casts`, `times`, `in_list`, `conditional` and `functions` lower its
//!   nodes, with the results and the errors of DataFusion's own evaluation.
//! - `built_in` finds the lowering of DataFusion's functions, `integers` describes integer types, `expression_type` finds the type
//!   of an expression, `work` counts operations.
//! - `physical` lowers the expressions of physical operators, `compile` compiles expressions without a query.

mod arithmetic;
mod built_in;
mod casts;
mod comparison;
mod compile;
mod conditional;
mod expression_type;
mod functions;
mod in_list;
mod integers;
mod lower;
mod lowered;
mod lowerer;
mod physical;
mod times;
mod work;

pub use compile::{Compiled, compile};
pub use lower::{lower, lower_call};
pub use lowered::{Lowered, NotLowered};
pub use physical::{LoweredRows, lower_condition, lower_rows};
pub use work::Work;
