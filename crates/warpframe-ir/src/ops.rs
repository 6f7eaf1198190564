//! The op table: name, error bound, cost class and scalar definition of each op. The code of an op is part of each
//! backend, which matches exhaustively over [`Unary`] and [`Binary`], so an op without code is a compile error.
//! `docs/ops.md` is generated from this table.

use serde::{Deserialize, Serialize};

/// The properties of an op.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpInfo {
    /// The name of DataFusion's function or operator.
    pub name: &'static str,
    /// The bound of the error on all backends, in units in the last place (ULP): 0 where results are exact, 0.5 where
    /// they are correctly rounded.
    pub ulp: f64,
    /// Whether the op takes longer than reading its operands from memory.
    pub costly: bool,
}

/// Converts a cost class of the table to [`OpInfo::costly`].
macro_rules! costly {
    (cheap) => {
        false
    };
    (costly) => {
        true
    };
}

macro_rules! unary_ops {
    ($($op:ident $name:literal, $ulp:literal ulp, $cost:ident, |$x:ident| $scalar:expr;)+) => {
        /// A unary op.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "OpInfo documents them")]
        pub enum Unary {
            $($op),+
        }

        impl Unary {
            /// All unary ops.
            pub const ALL: &[Self] = &[$(Self::$op),+];

            /// The op's properties.
            pub const fn info(self) -> OpInfo {
                match self {
                    $(Self::$op => OpInfo { name: $name, ulp: $ulp, costly: costly!($cost) }),+
                }
            }

            /// The op's definition in double precision.
            #[inline(always)]
            pub fn f64(self, x: f64) -> f64 {
                match self {
                    $(Self::$op => {
                        let $x = x;
                        $scalar
                    }),+
                }
            }

            /// The op's definition in single precision.
            #[inline(always)]
            pub fn f32(self, x: f32) -> f32 {
                match self {
                    $(Self::$op => {
                        let $x = x;
                        $scalar
                    }),+
                }
            }
        }
    };
}

macro_rules! binary_ops {
    ($($op:ident $name:literal, $ulp:literal ulp, $cost:ident, |$x:ident, $y:ident| $scalar:expr;)+) => {
        /// A binary op.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "OpInfo documents them")]
        pub enum Binary {
            $($op),+
        }

        impl Binary {
            /// All binary ops.
            pub const ALL: &[Self] = &[$(Self::$op),+];

            /// The op's properties.
            pub const fn info(self) -> OpInfo {
                match self {
                    $(Self::$op => OpInfo { name: $name, ulp: $ulp, costly: costly!($cost) }),+
                }
            }

            /// The op's definition in double precision.
            #[inline(always)]
            pub fn f64(self, x: f64, y: f64) -> f64 {
                match self {
                    $(Self::$op => {
                        let ($x, $y) = (x, y);
                        $scalar
                    }),+
                }
            }

            /// The op's definition in single precision.
            #[inline(always)]
            pub fn f32(self, x: f32, y: f32) -> f32 {
                match self {
                    $(Self::$op => {
                        let ($x, $y) = (x, y);
                        $scalar
                    }),+
                }
            }
        }
    };
}

unary_ops! {
    Negate "-", 0.0 ulp, cheap, |x| -x;
    Abs "abs", 0.0 ulp, cheap, |x| x.abs();
    Sqrt "sqrt", 0.5 ulp, cheap, |x| x.sqrt();
    Cbrt "cbrt", 1.0 ulp, costly, |x| x.cbrt();
    Ln "ln", 1.0 ulp, costly, |x| x.ln();
    Log2 "log2", 1.0 ulp, costly, |x| x.log2();
    Log10 "log10", 2.0 ulp, costly, |x| x.log10();
    Exp "exp", 1.0 ulp, costly, |x| x.exp();
    Sin "sin", 2.0 ulp, costly, |x| x.sin();
    Cos "cos", 2.0 ulp, costly, |x| x.cos();
    Tan "tan", 4.0 ulp, costly, |x| x.tan();
    Asin "asin", 2.0 ulp, costly, |x| x.asin();
    Acos "acos", 2.0 ulp, costly, |x| x.acos();
    Atan "atan", 2.0 ulp, costly, |x| x.atan();
    Sinh "sinh", 3.0 ulp, costly, |x| x.sinh();
    Cosh "cosh", 2.0 ulp, costly, |x| x.cosh();
    Tanh "tanh", 3.0 ulp, costly, |x| x.tanh();
    Degrees "degrees", 1.5 ulp, cheap, |x| x.to_degrees();
    Radians "radians", 1.5 ulp, cheap, |x| x.to_radians();
    Floor "floor", 0.0 ulp, cheap, |x| x.floor();
    Ceil "ceil", 0.0 ulp, cheap, |x| x.ceil();
    Round "round", 0.0 ulp, cheap, |x| x.round();
    Trunc "trunc", 0.0 ulp, cheap, |x| if x == 0.0 { 0.0 } else { x.trunc() };
    Signum "signum", 0.0 ulp, cheap, |x| if x == 0.0 { 0.0 } else { x.signum() };
}

binary_ops! {
    Add "+", 0.5 ulp, cheap, |x, y| x + y;
    Subtract "-", 0.5 ulp, cheap, |x, y| x - y;
    Multiply "*", 0.5 ulp, cheap, |x, y| x * y;
    Divide "/", 0.5 ulp, cheap, |x, y| x / y;
    Remainder "%", 0.0 ulp, costly, |x, y| x % y;
    Power "power", 3.0 ulp, costly, |x, y| x.powf(y);
    Atan2 "atan2", 2.0 ulp, costly, |x, y| x.atan2(y);
}
