//! The files that tasks write: their names, their checksums, and reading them on the executor that has them.
//!
//! A task writes one file for each partition, or one sorted file with all partitions, whose first bytes are an Arrow IPC
//! stream without batches.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::vec;

use arrow::buffer::Buffer;
use ballista_core::JobId;
use ballista_core::execution_plans::create_shuffle_path;
use ballista_core::execution_plans::sort_shuffle::{ShuffleIndex, get_index_path};
use ballista_core::serde::protobuf::ShuffleWritePartition;
use ballista_core::serde::scheduler::PartitionLocation;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};

use super::checksums::{Block, FileChecksums};
use super::path_component::is_single_component;

/// A partition in the output of a task.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ShufflePartition {
    #[prost(string, tag = "1")]
    pub job: String,
    #[prost(uint64, tag = "2")]
    pub stage: u64,
    #[prost(uint64, tag = "3")]
    pub partition: u64,
    /// The number of the file among those of the stage or, if it has one partition only, of the partition.
    #[prost(uint64, optional, tag = "4")]
    pub file: Option<u64>,
    /// Whether the file has all partitions.
    #[prost(bool, tag = "5")]
    pub is_sorted: bool,
}

impl ShufflePartition {
    /// The path of the file below the work folder of an executor, which is also the file's name in its checksums.
    ///
    /// # Errors
    /// The job is not a plain name, or a sorted file has no number.
    pub fn file_name(&self) -> Result<String> {
        let Self { job, stage, partition, file, is_sorted } = self;
        if !is_single_component(job) {
            return Err(exec_datafusion_err!("'{job}' is not a valid job id"));
        }
        let (stage, partition) = (*stage as usize, *partition as usize);
        let path = create_shuffle_path("", &JobId::from(job.as_str()), stage, partition, *file, *is_sorted)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// The parts of the file that have the partition: of a sorted file, the first one with the schema as well.
    pub fn parts(&self) -> Vec<usize> {
        match self.is_sorted {
            true => vec![0, self.partition as usize + 1],
            false => vec![0],
        }
    }
}

impl From<&PartitionLocation> for ShufflePartition {
    fn from(location: &PartitionLocation) -> Self {
        Self {
            job: location.partition_id.job_id.to_string(),
            stage: location.partition_id.stage_id as u64,
            partition: location.partition_id.partition_id as u64,
            file: location.file_id,
            is_sorted: location.is_sort_shuffle,
        }
    }
}

/// Writes the checksums of the files that a task has written.
///
/// # Errors
/// A file cannot be read, or its checksums cannot be written.
pub(super) fn write_checksums(
    work_dir: &Path,
    job: &str,
    stage: usize,
    written: &[ShuffleWritePartition],
) -> Result<()> {
    let mut files = HashSet::new();
    for partition in written {
        let partition = ShufflePartition {
            job: job.to_owned(),
            stage: stage as u64,
            partition: partition.partition_id,
            file: partition.file_id,
            is_sorted: partition.is_sort_shuffle,
        };
        let name = partition.file_name()?;
        let path = work_dir.join(&name);
        if !files.insert(name.clone()) || !path.exists() {
            continue;
        }
        let ends = match partition.is_sorted {
            true => {
                let index = ShuffleIndex::read_from_file(&get_index_path(&path))
                    .map_err(|error| DataFusionError::External(error.into()))?;
                let partitions = (0..index.partition_count()).map(|part| index.get_partition_range(part).1);
                [index.header_end_offset()].into_iter().chain(partitions).map(|end| end as u64).collect()
            }
            false => vec![path.metadata()?.len()],
        };
        FileChecksums::of_file(&path, name, &ends)?.write(&path)?;
    }
    Ok(())
}

/// The verified blocks of a partition on this executor.
pub(super) struct LocalBlocks {
    name: String,
    file: File,
    position: u64,
    blocks: vec::IntoIter<Block>,
}

impl LocalBlocks {
    /// Opens the file of a partition below a work folder.
    ///
    /// # Errors
    /// The file or its checksums cannot be read or are damaged.
    pub fn open(work_dir: &Path, partition: &ShufflePartition) -> Result<Self> {
        let name = partition.file_name()?;
        let path: PathBuf = work_dir.join(&name);
        let blocks = FileChecksums::read(&path, &name)?.blocks(&partition.parts())?.into_iter();
        let file = File::open(&path).map_err(|error| read_error(&name, &error))?;
        Ok(Self { name, file, position: 0, blocks })
    }

    fn read(&mut self, block: &Block) -> Result<Buffer> {
        let bytes = read_block(&mut self.file, &mut self.position, block)
            .map_err(|error| read_error(&self.name, &error))?;
        block.verify(&bytes, &self.name)?;
        Ok(Buffer::from(bytes))
    }
}

impl Iterator for LocalBlocks {
    type Item = Result<Buffer>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.blocks.next()?;
        Some(self.read(&block))
    }
}

/// Reads the bytes of a block, fewer at the end of the file. `position` is that of the file.
pub(super) fn read_block(file: &mut File, position: &mut u64, block: &Block) -> io::Result<Vec<u8>> {
    if *position != block.bytes.start {
        *position = file.seek(SeekFrom::Start(block.bytes.start))?;
    }
    let mut bytes = vec![0; block.len()];
    let mut read = 0;
    while read < bytes.len() {
        match file.read(&mut bytes[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    *position += read as u64;
    Ok(bytes)
}

fn read_error(file: &str, error: &io::Error) -> DataFusionError {
    exec_datafusion_err!("cannot read the file '{file}': {error}")
}
