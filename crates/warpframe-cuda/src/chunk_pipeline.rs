//! Evaluation of a batch on a GPU, in chunks of rows. Each chunk is enqueued in one of several streams, so that copies to
//! the GPU, kernels, and copies from the GPU of different chunks overlap.

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

use super::codegen::{computes_validity, trap_of_code};
use super::driver::CudaError;
use super::gpu::{Gpu, LoadedKernel, SlotBytes, StreamSlotGuard};
use super::kernel_source::THREADS;
use super::memory::Pinned;
use super::metrics::Counts;

/// The number of streams, and of chunks in flight: one for each of the stages copy to the GPU, kernel, copy from the GPU.
pub(super) const STREAM_SLOTS: usize = 3;

/// The maximum number of blocks per multiprocessor: twice as many as are resident at a time.
const BLOCKS_PER_MULTIPROCESSOR: u32 = 16;

/// The alignment of columns in bytes: a multiple of the widest load and of a cache line of the GPU.
pub(super) const ALIGNMENT: usize = 256;

/// The bytes of a task of [`parallel_copy`].
const COPY_TASK_BYTES: usize = 256 * 1024;

/// The minimum number of rows of a chunk. A GPU whose memory does not suffice for it is not used.
pub(super) const MIN_CHUNK_ROWS: usize = 4096;

/// An error of an evaluation.
pub(super) enum Failure {
    /// Of the device, the driver or the compiler.
    Cuda(CudaError),
    /// Of the program or its inputs: a row traps, or an array is invalid.
    Program(Error),
}

impl From<CudaError> for Failure {
    fn from(error: CudaError) -> Self {
        Self::Cuda(error)
    }
}

/// An evaluation of a program on a batch.
pub(super) struct ChunkPipeline<'a> {
    pub gpu: &'a Arc<Gpu>,
    pub program: &'a Program,
    pub kernel: Arc<LoadedKernel>,
    pub inputs: &'a [ArrayRef],
    pub rows: usize,
    /// The number of rows of a chunk, a multiple of 64.
    pub chunk_rows: usize,
    /// The limit of the bytes allocated for the GPU.
    pub limit: usize,
}

