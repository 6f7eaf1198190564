//! The cost model of `auto`: estimates the time per row of a program on the CPU and on a GPU, and the number of rows
//! from which the GPU is faster.

use warpframe_cuda::Calibration;

use warpframe_ir::instruction::Instruction;
use warpframe_ir::program::Program;

/// The GPU is used if its time is less than this fraction of the CPU's. The margin covers the error of the calibration
/// and the higher power consumption of a GPU.
const MAX_GPU_FRACTION: f64 = 0.8;

/// The estimated costs of a program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostModel {
    /// Nanoseconds per row on all CPU threads together.
    pub cpu: f64,
    /// Nanoseconds per row on the GPU, including copies: that of the slowest stage, because stages overlap.
    pub gpu: f64,
    /// The slowest stage of the GPU pipeline.
    pub bottleneck: &'static str,
    /// The smallest number of rows for which the GPU is used; `None` if it is never faster.
    pub gpu_from: Option<usize>,
}

impl CostModel {
    /// Estimates the costs of a program on `threads` CPU threads and on a GPU.
    pub fn of(program: &Program, calibration: &Calibration, threads: usize) -> Self {
        let (mut cpu, mut kernel) = (0.0, 0.0);
        for instruction in program.instructions() {
            let (on_cpu, on_gpu) = op_times(instruction, calibration);
            (cpu, kernel) = (cpu + on_cpu / threads.max(1) as f64, kernel + on_gpu);
        }
        let bytes = |width: Option<usize>| width.map_or(0.125, |width| width as f64);
        let read: f64 = program.inputs().iter().map(|input| bytes(input.data_type.primitive_width())).sum();
        let written: f64 =
            program.outputs().iter().map(|output| bytes(output.data_type.primitive_width())).sum();
        let stages = [
            ("copying into page-locked memory", read / calibration.stage),
            ("the bus", (read / calibration.h2d).max(written / calibration.d2h)),
            ("the kernel", kernel),
        ];
        let (bottleneck, gpu) =
            stages.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or_default();
        let gain = cpu * MAX_GPU_FRACTION - gpu;
        let gpu_from = (gain > 0.0).then(|| (calibration.latency / gain).ceil() as usize);
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
    let costly = match *instruction {
        Instruction::Input(_) | Instruction::Const(_) | Instruction::Null(_) => return (0.0, 0.0),
        Instruction::Unary(op, _) => op.info().costly,
        Instruction::Binary(op, ..) => op.info().costly,
        _ => false,
    };
    match costly {
        false => (calibration.cpu_cheap, calibration.gpu_cheap),
        true => (calibration.cpu_costly, calibration.gpu_costly),
    }
}
