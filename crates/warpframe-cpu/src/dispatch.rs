//! Runtime dispatch: the only module that enters code for an instruction set, after detecting it. See the precondition of
//! [`Lanes`](super::lanes::Lanes).

use super::block::Arguments;
use super::lanes::InstructionSet;
use super::simd_path::{SimdPath, SimdPathError};

/// Defines the instruction sets, with their registers for `f64` and `f32`.
macro_rules! instruction_sets {
    ($($(#[$attribute:meta])* $name:ident, $double:ty, $single:ty;)+) => {$(
        $(#[$attribute])*
        struct $name;

        $(#[$attribute])*
        impl InstructionSet for $name {
            type F64 = $double;
            type F32 = $single;
        }
    )+};
}

instruction_sets! {
    #[cfg(target_arch = "x86_64")]
    Avx512, super::avx512::F64x8, super::avx512::F32x16;
    #[cfg(target_arch = "x86_64")]
    Avx2, super::avx2::F64x4, super::avx2::F32x8;
    #[cfg(target_arch = "aarch64")]
    Neon, super::neon::F64x2, super::neon::F32x4;
    Portable, f64, f32;
}

/// Code that is generic over the instruction set, and compiled once for each.
pub trait Task {
    /// The result.
    type Output;

    /// Runs the code with the registers of an instruction set.
    ///
    /// # Safety
    /// The CPU must have the instruction set. A task may require more.
    unsafe fn run<S: InstructionSet>(self) -> Self::Output;
}

/// A loop over the rows of a block that is generic over the instruction set, and bound to one before it runs.
pub trait Loop {
    /// Runs the loop with the registers of an instruction set.
    ///
    /// # Safety
    /// The CPU must have the instruction set, and the arguments must be as [`Arguments`] describes, of the types that the
    /// loop is for.
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>);
}

/// A loop bound to the instruction set of a path that this CPU has. It may be called with arguments as [`Arguments`]
/// describes, of the types that the loop is for.
pub type BoundLoop = unsafe fn(&Arguments<'_>);

/// A path whose instructions this CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DetectedPath(SimdPath);

impl DetectedPath {
    /// The path, if this CPU supports it.
    ///
    /// # Errors
    /// It does not.
    pub fn new(path: SimdPath) -> Result<Self, SimdPathError> {
        if path.is_available() { Ok(Self(path)) } else { Err(SimdPathError::Unavailable(path)) }
    }

    /// The path.
    pub fn path(self) -> SimdPath {
        self.0
    }
}

/// Runs a task on a path.
///
/// # Safety
/// What the task requires, besides the instruction set.
#[inline]
pub unsafe fn run_on<T: Task>(DetectedPath(path): DetectedPath, task: T) -> T::Output {
    // SAFETY: the instructions of the path have been detected; NEON is part of the targets on which its arm is compiled; the
    // portable code needs none. The caller guarantees the rest.
    unsafe {
        match path {
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx512 => avx512(task),
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx2 => avx2(task),
            #[cfg(target_arch = "aarch64")]
            SimdPath::Neon => task.run::<Neon>(),
            _ => task.run::<Portable>(),
        }
    }
}

/// The loop for a path.
pub fn bind<T: Loop>(DetectedPath(path): DetectedPath) -> BoundLoop {
    match path {
        #[cfg(target_arch = "x86_64")]
        SimdPath::Avx512 => avx512_loop::<T>,
        #[cfg(target_arch = "x86_64")]
        SimdPath::Avx2 => avx2_loop::<T>,
        #[cfg(target_arch = "aarch64")]
        SimdPath::Neon => T::run::<Neon>,
        _ => T::run::<Portable>,
    }
}

/// # Safety
/// The CPU must have AVX-512F, AVX-512DQ and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,popcnt")]
unsafe fn avx512<T: Task>(task: T) -> T::Output {
    // SAFETY: the caller has the same obligation.
    unsafe { task.run::<Avx512>() }
}

/// # Safety
/// The CPU must have AVX2, FMA and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn avx2<T: Task>(task: T) -> T::Output {
    // SAFETY: the caller has the same obligation.
    unsafe { task.run::<Avx2>() }
}

/// # Safety
/// The CPU must have AVX-512F, AVX-512DQ and POPCNT. What the loop requires, besides.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,popcnt")]
unsafe fn avx512_loop<T: Loop>(arguments: &Arguments<'_>) {
    // SAFETY: the caller has the same obligation.
    unsafe { T::run::<Avx512>(arguments) }
}

/// # Safety
/// The CPU must have AVX2, FMA and POPCNT. What the loop requires, besides.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn avx2_loop<T: Loop>(arguments: &Arguments<'_>) {
    // SAFETY: the caller has the same obligation.
    unsafe { T::run::<Avx2>(arguments) }
}
