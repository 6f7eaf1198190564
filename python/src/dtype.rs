//! NumPy's numeric types, their promotion, and the types that represent them in Arrow arrays and in programs.

use arrow::datatypes::DataType;
use warpframe::ir::ScalarType;

/// A numeric type of NumPy that programs can read and return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of NumPy's types")]
pub enum DType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
}

use DType::*;

impl DType {
    /// All types.
    pub const ALL: [Self; 11] =
        [Bool, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64];

    /// NumPy's name.
    pub fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            Int8 => "int8",
            Int16 => "int16",
            Int32 => "int32",
            Int64 => "int64",
            UInt8 => "uint8",
            UInt16 => "uint16",
            UInt32 => "uint32",
            UInt64 => "uint64",
            Float32 => "float32",
            Float64 => "float64",
        }
    }

    /// The type of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The type of an element in a buffer of Python's buffer protocol: a format of the `struct` module, and the size of an
    /// element in bytes. `None` for other types, and for numbers in the other byte order.
    pub fn of_format(format: &[u8], size: usize) -> Option<Self> {
        let code = match format {
            [code] | [b'@' | b'=', code] => *code,
            [b'<', code] if cfg!(target_endian = "little") => *code,
            [b'>', code] if cfg!(target_endian = "big") => *code,
            _ => return None,
        };
        Some(match (code, size) {
            (b'?', 1) => Bool,
            (b'b', 1) => Int8,
            (b'B', 1) => UInt8,
            (b'h', 2) => Int16,
            (b'H', 2) => UInt16,
            (b'i' | b'l' | b'q', 4) => Int32,
            (b'I' | b'L' | b'Q', 4) => UInt32,
            (b'i' | b'l' | b'q', 8) => Int64,
            (b'I' | b'L' | b'Q', 8) => UInt64,
            (b'f', 4) => Float32,
            (b'd', 8) => Float64,
            _ => return None,
        })
    }

    /// The size of an element of an array in bytes.
    pub fn size(self) -> usize {
        match self {
            Bool | Int8 | UInt8 => 1,
            Int16 | UInt16 => 2,
            Int32 | UInt32 | Float32 => 4,
            Int64 | UInt64 | Float64 => 8,
        }
    }

    /// The Arrow type.
    pub fn arrow(self) -> DataType {
        match self {
            Bool => DataType::Boolean,
            Int8 => DataType::Int8,
            Int16 => DataType::Int16,
            Int32 => DataType::Int32,
            Int64 => DataType::Int64,
            UInt8 => DataType::UInt8,
            UInt16 => DataType::UInt16,
            UInt32 => DataType::UInt32,
            UInt64 => DataType::UInt64,
            Float32 => DataType::Float32,
            Float64 => DataType::Float64,
        }
    }

    /// The type of an Arrow array; `None` of one that is not numeric.
    pub fn of_arrow(data_type: &DataType) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.arrow() == *data_type)
    }

    /// The type of its values in programs. The values of integers are in the range of their own type.
    pub fn scalar_type(self) -> ScalarType {
        match self {
            Bool => ScalarType::Bool,
            Int8 | Int16 | Int32 | UInt8 | UInt16 => ScalarType::I32,
            Int64 | UInt32 => ScalarType::I64,
            Float32 => ScalarType::F32,
            UInt64 | Float64 => ScalarType::F64,
        }
    }

    /// Whether it is `float32` or `float64`.
    pub fn is_float(self) -> bool {
        matches!(self, Float32 | Float64)
    }

    /// Whether it is an integer type.
    pub fn is_integer(self) -> bool {
        !matches!(self, Bool | Float32 | Float64)
    }

    /// Whether it is a signed integer type.
    pub fn is_signed(self) -> bool {
        matches!(self, Int8 | Int16 | Int32 | Int64)
    }

    /// The number of bits of an element.
    pub fn bits(self) -> u32 {
        self.size() as u32 * 8
    }

    /// Whether an integer is in the range of the type. Every integer is in that of a type of floats.
    pub fn holds(self, integer: i64) -> bool {
        match self {
            Bool => integer == 0 || integer == 1,
            UInt64 => integer >= 0,
            Int64 | Float32 | Float64 => true,
            _ if self.is_signed() => (-1 << (self.bits() - 1)..1 << (self.bits() - 1)).contains(&integer),
            _ => (0..1 << self.bits()).contains(&integer),
        }
    }

    /// NumPy's `result_type` of two types.
    pub fn promote(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Bool, other) | (other, Bool) => other,
            (Float64, _) | (_, Float64) => Float64,
            (Float32, integer) | (integer, Float32) if integer.bits() <= 16 => Float32,
            (Float32, _) | (_, Float32) => Float64,
            (a, b) if a.is_signed() == b.is_signed() => {
                if a.bits() > b.bits() {
                    a
                } else {
                    b
                }
            }
            (a, b) => {
                let (signed, unsigned) = if a.is_signed() { (a, b) } else { (b, a) };
                match signed.bits().max(2 * unsigned.bits()) {
                    16 => Int16,
                    32 => Int32,
                    64 => Int64,
                    _ => Float64,
                }
            }
        }
    }

    /// The type in which functions such as `sqrt` are computed, which is the type of their result. NumPy's is `float16` for
    /// Booleans and integers of 8 bits, which programs do not have.
    pub fn float(self) -> Self {
        match self {
            Float32 => Float32,
            Bool | Int8 | UInt8 | Int16 | UInt16 => Float32,
            _ => Float64,
        }
    }
}
