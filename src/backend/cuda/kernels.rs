//! Which kernel a program has: the one written by hand, or one that is generated.

use std::borrow::Cow;

use crate::program::cuda::{PRELUDE, source};
use crate::program::{Precision, Program, Special};

/// Threads in a block: `WF_THREADS` in `kernels/prelude.cuh`.
pub const THREADS: u32 = 256;

/// Bytes that a thread of the kernels written by hand reads at once: `WF_VECTOR_BYTES` there. Columns on the GPU
/// are aligned to it.
pub const VECTOR_BYTES: usize = 16;

/// `kernels/log3.cu`
const LOG3: &str = include_str!("../../../kernels/log3.cu");
/// `kernels/sum.cu`
const SUM: &str = include_str!("../../../kernels/sum.cu");

/// CUDA C of a kernel.
///
/// The parameters of a program's kernel are those of [`source`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The function's name in it.
    pub name: &'static str,
    /// All of the source.
    pub text: Cow<'static, str>,
    /// What NVRTC makes of it for the oldest architecture, for machines without NVRTC; kernels that come with the
    /// program have it.
    pub ptx: Option<&'static str>,
}

impl Kernel {
    /// The kernel of a program.
    pub fn of(program: &Program) -> Self {
        match (program.special(), program.precision()) {
            (Some(Special::Log3), Precision::Double) => Self::shipped("log3_f64"),
            (Some(Special::Log3), Precision::Single) => Self::shipped("log3_f32"),
            (None, _) => {
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
        format!("{PRELUDE}{LOG3}{SUM}")
    }

    /// What NVRTC makes of [`shipped_text`](Self::shipped_text) for [`SHIPPED_ARCHITECTURE`](Self::SHIPPED_ARCHITECTURE).
    pub const SHIPPED_PTX: &'static str = include_str!("../../../kernels/shipped.ptx");

    /// The oldest architecture that is supported; newer ones run its code, too.
    pub const SHIPPED_ARCHITECTURE: &'static str = "compute_75";
}
