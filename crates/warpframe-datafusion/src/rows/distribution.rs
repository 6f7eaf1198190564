//! The values of generated rows. Row `i` is a function of the distribution, the seed and `i` only.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

/// The maximum number of rows: integers above 2^53 are not exact in `f64`.
pub const MAX_ROWS: u64 = 1 << 53;

/// The upper bound of the uniform distribution.
const UNIFORM_MAX: f64 = 1e6;

/// The distribution of the columns `x`, `y` and `z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Distribution {
    /// `x = y = z = 1, 2, 3, ...`
    #[default]
    Sequence,
    /// Independent uniform numbers in (0, 1e6].
    Uniform,
}

impl Distribution {
    /// All distributions.
    pub const ALL: [Self; 2] = [Self::Sequence, Self::Uniform];

    /// The name used in SQL and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequence => "sequence",
            Self::Uniform => "uniform",
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Distribution {
    type Err = DataFusionError;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|distribution| distribution.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(" or ");
            DataFusionError::Plan(format!("there is no distribution '{name}': use {names}"))
        })
    }
}

/// A generator of the rows of a table, with random access by row number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowGenerator {
    /// The distribution of `x`, `y` and `z`.
    pub distribution: Distribution,
    /// The seed of the random numbers; unused for the sequence.
    pub seed: u64,
}

impl RowGenerator {
    /// `id: Int64, x: Float64, y: Float64, z: Float64`, none of them nullable. `id` counts from 0.
    pub fn schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            Arc::new(Schema::new(vec![
                Field::new("id", DataType::Int64, false),
                Field::new("x", DataType::Float64, false),
                Field::new("y", DataType::Float64, false),
                Field::new("z", DataType::Float64, false),
            ]))
        });
        Arc::clone(&SCHEMA)
    }

    /// A batch of a range of rows with the given columns, by their indices in the [schema](Self::schema).
    ///
    /// # Errors
    /// A column index is out of range.
    pub fn batch(&self, rows: Range<u64>, columns: &[usize]) -> Result<RecordBatch, ArrowError> {
        let schema = Arc::new(Self::schema().project(columns)?);
        let count = usize::try_from(rows.end - rows.start)
            .map_err(|error| ArrowError::InvalidArgumentError(error.to_string()))?;
        let arrays = columns.iter().map(|&column| self.column(rows.clone(), column)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(schema, arrays, &options)
    }

    fn column(&self, rows: Range<u64>, column: usize) -> ArrayRef {
        match (column, self.distribution) {
            (0, _) => Arc::new(Int64Array::from_iter_values(rows.map(|row| row as i64))),
            (_, Distribution::Sequence) => {
                Arc::new(Float64Array::from_iter_values(rows.map(|row| (row + 1) as f64)))
            }
            (_, Distribution::Uniform) => Arc::new(Float64Array::from_iter_values(
                rows.map(|row| uniform(split_mix(self.seed, 3 * row + column as u64 - 1))),
            )),
        }
    }
}

/// The `index`-th output of the SplitMix64 generator started at `seed` (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", OOPSLA 2014). Its state is a counter, so an output does not depend
/// on computing the previous ones.
fn split_mix(seed: u64, index: u64) -> u64 {
    let state = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Maps the upper 53 bits to (0, 1e6].
fn uniform(random: u64) -> f64 {
    const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
    ((random >> 11) + 1) as f64 * SCALE * UNIFORM_MAX
}
