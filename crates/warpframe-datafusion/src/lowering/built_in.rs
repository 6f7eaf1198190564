//! The built-in functions of DataFusion that lower to instructions.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

use warpframe_ir::ops::{Binary, Unary};

/// The lowering of a built-in function: an op, or a sequence of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Unary(Unary),
    Binary(Binary),
    Log,
    IsNan,
    IsZero,
    Nanvl,
    Nullif,
    Greatest,
    Least,
}

/// The lowering of a function; `None` for a built-in without one, and for a user-defined function with the name of a
/// built-in.
pub(super) fn built_in(function: &Arc<ScalarUDF>) -> Option<Function> {
    static KNOWN: LazyLock<HashMap<String, (Arc<ScalarUDF>, Function)>> = LazyLock::new(|| {
        use datafusion::functions::{core, math};
        let by_name = |name: &str| {
            let unary = Unary::ALL.iter().find(|op| op.info().name == name).copied().map(Function::Unary);
            let binary = Binary::ALL.iter().find(|op| op.info().name == name).copied().map(Function::Binary);
            unary.or(binary).or(match name {
                "log" => Some(Function::Log),
                "isnan" => Some(Function::IsNan),
                "iszero" => Some(Function::IsZero),
                "nanvl" => Some(Function::Nanvl),
                "nullif" => Some(Function::Nullif),
                "greatest" => Some(Function::Greatest),
                "least" => Some(Function::Least),
                _ => None,
            })
        };
        let functions = math::functions().into_iter().chain(core::functions());
        functions
            .filter_map(|function| {
                let lowering = by_name(function.name())?;
                Some((function.name().to_owned(), (function, lowering)))
            })
            .collect()
    });
    let (known, lowering) = KNOWN.get(function.name())?;
    (known == function).then_some(*lowering)
}
