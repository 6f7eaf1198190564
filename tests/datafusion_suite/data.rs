//! The files that the statements read and that the package does not have: CSV files with the columns that the statements
//! expect, and random values. Both sessions read the same files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tpch;

/// A file: its path, relative to the working directory, the header line if it has one, the number of rows, and what makes
/// a row.
pub type File = (&'static str, &'static str, u64, fn(u64, &mut Random) -> String);

/// Sorted columns are those that the statements declare as sorted.
const FILES: [File; 9] = [
    (
        "../../testing/data/csv/aggregate_test_100.csv",
        "c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13",
        100,
        |_, random| random.mixed(),
    ),
    (
        "../../testing/data/csv/aggregate_test_100_with_dates.csv",
        "c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15",
        100,
        |_, random| {
            let (date, minute) = (random.date(2022, 1), random.below(60));
            format!("{},{date},{date}T10:{minute:02}:00", random.mixed())
        },
    ),
    ("../core/tests/data/aggregate_simple.csv", "c1,c2,c3", 16, |row, random| {
        let number = ["0.1", "-0.0", "0.0", "NaN", "1e-5", "inf", "2.5", "-7.25"][row as usize / 2];
        format!("{number},{number},{}", random.below(2) == 0)
    }),
    ("../core/tests/data/window_1.csv", "ts,inc_col,desc_col", 100, |row, random| {
        format!("{},{},{}", 2 * row + random.below(2), 3 * row + random.below(3), 500 - 5 * row)
    }),
    ("../core/tests/data/window_2.csv", "a0,a,b,c,d", 100, |row, random| {
        format!("0,{},{},{row},{}", row / 50, row / 25, random.below(5))
    }),
    ("../core/tests/data/null_cases.csv", "c1,c2,c3", 100, |_, random| {
        let (one, two, three) = (random.below(100), random.unit(), random.below(10));
        let or_null = |value: String, null: bool| if null { String::new() } else { value };
        let (one, two) = (or_null(one.to_string(), one < 20), or_null(two.to_string(), two < 0.2));
        format!("{one},{two},{}", or_null(three.to_string(), three == 0))
    }),
    ("../core/tests/data/decimal_data.csv", "c1,c2,c3,c4,c5", 15, |row, random| {
        let number = row / 3 + 1;
        format!("0.0000{number},{:.12},{row},{},0.0000{row:02}", random.unit() / 1e4, random.below(2) == 0)
    }),
    ("../core/tests/data/int_to_float_cast_precision.csv", "k,v", 4, |row, _| {
        format!("{},{}", 4 - row, 16_777_218 - row / 2)
    }),
    ("../core/tests/data/aggregate_agg_multi_order.csv", "c1,c2,c3", 30, |row, _| {
        format!("{},{},{}", row + 1, row / 5, 30 - row)
    }),
];

/// Makes the files, and returns the folder that relative paths in the statements start from.
pub fn make(root: &Path, package: &Path) -> PathBuf {
    let folder = root.join("datafusion/sqllogictest");
    for (path, header, rows, row) in FILES.into_iter().chain(tpch::FILES) {
        // Without "..", which leads out of a folder only if that exists.
        let path = match (path.strip_prefix("../../"), path.strip_prefix("../")) {
            (Some(path), _) => root.join(path),
            (None, Some(path)) => root.join("datafusion").join(path),
            (None, None) => folder.join(path),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut random = Random(0);
        let header = (!header.is_empty()).then(|| header.to_owned());
        let lines: Vec<_> =
            header.into_iter().chain((0..rows).map(|index| row(index, &mut random))).collect();
        fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    fs::create_dir_all(folder.join("data")).unwrap();
    for entry in fs::read_dir(package.join("data")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join("data").join(entry.file_name())).unwrap();
    }
    folder
}

/// Random numbers (SplitMix64).
pub struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// From 0 on, below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn word(&mut self, letters: usize) -> String {
        (0..letters).map(|_| char::from(b'A' + self.below(26) as u8)).collect()
    }

    pub fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }

    /// An amount from 0 to 1999.99.
    pub fn money(&mut self) -> String {
        format!("{}.{:02}", self.below(2000), self.below(100))
    }

    /// A day in this year or one of the following.
    pub fn date(&mut self, year: u64, years: u64) -> String {
        format!("{}-{:02}-{:02}", year + self.below(years), self.below(12) + 1, self.below(28) + 1)
    }

    /// A row with columns of many types.
    fn mixed(&mut self) -> String {
        let group = char::from(b'a' + self.below(5) as u8);
        let (small, byte, short) = (self.below(5) + 1, self.next() as i8, self.next() as i16);
        let (int, long) = (self.next() as i32, self.next() as i64);
        let (unsigned_byte, unsigned_short, unsigned) =
            (self.next() as u8, self.next() as u16, self.next() as u32);
        let (text, float, double) = (self.next(), self.unit() as f32, self.unit());
        let word = self.word(30);
        format!(
            "{group},{small},{byte},{short},{int},{long},{unsigned_byte},{unsigned_short},{unsigned},{text},{float},\
             {double},{word}"
        )
    }
}
