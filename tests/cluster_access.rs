//! Authentication: access to a cluster requires its token.

#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::ipc::writer::StreamWriter;
use ballista_core::serde::protobuf::executor_grpc_client::ExecutorGrpcClient;
use ballista_core::serde::protobuf::executor_grpc_server::{ExecutorGrpc, ExecutorGrpcServer};
use ballista_core::serde::protobuf::executor_status::Status as State;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::*;
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use common::process::Process;
use common::shuffle::{FetchReplies, FetchRequest, FetchServer, fetch};
use common::{Run, command, entries, finish, ok, skipped};
use tempfile::{TempDir, tempdir};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};

/// A simulated user: a home folder of its own.
struct User {
    folder: TempDir,
}

impl User {
    fn new() -> Self {
        Self { folder: tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The command with this user's home folder and without tokens in the environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.path());
        command
            .args(arguments)
            .env("HOME", self.path())
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("XDG_CACHE_HOME")
            .env_remove("WARPFRAME_CLUSTER_TOKEN");
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments).output().unwrap())
    }

    /// Starts a local cluster with one executor and returns its address.
    fn cluster(&self, more: &[&str]) -> (Process, String) {
        let local = ["cluster", "local", "--executors", "1", "--slots", "2", "--port", "0"];
        let mut cluster = Process::spawn(&mut self.command(&[&local[..], more].concat()));
        let url = cluster.first_line();
        (cluster, url)
    }

    /// The token files of this user's clusters.
    fn tokens(&self) -> Vec<PathBuf> {
        let folder = self.path().join(".cache/warpframe/clusters");
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        entries(&folder).into_iter().map(|name| folder.join(name)).collect()
    }
}

/// The time limit for a process to exit.
const LIMIT: Duration = Duration::from_secs(60);

const QUERY: &str = "SELECT sum(x) AS s FROM generate_rows(1000)";

fn expect_error(run: &Run, words: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:#?}");
    assert!(
        run.stderr.contains(words) && run.stderr.lines().count() == 1,
        "'{words}' is not: {}",
        run.stderr
    );
}

