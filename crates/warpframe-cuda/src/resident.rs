//! Evaluation on columns that stay in device memory, without transfers over the bus.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use warpframe_ir::error::{Error, Result};
use warpframe_ir::program::Program;

use super::array_results::arrays_layout;
use super::chunk_pipeline::grid_blocks;
use super::cuda_backend::Cuda;
use super::driver::{CudaError, DeviceAddress};
use super::gpu::{Gpu, LoadedKernel, SlotBytes, StreamSlotGuard};
use super::input_column::InputColumn;
use super::kernel_source::{KernelSource, THREADS};
use super::layout::{ALIGNMENT, Arguments, Layout, stored_trap};
use super::memory::DeviceMemory;
use super::staging::parallel_copy;

/// The number of partial sums after the first step of a sum, which has one thread for each: enough to occupy a GPU.
const PARTIALS: usize = 1 << 16;

/// The number of partial sums that a later step adds to one.
const FAN_IN: usize = 256;

/// The bytes of a copy between host and device, and of the staging memory.
const STAGING_BYTES: usize = 8 << 20;

/// A program with its input columns and its results in device memory. The results are `f64` without nulls.
#[derive(Debug)]
pub struct Resident {
    gpu: Arc<Gpu>,
    program: Program,
    rows: usize,
    compile_time: Duration,
    arguments: Arguments,
    layout: Layout,
    // Fields are dropped in this order. The slot is first, because its drop waits for the operations in its stream, which
    // use the kernels and the memory.
    slot: StreamSlotGuard,
    kernel: Arc<LoadedKernel>,
    sum: Arc<LoadedKernel>,
    memory: DeviceMemory,
    /// Two buffers of partial sums: a step reads one and writes the other.
    partials: DeviceMemory,
}

impl Cuda {
    /// Copies the input columns of a program to a GPU, and compiles its kernel.
    ///
    /// # Errors
    /// The program does not have exactly one output, of type `f64`, or has a predicate; the columns do not match its inputs,
    /// are empty or have nulls; there is no usable GPU, or its memory is exhausted.
    pub fn upload(&self, program: &Program, columns: &[ArrayRef]) -> Result<Resident> {
        let rows = columns.first().map_or(0, |column| column.len());
        program.check_inputs(columns, rows)?;
        match program.outputs() {
            [output] if output.data_type == DataType::Float64 && program.predicate().is_none() => {}
            outputs => {
                let types: Vec<_> = outputs.iter().map(|output| output.data_type.to_string()).collect();
                return Err(Error::InvalidProgram(format!(
                    "a program whose columns stay on a GPU has one output, of type Float64, and no predicate; this one \
                     has outputs of types {}{}",
                    types.join(", "),
                    if program.predicate().is_some() { ", and a predicate" } else { "" }
                )));
            }
        }
        if rows == 0 || columns.iter().any(|column| column.null_count() > 0) {
            return Err(Error::InvalidInput("columns that stay on a GPU have rows and no nulls".to_owned()));
        }
        let limit = self.settings().memory_limit;
        let gpu = self.gpus().next()?;
        let layout = arrays_layout(program, rows, |_| false);
        let (kernel, program_time) = gpu.kernel(&KernelSource::of(program))?;
        let (sum, sum_time) = gpu.kernel(&KernelSource::sum_f64())?;
        let slot = gpu.stream_slot(SlotBytes { device: ALIGNMENT, staging: STAGING_BYTES }, limit)?;
        let memory = gpu.memory(layout.bytes().device, limit)?;
        let partials = gpu.memory(2 * PARTIALS * size_of::<f64>(), limit)?;
        let inputs: Vec<_> = layout.inputs().map(|(values, _)| memory.at(values).0).collect();
        let arguments = layout.arguments(rows, |offset| memory.at(offset).0, &inputs);
        let mut resident = Resident {
            gpu,
            program: program.clone(),
            rows,
            compile_time: program_time + sum_time,
            arguments,
            layout,
            slot,
            kernel,
            sum,
            memory,
            partials,
        };
        let offsets: Vec<_> = resident.layout.inputs().collect();
        for (column, (values, validity)) in columns.iter().zip(offsets) {
            resident.copy_to_device(values, &InputColumn::new(column)?.values(&(0..rows)))?;
            if let Some(validity) = validity {
                resident.copy_to_device(validity, &vec![u8::MAX; rows.div_ceil(8)])?;
            }
        }
        Ok(resident)
    }
}

impl Resident {
    /// The compile time of its kernels; zero if they were cached.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// Computes the results of all rows, which stay in device memory. Returns the execution time of the kernel, measured
    /// with events.
    ///
    /// # Errors
    /// A row traps, or the GPU has failed.
    pub fn evaluate(&mut self) -> Result<Duration> {
        let time = self.timed(|| self.enqueue_kernel())?;
        let Some(trap) = self.layout.trap() else { return Ok(time) };
        let code = self.read_staged(self.memory.at(trap.offset), trap.column.bytes)?.to_vec();
        // The columns are not on the host, so the row and the value of its operand are not known.
        stored_trap(&self.program, &code).map_or(Ok(time), |trap| Err(trap.into()))
    }

