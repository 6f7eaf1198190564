//! The loops over the rows of a block, bound to an instruction set when a program is compiled. Each is a function of its own,
//! small enough for the compiler to keep constants in registers.

mod casts;
mod comparisons;
mod floats;
mod integer_division;
mod integers;
mod predicates;
mod selection;
mod tables;
mod words;

pub use casts::{cast, zero_or_one};
pub use comparisons::{ComparisonVisitor, NumberComparison, compare, is_nan, is_nonzero};
pub use floats::{binary, divide_by, pair, unary, unary_of_binary};
pub(crate) use integer_division::{LIMIT, MAGIC, reciprocal};
pub use integers::{binary as integer_binary, unary as integer_unary};
pub use predicates::Predicate;
pub use selection::{select, select_by_comparison};
pub use tables::in_table;
pub use words::logical;