impl ChunkPipeline<'_> {
    /// Evaluates all chunks. The memory is reserved from the budget under the consumer's name. The part of the reservation
    /// for the result is released when the result is dropped, the rest before the function returns.
    ///
    /// # Errors
    /// A row traps, an array has a type that programs do not support, memory is exhausted, or the GPU fails.
    pub fn run(&self, consumer: &str, memory: &dyn MemoryBudget) -> Result<(ArrayRef, Counts), Failure> {
        let columns = self.inputs.iter().map(HostColumn::new).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(Failure::Program)?;
        let chunks = self.rows.div_ceil(self.chunk_rows);
        let layout = Layout::new(self.program, self.chunk_rows.min(self.rows.next_multiple_of(8)));
        let slots = STREAM_SLOTS.min(chunks);
        let width = output_width(self.program);
        let result_bytes = if has_float_output(self.program) { self.rows * width } else { 0 };
        let needed = slots * (layout.device_bytes + layout.staging_bytes) + result_bytes;
        let reserved = memory.reserve(consumer, needed);
        let mut reservation = reserved.map_err(|error| match error {
            Error::ResourcesExhausted(message) => Failure::Cuda(CudaError::OutOfMemory(message)),
            other => Failure::Program(other),
        })?;
        let result = self.gpu.pinned(result_bytes, self.limit)?;
        // Dropped before `result`, because their drop waits for the copies to it.
        let mut streams: Vec<_> = (0..slots)
            .map(|_| {
                let slot = self.gpu.stream_slot(layout.bytes(), self.limit)?;
                Ok(ChunkStream { slot, in_flight: None })
            })
            .collect::<Result<_, CudaError>>()?;
        let mut results = ChunkResults::new(self.program, self.rows);
        for chunk in 0..chunks {
            let rows = chunk * self.chunk_rows..((chunk + 1) * self.chunk_rows).min(self.rows);
            let position = chunk % streams.len();
            let stream = &mut streams[position];
            stream.finish(self.program, &mut results)?;
            stream.enqueue(self, &columns, rows, &result, &mut results)?;
        }
        // The remaining chunks, in the order of their rows.
        for chunk in chunks..chunks + streams.len() {
            let position = chunk % streams.len();
            streams[position].finish(self.program, &mut results)?;
        }
        drop(streams);
        reservation.shrink(needed - result_bytes);
        let counts = results.counts;
        let array = self.array(results, result, reservation).map_err(Failure::Program)?;
        Ok((array, counts))
    }

    /// Builds the result array. Floats are not copied: the array's buffer is the page-locked memory.
    fn array(
        &self,
        results: ChunkResults,
        result: Pinned,
        reservation: Box<dyn Reservation>,
    ) -> Result<ArrayRef, Error> {
        let nulls = match (results.validity, computes_validity(self.program)) {
            (_, false) => NullBuffer::union_many(self.inputs.iter().map(|array| array.nulls())),
            (Some(bits), true) => Some(NullBuffer::new(bits.finish())).filter(|nulls| nulls.null_count() > 0),
            (None, true) => None,
        };
        let values = match results.bools {
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

fn has_float_output(program: &Program) -> bool {
    program.kind(program.output()) == Kind::Float
}

/// The bytes per row of the output in device memory: the size of a float, or 1 for a Boolean.
pub(super) fn output_width(program: &Program) -> usize {
    program.data_type().primitive_width().unwrap_or(1)
}

/// The values of a primitive array as bytes, and the size of a value in bytes. `None` for other arrays.
pub(super) fn primitive_bytes(data: &ArrayData) -> Option<(Buffer, usize)> {
    let width = data.data_type().primitive_width()?;
    Some((data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width), width))
}

/// An input column in host memory.
pub(super) struct HostColumn {
    values: HostValues,
    validity: Option<BooleanBuffer>,
}

/// The values of a column.
enum HostValues {
    /// Numbers, and the size of one in bytes.
    Primitive(Buffer, usize),
    /// Booleans.
    Bitmap(BooleanBuffer),
}

impl HostColumn {
    /// The column of an array.
    ///
    /// # Errors
    /// Programs do not support the type.
    pub fn new(array: &ArrayRef) -> Result<Self, Error> {
        let values = match array.data_type() {
            DataType::Boolean => HostValues::Bitmap(array.as_boolean().values().clone()),
            _ => match primitive_bytes(&array.to_data()) {
                Some((values, width)) => HostValues::Primitive(values, width),
                None => {
                    let data_type = array.data_type();
                    return Err(Error::InvalidInput(format!("a program has no inputs of type {data_type}")));
                }
            },
        };
        Ok(Self { values, validity: array.nulls().map(|nulls| nulls.inner().clone()) })
    }

    /// The values of rows in the format that kernels read.
    pub fn values(&self, rows: &Range<usize>) -> Buffer {
        match &self.values {
            HostValues::Primitive(values, width) => {
                values.slice_with_length(rows.start * width, rows.len() * width)
            }
            HostValues::Bitmap(bits) => bits.slice(rows.start, rows.len()).sliced(),
        }
    }

    /// The validity bitmap of rows; `None` if the array has no nulls.
    fn validity(&self, rows: &Range<usize>) -> Option<Buffer> {
        Some(self.validity.as_ref()?.slice(rows.start, rows.len()).sliced())
    }
}

/// The offsets in bytes of a chunk's columns in device memory and in staging memory. They are the same in both, except
/// that staging memory has no place for an output of floats, which is copied directly to the result.
#[derive(Debug)]
pub(super) struct Layout {
    /// For each input the offsets of its values and, if the kernel has the parameter, of its validity.
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
        let validity = computes_validity(program);
        let inputs = program.inputs().iter().map(|input| {
            let width = input.data_type.primitive_width();
            let values = take(width.map_or(rows.div_ceil(8), |width| rows * width));
            (values, (validity && input.nullable).then(|| take(rows.div_ceil(8))))
        });
        let inputs = inputs.collect();
        let trap = take(size_of::<i32>());
        let out_valid = (validity && program.may_be_null(program.output())).then(|| take(rows));
        let out = take(rows * output_width(program));
        let staging_bytes = if has_float_output(program) { out } else { end };
        Self { inputs, trap, out_valid, out, device_bytes: end, staging_bytes }
    }

    /// For each input the offsets of its values and, if the kernel has the parameter, of its validity.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.inputs.iter().copied()
    }

    /// The offset of the trap code.
    pub fn trap(&self) -> usize {
        self.trap
    }

    /// The offset of the output.
    pub fn out(&self) -> usize {
        self.out
    }

    /// The sizes of the memory.
    pub fn bytes(&self) -> SlotBytes {
        SlotBytes { device: self.device_bytes, staging: self.staging_bytes }
    }

    /// The arguments of the kernel, in the order of its parameters (see [`source`](super::codegen::source)). `at` maps
    /// offsets to device addresses; `inputs` has the addresses of the inputs' values.
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

