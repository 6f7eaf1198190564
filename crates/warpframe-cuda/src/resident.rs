//! Columns that stay on a GPU, and programs on them: what its memory allows where no bus is in the way.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use warpframe_ir::error::{Error, Result};
use warpframe_ir::instruction::Precision;
use warpframe_ir::program::Program;

use super::chunk_pipeline::{ALIGNMENT, Arguments, Layout, Source, blocks, check_trap, copy};
use super::cuda_backend::Cuda;
use super::driver::{CudaError, DeviceAddress};
use super::gpu::{Gpu, LoadedKernel, SlotBytes, StreamSlotGuard};
use super::kernel_source::{KernelSource, THREADS};
use super::memory::DeviceMemory;

/// Partial sums that the first step of a sum makes: enough that all of a GPU is busy.
const PARTIALS: usize = 1 << 16;

/// How many of them each later step makes into one.
const FAN_IN: usize = 256;

/// Bytes that are copied at a time to the GPU and back.
const PIECE: usize = 8 << 20;

/// A program's columns on a GPU, and room for its results: `f64` without nulls.
#[derive(Debug)]
pub struct Resident {
    gpu: Arc<Gpu>,
    rows: usize,
    compile_time: Duration,
    arguments: Arguments,
    layout: Layout,
    // Fields are dropped in this order: the slot waits for its stream, so it comes before the kernels and the memory
    // that the work in the stream uses.
    slot: StreamSlotGuard,
    kernel: Arc<LoadedKernel>,
    sum: Arc<LoadedKernel>,
    memory: DeviceMemory,
    /// Two places for partial sums, one read while the other is written.
    partials: DeviceMemory,
}

impl Cuda {
    /// Brings a program's columns to a GPU.
    ///
    /// # Errors
    /// The columns don't fit the program, they or its results have nulls or are no `f64`, or the GPU's memory is
    /// too small for them.
    pub fn upload(&self, program: &Program, columns: &[ArrayRef]) -> Result<Resident> {
        let rows = columns.first().map_or(0, |column| column.len());
        program.check_inputs(columns, rows)?;
        let nulls = columns.iter().any(|column| column.null_count() > 0);
        if rows == 0 || nulls || program.data_type() != DataType::Float64 {
            return Err(Error::InvalidInput(
                "columns that stay on a GPU have rows and no nulls, and their result is Float64".to_owned(),
            ));
        }
        let limit = self.settings().memory_limit;
        let gpu = self.gpus().next()?;
        let layout = Layout::new(program, rows);
        let (kernel, for_program) = gpu.kernel(&KernelSource::of(program))?;
        let (sum, for_sum) = gpu.kernel(&KernelSource::sum(Precision::Double))?;
        let slot = gpu.stream_slot(SlotBytes { device: ALIGNMENT, staging: PIECE }, limit)?;
        let memory = gpu.memory(layout.bytes().device, limit)?;
        let partials = gpu.memory(2 * PARTIALS * size_of::<f64>(), limit)?;
        let inputs: Vec<_> = layout.inputs().map(|(values, _)| memory.at(values).0).collect();
        let arguments = layout.arguments(rows, |offset| memory.at(offset).0, &inputs);
        let compile_time = for_program + for_sum;
        let mut resident =
            Resident { gpu, rows, kernel, sum, compile_time, arguments, layout, slot, memory, partials };
        let places: Vec<_> = resident.layout.inputs().collect();
        for (column, (values, validity)) in columns.iter().zip(places) {
            resident.put(values, &Source::new(column)?.values(&(0..rows)))?;
            if let Some(validity) = validity {
                resident.put(validity, &vec![u8::MAX; rows.div_ceil(8)])?;
            }
        }
        Ok(resident)
    }
}

impl Resident {
    /// How long its kernels were compiled; nothing where they were known.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// Calculates all results; they stay on the GPU. The time is the kernel's, by the GPU's clock.
    ///
    /// # Errors
    /// A row is an error, or the GPU has failed.
    pub fn evaluate(&mut self) -> Result<Duration> {
        let time = self.timed(|| self.put_kernel())?;
        check_trap(self.fetch_piece(self.memory.at(self.layout.trap()), size_of::<i32>())?)?;
        Ok(time)
    }