/// The addresses of a cluster's executors.
fn executors(user: &User, url: &str) -> Vec<String> {
    let status = user.run(&["cluster", "status", url, "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let executors = status["executors"].as_array().unwrap();
    executors.iter().map(|executor| executor["address"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_user_who_started_a_cluster_finds_its_token() {
    let user = User::new();
    let (cluster, url) = user.cluster(&[]);
    let tokens = user.tokens();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for url in [url.clone(), url.replace("127.0.0.1", "localhost")] {
        let run = user.run(&["sql", "--cluster", &url, "--format", "csv", "-q", QUERY]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), "s\n500500.0\n"), "{run:#?}");
        assert_eq!(user.run(&["cluster", "status", &url]).code, Some(0));
    }
    cluster.signal("INT");
    assert_eq!(cluster.wait(LIMIT).code, Some(130));
    assert_eq!(user.tokens(), [] as [PathBuf; 0]);
}

#[test]
fn other_users_need_the_token() {
    let (user, other) = (User::new(), User::new());
    let (_cluster, url) = user.cluster(&[]);
    let token = std::fs::read_to_string(&user.tokens()[0]).unwrap().trim().to_owned();
    ok(other.path(), &["generate", "--rows", "1000", "--out", "t.parquet"]);
    let input = other.path().join("t.parquet").to_string_lossy().into_owned();
    let address = url.strip_prefix("df://").unwrap();
    let commands = [
        &["sql", "-q", QUERY, "--cluster", &url][..],
        &["run", "--in", &input, "--select", "id", "--out", "out", "--cluster", &url],
        &["cluster", "status", &url],
        &["cluster", "executor", "--scheduler", address],
    ];
    std::fs::write(other.path().join("wrong"), "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::write(other.path().join("none"), "short").unwrap();
    for file in ["wrong", "none"] {
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(other.path().join(file), private).unwrap();
    }
    for arguments in commands {
        expect_error(&other.run(arguments), "wants its token");
        let with = |file| other.run(&[arguments, &["--token-file", file]].concat());
        expect_error(&with("wrong"), "refuses the token");
        expect_error(&with("none"), "'none' holds no token of a cluster");
        expect_error(&with("nowhere"), "cannot read the token in 'nowhere'");
        let mut variable = other.command(arguments);
        let run = finish(variable.env("WARPFRAME_CLUSTER_TOKEN", "0123456789abcdef-").output().unwrap());
        expect_error(&run, "refuses the token");
        let run = finish(variable.env("WARPFRAME_CLUSTER_TOKEN", "").output().unwrap());
        expect_error(&run, "WARPFRAME_CLUSTER_TOKEN holds no token of a cluster");
    }
    assert_eq!(entries(other.path()), ["none", "t.parquet", "wrong"]);
    // The right token, in a file or the environment, gives access.
    std::fs::write(other.path().join("token"), token.clone() + "\n").unwrap();
    let sql = ["sql", "--format", "csv", "-q", QUERY, "--cluster", &url];
    let run = other.run(&[&sql[..], &["--token-file", "token"]].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "s\n500500.0\n"), "{run:#?}");
    assert!(run.stderr.contains("others can read the token in 'token'"), "{run:#?}");
    let run = finish(other.command(&sql).env("WARPFRAME_CLUSTER_TOKEN", &token).output().unwrap());
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "s\n500500.0\n"), "{run:#?}");
}

#[test]
fn a_scheduler_creates_a_token_file_for_other_hosts() {
    let (user, other) = (User::new(), User::new());
    let file = user.path().join("token");
    let name = file.to_str().unwrap();
    let scheduler = ["cluster", "scheduler", "--bind", "127.0.0.1:0", "--token-file", name];
    let mut scheduler = Process::spawn(&mut user.command(&scheduler));
    let url = scheduler.first_line();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let address = url.strip_prefix("df://").unwrap();
    let executor = ["cluster", "executor", "--scheduler", address, "--token-file", name];
    let mut executor = Process::spawn(&mut other.command(&executor));
    let mut ready = String::new();
    BufReader::new(executor.0.stderr.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.contains("is ready"), "{ready}");
    let sql = ["sql", "--format", "csv", "-q", QUERY, "--cluster", &url, "--token-file", name];
    let run = other.run(&sql);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "s\n500500.0\n"), "{run:#?}");
    // The next scheduler uses the same token.
    let before = std::fs::read_to_string(&file).unwrap();
    drop(scheduler);
    let scheduler = ["cluster", "scheduler", "--bind", address, "--token-file", name];
    let mut scheduler = Process::spawn(&mut user.command(&scheduler));
    assert_eq!(scheduler.first_line(), url);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let run = other.run(&[&sql[..], &["--cluster-wait", "30"]].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "s\n500500.0\n"), "{run:#?}");
}

