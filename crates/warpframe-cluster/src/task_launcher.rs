//! The scheduler's task launcher: Ballista's, which also tells [`ExecutorLosses`] which tasks an executor has accepted.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::MultiTaskDefinition;
use ballista_core::serde::scheduler::ExecutorMetadata;
use ballista_scheduler::state::executor_manager::ExecutorManager;
use ballista_scheduler::state::task_manager::TaskLauncher;

use super::executor_losses::{ExecutorLosses, TaskId};

/// Sends tasks to executors.
pub(super) struct TrackedLauncher {
    /// The address of the scheduler, `host:port`.
    pub scheduler_endpoint: String,
    pub losses: Arc<ExecutorLosses>,
}

#[async_trait]
impl TaskLauncher for TrackedLauncher {
    async fn launch_tasks(
        &self,
        executor: &ExecutorMetadata,
        tasks: Vec<MultiTaskDefinition>,
        executor_manager: &ExecutorManager,
    ) -> Result<HashSet<JobId>> {
        let ids: Vec<TaskId> = tasks
            .iter()
            .flat_map(|group| {
                let task_id = |task: u32| (group.job_id.clone(), group.stage_id as usize, task as usize);
                group.task_ids.iter().map(move |task| task_id(task.task_id))
            })
            .collect();
        self.losses.launching(&executor.id, &ids);
        // After an error the scheduler removes the executor, with the tasks that were not accepted.
        let rejected =
            executor_manager.launch_multi_task(&executor.id, tasks, self.scheduler_endpoint.clone()).await?;
        self.losses.launched(&executor.id, &ids);
        Ok(rejected)
    }
}
