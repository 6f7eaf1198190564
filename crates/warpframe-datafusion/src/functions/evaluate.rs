//! Evaluates kernels with the arguments of DataFusion's scalar functions.

use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::errors::datafusion_error;
use warpframe_ir::backend::{Kernel, KernelContext};

/// Evaluates a kernel on a function's arguments. The result is a scalar if all arguments are scalars.
pub(super) fn evaluate(
    kernel: &dyn Kernel,
    context: &KernelContext,
    arguments: ScalarFunctionArgs,
) -> Result<ColumnarValue> {
    let all_scalar = arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
    let rows = if all_scalar { 1 } else { arguments.number_rows };
    let arrays =
        arguments.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<Vec<_>>>()?;
    let result = kernel.evaluate(&arrays, rows, context).map_err(datafusion_error)?;
    if all_scalar {
        Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
    } else {
        Ok(ColumnarValue::Array(result))
    }
}
