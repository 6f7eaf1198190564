//! Errors of clauses that cannot be used.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, plan_datafusion_err};

/// What to do instead of a collation.
pub const INSTEAD_OF_COLLATE: &str =
    "texts are compared by their bytes; lower(...) makes upper and lower case equal";

/// The error of the first clause that is used: each has a name, and what to do instead.
pub fn refuse<const N: usize>(clauses: [(bool, &str, &str); N]) -> ControlFlow<DataFusionError> {
    match clauses.into_iter().find(|(is_used, ..)| *is_used) {
        Some((_, clause, instead)) => {
            ControlFlow::Break(plan_datafusion_err!("{clause} cannot be used: {instead}"))
        }
        None => ControlFlow::Continue(()),
    }
}
