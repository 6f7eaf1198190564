//! One evaluation on a GPU: the rows pass through it in chunks, whose copies to it, kernels and copies from it overlap.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use rayon::prelude::*;
use warpframe_ir::error::Error;
use warpframe_ir::instruction::Kind;
use warpframe_ir::memory::{MemoryBudget, Reservation};
use warpframe_ir::program::Program;

use super::codegen::{follows_nulls, trap_of_code};
use super::driver::CudaError;
use super::gpu::{Gpu, LoadedKernel, SlotBytes, StreamSlotGuard};
use super::kernel_source::THREADS;
use super::memory::Pinned;
use super::metrics::Counts;

/// Chunks in flight: one copied to the GPU, one computed, one copied from it.
pub(super) const STREAM_SLOTS: usize = 3;

/// Blocks for each multiprocessor: as many as it runs at a time, twice.
const BLOCKS_PER_MULTIPROCESSOR: u32 = 16;

/// Where columns begin in memory: what the widest load needs, and a whole line of the GPU's cache.
pub(super) const ALIGNMENT: usize = 256;

/// Bytes that a thread copies at a time into page-locked memory.
const PIECE: usize = 256 * 1024;

/// Why an evaluation has no result.
pub(super) enum Failure {
    /// The GPU's side.
    Cuda(CudaError),
    /// A row traps, or an array is invalid.
    Program(Error),
}

impl From<CudaError> for Failure {
    fn from(error: CudaError) -> Self {
        Self::Cuda(error)
    }
}

/// An evaluation of a program.
pub(super) struct ChunkPipeline<'a> {
    pub gpu: &'a Arc<Gpu>,
    pub program: &'a Program,
    pub kernel: Arc<LoadedKernel>,
    pub inputs: &'a [ArrayRef],
    pub rows: usize,
    /// Rows in a chunk, a multiple of 64.
    pub chunk_rows: usize,
    /// The most bytes that may be tracker for the GPU.
    pub limit: usize,
}

impl ChunkPipeline<'_> {
    /// Runs it. The memory is reserved from the budget under the consumer's name; the reservation for the result lives as
    /// long as the result.
    pub fn run(&self, consumer: &str, memory: &dyn MemoryBudget) -> Result<(ArrayRef, Counts), Failure> {
        let sources = self.inputs.iter().map(Source::new).collect::<Result<Vec<_>, _>>();
        let sources = sources.map_err(Failure::Program)?;
        let chunks = self.rows.div_ceil(self.chunk_rows);
        let layout = Layout::new(self.program, self.chunk_rows.min(self.rows.next_multiple_of(8)));
        let slots = STREAM_SLOTS.min(chunks);
        let width = output_width(self.program);
        let result_bytes = if is_number(self.program) { self.rows * width } else { 0 };
        let needed = slots * (layout.device_bytes + layout.staging_bytes) + result_bytes;
        let reserved = memory.reserve(consumer, needed);
        let mut reservation = reserved.map_err(|error| match error {
            Error::ResourcesExhausted(message) => Failure::Cuda(CudaError::OutOfMemory(message)),
            other => Failure::Program(other),
        })?;
        let result = self.gpu.pinned(result_bytes, self.limit)?;
        // Dropped before the result: they wait for the copies into it.
        let mut slots: Vec<_> = (0..slots)
            .map(|_| {
                Ok(ActiveSlot { slot: self.gpu.stream_slot(layout.bytes(), self.limit)?, pending: None })
            })
            .collect::<Result<_, CudaError>>()?;
        let mut results = ChunkResults::new(self.program, self.rows);
        for chunk in 0..chunks {
            let rows = chunk * self.chunk_rows..((chunk + 1) * self.chunk_rows).min(self.rows);
            let position = chunk % slots.len();
            let flow = &mut slots[position];
            flow.finish(self.program, &mut results)?;
            flow.start(self, &sources, rows, &result, &mut results)?;
        }
        for turn in chunks..chunks + slots.len() {
            let position = turn % slots.len();
            slots[position].finish(self.program, &mut results)?;
        }
        drop(slots);
        reservation.shrink(needed - result_bytes);
        let counts = results.counts;
        let array = self.array(results, result, reservation).map_err(Failure::Program)?;
        Ok((array, counts))
    }

    /// The result as an array: of numbers over the page-locked memory that they lie in.
    fn array(
        &self,
        results: ChunkResults,
        result: Pinned,
        reservation: Box<dyn Reservation>,
    ) -> Result<ArrayRef, Error> {
        let nulls = match (results.validity, follows_nulls(self.program)) {
            (_, false) => NullBuffer::union_many(self.inputs.iter().map(|array| array.nulls())),
            (Some(bits), true) => Some(NullBuffer::new(bits.finish())).filter(|nulls| nulls.null_count() > 0),
            (None, true) => None,
        };
        let values = match results.truths {
            Some(bits) => bits.finish().into_inner(),
            None => result.into_buffer(self.rows * output_width(self.program), Some(reservation)),
        };
        let data = ArrayData::builder(self.program.data_type())
            .len(self.rows)
            .add_buffer(values)
            .nulls(nulls)
            .build()
            .map_err(Error::backend)?;
        Ok(make_array(data))
    }
}

