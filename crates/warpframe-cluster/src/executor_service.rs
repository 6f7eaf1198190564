//! The gRPC service of an executor, through which the scheduler launches and cancels tasks, removes job data and stops
//! the executor. It replaces Ballista's own service, to whose server no authentication layer can be added.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ballista_core::error::BallistaError;
use ballista_core::serde::BallistaCodec;
use ballista_core::serde::protobuf::executor_grpc_server::ExecutorGrpc;
use ballista_core::serde::protobuf::{
    CancelTasksParams, CancelTasksResult, FailedTask, LaunchMultiTaskParams, LaunchMultiTaskResult,
    LaunchTaskParams, LaunchTaskResult, OperatorMetricsSet, RemoveJobDataParams, RemoveJobDataResult,
    StopExecutorParams, StopExecutorResult, SuccessfulTask, TaskStatus, task_status,
};
use ballista_core::serde::scheduler::from_proto::get_task_definition_vec;
use ballista_core::serde::scheduler::{TaskDefinition, TaskKey};
use ballista_executor::execution_engine::ExecutionEngine;
use ballista_executor::executor::Executor;
use datafusion::execution::TaskContext;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tonic::{Request, Response, Status};

use super::path_component::is_single_component;
use super::stage_engine::StageEngine;
use super::task_errors::decode_task_error;

/// The service of an executor.
#[derive(Clone)]
pub(super) struct ExecutorService {
    pub executor: Arc<Executor>,
    pub engine: Arc<StageEngine>,
    pub codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode>,
    /// The runtime of the tasks: their computations do not delay the answers to requests.
    pub task_runtime: Handle,
    /// The number of tasks whose end is not yet reported to the scheduler. Incremented here, decremented by the reporter.
    pub running_tasks: Arc<AtomicUsize>,
    /// Receives the final status of every task.
    pub task_statuses: mpsc::UnboundedSender<TaskStatus>,
    /// Notified when the scheduler stops the executor.
    pub stop_requested: Arc<Notify>,
}

#[tonic::async_trait]
impl ExecutorGrpc for ExecutorService {
    async fn launch_task(&self, _: Request<LaunchTaskParams>) -> Result<Response<LaunchTaskResult>, Status> {
        Err(Status::unimplemented("use launch_multi_task"))
    }

    async fn launch_multi_task(
        &self,
        request: Request<LaunchMultiTaskParams>,
    ) -> Result<Response<LaunchMultiTaskResult>, Status> {
        let mut failed_jobs = Vec::new();
        for tasks in request.into_inner().multi_tasks {
            let job = tasks.job_id.clone();
            let functions = &self.executor.function_registry;
            let tasks = get_task_definition_vec(
                tasks,
                Arc::clone(&self.executor.runtime_producer),
                self.executor.produce_config(),
                functions.scalar_functions.clone(),
                functions.aggregate_functions.clone(),
                functions.window_functions.clone(),
                functions.higher_order_functions.clone(),
                self.codec.clone(),
            );
            match tasks {
                Ok(tasks) => {
                    for task in tasks {
                        self.running_tasks.fetch_add(1, Ordering::AcqRel);
                        let service = self.clone();
                        self.task_runtime.spawn(async move { service.run(task).await });
                    }
                }
                Err(error) => {
                    log::error!("cannot decode the tasks of job {job}: {error}");
                    if !failed_jobs.contains(&job) {
                        failed_jobs.push(job);
                    }
                }
            }
        }
        Ok(Response::new(LaunchMultiTaskResult { failed_jobs }))
    }

    async fn stop_executor(
        &self,
        request: Request<StopExecutorParams>,
    ) -> Result<Response<StopExecutorResult>, Status> {
        // The request can be for a former executor at this address.
        if request.into_inner().executor_id == self.executor.metadata.id {
            self.stop_requested.notify_one();
        }
        Ok(Response::new(StopExecutorResult {}))
    }

    async fn cancel_tasks(
        &self,
        request: Request<CancelTasksParams>,
    ) -> Result<Response<CancelTasksResult>, Status> {
        let mut cancelled = true;
        for task in request.into_inner().task_infos {
            let (stage, number) = (task.stage_id as usize, task.task_id as usize);
            let found = self.executor.cancel_task(task.job_id.into(), stage, number).await;
            cancelled &= found.is_ok();
        }
        Ok(Response::new(CancelTasksResult { cancelled }))
    }

