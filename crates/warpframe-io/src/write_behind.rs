//! A file writer that syncs to the disk while it is being written.

use std::fs::File;
use std::io::{Error, Result, Write};
use std::thread::JoinHandle;

/// Bytes that are written between two syncs.
const SYNC_BYTES: usize = 8 * 1024 * 1024;

/// A file whose data is synced to the disk by another thread while it is being written, so that the final sync
/// is short.
pub struct WriteBehind {
    file: File,
    /// Whether the file is synced at all. A temporary file that is soon read again stays in the page cache.
    durable: bool,
    /// Bytes written since the last sync was started.
    unsynced: usize,
    /// The sync in progress.
    syncing: Option<JoinHandle<Result<()>>>,
}

impl WriteBehind {
    pub fn new(file: File, durable: bool) -> Self {
        Self { file, durable, unsynced: 0, syncing: None }
    }

    /// The current size of the file in bytes.
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// If the file is durable, waits until its data and metadata are on the disk.
    pub fn sync(&mut self) -> Result<()> {
        self.join_sync()?;
        if self.durable { self.file.sync_all() } else { Ok(()) }
    }

    /// Waits for the sync in progress. The kernel reports a write-back error to one sync only, so the result of
    /// every sync is checked.
    fn join_sync(&mut self) -> Result<()> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        syncing.join().unwrap_or_else(|_| Err(Error::other("the thread that syncs the file has panicked")))
    }

    /// Starts a sync unless one is in progress.
    fn start_sync(&mut self) -> Result<()> {
        if self.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished()) {
            return Ok(());
        }
        self.join_sync()?;
        let file = self.file.try_clone()?;
        // If no thread can be spawned, the final sync does all the work.
        self.syncing = std::thread::Builder::new().spawn(move || file.sync_data()).ok();
        self.unsynced = 0;
        Ok(())
    }
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.durable && self.unsynced >= SYNC_BYTES {
            self.start_sync()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}
