//! Ops of floats. Two ops of which the first result has no other use are one loop, and stay in a register between.

use std::marker::PhantomData;

use warpframe_ir::ops::{Binary, Unary};

use crate::block::{Arguments, LoopData};
use crate::dispatch::{BoundLoop, DetectedPath, Loop, bind};
use crate::lanes::{InstructionSet, Lanes, SimdElement};
use crate::math::Divisor;
use crate::ops::{
    BinaryCode, BinaryVisitor, UnaryCode, UnaryVisitor, unary, visit_arithmetic, visit_binary, visit_unary,
};

/// The loop of a unary op.
pub fn unary<E: SimdElement>(path: DetectedPath, op: Unary) -> BoundLoop {
    visit_unary(op, Bind::<E>::new(path))
}

/// The loop of a binary op; `None` if it is not defined for floats. An operand may be constant.
pub fn binary<E: SimdElement>(path: DetectedPath, op: Binary, constant: [bool; 2]) -> Option<BoundLoop> {
    let bind = || Bind::<E>::new(path);
    // Other ops take so long that the load of a constant does not matter.
    match constant {
        [true, false] => visit_arithmetic(op, BindConstant::<E, 0>(bind())),
        [false, true] => visit_arithmetic(op, BindConstant::<E, 1>(bind())),
        _ => None,
    }
    .or_else(|| visit_binary(op, bind()))
}

/// The loop of `outer(inner(x, y), z)`, or of `outer(z, inner(x, y))` if `right`; `None` for ops that are not fused.
pub fn pair<E: SimdElement>(
    path: DetectedPath,
    inner: Binary,
    outer: Binary,
    right: bool,
) -> Option<BoundLoop> {
    visit_arithmetic(inner, BindPair::<E> { bind: Bind::new(path), outer, right }).flatten()
}

/// The loop of `outer(inner(x, y))`; `None` for ops that are not fused.
pub fn unary_of_binary<E: SimdElement>(path: DetectedPath, inner: Binary, outer: Unary) -> Option<BoundLoop> {
    visit_arithmetic(inner, BindUnaryOf::<E> { bind: Bind::new(path), outer }).flatten()
}

/// The loop of the division by the constant of [`LoopData`].
pub fn divide_by<E: SimdElement>(path: DetectedPath) -> BoundLoop {
    bind::<Division<E>>(path)
}

/// Binds the loops of single ops.
struct Bind<E> {
    path: DetectedPath,
    element: PhantomData<E>,
}

impl<E: SimdElement> Bind<E> {
    fn new(path: DetectedPath) -> Self {
        Self { path, element: PhantomData }
    }
}

impl<E: SimdElement> UnaryVisitor for Bind<E> {
    type Output = BoundLoop;

    fn visit<C: UnaryCode>(self) -> BoundLoop {
        bind::<UnaryOp<E, C>>(self.path)
    }
}

impl<E: SimdElement> BinaryVisitor for Bind<E> {
    type Output = BoundLoop;

    fn visit<C: BinaryCode>(self) -> BoundLoop {
        bind::<BinaryOp<E, C>>(self.path)
    }
}

/// Binds the loops of binary ops whose operand at position `CONSTANT` is constant.
struct BindConstant<E, const CONSTANT: usize>(Bind<E>);

impl<E: SimdElement, const CONSTANT: usize> BinaryVisitor for BindConstant<E, CONSTANT> {
    type Output = BoundLoop;

    fn visit<C: BinaryCode>(self) -> BoundLoop {
        bind::<BinaryOpWithConstant<E, C, CONSTANT>>(self.0.path)
    }
}

/// Binds the loops of pairs of binary ops.
struct BindPair<E> {
    bind: Bind<E>,
    outer: Binary,
    right: bool,
}

impl<E: SimdElement> BinaryVisitor for BindPair<E> {
    type Output = Option<BoundLoop>;

    fn visit<Inner: BinaryCode>(self) -> Option<BoundLoop> {
        struct Outer<E, Inner> {
            path: DetectedPath,
            right: bool,
            types: PhantomData<(E, Inner)>,
        }
        impl<E: SimdElement, Inner: BinaryCode> BinaryVisitor for Outer<E, Inner> {
            type Output = BoundLoop;

            fn visit<C: BinaryCode>(self) -> BoundLoop {
                match self.right {
                    true => bind::<Pair<E, Inner, C, true>>(self.path),
                    false => bind::<Pair<E, Inner, C, false>>(self.path),
                }
            }
        }
        // Sums and products keep the order of their operands too: of two NaN, the result is the first.
        let path = self.bind.path;
        visit_arithmetic(self.outer, Outer::<E, Inner> { path, right: self.right, types: PhantomData })
    }
}

/// Binds the loops of unary ops of binary ones.
struct BindUnaryOf<E> {
    bind: Bind<E>,
    outer: Unary,
}

