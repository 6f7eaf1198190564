//! Kernels on slices, without programs, Arrow arrays and a query engine: the baseline for measuring the overhead of these.

use std::fmt;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use self::sealed::SliceKernels;
use super::dispatch::DetectedPath;
use super::elementwise::{self, Ln, Log3, Product};
pub use super::simd_path::{SIMD_VARIABLE, SimdPath, SimdPathError};

/// The rows of a rayon task. Their four columns of `f64` are 512 KiB, which fit in the L2 cache of current CPUs; the
/// overhead of a task is not measurable.
pub const ROWS_PER_TASK: usize = 16 * 1024;

/// A floating-point type that has kernels: `f64` or `f32`.
pub trait Element: SliceKernels + Copy + Send + Sync {}

impl Element for f64 {}
impl Element for f32 {}

/// A kernel over `N` slices on a path.
type SliceKernel<E, const N: usize> = fn(DetectedPath, [&[E]; N], &mut [MaybeUninit<E>]);

mod sealed {
    use super::SliceKernel;

    /// The kernels of a type. In a private module, so that no other crate can reach the vector registers behind them,
    /// whose methods are sound only on a CPU with their instructions.
    pub trait SliceKernels: Sized + 'static {
        const LN: SliceKernel<Self, 1>;
        const LOG3: SliceKernel<Self, 3>;
        const PRODUCT: SliceKernel<Self, 3>;
    }
}

macro_rules! slice_kernels {
    ($($type:ident)+) => {$(
        impl SliceKernels for $type {
            const LN: SliceKernel<Self, 1> = elementwise::evaluate::<Self, Ln, 1>;
            const LOG3: SliceKernel<Self, 3> = elementwise::evaluate::<Self, Log3, 3>;
            const PRODUCT: SliceKernel<Self, 3> = elementwise::evaluate::<Self, Product, 3>;
        }
    )+};
}
slice_kernels!(f64 f32);

/// Computes `ln(x) * ln(y) * ln(z)` for each row, on the calling thread.
///
/// All columns are `f64` or all are `f32`. The error of each logarithm is at most 1 ULP, that of the result at most 4 ULP.
/// `ln(0) = -inf`, `ln(negative) = NaN`, NaN and infinities propagate as in IEEE 754. The result of a row depends only on
/// its arguments.
///
/// ```
/// let (x, y, z) = ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]);
/// let mut output = [0.0; 2];
/// warpframe_cpu::kernel::log3(&x, &y, &z, &mut output)?;
/// assert_eq!(output[0], 0.0);
/// # Ok::<(), warpframe_cpu::kernel::KernelError>(())
/// ```
///
/// # Errors
/// The slices differ in length, or `WARPFRAME_SIMD` names a path that does not exist or that this CPU does not support.
pub fn log3<E: Element>(x: &[E], y: &[E], z: &[E], output: &mut [E]) -> Result<(), KernelError> {
    log3_on(SimdPath::active()?, x, y, z, output)
}

/// [`log3`] on a given path.
///
/// # Errors
/// The slices differ in length, or this CPU does not support the path.
pub fn log3_on<E: Element>(
    path: SimdPath,
    x: &[E],
    y: &[E],
    z: &[E],
    output: &mut [E],
) -> Result<(), KernelError> {
    evaluate(E::LOG3, path, [x, y, z], output)
}

/// [`log3`] on all threads of the current rayon thread pool.
///
/// # Errors
/// As [`log3`].
pub fn par_log3<E: Element>(x: &[E], y: &[E], z: &[E], output: &mut [E]) -> Result<(), KernelError> {
    par_evaluate(E::LOG3, [x, y, z], output)
}

/// Computes `ln(x)` for each row, with an error of at most 1 ULP, on the calling thread and a given path.
///
/// # Errors
/// As [`log3_on`].
pub fn ln_on<E: Element>(path: SimdPath, x: &[E], output: &mut [E]) -> Result<(), KernelError> {
    evaluate(E::LN, path, [x], output)
}

/// Computes `x * y * z` for each row, on all threads of the current rayon thread pool. It is limited by
/// memory bandwidth: three columns are read and one is written. Its time is a practical limit for engines that read and
/// write these columns in memory.
///
/// # Errors
/// As [`log3`].
pub fn par_product<E: Element>(x: &[E], y: &[E], z: &[E], output: &mut [E]) -> Result<(), KernelError> {
    par_evaluate(E::PRODUCT, [x, y, z], output)
}

fn par_evaluate<E: Element>(
    kernel: SliceKernel<E, 3>,
    [x, y, z]: [&[E]; 3],
    output: &mut [E],
) -> Result<(), KernelError> {
    let path = SimdPath::active()?;
    check_lengths(&[x, y, z], output)?;
    (x.par_chunks(ROWS_PER_TASK), y.par_chunks(ROWS_PER_TASK), z.par_chunks(ROWS_PER_TASK))
        .into_par_iter()
        .zip(output.par_chunks_mut(ROWS_PER_TASK))
        .try_for_each(|((x, y, z), output)| evaluate(kernel, path, [x, y, z], output))
}

fn evaluate<E: Element, const N: usize>(
    kernel: SliceKernel<E, N>,
    path: SimdPath,
    inputs: [&[E]; N],
    output: &mut [E],
) -> Result<(), KernelError> {
    check_lengths(&inputs, output)?;
    let path = DetectedPath::new(path)?;
    // SAFETY: `MaybeUninit<E>` has the layout of `E`, and kernels write only initialized values.
    let output = unsafe { &mut *(std::ptr::from_mut(output) as *mut [MaybeUninit<E>]) };
    kernel(path, inputs, output);
    Ok(())
}

fn check_lengths<E>(inputs: &[&[E]], output: &[E]) -> Result<(), KernelError> {
    match inputs.iter().position(|input| input.len() != output.len()) {
        None => Ok(()),
        Some(position) => {
            Err(KernelError::Length { position, length: inputs[position].len(), expected: output.len() })
        }
    }
}

/// Why a kernel did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelError {
    /// The length of an input differs from that of the output.
    Length {
        /// The position of the input, from zero.
        position: usize,
        /// The length of the input.
        length: usize,
        /// The length of the output.
        expected: usize,
    },
    /// The SIMD path cannot be used.
    Path(SimdPathError),
}

impl From<SimdPathError> for KernelError {
    fn from(error: SimdPathError) -> Self {
        Self::Path(error)
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { position, length, expected } => {
                write!(f, "input {position} has {length} rows, but the output has {expected}")
            }
            Self::Path(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KernelError {}
