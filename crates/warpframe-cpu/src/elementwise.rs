//! Element-wise formulas and the loop that runs one over slices.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::dispatch::{Task, run_on};
use super::lanes::{Element, Lanes};
use super::math::ln;
use super::simd_path::SimdPath;

/// The largest [`Lanes::COUNT`].
const WIDEST: usize = 16;

/// Rows of prefetch distance: computing them takes about as long as a read from memory.
const AHEAD: usize = 256;

/// An element-wise formula of `N` arguments.
pub trait Formula<const N: usize> {
    /// The formula on one register of each argument.
    fn apply<L: Lanes>(arguments: [L; N]) -> L;
}

/// `ln(x)`
pub struct Ln;

/// `ln(x) * ln(y) * ln(z)`
pub struct Log3;

/// `x * y * z`: next to no arithmetic, so its time is that of the memory.
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

/// Evaluates a formula over slices on a path and initializes every output row. Lengths that differ are cut
/// to the shortest, and a path this CPU lacks is replaced by the portable one; callers check both first.
pub fn evaluate<E: Element, F: Formula<N>, const N: usize>(
    path: SimdPath,
    inputs: [&[E]; N],
    output: &mut [MaybeUninit<E>],
) {
    let rows = inputs.iter().map(|input| input.len()).fold(output.len(), usize::min);
    let inputs = inputs.map(|input| &input[..rows]);
    run_on(path, Map { inputs, output: &mut output[..rows], formula: PhantomData::<F> });
}

/// A formula and slices of one length.
struct Map<'a, E, F, const N: usize> {
    inputs: [&'a [E]; N],
    output: &'a mut [MaybeUninit<E>],
    formula: PhantomData<F>,
}

impl<E: Element, F: Formula<N>, const N: usize> Task<E> for Map<'_, E, F, N> {
    type Output = ();

    // The last rows, too few for a register, go through the same code in a padded one, so a row's result
    // does not depend on where it stands.
    #[inline(always)]
    unsafe fn run<L: Lanes<Element = E>>(self) {
        let Self { inputs, output, .. } = self;
        let rows = output.len();
        let whole = rows - rows % L::COUNT;
        let mut row = 0;
        while row < whole {
            // SAFETY: `row + COUNT <= rows`, the length of every slice.
            unsafe {
                let arguments = inputs.map(|input| {
                    L::prefetch(input.as_ptr().wrapping_add(row + AHEAD));
                    L::load(input.as_ptr().add(row))
                });
                F::apply(arguments).store(output.as_mut_ptr().add(row).cast());
            }
            row += L::COUNT;
        }
        if row < rows {
            // SAFETY: fewer than COUNT rows are left, a padded array is as long as the widest register,
            // and every lane of it is written before it is read.
            unsafe {
                let rest = rows - row;
                let arguments = inputs.map(|input| {
                    let mut padded = [input[row]; WIDEST];
                    padded[..rest].copy_from_slice(&input[row..]);
                    L::load(padded.as_ptr())
                });
                let mut padded = [const { MaybeUninit::uninit() }; WIDEST];
                F::apply(arguments).store(padded.as_mut_ptr().cast());
                output[row..].copy_from_slice(&padded[..rest]);
            }
        }
    }
}
