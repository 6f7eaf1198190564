//! The clock of a comparison: a first run, then the repeats, and every answer checked off the clock.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use datafusion::common::Result;

use super::verify::{Answer, Reference, Verified};

/// A mode that took long at first is repeated only as often as fits into this.
pub const MAX_TIME_PER_MODE: Duration = Duration::from_secs(10);

/// Times a mode: a first run, then the repeats, and every answer checked off the clock.
pub fn measure(
    repeat: NonZeroUsize,
    reference: &Reference,
    on_repeat: impl Fn(usize, usize),
    mut run: impl FnMut() -> Result<(Duration, Answer)>,
) -> Result<Measured> {
    let (first, answer) = run()?;
    let mut verified = reference.verify(answer)?;
    let affordable = MAX_TIME_PER_MODE.as_secs_f64() / first.as_secs_f64().max(1e-9);
    let repeats = repeat.get().min((affordable as usize).max(1));
    let mut times = Vec::with_capacity(repeats);
    for repeat in 1..=repeats {
        let (time, answer) = run()?;
        let again = reference.verify(answer)?;
        verified = verified.worse(again);
        times.push(time);
        on_repeat(repeat, repeats);
    }
    times.sort();
    Ok(Measured { first, times, verified })
}

/// What was measured of a mode.
#[derive(Debug)]
pub struct Measured {
    pub first: Duration,
    /// In ascending order, at least one.
    pub times: Vec<Duration>,
    pub verified: Verified,
}

/// The median of times in ascending order; zero if there are none.
pub fn median(times: &[f64]) -> f64 {
    match (times.len() / 2, times.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => (times[middle - 1] + times[middle]) / 2.0,
        (middle, _) => times[middle],
    }
}

/// Runs something by the clock.
pub fn timed<T>(run: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let value = run()?;
    Ok((start.elapsed(), value))
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
