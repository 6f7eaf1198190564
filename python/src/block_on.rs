//! Waiting for a future on a thread that is none of the runtime's.
//!
//! tokio's own timeouts elapse only if a worker thread is free to see it, and workers compute queries.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Waits for a future for at most this time. `None` if it is not ready then; it can be waited for again.
pub fn block_on_for<F: Future>(mut future: Pin<&mut F>, limit: Duration) -> Option<F::Output> {
    let end = Instant::now() + limit;
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

/// Waits for a future.
pub fn block_on<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    loop {
        // Any time will do.
        if let Some(output) = block_on_for(future.as_mut(), Duration::from_secs(3600)) {
            return output;
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
