//! Evaluation of a batch on a GPU, in chunks of rows. Each chunk is enqueued in one of several streams, so that copies to
//! the GPU, kernels, and copies from the GPU of different chunks overlap.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::ArrayRef;
use rayon::prelude::*;
use warpframe_ir::Trap;
use warpframe_ir::error::Error;
use warpframe_ir::memory::Reservation;
use warpframe_ir::program::Program;

use super::chunk_results::ChunkResults;
use super::driver::CudaError;
use super::gpu::{Gpu, LoadedKernel, StreamSlotGuard};
use super::input_column::InputColumn;
use super::kernel_source::THREADS;
use super::layout::{Layout, stored_trap};
use super::metrics::Counts;

/// The number of streams, and of chunks in flight: one for each of the stages copy to the GPU, kernel, copy from the GPU.
pub(super) const STREAM_SLOTS: usize = 3;

/// The maximum number of blocks per multiprocessor: twice as many as are resident at a time.
const BLOCKS_PER_MULTIPROCESSOR: u32 = 16;

/// The bytes of a task of [`parallel_copy`].
const COPY_TASK_BYTES: usize = 256 * 1024;

/// The minimum number of rows of a chunk. A GPU whose memory does not suffice for it is not used.
pub(super) const MIN_CHUNK_ROWS: usize = 4096;

/// An error of an evaluation.
pub(super) enum Failure {
    /// Of the device, the driver or the compiler.
    Cuda(CudaError),
    /// A row traps.
    Trap(Trap),
    /// Of the program, its inputs, or the memory budget.
    Program(Error),
}

impl From<CudaError> for Failure {
    fn from(error: CudaError) -> Self {
        Self::Cuda(error)
    }
}

/// Reserves a number of bytes of the memory budget.
pub(super) type Reserve<'a> = dyn Fn(usize) -> Result<Box<dyn Reservation>, Failure> + 'a;

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
    /// Evaluates all chunks, and adds their results to `results`. The memory of the chunks is reserved until the function
    /// returns.
    ///
    /// # Errors
    /// A row traps, an array has a type that programs do not support, memory is exhausted, or the GPU fails. The results are
    /// then incomplete.
    pub fn run(&self, reserve: &Reserve, results: &mut impl ChunkResults) -> Result<Counts, Failure> {
        let columns = self.inputs.iter().map(InputColumn::new).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(Failure::Program)?;
        let chunks = self.rows.div_ceil(self.chunk_rows);
        let bytes = results.layout(self.chunk_rows.min(self.rows.next_multiple_of(8))).bytes();
        let slots = STREAM_SLOTS.min(chunks);
        let _reservation = reserve(slots * (bytes.device + bytes.staging))?;
        let mut counts = Counts::default();
        // Their drop waits for the copies to `results`.
        let mut streams: Vec<_> = (0..slots)
            .map(|_| {
                let slot = self.gpu.stream_slot(bytes, self.limit)?;
                Ok(ChunkStream { slot, in_flight: None })
            })
            .collect::<Result<_, CudaError>>()?;
        for chunk in 0..chunks {
            let rows = chunk * self.chunk_rows..((chunk + 1) * self.chunk_rows).min(self.rows);
            let position = chunk % streams.len();
            let stream = &mut streams[position];
            stream.finish(self.program, results, &mut counts)?;
            stream.enqueue(self, &columns, rows, results, &mut counts)?;
        }
        // The remaining chunks, in the order of their rows.
        for chunk in chunks..chunks + streams.len() {
            let position = chunk % streams.len();
            streams[position].finish(self.program, results, &mut counts)?;
        }
        Ok(counts)
    }
}

/// The number of blocks of the grid for a number of rows.
pub(super) fn grid_blocks(gpu: &Gpu, rows: usize) -> u32 {
    let max = gpu.properties().multiprocessors.max(1) * BLOCKS_PER_MULTIPROCESSOR;
    u32::try_from(rows.div_ceil(THREADS as usize)).unwrap_or(max).clamp(1, max)
}

/// A stream slot, with the chunk that is in flight on it, if any.
struct ChunkStream {
    slot: StreamSlotGuard,
    in_flight: Option<ChunkInFlight>,
}

/// A chunk whose operations were enqueued, and whose results were not taken yet.
struct ChunkInFlight {
    rows: Range<usize>,
    layout: Layout,
}

