//! Whether the first record of a file has the names of the columns.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Schema};

use super::decoder::read_as;
use super::type_inference::Kinds;

/// A value of the first record.
#[derive(Debug, Clone)]
pub(super) struct FirstValue {
    pub text: String,
    /// Whether it is quoted, and the value below it is not: then it is a name, though it may look like a number.
    pub is_name: bool,
    /// Whether it stands for NULL.
    pub is_null: bool,
}

impl FirstValue {
    /// The kinds of the value if it is data.
    pub fn kinds(&self) -> Kinds {
        match self.is_null {
            true => Kinds::default(),
            false => Kinds::of_value(&self.text),
        }
    }
}

/// Whether the first record is a header above columns of values of these kinds; `below` is `None` if there is no record below.
/// It is unless it fits the types of the values below, and one of them is not text.
pub(super) fn is_header(first: &[FirstValue], below: Option<&[Kinds]>) -> bool {
    let Some(below) = below else {
        return first.iter().all(|value| value.is_name || value.kinds().is_plain_text());
    };
    let mut typed = first.iter().zip(below).filter(|(_, below)| !below.is_plain_text()).peekable();
    let is_name =
        |value: &FirstValue, below: &Kinds| value.is_name || below.with(value.kinds()).is_plain_text();
    typed.peek().is_none() || typed.any(|(value, below)| is_name(value, below))
}

/// Whether the first record is a header of declared columns. It is if it has the names of all of them, and unless its values
/// have the declared types, of which one is not text.
pub(super) fn is_header_of(first: &[FirstValue], declared: &Schema) -> bool {
    let is_found = |name: &str| first.iter().any(|value| value.text.to_lowercase() == name.to_lowercase());
    if first.len() != declared.fields().len() || declared.fields().iter().all(|field| is_found(field.name()))
    {
        return true;
    }
    let is_text =
        |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let fits = |value: &FirstValue, data_type: &DataType| {
        let text = Arc::new(StringArray::from(vec![value.text.as_str()]));
        value.is_null || (!value.is_name && read_as(&text, data_type).is_ok())
    };
    let columns = first.iter().zip(declared.fields());
    let mut typed = columns.filter(|(_, field)| !is_text(field.data_type())).peekable();
    typed.peek().is_none() || typed.any(|(value, field)| !fits(value, field.data_type()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    fn record(text: &str) -> Vec<FirstValue> {
        let value = |text: &str| FirstValue {
            text: text.trim_matches('"').to_owned(),
            is_name: text.starts_with('"'),
            is_null: text.is_empty(),
        };
        text.split(',').map(value).collect()
    }

    fn kinds(text: &str) -> Vec<Kinds> {
        text.split(',').map(Kinds::of_value).collect()
    }

    #[test]
    fn a_record_that_fits_the_types_below_is_no_header() {
        for (first, below, expected) in [
            ("id,name", "1,x", true),
            ("0,y", "1,x", false),
            ("0.5,y", "1,x", false),
            (",y", "1,x", false),
            ("a,b", "x,y", true),
            ("1,2", "x,y", true),
            ("id,2024-01-01", "1,2024-01-02", true),
            ("1,day", "1,2024-01-02", true),
            ("1,2020", "1,2024-01-02", true),
            ("\"1\",\"2\"", "1,2", true),
            ("1,a", ",", true),
            ("true", "false", false),
            ("01234,y", "00501,x", false),
            ("zip,y", "00501,x", true),
        ] {
            assert_eq!(is_header(&record(first), Some(&kinds(below))), expected, "{first} above {below}");
        }
        assert!(is_header(&record("a,b"), None));
        assert!(!is_header(&record("a,1"), None));
        assert!(!is_header(&record("a,01"), None));
    }

    #[test]
    fn declared_columns_tell_a_header_by_names_and_types() {
        let columns = |types: [DataType; 2]| {
            let fields = ["a", "b"].into_iter().zip(types);
            Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).collect::<Vec<_>>())
        };
        let typed = columns([DataType::Int64, DataType::Utf8]);
        let text = columns([DataType::Utf8, DataType::Utf8]);
        assert!(is_header_of(&record("B,A"), &typed));
        assert!(!is_header_of(&record("1,a"), &typed));
        assert!(is_header_of(&record("x,y"), &typed));
        assert!(!is_header_of(&record("1,y"), &typed));
        assert!(!is_header_of(&record(",y"), &typed));
        assert!(is_header_of(&record("1,y,z"), &typed));
        assert!(is_header_of(&record("1,y"), &text));
    }
}
