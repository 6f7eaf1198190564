//! The vector code of the ops of floats; that of integers is in `integers`. The matches are exhaustive, so an op of the table
//! without an entry here is a compile error.

use std::f64::consts::PI;

use warpframe_ir::ops::{Binary, Unary};

use super::lanes::{Lanes, SimdElement};
use super::math;

/// The vector code of a unary op. It is implemented by types, not by closures, because closures are not inlined into
/// functions with `#[target_feature]`.
pub(super) trait UnaryCode {
    fn apply<L: Lanes>(x: L) -> L;
}

/// The vector code of a binary op.
pub(super) trait BinaryCode {
    fn apply<L: Lanes>(x: L, y: L) -> L;
}

/// A function that is instantiated for the code of each unary op.
pub(super) trait UnaryVisitor {
    type Output;
    fn visit<C: UnaryCode>(self) -> Self::Output;
}

/// A function that is instantiated for the code of each binary op.
pub(super) trait BinaryVisitor {
    type Output;
    fn visit<C: BinaryCode>(self) -> Self::Output;
}

/// Defines the code of all unary ops.
macro_rules! unary_code {
    ($($op:ident |$x:ident| $code:expr;)+) => {
        /// The code of the unary ops.
        pub(super) mod unary {
            use super::*;
            $(
                pub struct $op;
                impl UnaryCode for $op {
                    #[inline(always)]
                    fn apply<L: Lanes>($x: L) -> L {
                        $code
                    }
                }
            )+
        }

        /// Calls a function with the code of an op.
        pub(super) fn visit_unary<V: UnaryVisitor>(op: Unary, visitor: V) -> V::Output {
            match op {
                $(Unary::$op => visitor.visit::<unary::$op>(),)+
            }
        }
    };
}

/// Defines the code of all binary ops. After the semicolon are those of integers only.
macro_rules! binary_code {
    ($($op:ident |$x:ident, $y:ident| $code:expr,)+; $($integer_op:ident)+) => {
        /// The code of the binary ops.
        pub(super) mod binary {
            use super::*;
            $(
                pub struct $op;
                impl BinaryCode for $op {
                    #[inline(always)]
                    fn apply<L: Lanes>($x: L, $y: L) -> L {
                        $code
                    }
                }
            )+
        }

        /// Calls a function with the code of an op; `None` for one that is not defined for floats.
        pub(super) fn visit_binary<V: BinaryVisitor>(op: Binary, visitor: V) -> Option<V::Output> {
            match op {
                $(Binary::$op => Some(visitor.visit::<binary::$op>()),)+
                $(Binary::$integer_op)|+ => None,
            }
        }
    };
}

/// Calls a function with the code of an op of arithmetic: `+`, `-`, `*` or `/`; `None` for another.
pub(super) fn visit_arithmetic<V: BinaryVisitor>(op: Binary, visitor: V) -> Option<V::Output> {
    Some(match op {
        Binary::Add => visitor.visit::<binary::Add>(),
        Binary::Subtract => visitor.visit::<binary::Subtract>(),
        Binary::Multiply => visitor.visit::<binary::Multiply>(),
        Binary::Divide => visitor.visit::<binary::Divide>(),
        _ => return None,
    })
}

unary_code! {
    Negate |x| x.neg();
    Abs |x| x.abs();
    Sqrt |x| x.sqrt();
    Cbrt |x| math::cbrt(x);
    Ln |x| math::ln(x);
    Log2 |x| math::log2(x);
    Log10 |x| math::log10(x);
    Exp |x| L::in_f64::<math::Exp, 1>([x]);
    Sin |x| L::in_f64::<math::Sin, 1>([x]);
    Cos |x| L::in_f64::<math::Cos, 1>([x]);
    Tan |x| L::in_f64::<math::Tan, 1>([x]);
    Asin |x| L::in_f64::<math::Asin, 1>([x]);
    Acos |x| L::in_f64::<math::Acos, 1>([x]);
    Atan |x| L::in_f64::<math::Atan, 1>([x]);
    Sinh |x| L::in_f64::<math::Sinh, 1>([x]);
    Cosh |x| L::in_f64::<math::Cosh, 1>([x]);
    Tanh |x| L::in_f64::<math::Tanh, 1>([x]);
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
    Atan2 |x, y| L::in_f64::<math::Atan2, 2>([x, y]),
    ;
    BitAnd BitOr BitXor ShiftLeft ShiftRight
}
