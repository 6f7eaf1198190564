//! The reduction of values of one type, in chunks.

use super::Reductions;
use super::tree::Tree;
use crate::scalar::Scalar;

/// The number of values in a chunk.
pub const CHUNK: usize = 1024;

/// The number of values that [`ChunkedValues::next_word`] has room for: those of a mask word.
pub const WORD: usize = 64;

/// The number of partial results of a chunk. Value `i` of the chunk belongs to the partial result `i % LANES`, so that vector
/// registers of all widths compute the same.
pub const LANES: usize = 32;

/// A number that can be reduced.
pub trait Element: Copy + Default + std::fmt::Debug + Send + Sync + 'static {
    /// An integer in the total order of the numbers.
    type Key: Copy + Ord + std::fmt::Debug + Send + Sync;
    /// The type of sums.
    type Sum: Copy + Default + std::fmt::Debug + Send + Sync;

    /// The key in the total order.
    fn key(self) -> Self::Key;

    /// The number with a key.
    fn from_key(key: Self::Key) -> Self;

    /// The number as a scalar.
    fn scalar(self) -> Scalar;

    /// The number in the type of sums.
    fn to_sum(self) -> Self::Sum;

    /// The sum of two sums.
    fn add(x: Self::Sum, y: Self::Sum) -> Self::Sum;

    /// A sum as a scalar.
    fn sum_scalar(sum: Self::Sum) -> Scalar;

    /// The number in double precision.
    fn to_f64(self) -> f64;
}

macro_rules! element {
    ($type:ident, $scalar:ident, $key:ty, $sum:ty, $sum_scalar:ident, $add:expr, $to_key:expr, $from_key:expr) => {
        impl Element for $type {
            type Key = $key;
            type Sum = $sum;

            #[inline(always)]
            fn key(self) -> $key {
                $to_key(self)
            }

            #[inline(always)]
            fn from_key(key: $key) -> Self {
                $from_key(key)
            }

            fn scalar(self) -> Scalar {
                Scalar::$scalar(self)
            }

            #[inline(always)]
            fn to_sum(self) -> $sum {
                self.into()
            }

            #[inline(always)]
            fn add(x: $sum, y: $sum) -> $sum {
                $add(x, y)
            }

            fn sum_scalar(sum: $sum) -> Scalar {
                Scalar::$sum_scalar(sum)
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    };
}
element!(i32, I32, i32, i64, I64, i64::wrapping_add, |x| x, |x| x);
element!(i64, I64, i64, i64, I64, i64::wrapping_add, |x| x, |x| x);
element!(
    f32,
    F32,
    i32,
    f64,
    F64,
    |x: f64, y: f64| x + y,
    |x: f32| flip_negative(x.to_bits().cast_signed()),
    |key: i32| f32::from_bits(flip_negative(key).cast_unsigned())
);
element!(
    f64,
    F64,
    i64,
    f64,
    F64,
    |x: f64, y: f64| x + y,
    |x: f64| flip_negative_wide(x.to_bits().cast_signed()),
    |key: i64| f64::from_bits(flip_negative_wide(key).cast_unsigned())
);

/// The bits of a float as an integer in the total order, and back: of negative ones, all bits but the sign are inverted.
#[inline(always)]
fn flip_negative(bits: i32) -> i32 {
    bits ^ (bits >> 31 & i32::MAX)
}

/// [`flip_negative`] for 64 bits.
#[inline(always)]
fn flip_negative_wide(bits: i64) -> i64 {
    bits ^ (bits >> 63 & i64::MAX)
}

/// The number of values, their mean, and the sum of the squares of their differences from it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// The number of values.
    pub count: u64,
    /// The mean; 0 of no values.
    pub mean: f64,
    /// The sum of the squares of the differences from the mean.
    pub m2: f64,
}

impl Moments {
    /// The moments of the values of two sets.
    ///
    /// Chan, Golub, LeVeque: "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
    pub fn combine(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0 {
            return self;
        }
        let share = other.count as f64 / count as f64;
        let delta = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + delta * share,
            m2: self.m2 + other.m2 + delta * delta * self.count as f64 * share,
        }
    }
}

/// The reductions of some values, as a backend has computed them. Those that nothing asks for are ignored.
#[derive(Debug, Clone, Copy)]
pub struct Partial<T: Element> {
    /// The number of values. If it is 0, the other parts have no meaning.
    pub count: u64,
    /// The sum.
    pub sum: T::Sum,
    /// The key of the smallest value.
    pub min: T::Key,
    /// The key of the largest value.
    pub max: T::Key,
    /// The moments, with the same number of values.
    pub moments: Moments,
}

/// The values of an output so far, reduced: all but those of an incomplete chunk.
#[derive(Debug, Clone)]
pub struct ChunkedValues<T: Element> {
    reductions: Reductions,
    /// The number of values in complete chunks.
    reduced: u64,
    /// The values of the incomplete chunk, with room for another word.
    values: Box<[T]>,
    filled: usize,
    sum: Tree<T::Sum>,
    moments: Tree<Moments>,
    /// The keys of the smallest and the largest value.
    min: Option<T::Key>,
    max: Option<T::Key>,
}

