//! Metrics that kernels report: named counters and times.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A count of items or bytes.
    Count(u64),
    /// A duration.
    Time(Duration),
}

/// Named counters and times. A name is either a counter or a time: additions of the other kind are ignored.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<BTreeMap<&'static str, Metric>>);

impl Metrics {
    /// Adds to a counter.
    pub fn add_count(&self, name: &'static str, count: u64) {
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Metric::Count(sum) = metrics.entry(name).or_insert(Metric::Count(0)) {
            *sum += count;
        }
    }

    /// Adds to a time.
    pub fn add_time(&self, name: &'static str, time: Duration) {
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Metric::Time(sum) = metrics.entry(name).or_insert(Metric::Time(Duration::ZERO)) {
            *sum += time;
        }
    }

    /// The current values.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The values of [`Metrics`] at a point in time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<&'static str, Metric>);

impl Snapshot {
    /// A counter; 0 if nothing was added to it.
    pub fn count(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(Metric::Count(count)) => *count,
            _ => 0,
        }
    }

    /// A time; zero if nothing was added to it.
    pub fn time(&self, name: &str) -> Duration {
        match self.0.get(name) {
            Some(Metric::Time(time)) => *time,
            _ => Duration::ZERO,
        }
    }

    /// All metrics that were added to, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Metric)> {
        self.0.iter().map(|(name, metric)| (*name, *metric))
    }

    /// The difference to an earlier snapshot.
    pub fn since(&self, earlier: &Self) -> Self {
        let added = self.iter().map(|(name, metric)| match metric {
            Metric::Count(count) => (name, Metric::Count(count.saturating_sub(earlier.count(name)))),
            Metric::Time(time) => (name, Metric::Time(time.saturating_sub(earlier.time(name)))),
        });
        Self(added.collect())
    }
}
