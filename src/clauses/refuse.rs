//! Errors of clauses that cannot be used.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, plan_datafusion_err};

/// The error of the first clause that is used: each has a name, and what to do instead.
pub fn refuse<const N: usize>(clauses: [(bool, &str, &str); N]) -> ControlFlow<DataFusionError> {
    match clauses.into_iter().find(|(is_used, ..)| *is_used) {
        Some((_, clause, instead)) => {
            ControlFlow::Break(plan_datafusion_err!("{clause} cannot be used: {instead}"))
        }
        None => ControlFlow::Continue(()),
    }
}
