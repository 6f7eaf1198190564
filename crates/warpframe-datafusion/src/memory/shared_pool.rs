//! A memory pool with a limit that its consumers share.

use std::collections::HashMap;
use std::fmt;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit as PoolLimit, MemoryPool, MemoryReservation, human_readable_size,
};
use parking_lot::Mutex;

use super::consumer_names::describe;

/// Consumers that can spill leave this part of the limit to those that cannot: a sort that spills needs memory that it
/// cannot spill to merge what it has sorted.
const NOT_SPILLABLE_PART: usize = 8;

/// Merges of spilled rows leave this part of the limit to other consumers that cannot spill.
const NOT_MERGED_PART: usize = 16;

/// What the names of the consumers begin with that merge spilled rows. They ask for memory for one spilled file after the
/// other until they are refused, and merge the rest in another pass.
const MERGE: &str = "ExternalSorterMerge";

/// The limit may be exceeded by one part in so many for the equal parts of consumers that can spill.
const EXCESS_PART: usize = 4;

/// A memory pool with a limit.
///
/// Consumers that can spill share what the others leave. Each has a right to an equal part, and so has each of its
/// reservations: an aggregation that merges what it has spilled has one for the merge, which takes all that it gets, and one
/// for the groups. Beyond its part, a consumer gets what is free, less one half of the parts that others have not used yet. DataFusion's `GreedyMemoryPool` lets one consumer take
/// everything, so that another fails before it has anything to spill; its `FairSpillPool` never gives a consumer more than
/// its equal part, even if the others, such as the exchanges of rows between threads, need nothing.
///
/// When the others come to use their parts, the limit may be exceeded by a quarter, until the consumer that has more than its
/// part spills: it is refused at its next request. Consumers that cannot spill get what is free, and always an eighth of the
/// limit together. Those of them that merge spilled rows leave a sixteenth to the others: they take all that they get, and
/// the operators above them come later.
#[derive(Debug)]
pub struct SharedPool {
    /// In bytes.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The bytes that each registered consumer that can spill holds, by its identifier.
    spillable: HashMap<usize, usize>,
    /// The bytes that those consumers hold together.
    spillable_total: usize,
    /// The bytes that all other consumers hold together.
    not_spillable: usize,
    /// The part of `not_spillable` that merges of spilled rows hold.
    merging: usize,
}

/// Whether a consumer that cannot spill merges spilled rows.
fn merges(consumer: &MemoryConsumer) -> bool {
    consumer.name().starts_with(MERGE)
}

impl State {
    fn total(&self) -> usize {
        self.spillable_total + self.not_spillable
    }

    /// Whether a consumer that can spill may have `additional` bytes more. `Err` has the number of bytes that it could have.
    /// `held` is what the reservation has, one of several of the consumer.
    fn check_spillable(
        &self,
        limit: usize,
        consumer: usize,
        held: usize,
        additional: usize,
    ) -> Result<(), usize> {
        let kept = self.not_spillable.max(limit / NOT_SPILLABLE_PART);
        let shared = limit.saturating_sub(kept);
        let part = shared / self.spillable.len().max(1);
        let wanted = held.saturating_add(additional);
        let total = self.total().saturating_add(additional);
        if wanted <= part && total <= limit.saturating_add(limit / EXCESS_PART) {
            return Ok(());
        }
        let others = self.spillable.iter().filter(|(other, _)| **other != consumer);
        let unused_parts: usize = others.map(|(_, held)| part.saturating_sub(*held)).sum();
        let free = shared.saturating_sub(self.spillable_total).saturating_sub(unused_parts / 2);
        if additional <= free { Ok(()) } else { Err(free.max(part.saturating_sub(held))) }
    }

    /// Whether a consumer that cannot spill may have `additional` bytes more. `Err` has the number of bytes that it could have.
    fn check_not_spillable(&self, limit: usize, merges: bool, additional: usize) -> Result<(), usize> {
        let kept = (limit / NOT_SPILLABLE_PART).saturating_sub(self.not_spillable);
        let free = limit.saturating_sub(self.total()).max(kept);
        let others = self.not_spillable.saturating_sub(self.merging);
        let not_merged = (limit / NOT_MERGED_PART).saturating_sub(others);
        let free = if merges { free.saturating_sub(not_merged) } else { free.max(not_merged) };
        if additional <= free { Ok(()) } else { Err(free) }
    }

    fn grow(&mut self, consumer: &MemoryConsumer, additional: usize) {
        match consumer.can_spill() {
            true => {
                *self.spillable.entry(consumer.id()).or_default() += additional;
                self.spillable_total += additional;
            }
            false => {
                self.not_spillable += additional;
                if merges(consumer) {
                    self.merging += additional;
                }
            }
        }
    }

    fn shrink(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        match consumer.can_spill() {
            true => {
                if let Some(held) = self.spillable.get_mut(&consumer.id()) {
                    *held = held.saturating_sub(bytes);
                }
                self.spillable_total = self.spillable_total.saturating_sub(bytes);
            }
            false => {
                self.not_spillable = self.not_spillable.saturating_sub(bytes);
                if merges(consumer) {
                    self.merging = self.merging.saturating_sub(bytes);
                }
            }
        }
    }
}

impl SharedPool {
    /// The name of pools of this kind.
    pub const NAME: &'static str = "shared";