impl<T: Element> ChunkedValues<T> {
    /// No values.
    pub fn new(reductions: Reductions) -> Self {
        Self {
            reductions,
            reduced: 0,
            values: vec![T::default(); CHUNK + WORD].into(),
            filled: 0,
            sum: Tree::default(),
            moments: Tree::default(),
            min: None,
            max: None,
        }
    }

    /// Adds values. Inlined into the caller, whose target features it is compiled for.
    #[inline(always)]
    pub fn extend(&mut self, mut values: &[T]) {
        while !values.is_empty() {
            if self.filled == 0
                && let Some((chunk, rest)) = values.split_at_checked(CHUNK)
            {
                self.reduce(chunk);
                values = rest;
                continue;
            }
            let (first, rest) = values.split_at(values.len().min(CHUNK - self.filled));
            self.values[self.filled..][..first.len()].copy_from_slice(first);
            self.advance(first.len());
            values = rest;
        }
    }

    /// Room for the values of the next mask word, which are added by [`advance`](Self::advance).
    #[inline(always)]
    pub fn next_word(&mut self) -> &mut [T] {
        &mut self.values[self.filled..][..WORD]
    }

    /// Adds the first `count` values of [`next_word`](Self::next_word), at most [`WORD`].
    #[inline(always)]
    pub fn advance(&mut self, count: usize) {
        self.filled += count;
        if self.filled >= CHUNK {
            let values = std::mem::take(&mut self.values);
            self.reduce(&values[..CHUNK]);
            self.values = values;
            self.values.copy_within(CHUNK..self.filled, 0);
            self.filled -= CHUNK;
        }
    }

    /// The number of values that the incomplete chunk still has room for: [`CHUNK`] if there is none.
    pub fn room(&self) -> usize {
        CHUNK - self.filled
    }

    /// Adds the values of a complete chunk, of which only sums are needed: those of values `i`, `i + LANES`, `i + 2 * LANES`, … for
    /// each lane `i`, added one after the other to zero. There must be no incomplete chunk: the values would be added before its own.
    pub fn add_lane_sums(&mut self, lanes: [T::Sum; LANES]) {
        self.reduced += CHUNK as u64;
        if self.reductions.sum {
            self.sum.push(add_lanes(lanes, T::add), T::add);
        }
    }

    /// Adds the values of a partial result, which is the result of a chunk of its own.
    pub fn add_partial(&mut self, partial: &Partial<T>) {
        if partial.count == 0 {
            return;
        }
        self.reduced += partial.count;
        if self.reductions.sum {
            self.sum.push(partial.sum, T::add);
        }
        if self.reductions.moments {
            self.moments.push(partial.moments, Moments::combine);
        }
        if self.reductions.min {
            self.min = self.min.into_iter().chain([partial.min]).min();
        }
        if self.reductions.max {
            self.max = self.max.into_iter().chain([partial.max]).max();
        }
    }

    /// What is computed.
    pub fn reductions(&self) -> Reductions {
        self.reductions
    }

    #[inline(always)]
    fn reduce(&mut self, chunk: &[T]) {
        self.reduced += chunk.len() as u64;
        if self.reductions.sum {
            self.sum.push(sum(chunk), T::add);
        }
        if self.reductions.moments {
            self.moments.push(moments(chunk), Moments::combine);
        }
        if self.reductions.min {
            self.min = self.min.into_iter().chain(extreme(chunk, Ord::min)).min();
        }
        if self.reductions.max {
            self.max = self.max.into_iter().chain(extreme(chunk, Ord::max)).max();
        }
    }

    /// The values of the incomplete chunk.
    fn rest(&self) -> &[T] {
        &self.values[..self.filled]
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.reduced + self.filled as u64
    }

    /// The sum; `None` of no values, or if it was not asked for.
    pub fn sum(&self) -> Option<Scalar> {
        if !self.reductions.sum {
            return None;
        }
        let rest = (self.filled > 0).then(|| sum(self.rest()));
        self.sum.total(rest, T::add).map(T::sum_scalar)
    }

    /// The smallest value; `None` of no values, or if it was not asked for.
    pub fn min(&self) -> Option<Scalar> {
        if !self.reductions.min {
            return None;
        }
        let least = self.min.into_iter().chain(extreme(self.rest(), Ord::min)).min();
        least.map(|key| T::from_key(key).scalar())
    }

    /// The largest value; `None` of no values, or if it was not asked for.
    pub fn max(&self) -> Option<Scalar> {
        if !self.reductions.max {
            return None;
        }
        let largest = self.max.into_iter().chain(extreme(self.rest(), Ord::max)).max();
        largest.map(|key| T::from_key(key).scalar())
    }

