//! The format of `COPY ... TO`, by the name of its output.

use std::path::Path;

use datafusion::common::{Result, plan_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Value;
use warpframe_io::{DataFormat, FileType};

/// Adds the format and the compression that the name of a `COPY`'s output stands for, as in `x.csv.gz` or `x.tab`, unless the
/// statement has them.
///
/// # Errors
/// `COPY` does not write the format.
pub fn name_copy_format(statement: &mut Statement) -> Result<()> {
    let copy = match statement {
        Statement::CopyTo(copy) => copy,
        Statement::Explain(explain) => return name_copy_format(&mut explain.statement),
        _ => return Ok(()),
    };
    let meant = FileType::of_path(Path::new(&copy.target));
    let chosen = copy.stored_as.as_deref().and_then(DataFormat::from_name);
    let Some(format) = chosen.or(meant.map(|meant| meant.format)) else { return Ok(()) };
    if matches!(format, DataFormat::Avro | DataFormat::ArrowStream) {
        return plan_err!("COPY does not write {format}: write Parquet, or use warpframe sql --out");
    }
    let Some(meant) = meant else { return Ok(()) };
    copy.stored_as.get_or_insert_with(|| format.name().to_uppercase());
    let is_compression = |key: &str| key.to_ascii_lowercase().trim_start_matches("format.") == "compression";
    if meant.compression.is_compressed() && !copy.options.iter().any(|(key, _)| is_compression(key)) {
        let compression = Value::SingleQuotedString(meant.compression.to_string());
        copy.options.push(("format.compression".to_owned(), compression));
    }
    Ok(())
}
