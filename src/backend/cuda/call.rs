//! One evaluation on a GPU: the rows go through it in chunks, and copies to it, kernels and copies from it overlap.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, internal_err};
use datafusion::execution::memory_pool::MemoryReservation;
use rayon::prelude::*;

use super::counters::Counts;
use super::driver::CudaError;
use super::gpu::{Gpu, LaneBytes, LaneGuard, LoadedKernel};
use super::kernels::THREADS;
use super::memory::Pinned;
use crate::program::cuda::follows_nulls;
use crate::program::{Fault, Kind, Program};

/// Chunks that are under way at a time: one copied to the GPU, one calculated, one copied from it.
pub(super) const LANES: usize = 3;

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
    /// A row is an error, or an array cannot be made.
    Query(DataFusionError),
}

impl From<CudaError> for Failure {
    fn from(error: CudaError) -> Self {
        Self::Cuda(error)
    }
}

/// An evaluation of a program.
pub(super) struct Call<'a> {
    pub gpu: &'a Arc<Gpu>,
    pub program: &'a Program,
    pub kernel: Arc<LoadedKernel>,
    pub arguments: &'a [ArrayRef],
    pub rows: usize,
    /// Rows in a chunk, a multiple of 64.
    pub chunk_rows: usize,
    /// The most bytes that may be held for the GPU.
    pub limit: usize,
}

impl Call<'_> {
    /// Runs it. The reservation is asked for the memory that it needs, and stays with the result for the result's.
    pub fn run(&self, reservation: MemoryReservation) -> Result<(ArrayRef, Counts), Failure> {
        let sources = self.arguments.iter().map(Source::new).collect::<Result<Vec<_>, _>>();
        let sources = sources.map_err(Failure::Query)?;
        let chunks = self.rows.div_ceil(self.chunk_rows);
        let layout = Layout::new(self.program, self.chunk_rows.min(self.rows.next_multiple_of(8)));
        let lanes = LANES.min(chunks);
        let width = output_width(self.program);
        let result_bytes = if is_number(self.program) { self.rows * width } else { 0 };
        let needed = lanes * (layout.device_bytes + layout.staging_bytes) + result_bytes;
        reservation.try_grow(needed).map_err(|error| CudaError::OutOfMemory(error.message().into_owned()))?;
        let result = self.gpu.pinned(result_bytes, self.limit)?;
        // Dropped before the result: they wait for the copies into it.
        let mut lanes: Vec<_> = (0..lanes)
            .map(|_| Ok(Flow { lane: self.gpu.lane(layout.bytes(), self.limit)?, pending: None }))
            .collect::<Result<_, CudaError>>()?;
        let mut outcome = Outcome::new(self.program, self.rows);
        for chunk in 0..chunks {
            let rows = chunk * self.chunk_rows..((chunk + 1) * self.chunk_rows).min(self.rows);
            let position = chunk % lanes.len();
            let flow = &mut lanes[position];
            flow.finish(self.program, &mut outcome)?;
            flow.start(self, &sources, rows, &result, &mut outcome)?;
        }
        for turn in chunks..chunks + lanes.len() {
            let position = turn % lanes.len();
            lanes[position].finish(self.program, &mut outcome)?;
        }
        drop(lanes);
        reservation.shrink(needed - result_bytes);
        let counts = outcome.counts;
        let array = self.array(outcome, result, reservation).map_err(Failure::Query)?;
        Ok((array, counts))
    }

    /// The result as an array: of numbers over the page-locked memory that they lie in.
    fn array(
        &self,
        outcome: Outcome,
        result: Pinned,
        reservation: MemoryReservation,
    ) -> Result<ArrayRef, DataFusionError> {
        let nulls = match (outcome.validity, follows_nulls(self.program)) {
            (_, false) => NullBuffer::union_many(self.arguments.iter().map(|array| array.nulls())),
            (Some(bits), true) => Some(NullBuffer::new(bits.finish())).filter(|nulls| nulls.null_count() > 0),
            (None, true) => None,
        };
        let values = match outcome.truths {
            Some(bits) => bits.finish().into_inner(),
            None => result.into_buffer(self.rows * output_width(self.program), Some(reservation)),
        };
        let data = ArrayData::builder(self.program.data_type())
            .len(self.rows)
            .add_buffer(values)
            .nulls(nulls)
            .build()?;
        Ok(make_array(data))
    }
}

