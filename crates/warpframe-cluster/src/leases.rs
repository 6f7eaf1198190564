//! The leases of jobs. A client renews the lease of its job while the job runs and while its rows are read. When a lease
//! expires, the client is gone: the job is cancelled and its files are removed.
//!
//! Clients of Ballista that know no leases are not cancelled, and their files are removed some time after the end of the
//! job, which is Ballista's own rule.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The default length of a lease.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);

/// How long the results of a job without a lease are kept after its end.
const RESULTS_WITHOUT_LEASE: Duration = Duration::from_secs(300);

/// The leases of the jobs of a scheduler.
#[derive(Debug)]
pub(super) struct Leases {
    length: Duration,
    jobs: Mutex<HashMap<String, Lease>>,
}

#[derive(Debug)]
struct Lease {
    is_leased: bool,
    has_ended: bool,
    /// Whether the client has released it.
    is_released: bool,
    /// When the client has to have renewed it; `None` for a running job without a lease.
    expires: Option<Instant>,
}

/// A job whose lease has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExpiredJob {
    pub id: String,
    /// Whether the job has ended, so that only its files are left.
    pub has_ended: bool,
    /// Whether the client has released the lease.
    pub is_released: bool,
}

impl Leases {
    /// No jobs yet.
    pub fn new(length: Duration) -> Self {
        Self { length, jobs: Mutex::default() }
    }

    /// The length of a lease.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// A job was submitted. `is_leased`: whether its client renews its lease.
    pub fn submitted(&self, job: &str, is_leased: bool, now: Instant) {
        let expires = is_leased.then(|| now + self.length);
        let lease = Lease { is_leased, has_ended: false, is_released: false, expires };
        self.jobs.lock().insert(job.to_owned(), lease);
    }

    /// Renews the lease of a job, and returns whether it had one that has not expired.
    pub fn renew(&self, job: &str, now: Instant) -> bool {
        match self.jobs.lock().get_mut(job) {
            Some(lease) if lease.is_leased && lease.expires.is_some_and(|expires| expires > now) => {
                lease.expires = Some(now + self.length);
                true
            }
            _ => false,
        }
    }

    /// Lets the lease of a job expire at once, also that of a job without one.
    pub fn release(&self, job: &str, now: Instant) {
        if let Some(lease) = self.jobs.lock().get_mut(job) {
            *lease = Lease { is_released: true, expires: Some(now), ..*lease };
        }
    }

    /// A job has ended. The results of a successful one are kept until its lease expires; Ballista removes those of the others.
    pub fn ended(&self, job: &str, is_successful: bool, now: Instant) {
        let mut jobs = self.jobs.lock();
        match jobs.get_mut(job) {
            Some(lease) if is_successful => {
                lease.has_ended = true;
                lease.expires.get_or_insert(now + RESULTS_WITHOUT_LEASE);
            }
            _ => drop(jobs.remove(job)),
        }
    }

    /// The jobs whose leases have expired. Those that have ended are forgotten; the others are returned again until they have.
    pub fn expired(&self, now: Instant) -> Vec<ExpiredJob> {
        let mut jobs = self.jobs.lock();
        let is_expired = |lease: &Lease| lease.expires.is_some_and(|expires| expires <= now);
        let expired: Vec<_> = jobs
            .iter()
            .filter(|(_, lease)| is_expired(lease))
            .map(|(id, lease)| ExpiredJob {
                id: id.clone(),
                has_ended: lease.has_ended,
                is_released: lease.is_released,
            })
            .collect();
        jobs.retain(|_, lease| !(lease.has_ended && is_expired(lease)));
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn expired(id: &str, has_ended: bool) -> Vec<ExpiredJob> {
        vec![ExpiredJob { id: id.to_owned(), has_ended, is_released: false }]
    }

    fn released(id: &str, has_ended: bool) -> Vec<ExpiredJob> {
        vec![ExpiredJob { id: id.to_owned(), has_ended, is_released: true }]
    }

    #[test]
    fn a_lease_lasts_while_it_is_renewed() {
        let (leases, start) = (Leases::new(LEASE), Instant::now());
        leases.submitted("job", true, start);
        assert_eq!(leases.expired(start + LEASE / 2), []);
        assert!(leases.renew("job", start + LEASE / 2));
        assert_eq!(leases.expired(start + LEASE), []);
        leases.ended("job", true, start + LEASE);
        assert!(leases.renew("job", start + LEASE));
        // Far beyond the time after which Ballista would remove the results.
        let mut now = start + LEASE;
        for _ in 0..100 {
            now += LEASE / 3;
            assert!(leases.renew("job", now));
            assert_eq!(leases.expired(now), []);
        }
        assert_eq!(leases.expired(now + LEASE), expired("job", true));
        assert_eq!(leases.expired(now + LEASE), []);
        assert!(!leases.renew("job", now + LEASE));
    }

    #[test]
    fn a_running_job_is_returned_until_it_has_ended() {
        let (leases, start) = (Leases::new(LEASE), Instant::now());
        leases.submitted("job", true, start);
        for now in [start + LEASE, start + 2 * LEASE] {
            assert_eq!(leases.expired(now), expired("job", false));
            assert!(!leases.renew("job", now), "an expired lease is not renewed");
        }
        leases.ended("job", false, start + 2 * LEASE);
        assert_eq!(leases.expired(start + 3 * LEASE), []);
    }

    #[test]
    fn a_released_lease_expires_at_once() {
        let (leases, start) = (Leases::new(LEASE), Instant::now());
        for id in ["running", "done"] {
            leases.submitted(id, true, start);
        }
        leases.ended("done", true, start);
        leases.release("done", start);
        assert_eq!(leases.expired(start), released("done", true));
        leases.release("running", start);
        assert!(!leases.renew("running", start));
        assert_eq!(leases.expired(start), released("running", false));
    }

    #[test]
    fn jobs_without_a_lease_run_to_their_end() {
        let (leases, start) = (Leases::new(LEASE), Instant::now());
        leases.submitted("job", false, start);
        assert_eq!(leases.expired(start + 100 * LEASE), []);
        let end = start + 100 * LEASE;
        leases.ended("job", true, end);
        assert_eq!(leases.expired(end + RESULTS_WITHOUT_LEASE - LEASE), []);
        assert_eq!(leases.expired(end + RESULTS_WITHOUT_LEASE), expired("job", true));
    }
}
