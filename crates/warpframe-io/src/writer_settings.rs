//! The settings of the Parquet writer.

use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DataFusionError, Result};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};

/// The compression of Parquet pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParquetCompression {
    /// No compression.
    #[default]
    None,
    /// Snappy.
    Snappy,
    /// LZ4 (raw blocks).
    Lz4,
    /// Zstandard, level 1.
    Zstd,
}

impl ParquetCompression {
    /// All compressions.
    pub const ALL: [Self; 4] = [Self::None, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    fn codec(self) -> Result<Compression, ParquetError> {
        Ok(match self {
            Self::None => Compression::UNCOMPRESSED,
            Self::Snappy => Compression::SNAPPY,
            Self::Lz4 => Compression::LZ4_RAW,
            Self::Zstd => Compression::ZSTD(ZstdLevel::try_new(1)?),
        })
    }
}

impl fmt::Display for ParquetCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ParquetCompression {
    type Err = DataFusionError;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            DataFusionError::Configuration(format!("there is no compression '{name}': use one of {names}"))
        })
    }
}

/// Settings of the Parquet writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterSettings {
    /// The compression of pages.
    pub compression: ParquetCompression,
    /// The maximum number of rows in a row group. A writer holds one encoded row group in memory.
    pub row_group_rows: usize,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self { compression: ParquetCompression::default(), row_group_rows: 1024 * 1024 }
    }
}

impl WriterSettings {
    /// The Parquet writer properties for a schema. The schema's metadata becomes the file's key-value metadata.
    ///
    /// Floating-point columns have no dictionary: computed numbers rarely repeat, so the writer would build a
    /// dictionary, exceed its size limit and fall back to plain encoding. Integers are encoded as
    /// `DELTA_BINARY_PACKED`. Statistics are written per column chunk, which readers prune row groups by, and not
    /// per page.
    ///
    /// # Errors
    /// Parquet does not accept the compression level.
    pub fn properties(&self, schema: &Schema) -> Result<WriterProperties> {
        let mut metadata: Vec<_> =
            schema.metadata().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        // Hash maps have no defined order; the same input must produce the same bytes.
        metadata.sort_by(|one, other| one.key.cmp(&other.key));
        let mut builder = WriterProperties::builder()
            .set_created_by(concat!("warpframe ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(self.compression.codec()?)
            .set_max_row_group_row_count(Some(self.row_group_rows))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_key_value_metadata((!metadata.is_empty()).then_some(metadata));
        for field in schema.fields() {
            let column = ColumnPath::from(field.name().as_str());
            match field.data_type() {
                DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                    builder = builder.set_column_dictionary_enabled(column, false);
                }
                DataType::Int32 | DataType::Int64 | DataType::UInt32 | DataType::UInt64 => {
                    builder = builder
                        .set_column_dictionary_enabled(column.clone(), false)
                        .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
                }
                _ => {}
            }
        }
        Ok(builder.build())
    }
}
