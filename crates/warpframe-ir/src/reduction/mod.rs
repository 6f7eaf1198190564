//! Reductions of outputs: counts, sums, extremes and moments of the values that are not null, in the rows that a predicate
//! selects.
//!
//! A [`ChunkedValues`] reduces chunks of [`CHUNK`] values, each by the same sequence of operations, and combines the results of
//! the chunks by a binary tree. The result depends on the values and their order only: not on the batches and blocks in which
//! they arrive, and not on the width of vector registers. Sums of `n` floats by a tree have an error that grows with `log n`; that
//! of one running sum grows with `n`.
//!
//! A backend that reduces values itself, in chunks of its own, adds the results of the chunks as [`Partial`]s.

mod accumulator;
mod chunk;
mod tree;

pub use accumulator::{Accumulator, Values};
pub use chunk::{CHUNK, ChunkedValues, Element, LANES, Moments, Partial, WORD};
pub use tree::combine_pairwise;

/// What is computed of the values of an output, besides their number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Reductions {
    /// The sum: of integers as `i64`, which wraps around; of floats as `f64`.
    pub sum: bool,
    /// The smallest value, in the total order of IEEE 754 for floats.
    pub min: bool,
    /// The largest value, in the same order.
    pub max: bool,
    /// The mean and the sum of squared differences from it.
    pub moments: bool,
}

impl Reductions {
    /// What either of two computes.
    pub fn union(self, other: Self) -> Self {
        Self {
            sum: self.sum | other.sum,
            min: self.min | other.min,
            max: self.max | other.max,
            moments: self.moments | other.moments,
        }
    }
}
