//! The state of native code in an evaluation.

use warpframe_ir::reduction::CHUNK;

use super::block::WORD;
use super::block_code::MAX_DIRECT_ROWS;
use super::native::SUMS;
use super::native_code::Variant;
use super::sink::Sink;

/// The functions that an evaluation calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Functions<'a> {
    /// Those that store all outputs.
    Plain,
    /// Those that store the only output past the caches.
    NonTemporal(&'a Variant),
    /// In blocks that are whole chunks of reductions, those that compute sums.
    Sums(&'a Variant),
}

/// The sums of a chunk, in memory for vector registers.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct LaneSums(pub [u64; SUMS]);

impl LaneSums {
    pub const ZERO: Self = Self([0; SUMS]);
}

/// The state of native code in an evaluation.
#[derive(Debug)]
pub(super) struct NativeExecution<'a> {
    functions: Functions<'a>,
    /// Whether the current block is computed by the functions for sums.
    has_sums: bool,
    /// For each output of the program whether the block's values are in its sums.
    is_summed: Vec<bool>,
    /// The sums of each output of the program.
    pub sums: Vec<LaneSums>,
    /// The addresses for the current call.
    pub table: Vec<usize>,
    /// The mask words of rows whose results are not defined.
    pub rare: [u64; MAX_DIRECT_ROWS / WORD],
    /// The words that have been computed, and how many of them again.
    pub words: usize,
    pub repeated: usize,
    /// The calls of functions for sums, and how many of them were in vain because of rare rows.
    pub sum_calls: usize,
    pub vain_sum_calls: usize,
}

impl<'a> NativeExecution<'a> {
    pub fn new(functions: Functions<'a>, outputs: usize) -> Self {
        let outputs = if matches!(functions, Functions::Sums(_)) { outputs } else { 0 };
        Self {
            functions,
            has_sums: false,
            is_summed: vec![false; outputs],
            sums: vec![LaneSums::ZERO; outputs],
            table: Vec::new(),
            rare: [0; MAX_DIRECT_ROWS / WORD],
            words: 0,
            repeated: 0,
            sum_calls: 0,
            vain_sum_calls: 0,
        }
    }

    /// The variant for the current block.
    pub fn variant(&self) -> Option<&'a Variant> {
        match self.functions {
            Functions::NonTemporal(variant) => Some(variant),
            Functions::Sums(variant) if self.has_sums => Some(variant),
            _ => None,
        }
    }

    /// Whether the variant for the current block is that for sums.
    pub fn computes_sums(&self) -> bool {
        self.has_sums
    }

    /// Whether the current block's values of an output are in its sums.
    pub fn is_summed(&self, output: usize) -> bool {
        self.is_summed.get(output) == Some(&true)
    }

    /// Notes whether they are.
    pub fn set_summed(&mut self, output: usize, is_summed: bool) {
        self.is_summed[output] = is_summed;
    }

    /// The number of rows of the next block, of which there can be `rows`: so many that the blocks behind it are whole chunks of the
    /// reductions. Prepares it.
    pub fn start_block(&mut self, rows: usize, sinks: &[Sink<'_>]) -> usize {
        let Functions::Sums(variant) = self.functions else { return rows };
        self.is_summed.fill(false);
        self.has_sums = false;
        if self.vain_sum_calls > 2 && self.vain_sum_calls * 8 > self.sum_calls {
            return rows;
        }
        let rooms = sinks.iter().enumerate().filter(|(output, _)| variant.delivers(*output));
        let mut rooms = rooms.map(|(_, sink)| sink.room());
        let first = rooms.next().unwrap_or(CHUNK);
        if rooms.any(|room| room != first) {
            return rows;
        }
        let rows = rows.min(first);
        self.has_sums = rows == CHUNK;
        rows
    }

    /// Whether so many words were computed again that the loops alone take less time.
    pub fn is_wasteful(&self) -> bool {
        self.repeated > 2 && self.repeated * 8 > self.words
    }
}