fn is_number(program: &Program) -> bool {
    program.kind(program.output()) == Kind::Float
}

/// Bytes of a row of the output on the GPU: of a number, or of a truth value.
pub(super) fn output_width(program: &Program) -> usize {
    program.data_type().primitive_width().unwrap_or(1)
}

/// The numbers of an array as bytes, and the bytes of each; nothing for arrays of other types.
pub(super) fn numbers(data: &ArrayData) -> Option<(Buffer, usize)> {
    let width = data.data_type().primitive_width()?;
    Some((data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width), width))
}

/// A column as bytes.
pub(super) struct Source {
    values: Bytes,
    validity: Option<BooleanBuffer>,
}

/// Values of a column.
enum Bytes {
    /// So many bytes each.
    Numbers(Buffer, usize),
    /// A bit each.
    Bits(BooleanBuffer),
}

impl Source {
    pub fn new(array: &ArrayRef) -> Result<Self, Error> {
        let values = match array.data_type() {
            DataType::Boolean => Bytes::Bits(array.as_boolean().values().clone()),
            _ => match numbers(&array.to_data()) {
                Some((values, width)) => Bytes::Numbers(values, width),
                None => {
                    let data_type = array.data_type();
                    return Err(Error::InvalidInput(format!("a program has no inputs of type {data_type}")));
                }
            },
        };
        Ok(Self { values, validity: array.nulls().map(|nulls| nulls.inner().clone()) })
    }

    /// The rows' values as a kernel reads them.
    pub fn values(&self, rows: &Range<usize>) -> Buffer {
        match &self.values {
            Bytes::Numbers(values, width) => values.slice_with_length(rows.start * width, rows.len() * width),
            Bytes::Bits(bits) => bits.slice(rows.start, rows.len()).sliced(),
        }
    }

    /// Which of the rows are valid; nothing if all are.
    fn validity(&self, rows: &Range<usize>) -> Option<Buffer> {
        Some(self.validity.as_ref()?.slice(rows.start, rows.len()).sliced())
    }
}

/// Where a chunk's parts lie, on the GPU and in the page-locked memory that is copied there and back: in the same
/// places, but that numbers are copied to the result at once.
#[derive(Debug)]
pub(super) struct Layout {
    /// Of every input, its values and, where the kernel takes it, its validity.
    inputs: Vec<(usize, Option<usize>)>,
    trap: usize,
    out_valid: Option<usize>,
    out: usize,
    device_bytes: usize,
    staging_bytes: usize,
}

impl Layout {
    pub fn new(program: &Program, rows: usize) -> Self {
        let mut end = 0;
        let mut take = |bytes: usize| {
            let start = end;
            end += bytes.next_multiple_of(ALIGNMENT);
            start
        };
        let nulls = follows_nulls(program);
        let inputs = program.inputs().iter().map(|input| {
            let width = input.data_type.primitive_width();
            let values = take(width.map_or(rows.div_ceil(8), |width| rows * width));
            (values, (nulls && input.nullable).then(|| take(rows.div_ceil(8))))
        });
        let inputs = inputs.collect();
        let trap = take(size_of::<i32>());
        let out_valid = (nulls && program.may_be_null(program.output())).then(|| take(rows));
        let out = take(rows * output_width(program));
        let staging_bytes = if is_number(program) { out } else { end };
        Self { inputs, trap, out_valid, out, device_bytes: end, staging_bytes }
    }

