//! The size of a written output.

use super::shard::Shard;

/// The size of a written output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteSummary {
    /// Rows in all files together.
    pub rows: u64,
    /// Bytes in all files together.
    pub bytes: u64,
    /// The number of files.
    pub files: usize,
}

impl WriteSummary {
    /// The sum of the sizes of shards.
    pub fn from_shards(shards: &[Shard]) -> Self {
        Self {
            rows: shards.iter().map(|shard| shard.rows).sum(),
            bytes: shards.iter().map(|shard| shard.bytes).sum(),
            files: shards.len(),
        }
    }
}
