//! The backend `auto`: the CPU, or a GPU for batches with at least as many rows as the cost model requires.

use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use warpframe_cuda::{Cuda, Gpus, calibrate};

use crate::cost_model::CostModel;
use warpframe_ir::backend::{Backend, Evaluated, Kernel, KernelContext};
use warpframe_ir::error::Result;
use warpframe_ir::program::Program;
use warpframe_ir::reduction::Accumulator;

/// The backend that chooses between the CPU and a GPU for each program and batch.
#[derive(Debug)]
pub struct Auto {
    cpu: Arc<dyn Backend>,
    /// `None` where there is no usable GPU.
    cuda: Option<Cuda>,
    threads: usize,
}

impl Auto {
    /// A backend that chooses between a CPU backend, used by `threads` threads, and GPUs, if there are any. If a GPU fails
    /// for good, the CPU goes on.
    pub fn new(cpu: Arc<dyn Backend>, cuda: Option<Cuda>, threads: usize) -> Self {
        Self { cpu, cuda: cuda.map(Cuda::with_cpu_if_lost), threads }
    }
}

impl Backend for Auto {
    fn description(&self) -> String {
        self.cpu.description()
    }

    fn cache_key(&self) -> String {
        let cuda = self.cuda.as_ref().map(Backend::cache_key);
        format!("auto {} {cuda:?} {}", self.cpu.cache_key(), self.threads)
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let cpu = self.cpu.compile(program)?;
        let Some(cuda) = &self.cuda else { return Ok(cpu) };
        // A GPU that cannot be calibrated is not used.
        let Ok(calibration) = calibrate(cuda.gpus(), &self.cpu) else { return Ok(cpu) };
        let cost = CostModel::of(program, &calibration, self.threads);
        Ok(Arc::new(AutoKernel { cost, cpu, gpu: cuda.compile(program)?, gpus: Arc::clone(cuda.gpus()) }))
    }
}

#[derive(Debug)]
struct AutoKernel {
    cost: CostModel,
    cpu: Arc<dyn Kernel>,
    gpu: Arc<dyn Kernel>,
    gpus: Arc<Gpus>,
}

impl AutoKernel {
    /// The kernel that evaluates a batch.
    fn for_rows(&self, rows: usize) -> &Arc<dyn Kernel> {
        match self.cost.gpu_from {
            Some(least) if rows >= least && self.gpus.lost().is_none() => &self.gpu,
            _ => &self.cpu,
        }
    }
}

impl Kernel for AutoKernel {
    fn description(&self) -> String {
        if let Some(what) = self.gpus.lost() {
            return format!("{}; no GPU: it has failed: {what}", self.cpu.description());
        }
        let chosen = match self.cost.gpu_from {
            Some(_) => self.gpu.description(),
            None => self.cpu.description(),
        };
        format!("{chosen}; {}", self.cost.reason())
    }

    fn evaluate(&self, inputs: &[ArrayRef], rows: usize, context: &KernelContext) -> Result<Evaluated> {
        self.for_rows(rows).evaluate(inputs, rows, context)
    }

    fn evaluate_into(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        target: &mut [MaybeUninit<u8>],
    ) -> Result<Option<NullBuffer>> {
        self.for_rows(rows).evaluate_into(inputs, rows, context, target)
    }

    fn reduce(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        accumulators: &mut [Accumulator],
    ) -> Result<usize> {
        self.for_rows(rows).reduce(inputs, rows, context, accumulators)
    }

    fn device_batch_rows(&self) -> Option<usize> {
        match self.gpus.lost() {
            Some(_) => None,
            None => self.cost.gpu_from.map(usize::next_power_of_two),
        }
    }
}