impl<E: SimdElement> BinaryVisitor for BindUnaryOf<E> {
    type Output = Option<BoundLoop>;

    // Not the negation: the compiler would negate an operand instead of the result, so that NaN gets another sign.
    fn visit<C: BinaryCode>(self) -> Option<BoundLoop> {
        let path = self.bind.path;
        Some(match self.outer {
            Unary::Abs => bind::<UnaryOf<E, C, unary::Abs>>(path),
            Unary::Sqrt => bind::<UnaryOf<E, C, unary::Sqrt>>(path),
            _ => return None,
        })
    }
}

struct UnaryOp<E, C>(PhantomData<(E, C)>);

impl<E: SimdElement, C: UnaryCode> Loop for UnaryOp<E, C> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let (x, target) = (arguments.operand::<E>(0), arguments.target.cast::<E>());
        for row in (0..arguments.rows).step_by(E::Register::<S>::COUNT) {
            // SAFETY: the operand is readable, and the target writable, for all rows.
            unsafe { C::apply::<E::Register<S>>(x.load(row)).store(target.add(row)) };
        }
    }
}

struct BinaryOp<E, C>(PhantomData<(E, C)>);

impl<E: SimdElement, C: BinaryCode> Loop for BinaryOp<E, C> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let (x, y) = (arguments.operand::<E>(0), arguments.operand::<E>(1));
        let target = arguments.target.cast::<E>();
        for row in (0..arguments.rows).step_by(E::Register::<S>::COUNT) {
            // SAFETY: the operands are readable, and the target writable, for all rows.
            unsafe { C::apply::<E::Register<S>>(x.load(row), y.load(row)).store(target.add(row)) };
        }
    }
}

/// The constant is loaded before the loop: the compiler cannot know that the loop does not change it.
struct BinaryOpWithConstant<E, C, const CONSTANT: usize>(PhantomData<(E, C)>);

impl<E: SimdElement, C: BinaryCode, const CONSTANT: usize> Loop for BinaryOpWithConstant<E, C, CONSTANT> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let (x, target) = (arguments.operand::<E>(1 - CONSTANT), arguments.target.cast::<E>());
        // SAFETY: the operands are readable, and the target writable, for all rows.
        unsafe {
            let constant: E::Register<S> = arguments.operand::<E>(CONSTANT).load(0);
            for row in (0..arguments.rows).step_by(E::Register::<S>::COUNT) {
                let x = x.load(row);
                let result = if CONSTANT == 0 { C::apply(constant, x) } else { C::apply(x, constant) };
                result.store(target.add(row));
            }
        }
    }
}

struct Pair<E, Inner, Outer, const RIGHT: bool>(PhantomData<(E, Inner, Outer)>);

impl<E: SimdElement, Inner: BinaryCode, Outer: BinaryCode, const RIGHT: bool> Loop
    for Pair<E, Inner, Outer, RIGHT>
{
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let [x, y, z] = [0, 1, 2].map(|index| arguments.operand::<E>(index));
        let target = arguments.target.cast::<E>();
        for row in (0..arguments.rows).step_by(E::Register::<S>::COUNT) {
            // SAFETY: the operands are readable, and the target writable, for all rows.
            unsafe {
                let inner = Inner::apply::<E::Register<S>>(x.load(row), y.load(row));
                let z = z.load(row);
                let result = if RIGHT { Outer::apply(z, inner) } else { Outer::apply(inner, z) };
                result.store(target.add(row));
            }
        }
    }
}

struct UnaryOf<E, Inner, Outer>(PhantomData<(E, Inner, Outer)>);

impl<E: SimdElement, Inner: BinaryCode, Outer: UnaryCode> Loop for UnaryOf<E, Inner, Outer> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let (x, y) = (arguments.operand::<E>(0), arguments.operand::<E>(1));
        let target = arguments.target.cast::<E>();
        for row in (0..arguments.rows).step_by(E::Register::<S>::COUNT) {
            // SAFETY: the operands are readable, and the target writable, for all rows.
            unsafe {
                let inner = Inner::apply::<E::Register<S>>(x.load(row), y.load(row));
                Outer::apply(inner).store(target.add(row));
            }
        }
    }
}

struct Division<E>(PhantomData<E>);

impl<E: SimdElement> Loop for Division<E> {
    #[inline(always)]
    unsafe fn run<S: InstructionSet>(arguments: &Arguments<'_>) {
        let LoopData::Divisor(divisor) = arguments.data else { return };
        let divisor: Divisor<E> = divisor.convert();
        let (x, target) = (arguments.operand::<E>(0), arguments.target.cast::<E>());
        for row in (0..arguments.rows).step_by(E::Register::<S>::COUNT) {
            // SAFETY: the operand is readable, and the target writable, for all rows.
            unsafe { divisor.divide::<E::Register<S>>(x.load(row)).store(target.add(row)) };
        }
    }
}
