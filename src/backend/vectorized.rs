//! The backend that runs vector code on Arrow arrays: types, validity and buffers. The code is in `simd`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Float32Type, Float64Type};
use datafusion::common::{DataFusionError, Result, exec_err};

use super::simd::{Element, Execution, Log3, SimdPath, SimdPathError, evaluate, run_on};
use super::{Backend, Interpreted};
use crate::program::{Fault, Kind, Precision, Program, Special};

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

    /// The backend on a path named by the caller.
    ///
    /// # Errors
    /// This CPU lacks the instructions.
    pub fn on(path: SimdPath) -> Result<Self> {
        match path.is_available() {
            true => Ok(Self { path }),
            false => Err(DataFusionError::External(SimdPathError::Unavailable(path).into())),
        }
    }
}

impl Backend for Simd {
    fn description(&self) -> String {
        format!("simd {}", self.path)
    }

    fn evaluate(&self, program: &Program, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        program.check(arguments, rows)?;
        if !program.is_strict() && program.has_undeclared_nulls(arguments) {
            // Vector code follows nulls only where they were declared.
            return Interpreted.evaluate(program, arguments, rows);
        }
        match (program.precision(), program.special()) {
            (Precision::Double, Some(Special::Log3)) => self.log3::<Float64Type>(arguments),
            (Precision::Single, Some(Special::Log3)) => self.log3::<Float32Type>(arguments),
            (Precision::Double, None) => self.execute::<Float64Type>(program, arguments, rows),
            (Precision::Single, None) => self.execute::<Float32Type>(program, arguments, rows),
        }
    }
}

impl Simd {
    /// The kernel written by hand, on all lanes, null ones included.
    fn log3<T: ArrowPrimitiveType<Native: Element>>(&self, arguments: &[ArrayRef]) -> Result<ArrayRef> {
        let [x, y, z] = arguments else {
            return exec_err!("log3 takes 3 arrays, not {}", arguments.len());
        };
        let inputs = [x, y, z].map(|array| array.as_primitive::<T>().values().as_ref());
        let rows = x.len();
        let mut values = Vec::with_capacity(rows);
        evaluate::<T::Native, Log3, 3>(self.path, inputs, &mut values.spare_capacity_mut()[..rows]);
        // SAFETY: the capacity is at least `rows`, and `evaluate` has initialized that many elements.
        unsafe { values.set_len(rows) };
        Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), joined_nulls(arguments))))
    }

    fn execute<T: ArrowPrimitiveType<Native: Element>>(
        &self,
        program: &Program,
        arguments: &[ArrayRef],
        rows: usize,
    ) -> Result<ArrayRef> {
        let is_number = program.kind(program.output()) == Kind::Number;
        let (mut values, mut truths, mut validity) = (Vec::new(), Vec::new(), Vec::new());
        if is_number {
            values.reserve_exact(rows);
        } else {
            truths.reserve_exact(rows.div_ceil(64));
        }
        let numbers = &mut values.spare_capacity_mut()[..if is_number { rows } else { 0 }];
        T::Native::scratch().with(|scratch| {
            let scratch = &mut *scratch.borrow_mut();
            let outputs = (numbers, &mut truths, &mut validity);
            let execution = Execution::new(program, arguments, rows, scratch, outputs);
            run_on(self.path, execution).map_err(Fault::error)
        })?;
        let nulls = if program.is_strict() {
            joined_nulls(arguments)
        } else if program.may_be_null(program.output()) {
            let bits = BooleanBuffer::new(Buffer::from_vec(validity), 0, rows);
            Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0)
        } else {
            None
        };
        if is_number {
            // SAFETY: the capacity is at least `rows`, and the execution has written that many elements.
            unsafe { values.set_len(rows) };
            Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
        } else {
            let bits = BooleanBuffer::new(Buffer::from_vec(truths), 0, rows);
            Ok(Arc::new(BooleanArray::new(bits, nulls)))
        }
    }
}

/// Null where any argument is.
fn joined_nulls(arguments: &[ArrayRef]) -> Option<NullBuffer> {
    NullBuffer::union_many(arguments.iter().map(|array| array.nulls()))
}
