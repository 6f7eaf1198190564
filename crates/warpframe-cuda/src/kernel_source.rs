//! The CUDA C source of kernels: hand-written for some programs, generated for all others.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::codegen::{PRELUDE, source};
use warpframe_ir::builder::Builder;
use warpframe_ir::error::Result;
use warpframe_ir::instruction::{Input, Precision};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;

/// Threads in a block: `WF_THREADS` in `kernels/prelude.cuh`.
pub const THREADS: u32 = 256;

/// Bytes that a thread of the kernels written by hand reads at once: `WF_VECTOR_BYTES` there. Columns on the GPU
/// are aligned to it.
pub const VECTOR_BYTES: usize = 16;

/// `kernels/log3.cu`
const LOG3_SOURCE: &str = include_str!("../../../kernels/log3.cu");
/// `kernels/sum.cu`
const SUM_SOURCE: &str = include_str!("../../../kernels/sum.cu");

/// The programs of `kernels/log3.cu`: `ln(x) * ln(y) * ln(z)` in double and in single precision.
static LOG3: LazyLock<Result<[Program; 2]>> = LazyLock::new(|| {
    let build = |precision: Precision| {
        let mut builder = Builder::new(precision);
        let [x, y, z] = std::array::from_fn(|_| {
            let input = builder.add_input(Input { data_type: precision.data_type(), nullable: true });
            builder.unary(Unary::Ln, input)
        });
        let product = builder.binary(Binary::Multiply, x, y);
        let product = builder.binary(Binary::Multiply, product, z);
        builder.finish(product)
    };
    Ok([build(Precision::Double)?, build(Precision::Single)?])
});

/// The CUDA C source of a kernel.
///
/// The parameters of a program's kernel are those of [`source`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelSource {
    /// The function's name in it.
    pub name: &'static str,
    /// All of the source.
    pub text: Cow<'static, str>,
    /// What NVRTC makes of it for the oldest architecture, for machines without NVRTC; kernels that come with the
    /// program have it.
    pub ptx: Option<&'static str>,
}

impl KernelSource {
    /// The kernel of a program: a hand-written one where there is one, else generated.
    pub fn of(program: &Program) -> Self {
        let is_log3 =
            |precision: usize| LOG3.as_ref().is_ok_and(|log3| program.has_same_code(&log3[precision]));
        match program.precision() {
            Precision::Double if is_log3(0) => Self::shipped("log3_f64"),
            Precision::Single if is_log3(1) => Self::shipped("log3_f32"),
            _ => {
                let name = "program";
                Self { name, text: format!("{PRELUDE}{}", source(program, name)).into(), ptx: None }
            }
        }
    }

    /// The sum of numbers of a precision, one step: see `kernels/sum.cu`.
    pub fn sum(precision: Precision) -> Self {
        match precision {
            Precision::Double => Self::shipped("sum_f64"),
            Precision::Single => Self::shipped("sum_f32"),
        }
    }

    /// The names of the kernels that come with the program.
    pub const SHIPPED: [&'static str; 4] = ["log3_f64", "log3_f32", "sum_f64", "sum_f32"];

    /// A kernel that comes with the program.
    fn shipped(name: &'static str) -> Self {
        Self { name, text: Self::shipped_text().into(), ptx: Some(Self::SHIPPED_PTX) }
    }

    /// The source of the kernels that come with the program: all of them, one text.
    pub fn shipped_text() -> String {
        format!("{PRELUDE}{LOG3_SOURCE}{SUM_SOURCE}")
    }

    /// What NVRTC makes of [`shipped_text`](Self::shipped_text) for [`SHIPPED_ARCHITECTURE`](Self::SHIPPED_ARCHITECTURE).
    pub const SHIPPED_PTX: &'static str = include_str!("../../../kernels/shipped.ptx");

    /// The oldest architecture that is supported; newer ones run its code, too.
    pub const SHIPPED_ARCHITECTURE: &'static str = "compute_75";
}
