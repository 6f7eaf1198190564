//! `EXPLAIN` as a tree: [`ExplainPlanner`] plans it, [`plan_tree`] draws it, and [`DisplayNode`] is an operator that is only drawn.

mod display_node;
mod planner;
mod tree;

pub use display_node::DisplayNode;
pub use planner::{ExplainPlanner, explain_as_tree};
pub use tree::plan_tree;
