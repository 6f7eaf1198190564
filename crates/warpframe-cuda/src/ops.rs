//! The CUDA C++ templates of the ops. In a template, `$0` and `$1` stand for the operands, and `@` for the suffix of a math
//! function (`f` for `f32`, else nothing). The matches are exhaustive, so an op of the table without an entry here is a
//! compile error.

use warpframe_ir::ScalarType;
use warpframe_ir::ops::{Binary, Unary};

/// The template of a unary op for a type; `None` if the op is not defined for it.
pub fn unary_template(op: Unary, scalar_type: ScalarType) -> Option<&'static str> {
    let (floats, integers) = match op {
        Unary::Negate => (Some("-$0"), Some("wf_negate($0)")),
        Unary::Abs => (Some("fabs@($0)"), Some("wf_abs($0)")),
        Unary::Sqrt => (Some("sqrt@($0)"), None),
        Unary::Cbrt => (Some("cbrt@($0)"), None),
        Unary::Ln => (Some("log@($0)"), None),
        Unary::Log2 => (Some("log2@($0)"), None),
        Unary::Log10 => (Some("log10@($0)"), None),
        Unary::Exp => (Some("wf_exp($0)"), None),
        Unary::Sin => (Some("sin@($0)"), None),
        Unary::Cos => (Some("cos@($0)"), None),
        Unary::Tan => (Some("tan@($0)"), None),
        Unary::Asin => (Some("asin@($0)"), None),
        Unary::Acos => (Some("acos@($0)"), None),
        Unary::Atan => (Some("atan@($0)"), None),
        Unary::Sinh => (Some("sinh@($0)"), None),
        Unary::Cosh => (Some("cosh@($0)"), None),
        Unary::Tanh => (Some("tanh@($0)"), None),
        Unary::Degrees => (Some("$0 * 57.29577951308232@"), None),
        Unary::Radians => (Some("$0 * 0.017453292519943295@"), None),
        Unary::Floor => (Some("floor@($0)"), None),
        Unary::Ceil => (Some("ceil@($0)"), None),
        Unary::Round => (Some("round@($0)"), None),
        Unary::Trunc => (Some("wf_trunc($0)"), None),
        Unary::Signum => (Some("wf_signum($0)"), None),
    };
    of_type(scalar_type, floats, integers)
}

/// The template of a binary op for a type; `None` if the op is not defined for it.
pub fn binary_template(op: Binary, scalar_type: ScalarType) -> Option<&'static str> {
    let (floats, integers) = match op {
        Binary::Add => (Some("$0 + $1"), Some("wf_add($0, $1)")),
        Binary::Subtract => (Some("$0 - $1"), Some("wf_subtract($0, $1)")),
        Binary::Multiply => (Some("$0 * $1"), Some("wf_multiply($0, $1)")),
        Binary::Divide => (Some("$0 / $1"), Some("wf_divide($0, $1)")),
        Binary::Remainder => (Some("fmod@($0, $1)"), Some("wf_remainder($0, $1)")),
        Binary::Power => (Some("wf_power($0, $1)"), None),
        Binary::Atan2 => (Some("wf_atan2($0, $1)"), None),
        Binary::BitAnd => (None, Some("$0 & $1")),
        Binary::BitOr => (None, Some("$0 | $1")),
        Binary::BitXor => (None, Some("$0 ^ $1")),
        Binary::ShiftLeft => (None, Some("wf_shift_left($0, $1)")),
        Binary::ShiftRight => (None, Some("wf_shift_right($0, $1)")),
    };
    of_type(scalar_type, floats, integers)
}

fn of_type(
    scalar_type: ScalarType,
    floats: Option<&'static str>,
    integers: Option<&'static str>,
) -> Option<&'static str> {
    match scalar_type {
        ScalarType::Bool => None,
        ScalarType::I32 | ScalarType::I64 => integers,
        ScalarType::F32 | ScalarType::F64 => floats,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_have_templates_for_the_types_that_they_are_defined_for() {
        for scalar_type in ScalarType::ALL {
            for &op in Unary::ALL {
                let defined = op.is_defined_for(scalar_type);
                assert_eq!(unary_template(op, scalar_type).is_some(), defined, "{op:?} {scalar_type}");
            }
            for &op in Binary::ALL {
                let defined = op.is_defined_for(scalar_type);
                assert_eq!(binary_template(op, scalar_type).is_some(), defined, "{op:?} {scalar_type}");
            }
        }
    }
}
