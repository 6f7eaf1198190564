//! The cost model of `auto`: the time of a program on the CPU and on a GPU, and from which number of rows on the GPU is
//! faster.

use warpframe_cpu::{is_binary_vectorized, is_unary_vectorized};
use warpframe_cuda::Calibration;

use warpframe_ir::instruction::Instruction;
use warpframe_ir::program::Program;

/// The GPU has to take less than this share of the CPU's time: it needs more power, and calibrations are not exact.
const MOST_GPU_SHARE: f64 = 0.8;

/// The estimated costs of a program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostModel {
    /// Nanoseconds per row on the CPU's threads.
    pub cpu: f64,
    /// Nanoseconds per row on the GPU, copies included: the slowest of the stages, which overlap.
    pub gpu: f64,
    /// The slowest of the GPU's stages.
    pub bottleneck: &'static str,
    /// The number of rows from which the GPU is used; `None` for never.
    pub gpu_from: Option<usize>,
}

impl CostModel {
    /// Estimates a program on a number of CPU threads and a GPU.
    pub fn of(program: &Program, calibration: &Calibration, threads: usize) -> Self {
        let (mut cpu, mut kernel) = (0.0, 0.0);
        for instruction in program.instructions() {
            let (on_cpu, on_gpu) = op_times(instruction, calibration);
            (cpu, kernel) = (cpu + on_cpu / threads.max(1) as f64, kernel + on_gpu);
        }
        let bytes = |width: Option<usize>| width.map_or(0.125, |width| width as f64);
        let read: f64 = program.inputs().iter().map(|input| bytes(input.data_type.primitive_width())).sum();
        let written = program.data_type().primitive_width().unwrap_or(1) as f64;
        let stages = [
            ("copying into page-locked memory", read / calibration.stage),
            ("the bus", (read / calibration.h2d).max(written / calibration.d2h)),
            ("the kernel", kernel),
        ];
        let (bottleneck, gpu) =
            stages.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or_default();
        let gained = cpu * MOST_GPU_SHARE - gpu;
        let gpu_from = (gained > 0.0).then(|| (calibration.latency / gained).ceil() as usize);
        Self { cpu, gpu, bottleneck, gpu_from }
    }

    /// The decision and its reason, for `EXPLAIN`.
    pub fn reason(&self) -> String {
        let Self { cpu, gpu, bottleneck, gpu_from } = self;
        let times = format!("{gpu:.2} ns a row by {bottleneck}, the CPU {cpu:.2}");
        match gpu_from {
            Some(rows) => format!("GPU from {rows} rows: {times}"),
            None => format!("no GPU: {times}"),
        }
    }
}

/// Nanoseconds per row of an instruction, on one CPU core and on the GPU.
fn op_times(instruction: &Instruction, calibration: &Calibration) -> (f64, f64) {
    let (costly, vectorized) = match *instruction {
        Instruction::Input(_)
        | Instruction::ConstFloat(_)
        | Instruction::ConstBool(_)
        | Instruction::ConstNull(_) => return (0.0, 0.0),
        Instruction::Unary(op, _) => (op.info().costly, is_unary_vectorized(op)),
        Instruction::Binary(op, ..) => (op.info().costly, is_binary_vectorized(op)),
        _ => (false, true),
    };
    match (costly, vectorized) {
        (false, _) => (calibration.cpu_cheap, calibration.gpu_cheap),
        (true, true) => (calibration.cpu_costly, calibration.gpu_costly),
        (true, false) => (calibration.cpu_scalar, calibration.gpu_costly),
    }
}
