//! The numbers of input arrays: read in place where they have the type of the program's value, else converted for each block.

use std::cell::Cell;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use warpframe_ir::ScalarType;
use warpframe_ir::error::{Error, Result};

use super::class::Class;

/// Writes the numbers of the rows of an array from a row on, converted to the type of the program's value, to a location.
///
/// # Safety
/// The array must have the type that the converter is for, and the rows; the location must be writable for them.
type Converter = unsafe fn(array: &ArrayRef, start: usize, rows: usize, target: *mut ());

/// How the numbers of an input are loaded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loader {
    /// The array's numbers have this size in bytes, and the type of the program's value.
    InPlace(usize),
    /// The numbers are converted to ones of this size.
    Converted(Converter, usize),
    /// The input is a Boolean.
    Bits,
}

/// Copies `count` bits from position `start` on to mask words; unused bits of the last word are 0.
pub(super) fn copy_bits(bits: &BooleanBuffer, start: usize, count: usize, words: &[Cell<u64>]) {
    let slice = bits.slice(start, count);
    for (word, bits) in words.iter().zip(slice.bit_chunks().iter_padded()) {
        word.set(bits);
    }
}

impl Loader {
    /// The loader for arrays of a type.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`]: inputs of this type are not supported.
    pub fn of(data_type: &DataType) -> Result<Self> {
        macro_rules! converted {
            ($array:ty, $native:ty) => {{
                unsafe fn convert(array: &ArrayRef, start: usize, rows: usize, target: *mut ()) {
                    let numbers = &array.as_primitive::<$array>().values()[start..start + rows];
                    // SAFETY: the caller guarantees that the target is writable for the rows; the memory is initialized.
                    let target = unsafe { std::slice::from_raw_parts_mut(target.cast::<$native>(), rows) };
                    for (target, &number) in target.iter_mut().zip(numbers) {
                        *target = number as $native;
                    }
                }
                Self::Converted(convert, size_of::<$native>())
            }};
        }
        Ok(match data_type {
            DataType::Boolean => Self::Bits,
            DataType::Int8 => converted!(Int8Type, i32),
            DataType::Int16 => converted!(Int16Type, i32),
            DataType::UInt8 => converted!(UInt8Type, i32),
            DataType::UInt16 => converted!(UInt16Type, i32),
            DataType::UInt32 => converted!(UInt32Type, i64),
            DataType::UInt64 => converted!(UInt64Type, f64),
            other => match ScalarType::of(other) {
                Some(scalar_type) => Self::InPlace(Class::of(scalar_type).width()),
                None => {
                    return Err(Error::InvalidProgram(format!(
                        "a program cannot have an input of type {other}"
                    )));
                }
            },
        })
    }

    /// The size of a number in bytes, of those that the executor reads; 0 for Booleans.
    pub fn width(self) -> usize {
        match self {
            Self::InPlace(width) | Self::Converted(_, width) => width,
            Self::Bits => 0,
        }
    }
}
