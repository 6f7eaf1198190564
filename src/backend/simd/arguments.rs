//! How arguments become numbers and bits that blocks begin with.

use arrow::array::{ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};

use super::dispatch::Element;

/// Some bits, from the first of a word on; what fills up the last word is 0.
pub(super) fn copy_bits(bits: &BooleanBuffer, start: usize, count: usize, words: &mut [u64]) {
    let slice = bits.slice(start, count);
    for (word, bits) in words.iter_mut().zip(slice.bit_chunks().iter_padded()) {
        *word = bits;
    }
}

/// Numbers of another type, rounded to the nearest.
pub(super) fn convert<E: Element>(array: &ArrayRef, start: usize, target: &mut [E]) {
    macro_rules! from {
        ($type:ty, $from:ident) => {
            for (target, value) in target.iter_mut().zip(&array.as_primitive::<$type>().values()[start..]) {
                *target = E::$from(*value as _);
            }
        };
    }
    match array.data_type() {
        DataType::Float32 => {
            for (target, value) in
                target.iter_mut().zip(&array.as_primitive::<Float32Type>().values()[start..])
            {
                *target = E::from_f64((*value).into());
            }
        }
        DataType::Float64 => {
            for (target, value) in
                target.iter_mut().zip(&array.as_primitive::<Float64Type>().values()[start..])
            {
                *target = E::from_f64(*value);
            }
        }
        DataType::Int8 => from!(Int8Type, from_i64),
        DataType::Int16 => from!(Int16Type, from_i64),
        DataType::Int32 => from!(Int32Type, from_i64),
        DataType::Int64 => from!(Int64Type, from_i64),
        DataType::UInt8 => from!(UInt8Type, from_u64),
        DataType::UInt16 => from!(UInt16Type, from_u64),
        DataType::UInt32 => from!(UInt32Type, from_u64),
        DataType::UInt64 => from!(UInt64Type, from_u64),
        // Programs have no inputs of other types.
        _ => target.fill(E::ZERO),
    }
}
