//! Where `auto` evaluates a program: on the CPU, or on a GPU from a number of rows on.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::Result;

use super::cuda::{BATCH_ROWS, Counters, Cuda, Rates};
use super::{Backend, Simd};
use crate::program::{Instruction, Program};

/// How much less time a GPU has to take: what is gained has to be worth its power, and rates are not exact.
const WORTH: f64 = 0.8;

/// Where a program is evaluated best, by the rates of a machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Nanoseconds a row on the threads of the CPU.
    pub cpu: f64,
    /// Nanoseconds a row on the GPU, copies included: the slowest of the parts that overlap.
    pub gpu: f64,
    /// What the GPU's time is spent on.
    pub bound: &'static str,
    /// From how many rows on the GPU is worth it; never if there are none.
    pub gpu_from: Option<usize>,
}

impl Placement {
    /// Weighs a program on so many threads.
    pub fn of(program: &Program, rates: &Rates, threads: usize) -> Self {
        let (mut cpu, mut kernel) = (0.0, 0.0);
        for instruction in program.instructions() {
            let (on_cpu, on_gpu) = op_times(instruction, rates);
            (cpu, kernel) = (cpu + on_cpu / threads.max(1) as f64, kernel + on_gpu);
        }
        let bytes = |width: Option<usize>| width.map_or(0.125, |width| width as f64);
        let read: f64 = program.inputs().iter().map(|input| bytes(input.data_type.primitive_width())).sum();
        let written = program.data_type().primitive_width().unwrap_or(1) as f64;
        let parts = [
            ("copying into page-locked memory", read / rates.stage),
            ("the bus", (read / rates.h2d).max(written / rates.d2h)),
            ("the kernel", kernel),
        ];
        let (bound, gpu) =
            parts.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or_default();
        let gained = cpu * WORTH - gpu;
        let gpu_from = (gained > 0.0).then(|| (rates.latency / gained).ceil() as usize);
        Self { cpu, gpu, bound, gpu_from }
    }

    /// The reason, in words.
    pub fn reason(&self) -> String {
        let Self { cpu, gpu, bound, gpu_from } = self;
        let times = format!("{gpu:.2} ns a row by {bound}, the CPU {cpu:.2}");
        match gpu_from {
            Some(rows) => format!("GPU from {rows} rows: {times}"),
            None => format!("no GPU: {times}"),
        }
    }
}

/// Nanoseconds a row of an instruction, on one of the CPU's cores and on the GPU.
fn op_times(instruction: &Instruction, rates: &Rates) -> (f64, f64) {
    let entry = match instruction {
        Instruction::Input(_) | Instruction::Number(_) | Instruction::Boolean(_) | Instruction::Null(_) => {
            return (0.0, 0.0);
        }
        Instruction::Unary(op, _) => Some(op.entry()),
        Instruction::Binary(op, ..) => Some(op.entry()),
        _ => None,
    };
    match entry.filter(|entry| entry.costly) {
        None => (rates.cpu_cheap, rates.gpu_cheap),
        Some(entry) if entry.vectorized => (rates.cpu_costly, rates.gpu_costly),
        Some(_) => (rates.cpu_scalar, rates.gpu_costly),
    }
}

/// The CPU, or a GPU for calls with enough rows.
#[derive(Debug)]
pub struct Placed {
    placement: Placement,
    simd: Simd,
    cuda: Cuda,
}

impl Placed {
    /// The backend for a program on so many threads.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub fn new(program: &Program, cuda: Cuda, threads: usize) -> Result<Self> {
        let rates = cuda.gpus().rates()?;
        Ok(Self::by(Placement::of(program, &rates, threads), cuda, Simd::active()?))
    }

    /// The backend for a placement.
    pub fn by(placement: Placement, cuda: Cuda, simd: Simd) -> Self {
        Self { placement, simd, cuda }
    }
}

impl Backend for Placed {
    fn description(&self) -> String {
        let chosen = match self.placement.gpu_from {
            Some(_) => self.cuda.description(),
            None => self.simd.description(),
        };
        format!("{chosen}; {}", self.placement.reason())
    }

    fn evaluate(&self, program: &Program, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        match self.placement.gpu_from {
            Some(least) if rows >= least => self.cuda.evaluate(program, arguments, rows),
            _ => self.simd.evaluate(program, arguments, rows),
        }
    }

    fn counters(&self) -> Option<&Arc<Counters>> {
        self.placement.gpu_from.and(Some(self.cuda.counters()))
    }

    fn batch_rows(&self) -> Option<usize> {
        self.placement.gpu_from.map(|rows| rows.next_power_of_two().max(BATCH_ROWS))
    }
}
