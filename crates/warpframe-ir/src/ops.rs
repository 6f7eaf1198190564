//! The op table: name, types, error bound, cost class and scalar definitions of each op. The code of an op is part of each
//! backend, which matches exhaustively over [`Unary`] and [`Binary`], so an op without code is a compile error.
//! `docs/ops.md` is generated from this table.

use serde::{Deserialize, Serialize};

use super::scalar::Scalar;
use super::scalar_type::ScalarType;

/// The properties of an op.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpInfo {
    /// The name of DataFusion's function or operator.
    pub name: &'static str,
    /// Whether the op is defined for `f32` and `f64`.
    pub floats: bool,
    /// Whether the op is defined for `i32` and `i64`. Results for integers are exact, and wrap around.
    pub integers: bool,
    /// The bound of the error for floats on all backends, in units in the last place (ULP): 0 where results are exact,
    /// 0.5 where they are correctly rounded.
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

/// Whether a definition is given.
macro_rules! given {
    ([]) => {
        false
    };
    ([$($definition:tt)+]) => {
        true
    };
}

macro_rules! unary_ops {
    ($($op:ident $name:literal, $ulp:literal ulp, $cost:ident, $float:tt, $integer:tt;)+) => {
        /// A unary op.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "OpInfo documents them")]
        pub enum Unary {
            $($op),+
        }

        impl Unary {
            ops!(@info $($op $name, $ulp, $cost, $float, $integer;)+);
            ops!(@is_defined $($op $float $integer)+);

            ops!(@unary f64 $($op $float)+);
            ops!(@unary f32 $($op $float)+);
            ops!(@unary i32 $($op $integer)+);
            ops!(@unary i64 $($op $integer)+);

            /// The result for a scalar; `None` if the op is not defined for its type.
            pub fn apply(self, x: Scalar) -> Option<Scalar> {
                self.is_defined_for(x.scalar_type()).then_some(match x {
                    Scalar::F64(x) => Scalar::F64(self.f64(x)),
                    Scalar::F32(x) => Scalar::F32(self.f32(x)),
                    Scalar::I32(x) => Scalar::I32(self.i32(x)),
                    Scalar::I64(x) => Scalar::I64(self.i64(x)),
                    Scalar::Bool(_) => x,
                })
            }
        }
    };
}

macro_rules! binary_ops {
    ($($op:ident $name:literal, $ulp:literal ulp, $cost:ident, $float:tt, $integer:tt;)+) => {
        /// A binary op.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "OpInfo documents them")]
        pub enum Binary {
            $($op),+
        }

        impl Binary {
            ops!(@info $($op $name, $ulp, $cost, $float, $integer;)+);
            ops!(@is_defined $($op $float $integer)+);

            ops!(@binary f64 $($op $float)+);
            ops!(@binary f32 $($op $float)+);
            ops!(@binary i32 $($op $integer)+);
            ops!(@binary i64 $($op $integer)+);

            /// The result for scalars; `None` if they are not of one type, or the op is not defined for it.
            pub fn apply(self, x: Scalar, y: Scalar) -> Option<Scalar> {
                self.is_defined_for(x.scalar_type()).then_some(match (x, y) {
                    (Scalar::F64(x), Scalar::F64(y)) => Scalar::F64(self.f64(x, y)),
                    (Scalar::F32(x), Scalar::F32(y)) => Scalar::F32(self.f32(x, y)),
                    (Scalar::I32(x), Scalar::I32(y)) => Scalar::I32(self.i32(x, y)),
                    (Scalar::I64(x), Scalar::I64(y)) => Scalar::I64(self.i64(x, y)),
                    _ => return None,
                })
            }
        }
    };
}

macro_rules! ops {
    (@info $($op:ident $name:literal, $ulp:literal, $cost:ident, $float:tt, $integer:tt;)+) => {
        /// All ops.
        pub const ALL: &[Self] = &[$(Self::$op),+];

        /// The op's properties.
        pub const fn info(self) -> OpInfo {
            match self {
                $(Self::$op => OpInfo {
                    name: $name,
                    floats: given!($float),
                    integers: given!($integer),
                    ulp: $ulp,
                    costly: costly!($cost),
                }),+
            }
        }
    };
    (@is_defined $($op:ident $float:tt $integer:tt)+) => {
        /// Whether the op is defined for values of a type.
        #[inline]
        pub const fn is_defined_for(self, scalar_type: ScalarType) -> bool {
            match scalar_type {
                ScalarType::Bool => false,
                ScalarType::F32 | ScalarType::F64 => match self {
                    $(Self::$op => given!($float)),+
                },
                ScalarType::I32 | ScalarType::I64 => match self {
                    $(Self::$op => given!($integer)),+
                },
            }
        }
    };
    (@unary $type:ident $($op:ident $definition:tt)+) => {
        /// The op's definition for this type; the operand if the op is not defined for it.
        #[inline(always)]
        pub fn $type(self, x: $type) -> $type {
            match self {
                $(Self::$op => ops!(@apply x $definition)),+
            }
        }
    };
    (@binary $type:ident $($op:ident $definition:tt)+) => {
        /// The op's definition for this type; the first operand if the op is not defined for it.
        #[inline(always)]
        pub fn $type(self, x: $type, y: $type) -> $type {
            match self {
                $(Self::$op => ops!(@apply x y $definition)),+
            }
        }
    };
    (@apply $x:ident $($y:ident)? []) => {
        $x
    };
    (@apply $x:ident [$a:ident => $value:expr]) => {{
        let $a = $x;
        $value
    }};
    (@apply $x:ident $y:ident [$a:ident, $b:ident => $value:expr]) => {{
        let ($a, $b) = ($x, $y);
        $value
    }};
}

