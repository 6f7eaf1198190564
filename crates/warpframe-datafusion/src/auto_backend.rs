//! The backend `auto`: the CPU, or a GPU for batches with at least as many rows as the cost model requires.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use warpframe_cuda::{Calibration, Cuda, CudaError, Gpus, KernelSource, calibrate};

use crate::cost_model::CostModel;
use warpframe_ir::backend::{Backend, Evaluated, Kernel, KernelContext, KernelUse};
use warpframe_ir::error::{Error, Result};
use warpframe_ir::program::Program;
use warpframe_ir::reduction::Accumulator;

/// The backend that chooses between the CPU and a GPU for each program, its use, and each batch.
#[derive(Debug)]
pub struct Auto {
    cpu: Arc<dyn Backend>,
    /// `None` where there is no usable GPU.
    cuda: Option<Cuda>,
    cores: usize,
}

impl Auto {
    /// A backend that chooses between a CPU backend, used on `cores` physical cores, and GPUs, if there are any. If a
    /// GPU fails for good, the CPU goes on.
    pub fn new(cpu: Arc<dyn Backend>, cuda: Option<Cuda>, cores: usize) -> Self {
        Self { cpu, cuda: cuda.map(Cuda::with_cpu_if_lost), cores }
    }

    /// The calibration, if a GPU can evaluate the program; else the reason why none can. Without a compiler, GPUs evaluate the
    /// programs whose kernels are shipped. A GPU that cannot be calibrated is not used again in this process.
    fn calibration(&self, cuda: &Cuda, program: &Program) -> std::result::Result<Calibration, String> {
        if !KernelSource::is_shipped(program) {
            cuda.gpus().driver().compiler().map_err(|error| error.to_string())?;
        }
        calibrate(cuda.gpus(), &self.cpu)
            .map_err(|error| format!("it cannot be calibrated: {}", without_advice(&error)))
    }
}

/// What has happened, without the advice to run a query again.
fn without_advice(error: &Error) -> String {
    if let Error::Backend(error) = error
        && let Some(CudaError::Device(what) | CudaError::DeviceLost(what)) = error.downcast_ref()
    {
        return what.clone();
    }
    error.to_string()
}

impl Backend for Auto {
    fn description(&self) -> String {
        self.cpu.description()
    }

    fn cache_key(&self) -> String {
        let cuda = self.cuda.as_ref().map(Backend::cache_key);
        format!("auto {} {cuda:?} {}", self.cpu.cache_key(), self.cores)
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let cpu = self.cpu.compile(program)?;
        let Some(cuda) = &self.cuda else { return Ok(cpu) };
        let choice = match self.calibration(cuda, program) {
            Ok(calibration) => Choice::ByRows(Box::new(ByRows {
                program: Arc::clone(program),
                calibration,
                cores: self.cores,
                cost: CostModel::of(program, &calibration, self.cores, KernelUse::default()),
                gpu: cuda.compile(program)?,
                gpus: Arc::clone(cuda.gpus()),
            })),
            Err(reason) => Choice::Cpu(reason),
        };
        Ok(Arc::new(AutoKernel { cpu, choice }))
    }
}

#[derive(Debug, Clone)]
struct AutoKernel {
    cpu: Arc<dyn Kernel>,
    choice: Choice,
}

/// How a kernel chooses between the CPU and a GPU.
#[derive(Debug, Clone)]
enum Choice {
    /// No GPU can be used, for this reason.
    Cpu(String),
    ByRows(Box<ByRows>),
}

/// The choice by the number of rows.
#[derive(Debug, Clone)]
struct ByRows {
    program: Arc<Program>,
    calibration: Calibration,
    cores: usize,
    cost: CostModel,
    gpu: Arc<dyn Kernel>,
    gpus: Arc<Gpus>,
}

impl ByRows {
    /// The number of rows from which a GPU is used, while there is one.
    fn gpu_from(&self) -> Option<usize> {
        self.cost.gpu_from.filter(|_| self.gpus.lost().is_none())
    }
}

impl AutoKernel {
    /// The kernel that evaluates a batch.
    fn for_rows(&self, rows: usize) -> &Arc<dyn Kernel> {
        match &self.choice {
            Choice::ByRows(choice) if choice.gpu_from().is_some_and(|least| rows >= least) => &choice.gpu,
            _ => &self.cpu,
        }
    }
}

impl Kernel for AutoKernel {
    fn description(&self) -> String {
        let cpu = self.cpu.description();
        match &self.choice {
            Choice::Cpu(reason) => format!("{cpu}; no GPU: {reason}"),
            Choice::ByRows(choice) => match choice.gpus.lost() {
                Some(what) => format!("{cpu}; no GPU: it has failed: {what}"),
                None => {
                    let on_gpu = choice.cost.gpu_from.is_some();
                    let chosen = if on_gpu { choice.gpu.description() } else { cpu };
                    format!("{chosen}; {}", choice.cost.reason())
                }
            },
        }
    }

    fn compile_time(&self) -> Option<Duration> {
        match self.device_batch_rows() {
            None => self.cpu.compile_time(),
            // The GPU's code is described, which is compiled at the first evaluation.
            Some(_) => None,
        }
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
        match &self.choice {
            Choice::Cpu(_) => None,
            Choice::ByRows(choice) => choice.gpu_from().map(usize::next_power_of_two),
        }
    }

    fn for_use(&self, usage: KernelUse) -> Option<Arc<dyn Kernel>> {
        let Choice::ByRows(choice) = &self.choice else { return None };
        let mut choice = choice.clone();
        choice.cost = CostModel::of(&choice.program, &choice.calibration, choice.cores, usage);
        Some(Arc::new(Self { cpu: Arc::clone(&self.cpu), choice: Choice::ByRows(choice) }))
    }
}
