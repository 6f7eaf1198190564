//! Readers of result partitions: from the executor's file, if that is on this machine, or else from the executor.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use ballista_core::serde::protobuf::PartitionLocation;
use ballista_core::serde::scheduler;
use datafusion::common::{Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use super::batch_decoder::decode_blocks;
use super::endpoint::ConnectionSecurity;
use super::executor_connections::ExecutorConnections;
use super::executor_id::ExecutorId;
use super::mmap_ipc_reader::MmapIpcReader;
use super::path_component::is_single_component;
use super::remote_blocks::{RemoteBlocks, Retries};
use super::shuffle_file::ShufflePartition;

/// The timeout of the first and each further block from an executor.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// A block that was damaged on its way is requested once more. A query whose executor is lost is run again instead.
const RETRIES: Retries = Retries { times: 1, wait: Duration::from_millis(100) };

/// Reads a partition from its file in the executor's folder, `<parent>/<work folder>/<executor name>`, or returns `None` if
/// there is no file of Arrow batches with checksums. The executor's name and the path come from other processes: a file that
/// is not below `parent` once symbolic links are resolved is not read.
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
    let file = ShufflePartition::from(&location).file_name().ok()?;
    let path = work_dirs.find(|work_dir| work_dir.is_dir())?.join(&file).canonicalize().ok()?;
    if !path.starts_with(parent.canonicalize().ok()?) {
        return None;
    }
    let rows = MmapIpcReader::open_populated(&path, &file).ok()?;
    Some(Box::pin(RecordBatchStreamAdapter::new(rows.schema(), stream::iter(rows))))
}

/// Fetches a partition with rows of this schema from the executor that has written it.
///
/// # Errors
/// The executor does not answer, also later while batches are read, or does not have the partition, or it is damaged.
pub(super) async fn fetch_partition(
    location: PartitionLocation,
    security: ConnectionSecurity,
    schema: SchemaRef,
) -> Result<SendableRecordBatchStream> {
    let Ok::<scheduler::PartitionLocation, _>(location) = location.try_into() else {
        return exec_err!("the scheduler has given no location for a part of the results");
    };
    let partition = ShufflePartition::from(&location);
    let file = partition.file_name()?;
    // A connection of its own: a slow reader would hold up other partitions on a shared one.
    let connections = Arc::new(ExecutorConnections::new(security));
    let (host, port) = (location.executor_meta.host, location.executor_meta.port);
    let remote = RemoteBlocks::new(connections, &host, port, partition, RETRIES)?;
    // The connection to an executor whose process is suspended stays open.
    let blocks = stream::try_unfold(remote, move |mut remote| {
        let host = host.clone();
        async move {
            match tokio::time::timeout(FETCH_TIMEOUT, remote.next()).await {
                Ok(block) => Ok(block?.map(|block| (block, remote))),
                Err(_) => exec_err!("a partition on {host}:{port} cannot be fetched: it does not answer"),
            }
        }
    });
    let mut blocks = Box::pin(blocks);
    // Connects, so that a lost executor is an error here.
    let first = blocks.next().await.transpose()?;
    let blocks = stream::iter(first.map(Ok)).chain(blocks);
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, decode_blocks(blocks, file))))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::fs::{File, create_dir, create_dir_all};

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::ipc::writer::StreamWriter;
    use ballista_core::serde::protobuf::{ExecutorMetadata, PartitionId};

    use super::super::checksums::FileChecksums;
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
            let file = ShufflePartition::from(&location);
            let path = folder.join(file.file_name().unwrap());
            let ends = [path.metadata().unwrap().len()];
            let checksums = FileChecksums::of_file(&path, file.file_name().unwrap(), &ends).unwrap();
            checksums.write(&path).unwrap();
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
