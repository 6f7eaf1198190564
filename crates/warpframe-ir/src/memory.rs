//! Memory budgets: how a backend reserves memory without knowing the engine that calls it.

use std::fmt;

use super::error::Result;

/// A budget of bytes that kernels share with the engine that calls them.
pub trait MemoryBudget: fmt::Debug + Send + Sync {
    /// Reserves bytes; they are released when the reservation is dropped.
    ///
    /// # Errors
    /// [`Error::ResourcesExhausted`](super::error::Error::ResourcesExhausted): the budget is exceeded.
    fn reserve(&self, consumer: &str, bytes: usize) -> Result<Box<dyn Reservation>>;
}

/// Reserved bytes, released on drop.
pub trait Reservation: fmt::Debug + Send + Sync {
    /// Releases a part of the bytes.
    fn shrink(&mut self, bytes: usize);
}

/// A budget without a limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[derive(Debug)]
struct Nothing;

impl Reservation for Nothing {
    fn shrink(&mut self, _: usize) {}
}

impl MemoryBudget for Unlimited {
    fn reserve(&self, _: &str, _: usize) -> Result<Box<dyn Reservation>> {
        Ok(Box::new(Nothing))
    }
}
