//! The format of `COPY ... TO`, by the name of its output.

use std::path::Path;

use datafusion::common::{Result, plan_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Value;
use warpframe_io::{DataFormat, FileType, compression_of_path};

/// Adds the format and the compression that the name of a `COPY`'s output stands for, as in `x.csv.gz` or `x.tab`, unless the
/// statement has them.
///
/// # Errors
/// `COPY` does not write the format, or the name stands for another one than `STORED AS`.
pub fn name_copy_format(statement: &mut Statement) -> Result<()> {
    let copy = match statement {
        Statement::CopyTo(copy) => copy,
        Statement::Explain(explain) => return name_copy_format(&mut explain.statement),
        _ => return Ok(()),
    };
    let meant = FileType::of_path(Path::new(&copy.target));
    let chosen = copy.stored_as.as_deref().and_then(DataFormat::from_name);
    if meant.is_none() && copy.stored_as.is_none() && compression_of_path(Path::new(&copy.target)).is_some() {
        return plan_err!(
            "'{}' cannot be written: only text is compressed as a whole, as in x.csv.gz; choose another name",
            copy.target
        );
    }
    if let (Some(chosen), Some(meant)) = (chosen, meant)
        && !copy.target.ends_with('/')
        && !is_same(chosen, meant.format, &copy.options)
    {
        return plan_err!(
            "COPY ... STORED AS {chosen}, but the extension of '{}' means {}: leave STORED AS out, or choose another name",
            copy.target,
            meant.format
        );
    }
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

/// Whether files of a format can have the extension of another one. `COPY` writes objects line by line as JSON too, and values
/// between tabs as CSV with this delimiter.
fn is_same(chosen: DataFormat, meant: DataFormat, options: &[(String, Value)]) -> bool {
    let is_json = |format| matches!(format, DataFormat::Json | DataFormat::Ndjson);
    let is_delimiter = |key: &str| key.to_ascii_lowercase().trim_start_matches("format.") == "delimiter";
    chosen == meant
        || (is_json(chosen) && is_json(meant))
        || ((chosen, meant) == (DataFormat::Csv, DataFormat::Tsv)
            && options.iter().any(|(key, _)| is_delimiter(key)))
}
