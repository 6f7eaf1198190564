//! Element-wise formulas and the loop that applies one to slices.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::dispatch::{DetectedPath, Task, run_on};
use super::lanes::{InstructionSet, Lanes, MAX_LANES, SimdElement};
use super::math::ln;

/// The prefetch distance in rows: computing this many takes about as long as a read from memory.
const PREFETCH_ROWS: usize = 256;

/// An element-wise formula of `N` arguments.
pub trait Formula<const N: usize> {
    /// Applies the formula to a register of each argument.
    fn apply<L: Lanes>(arguments: [L; N]) -> L;
}

/// `ln(x)`
pub struct Ln;

/// `ln(x) * ln(y) * ln(z)`
pub struct Log3;

/// `x * y * z`: bound by memory bandwidth.
pub struct Product;

impl Formula<1> for Ln {
    #[inline(always)]
    fn apply<L: Lanes>([x]: [L; 1]) -> L {
        ln(x)
    }
}

impl Formula<3> for Log3 {
    #[inline(always)]
    fn apply<L: Lanes>([x, y, z]: [L; 3]) -> L {
        ln(x).mul(ln(y)).mul(ln(z))
    }
}

impl Formula<3> for Product {
    #[inline(always)]
    fn apply<L: Lanes>([x, y, z]: [L; 3]) -> L {
        x.mul(y).mul(z)
    }
}

/// Evaluates a formula over slices on a path, and initializes all rows of the output. If lengths differ, only the rows of
/// the shortest slice are evaluated.
pub fn evaluate<E: SimdElement, F: Formula<N>, const N: usize>(
    path: DetectedPath,
    inputs: [&[E]; N],
    output: &mut [MaybeUninit<E>],
) {
    let rows = inputs.iter().map(|input| input.len()).fold(output.len(), usize::min);
    let inputs = inputs.map(|input| &input[..rows]);
    // SAFETY: the task requires that all slices have the same length.
    unsafe { run_on(path, Map { inputs, output: &mut output[..rows], formula: PhantomData::<F> }) };
}

/// A formula and the slices that it is applied to, all of the same length.
struct Map<'a, E, F, const N: usize> {
    inputs: [&'a [E]; N],
    output: &'a mut [MaybeUninit<E>],
    formula: PhantomData<F>,
}

impl<E: SimdElement, F: Formula<N>, const N: usize> Task for Map<'_, E, F, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: InstructionSet>(self) {
        self.map::<E::Register<S>>()
    }
}

impl<E: SimdElement, F: Formula<N>, const N: usize> Map<'_, E, F, N> {
    // The remaining rows, fewer than a register has lanes, are computed by the same code in a padded register, so a row's
    // result does not depend on its position.
    #[inline(always)]
    fn map<L: Lanes<Element = E>>(self) {
        let Self { inputs, output, .. } = self;
        let rows = output.len();
        let whole_registers = rows - rows % L::COUNT;
        let mut row = 0;
        while row < whole_registers {
            // SAFETY: `row + COUNT <= rows`, which is the length of all slices.
            unsafe {
                let arguments = inputs.map(|input| {
                    L::prefetch(input.as_ptr().wrapping_add(row + PREFETCH_ROWS));
                    L::load(input.as_ptr().add(row))
                });
                F::apply(arguments).store(output.as_mut_ptr().add(row).cast());
            }
            row += L::COUNT;
        }
        if row < rows {
            // SAFETY: the padded arrays have as many elements as the widest register has lanes, and the elements that are
            // copied to the output are among the `COUNT` ones that the store initializes.
            unsafe {
                let remaining = rows - row;
                let arguments = inputs.map(|input| {
                    let mut padded = [input[row]; MAX_LANES];
                    padded[..remaining].copy_from_slice(&input[row..]);
                    L::load(padded.as_ptr())
                });
                let mut padded = [const { MaybeUninit::uninit() }; MAX_LANES];
                F::apply(arguments).store(padded.as_mut_ptr().cast());
                output[row..].copy_from_slice(&padded[..remaining]);
            }
        }
    }
}