    /// The moments; those of no values if they were not asked for.
    pub fn moments(&self) -> Moments {
        if !self.reductions.moments {
            return Moments::default();
        }
        let rest = (self.filled > 0).then(|| moments(self.rest()));
        self.moments.total(rest, Moments::combine).unwrap_or_default()
    }
}

/// The sum of the values of a chunk.
#[inline(always)]
fn sum<T: Element>(chunk: &[T]) -> T::Sum {
    sum_of(chunk, T::to_sum, T::add)
}

/// The moments of a chunk with values.
#[inline(always)]
fn moments<T: Element>(chunk: &[T]) -> Moments {
    let add = |x: f64, y: f64| x + y;
    let mean = sum_of(chunk, T::to_f64, add) / chunk.len() as f64;
    let square = |value: T| {
        let difference = value.to_f64() - mean;
        difference * difference
    };
    Moments { count: chunk.len() as u64, mean, m2: sum_of(chunk, square, add) }
}

/// The sum of terms of the values of a chunk.
#[inline(always)]
fn sum_of<T: Element, S: Copy + Default>(chunk: &[T], term: impl Fn(T) -> S, add: impl Fn(S, S) -> S) -> S {
    let mut lanes = [S::default(); LANES];
    let (rows, rest) = chunk.as_chunks::<LANES>();
    for row in rows {
        for (lane, value) in lanes.iter_mut().zip(row) {
            *lane = add(*lane, term(*value));
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = add(*lane, term(*value));
    }
    add_lanes(lanes, add)
}

/// The sum of the partial sums of a chunk.
#[inline(always)]
fn add_lanes<S: Copy>(mut lanes: [S; LANES], add: impl Fn(S, S) -> S) -> S {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = add(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// The smallest or the largest key of a chunk; `None` of no values.
#[inline(always)]
fn extreme<T: Element>(chunk: &[T], choose: impl Fn(T::Key, T::Key) -> T::Key) -> Option<T::Key> {
    let mut lanes = [chunk.first()?.key(); LANES];
    let (rows, rest) = chunk.as_chunks::<LANES>();
    for row in rows {
        for (lane, value) in lanes.iter_mut().zip(row) {
            *lane = choose(*lane, value.key());
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = choose(*lane, value.key());
    }
    lanes.into_iter().reduce(choose)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial<T: Element>(values: &[T]) -> Partial<T> {
        let key = |choose: fn(T::Key, T::Key) -> T::Key| extreme(values, choose);
        let none = T::default().key();
        Partial {
            count: values.len() as u64,
            sum: sum(values),
            min: key(Ord::min).unwrap_or(none),
            max: key(Ord::max).unwrap_or(none),
            moments: moments(values),
        }
    }

    /// Values in parts, some of which are partial results and some of which are empty, reduce to what they do in one part.
    #[test]
    fn partial_results_count_as_their_values() {
        let reductions = Reductions { sum: true, min: true, max: true, moments: true };
        let values: Vec<i32> = (0..10_000).map(|row| row * 7919 % 10_007 - 3000).collect();
        let (mut whole, mut parts) = (ChunkedValues::new(reductions), ChunkedValues::new(reductions));
        whole.extend(&values);
        let mut rest = &values[..];
        for length in [0, 1, 500, 0, 3000, 17, 2048, 0, 4434] {
            let (part, later) = rest.split_at(length);
            match length % 2 {
                0 => parts.add_partial(&partial(part)),
                _ => parts.extend(part),
            }
            rest = later;
        }
        assert!(rest.is_empty());
        let exact = |one: &ChunkedValues<i32>| (one.count(), one.sum(), one.min(), one.max());
        assert_eq!(exact(&whole), exact(&parts));
        let (one, other) = (whole.moments(), parts.moments());
        assert_eq!(one.count, other.count);
        assert!((one.mean - other.mean).abs() < 1e-9 * one.mean.abs(), "{one:?} {other:?}");
        assert!((one.m2 - other.m2).abs() < 1e-12 * one.m2, "{one:?} {other:?}");
    }

    /// Also those of the values of an incomplete chunk, which are known.
    #[test]
    fn reductions_that_were_not_asked_for_are_absent() {
        let mut values = ChunkedValues::<i64>::new(Reductions { max: true, ..Reductions::default() });
        values.extend(&[3; CHUNK + 5]);
        assert_eq!((values.sum(), values.min(), values.max()), (None, None, Some(Scalar::I64(3))));
        assert_eq!((values.count(), values.moments()), (CHUNK as u64 + 5, Moments::default()));
    }

    #[test]
    fn no_values_have_no_reductions() {
        let reductions = Reductions { sum: true, min: true, max: true, moments: true };
        let mut values = ChunkedValues::<f64>::new(reductions);
        values.add_partial(&partial(&[]));
        assert_eq!((values.count(), values.sum(), values.min(), values.max()), (0, None, None, None));
        assert_eq!(values.moments(), Moments::default());
    }
}