    /// The sum of the results, calculated anew, and the time of all kernels by the GPU's clock. It is the same in
    /// every run: the order of additions depends on nothing but the number of rows.
    ///
    /// # Errors
    /// The GPU has failed.
    pub fn sum(&mut self) -> Result<(f64, Duration)> {
        let mut place = 0;
        let time = self.timed(|| {
            self.put_kernel()?;
            let (mut from, mut rows) = (self.memory.at(self.layout.out()).0, self.rows);
            let mut partials = PARTIALS;
            loop {
                let to = self.partials.at(place * PARTIALS * size_of::<f64>()).0;
                let arguments = Arguments(vec![from, rows as u64, partials as u64, to]);
                let blocks = blocks(&self.gpu, partials);
                // SAFETY: the kernel takes these arguments, and the memory is this value's: it waits for its work.
                unsafe {
                    let (stream, kernel) = (self.slot.stream, self.sum.loaded);
                    self.gpu.device.launch(stream, kernel, blocks, THREADS, &mut arguments.pointers())?;
                }
                if partials == 1 {
                    return Ok(());
                }
                (from, rows, partials, place) = (to, partials, partials.div_ceil(FAN_IN), 1 - place);
            }
        })?;
        let sum = self.fetch_partial(place)?;
        Ok((sum, time))
    }

    /// The results of the last evaluation.
    ///
    /// # Errors
    /// The GPU has failed.
    pub fn results(&mut self) -> Result<Float64Array> {
        let bytes = self.fetch(self.layout.out(), self.rows * size_of::<f64>())?;
        Ok(Float64Array::new(Buffer::from(bytes).into(), None))
    }

    fn put_kernel(&self) -> Result<(), CudaError> {
        let (device, stream, trap) = (&self.gpu.device, self.slot.stream, self.layout.trap());
        let blocks = blocks(&self.gpu, self.rows);
        // SAFETY: the kernel takes these arguments, and the memory is this value's: it waits for its work.
        unsafe {
            device.memset_async(stream, self.memory.at(trap), size_of::<i32>())?;
            device.launch(stream, self.kernel.loaded, blocks, THREADS, &mut self.arguments.pointers())
        }
    }

    fn timed(&self, put: impl FnOnce() -> Result<(), CudaError>) -> Result<Duration> {
        Ok(self.slot.timed(put).inspect_err(|error| self.gpu.mark_failed(error))?)
    }

    /// Copies bytes to the GPU.
    fn put(&mut self, place: usize, bytes: &[u8]) -> Result<(), CudaError> {
        let (device, stream) = (Arc::clone(&self.gpu.device), self.slot.stream);
        for (number, piece) in bytes.chunks(PIECE).enumerate() {
            // SAFETY: the last copy from there was waited for.
            copy(unsafe { self.slot.staging.part_mut(0, piece.len()) }, piece);
            let (to, from) = (self.memory.at(place + number * PIECE), self.slot.staging.address());
            // SAFETY: both ranges are this value's and as long as the piece, and the copy is waited for.
            unsafe {
                device.memcpy_htod_async(stream, to, from.as_ptr(), piece.len())?;
                device.synchronize(stream)?;
            }
        }
        Ok(())
    }

    /// Copies bytes from the GPU.
    fn fetch(&mut self, place: usize, bytes: usize) -> Result<Vec<u8>, CudaError> {
        let mut fetched = Vec::with_capacity(bytes);
        for offset in (0..bytes).step_by(PIECE) {
            let piece = PIECE.min(bytes - offset);
            let from = self.memory.at(place + offset);
            fetched.extend_from_slice(self.fetch_piece(from, piece)?);
        }
        Ok(fetched)
    }

    fn fetch_partial(&mut self, place: usize) -> Result<f64, CudaError> {
        let from = self.partials.at(place * PARTIALS * size_of::<f64>());
        let bytes = self.fetch_piece(from, size_of::<f64>())?;
        Ok(bytes.first_chunk().map_or(f64::NAN, |bytes| f64::from_ne_bytes(*bytes)))
    }

    fn fetch_piece(&mut self, from: DeviceAddress, bytes: usize) -> Result<&[u8], CudaError> {
        let (device, to) = (&self.gpu.device, self.slot.staging.address().as_ptr());
        // SAFETY: both ranges are this value's and that long, the copy is waited for, and then nothing writes there.
        unsafe {
            device.memcpy_dtoh_async(self.slot.stream, to, from, bytes)?;
            device.synchronize(self.slot.stream)?;
            Ok(self.slot.staging.part(0, bytes))
        }
    }
}