    /// Of every input, where its values lie and, where the kernel takes it, its validity.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.inputs.iter().copied()
    }

    pub fn trap(&self) -> usize {
        self.trap
    }

    pub fn out(&self) -> usize {
        self.out
    }

    pub fn bytes(&self) -> SlotBytes {
        SlotBytes { device: self.device_bytes, staging: self.staging_bytes }
    }

    /// The kernel's arguments, in the order of its parameters, for columns and results at these addresses.
    pub fn arguments(&self, rows: usize, at: impl Fn(usize) -> u64, inputs: &[u64]) -> Arguments {
        let mut arguments = Arguments::default();
        for ((_, validity), &values) in self.inputs.iter().zip(inputs) {
            arguments.0.push(values);
            arguments.0.extend(validity.map(&at));
        }
        arguments.0.push(rows as u64);
        arguments.0.push(at(self.out));
        arguments.0.extend(self.out_valid.map(&at));
        arguments.0.push(at(self.trap));
        arguments
    }
}

/// Arguments of a kernel: all of them have 8 bytes.
#[derive(Debug, Default)]
pub(super) struct Arguments(pub Vec<u64>);

impl Arguments {
    /// Pointers to them, as the driver takes them; it only reads.
    pub fn pointers(&self) -> Vec<*mut c_void> {
        self.0.iter().map(|argument| std::ptr::from_ref(argument).cast_mut().cast()).collect()
    }
}

/// Reads the trap code that a kernel has left at [`Layout::trap`].
///
/// # Errors
/// A row traps.
pub(super) fn check_trap(code: &[u8]) -> Result<(), Error> {
    match code.first_chunk().and_then(|code| trap_of_code(i32::from_ne_bytes(*code))) {
        Some(trap) => Err(trap.into()),
        None => Ok(()),
    }
}

/// The grid for so many rows.
pub(super) fn blocks(gpu: &Gpu, rows: usize) -> u32 {
    let most = gpu.properties().multiprocessors.max(1) * BLOCKS_PER_MULTIPROCESSOR;
    u32::try_from(rows.div_ceil(THREADS as usize)).unwrap_or(most).clamp(1, most)
}

/// What the chunks that are done have given, besides numbers.
struct ChunkResults {
    validity: Option<Bits>,
    truths: Option<Bits>,
    counts: Counts,
}

impl ChunkResults {
    fn new(program: &Program, rows: usize) -> Self {
        let validity = follows_nulls(program) && program.may_be_null(program.output());
        Self {
            validity: validity.then(|| Bits::with_capacity(rows)),
            truths: (!is_number(program)).then(|| Bits::with_capacity(rows)),
            counts: Counts::default(),
        }
    }
}

/// Bits that are put together from bytes, 64 at a time.
struct Bits {
    words: Vec<u64>,
    rows: usize,
}

impl Bits {
    fn with_capacity(rows: usize) -> Self {
        Self { words: Vec::with_capacity(rows.div_ceil(64)), rows: 0 }
    }

    /// Appends a bit for every byte. What was there before is a multiple of 64 bits.
    fn extend(&mut self, bytes: &[u8]) {
        debug_assert!(self.rows.is_multiple_of(64));
        let word = |bytes: &[u8]| {
            let bits = bytes.iter().enumerate();
            bits.fold(0u64, |word, (position, &byte)| word | u64::from(byte != 0) << position)
        };
        self.words.extend(bytes.chunks(64).map(word));
        self.rows += bytes.len();
    }

    fn finish(self) -> BooleanBuffer {
        BooleanBuffer::new(Buffer::from_vec(self.words), 0, self.rows)
    }
}

/// A slot, and what it is doing.
struct ActiveSlot {
    slot: StreamSlotGuard,
    pending: Option<Pending>,
}

/// A chunk under way.
struct Pending {
    rows: usize,
    layout: Layout,
}

