//! `DELETE`, `UPDATE` and `TRUNCATE`.
//!
//! DataFusion's tables change their rows while a statement is planned, so that `EXPLAIN` changes them too, and the conditions that
//! its planner hands to a table are those that it finds in the optimized plan: one with a subquery, which has become a join by then,
//! and one that is never true, of which nothing is left, are lost, and all rows are changed. Here [`PlanTableChanges`] derives the
//! [`Change`] from the plan or refuses the statement, and [`ChangeTableExec`] changes the table when it is executed, as a whole or not at all if it is in memory.

mod change;
mod change_table_exec;
mod deferred_table;
mod planner;

pub use change::Change;
pub use change_table_exec::ChangeTableExec;
pub use planner::PlanTableChanges;
