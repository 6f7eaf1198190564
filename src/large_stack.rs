//! A large stack for recursive functions.

use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes of the stack. Only those that are used take memory.
const SIZE: usize = 1 << 30;

/// A future that is polled on a stack of 1 GiB.
pub struct OnLargeStack<F>(pub Pin<Box<F>>);

impl<F: Future> Future for OnLargeStack<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        stacker::grow(SIZE, || self.0.as_mut().poll(context))
    }
}