#[test]
fn another_user_of_the_host_cannot_read_the_token() {
    const NOBODY: u32 = 65534;
    let user = User::new();
    // A folder that other users can enter, with a copy of the binary.
    let shared = tempdir().unwrap();
    std::fs::set_permissions(shared.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(user.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = shared.path().join("warpframe");
    std::fs::copy(command(shared.path()).get_program(), &program).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(shared.path()).env("HOME", shared.path()).uid(NOBODY).gid(NOBODY);
        command.env_remove("XDG_RUNTIME_DIR").env_remove("XDG_CACHE_HOME").output()
    };
    match as_nobody(&["--version"]) {
        Ok(output) if output.status.success() => {}
        _ => return skipped("another user of the host: this test needs root"),
    }
    let (_cluster, url) = user.cluster(&[]);
    let copy = format!("COPY ({QUERY}) TO '{}'", user.path().join("x.csv").display());
    for query in [QUERY, &copy] {
        let run = finish(as_nobody(&["sql", "--cluster", &url, "-q", query]).unwrap());
        expect_error(&run, "wants its token");
    }
    assert!(!user.path().join("x.csv").exists());
    let token = user.tokens()[0].to_string_lossy().into_owned();
    let run = finish(as_nobody(&["cluster", "status", &url, "--token-file", &token]).unwrap());
    expect_error(&run, "Permission denied");
}

#[test]
fn requests_of_web_pages_are_rejected() {
    let user = User::new();
    let (_cluster, url) = user.cluster(&[]);
    let scheduler = url.strip_prefix("df://").unwrap().to_owned();
    let mut ports = executors(&user, &url);
    ports.push(scheduler);
    for port in ports {
        for path in [
            "/ballista.protobuf.SchedulerGrpc/CancelJob",
            "/warpframe.Cluster/Status",
            "/warpframe/status",
            "/",
        ] {
            for (method, content_type) in
                [("POST", "text/plain"), ("POST", "application/grpc"), ("GET", "text/html"), ("OPTIONS", "")]
            {
                let mut stream = TcpStream::connect(&port).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let body = "\0\0\0\0\0";
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nHost: {port}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(request.as_bytes()).unwrap();
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
                let answer = String::from_utf8_lossy(&answer);
                let refused = answer.starts_with("HTTP/1.1 505 ") || !answer.starts_with("HTTP/1");
                assert!(refused, "{method} {content_type} {port}{path}: {answer}");
            }
        }
    }
}

/// A channel whose requests carry a token, if it is given.
async fn channel(address: &str, token: Option<&str>) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let endpoint = match token {
        Some(token) => endpoint.user_agent(format!("warpframe/1 {token}")).unwrap(),
        None => endpoint,
    };
    endpoint.connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_requires_the_token() {
    let user = User::new();
    let (_cluster, url) = user.cluster(&[]);
    let scheduler = url.strip_prefix("df://").unwrap();
    let executor = &executors(&user, &url)[0];
    let right = std::fs::read_to_string(&user.tokens()[0]).unwrap().trim().to_owned();
    let wrong = right.chars().rev().collect::<String>();
    for token in [None, Some(&*wrong)] {
        let mut client = SchedulerGrpcClient::new(channel(scheduler, token).await);
        let refusals = [
            client.execute_query(ExecuteQueryParams::default()).await.err(),
            client.cancel_job(CancelJobParams::default()).await.err(),
            client.get_job_status(GetJobStatusParams::default()).await.err(),
            client.register_executor(RegisterExecutorParams::default()).await.err(),
            client.heart_beat_from_executor(HeartBeatParams::default()).await.err(),
            client.executor_stopped(ExecutorStoppedParams::default()).await.err(),
            client.update_task_status(UpdateTaskStatusParams::default()).await.err(),
            client.clean_job_data(CleanJobDataParams::default()).await.err(),
        ];
        let mut client = ExecutorGrpcClient::new(channel(executor, token).await);
        let executor_refusals = [
            client.launch_multi_task(LaunchMultiTaskParams::default()).await.err(),
            client.launch_task(LaunchTaskParams::default()).await.err(),
            client.stop_executor(StopExecutorParams::default()).await.err(),
            client.cancel_tasks(CancelTasksParams::default()).await.err(),
            client.remove_job_data(RemoveJobDataParams::default()).await.err(),
        ];
        let fetch_refusal = fetch(channel(executor, token).await, FetchRequest::default()).await.err();
        let all = refusals.into_iter().chain(executor_refusals).chain([fetch_refusal]);
        for refusal in all {
            assert_eq!(refusal.map(|status| status.code()), Some(Code::Unauthenticated));
        }
    }
    // Requests with the token are handled.
    let mut client = ExecutorGrpcClient::new(channel(executor, Some(&right)).await);
    client.cancel_tasks(CancelTasksParams::default()).await.unwrap();
    let up = RemoveJobDataParams { job_id: "..".to_owned(), remove_stage_ids: Vec::new() };
    assert_eq!(client.remove_job_data(up).await.unwrap_err().code(), Code::InvalidArgument);
    let mut client = SchedulerGrpcClient::new(channel(scheduler, Some(&right)).await);
    client.get_job_status(GetJobStatusParams { job_id: "none".to_owned() }).await.unwrap();
}

#[test]
fn the_token_does_not_appear_in_output() {
    let user = User::new();
    let scheduler = ["cluster", "scheduler", "--bind", "127.0.0.1:0"];
    let mut scheduler = Process::spawn(user.command(&scheduler).env("WARPFRAME_LOG", "trace"));
    // stderr is read concurrently, so that the pipe does not fill up.
    let scheduler_log = std::thread::spawn({
        let mut stderr = scheduler.0.stderr.take().unwrap();
        move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        }
    });
    let url = scheduler.first_line();
    let token = std::fs::read_to_string(&user.tokens()[0]).unwrap().trim().to_owned();
    let executor = ["cluster", "executor", "--scheduler", url.strip_prefix("df://").unwrap()];
    let mut executor = Process::spawn(user.command(&executor).env("WARPFRAME_LOG", "trace"));
    let executor_log = std::thread::spawn({
        let mut stderr = executor.0.stderr.take().unwrap();
        move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        }
    });
    let sql = ["sql", "--cluster", &url, "--cluster-wait", "30", "-q", QUERY];
    let run = finish(user.command(&sql).env("WARPFRAME_LOG", "trace").output().unwrap());
    assert_eq!(run.code, Some(0));
    let status = user.run(&["cluster", "status", &url, "--json"]);
    let settings = user.run(&["sql", "--cluster", &url, "-q", "SHOW ALL"]);
    let modes = "interpreted,cluster,cluster-processes-1";
    let compare = ["compare", "--rows", "1000", "--modes", modes, "--cluster", &url, "--report", "report"];
    let compared = user.run(&[&compare[..], &["--repeat", "1"]].concat());
    assert_eq!(compared.code, Some(0), "{compared:#?}");
    let arguments = [&scheduler, &executor]
        .map(|process| std::fs::read(format!("/proc/{}/cmdline", process.0.id())).unwrap_or_default());
    executor.0.kill().unwrap();
    scheduler.0.kill().unwrap();
    let mut shown =
        vec![run.stdout, run.stderr, status.stdout, settings.stdout, compared.stdout, compared.stderr];
    shown.extend([scheduler_log.join().unwrap(), executor_log.join().unwrap()]);
    assert!(shown.iter().any(|text| text.contains("TRACE")), "nothing was traced");
    shown.extend(arguments.map(|text| String::from_utf8_lossy(&text).into_owned()));
    for file in entries(&user.path().join("report")) {
        let text = std::fs::read(user.path().join("report").join(file)).unwrap();
        shown.push(String::from_utf8_lossy(&text).into_owned());
    }
    for text in shown {
        let line = text.find(&token).map(|at| &text[text[..at].rfind('\n').unwrap_or(0)..at]);
        assert_eq!(line, None, "the token is shown");
    }
}

