//! The op table: one entry an op says everything about it. The interpreter, the SIMD executor, the CUDA
//! source, the lowering of DataFusion expressions, the documentation and the tests all read it here; what
//! `docs/ops.md` says is generated from it.

use serde::{Deserialize, Serialize};

use crate::backend::simd::math::{self, Acos, Asin, Atan, Cos, Exp, Log2, Log10, Sin, Tan, Tanh};
use crate::backend::simd::{Element, Lanes};

/// What is said of an op besides its code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The name: DataFusion's function of this name, or the operator's sign.
    pub name: &'static str,
    /// The largest error in units in the last place, on every backend: 0 where the result is exact, 0.5
    /// where it is rounded correctly.
    pub ulp: f64,
    /// Whether the SIMD backend has vector code for it; else it calls a scalar function for each lane.
    pub vectorized: bool,
    /// Whether it costs so much that a pass is not limited by the memory.
    pub costly: bool,
    /// CUDA C: `$0` and `$1` are the arguments, and `@` ends the name of a math function (`f` in single
    /// precision).
    pub cuda: &'static str,
}

/// The vector code of an op of one number. A type and not a closure, which could not be made to be inlined
/// into the function with the CPU's instructions.
pub(crate) trait UnaryCode<L> {
    fn apply(x: L) -> L;
}

/// The vector code of an op of two numbers.
pub(crate) trait BinaryCode<L> {
    fn apply(x: L, y: L) -> L;
}

/// A loop that is compiled once for every op of one number.
pub(crate) trait UnaryLoop<L> {
    fn run<C: UnaryCode<L>>(self);
}

/// A loop that is compiled once for every op of two numbers.
pub(crate) trait BinaryLoop<L> {
    fn run<C: BinaryCode<L>>(self);
}

/// `vector |x| ...` is vector code; `scalar` calls the scalar code for each lane.
macro_rules! vectorized {
    (vector) => {
        true
    };
    (scalar) => {
        false
    };
}

macro_rules! costly {
    (cheap) => {
        false
    };
    (costly) => {
        true
    };
}

macro_rules! unary_ops {
    ($($op:ident $name:literal, $ulp:literal ulp, $cost:ident, $cuda:literal,
       |$sx:ident| $scalar:expr, $way:ident $(|$lx:ident| $vector:expr)?;)+) => {
        /// An op of one number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "their entries document them")]
        pub enum Unary {
            $($op),+
        }

        impl Unary {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$op),+];

            /// What is known of the op.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$op => Entry {
                        name: $name,
                        ulp: $ulp,
                        vectorized: vectorized!($way),
                        costly: costly!($cost),
                        cuda: $cuda,
                    }),+
                }
            }

            /// The op in double precision, in plain Rust.
            #[inline(always)]
            pub fn f64(self, x: f64) -> f64 {
                match self {
                    $(Self::$op => {
                        let $sx = x;
                        $scalar
                    }),+
                }
            }

            /// The op in single precision, in plain Rust.
            #[inline(always)]
            pub fn f32(self, x: f32) -> f32 {
                match self {
                    $(Self::$op => {
                        let $sx = x;
                        $scalar
                    }),+
                }
            }

            /// Hands the op's code to a loop.
            #[inline(always)]
            pub(crate) fn drive<L: Lanes>(self, each: impl UnaryLoop<L>) {
                match self {
                    $(Self::$op => {
                        struct Op;
                        impl<L: Lanes> UnaryCode<L> for Op {
                            #[inline(always)]
                            fn apply(x: L) -> L {
                                $(let $lx = x; return $vector;)?
                                #[allow(unreachable_code, reason = "ops without vector code end here")]
                                { x.each(|x| <L::Element as Element>::unary(Unary::$op, x)) }
                            }
                        }
                        each.run::<Op>()
                    })+
                }
            }
        }
    };
}

macro_rules! binary_ops {
    ($($op:ident $name:literal, $ulp:literal ulp, $cost:ident, $cuda:literal,
       |$sx:ident, $sy:ident| $scalar:expr, $way:ident $(|$lx:ident, $ly:ident| $vector:expr)?;)+) => {
        /// An op of two numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "their entries document them")]
        pub enum Binary {
            $($op),+
        }

        impl Binary {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$op),+];

            /// What is known of the op.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$op => Entry {
                        name: $name,
                        ulp: $ulp,
                        vectorized: vectorized!($way),
                        costly: costly!($cost),
                        cuda: $cuda,
                    }),+
                }
            }

            /// The op in double precision, in plain Rust.
            #[inline(always)]
            pub fn f64(self, x: f64, y: f64) -> f64 {
                match self {
                    $(Self::$op => {
                        let ($sx, $sy) = (x, y);
                        $scalar
                    }),+
                }
            }

            /// The op in single precision, in plain Rust.
            #[inline(always)]
            pub fn f32(self, x: f32, y: f32) -> f32 {
                match self {
                    $(Self::$op => {
                        let ($sx, $sy) = (x, y);
                        $scalar
                    }),+
                }
            }

            /// Hands the op's code to a loop.
            #[inline(always)]
            pub(crate) fn drive<L: Lanes>(self, each: impl BinaryLoop<L>) {
                match self {
                    $(Self::$op => {
                        struct Op;
                        impl<L: Lanes> BinaryCode<L> for Op {
                            #[inline(always)]
                            fn apply(x: L, y: L) -> L {
                                $(let ($lx, $ly) = (x, y); return $vector;)?
                                #[allow(unreachable_code, reason = "ops without vector code end here")]
                                { x.each_of(y, |x, y| <L::Element as Element>::binary(Binary::$op, x, y)) }
                            }
                        }
                        each.run::<Op>()
                    })+
                }
            }
        }
    };
}