    async fn remove_job_data(
        &self,
        request: Request<RemoveJobDataParams>,
    ) -> Result<Response<RemoveJobDataResult>, Status> {
        let RemoveJobDataParams { job_id, remove_stage_ids } = request.into_inner();
        if !is_single_component(&job_id) {
            return Err(Status::invalid_argument(format!("'{job_id}' is not a valid job id")));
        }
        let job = Path::new(&self.executor.work_dir).join(job_id);
        let folders = match remove_stage_ids.is_empty() {
            true => vec![job],
            false => remove_stage_ids.iter().map(|stage| job.join(stage.to_string())).collect(),
        };
        for folder in folders {
            match tokio::fs::remove_dir_all(&folder).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Status::internal(format!("cannot remove '{}': {error}", folder.display())));
                }
                _ => {}
            }
        }
        Ok(Response::new(RemoveJobDataResult {}))
    }
}

impl ExecutorService {
    /// Runs a task and reports its final status.
    async fn run(&self, task: TaskDefinition) {
        let mut status = TaskStatus {
            task_id: task.task_id as u32,
            job_id: task.job_id.to_string(),
            stage_id: task.stage_id as u32,
            stage_attempt_num: task.stage_attempt_num as u32,
            launch_time: task.launch_time,
            start_exec_time: now(),
            end_exec_time: 0,
            metrics: Vec::new(),
            status: None,
        };
        let name = format!("{}/{}/{}", task.job_id, task.stage_id, task.task_id);
        log::info!("starting task {name}");
        let executed = AssertUnwindSafe(self.execute(task, &mut status.metrics)).catch_unwind().await;
        let panicked = |_| Err(BallistaError::Internal("the task has panicked".to_owned()));
        status.status = Some(match executed.unwrap_or_else(panicked) {
            Ok(successful) => task_status::Status::Successful(successful),
            Err(error) => {
                log::info!("task {name} failed: {}", decode_task_error(&error.to_string()).message());
                task_status::Status::Failed(FailedTask::from(error))
            }
        });
        status.end_exec_time = now();
        // Fails only if the registration has been dropped.
        let _ = self.task_statuses.send(status);
    }

    /// Executes a task. `metrics` is set also if it fails.
    async fn execute(
        &self,
        task: TaskDefinition,
        metrics: &mut Vec<OperatorMetricsSet>,
    ) -> Result<SuccessfulTask, BallistaError> {
        let stage = self.engine.create_query_stage_exec(
            task.job_id.clone(),
            task.stage_id,
            task.task_id,
            task.global_output_partition_ids,
            task.plan,
            &self.executor.work_dir,
            &task.session_config,
        )?;
        let runtime = self.executor.produce_runtime_for_session(
            &task.session_id,
            &task.session_config,
            task.vcores_consumed,
        )?;
        let functions = task.function_registry;
        let context = TaskContext::new(
            Some(format!("{}/{}/{}", task.job_id, task.stage_id, task.task_id)),
            task.session_id,
            task.session_config,
            functions.scalar_functions.clone(),
            functions.higher_order_functions.clone(),
            functions.aggregate_functions.clone(),
            functions.window_functions.clone(),
            runtime,
        );
        let key = TaskKey { job_id: task.job_id, stage_id: task.stage_id, task_id: task.task_id };
        let executed = self.executor.execute_query_stage(key, Arc::clone(&stage), Arc::new(context)).await;
        let sets = stage.collect_plan_metrics().into_iter().map(TryInto::try_into);
        *metrics = sets.collect::<Result<_, BallistaError>>().unwrap_or_default();
        Ok(SuccessfulTask {
            executor_id: self.executor.metadata.id.clone(),
            partitions: executed?,
            runtime_stats: stage.collect_runtime_stats_reports(),
            task_column_stats: stage.collect_column_stats(),
            window_state: stage.collect_window_state_reports()?,
        })
    }
}

/// Milliseconds since the Unix epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