// An op has a definition for floats, one for integers, or both; `[]` stands for none.
unary_ops! {
    Negate "-", 0.0 ulp, cheap, [x => -x], [x => x.wrapping_neg()];
    Abs "abs", 0.0 ulp, cheap, [x => x.abs()], [x => x.wrapping_abs()];
    Sqrt "sqrt", 0.5 ulp, cheap, [x => x.sqrt()], [];
    Cbrt "cbrt", 1.0 ulp, costly, [x => x.cbrt()], [];
    Ln "ln", 1.0 ulp, costly, [x => x.ln()], [];
    Log2 "log2", 1.0 ulp, costly, [x => x.log2()], [];
    Log10 "log10", 2.0 ulp, costly, [x => x.log10()], [];
    Exp "exp", 1.0 ulp, costly, [x => x.exp()], [];
    Sin "sin", 2.0 ulp, costly, [x => x.sin()], [];
    Cos "cos", 2.0 ulp, costly, [x => x.cos()], [];
    Tan "tan", 4.0 ulp, costly, [x => x.tan()], [];
    Asin "asin", 2.0 ulp, costly, [x => x.asin()], [];
    Acos "acos", 2.0 ulp, costly, [x => x.acos()], [];
    Atan "atan", 2.0 ulp, costly, [x => x.atan()], [];
    Sinh "sinh", 3.0 ulp, costly, [x => x.sinh()], [];
    Cosh "cosh", 2.0 ulp, costly, [x => x.cosh()], [];
    Tanh "tanh", 3.0 ulp, costly, [x => x.tanh()], [];
    Degrees "degrees", 1.5 ulp, cheap, [x => x.to_degrees()], [];
    Radians "radians", 1.5 ulp, cheap, [x => x.to_radians()], [];
    Floor "floor", 0.0 ulp, cheap, [x => x.floor()], [];
    Ceil "ceil", 0.0 ulp, cheap, [x => x.ceil()], [];
    Round "round", 0.0 ulp, cheap, [x => x.round()], [];
    Trunc "trunc", 0.0 ulp, cheap, [x => if x == 0.0 { 0.0 } else { x.trunc() }], [];
    Signum "signum", 0.0 ulp, cheap, [x => if x == 0.0 { 0.0 } else { x.signum() }], [];
}

// Operations of integers are defined for all operands: the quotient of a division by zero and the remainder are 0; the
// quotient of the smallest integer and -1 wraps around. Errors are `TrapIf` instructions of their own. Shifts use the lowest
// bits of the second operand, as many as a position in the first needs; shifts to the right keep the sign.
binary_ops! {
    Add "+", 0.5 ulp, cheap, [x, y => x + y], [x, y => x.wrapping_add(y)];
    Subtract "-", 0.5 ulp, cheap, [x, y => x - y], [x, y => x.wrapping_sub(y)];
    Multiply "*", 0.5 ulp, cheap, [x, y => x * y], [x, y => x.wrapping_mul(y)];
    Divide "/", 0.5 ulp, cheap, [x, y => x / y], [x, y => if y == 0 { 0 } else { x.wrapping_div(y) }];
    Remainder "%", 0.0 ulp, costly, [x, y => x % y], [x, y => if y == 0 { 0 } else { x.wrapping_rem(y) }];
    Power "power", 3.0 ulp, costly, [x, y => x.powf(y)], [];
    Atan2 "atan2", 2.0 ulp, costly, [x, y => x.atan2(y)], [];
    BitAnd "&", 0.0 ulp, cheap, [], [x, y => x & y];
    BitOr "|", 0.0 ulp, cheap, [], [x, y => x | y];
    BitXor "^", 0.0 ulp, cheap, [], [x, y => x ^ y];
    ShiftLeft "<<", 0.0 ulp, cheap, [], [x, y => x.wrapping_shl(y as u32)];
    ShiftRight ">>", 0.0 ulp, cheap, [], [x, y => x.wrapping_shr(y as u32)];
}
