//! The random tables: `a` with special values, `m` with small ones.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::compute::concat_batches;
use datafusion::datasource::MemTable;

use crate::expr::Kind;
use crate::random::Random;

/// The columns of both tables and their classes; `id` and `n` have no nulls.
pub const COLUMNS: [(&str, Kind); 18] = [
    ("n", Kind::Int),
    ("b", Kind::Bool),
    ("i8", Kind::Int),
    ("i16", Kind::Int),
    ("i32", Kind::Int),
    ("i64", Kind::Int),
    ("u8", Kind::Int),
    ("u16", Kind::Int),
    ("u32", Kind::Int),
    ("u64", Kind::Int),
    ("f32", Kind::Float),
    ("f64", Kind::Float),
    ("x", Kind::Float),
    ("dec", Kind::Decimal),
    ("wide", Kind::Decimal),
    ("d", Kind::Date),
    ("t", Kind::Time),
    ("s", Kind::Text),
];

const FLOATS: [f64; 22] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    3.5,
    f64::NAN,
    -f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::MIN,
    5e-324,
    f64::MIN_POSITIVE,
    0.499_999_999_999_999_94,
    9_007_199_254_740_993.0,
    -9.223_372_036_854_776e18,
    1.844_674_407_370_955_2e19,
    2_147_483_648.0,
    -128.5,
    255.5,
];

const TEXTS: [&str; 16] = [
    "",
    "0",
    "1",
    "-1",
    "42",
    " 7",
    "1.5",
    "-0.0",
    "1e3",
    "NaN",
    "abc",
    "ABC",
    "true",
    "2024-02-29",
    "300",
    "9223372036854775808",
];

struct Rows<'a> {
    random: &'a mut Random,
    special: bool,
    count: usize,
}