unary_ops! {
    Negate "-", 0.0 ulp, cheap, "-$0", |x| -x, vector |x| x.neg();
    Abs "abs", 0.0 ulp, cheap, "fabs@($0)", |x| x.abs(), vector |x| x.abs();
    Sqrt "sqrt", 0.5 ulp, cheap, "sqrt@($0)", |x| x.sqrt(), vector |x| x.sqrt();
    Cbrt "cbrt", 1.0 ulp, costly, "cbrt@($0)", |x| x.cbrt(), scalar;
    Ln "ln", 1.0 ulp, costly, "log@($0)", |x| x.ln(), vector |x| math::ln(x);
    Log2 "log2", 1.0 ulp, costly, "log2@($0)", |x| x.log2(), vector |x| L::in_f64::<Log2, 1>([x]);
    Log10 "log10", 2.0 ulp, costly, "log10@($0)", |x| x.log10(), vector |x| L::in_f64::<Log10, 1>([x]);
    Exp "exp", 1.0 ulp, costly, "wf_exp($0)", |x| x.exp(), vector |x| L::in_f64::<Exp, 1>([x]);
    Sin "sin", 2.0 ulp, costly, "sin@($0)", |x| x.sin(), vector |x| L::in_f64::<Sin, 1>([x]);
    Cos "cos", 2.0 ulp, costly, "cos@($0)", |x| x.cos(), vector |x| L::in_f64::<Cos, 1>([x]);
    Tan "tan", 4.0 ulp, costly, "tan@($0)", |x| x.tan(), vector |x| L::in_f64::<Tan, 1>([x]);
    Asin "asin", 2.0 ulp, costly, "asin@($0)", |x| x.asin(), vector |x| L::in_f64::<Asin, 1>([x]);
    Acos "acos", 2.0 ulp, costly, "acos@($0)", |x| x.acos(), vector |x| L::in_f64::<Acos, 1>([x]);
    Atan "atan", 2.0 ulp, costly, "atan@($0)", |x| x.atan(), vector |x| L::in_f64::<Atan, 1>([x]);
    Sinh "sinh", 3.0 ulp, costly, "sinh@($0)", |x| x.sinh(), scalar;
    Cosh "cosh", 2.0 ulp, costly, "cosh@($0)", |x| x.cosh(), scalar;
    Tanh "tanh", 3.0 ulp, costly, "tanh@($0)", |x| x.tanh(), vector |x| L::in_f64::<Tanh, 1>([x]);
    Floor "floor", 0.0 ulp, cheap, "floor@($0)", |x| x.floor(), vector |x| x.floor();
    Ceil "ceil", 0.0 ulp, cheap, "ceil@($0)", |x| x.ceil(), vector |x| x.ceil();
    Round "round", 0.0 ulp, cheap, "round@($0)", |x| x.round(), vector |x| math::round(x);
    Trunc "trunc", 0.0 ulp, cheap, "wf_trunc($0)", |x| if x == 0.0 { 0.0 } else { x.trunc() },
        vector |x| math::trunc(x);
    Signum "signum", 0.0 ulp, cheap, "wf_signum($0)", |x| if x == 0.0 { 0.0 } else { x.signum() },
        vector |x| math::signum(x);
}

binary_ops! {
    Add "+", 0.5 ulp, cheap, "$0 + $1", |x, y| x + y, vector |x, y| x.add(y);
    Subtract "-", 0.5 ulp, cheap, "$0 - $1", |x, y| x - y, vector |x, y| x.sub(y);
    Multiply "*", 0.5 ulp, cheap, "$0 * $1", |x, y| x * y, vector |x, y| x.mul(y);
    Divide "/", 0.5 ulp, cheap, "$0 / $1", |x, y| x / y, vector |x, y| x.div(y);
    Remainder "%", 0.0 ulp, costly, "fmod@($0, $1)", |x, y| x % y, scalar;
    Power "power", 3.0 ulp, costly, "wf_power($0, $1)", |x, y| x.powf(y), vector |x, y| L::in_f64::<math::Power, 2>([x, y]);
    Atan2 "atan2", 2.0 ulp, costly, "wf_atan2($0, $1)", |x, y| x.atan2(y), scalar;
}
