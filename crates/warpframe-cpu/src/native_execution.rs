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

/// The most chunks whose sums one call computes.
const MAX_CHUNKS: usize = MAX_DIRECT_ROWS / CHUNK;

/// The sums of chunks, in memory for vector registers.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(super) struct ChunkSums(pub [[u64; SUMS]; MAX_CHUNKS]);

/// The state of native code in an evaluation.
#[derive(Debug)]
pub(super) struct NativeExecution<'a> {
    functions: Functions<'a>,
    /// The addresses for the current call.
    pub table: Vec<usize>,
    /// The mask words of rows whose results are not defined.
    pub rare: [u64; MAX_DIRECT_ROWS / WORD],
    /// The words that have been computed, and how many of them again.
    pub words: usize,
    pub repeated: usize,
    /// Whether the current block is computed by the loops: so many words were computed again that they alone take less time.
    pub uses_loops: bool,
    /// The sums of each output of the program.
    pub sums: Vec<ChunkSums>,
    /// Whether the current block is computed by the functions for sums.
    has_sums: bool,
    /// Its chunks whose sums are not defined because of rare rows, as bits.
    rare_chunks: u32,
    /// The chunks of which sums were computed, and how many of them were rare.
    sum_chunks: usize,
    rare_sum_chunks: usize,
}

impl<'a> NativeExecution<'a> {
    pub fn new(functions: Functions<'a>, outputs: usize) -> Self {
        let outputs = if matches!(functions, Functions::Sums(_)) { outputs } else { 0 };
        Self {
            functions,
            table: Vec::new(),
            rare: [0; MAX_DIRECT_ROWS / WORD],
            words: 0,
            repeated: 0,
            uses_loops: false,
            sums: vec![ChunkSums([[0; SUMS]; MAX_CHUNKS]); outputs],
            has_sums: false,
            rare_chunks: 0,
            sum_chunks: 0,
            rare_sum_chunks: 0,
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

    /// Whether the current block's values of an output of the program are added up by native code.
    pub fn is_summed(&self, output: usize) -> bool {
        matches!(self.functions, Functions::Sums(variant) if self.has_sums && variant.delivers(output))
    }

    /// Begins a block, and returns its number of rows, at most `rows`. Where sums are computed, so many that the next blocks are whole
    /// chunks of the reductions.
    pub fn start_block(&mut self, rows: usize, sinks: &[Sink<'_>]) -> usize {
        self.uses_loops = is_often(self.repeated, self.words);
        self.has_sums = false;
        let Functions::Sums(variant) = self.functions else { return rows };
        let rooms = sinks.iter().enumerate().filter(|(output, _)| variant.delivers(*output));
        let mut rooms = rooms.map(|(_, sink)| sink.room());
        let room = rooms.next().unwrap_or(CHUNK);
        let is_plain = is_often(self.rare_sum_chunks, self.sum_chunks) || self.uses_loops || rows < CHUNK;
        if is_plain || room != CHUNK || rooms.any(|other| other != CHUNK) {
            return rows.min(room);
        }
        let chunks = rows / CHUNK;
        self.has_sums = true;
        self.sum_chunks += chunks;
        chunks * CHUNK
    }

    /// Begins a block of one chunk that is computed without sums.
    pub fn start_plain_chunk(&mut self) {
        self.has_sums = false;
    }

    /// Continues with the other chunks of the block.
    pub fn resume_sums(&mut self) {
        self.has_sums = true;
    }

    /// Notes that the sums of chunks of the current block are not defined: of those of these mask words, as bits.
    pub fn add_rare_chunks(&mut self, words: u128) {
        const WORDS: usize = CHUNK / WORD;
        let is_rare = |chunk: &usize| words >> (chunk * WORDS) & ((1 << WORDS) - 1) != 0;
        self.rare_chunks |= (0..MAX_CHUNKS).filter(is_rare).fold(0, |chunks, chunk| chunks | 1 << chunk);
    }

    /// Whether there are such chunks.
    pub fn has_rare_chunks(&self) -> bool {
        self.rare_chunks != 0
    }

    /// The chunks of the current block whose sums are not defined, as bits. They must be computed without sums.
    pub fn take_rare_chunks(&mut self) -> u32 {
        self.rare_sum_chunks += self.rare_chunks.count_ones() as usize;
        std::mem::take(&mut self.rare_chunks)
    }
}

/// Whether work is repeated so often, of so many times in all, that another way takes less time.
fn is_often(repeated: usize, all: usize) -> bool {
    repeated > 2 && repeated * 8 > all
}
