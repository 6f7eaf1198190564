//! Conversion of input arrays to floats of the program's precision and to mask words.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use warpframe_ir::error::{Error, Result};

use super::lanes::SimdElement;

/// Fills a slice with the values of an array from a row on, converted to the target type with rounding to nearest.
pub(super) type Converter<E> = fn(&ArrayRef, usize, &mut [E]);

/// Copies `count` bits from position `start` on to mask words; unused bits of the last word are 0.
pub(super) fn copy_bits(bits: &BooleanBuffer, start: usize, count: usize, words: &mut [u64]) {
    let slice = bits.slice(start, count);
    for (word, bits) in words.iter_mut().zip(slice.bit_chunks().iter_padded()) {
        *word = bits;
    }
}

/// The converter for arrays of a type; `None` for Booleans, for which [`copy_bits`] is used.
///
/// # Errors
/// [`Error::InvalidProgram`]: inputs of this type are not supported.
pub(super) fn converter<E: SimdElement>(data_type: &DataType) -> Result<Option<Converter<E>>> {
    macro_rules! from {
        ($type:ty, $number:ident => $convert:expr) => {
            |array, start, target| {
                for (target, &$number) in
                    target.iter_mut().zip(&array.as_primitive::<$type>().values()[start..])
                {
                    *target = $convert;
                }
            }
        };
    }
    Ok(Some(match data_type {
        DataType::Float64 => from!(Float64Type, number => E::from_f64(number)),
        DataType::Float32 => from!(Float32Type, number => E::from_f64(number.into())),
        DataType::Int8 => from!(Int8Type, number => E::from_i64(number.into())),
        DataType::Int16 => from!(Int16Type, number => E::from_i64(number.into())),
        DataType::Int32 => from!(Int32Type, number => E::from_i64(number.into())),
        DataType::Int64 => from!(Int64Type, number => E::from_i64(number)),
        DataType::UInt8 => from!(UInt8Type, number => E::from_u64(number.into())),
        DataType::UInt16 => from!(UInt16Type, number => E::from_u64(number.into())),
        DataType::UInt32 => from!(UInt32Type, number => E::from_u64(number.into())),
        DataType::UInt64 => from!(UInt64Type, number => E::from_u64(number)),
        DataType::Boolean => return Ok(None),
        other => {
            return Err(Error::InvalidProgram(format!("a program cannot have an input of type {other}")));
        }
    }))
}
