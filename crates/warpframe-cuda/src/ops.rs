//! The CUDA C++ templates of the ops. In a template, `$0` and `$1` stand for the operands, and `@` for the suffix of a math
//! function (`f` in single precision, else nothing). The matches are exhaustive, so an op of the table without an entry
//! here is a compile error.

use warpframe_ir::ops::{Binary, Unary};

/// The template of a unary op.
pub fn unary_template(op: Unary) -> &'static str {
    match op {
        Unary::Negate => "-$0",
        Unary::Abs => "fabs@($0)",
        Unary::Sqrt => "sqrt@($0)",
        Unary::Cbrt => "cbrt@($0)",
        Unary::Ln => "log@($0)",
        Unary::Log2 => "log2@($0)",
        Unary::Log10 => "log10@($0)",
        Unary::Exp => "wf_exp($0)",
        Unary::Sin => "sin@($0)",
        Unary::Cos => "cos@($0)",
        Unary::Tan => "tan@($0)",
        Unary::Asin => "asin@($0)",
        Unary::Acos => "acos@($0)",
        Unary::Atan => "atan@($0)",
        Unary::Sinh => "sinh@($0)",
        Unary::Cosh => "cosh@($0)",
        Unary::Tanh => "tanh@($0)",
        Unary::Degrees => "$0 * 57.29577951308232@",
        Unary::Radians => "$0 * 0.017453292519943295@",
        Unary::Floor => "floor@($0)",
        Unary::Ceil => "ceil@($0)",
        Unary::Round => "round@($0)",
        Unary::Trunc => "wf_trunc($0)",
        Unary::Signum => "wf_signum($0)",
    }
}

/// The template of a binary op.
pub fn binary_template(op: Binary) -> &'static str {
    match op {
        Binary::Add => "$0 + $1",
        Binary::Subtract => "$0 - $1",
        Binary::Multiply => "$0 * $1",
        Binary::Divide => "$0 / $1",
        Binary::Remainder => "fmod@($0, $1)",
        Binary::Power => "wf_power($0, $1)",
        Binary::Atan2 => "wf_atan2($0, $1)",
    }
}
