//! Programs and kernels that are evaluated without a query.

use std::sync::Arc;

use arrow::array::ArrayRef;
use warpframe::functions::log3_function;
use warpframe::ir::{Backend, Error, KernelContext, Program, ScalarType};

/// The program of `log3`.
pub fn log3(scalar_type: ScalarType) -> Arc<Program> {
    log3_function().program(scalar_type).unwrap()
}

/// Compiles a program and evaluates it once.
pub fn evaluate(
    backend: &dyn Backend,
    program: &Arc<Program>,
    inputs: &[ArrayRef],
    rows: usize,
) -> Result<ArrayRef, Error> {
    backend.compile(program)?.evaluate(inputs, rows, &KernelContext::default())?.into_column()
}
