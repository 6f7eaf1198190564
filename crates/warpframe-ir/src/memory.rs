//! Memory budgets: the interface through which kernels reserve memory, independent of the query engine.

use std::fmt;

use super::error::Result;

/// A budget of bytes, shared with the caller of the kernels.
pub trait MemoryBudget: fmt::Debug + Send + Sync {
    /// Reserves bytes under the name of a consumer; they are released when the reservation is dropped.
    ///
    /// # Errors
    /// [`Error::ResourcesExhausted`](super::error::Error::ResourcesExhausted): the budget is exceeded.
    fn reserve(&self, consumer: &str, bytes: usize) -> Result<Box<dyn Reservation>>;
}

/// Reserved bytes, released on drop.
pub trait Reservation: fmt::Debug + Send + Sync {
    /// Releases `bytes` of the reserved bytes.
    fn shrink(&mut self, bytes: usize);
}

/// A budget without a limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[derive(Debug)]
struct UnlimitedReservation;

impl Reservation for UnlimitedReservation {
    fn shrink(&mut self, _: usize) {}
}

impl MemoryBudget for Unlimited {
    fn reserve(&self, _: &str, _: usize) -> Result<Box<dyn Reservation>> {
        Ok(Box::new(UnlimitedReservation))
    }
}
