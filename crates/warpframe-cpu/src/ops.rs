//! The vector code of the ops of floats; that of integers is in `integers`. The matches are exhaustive, so an op of the table
//! without an entry here is a compile error.

use std::f64::consts::PI;

use warpframe_ir::ops::{Binary, Unary};

use super::lanes::{Lanes, SimdElement};
use super::math::{self, Acos, Asin, Atan, Atan2, Cos, Cosh, Exp, Sin, Sinh, Tan, Tanh};

/// The vector code of a unary op. It is implemented by types, not by closures, because closures are not inlined into
/// functions with `#[target_feature]`.
pub(super) trait UnaryCode<L> {
    fn apply(x: L) -> L;
}

/// The vector code of a binary op.
pub(super) trait BinaryCode<L> {
    fn apply(x: L, y: L) -> L;
}

/// A loop that is instantiated for each unary op, so that the op is dispatched outside of the loop.
pub(super) trait UnaryLoop<L> {
    fn run<C: UnaryCode<L>>(self);
}

/// A loop that is instantiated for each binary op.
pub(super) trait BinaryLoop<L> {
    fn run<C: BinaryCode<L>>(self);
}

/// Defines the code of all unary ops.
macro_rules! unary_code {
    ($($op:ident |$x:ident| $code:expr;)+) => {
        /// Runs a loop with the code of an op.
        #[inline(always)]
        pub(super) fn dispatch_unary<L: Lanes>(op: Unary, op_loop: impl UnaryLoop<L>) {
            match op {
                $(Unary::$op => {
                    struct Op;
                    impl<L: Lanes> UnaryCode<L> for Op {
                        #[inline(always)]
                        fn apply($x: L) -> L {
                            $code
                        }
                    }
                    op_loop.run::<Op>()
                })+
            }
        }
    };
}

/// Defines the code of all binary ops. After the semicolon are those of integers only.
macro_rules! binary_code {
    ($($op:ident |$x:ident, $y:ident| $code:expr,)+; $($integer_op:ident)+) => {
        /// Runs a loop with the code of an op. Does nothing for one that is not defined for floats.
        #[inline(always)]
        pub(super) fn dispatch_binary<L: Lanes>(op: Binary, op_loop: impl BinaryLoop<L>) {
            match op {
                $(Binary::$op => {
                    struct Op;
                    impl<L: Lanes> BinaryCode<L> for Op {
                        #[inline(always)]
                        fn apply($x: L, $y: L) -> L {
                            $code
                        }
                    }
                    op_loop.run::<Op>()
                })+
                $(Binary::$integer_op)|+ => {}
            }
        }
    };
}

unary_code! {
    Negate |x| x.neg();
    Abs |x| x.abs();
    Sqrt |x| x.sqrt();
    Cbrt |x| math::cbrt(x);
    Ln |x| math::ln(x);
    Log2 |x| math::log2(x);
    Log10 |x| math::log10(x);
    Exp |x| L::in_f64::<Exp, 1>([x]);
    Sin |x| L::in_f64::<Sin, 1>([x]);
    Cos |x| L::in_f64::<Cos, 1>([x]);
    Tan |x| L::in_f64::<Tan, 1>([x]);
    Asin |x| L::in_f64::<Asin, 1>([x]);
    Acos |x| L::in_f64::<Acos, 1>([x]);
    Atan |x| L::in_f64::<Atan, 1>([x]);
    Sinh |x| L::in_f64::<Sinh, 1>([x]);
    Cosh |x| L::in_f64::<Cosh, 1>([x]);
    Tanh |x| L::in_f64::<Tanh, 1>([x]);
    Degrees |x| x.mul(L::splat(L::Element::from_f64(180.0 / PI)));
    Radians |x| x.mul(L::splat(L::Element::from_f64(PI / 180.0)));
    Floor |x| x.floor();
    Ceil |x| x.ceil();
    Round |x| math::round(x);
    Trunc |x| math::trunc(x);
    Signum |x| math::signum(x);
}

binary_code! {
    Add |x, y| x.add(y),
    Subtract |x, y| x.sub(y),
    Multiply |x, y| x.mul(y),
    Divide |x, y| x.div(y),
    Remainder |x, y| math::remainder(x, y),
    Power |x, y| L::in_f64::<math::Power, 2>([x, y]),
    Atan2 |x, y| L::in_f64::<Atan2, 2>([x, y]),
    ;
    BitAnd BitOr BitXor ShiftLeft ShiftRight
}
