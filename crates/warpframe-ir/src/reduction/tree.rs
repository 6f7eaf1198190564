//! The tree that combines the results of chunks.

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

#[cfg(test)]
mod tests {
    use super::Tree;

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
