//! Where the columns of a table are in the records of a file.

use arrow::datatypes::Schema;

/// For each column of a table, its position in the records of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnMap {
    /// The number of values in a record.
    pub values: usize,
    /// By column of the table.
    pub positions: Vec<usize>,
}

impl ColumnMap {
    /// The map of a file without a header.
    pub fn by_position(columns: usize) -> Self {
        Self { values: columns, positions: (0..columns).collect() }
    }

    /// The map of a file with a header. Names match exactly, or else without regard to case. With `rename`, a header that
    /// has none of the table's columns, but as many, is that of columns which the table renames.
    ///
    /// # Errors
    /// A column is missing, or there is more than one of its name; without `rename`, the header has further columns.
    pub fn by_name(header: &[String], schema: &Schema, rename: bool) -> Result<Self, String> {
        let names = || schema.fields().iter().map(|field| field.name().as_str());
        let find = |name: &str| -> Vec<usize> {
            let matching = |matches: &dyn Fn(&str) -> bool| {
                let positions = header.iter().enumerate().filter(|(_, found)| matches(found));
                positions.map(|(position, _)| position).collect::<Vec<_>>()
            };
            match matching(&|found| found == name) {
                exact if exact.is_empty() => matching(&|found| found.to_lowercase() == name.to_lowercase()),
                exact => exact,
            }
        };
        if rename && header.len() == names().count() && names().all(|name| find(name).is_empty()) {
            return Ok(Self::by_position(header.len()));
        }
        let mut positions = Vec::with_capacity(schema.fields().len());
        for name in names() {
            match find(name)[..] {
                [position] => positions.push(position),
                [] => {
                    return Err(format!("its header has no column '{name}': it has {}", quoted_list(header)));
                }
                _ => return Err(format!("its header has more than one column '{name}'")),
            }
        }
        if let Some(other) = (0..header.len()).find(|position| !positions.contains(position))
            && !rename
        {
            let other = &header[other];
            return Err(format!("its header has a column '{other}', which the first file does not have"));
        }
        Ok(Self { values: header.len(), positions })
    }
}

/// Names in quotes, separated by commas.
fn quoted_list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}
