//! A file on its way to the disk.

use std::fs::File;
use std::io::{Error, Result, Write};
use std::thread::JoinHandle;

/// Bytes that are collected before the disk is given them.
const AT_A_TIME: usize = 8 * 1024 * 1024;

/// A file whose bytes go to the disk while more of them are made, so that there is little to wait for in the end.
pub struct WriteBehind {
    file: File,
    /// Whether the file will stay; what is only to be read again soon is left to the page cache.
    stays: bool,
    /// Bytes since the disk was last given some.
    waiting: usize,
    /// The disk's work in progress.
    flushing: Option<JoinHandle<Result<()>>>,
}

impl WriteBehind {
    pub fn new(file: File, stays: bool) -> Self {
        Self { file, stays, waiting: 0, flushing: None }
    }

    /// Its size.
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Waits until all of it is on the disk, if it stays.
    pub fn settle(&mut self) -> Result<()> {
        self.join()?;
        if self.stays { self.file.sync_all() } else { Ok(()) }
    }

    /// An error is told to one of those who wait for the disk, so none of them may be forgotten.
    fn join(&mut self) -> Result<()> {
        let Some(flushing) = self.flushing.take() else { return Ok(()) };
        flushing.join().unwrap_or_else(|_| Err(Error::other("the thread that waits for the disk has ended")))
    }

    fn flush_behind(&mut self) -> Result<()> {
        if self.flushing.as_ref().is_some_and(|flushing| !flushing.is_finished()) {
            return Ok(());
        }
        self.join()?;
        let file = self.file.try_clone()?;
        // Without a thread it is flushed in the end.
        self.flushing = std::thread::Builder::new().spawn(move || file.sync_data()).ok();
        self.waiting = 0;
        Ok(())
    }
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.file.write(bytes)?;
        self.waiting += written;
        if self.stays && self.waiting >= AT_A_TIME {
            self.flush_behind()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}