/// A malicious executor: it runs no tasks, and reports for each that it has written a file of this name.
#[derive(Clone)]
struct MaliciousExecutor {
    id: String,
    file: String,
    scheduler: SchedulerGrpcClient<Channel>,
}

impl MaliciousExecutor {
    /// Starts the executor and registers it with a scheduler.
    async fn start(scheduler: &str, token: &str, file: &str) -> Self {
        let mut client = SchedulerGrpcClient::new(channel(scheduler, Some(token)).await);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let id = format!("rogue;{};simd", env!("CARGO_PKG_VERSION"));
        let malicious = Self { id: id.clone(), file: file.to_owned(), scheduler: client.clone() };
        let name = file.to_owned();
        let server = Server::builder()
            .add_service(ExecutorGrpcServer::new(malicious.clone()))
            .add_service(FetchServer::new(move |request| malicious_results(&name, request)));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let config =
            ExecutorProcessConfig { executor_id: id.clone(), port, grpc_port: port, ..Default::default() };
        let metadata = structure_executor_metadata(&Arc::new(config), 2);
        let metadata = Some(metadata);
        client.register_executor(RegisterExecutorParams { metadata: metadata.clone() }).await.unwrap();
        let status = Some(ExecutorStatus { status: Some(State::Active(String::new())) });
        let beat = HeartBeatParams { executor_id: id, metrics: Vec::new(), status, metadata };
        client.heart_beat_from_executor(beat).await.unwrap();
        malicious
    }
}

