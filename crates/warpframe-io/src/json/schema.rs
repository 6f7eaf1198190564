//! The columns of JSON files, from the objects at their beginning.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::{Result, exec_err};
use object_store::{ObjectMeta, ObjectStore};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::array_items::ArrayItems;
use super::numbers::{Numbers, has_long_integer};
use crate::file_type::Compression;
use crate::text_input::Input;

/// The bytes that are read to find the columns of a table, in all files together.
const SAMPLE_BYTES: usize = 64 * 1024 * 1024;

/// The bytes that are read of each file at least.
const MIN_SAMPLE_BYTES: usize = 64 * 1024;

/// The bytes that are read of each of so many files to find the columns of a table.
pub(crate) fn sample_bytes(files: usize) -> usize {
    (SAMPLE_BYTES / files.max(1)).max(MIN_SAMPLE_BYTES)
}

/// Finds the columns of the objects in the first 64 MiB of files, or in the first `max_records` of each. An object need not have
/// all of them.
///
/// # Errors
/// A file cannot be read, is no JSON, or a column is an object or an array in one place and something else in another.
pub(super) async fn infer_schema(
    store: &Arc<dyn ObjectStore>,
    objects: &[ObjectMeta],
    compression: Compression,
    max_records: Option<usize>,
) -> Result<SchemaRef> {
    let sample = sample_bytes(objects.len());
    let mut columns = Columns::default();
    for object in objects {
        let mut input = Input::open(store, &object.location, 0, compression).await?;
        let (mut text, mut items, mut wanted, mut is_whole) =
            (Vec::new(), ArrayItems::default(), sample, false);
        loop {
            while text.len() < wanted && !is_whole {
                match input.next().await? {
                    None => is_whole = true,
                    Some(piece) => {
                        let start = text.len();
                        text.extend_from_slice(&piece);
                        items.separate(&mut text[start..]).map_err(|message| input.error(&message))?;
                    }
                }
            }
            let found = columns.clone().with_objects(&text, is_whole, max_records);
            match found.map_err(|message| input.error(&message))? {
                Some(found) => break columns = found,
                // The first object is longer than the sample.
                None => wanted = text.len() * 2,
            }
        }
        if is_whole && !items.is_complete() {
            return exec_err!("cannot read '{}': the array is not closed", input.name);
        }
    }
    Ok(Arc::new(Schema::new(columns.fields())))
}

/// Columns, or the fields of a struct, in the order of their first occurrence.
#[derive(Debug, Clone, Default, PartialEq)]
struct Columns(Vec<(String, Kind)>);

/// What the values of a column are.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Null,
    Boolean,
    Number(Numbers),
    /// One of the strings that stand for numbers which are not finite.
    NonFinite,
    Text,
    List(Box<Kind>),
    Struct(Columns),
}

impl Columns {
    /// These columns with those of the objects in a text; `None` if the text ends in its first object, and is not whole.
    fn with_objects(
        mut self,
        text: &[u8],
        is_whole: bool,
        max_records: Option<usize>,
    ) -> Result<Option<Self>, String> {
        let mut objects = serde_json::Deserializer::from_slice(text).into_iter::<Columns>();
        let (mut count, mut begin) = (0, 0);
        while count < max_records.unwrap_or(usize::MAX)
            && let Some(object) = objects.next()
        {
            let end = objects.byte_offset();
            match object {
                Ok(object) => self.merge(object.resolved(&text[begin..end]))?,
                Err(error) if error.is_eof() && !is_whole => return Ok((count > 0).then_some(self)),
                Err(error) => return Err(error.to_string()),
            }
            (count, begin) = (count + 1, end);
        }
        Ok(Some(self))
    }

    /// The columns of an object, whose text tells what the parser of numbers does not.
    fn resolved(mut self, text: &[u8]) -> Self {
        if self.0.iter().any(|(_, kind)| kind.is_open()) {
            let is_integer = has_long_integer(text);
            self.0.iter_mut().for_each(|(_, kind)| kind.resolve(is_integer));
        }
        self
    }

    fn merge(&mut self, other: Self) -> Result<(), String> {
        for (name, kind) in other.0 {
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                None => self.0.push((name, kind)),
                Some((_, known)) => {
                    let merged = std::mem::replace(known, Kind::Null).merge(kind);
                    *known = merged.map_err(|kinds| format!("'{name}' is both {kinds}"))?;
                }
            }
        }
        Ok(())
    }

    fn fields(self) -> Fields {
        self.0.into_iter().map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect()
    }
}

impl Kind {
    /// The kind that values of both have; the names of both if there is none.
    fn merge(self, other: Self) -> Result<Self, String> {
        use Kind::{List, NonFinite, Null, Number, Struct, Text};
        Ok(match (self, other) {
            (Null, kind) | (kind, Null) => kind,
            (one, other) if one == other => one,
            (Number(one), Number(other)) => Number(one.with(other)),
            (Number(numbers), NonFinite) | (NonFinite, Number(numbers)) => {
                Number(numbers.with(Numbers::FLOAT))
            }
            (List(one), List(other)) => List(Box::new(one.merge(*other)?)),
            (Struct(mut one), Struct(other)) => {
                one.merge(other)?;
                Struct(one)
            }
            (one @ (List(_) | Struct(_)), other) | (other, one @ (List(_) | Struct(_))) => {
                return Err(format!("{} and {}", one.name(), other.name()));
            }
            _ => Text,
        })
    }

