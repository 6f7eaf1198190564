//! Streams whose compute time is measured.

use datafusion::physical_plan::metrics::Time;
use futures::{Stream, StreamExt, stream};

/// The same stream, which adds the time in which it is polled to a metric. It is the compute time of a stream that computes, reads
/// local files or waits for others without being polled.
pub fn timed<S: Stream + Unpin>(mut stream: S, time: Time) -> impl Stream<Item = S::Item> {
    stream::poll_fn(move |context| {
        let _timer = time.timer();
        stream.poll_next_unpin(context)
    })
}
