//! The names of the columns of files, which tell them apart.

use std::collections::HashSet;

use arrow::datatypes::Schema;
use datafusion::common::{Result, exec_err};

/// A name that two columns have.
pub(super) fn repeated_name(schema: &Schema) -> Option<&str> {
    let mut names = HashSet::new();
    schema.fields().iter().map(|field| field.name().as_str()).find(|name| !names.insert(*name))
}

/// Checks that the columns of an output have different names. Readers find columns by their names, and refuse such files or read
/// one of the columns.
///
/// # Errors
/// Two columns have one name.
pub fn check_output_names(schema: &Schema) -> Result<()> {
    match repeated_name(schema) {
        None => Ok(()),
        Some(name) => exec_err!("the output would have two columns '{name}': rename one with AS"),
    }
}
