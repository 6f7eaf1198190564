//! Metrics of kernels, by name.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A number of things, or of bytes.
    Count(u64),
    /// A time.
    Time(Duration),
}

/// Named counters and times that kernels add to. A name keeps its kind.
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

    /// The values now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The values of metrics at a moment.
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

    /// All metrics that were added to, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Metric)> {
        self.0.iter().map(|(name, metric)| (*name, *metric))
    }

    /// What was added after an earlier snapshot.
    pub fn since(&self, earlier: &Self) -> Self {
        let added = self.iter().map(|(name, metric)| match metric {
            Metric::Count(count) => (name, Metric::Count(count.saturating_sub(earlier.count(name)))),
            Metric::Time(time) => (name, Metric::Time(time.saturating_sub(earlier.time(name)))),
        });
        Self(added.collect())
    }
}
