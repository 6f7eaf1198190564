//! The CSV and TSV formats of SQL, with the options of `CREATE EXTERNAL TABLE` and `COPY`.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::config::{ConfigFileType, CsvOptions};
use datafusion::common::{GetExt, Result};
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};

use super::format::CsvFormat;
use crate::file_type::{Compression, DataFormat};
use crate::read_options::{CsvReadOptions, Header};

/// Makes [`CsvFormat`]s for SQL: those of CSV or of TSV.
#[derive(Debug)]
pub struct CsvFormatFactory {
    format: DataFormat,
}

impl CsvFormatFactory {
    /// The factory of `CSV`.
    pub fn csv() -> Self {
        Self { format: DataFormat::Csv }
    }

    /// The factory of `TSV`: CSV with tabs between values.
    pub fn tsv() -> Self {
        Self { format: DataFormat::Tsv }
    }

    /// The format of files that are read with these options, or those of the session where these say nothing.
    pub(crate) fn reading(
        &self,
        state: &dyn Session,
        compression: Compression,
        options: &CsvReadOptions,
    ) -> Arc<dyn FileFormat> {
        let mut csv = CsvOptions { compression, ..CsvOptions::default() };
        if self.format == DataFormat::Tsv {
            csv.delimiter = b'\t';
        }
        let mut read = self.with_session_options(state, csv.clone());
        options.apply(&mut read);
        Arc::new(CsvFormat::new(csv, read))
    }

    /// The options of files that are read, with those of the session.
    fn with_session_options(&self, state: &dyn Session, mut options: CsvOptions) -> CsvOptions {
        let mut session = CsvReadOptions::of(state);
        if self.format == DataFormat::Tsv {
            // A delimiter for all CSV files is not one for files of tabs.
            session.delimiter = None;
        }
        session.apply(&mut options);
        options
    }
}

impl GetExt for CsvFormatFactory {
    fn get_ext(&self) -> String {
        self.format.extension().to_owned()
    }
}

impl FileFormatFactory for CsvFormatFactory {
    fn create(&self, state: &dyn Session, options: &HashMap<String, String>) -> Result<Arc<dyn FileFormat>> {
        // DataFusion's option is true or false.
        let is_header = |key: &str| key.trim_start_matches("format.").eq_ignore_ascii_case("has_header");
        let mut detect = false;
        let mut others = options.clone();
        others.retain(|key, value| {
            let is_detect = is_header(key) && Header::from_name(value) == Some(Header::Detect);
            detect |= is_detect;
            !is_detect
        });
        let mut table = state.default_table_options();
        table.set_config_format(ConfigFileType::CSV);
        if self.format == DataFormat::Tsv {
            table.csv.delimiter = b'\t';
        }
        let mut read = table.clone();
        read.csv = self.with_session_options(state, read.csv);
        table.alter_with_string_hash_map(&others)?;
        read.alter_with_string_hash_map(&others)?;
        if detect {
            read.csv.has_header = None;
        }
        Ok(Arc::new(CsvFormat::new(table.csv, read.csv)))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(CsvFormat::default())
    }
}