    /// Computes the results of all rows and their sum. Returns the sum and the execution time of all kernels, measured with
    /// events. The sum is reproducible: the order of additions depends only on the number of rows.
    ///
    /// # Errors
    /// The GPU has failed.
    pub fn sum(&mut self) -> Result<(f64, Duration)> {
        // The buffer of partial sums that the current step writes.
        let mut buffer = 0;
        let time = self.timed(|| {
            self.enqueue_kernel()?;
            let (mut from, mut rows) = (self.memory.at(self.output()).0, self.rows);
            let mut partials = PARTIALS;
            loop {
                let to = self.partials.at(buffer * PARTIALS * size_of::<f64>()).0;
                let arguments = Arguments(vec![from, rows as u64, partials as u64, to]);
                let blocks = grid_blocks(&self.gpu, partials);
                // SAFETY: the arguments match the parameters of the kernel. `self` owns the memory, and its drop waits for
                // pending operations.
                unsafe {
                    let (stream, kernel) = (self.slot.stream, self.sum.loaded);
                    self.gpu.device.launch(stream, kernel, blocks, THREADS, &mut arguments.pointers())?;
                }
                if partials == 1 {
                    return Ok(());
                }
                (from, rows, partials, buffer) = (to, partials, partials.div_ceil(FAN_IN), 1 - buffer);
            }
        })?;
        let sum = self.read_first_partial(buffer)?;
        Ok((sum, time))
    }

    /// Copies the results of the last evaluation to the host.
    ///
    /// # Errors
    /// The GPU has failed.
    pub fn results(&mut self) -> Result<Float64Array> {
        let bytes = self.copy_to_host(self.output(), self.rows * size_of::<f64>())?;
        Ok(Float64Array::new(Buffer::from(bytes).into(), None))
    }

    /// The offset in `memory` of the results.
    fn output(&self) -> usize {
        self.layout.results().next().map_or(0, |place| place.offset)
    }

    /// Enqueues the program's kernel.
    fn enqueue_kernel(&self) -> Result<(), CudaError> {
        let (device, stream) = (&self.gpu.device, self.slot.stream);
        let blocks = grid_blocks(&self.gpu, self.rows);
        // SAFETY: the arguments match the parameters of the kernel. `self` owns the memory, and its drop waits for pending
        // operations.
        unsafe {
            if let Some(trap) = self.layout.trap() {
                device.memset_async(stream, self.memory.at(trap.offset), trap.column.bytes)?;
            }
            device.launch(stream, self.kernel.loaded, blocks, THREADS, &mut self.arguments.pointers())
        }
    }

    /// Enqueues operations, waits for them, and returns their execution time.
    fn timed(&self, enqueue: impl FnOnce() -> Result<(), CudaError>) -> Result<Duration> {
        Ok(self.slot.timed(enqueue)?)
    }

    /// Copies bytes to device memory, at an offset of `memory`.
    fn copy_to_device(&mut self, offset: usize, bytes: &[u8]) -> Result<(), CudaError> {
        let (device, stream) = (Arc::clone(&self.gpu.device), self.slot.stream);
        for (number, chunk) in bytes.chunks(STAGING_BYTES).enumerate() {
            // SAFETY: no operation is pending in the stream.
            parallel_copy(unsafe { self.slot.staging.range_mut(0, chunk.len()) }, chunk);
            let (to, from) = (self.memory.at(offset + number * STAGING_BYTES), self.slot.staging.address());
            // SAFETY: `self` owns both ranges, which have the length of the chunk, and the copy has completed when
            // `synchronize` returns.
            unsafe {
                device.memcpy_htod_async(stream, to, from.as_ptr(), chunk.len())?;
                device.synchronize(stream)?;
            }
        }
        Ok(())
    }

    /// Copies bytes to the host, from an offset of `memory`.
    fn copy_to_host(&mut self, offset: usize, bytes: usize) -> Result<Vec<u8>, CudaError> {
        let mut copied = Vec::with_capacity(bytes);
        for start in (0..bytes).step_by(STAGING_BYTES) {
            let chunk_bytes = STAGING_BYTES.min(bytes - start);
            let from = self.memory.at(offset + start);
            copied.extend_from_slice(self.read_staged(from, chunk_bytes)?);
        }
        Ok(copied)
    }

    /// The first partial sum of a buffer.
    fn read_first_partial(&mut self, buffer: usize) -> Result<f64, CudaError> {
        let from = self.partials.at(buffer * PARTIALS * size_of::<f64>());
        let bytes = self.read_staged(from, size_of::<f64>())?;
        Ok(bytes.first_chunk().map_or(f64::NAN, |bytes| f64::from_ne_bytes(*bytes)))
    }

    /// Copies at most [`STAGING_BYTES`] bytes of device memory to the staging memory.
    fn read_staged(&mut self, from: DeviceAddress, bytes: usize) -> Result<&[u8], CudaError> {
        let (device, to) = (&self.gpu.device, self.slot.staging.address().as_ptr());
        // SAFETY: `self` owns both ranges, which have this length. The copy has completed when `synchronize` returns, and
        // then no operation that writes to the staging memory is pending.
        unsafe {
            device.memcpy_dtoh_async(self.slot.stream, to, from, bytes)?;
            device.synchronize(self.slot.stream)?;
            Ok(self.slot.staging.range(0, bytes))
        }
    }
}