impl Rows<'_> {
    /// Values, of which one in `nulls` is null; none if `nulls` is 0.
    fn values<T>(&mut self, nulls: usize, mut value: impl FnMut(&mut Random) -> T) -> Vec<Option<T>> {
        let row = |_| (nulls == 0 || !self.random.one_in(nulls)).then(|| value(self.random));
        (0..self.count).map(row).collect()
    }

    /// Integers of a type with this range.
    fn integers<T: TryFrom<i128>>(&mut self, min: i128, max: i128) -> Vec<Option<T>>
    where
        T::Error: std::fmt::Debug,
    {
        let special = self.special;
        self.values(6, |random| {
            let number = match random.below(if special { 4 } else { 1 }) {
                1 => random.pick(&[min, max, min + 1, max - 1, max / 2, 0]),
                2 => i128::from(random.next() as i64),
                _ => i128::from(random.between(-20, 20)),
            };
            T::try_from(if (min..=max).contains(&number) { number } else { number.rem_euclid(20) }).unwrap()
        })
    }

    fn floats(&mut self, nulls: usize) -> Vec<Option<f64>> {
        let special = self.special;
        self.values(nulls, |random| match random.below(if special { 3 } else { 1 }) {
            1 => random.pick(&FLOATS),
            2 => f64::from_bits(random.next()),
            _ => random.between(-200, 200) as f64 / 4.0,
        })
    }

    fn batch(&mut self) -> RecordBatch {
        let special = self.special;
        let (id, count) = (0..self.count as i32, self.count);
        let day = |random: &mut Random| match random.below(if special { 6 } else { 1 }) {
            1 => random.pick(&[-719_162, 0, 2_932_896, -1, 19_782]),
            _ => random.between(19_700, 19_760) as i32,
        };
        let micros = |random: &mut Random| {
            let seconds = i64::from(day(random)) * 86_400 + random.between(0, 86_399);
            // Nanoseconds since 1970 in 64 bits reach from 1677 to 2262.
            let micros = seconds.clamp(-9_000_000_000, 9_000_000_000) * 1_000_000;
            micros + if special && random.one_in(3) { random.between(0, 999_999) } else { 0 }
        };
        let (dec, wide) = match special {
            true => (9_999_999_999, i128::from(i64::MAX) * 1_000_000_000),
            false => (2_000, 2_000),
        };
        let texts: &[&str] = if special { &TEXTS } else { &["", "a", "b", "ab", "Ab", "zz", "12", "-7"] };
        let times = self.values(6, micros);
        let times: ArrayRef = match special {
            true => Arc::new(TimestampNanosecondArray::from_iter(
                times.into_iter().map(|micros| micros.map(|micros| micros * 1000)),
            )),
            false => Arc::new(TimestampMicrosecondArray::from(times)),
        };
        let strings = self.values(6, |random| random.pick(texts));
        let strings: ArrayRef = match special {
            true => Arc::new(StringViewArray::from(strings)),
            false => Arc::new(StringArray::from(strings)),
        };
        let decimals = |values: Vec<Option<i128>>, precision, scale| -> ArrayRef {
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
        };
        let floats =
            |values: Vec<Option<f64>>| values.into_iter().map(|value| value.map(|value| value as f32));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int32Array::from_iter_values(id))),
            (
                "n",
                Arc::new(Int32Array::from_iter_values((0..count).map(|_| self.random.between(-9, 9) as i32))),
            ),
            ("b", Arc::new(BooleanArray::from(self.values(4, |random| random.one_in(2))))),
            ("i8", Arc::new(Int8Array::from(self.integers(i8::MIN.into(), i8::MAX.into())))),
            ("i16", Arc::new(Int16Array::from(self.integers(i16::MIN.into(), i16::MAX.into())))),
            ("i32", Arc::new(Int32Array::from(self.integers(i32::MIN.into(), i32::MAX.into())))),
            ("i64", Arc::new(Int64Array::from(self.integers(i64::MIN.into(), i64::MAX.into())))),
            ("u8", Arc::new(UInt8Array::from(self.integers(0, u8::MAX.into())))),
            ("u16", Arc::new(UInt16Array::from(self.integers(0, u16::MAX.into())))),
            ("u32", Arc::new(UInt32Array::from(self.integers(0, u32::MAX.into())))),
            ("u64", Arc::new(UInt64Array::from(self.integers(0, u64::MAX.into())))),
            ("f32", Arc::new(Float32Array::from_iter(floats(self.floats(6))))),
            ("f64", Arc::new(Float64Array::from(self.floats(6)))),
            ("x", Arc::new(Float64Array::from_iter_values(self.floats(0).into_iter().flatten()))),
            ("dec", decimals(self.values(6, |random| i128::from(random.next() as i64) % (dec + 1)), 10, 2)),
            ("wide", decimals(self.values(6, |random| i128::from(random.between(-3, 3)) * wide / 3), 38, 10)),
            ("d", Arc::new(Date32Array::from(self.values(6, day)))),
            ("t", times),
            ("s", strings),
        ];
        let nullable = |name: &str| !["id", "n", "x"].contains(&name);
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, nullable(name))),
        )
        .unwrap()
    }
}

/// The rows of the table `a` with special values, or of `m` without.
pub fn rows(random: &mut Random, special: bool) -> RecordBatch {
    let count = if special { 60 } else { 40 };
    Rows { random, special, count }.batch()
}

/// A table of the rows in batches of different sizes, which are slices of longer arrays.
pub fn table(rows: &RecordBatch) -> Arc<MemTable> {
    let longer = concat_batches(rows.schema_ref(), [&rows.slice(0, 1), rows]).unwrap();
    let mut batches = Vec::new();
    let mut start = 1;
    for size in [13, 1, 0, 19].into_iter().chain([longer.num_rows()]) {
        let size = size.min(longer.num_rows() - start);
        batches.push(longer.slice(start, size));
        start += size;
    }
    Arc::new(MemTable::try_new(rows.schema(), vec![batches]).unwrap())
}
