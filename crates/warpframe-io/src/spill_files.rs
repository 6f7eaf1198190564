//! The files into which operators spill rows that do not fit into the memory limit.
//!
//! They have no names: the operating system frees them when the process ends, however it ends, and other users cannot open
//! them.

use std::fs::File;
use std::io::{Error, Result as IoResult, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;
use futures::stream::try_unfold;

/// The bytes that are read at a time.
const READ_BYTES: u64 = 256 << 10;

/// Creates spill files in a folder.
pub struct SpillFiles {
    /// The folder for temporary files of the process if `None`.
    folder: Option<PathBuf>,
}

impl SpillFiles {
    /// Files in the folder for temporary files: that of the environment variable `TMPDIR`, `/tmp` by default.
    pub fn temporary() -> Self {
        Self { folder: None }
    }

    /// Files in a folder.
    pub fn within(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()) }
    }

    /// The settings of a disk manager that uses these files.
    pub fn disk_manager(self) -> DiskManagerBuilder {
        DiskManagerBuilder::default().with_mode(DiskManagerMode::Custom(Arc::new(self)))
    }
}

impl TempFileFactory for SpillFiles {
    fn create_temp_file(&self, _: &str) -> Result<Arc<dyn SpillFile>> {
        let folder = self.folder.clone().unwrap_or_else(std::env::temp_dir);
        let file = tempfile::tempfile_in(&folder).map_err(|error| cannot("write", &folder, &error))?;
        Ok(Arc::new(UnnamedFile { file: Arc::new(file), folder: folder.into(), bytes: Arc::default() }))
    }
}

/// The error of an operation on a spill file.
fn cannot(operation: &str, folder: &Path, error: &Error) -> Error {
    let advice = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            ": free space there, set TMPDIR to a folder on a larger disk, or raise the memory limit"
        }
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
            ": set TMPDIR to a folder in which this user may create files"
        }
        _ => "",
    };
    let folder = folder.display();
    let message = format!(
        "cannot {operation} rows that exceed the memory limit in a temporary file in '{folder}': {error}{advice}"
    );
    Error::new(error.kind(), message)
}

/// A file without a name.
struct UnnamedFile {
    file: Arc<File>,
    folder: Arc<Path>,
    /// The bytes written.
    bytes: Arc<AtomicU64>,
}

impl SpillFile for UnnamedFile {
    fn size(&self) -> Option<u64> {
        Some(self.bytes.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let (file, folder) = (Arc::clone(&self.file), Arc::clone(&self.folder));
        let bytes = Arc::clone(&self.bytes);
        let chunks = try_unfold(0, move |start| {
            let (file, folder) = (Arc::clone(&file), Arc::clone(&folder));
            // Exchanges of rows read a file while it is written.
            let length = (bytes.load(Ordering::Acquire) - start).min(READ_BYTES);
            async move {
                if length == 0 {
                    return Ok(None);
                }
                let mut chunk = vec![0; length as usize];
                let read = tokio::task::spawn_blocking(move || {
                    read_exact_at(&file, &mut chunk, start).map(|()| Bytes::from(chunk))
                });
                let chunk = read.await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
                let chunk = chunk.map_err(|error| cannot("read", &folder, &error))?;
                Ok(Some((chunk, start + length)))
            }
        });
        Ok(Box::pin(chunks))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        let file = self.file.try_clone().map_err(|error| cannot("write", &self.folder, &error))?;
        let (folder, bytes) = (Arc::clone(&self.folder), Arc::clone(&self.bytes));
        Ok(Box::new(UnnamedFileWriter { file, folder, bytes }))
    }
}

/// Reads at a position, which several readers of a file can do at the same time.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], start: u64) -> IoResult<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, start)
}

/// Reads at a position, which several readers of a file can do at the same time.
#[cfg(windows)]
fn read_exact_at(file: &File, buffer: &mut [u8], start: u64) -> IoResult<()> {
    let mut done = 0;
    while done < buffer.len() {
        match std::os::windows::fs::FileExt::seek_read(file, &mut buffer[done..], start + done as u64)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}

struct UnnamedFileWriter {
    file: File,
    folder: Arc<Path>,
    bytes: Arc<AtomicU64>,
}

impl Write for UnnamedFileWriter {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        let written = self.file.write(bytes).map_err(|error| cannot("write", &self.folder, &error))?;
        self.bytes.fetch_add(written as u64, Ordering::Release);
        Ok(written)
    }

    fn flush(&mut self) -> IoResult<()> {
        self.file.flush()
    }
}

impl SpillWriter for UnnamedFileWriter {
    fn finish(&mut self) -> Result<()> {
        // The data is for this process only: it need not reach the disk.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_spill_file_has_no_name_and_can_be_read_twice() {
        let folder = tempfile::tempdir().unwrap();
        let file = SpillFiles::within(folder.path()).create_temp_file("test").unwrap();
        let written: Vec<u8> = (0..600_000u32).map(|byte| byte as u8).collect();
        file.open_writer().unwrap().write_all(&written).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(file.size(), Some(600_000));
        let (one, other) = (file.read_stream().unwrap(), file.read_stream().unwrap());
        let read = futures::future::try_join(one.try_collect::<Vec<_>>(), other.try_collect::<Vec<_>>());
        let (one, other) = read.await.unwrap();
        assert_eq!(one.concat(), written);
        assert_eq!(other.concat(), written);
    }

    #[tokio::test]
    async fn a_spill_file_can_be_read_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = SpillFiles::within(folder.path()).create_temp_file("test").unwrap();
        let (mut writer, mut chunks) = (file.open_writer().unwrap(), file.read_stream().unwrap());
        for part in [b"one", b"two"] {
            writer.write_all(part).unwrap();
            assert_eq!(chunks.try_next().await.unwrap().unwrap(), part.as_slice());
        }
        assert_eq!(chunks.try_next().await.unwrap(), None);
    }

    #[test]
    fn a_folder_that_does_not_exist_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = SpillFiles::within(&missing).create_temp_file("test").err().unwrap().to_string();
        assert!(error.contains("missing") && error.contains("TMPDIR"), "{error}");
    }
}
