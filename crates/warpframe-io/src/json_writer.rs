//! JSON that tells NULL, NaN and infinity apart. Arrow's writer leaves out columns that are NULL and writes `null` for
//! numbers that are not finite, because JSON has no such numbers.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonFormat, NullableEncoder, Writer, make_encoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions, WriterBuilder};
use datafusion::common::{Result as DataFusionResult, exec_err};
use serde::{Deserialize, Serialize};

use super::column_names::repeated_name;

/// What NaN and infinities become in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NonFinite {
    /// The strings "NaN", "Infinity" and "-Infinity", as in the JSON of Protocol Buffers.
    #[default]
    String,
    /// `null`, which loses them.
    Null,
}

impl NonFinite {
    /// The choice of a name: `string` or `null`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "string" => Some(Self::String),
            "null" => Some(Self::Null),
            _ => None,
        }
    }
}

/// A writer of JSON objects with all columns.
pub(super) fn json_writer<W: Write, F: JsonFormat>(out: W, non_finite: NonFinite) -> Writer<W, F> {
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    match non_finite {
        NonFinite::String => builder.with_encoder_factory(Arc::new(NonFiniteStrings)).build(out),
        NonFinite::Null => builder.build(out),
    }
}

/// Checks that no two columns have the same name, which readers of JSON objects keep one of.
///
/// # Errors
/// Two columns have one name.
pub(super) fn check_json_names(schema: &Schema) -> DataFusionResult<()> {
    match repeated_name(schema) {
        None => Ok(()),
        Some(name) => {
            exec_err!(
                "the output would have two columns '{name}', which a JSON object cannot have: rename one with AS"
            )
        }
    }
}

/// Makes encoders of floating-point columns that write numbers that are not finite as strings.
#[derive(Debug)]
struct NonFiniteStrings;

impl EncoderFactory for NonFiniteStrings {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        match array.data_type() {
            DataType::Float16 => encoder::<Float16Type>(field, array).map(Some),
            DataType::Float32 => encoder::<Float32Type>(field, array).map(Some),
            DataType::Float64 => encoder::<Float64Type>(field, array).map(Some),
            _ => Ok(None),
        }
    }
}

fn encoder<'a, T: ArrowPrimitiveType<Native: Into<f64>>>(
    field: &'a FieldRef,
    array: &'a dyn Array,
) -> Result<NullableEncoder<'a>, ArrowError> {
    static DEFAULT: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);
    let encoder =
        FloatEncoder { values: array.as_primitive::<T>(), finite: make_encoder(field, array, &DEFAULT)? };
    Ok(NullableEncoder::new(Box::new(encoder), array.nulls().cloned()))
}

/// Writes finite numbers as Arrow does, and others as strings.
struct FloatEncoder<'a, T: ArrowPrimitiveType> {
    values: &'a PrimitiveArray<T>,
    finite: NullableEncoder<'a>,
}

impl<T: ArrowPrimitiveType<Native: Into<f64>>> Encoder for FloatEncoder<'_, T> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let value: f64 = self.values.value(row).into();
        match value {
            f64::INFINITY => out.extend_from_slice(br#""Infinity""#),
            f64::NEG_INFINITY => out.extend_from_slice(br#""-Infinity""#),
            value if value.is_nan() => out.extend_from_slice(br#""NaN""#),
            _ => self.finite.encode(row, out),
        }
    }
}
