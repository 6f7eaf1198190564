//! Expressions of thousands of operators. DataFusion's planner takes time in proportion to the square of an expression's depth,
//! and stack in proportion to it, so that a query of some thousand terms takes minutes or ends the process
//! (apache/datafusion#22936).
//!
//! [`balance`](balance()) makes flat trees of the chains of AND and OR in a parsed statement. [`LongChains`] replaces long chains of
//! arithmetic, and conditions of very many terms, by fused functions while a statement is planned. Longer chains of other
//! operators are refused in one sentence.

mod balance;
mod long_chains;

pub use balance::{MAX_CHAIN, MAX_CONDITIONS, MAX_OPERATORS, balance};
pub use long_chains::LongChains;
