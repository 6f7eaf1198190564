//! The executors that jobs have lost. A query that ends its executors, such as by using more memory than they have,
//! would end all of them in turn: Ballista runs the tasks of a lost executor on another one and does not count that as
//! a failure (`count_to_failures: false` in its execution graph).

use std::collections::HashMap;

use parking_lot::Mutex;

use super::executor_id::ExecutorId;

/// The number of executors after whose loss a job is cancelled.
const MAX_LOST_EXECUTORS: usize = 3;

/// A task: the job, the stage and the number in the stage.
pub(super) type TaskId = (String, usize, usize);

/// A running job at the time of a loss.
#[derive(Debug, Clone)]
pub(super) struct AffectedJob {
    pub id: String,
    /// The start time, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The tasks that the scheduler has assigned to the lost executor.
    pub tasks: Vec<TaskId>,
}

/// A job to cancel, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LossVerdict {
    pub job: String,
    pub reason: String,
}

/// The executors that running jobs have lost while they ran their tasks.
#[derive(Debug, Default)]
pub(super) struct ExecutorLosses(Mutex<Losses>);

#[derive(Debug, Default)]
struct Losses {
    /// By executor id, the tasks that are being sent to it.
    launching: HashMap<String, Vec<TaskId>>,
    /// By job id, the executors that it has lost.
    lost: HashMap<String, Vec<String>>,
}

impl ExecutorLosses {
    /// Tasks are being sent to an executor.
    pub fn launching(&self, executor: &str, tasks: &[TaskId]) {
        self.0.lock().launching.entry(executor.to_owned()).or_default().extend_from_slice(tasks);
    }

    /// The executor has accepted the tasks.
    pub fn launched(&self, executor: &str, tasks: &[TaskId]) {
        let mut losses = self.0.lock();
        if let Some(launching) = losses.launching.get_mut(executor) {
            launching.retain(|task| !tasks.contains(task));
            if launching.is_empty() {
                losses.launching.remove(executor);
            }
        }
    }

    /// An executor was stopped in order.
    pub fn stopped(&self, executor: &str) {
        self.0.lock().launching.remove(executor);
    }

    /// An executor was lost. `running` are all running jobs. Returns the job to cancel, if there is one.
    ///
    /// The loss counts for the jobs whose tasks the executor had accepted. If it had none, it counts for those whose tasks
    /// were being sent to it, because decoding a plan can end an executor too. Jobs that ran on the same executors
    /// cannot be told apart: of several that have lost enough, the one that has lost most is cancelled, and the newest
    /// of those. The losses that the others had in common with it do not count any more.
    pub fn lost(&self, executor: &str, running: &[AffectedJob]) -> Option<LossVerdict> {
        let mut losses = self.0.lock();
        let launching = losses.launching.remove(executor).unwrap_or_default();
        losses.lost.retain(|id, _| running.iter().any(|job| job.id == *id));
        let has_accepted = |job: &&AffectedJob| job.tasks.iter().any(|task| !launching.contains(task));
        let mut affected: Vec<_> = running.iter().filter(has_accepted).collect();
        if affected.is_empty() {
            affected.extend(running.iter().filter(|job| !job.tasks.is_empty()));
        }
        for job in affected {
            losses.lost.entry(job.id.clone()).or_default().push(executor.to_owned());
        }
        let lost = |id: &str| losses.lost.get(id).map_or(0, Vec::len);
        let culprit = running
            .iter()
            .filter(|job| lost(&job.id) >= MAX_LOST_EXECUTORS)
            .max_by_key(|job| (lost(&job.id), job.started_ms))?;
        let executors = losses.lost.remove(&culprit.id)?;
        for others in losses.lost.values_mut() {
            others.retain(|executor| !executors.contains(executor));
        }
        Some(LossVerdict { job: culprit.id.clone(), reason: reason(&culprit.id, &executors) })
    }
}

fn reason(job: &str, executors: &[String]) -> String {
    let names: Vec<_> =
        executors.iter().map(|id| id.parse().map_or_else(|_| id.clone(), |id: ExecutorId| id.name)).collect();
    format!(
        "the query was cancelled (job {job}): {} executors were lost while they ran its tasks ({}), probably for lack of memory; make it use less memory, or start the executors with a smaller --memory-limit or fewer --slots",
        executors.len(),
        names.join(", ")
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    /// A job that has a task on the lost executor.
    fn on_it(id: &str, started_ms: u64) -> AffectedJob {
        AffectedJob { id: id.to_owned(), started_ms, tasks: vec![(id.to_owned(), 1, 0)] }
    }

    /// A job without tasks on the lost executor.
    fn elsewhere(id: &str, started_ms: u64) -> AffectedJob {
        AffectedJob { id: id.to_owned(), started_ms, tasks: Vec::new() }
    }

    #[test]
    fn a_job_is_cancelled_at_its_third_lost_executor() {
        let losses = ExecutorLosses::default();
        let running = [on_it("poison", 1), elsewhere("other", 2)];
        assert_eq!(losses.lost("e1;1;simd", &running), None);
        // A loss that is not its own.
        assert_eq!(losses.lost("e2;1;simd", &[elsewhere("poison", 1), on_it("other", 2)]), None);
        assert_eq!(losses.lost("e3;1;simd", &running), None);
        let verdict = losses.lost("e4;1;simd", &running).unwrap();
        assert_eq!(verdict.job, "poison");
        assert!(verdict.reason.contains("3 executors were lost"), "{}", verdict.reason);
        assert!(verdict.reason.contains("(e1, e3, e4)"), "{}", verdict.reason);
    }

    #[test]
    fn jobs_on_the_same_executors_are_not_all_cancelled() {
        let losses = ExecutorLosses::default();
        let running = [on_it("old", 1), on_it("new", 2)];
        assert_eq!(losses.lost("e1", &running), None);
        assert_eq!(losses.lost("e2", &running), None);
        assert_eq!(losses.lost("e3", &running).unwrap().job, "new");
        // The common losses do not count against the other job.
        let running = [on_it("old", 1)];
        assert_eq!(losses.lost("e4", &running), None);
        assert_eq!(losses.lost("e5", &running), None);
        assert_eq!(losses.lost("e6", &running).unwrap().job, "old");
    }

    #[test]
    fn tasks_that_are_being_sent_count_only_without_accepted_ones() {
        let losses = ExecutorLosses::default();
        let running = [on_it("poison", 1), on_it("sent", 2)];
        for executor in ["e1", "e2"] {
            losses.launching(executor, &running[1].tasks);
            assert_eq!(losses.lost(executor, &running), None);
        }
        losses.launching("e3", &running[0].tasks);
        losses.launched("e3", &running[0].tasks);
        losses.launching("e3", &running[1].tasks);
        assert_eq!(losses.lost("e3", &running).unwrap().job, "poison");
        // A plan that ends executors while they decode it.
        let running = [on_it("sent", 2)];
        for executor in ["e4", "e5", "e6"] {
            losses.launching(executor, &running[0].tasks);
            let verdict = losses.lost(executor, &running);
            assert_eq!(verdict.is_some(), executor == "e6", "{executor}");
        }
    }
}