    /// A pool of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// The error of a consumer that gets no memory.
    fn exhausted(&self, reservation: &MemoryReservation, additional: usize, free: usize) -> DataFusionError {
        let [limit, held, additional, free] =
            [self.limit, reservation.size(), additional, free].map(human_readable_size);
        DataFusionError::ResourcesExhausted(format!(
            "the memory limit of {limit} is too small for {}: it holds {held} and needs {additional} more, of which {free} \
             are free; raise the limit",
            describe(reservation.consumer().name())
        ))
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.state.lock().spillable.insert(consumer.id(), 0);
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.state.lock().spillable.remove(&consumer.id());
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.state.lock().grow(reservation.consumer(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        self.state.lock().shrink(reservation.consumer(), bytes);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let consumer = reservation.consumer();
        let mut state = self.state.lock();
        let checked = match consumer.can_spill() {
            true => state.check_spillable(self.limit, consumer.id(), reservation.size(), additional),
            false => state.check_not_spillable(self.limit, merges(consumer), additional),
        };
        match checked {
            Ok(()) => {
                state.grow(consumer, additional);
                Ok(())
            }
            Err(free) => Err(self.exhausted(reservation, additional, free)),
        }
    }

    fn reserved(&self) -> usize {
        self.state.lock().total()
    }

    fn memory_limit(&self) -> PoolLimit {
        PoolLimit::Finite(self.limit)
    }
}

impl fmt::Display for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [used, limit] = [self.reserved(), self.limit].map(human_readable_size);
        write!(f, "{}(used: {used}, limit: {limit})", Self::NAME)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::sync::Arc;

    use super::*;

    fn pool(limit: usize) -> Arc<dyn MemoryPool> {
        Arc::new(SharedPool::new(limit))
    }

    fn spillable(pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new("ExternalSorter[0]").with_can_spill(true).register(pool)
    }

    fn other(pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new("HashJoinInput").register(pool)
    }

    #[test]
    fn one_consumer_may_have_all_but_half_of_the_parts_of_the_others() {
        let pool = pool(800);
        let (one, idle) = (spillable(&pool), spillable(&pool));
        // 700 are shared in parts of 350.
        one.try_grow(525).unwrap();
        one.try_grow(1).unwrap_err();
        idle.try_grow(350).unwrap();
        idle.try_grow(1).unwrap_err();
        drop(idle);
        one.try_grow(175).unwrap();
        assert_eq!(pool.reserved(), 700);
    }

    #[test]
    fn every_consumer_has_its_part_even_if_it_comes_last() {
        let pool = pool(800);
        let first = spillable(&pool);
        first.try_grow(700).unwrap();
        let second = spillable(&pool);
        // The excess is a quarter of the limit at most.
        second.try_grow(301).unwrap_err();
        second.try_grow(300).unwrap();
        first.try_grow(1).unwrap_err();
        first.free();
        second.try_grow(225).unwrap();
    }

    #[test]
    fn what_cannot_spill_comes_first() {
        let pool = pool(800);
        let (sort, join) = (spillable(&pool), other(&pool));
        sort.try_grow(700).unwrap();
        join.try_grow(101).unwrap_err();
        join.try_grow(100).unwrap();
        sort.free();
        join.try_grow(700).unwrap();
        sort.try_grow(1).unwrap_err();
        assert_eq!(pool.reserved(), 800);
    }

    #[test]
    fn what_cannot_spill_has_an_eighth_even_if_others_exceed_the_limit() {
        let pool = pool(800);
        let (first, second, join) = (spillable(&pool), spillable(&pool), other(&pool));
        first.try_grow(525).unwrap();
        let late = spillable(&pool);
        late.try_grow(233).unwrap();
        second.try_grow(233).unwrap();
        assert_eq!(pool.reserved(), 991);
        join.try_grow(101).unwrap_err();
        join.try_grow(100).unwrap();
    }

    #[test]
    fn a_merge_of_spilled_rows_leaves_a_sixteenth_to_what_comes_later() {
        let pool = pool(800);
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        let sort = spillable(&pool);
        merge.try_grow(750).unwrap();
        merge.try_grow(1).unwrap_err();
        // The sort still has its part, which exceeds the limit.
        sort.try_grow(50).unwrap();
        let above = other(&pool);
        above.try_grow(51).unwrap_err();
        above.try_grow(50).unwrap();
        merge.shrink(100);
        sort.free();
        merge.try_grow(100).unwrap();
        merge.try_grow(1).unwrap_err();
        assert_eq!(pool.reserved(), 800);
    }

    #[test]
    fn each_reservation_of_a_consumer_has_a_right_to_a_part() {
        let pool = pool(800);
        let (merge, _idle) = (spillable(&pool), spillable(&pool));
        merge.try_grow(525).unwrap();
        let groups = merge.new_empty();
        groups.try_grow(351).unwrap_err();
        groups.try_grow(350).unwrap();
        drop((merge, groups));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn the_error_names_the_limit_and_the_operation() {
        let pool = pool(64 << 20);
        let join = other(&pool);
        join.try_grow(60 << 20).unwrap();
        let error = join.try_grow(8 << 20).unwrap_err();
        assert_eq!(
            error.message(),
            "the memory limit of 64.0 MB is too small for a hash join, which keeps one of its tables in memory: it holds \
             60.0 MB and needs 8.0 MB more, of which 4.0 MB are free; raise the limit"
        );
    }
}