impl ChunkStream {
    /// Enqueues the copies and the kernel of a chunk. No chunk may be in flight.
    fn enqueue(
        &mut self,
        pipeline: &ChunkPipeline,
        columns: &[InputColumn],
        rows: Range<usize>,
        results: &impl ChunkResults,
        counts: &mut Counts,
    ) -> Result<(), CudaError> {
        let layout = results.layout(rows.len());
        let (device, stream, [started, copied, computed, done]) =
            (&pipeline.gpu.device, self.slot.stream, self.slot.events);
        let mut copies = Vec::new();
        let start = Instant::now();
        for (column, (values_at, validity_at)) in columns.iter().zip(layout.inputs()) {
            let values = column.values(&rows);
            match pipeline.gpu.pinned_ranges.contains(&values) {
                // Copied without staging. The buffer lives until the copy has completed: the inputs outlive the pipeline.
                true => copies.push((values_at, values.as_ptr(), values.len())),
                false => {
                    // SAFETY: no operation is pending in the stream: the last chunk has finished.
                    let staged = unsafe { self.slot.staging.range_mut(values_at, values.len()) };
                    parallel_copy(staged, &values);
                    copies.push((values_at, staged.as_ptr(), values.len()));
                }
            }
            if let Some(validity_at) = validity_at {
                // SAFETY: as above.
                let staged = unsafe { self.slot.staging.range_mut(validity_at, rows.len().div_ceil(8)) };
                match column.validity(&rows) {
                    Some(bits) => staged.copy_from_slice(&bits[..staged.len()]),
                    None => staged.fill(u8::MAX),
                }
                copies.push((validity_at, staged.as_ptr(), staged.len()));
            }
        }
        counts.stage_time += start.elapsed();
        let memory = &self.slot.memory;
        let inputs: Vec<_> = layout.inputs().map(|(values, _)| memory.at(values).0).collect();
        let arguments = layout.arguments(rows.len(), |offset| memory.at(offset).0, &inputs);
        let addresses = results.addresses(rows.start);
        // SAFETY: the stream, the events and the kernel were created by this device. The ranges are within the device
        // memory and the staging memory of the slot, an input, or the result, and the arguments match the parameters of the
        // kernel. The inputs and the result outlive the slot guard, and nothing accesses the ranges until `finish` or the
        // drop of the guard has waited for the operations.
        unsafe {
            device.record(stream, started)?;
            for (to, from, bytes) in copies {
                device.memcpy_htod_async(stream, memory.at(to), from, bytes)?;
                counts.h2d_bytes += bytes as u64;
            }
            device.memset_async(stream, memory.at(layout.trap()), size_of::<i32>())?;
            device.record(stream, copied)?;
            let (kernel, blocks) = (pipeline.kernel.loaded, results.blocks(pipeline.gpu, rows.len()));
            device.launch(stream, kernel, blocks, THREADS, &mut arguments.pointers())?;
            device.record(stream, computed)?;
            let mut copy_to_host = |to: *mut u8, from: Range<usize>| {
                counts.d2h_bytes += from.len() as u64;
                device.memcpy_dtoh_async(stream, to, memory.at(from.start), from.len())
            };
            for (place, address) in layout.direct().zip(addresses) {
                copy_to_host(address, place.range())?;
            }
            let staged = layout.staged();
            copy_to_host(self.slot.staging.address().as_ptr().add(staged.start), staged)?;
            device.record(stream, done)?;
        }
        self.in_flight = Some(ChunkInFlight { rows, layout });
        Ok(())
    }

    /// Waits for the chunk in flight, if there is one, and adds its results.
    fn finish(
        &mut self,
        program: &Program,
        results: &mut impl ChunkResults,
        counts: &mut Counts,
    ) -> Result<(), Failure> {
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
        (counts.h2d_time, counts.kernel_time, counts.d2h_time) =
            (counts.h2d_time + h2d, counts.kernel_time + kernel, counts.d2h_time + d2h);
        // SAFETY: no operation is pending in the stream.
        let staging = unsafe { self.slot.staging.range(0, layout.bytes().staging) };
        if let Some(trap) = stored_trap(program, &staging[layout.trap()..]) {
            return Err(Failure::Trap(trap));
        }
        // SAFETY: chunks are finished in the order of their rows, and all operations of this one have completed.
        unsafe { results.add_chunk(rows, &layout, staging) };
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
