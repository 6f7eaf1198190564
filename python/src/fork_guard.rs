//! Values that belong to the process that made them.

use std::mem::ManuallyDrop;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Runtime;

/// A value whose threads are those of one process. A child process made by `fork` has the value, but not the threads: the
/// value can be neither used nor dropped there, since either could wait for a lock that one of the threads held.
pub struct ForkGuard<T> {
    process: u32,
    runtime: &'static Runtime,
    value: ManuallyDrop<T>,
}

impl<T> ForkGuard<T> {
    /// Guards a value that works on this runtime.
    pub fn new(runtime: &'static Runtime, value: T) -> Self {
        Self { process: std::process::id(), runtime, value: ManuallyDrop::new(value) }
    }

    /// The value and its runtime.
    ///
    /// # Errors
    /// This is a child process of the one that has made the value.
    pub fn get(&self) -> Result<(&T, &'static Runtime), Forked> {
        match self.is_of_this_process() {
            true => Ok((&self.value, self.runtime)),
            false => Err(Forked),
        }
    }

    /// As [`get`](Self::get), for a value that only one thread uses.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn get_mut(&mut self) -> Result<(&mut T, &'static Runtime), Forked> {
        match self.is_of_this_process() {
            true => Ok((&mut self.value, self.runtime)),
            false => Err(Forked),
        }
    }

    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}

/// A value was used in a child process of the one that has made it.
pub struct Forked;

impl Forked {
    /// The message for a value of a Python class.
    pub fn message(&self, class: &str) -> String {
        format!("this {class} was made before the process was forked: make a new one in the child process")
    }

    /// `RuntimeError` with the message for a value of a Python class.
    pub fn exception(&self, class: &str) -> PyErr {
        PyRuntimeError::new_err(self.message(class))
    }
}

impl<T> Drop for ForkGuard<T> {
    fn drop(&mut self) {
        if self.is_of_this_process() {
            // What is dropped may spawn its cleanup.
            let _context = self.runtime.enter();
            // SAFETY: the value is dropped once, here, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}
