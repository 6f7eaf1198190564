//! Readers of result partitions: from the executor's file, if that is on this machine, or else from the executor over Arrow
//! Flight.

use std::path::Path;
use std::time::Duration;

use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::PartitionLocation;
use ballista_core::serde::scheduler;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use super::auth_layer::grpc_endpoint_override;
use super::executor_id::ExecutorId;
use super::mmap_ipc_reader::MmapIpcReader;
use super::path_component::is_single_component;
use super::protocol::MAX_MESSAGE_BYTES;
use super::token::Token;

/// The timeout of the first and each further batch from an executor.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads a partition from its file in the executor's folder, `<parent>/<work folder>/<executor name>`, or returns `None` if
/// there is no file of Arrow batches. The executor's name and the path come from other processes: a file that is not
/// below `parent` once symbolic links are resolved is not read.
pub(super) fn read_local_partition(
    location: PartitionLocation,
    parent: &Path,
) -> Option<SendableRecordBatchStream> {
    let location: scheduler::PartitionLocation = location.try_into().ok()?;
    let executor: ExecutorId = location.executor_meta.id.parse().ok()?;
    if !is_single_component(&executor.name) {
        return None;
    }
    let mut work_dirs =
        std::fs::read_dir(parent).ok()?.flatten().map(|entry| entry.path().join(&executor.name));
    let path = location.path(work_dirs.find(|work_dir| work_dir.is_dir())?.to_str()?).ok()?;
    let path = Path::new(&path).canonicalize().ok()?;
    if !path.starts_with(parent.canonicalize().ok()?) {
        return None;
    }
    let rows = MmapIpcReader::open_populated(&path).ok()?;
    Some(Box::pin(RecordBatchStreamAdapter::new(rows.schema(), stream::iter(rows))))
}

/// Fetches a partition from the executor that has written it.
///
/// # Errors
/// The executor does not answer, also later while batches are read, or does not have the partition.
pub(super) async fn fetch_partition(
    location: PartitionLocation,
    token: Option<Token>,
) -> Result<SendableRecordBatchStream> {
    let layout = location.layout();
    let (Some(executor), Some(partition)) = (location.executor_meta, location.partition_id) else {
        return exec_err!("the scheduler has given no location for a part of the results");
    };
    let fetch_error = |error: ballista_core::error::BallistaError| {
        DataFusionError::Execution(format!(
            "the results on {}:{} cannot be fetched: {error}",
            executor.host, executor.port
        ))
    };
    let bytes = MAX_MESSAGE_BYTES as usize;
    let opened = async {
        let (host, port) = (&executor.host, executor.port as u16);
        let endpoint = token.as_ref().map(grpc_endpoint_override);
        let mut client = BallistaClient::try_new(host, port, bytes, false, endpoint, 1, 500, 0, 0).await?;
        let partition = partition.into();
        client.fetch_partition(&executor.id, &partition, location.file_id, layout, false).await
    };
    let timed_out = || {
        DataFusionError::Execution(format!(
            "the results on {}:{} cannot be fetched: it does not answer",
            executor.host, executor.port
        ))
    };
    let rows =
        tokio::time::timeout(FETCH_TIMEOUT, opened).await.map_err(|_| timed_out())?.map_err(fetch_error)?;
    let schema = rows.schema();
    // The connection to an executor whose process is suspended stays open.
    let with_timeout = stream::unfold((rows, timed_out()), |(mut rows, timeout_error)| async move {
        match tokio::time::timeout(FETCH_TIMEOUT, rows.next()).await {
            Ok(batch) => batch.map(|batch| (batch, (rows, timeout_error))),
            Err(_) => {
                let error = DataFusionError::Execution(timeout_error.message().into_owned());
                Some((Err(error), (rows, timeout_error)))
            }
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, with_timeout)))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::fs::{File, create_dir, create_dir_all};

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::ipc::writer::StreamWriter;
    use ballista_core::serde::protobuf::{ExecutorMetadata, PartitionId};

    use super::*;

    /// A location as an executor with this name reports it for a job with this id.
    fn location(executor: &str, job: &str) -> PartitionLocation {
        PartitionLocation {
            partition_id: Some(PartitionId { job_id: job.to_owned(), stage_id: 1, partition_id: 0 }),
            executor_meta: Some(ExecutorMetadata {
                id: format!("{executor};1;simd"),
                os_info: Some(Default::default()),
                specification: Some(Default::default()),
                ..ExecutorMetadata::default()
            }),
            partition_stats: Some(Default::default()),
            file_id: Some(0),
            ..PartitionLocation::default()
        }
    }

    #[test]
    fn files_outside_the_parent_folder_are_not_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("executors");
        create_dir_all(folder.join("work/one")).unwrap();
        create_dir(place.path().join("elsewhere")).unwrap();
        let rows: arrow::array::ArrayRef = std::sync::Arc::new(Int64Array::from(vec![1]));
        let rows = RecordBatch::try_from_iter([("x", rows)]).unwrap();
        let write = |folder: &Path, job: &str| {
            let location: scheduler::PartitionLocation = location("one", job).try_into().unwrap();
            let path = location.path(folder.to_str().unwrap()).unwrap();
            create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            let mut writer = StreamWriter::try_new(File::create(path).unwrap(), &rows.schema()).unwrap();
            writer.write(&rows).unwrap();
            writer.finish().unwrap();
        };
        write(&folder.join("work/one"), "job");
        write(&place.path().join("elsewhere"), "job");
        assert!(read_local_partition(location("one", "job"), &folder).is_some());
        let elsewhere = place.path().join("elsewhere").to_string_lossy().into_owned();
        for executor in [&*elsewhere, "../../elsewhere", "two", "", "."] {
            assert!(read_local_partition(location(executor, "job"), &folder).is_none(), "{executor}");
        }
        let there = format!("{elsewhere}/job");
        for job in [&*there, "../../../elsewhere/job"] {
            assert!(read_local_partition(location("one", job), &folder).is_none(), "{job}");
        }
        // A symbolic link out of the folder.
        std::os::unix::fs::symlink(&elsewhere, folder.join("work/linked")).unwrap();
        assert!(read_local_partition(location("linked", "job"), &folder).is_none());
    }
}
