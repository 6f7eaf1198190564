//! Distributed execution with Apache Ballista: its scheduler and executors inside this binary, and sessions that
//! submit their queries to them.
//!
//! A session plans a query itself and sends the physical plan to the scheduler. The scheduler splits it into stages of
//! tasks; executors run the tasks, each with the best backend of its host.
//!
//! - Sessions: `settings`, `query_planner` and `cluster_exec`, over `client` and `job`.
//! - Plans on the wire: `physical_codec`, `file_list_scan_exec`, `ipc_scan_exec` and `memtable_staging`.
//! - Shuffle data: `checksums`, `shuffle_file`, `shuffle_service`, `remote_blocks`, `batch_decoder` and
//!   `shuffle_reader_exec`.
//! - Results: `result_reader` and `mmap_ipc_reader`; metrics of remote operators: `remote_metrics`.
//! - Processes: `scheduler`, `executor` (with `registration`, `executor_service`, `stage_engine` and
//!   `task_runtime`) and `local_cluster` (with `executor_child`).
//! - Connections: `endpoint` and `executor_connections`; authentication and encryption: `token`, `auth_layer` and `tls`.
//! - Status of a cluster: `status` and `cluster_service`.
//! - Failures: of tasks in `task_errors`; of executors in `cluster_state`, `task_launcher`, `executor_losses` and
//!   `checked_graph`; of clients in `leases`, `lease_renewal`, `job_state` and `job_reaper`, with `cancellations`.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod address;
mod auth_layer;
mod batch_decoder;
mod cancellations;
mod checked_graph;
mod checksums;
mod client;
mod cluster_copy_exec;
mod cluster_exec;
mod cluster_service;
mod cluster_state;
mod endpoint;
mod executor;
mod executor_child;
mod executor_connections;
mod executor_id;
mod executor_losses;
mod executor_options;
mod executor_service;
mod file_list_scan_exec;
mod install;
mod ipc_scan_exec;
mod job;
mod job_options;
mod job_reaper;
mod job_state;
mod launcher;
mod lease_renewal;
mod leases;
mod local_cluster;
mod memory_source;
mod memtable_staging;
mod mmap_ipc_reader;
mod path_component;
mod physical_codec;
mod protocol;
mod query_planner;
mod registration;
mod remote_blocks;
mod remote_metrics;
mod result_reader;
mod scan_formats;
mod scheduler;
mod session_config;
mod settings;
mod shuffle_file;
mod shuffle_reader_exec;
mod shuffle_service;
mod stage_engine;
mod staged_files;
mod status;
mod task_errors;
mod task_launcher;
mod task_runtime;
mod tls;
mod token;

pub use address::{ClusterAddress, DEFAULT_PORT};
pub use client::ClusterClient;
pub use cluster_exec::ClusterExec;
pub use cluster_exec::{COMPUTE_TIME, GATHER_TIME};
pub use executor::run_executor;
pub use executor_options::ExecutorOptions;
pub use install::install;
pub use launcher::Launcher;
pub use leases::DEFAULT_LEASE;
pub use local_cluster::{LocalCluster, LocalClusterOptions, RestartNotice};
pub use physical_codec::ClusterCodec;
pub use protocol::{VERSION, set_revision};
pub use query_planner::as_cluster_exec;
pub use scheduler::{Scheduler, SchedulerOptions};
pub use settings::{ClusterProgress, ClusterSettings, DEFAULT_WAIT};
pub use status::{ClusterStatus, ExecutorStatus, JobProgress, JobStatus};
pub use tls::{TLS_CA_VARIABLE, TLS_CERT_VARIABLE, TLS_KEY_VARIABLE, Tls};
pub use token::{TOKEN_VARIABLE, Token};
