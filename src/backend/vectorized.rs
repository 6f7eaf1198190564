//! The backend that runs the vector kernels on Arrow arrays: types, validity and buffers. The kernels
//! are in `simd`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use datafusion::common::{DataFusionError, Result, exec_err};

use super::Backend;
use super::simd::{Element, Kernel, Log3, SimdPath, evaluate};

/// The CPU's vector instructions, on the calling thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Simd {
    path: SimdPath,
}

impl Simd {
    /// The backend on the path this process uses, see [`SimdPath::active`].
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` asks for instructions that this CPU lacks.
    pub fn active() -> Result<Self> {
        let path = SimdPath::active().map_err(|error| DataFusionError::External(error.into()))?;
        Ok(Self { path })
    }
}

impl Backend for Simd {
    fn description(&self) -> String {
        format!("simd {}", self.path)
    }

    fn log3(&self, arguments: [&ArrayRef; 3]) -> Result<ArrayRef> {
        match arguments[0].data_type() {
            DataType::Float64 => evaluate_arrays::<Float64Type, Log3, 3>(self.path, arguments),
            DataType::Float32 => evaluate_arrays::<Float32Type, Log3, 3>(self.path, arguments),
            other => exec_err!("log3 works on Float64 and Float32 arrays, not on {other}"),
        }
    }
}

/// Evaluates a kernel on all lanes, null ones included, and joins the validity of the arguments.
fn evaluate_arrays<T, K, const N: usize>(path: SimdPath, arguments: [&ArrayRef; N]) -> Result<ArrayRef>
where
    T: ArrowPrimitiveType<Native: Element>,
    K: Kernel<N>,
{
    let rows = arguments.iter().map(|array| array.len()).min().unwrap_or(0);
    if arguments.iter().any(|array| array.len() != rows || *array.data_type() != T::DATA_TYPE) {
        return exec_err!("the arguments differ in type or in length");
    }
    let inputs = arguments.map(|array| array.as_primitive::<T>().values().as_ref());
    let mut values = Vec::with_capacity(rows);
    evaluate::<T::Native, K, N>(path, inputs, &mut values.spare_capacity_mut()[..rows]);
    // SAFETY: the capacity is at least `rows`, and `evaluate` has initialized that many elements.
    unsafe { values.set_len(rows) };

    let nulls = NullBuffer::union_many(arguments.map(|array| array.nulls()));
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}
