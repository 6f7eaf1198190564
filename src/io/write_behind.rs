//! A file on its way to the disk.

use std::fs::File;
use std::io::{Error, Result, Write};
use std::thread::JoinHandle;

/// Bytes that are collected before the disk is given them.
const FLUSH_BYTES: usize = 8 * 1024 * 1024;

/// A file whose bytes go to the disk while more of them are made, so that there is little to wait for in the end.
pub struct WriteBehind {
    file: File,
    /// Whether the file will stay; what is only to be read again soon is left to the page cache.
    durable: bool,
    /// Bytes since the disk was last given some.
    unsynced: usize,
    /// The disk's work in progress.
    syncing: Option<JoinHandle<Result<()>>>,
}

impl WriteBehind {
    pub fn new(file: File, durable: bool) -> Self {
        Self { file, durable, unsynced: 0, syncing: None }
    }

    /// Its size.
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Waits until all of it is on the disk, if it durable.
    pub fn sync(&mut self) -> Result<()> {
        self.join_sync()?;
        if self.durable { self.file.sync_all() } else { Ok(()) }
    }

    /// An error is told to one of those who wait for the disk, so none of them may be forgotten.
    fn join_sync(&mut self) -> Result<()> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        syncing.join().unwrap_or_else(|_| Err(Error::other("the thread that waits for the disk has ended")))
    }

    fn start_sync(&mut self) -> Result<()> {
        if self.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished()) {
            return Ok(());
        }
        self.join_sync()?;
        let file = self.file.try_clone()?;
        // Without a thread it is flushed in the end.
        self.syncing = std::thread::Builder::new().spawn(move || file.sync_data()).ok();
        self.unsynced = 0;
        Ok(())
    }
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.durable && self.unsynced >= FLUSH_BYTES {
            self.start_sync()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}