fn is_number(program: &Program) -> bool {
    program.kind(program.output()) == Kind::Number
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
    pub fn new(array: &ArrayRef) -> Result<Self, DataFusionError> {
        let values = match array.data_type() {
            DataType::Boolean => Bytes::Bits(array.as_boolean().values().clone()),
            _ => match numbers(&array.to_data()) {
                Some((values, width)) => Bytes::Numbers(values, width),
                None => return internal_err!("programs have no inputs of type {}", array.data_type()),
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
    fault: usize,
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
        let fault = take(size_of::<i32>());
        let out_valid = (nulls && program.may_be_null(program.output())).then(|| take(rows));
        let out = take(rows * output_width(program));
        let staging_bytes = if is_number(program) { out } else { end };
        Self { inputs, fault, out_valid, out, device_bytes: end, staging_bytes }
    }

    /// Of every input, where its values lie and, where the kernel takes it, its validity.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.inputs.iter().copied()
    }

    pub fn fault(&self) -> usize {
        self.fault
    }

    pub fn out(&self) -> usize {
        self.out
    }

    pub fn bytes(&self) -> LaneBytes {
        LaneBytes { device: self.device_bytes, staging: self.staging_bytes }
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
        arguments.0.push(at(self.fault));
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

/// Reads what a kernel has left at [`Layout::fault`].
///
/// # Errors
/// A row is one.
pub(super) fn check_fault(code: &[u8]) -> Result<(), DataFusionError> {
    match code.first_chunk().and_then(|code| Fault::of_code(i32::from_ne_bytes(*code))) {
        Some(fault) => Err(fault.error()),
        None => Ok(()),
    }
}

/// The grid for so many rows.
pub(super) fn blocks(gpu: &Gpu, rows: usize) -> u32 {
    let most = gpu.properties().multiprocessors.max(1) * BLOCKS_PER_MULTIPROCESSOR;
    u32::try_from(rows.div_ceil(THREADS as usize)).unwrap_or(most).clamp(1, most)
}

/// What the chunks that are done have given, besides numbers.
struct Outcome {
    validity: Option<Bits>,
    truths: Option<Bits>,
    counts: Counts,
}

impl Outcome {
    fn new(program: &Program, rows: usize) -> Self {
        let validity = follows_nulls(program) && program.may_be_null(program.output());
        Self {
            validity: validity.then(|| Bits::with_capacity(rows)),
            truths: (!is_number(program)).then(|| Bits::with_capacity(rows)),
            counts: Counts { batches: 1, ..Counts::default() },
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

/// A lane, and what it is doing.
struct Flow {
    lane: LaneGuard,
    pending: Option<Pending>,
}

/// A chunk under way.
struct Pending {
    rows: usize,
    layout: Layout,
}

impl Flow {
    /// Puts a chunk on its way.
    fn start(
        &mut self,
        call: &Call,
        sources: &[Source],
        rows: Range<usize>,
        result: &Pinned,
        outcome: &mut Outcome,
    ) -> Result<(), CudaError> {
        let layout = Layout::new(call.program, rows.len());
        let (device, stream, [before, copied, calculated, done]) =
            (&call.gpu.device, self.lane.stream, self.lane.events);
        let mut copies = Vec::new();
        let start = Instant::now();
        for (source, (values_at, validity_at)) in sources.iter().zip(&layout.inputs) {
            let values = source.values(&rows);
            match call.gpu.pinned.contain(&values) {
                // It stays where it is until the copy is done: the arguments outlive the call.
                true => copies.push((*values_at, values.as_ptr(), values.len())),
                false => {
                    // SAFETY: the lane's last chunk was waited for.
                    let place = unsafe { self.lane.staging.part_mut(*values_at, values.len()) };
                    copy(place, &values);
                    copies.push((*values_at, place.as_ptr(), values.len()));
                }
            }
            if let Some(validity_at) = validity_at {
                // SAFETY: as above.
                let place = unsafe { self.lane.staging.part_mut(*validity_at, rows.len().div_ceil(8)) };
                match source.validity(&rows) {
                    Some(bits) => place.copy_from_slice(&bits[..place.len()]),
                    None => place.fill(u8::MAX),
                }
                copies.push((*validity_at, place.as_ptr(), place.len()));
            }
        }
        outcome.counts.stage_time += start.elapsed();
        let memory = &self.lane.memory;
        let inputs: Vec<_> = layout.inputs.iter().map(|(values, _)| memory.at(*values).0).collect();
        let arguments = layout.arguments(rows.len(), |offset| memory.at(offset).0, &inputs);
        let out_width = output_width(call.program);
        // SAFETY: stream and events are the lane's, the addresses lie in its memory, in its page-locked memory, in
        // an argument or in the result. All of these stay until the lane has finished, or waits in its drop.
        unsafe {
            device.record(stream, before)?;
            for (to, from, bytes) in copies {
                device.copy_in(stream, memory.at(to), from, bytes)?;
                outcome.counts.h2d_bytes += bytes as u64;
            }
            device.clear(stream, memory.at(layout.fault), size_of::<i32>())?;
            device.record(stream, copied)?;
            let (kernel, blocks) = (call.kernel.loaded, blocks(call.gpu, rows.len()));
            device.launch(stream, kernel, blocks, THREADS, &mut arguments.pointers())?;
            device.record(stream, calculated)?;
            let staging = self.lane.staging.address().as_ptr();
            let mut fetch = |to: *mut u8, from: usize, bytes: usize| {
                outcome.counts.d2h_bytes += bytes as u64;
                device.copy_out(stream, to, memory.at(from), bytes)
            };
            let out_bytes = rows.len() * out_width;
            match is_number(call.program) {
                true => fetch(result.address().as_ptr().add(rows.start * out_width), layout.out, out_bytes)?,
                false => fetch(staging.add(layout.out), layout.out, out_bytes)?,
            }
            if let Some(out_valid) = layout.out_valid {
                fetch(staging.add(out_valid), out_valid, rows.len())?;
            }
            fetch(staging.add(layout.fault), layout.fault, size_of::<i32>())?;
            device.record(stream, done)?;
        }
        self.pending = Some(Pending { rows: rows.len(), layout });
        Ok(())
    }

    /// Waits for the chunk under way, if there is one, and takes what it has given.
    fn finish(&mut self, program: &Program, outcome: &mut Outcome) -> Result<(), Failure> {
        let Some(Pending { rows, layout }) = self.pending.take() else { return Ok(()) };
        let (device, [before, copied, calculated, done]) = (Arc::clone(self.lane.device()), self.lane.events);
        // SAFETY: the events are the lane's.
        let [h2d, kernel, d2h] = unsafe {
            device.wait(done)?;
            [
                device.elapsed(before, copied)?,
                device.elapsed(copied, calculated)?,
                device.elapsed(calculated, done)?,
            ]
        };
        let counts = &mut outcome.counts;
        (counts.h2d_time, counts.kernel_time, counts.d2h_time) =
            (counts.h2d_time + h2d, counts.kernel_time + kernel, counts.d2h_time + d2h);
        // SAFETY: the lane's work was waited for.
        let fetched = |offset: usize, bytes: usize| unsafe { self.lane.staging.part(offset, bytes) };
        check_fault(fetched(layout.fault, size_of::<i32>())).map_err(Failure::Query)?;
        if let (Some(validity), Some(out_valid)) = (&mut outcome.validity, layout.out_valid) {
            validity.extend(fetched(out_valid, rows));
        }
        if let Some(truths) = &mut outcome.truths {
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
