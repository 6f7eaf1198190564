//! The functions of DataFusion that programs have ops for.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

use warpframe_ir::ops::{Binary, Unary};

/// What a function of DataFusion's becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Unary(Unary),
    Binary(Binary),
    Log,
    IsNan,
    Nanvl,
    Nullif,
    Greatest,
    Least,
}

/// What a function becomes, if it is DataFusion's own: a user's function of the same name is another.
pub(super) fn built_in(function: &Arc<ScalarUDF>) -> Option<Function> {
    static KNOWN: LazyLock<HashMap<String, (Arc<ScalarUDF>, Function)>> = LazyLock::new(|| {
        use datafusion::functions::{core, math};
        let named = |name: &str| {
            let unary = Unary::ALL.iter().find(|op| op.info().name == name).copied().map(Function::Unary);
            let binary = Binary::ALL.iter().find(|op| op.info().name == name).copied().map(Function::Binary);
            unary.or(binary).or(match name {
                "log" => Some(Function::Log),
                "isnan" => Some(Function::IsNan),
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
                let found = named(function.name())?;
                Some((function.name().to_owned(), (function, found)))
            })
            .collect()
    });
    let (known, found) = KNOWN.get(function.name())?;
    (known == function).then_some(*found)
}