impl ActiveSlot {
    /// Enqueues a chunk.
    fn start(
        &mut self,
        pipeline: &ChunkPipeline,
        sources: &[Source],
        rows: Range<usize>,
        result: &Pinned,
        results: &mut ChunkResults,
    ) -> Result<(), CudaError> {
        let layout = Layout::new(pipeline.program, rows.len());
        let (device, stream, [before, copied, calculated, done]) =
            (&pipeline.gpu.device, self.slot.stream, self.slot.events);
        let mut copies = Vec::new();
        let start = Instant::now();
        for (source, (values_at, validity_at)) in sources.iter().zip(&layout.inputs) {
            let values = source.values(&rows);
            match pipeline.gpu.pinned.contain(&values) {
                // It stays where it is until the copy is done: the arguments outlive the pipeline.
                true => copies.push((*values_at, values.as_ptr(), values.len())),
                false => {
                    // SAFETY: the slot's last chunk was waited for.
                    let place = unsafe { self.slot.staging.part_mut(*values_at, values.len()) };
                    copy(place, &values);
                    copies.push((*values_at, place.as_ptr(), values.len()));
                }
            }
            if let Some(validity_at) = validity_at {
                // SAFETY: as above.
                let place = unsafe { self.slot.staging.part_mut(*validity_at, rows.len().div_ceil(8)) };
                match source.validity(&rows) {
                    Some(bits) => place.copy_from_slice(&bits[..place.len()]),
                    None => place.fill(u8::MAX),
                }
                copies.push((*validity_at, place.as_ptr(), place.len()));
            }
        }
        results.counts.stage_time += start.elapsed();
        let memory = &self.slot.memory;
        let inputs: Vec<_> = layout.inputs.iter().map(|(values, _)| memory.at(*values).0).collect();
        let arguments = layout.arguments(rows.len(), |offset| memory.at(offset).0, &inputs);
        let out_width = output_width(pipeline.program);
        // SAFETY: stream and events are the slot's, the addresses lie in its memory, in its page-locked memory, in
        // an argument or in the result. All of these stay until the slot has finished, or waits in its drop.
        unsafe {
            device.record(stream, before)?;
            for (to, from, bytes) in copies {
                device.memcpy_htod_async(stream, memory.at(to), from, bytes)?;
                results.counts.h2d_bytes += bytes as u64;
            }
            device.memset_async(stream, memory.at(layout.trap), size_of::<i32>())?;
            device.record(stream, copied)?;
            let (kernel, blocks) = (pipeline.kernel.loaded, blocks(pipeline.gpu, rows.len()));
            device.launch(stream, kernel, blocks, THREADS, &mut arguments.pointers())?;
            device.record(stream, calculated)?;
            let staging = self.slot.staging.address().as_ptr();
            let mut fetch = |to: *mut u8, from: usize, bytes: usize| {
                results.counts.d2h_bytes += bytes as u64;
                device.memcpy_dtoh_async(stream, to, memory.at(from), bytes)
            };
            let out_bytes = rows.len() * out_width;
            match is_number(pipeline.program) {
                true => fetch(result.address().as_ptr().add(rows.start * out_width), layout.out, out_bytes)?,
                false => fetch(staging.add(layout.out), layout.out, out_bytes)?,
            }
            if let Some(out_valid) = layout.out_valid {
                fetch(staging.add(out_valid), out_valid, rows.len())?;
            }
            fetch(staging.add(layout.trap), layout.trap, size_of::<i32>())?;
            device.record(stream, done)?;
        }
        self.pending = Some(Pending { rows: rows.len(), layout });
        Ok(())
    }

    /// Waits for the chunk under way, if there is one, and takes what it has given.
    fn finish(&mut self, program: &Program, results: &mut ChunkResults) -> Result<(), Failure> {
        let Some(Pending { rows, layout }) = self.pending.take() else { return Ok(()) };
        let (device, [before, copied, calculated, done]) = (Arc::clone(self.slot.device()), self.slot.events);
        // SAFETY: the events are the slot's.
        let [h2d, kernel, d2h] = unsafe {
            device.wait(done)?;
            [
                device.elapsed(before, copied)?,
                device.elapsed(copied, calculated)?,
                device.elapsed(calculated, done)?,
            ]
        };
        let counts = &mut results.counts;
        (counts.h2d_time, counts.kernel_time, counts.d2h_time) =
            (counts.h2d_time + h2d, counts.kernel_time + kernel, counts.d2h_time + d2h);
        // SAFETY: the slot's work was waited for.
        let fetched = |offset: usize, bytes: usize| unsafe { self.slot.staging.part(offset, bytes) };
        check_trap(fetched(layout.trap, size_of::<i32>())).map_err(Failure::Program)?;
        if let (Some(validity), Some(out_valid)) = (&mut results.validity, layout.out_valid) {
            validity.extend(fetched(out_valid, rows));
        }
        if let Some(truths) = &mut results.truths {
            truths.extend(fetched(layout.out, rows * output_width(program)));
        }
        Ok(())
    }
}

/// Copies on several threads, if there is enough. Not where the caller is one of rayon's own, which could then be
/// lent another call while this one waits.
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    if to.len() <= PIECE || rayon::current_thread_index().is_some() {
        to.copy_from_slice(from);
    } else {
        let pieces = to.par_chunks_mut(PIECE).zip(from.par_chunks(PIECE));
        pieces.for_each(|(to, from)| to.copy_from_slice(from));
    }
}

/// The least rows of a chunk. Below, a GPU has too little memory to be of use.
pub(super) const LEAST_CHUNK_ROWS: usize = 4096;
