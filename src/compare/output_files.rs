//! The results of a mode, in record batches and in files.

use std::io::ErrorKind;
use std::path::Path;

use arrow::array::{Array, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::Float64Type;
use datafusion::common::{Result, exec_err};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use warpframe_io::{file_error, find_files};

/// Removes the output of an earlier run, a file or a folder, if it exists.
pub fn remove(output: &Path) -> Result<()> {
    let removed =
        if output.is_dir() { std::fs::remove_dir_all(output) } else { std::fs::remove_file(output) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(file_error("remove", output, error)),
        _ => Ok(()),
    }
}

/// The first column of each batch.
pub fn result_column(batches: Vec<RecordBatch>) -> Result<Vec<Float64Array>> {
    batches
        .iter()
        .map(|batch| match batch.column(0).as_primitive_opt::<Float64Type>() {
            Some(array) if array.null_count() == 0 => Ok(array.clone()),
            Some(_) => exec_err!("some results are null, which a comparison has no place for: use coalesce"),
            None => exec_err!("wrong answer: the results are not Float64"),
        })
        .collect()
}

/// The results in a Parquet file, or in the Parquet files of a folder.
pub fn read_back(path: &Path) -> Result<Vec<Float64Array>> {
    let mut batches = Vec::new();
    for file in find_files(&path.to_string_lossy(), "parquet")? {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file)?)?.build()?;
        batches.extend(reader.collect::<Result<Vec<_>, _>>()?);
    }
    result_column(batches)
}

/// The size in bytes of a file, or of all files in a folder; 0 if it cannot be read.
pub fn total_bytes(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => {
            entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
        }
        Err(_) => path.metadata().map_or(0, |file| file.len()),
    }
}
