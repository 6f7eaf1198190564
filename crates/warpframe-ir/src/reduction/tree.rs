//! The trees that combine the results of chunks, and those of parts of a chunk.

/// Results of chunks, combined by a binary tree whose shape depends on their number only.
///
/// The results so far are kept as those of subtrees of 1, 2, 4, 8, … chunks, at most one of each size, as the bits of a binary
/// number: another chunk is a carry.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree<P> {
    /// The result of the subtree of `1 << level` chunks, if there is one.
    levels: Vec<Option<P>>,
}

impl<P: Copy> Tree<P> {
    /// Adds the result of the next chunk. `combine` takes the earlier result first.
    pub fn push(&mut self, result: P, combine: impl Fn(P, P) -> P) {
        let mut carry = result;
        for level in &mut self.levels {
            match level.take() {
                Some(earlier) => carry = combine(earlier, carry),
                None => {
                    *level = Some(carry);
                    return;
                }
            }
        }
        self.levels.push(Some(carry));
    }

    /// The result of all chunks and of `rest`, which is behind them.
    pub fn total(&self, rest: Option<P>, combine: impl Fn(P, P) -> P) -> Option<P> {
        self.levels.iter().flatten().fold(rest, |later, earlier| {
            Some(match later {
                Some(later) => combine(*earlier, later),
                None => *earlier,
            })
        })
    }
}

/// Combines results pairwise, in their order: neighbors, then the combinations of neighbors, until one is left. `None` of no
/// results. `combine` takes the earlier result first.
pub fn combine_pairwise<P: Copy>(mut results: Vec<P>, combine: impl Fn(P, P) -> P) -> Option<P> {
    while results.len() > 1 {
        let pairs = results.len() / 2;
        for pair in 0..pairs {
            results[pair] = combine(results[2 * pair], results[2 * pair + 1]);
        }
        // One without a neighbor stays as it is.
        if results.len() % 2 == 1 {
            results[pairs] = results[2 * pairs];
        }
        results.truncate(results.len().div_ceil(2));
    }
    results.first().copied()
}

#[cfg(test)]
mod tests {
    use super::{Tree, combine_pairwise};

    #[test]
    fn pairs_are_neighbors() {
        assert_eq!(combine_pairwise(Vec::<(usize, usize)>::new(), |a, _| a), None);
        for count in 1..200 {
            let results = (0..count).map(|one| (one, one + 1)).collect();
            let combined = combine_pairwise(results, |a: (usize, usize), b| {
                assert_eq!(a.1, b.0);
                (a.0, b.1)
            });
            assert_eq!(combined, Some((0, count)));
        }
    }

    #[test]
    fn results_are_combined_in_their_order() {
        let mut tree = Tree::default();
        for chunk in 0..1000usize {
            tree.push((chunk, chunk + 1), |a, b| {
                assert_eq!(a.1, b.0);
                (a.0, b.1)
            });
            let total = tree.total(Some((chunk + 1, chunk + 2)), |a, b| {
                assert_eq!(a.1, b.0);
                (a.0, b.1)
            });
            assert_eq!(total, Some((0, chunk + 2)));
        }
    }
}