#[tonic::async_trait]
impl ExecutorGrpc for MaliciousExecutor {
    async fn launch_task(&self, _: Request<LaunchTaskParams>) -> Result<Response<LaunchTaskResult>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn launch_multi_task(
        &self,
        request: Request<LaunchMultiTaskParams>,
    ) -> Result<Response<LaunchMultiTaskResult>, Status> {
        let mut task_status = Vec::new();
        for tasks in request.into_inner().multi_tasks {
            for task in tasks.task_ids {
                let partition = ShuffleWritePartition {
                    partition_id: u64::from(task.global_output_partition_ids[0]),
                    num_batches: 1,
                    num_rows: 1,
                    num_bytes: 1,
                    file_id: Some(0),
                    is_sort_shuffle: false,
                };
                task_status.push(TaskStatus {
                    task_id: task.task_id,
                    job_id: tasks.job_id.clone(),
                    stage_id: tasks.stage_id,
                    stage_attempt_num: tasks.stage_attempt_num,
                    status: Some(task_status::Status::Successful(SuccessfulTask {
                        executor_id: self.id.clone(),
                        partitions: vec![partition],
                        ..SuccessfulTask::default()
                    })),
                    ..TaskStatus::default()
                });
            }
        }
        let mut scheduler = self.scheduler.clone();
        let update = UpdateTaskStatusParams { executor_id: self.id.clone(), task_status };
        tokio::spawn(async move { scheduler.update_task_status(update).await });
        Ok(Response::new(LaunchMultiTaskResult::default()))
    }

    async fn stop_executor(
        &self,
        _: Request<StopExecutorParams>,
    ) -> Result<Response<StopExecutorResult>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn cancel_tasks(
        &self,
        _: Request<CancelTasksParams>,
    ) -> Result<Response<CancelTasksResult>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn remove_job_data(
        &self,
        _: Request<RemoveJobDataParams>,
    ) -> Result<Response<RemoveJobDataResult>, Status> {
        Ok(Response::new(Default::default()))
    }
}

/// A file name for which the malicious executor returns columns of other types.
const MALFORMED: &str = "attempt-malformed";

/// The results of the malicious executor: a row for the file that it says it has written.
fn malicious_results(file: &str, request: &FetchRequest) -> FetchReplies {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let number = |number| -> ArrayRef { Arc::new(UInt64Array::from(vec![number])) };
    let folder = if file == MALFORMED { number(1) } else { text("") };
    let columns = [("file", text(file)), ("folder", folder), ("rows", number(10)), ("bytes", number(100))];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    writer.write(&rows).unwrap();
    FetchReplies::new(request, writer.into_inner().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn file_names_of_a_malicious_executor_are_rejected() {
    let user = User::new();
    let folder = user.path();
    ok(folder, &["generate", "--rows", "10", "--out", "in.parquet"]);
    ok(folder, &["generate", "--rows", "10", "--out", "victim.parquet"]);
    let victim = folder.join("victim.parquet").to_string_lossy().into_owned();
    let before = std::fs::read(&victim).unwrap();
    let left = entries(folder);
    let outside =
        [&*victim, "../victim.parquet", "attempt-/../../victim.parquet", "attempt-x/../y.parquet", ""];
    for file in outside.into_iter().chain([MALFORMED]) {
        let scheduler = ["cluster", "scheduler", "--bind", "127.0.0.1:0"];
        let mut scheduler = Process::spawn(&mut user.command(&scheduler));
        let url = scheduler.first_line();
        let token = std::fs::read_to_string(&user.tokens()[0]).unwrap().trim().to_owned();
        let malicious = MaliciousExecutor::start(url.strip_prefix("df://").unwrap(), &token, file).await;
        for out in ["out.parquet", "out"] {
            let run = ["run", "--cluster", &url, "--in", "in.parquet", "--select", "id", "--out", out];
            let run = user.run(&run);
            let words = match file {
                MALFORMED => "an executor has returned something else than the files".to_owned(),
                _ => format!("an executor says that it has written '{}'", malicious.file),
            };
            expect_error(&run, &words);
            assert_eq!(std::fs::read(&victim).unwrap(), before, "{file}");
        }
        scheduler.signal("INT");
        scheduler.wait(LIMIT);
    }
    let mut now = entries(folder);
    now.retain(|name| name != ".cache");
    assert_eq!(now, left);
}
