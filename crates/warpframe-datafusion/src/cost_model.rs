//! The cost model of `auto`: estimates the time per row of a program on the CPU and on a GPU, and the number of rows
//! from which the GPU is faster.

use arrow::datatypes::DataType;
use warpframe_cuda::Calibration;

use warpframe_ir::ScalarType;
use warpframe_ir::backend::KernelUse;
use warpframe_ir::instruction::Instruction;
use warpframe_ir::program::Program;

/// The GPU is used if its time is less than this fraction of the CPU's. The margin covers the error of the calibration
/// and the higher power consumption of a GPU.
const MAX_GPU_FRACTION: f64 = 0.8;

/// The bytes of numbers that a CPU core decodes from a file in a nanosecond. Parquet pages, decompressed, are decoded at 0.5
/// to 2; text formats take longer, so more of a GPU's time is hidden than is assumed here.
const DECODED_BYTES: f64 = 1.0;

/// The bytes per row of a bitmap.
const BIT: f64 = 0.125;

/// The bytes per row of the partial results of an output that is reduced: a sum of 8 bytes and a count of 4 for 16 rows.
const PARTIAL_RESULTS: f64 = 12.0 / 16.0;

/// The estimated costs of a program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostModel {
    /// Nanoseconds per row on all CPU cores together.
    pub cpu: f64,
    /// What limits the CPU.
    pub cpu_bottleneck: &'static str,
    /// Nanoseconds per row that the GPU adds, including copies: that of the slowest stage, because stages overlap. Of rows that
    /// are decoded, what exceeds the time of decoding, during which the bus and the kernel work on other rows.
    pub gpu: f64,
    /// The slowest stage of the GPU pipeline.
    pub bottleneck: &'static str,
    /// The smallest number of rows for which the GPU is used; `None` if it is never faster.
    pub gpu_from: Option<usize>,
}

/// The bytes per row of a program's arrays.
struct Bytes {
    /// Of the inputs.
    read: f64,
    /// Of the results that the CPU writes.
    written: f64,
    /// Of what a kernel on a GPU stores, which is copied to the host.
    returned: f64,
}

impl CostModel {
    /// Estimates the costs of a program on `cores` physical CPU cores and on a GPU.
    pub fn of(program: &Program, calibration: &Calibration, cores: usize, usage: KernelUse) -> Self {
        let cores = cores.max(1) as f64;
        let (mut ops, mut kernel_ops) = (0.0, 0.0);
        for instruction in program.instructions() {
            let (on_cpu, on_gpu) = op_times(program, instruction, calibration);
            (ops, kernel_ops) = (ops + on_cpu / cores, kernel_ops + on_gpu);
        }
        let Bytes { read, written, returned } = Bytes::of(program, usage);
        // Decoded rows are still in the cache of the core that evaluates them.
        let from_memory = if usage.decodes { 0.0 } else { read };
        let memory = (from_memory + written) / calibration.host_copy;
        let (cpu_bottleneck, cpu) = slowest([("its ops", ops), ("its memory", memory)]);

        let hidden = if usage.decodes { read / (DECODED_BYTES * cores) } else { 0.0 };
        let bus = (read / calibration.h2d)
            .max(returned / calibration.d2h)
            .max((read + returned) / calibration.two_way);
        let kernel = kernel_ops.max((read + returned) / calibration.device_copy);
        let (bottleneck, gpu) = slowest([
            ("copying into page-locked memory", read / calibration.stage),
            ("the bus", bus - hidden),
            ("the kernel", kernel - hidden),
        ]);
        let gain = cpu * MAX_GPU_FRACTION - gpu;
        let gpu_from = (gain > 0.0).then(|| (calibration.latency / gain).ceil() as usize);
        Self { cpu, cpu_bottleneck, gpu, bottleneck, gpu_from }
    }

    /// The decision and its reason, for `EXPLAIN`.
    pub fn reason(&self) -> String {
        let Self { cpu, cpu_bottleneck, gpu, bottleneck, gpu_from } = self;
        let times = format!("{gpu:.2} ns a row by {bottleneck}, the CPU {cpu:.2} by {cpu_bottleneck}");
        match gpu_from {
            Some(rows) => format!("GPU from {rows} rows: {times}"),
            None => format!("no GPU: {times}"),
        }
    }
}

/// The slowest of several stages that overlap, and its time.
fn slowest<const N: usize>(stages: [(&'static str, f64); N]) -> (&'static str, f64) {
    stages.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or_default()
}

impl Bytes {
    fn of(program: &Program, usage: KernelUse) -> Self {
        let width = |data_type: &DataType| data_type.primitive_width().map_or(BIT, |width| width as f64);
        let validity = |may_be_null: bool| if may_be_null && !program.is_strict() { BIT } else { 0.0 };
        let read =
            program.inputs().iter().map(|input| width(&input.data_type) + validity(input.nullable)).sum();
        let outputs = program.outputs();
        let arrays: f64 = outputs
            .iter()
            .map(|output| width(&output.data_type) + validity(program.may_be_null(output.value)))
            .sum();
        if usage.reduces {
            return Self { read, written: 0.0, returned: outputs.len() as f64 * PARTIAL_RESULTS };
        }
        match program.predicate() {
            // A kernel returns the results of all rows and which of them pass; the CPU writes those that pass. How many do is not
            // known: none is the estimate in favour of the CPU.
            Some(_) => Self { read, written: 0.0, returned: arrays + BIT },
            None => Self { read, written: arrays, returned: arrays },
        }
    }
}

/// Nanoseconds per row of an instruction, on one CPU core and on the GPU.
fn op_times(program: &Program, instruction: &Instruction, calibration: &Calibration) -> (f64, f64) {
    let costly = match *instruction {
        Instruction::Input(_) | Instruction::Const(_) | Instruction::Null(_) => return (0.0, 0.0),
        Instruction::Unary(op, _) => op.info().costly,
        Instruction::Binary(op, ..) => op.info().costly,
        _ => false,
    };
    // A vector register has twice as many values of 32 bits, and many GPUs have few units for `f64`.
    let narrow = instruction
        .operands()
        .all(|operand| !matches!(program.scalar_type(operand), ScalarType::F64 | ScalarType::I64));
    match (costly, narrow) {
        (false, false) => (calibration.cpu_cheap, calibration.gpu_cheap),
        (true, false) => (calibration.cpu_costly, calibration.gpu_costly),
        (false, true) => (calibration.cpu_cheap_f32, calibration.gpu_cheap_f32),
        (true, true) => (calibration.cpu_costly_f32, calibration.gpu_costly_f32),
    }
}
