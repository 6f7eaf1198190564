//! Arrays whose elements are not one after the other: slices with a step, transposed arrays, and arrays that are broadcast.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};

use crate::dtype::DType;

/// The elements of an array in memory, in the order of a shape: the last dimension varies fastest.
#[derive(Debug, Clone)]
pub struct Strided {
    first: *const u8,
    dtype: DType,
    shape: Vec<usize>,
    /// The distance in bytes between neighbors, for each dimension; 0 where an element is repeated.
    strides: Vec<isize>,
}

// SAFETY: the elements are only read; `new` demands that nothing writes them.
unsafe impl Send for Strided {}
// SAFETY: as above.
unsafe impl Sync for Strided {}

impl Strided {
    /// The elements of this shape.
    ///
    /// # Safety
    /// All elements must be readable while the value is used, and must not be written. They need not be aligned.
    pub unsafe fn new(first: *const u8, dtype: DType, shape: Vec<usize>, strides: Vec<isize>) -> Self {
        Self { first, dtype, shape, strides }
    }

    /// Copies elements from a position on into an array.
    pub fn copy(&self, start: usize, rows: usize) -> ArrayRef {
        match self.dtype {
            DType::Bool => {
                let bytes = self.gather::<u8>(start, rows);
                let bits = BooleanBuffer::collect_bool(rows, |row| bytes[row] != 0);
                Arc::new(BooleanArray::new(bits, None))
            }
            DType::Int8 => self.array::<Int8Type>(start, rows),
            DType::Int16 => self.array::<Int16Type>(start, rows),
            DType::Int32 => self.array::<Int32Type>(start, rows),
            DType::Int64 => self.array::<Int64Type>(start, rows),
            DType::UInt8 => self.array::<UInt8Type>(start, rows),
            DType::UInt16 => self.array::<UInt16Type>(start, rows),
            DType::UInt32 => self.array::<UInt32Type>(start, rows),
            DType::UInt64 => self.array::<UInt64Type>(start, rows),
            DType::Float32 => self.array::<Float32Type>(start, rows),
            DType::Float64 => self.array::<Float64Type>(start, rows),
        }
    }

    fn array<T: ArrowPrimitiveType>(&self, start: usize, rows: usize) -> ArrayRef {
        let values = self.gather::<T::Native>(start, rows);
        Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), None))
    }

    fn gather<T: Copy>(&self, start: usize, rows: usize) -> Vec<T> {
        let mut values = Vec::with_capacity(rows);
        let Some((&length, outer)) = self.shape.split_last() else {
            // SAFETY: an array without dimensions has one element.
            return vec![unsafe { self.first.cast::<T>().read_unaligned() }; rows];
        };
        let stride = self.strides[outer.len()];
        // The position in each dimension.
        let mut position = vec![0; outer.len()];
        let (mut line, mut column) = (start / length, start % length);
        for (dimension, &length) in outer.iter().enumerate().rev() {
            position[dimension] = line % length;
            line /= length;
        }
        while values.len() < rows {
            let offset: isize =
                position.iter().zip(&self.strides).map(|(&index, stride)| index as isize * stride).sum();
            let count = (length - column).min(rows - values.len());
            // SAFETY: the position is in the shape.
            let first = unsafe { self.first.offset(offset + column as isize * stride) };
            values.extend((0..count).map(|index| {
                // SAFETY: the elements are in the shape.
                unsafe { first.offset(index as isize * stride).cast::<T>().read_unaligned() }
            }));
            column = 0;
            for (dimension, &length) in outer.iter().enumerate().rev() {
                position[dimension] += 1;
                if position[dimension] < length {
                    break;
                }
                position[dimension] = 0;
            }
        }
        values
    }
}
