//! Messages of the Parquet library without the names of its kinds of errors.

use parquet::errors::ParquetError;

/// What the library puts before the message of an error when it becomes a text.
const KINDS: [&str; 5] = ["Parquet error: ", "External: ", "EOF: ", "NYI: ", "Arrow: "];

/// The message of an error of the Parquet library, without the name of its kind.
pub fn parquet_message(error: &ParquetError) -> String {
    match error {
        ParquetError::External(cause) => match cause.downcast_ref() {
            Some(error) => parquet_message(error),
            None => cause.to_string(),
        },
        other => without_kind(&other.to_string()),
    }
}

/// The text of an error of the Parquet library without the names of kinds before it.
pub(super) fn without_kind(mut message: &str) -> String {
    while let Some(rest) = KINDS.iter().find_map(|kind| message.strip_prefix(kind)) {
        message = rest;
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_no_names_of_kinds() {
        let inner = ParquetError::General("the page is damaged".to_owned());
        let text = format!("External: {inner}");
        assert_eq!(without_kind(&text), "the page is damaged");
        assert_eq!(parquet_message(&ParquetError::External(Box::new(inner))), "the page is damaged");
        assert_eq!(parquet_message(&ParquetError::NYI("no intervals".to_owned())), "no intervals");
    }
}
