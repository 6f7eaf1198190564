//! The CUDA C++ source of kernels: hand-written for some programs, generated for all others.

use std::borrow::Cow;
use std::sync::LazyLock;

use warpframe_ir::builder::Builder;
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::{Reductions, ScalarType};

use super::calibration_programs::CalibrationPrograms;
use super::codegen::PRELUDE;
use super::reduction_codegen::reducing_source;
use super::store_codegen::source;

/// Threads per block; equals `WF_THREADS` in `kernels/prelude.cuh`.
pub const THREADS: u32 = 256;

/// The width in bytes of the vector loads of hand-written kernels; equals `WF_VECTOR_BYTES` in `kernels/prelude.cuh`.
/// Columns in device memory are aligned to it.
pub const VECTOR_BYTES: usize = 16;

/// The name of generated kernels.
const GENERATED: &str = "program";

/// `kernels/log3.cu`
const LOG3_SOURCE: &str = include_str!("../../../kernels/log3.cu");
/// `kernels/sum.cu`
const SUM_SOURCE: &str = include_str!("../../../kernels/sum.cu");

/// Whether a program is that of `kernels/log3.cu`: `ln(x) * ln(y) * ln(z)` of inputs of one type, `f32` or `f64`.
fn is_log3(program: &Program) -> bool {
    let log3 = Builder::function(program.output_type(), 3, |builder, arguments| {
        let [x, y, z] = [0, 1, 2].map(|position| builder.unary(Unary::Ln, arguments[position]));
        let product = builder.binary(Binary::Multiply, x, y);
        builder.binary(Binary::Multiply, product, z)
    });
    log3.is_ok_and(|log3| program.has_same_code(&log3))
}

/// The source of the kernels of the calibration, without the prelude.
static CALIBRATION_SOURCE: LazyLock<String> = LazyLock::new(|| {
    let programs = CalibrationPrograms::get().into_iter().flat_map(CalibrationPrograms::all);
    programs.map(|one| source(&one.program, one.name)).collect()
});

/// The name of the shipped kernel of a program, if there is one.
fn shipped_name(program: &Program) -> Option<&'static str> {
    match program.output_type() {
        ScalarType::F64 if is_log3(program) => return Some("log3_f64"),
        ScalarType::F32 if is_log3(program) => return Some("log3_f32"),
        _ => {}
    }
    let mut calibration = CalibrationPrograms::get().into_iter().flat_map(CalibrationPrograms::all);
    calibration.find(|one| one.program.has_same_code(program)).map(|one| one.name)
}

/// The CUDA C++ source of a kernel. The kernel of a program has the parameters that `store_codegen` describes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelSource {
    /// The name of the kernel function.
    pub name: &'static str,
    /// The complete source, with the prelude.
    pub text: Cow<'static, str>,
    /// The PTX of shipped kernels for the oldest supported architecture, for machines without NVRTC.
    pub ptx: Option<&'static str>,
}

impl KernelSource {
    /// The kernel of a program: the shipped one if there is one, else a generated one.
    pub fn of(program: &Program) -> Self {
        match shipped_name(program) {
            Some(name) => Self::shipped(name),
            None => Self::generated(source(program, GENERATED)),
        }
    }

    /// Whether the kernel of a program is shipped, so that it needs no compiler.
    pub fn is_shipped(program: &Program) -> bool {
        shipped_name(program).is_some()
    }

    /// The kernel that reduces the outputs of a program: each thread those of its rows. `reductions` has what is computed of
    /// each output, besides the number of values.
    pub fn of_reduction(program: &Program, reductions: &[Reductions]) -> Self {
        Self::generated(reducing_source(program, reductions, GENERATED))
    }

    fn generated(source: String) -> Self {
        Self { name: GENERATED, text: format!("{PRELUDE}{source}").into(), ptx: None }
    }

    /// The kernel of one step of a sum of `f64`: see `kernels/sum.cu`.
    pub fn sum_f64() -> Self {
        Self::shipped("sum_f64")
    }

    /// The names of the shipped kernels, whose source and PTX are part of the executable: the hand-written ones, and those of
    /// the calibration, which are generated.
    pub const SHIPPED: [&'static str; 8] = [
        "log3_f64",
        "log3_f32",
        "sum_f64",
        "sum_f32",
        "calibration_cheap_f64",
        "calibration_costly_f64",
        "calibration_cheap_f32",
        "calibration_costly_f32",
    ];

    /// A shipped kernel. Its text has the hand-written kernels, or those of the calibration, so that a compiler has less to do.
    fn shipped(name: &'static str) -> Self {
        let text = match name.starts_with("calibration_") {
            true => format!("{PRELUDE}{}", *CALIBRATION_SOURCE),
            false => format!("{PRELUDE}{LOG3_SOURCE}{SUM_SOURCE}"),
        };
        Self { name, text: text.into(), ptx: Some(Self::SHIPPED_PTX) }
    }

    /// The source of all shipped kernels, as one translation unit.
    pub fn shipped_text() -> String {
        format!("{PRELUDE}{LOG3_SOURCE}{SUM_SOURCE}{}", *CALIBRATION_SOURCE)
    }

    /// The PTX that NVRTC compiles [`shipped_text`](Self::shipped_text) to, for
    /// [`SHIPPED_ARCHITECTURE`](Self::SHIPPED_ARCHITECTURE).
    pub const SHIPPED_PTX: &'static str = include_str!("../../../kernels/shipped.ptx");

    /// The oldest supported virtual architecture. Drivers compile its PTX for all newer architectures.
    pub const SHIPPED_ARCHITECTURE: &'static str = "compute_75";
}