/// The arguments of a kernel, each of 8 bytes: device addresses and numbers of rows.
#[derive(Debug, Default)]
pub(super) struct Arguments(pub Vec<u64>);

impl Arguments {
    /// Pointers to the arguments, as the driver expects them. The driver only reads them, and they must not outlive `self`.
    pub fn pointers(&self) -> Vec<*mut c_void> {
        self.0.iter().map(|argument| std::ptr::from_ref(argument).cast_mut().cast()).collect()
    }
}

/// Checks the trap code that a kernel has stored at [`Layout::trap`].
///
/// # Errors
/// A row traps.
pub(super) fn check_trap(code: &[u8]) -> Result<(), Error> {
    match code.first_chunk().and_then(|code| trap_of_code(i32::from_ne_bytes(*code))) {
        Some(trap) => Err(trap.into()),
        None => Ok(()),
    }
}

/// The number of blocks of the grid for a number of rows.
pub(super) fn grid_blocks(gpu: &Gpu, rows: usize) -> u32 {
    let max = gpu.properties().multiprocessors.max(1) * BLOCKS_PER_MULTIPROCESSOR;
    u32::try_from(rows.div_ceil(THREADS as usize)).unwrap_or(max).clamp(1, max)
}

/// The results of completed chunks, except floats, which are copied directly to the result.
struct ChunkResults {
    /// The validity of the output, if the kernel computes it and the output may be null.
    validity: Option<BitmapBuilder>,
    /// The output, if it is a Boolean.
    bools: Option<BitmapBuilder>,
    counts: Counts,
}

impl ChunkResults {
    fn new(program: &Program, rows: usize) -> Self {
        let validity = computes_validity(program) && program.may_be_null(program.output());
        Self {
            validity: validity.then(|| BitmapBuilder::with_capacity(rows)),
            bools: (!has_float_output(program)).then(|| BitmapBuilder::with_capacity(rows)),
            counts: Counts::default(),
        }
    }
}

/// Builds a bitmap from bytes that are 0 or 1.
struct BitmapBuilder {
    words: Vec<u64>,
    rows: usize,
}

impl BitmapBuilder {
    fn with_capacity(rows: usize) -> Self {
        Self { words: Vec::with_capacity(rows.div_ceil(64)), rows: 0 }
    }

