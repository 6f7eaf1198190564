//! Evaluation of a batch on a GPU, in chunks of rows. Each chunk is enqueued in one of several streams, so that copies to
//! the GPU, kernels, and copies from the GPU of different chunks overlap.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::ArrayRef;
use warpframe_ir::Trap;
use warpframe_ir::error::Error;
use warpframe_ir::memory::Reservation;
use warpframe_ir::program::Program;

use super::chunk_results::{ChunkResults, StagedResults};
use super::driver::CudaError;
use super::gpu::{Gpu, LoadedKernel, StreamSlotGuard};
use super::input_column::InputColumn;
use super::kernel_source::THREADS;
use super::layout::{Layout, stored_trap};
use super::metrics::Counts;
use super::staging::{Copies, stage};

/// The number of streams, and of chunks in flight: one for each of the stages copy to the GPU, kernel, copy from the GPU.
pub(super) const STREAM_SLOTS: usize = 3;

/// The maximum number of blocks per multiprocessor: twice as many as are resident at a time.
const BLOCKS_PER_MULTIPROCESSOR: u32 = 16;

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
    /// The number of rows of a chunk, a multiple of [`ROWS_MULTIPLE`](super::layout::ROWS_MULTIPLE).
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
            // The inputs are staged while the kernel of the last chunk and its copies from the GPU run.
            let staged = stream.stage(self, &columns, rows, results, &mut counts)?;
            stream.finish(self.program, results, &mut counts)?;
            stream.enqueue(self, staged, results, &mut counts)?;
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

/// A chunk whose inputs are in page-locked memory.
struct StagedChunk {
    rows: Range<usize>,
    layout: Layout,
    copies: Copies,
}

/// A chunk whose operations were enqueued, and whose results were not taken yet.
struct ChunkInFlight {
    rows: Range<usize>,
    layout: Layout,
}

impl ChunkStream {
    /// Copies the inputs of a chunk to staging memory, as soon as those of the chunk in flight have been copied to the GPU.
    fn stage(
        &mut self,
        pipeline: &ChunkPipeline,
        columns: &[InputColumn],
        rows: Range<usize>,
        results: &impl ChunkResults,
        counts: &mut Counts,
    ) -> Result<StagedChunk, CudaError> {
        let layout = results.layout(rows.len());
        if let Some(in_flight) = &self.in_flight {
            // The results of the chunk in flight are behind its inputs: it has at least as many rows.
            debug_assert!(layout.inputs_bytes() <= in_flight.layout.inputs_bytes());
            let [_, copied, ..] = self.slot.events;
            // SAFETY: the event was created by this device.
            unsafe { self.slot.device().wait(copied)? };
        }
        let start = Instant::now();
        // SAFETY: the only pending operations in the stream are the kernel and copies of results, which are elsewhere.
        let copies =
            unsafe { stage(&mut self.slot.staging, &pipeline.gpu.pinned_ranges, columns, &rows, &layout) };
        counts.stage_time += start.elapsed();
        Ok(StagedChunk { rows, layout, copies })
    }

    /// Enqueues the copies and the kernel of a chunk. No chunk may be in flight.
    fn enqueue(
        &mut self,
        pipeline: &ChunkPipeline,
        staged: StagedChunk,
        results: &impl ChunkResults,
        counts: &mut Counts,
    ) -> Result<(), CudaError> {
        let StagedChunk { rows, layout, copies } = staged;
        let (device, stream, [started, copied, computed, done]) =
            (&pipeline.gpu.device, self.slot.stream, self.slot.events);
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
            if let Some(trap) = layout.trap() {
                device.memset_async(stream, memory.at(trap.offset), trap.column.bytes)?;
            }
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
            if !staged.is_empty() {
                copy_to_host(self.slot.staging.address().as_ptr().add(staged.start), staged)?;
            }
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
        // SAFETY: all operations of the chunk have completed.
        let staged = unsafe { StagedResults::new(&self.slot.staging) };
        if let Some(trap) = layout.trap().and_then(|place| stored_trap(program, staged.bytes(place))) {
            return Err(Failure::Trap(trap));
        }
        // SAFETY: chunks are finished in the order of their rows, and all operations of this one have completed.
        unsafe { results.add_chunk(rows, &layout, staged) };
        Ok(())
    }
}