    /// Whether numbers in it may have been written as integers or not.
    fn is_open(&self) -> bool {
        match self {
            Self::Number(numbers) => numbers.is_open(),
            Self::List(kind) => kind.is_open(),
            Self::Struct(columns) => columns.0.iter().any(|(_, kind)| kind.is_open()),
            _ => false,
        }
    }

    /// Takes these for integers, or not.
    fn resolve(&mut self, is_integer: bool) {
        match self {
            Self::Number(numbers) => *numbers = numbers.resolved(is_integer),
            Self::List(kind) => kind.resolve(is_integer),
            Self::Struct(columns) => columns.0.iter_mut().for_each(|(_, kind)| kind.resolve(is_integer)),
            _ => {}
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "an array",
            Self::Struct(_) => "an object",
            Self::Boolean => "true or false",
            Self::Number(_) => "a number",
            Self::Null => "null",
            Self::NonFinite | Self::Text => "a string",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Number(numbers) => numbers.data_type(),
            Self::Null | Self::NonFinite | Self::Text => DataType::Utf8,
            Self::List(kind) => DataType::List(Arc::new(Field::new_list_field(kind.data_type(), true))),
            Self::Struct(columns) => DataType::Struct(columns.fields()),
        }
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ColumnsVisitor)
    }
}

/// Visits an object.
struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
        let mut columns = Columns::default();
        while let Some((name, kind)) = map.next_entry::<String, Kind>()? {
            columns.merge(Columns(vec![(name, kind)])).map_err(serde::de::Error::custom)?;
        }
        Ok(columns)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

/// Visits a value of any kind.
struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Boolean)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(Numbers::signed(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(Numbers::unsigned(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Number(Numbers::float(value)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(if matches!(text, "NaN" | "Infinity" | "-Infinity") { Kind::NonFinite } else { Kind::Text })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut kind = Kind::Null;
        while let Some(item) = items.next_element::<Kind>()? {
            let merged = kind.merge(item);
            kind = merged.map_err(|kinds| serde::de::Error::custom(format!("an array has both {kinds}")))?;
        }
        Ok(Kind::List(Box::new(kind)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Kind, A::Error> {
        ColumnsVisitor.visit_map(map).map(Kind::Struct)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn columns(text: &str, is_whole: bool) -> Result<Option<String>, String> {
        let found = Columns::default().with_objects(text.as_bytes(), is_whole, None)?;
        Ok(found.map(|found| {
            let fields = found.fields();
            let named = fields.iter().map(|field| format!("{} {}", field.name(), field.data_type()));
            named.collect::<Vec<_>>().join(", ")
        }))
    }

    #[test]
    fn columns_are_those_of_all_objects_in_their_order() {
        let found = |text: &str| columns(text, true).unwrap().unwrap();
        assert_eq!(found("{\"z\":1,\"a\":null}\n{\"b\":true,\"a\":1.5}"), "z Int64, a Float64, b Boolean");
        assert_eq!(found(r#"{"v":1} {"v":"NaN"}"#), "v Float64");
        assert_eq!(found(r#"{"v":"NaN","w":1} {"w":"x"}"#), "v Utf8, w Utf8");
        let nested = found(r#"{"v":[],"s":{"a":1}} {"v":[1,2.5],"s":{"b":"x"}}"#);
        assert!(
            nested.starts_with("v List(") && nested.contains("Float64") && nested.contains("\"b\""),
            "{nested}"
        );
        assert!(
            columns(r#"{"v":1} {"v":{"a":1}}"#, true)
                .unwrap_err()
                .contains("'v' is both an object and a number")
        );
        assert!(
            columns(r#"{"v":[1,{}]}"#, true)
                .unwrap_err()
                .contains("an array has both an object and a number")
        );
    }

    #[test]
    fn integers_keep_their_digits() {
        for (text, expected) in [
            (r#"{"v":9223372036854775807} {"v":-9223372036854775808}"#, "v Int64"),
            (r#"{"v":9223372036854775808} {"v":0}"#, "v UInt64"),
            (r#"{"v":18446744073709551615} {"v":9007199254740993}"#, "v UInt64"),
            (r#"{"v":18446744073709551615} {"v":-1}"#, "v Utf8"),
            (r#"{"v":18446744073709551616}"#, "v Utf8"),
            (r#"{"v":-9223372036854775809}"#, "v Utf8"),
            (r#"{"v":1e30} {"v":-1e30} {"v":18446744073709551616.5}"#, "v Float64"),
            (r#"{"v":9007199254740993} {"v":0.5}"#, "v Utf8"),
            // DOUBLE is one of these integers, and is written as the other one.
            (r#"{"v":1152921504606846976} {"v":12345678901234567000} {"v":0.5}"#, "v Float64"),
            (r#"{"v":9007199254740992} {"v":"NaN"}"#, "v Float64"),
        ] {
            assert_eq!(columns(text, true).unwrap().unwrap(), expected, "{text}");
        }
        let nested = columns(r#"{"v":[{"a":18446744073709551616}],"w":1e30}"#, true).unwrap().unwrap();
        assert!(nested.contains("Utf8"), "{nested}");
    }

    #[test]
    fn a_text_that_ends_in_an_object_counts_up_to_there() {
        assert_eq!(columns(r#"{"a":1} {"b":"#, false), Ok(Some("a Int64".to_owned())));
        assert_eq!(columns(r#"{"a":"#, false), Ok(None));
        assert!(columns(r#"{"a":1} {"b":"#, true).is_err());
    }
}