    /// Appends a bit for each byte. The number of bits so far must be a multiple of 64.
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

/// A stream slot, with the chunk that is in flight on it, if any.
struct ChunkStream {
    slot: StreamSlotGuard,
    in_flight: Option<ChunkInFlight>,
}

/// A chunk whose operations were enqueued, and whose results were not taken yet.
struct ChunkInFlight {
    rows: usize,
    layout: Layout,
}

impl ChunkStream {
    /// Enqueues the copies and the kernel of a chunk. No chunk may be in flight.
    fn enqueue(
        &mut self,
        pipeline: &ChunkPipeline,
        columns: &[HostColumn],
        rows: Range<usize>,
        result: &Pinned,
        results: &mut ChunkResults,
    ) -> Result<(), CudaError> {
        let layout = Layout::new(pipeline.program, rows.len());
        let (device, stream, [started, copied, computed, done]) =
            (&pipeline.gpu.device, self.slot.stream, self.slot.events);
        let mut copies = Vec::new();
        let start = Instant::now();
        for (column, (values_at, validity_at)) in columns.iter().zip(&layout.inputs) {
            let values = column.values(&rows);
            match pipeline.gpu.pinned_ranges.contains(&values) {
                // Copied without staging. The buffer lives until the copy has completed: the inputs outlive the pipeline.
                true => copies.push((*values_at, values.as_ptr(), values.len())),
                false => {
                    // SAFETY: no operation is pending in the stream: the last chunk has finished.
                    let staged = unsafe { self.slot.staging.range_mut(*values_at, values.len()) };
                    parallel_copy(staged, &values);
                    copies.push((*values_at, staged.as_ptr(), values.len()));
                }
            }
            if let Some(validity_at) = validity_at {
                // SAFETY: as above.
                let staged = unsafe { self.slot.staging.range_mut(*validity_at, rows.len().div_ceil(8)) };
                match column.validity(&rows) {
                    Some(bits) => staged.copy_from_slice(&bits[..staged.len()]),
                    None => staged.fill(u8::MAX),
                }
                copies.push((*validity_at, staged.as_ptr(), staged.len()));
            }
        }
        results.counts.stage_time += start.elapsed();
        let memory = &self.slot.memory;
        let inputs: Vec<_> = layout.inputs.iter().map(|(values, _)| memory.at(*values).0).collect();
        let arguments = layout.arguments(rows.len(), |offset| memory.at(offset).0, &inputs);
        let out_width = output_width(pipeline.program);
        // SAFETY: the stream, the events and the kernel were created by this device. The ranges are within the device
        // memory and the staging memory of the slot, an input, or the result, and the arguments match the parameters of the
        // kernel. The inputs and the result outlive the slot guard, and nothing accesses the ranges until `finish` or the
        // drop of the guard has waited for the operations.
        unsafe {
            device.record(stream, started)?;
            for (to, from, bytes) in copies {
                device.memcpy_htod_async(stream, memory.at(to), from, bytes)?;
                results.counts.h2d_bytes += bytes as u64;
            }
            device.memset_async(stream, memory.at(layout.trap), size_of::<i32>())?;
            device.record(stream, copied)?;
            let (kernel, blocks) = (pipeline.kernel.loaded, grid_blocks(pipeline.gpu, rows.len()));
            device.launch(stream, kernel, blocks, THREADS, &mut arguments.pointers())?;
            device.record(stream, computed)?;
            let staging = self.slot.staging.address().as_ptr();
            let mut copy_to_host = |to: *mut u8, from: usize, bytes: usize| {
                results.counts.d2h_bytes += bytes as u64;
                device.memcpy_dtoh_async(stream, to, memory.at(from), bytes)
            };
            let out_bytes = rows.len() * out_width;
            let out_target = match has_float_output(pipeline.program) {
                true => result.address().as_ptr().add(rows.start * out_width),
                false => staging.add(layout.out),
            };
            copy_to_host(out_target, layout.out, out_bytes)?;
            if let Some(out_valid) = layout.out_valid {
                copy_to_host(staging.add(out_valid), out_valid, rows.len())?;
            }
            copy_to_host(staging.add(layout.trap), layout.trap, size_of::<i32>())?;
            device.record(stream, done)?;
        }
        self.in_flight = Some(ChunkInFlight { rows: rows.len(), layout });
        Ok(())
    }

    /// Waits for the chunk in flight, if there is one, and adds its results.
    fn finish(&mut self, program: &Program, results: &mut ChunkResults) -> Result<(), Failure> {
        let Some(ChunkInFlight { rows, layout }) = self.in_flight.take() else { return Ok(()) };
        let (device, [started, copied, computed, done]) = (Arc::clone(self.slot.device()), self.slot.events);
        // SAFETY: the events were created by this device.
        let [h2d, kernel, d2h] = unsafe {
            device.wait(done)?;
            [
                device.elapsed(started, copied)?,
                device.elapsed(copied, computed)?,
                device.elapsed(computed, done)?,
            ]
        };
        let counts = &mut results.counts;
        (counts.h2d_time, counts.kernel_time, counts.d2h_time) =
            (counts.h2d_time + h2d, counts.kernel_time + kernel, counts.d2h_time + d2h);
        // SAFETY: no operation is pending in the stream.
        let staged = |offset: usize, bytes: usize| unsafe { self.slot.staging.range(offset, bytes) };
        check_trap(staged(layout.trap, size_of::<i32>())).map_err(Failure::Program)?;
        if let (Some(validity), Some(out_valid)) = (&mut results.validity, layout.out_valid) {
            validity.extend(staged(out_valid, rows));
        }
        if let Some(bools) = &mut results.bools {
            bools.extend(staged(layout.out, rows * output_width(program)));
        }
        Ok(())
    }
}

/// Copies bytes between slices of equal length, on all threads of rayon's pool if there are enough bytes. On a thread of a
/// rayon pool it copies sequentially: while it waited for other threads, rayon could run another evaluation on it, which
/// could wait for the permit that this one holds.
pub(super) fn parallel_copy(to: &mut [u8], from: &[u8]) {
    if to.len() <= COPY_TASK_BYTES || rayon::current_thread_index().is_some() {
        to.copy_from_slice(from);
    } else {
        let tasks = to.par_chunks_mut(COPY_TASK_BYTES).zip(from.par_chunks(COPY_TASK_BYTES));
        tasks.for_each(|(to, from)| to.copy_from_slice(from));
    }
}
