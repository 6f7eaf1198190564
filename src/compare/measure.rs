//! Times the runs of a mode and verifies their results.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use datafusion::common::Result;

use super::verify::{Answer, Reference, ResultsOf, Verified};

/// The limit for the timed runs of a mode, estimated from its first run. A slow mode gets fewer timed runs, but at least
/// one.
pub const MAX_TIME_PER_MODE: Duration = Duration::from_secs(10);

/// Runs a mode once as a warm-up, then up to `repeat` times. Verifies the result of every run off the clock.
/// `on_repeat` gets the number of each finished timed run, and the number of all of them.
pub fn measure(
    repeat: NonZeroUsize,
    reference: &Reference,
    on_repeat: impl Fn(usize, usize),
    mut run: impl FnMut() -> Result<(Duration, Answer)>,
) -> Result<Measured> {
    let (first, answer) = run()?;
    let mut verified = reference.verify(answer, ResultsOf::Engine)?;
    let affordable = MAX_TIME_PER_MODE.as_secs_f64() / first.as_secs_f64().max(1e-9);
    let repeats = repeat.get().min((affordable as usize).max(1));
    let mut times = Vec::with_capacity(repeats);
    for repeat in 1..=repeats {
        let (time, answer) = run()?;
        let again = reference.verify(answer, ResultsOf::Engine)?;
        verified = verified.worse(again);
        times.push(time);
        on_repeat(repeat, repeats);
    }
    times.sort();
    Ok(Measured { first, times, verified })
}

/// The times of a mode, and its verified result.
#[derive(Debug)]
pub struct Measured {
    /// The warm-up run.
    pub first: Duration,
    /// The timed runs in ascending order, at least one.
    pub times: Vec<Duration>,
    /// The verified result that is farthest from the reference.
    pub verified: Verified,
}

/// The median of times in ascending order; zero for an empty slice.
pub fn median(times: &[f64]) -> f64 {
    match (times.len() / 2, times.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => (times[middle - 1] + times[middle]) / 2.0,
        (middle, _) => times[middle],
    }
}

/// Runs a closure and returns its wall-clock time and its value.
pub fn timed<T>(run: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let value = run()?;
    Ok((start.elapsed(), value))
}

/// The duration in milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
