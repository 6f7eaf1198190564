//! Evaluates scalar functions on arrays, whatever mix of arrays and scalars DataFusion calls them with.

use arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::device_wait::{blocking_in_place, uses_device};
use crate::errors::datafusion_error;
use warpframe_ir::backend::{Evaluated, Kernel, KernelContext};

/// Evaluates a kernel on a function's arguments.
pub(super) fn evaluate(
    kernel: &dyn Kernel,
    context: &KernelContext,
    arguments: ScalarFunctionArgs,
) -> Result<ColumnarValue> {
    evaluate_arrays(arguments, |arrays, rows| {
        let evaluate = || kernel.evaluate(&arrays, rows, context);
        let evaluated = if uses_device(kernel, rows) { blocking_in_place(evaluate) } else { evaluate() };
        let column = evaluated.and_then(Evaluated::into_column).map_err(datafusion_error)?;
        Ok(ColumnarValue::Array(column))
    })
}

/// Calls `function` with the arguments as arrays and their number of rows. If all arguments are scalars, there is one row
/// and the result is a scalar.
pub(super) fn evaluate_arrays(
    arguments: ScalarFunctionArgs,
    function: impl FnOnce(Vec<ArrayRef>, usize) -> Result<ColumnarValue>,
) -> Result<ColumnarValue> {
    let all_scalar = arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
    let rows = if all_scalar { 1 } else { arguments.number_rows };
    let arrays =
        arguments.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<Vec<_>>>()?;
    match function(arrays, rows)? {
        ColumnarValue::Array(array) if all_scalar => {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
        }
        result => Ok(result),
    }
}
