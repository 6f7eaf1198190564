//! An adapter that lets kernels reserve memory in a DataFusion memory pool.

use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use warpframe_ir::error::{Error, Result};
use warpframe_ir::memory::{MemoryBudget, Reservation};

/// The memory budget of kernels in a DataFusion memory pool.
#[derive(Debug)]
pub struct PoolBudget(pub Arc<dyn MemoryPool>);

impl MemoryBudget for PoolBudget {
    fn reserve(&self, consumer: &str, bytes: usize) -> Result<Box<dyn Reservation>> {
        let reservation = MemoryConsumer::new(consumer).register(&self.0);
        match reservation.try_grow(bytes) {
            Ok(()) => Ok(Box::new(PoolReservation(reservation))),
            Err(error) => Err(Error::ResourcesExhausted(error.message().into_owned())),
        }
    }
}

#[derive(Debug)]
struct PoolReservation(MemoryReservation);

impl Reservation for PoolReservation {
    fn shrink(&mut self, bytes: usize) {
        self.0.shrink(bytes);
    }
}
