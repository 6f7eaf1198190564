//! The bytes of a CSV file, piece by piece.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore};

use super::CsvError;
use super::dialect::CsvDialect;
use super::record_reader::{RecordReader, Step, count_lines};

/// The size of a piece of a local file, in bytes.
const PIECE: usize = 1024 * 1024;

/// A CSV file that is open for reading.
pub(super) struct Input {
    /// The name of the file in messages.
    pub name: String,
    source: Source,
}

enum Source {
    Local(Box<dyn Read + Send>),
    Remote(BoxStream<'static, Result<Bytes>>),
}

impl Input {
    /// Opens a file at a position; a compressed one at its beginning.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn open(
        store: &Arc<dyn ObjectStore>,
        location: &Path,
        start: u64,
        compression: CompressionTypeVariant,
    ) -> Result<Self> {
        let options = match start {
            0 => GetOptions::default(),
            start => GetOptions { range: Some(GetRange::Offset(start)), ..GetOptions::default() },
        };
        let found = store.get_opts(location, options).await?;
        let compression = FileCompressionType::from(compression);
        Ok(match found.payload {
            GetResultPayload::File(mut file, path) => {
                file.seek(SeekFrom::Start(start))?;
                let name = path.display().to_string();
                Self { name, source: Source::Local(compression.convert_read(file)?) }
            }
            GetResultPayload::Stream(stream) => {
                let stream = compression.convert_stream(stream.map_err(DataFusionError::from).boxed())?;
                Self { name: location.to_string(), source: Source::Remote(stream) }
            }
        })
    }

    /// The next bytes; `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match &mut self.source {
            // Reading blocks this thread, as all of DataFusion's reading of local files does.
            Source::Local(file) => {
                let mut piece = Vec::with_capacity(PIECE);
                let length = file.take(PIECE as u64).read_to_end(&mut piece);
                let length = length.map_err(|error| self.error(&error))?;
                Ok((length > 0).then(|| piece.into()))
            }
            Source::Remote(stream) => stream.next().await.transpose(),
        }
    }

    /// An execution error of the form "cannot read '{name}': {cause}".
    pub fn error(&self, cause: &dyn std::fmt::Display) -> DataFusionError {
        DataFusionError::Execution(format!("cannot read '{}': {cause}", self.name))
    }

    /// An execution error for a fault at a line.
    pub fn csv_error(&self, error: &CsvError) -> DataFusionError {
        self.error(&format_args!("line {}: {}", error.line, error.message))
    }

    /// Reads the first record. If it is a header, the reader is behind it, or else before it. `None` if there is no record.
    ///
    /// # Errors
    /// The file cannot be read, or the record is not valid.
    pub async fn read_first_record(
        &mut self,
        dialect: &CsvDialect,
    ) -> Result<Option<(Vec<String>, RecordReader)>> {
        let mut reader = RecordReader::new(dialect.clone(), 0);
        let mut pieces = Vec::new();
        loop {
            match reader.advance(u64::MAX).map_err(|error| self.csv_error(&error))? {
                Step::Record => break,
                Step::End => return Ok(None),
                Step::NeedsInput => match self.next().await? {
                    None => reader.finish(),
                    Some(piece) => {
                        reader.feed(&piece);
                        pieces.push(piece);
                    }
                },
            }
        }
        let values = (0..reader.len()).map(|index| match reader.value(index) {
            Some((value, _)) => String::from_utf8(value.to_vec()).map_err(|_| {
                self.error(&format_args!("line {}: the header is not UTF-8 text", reader.line()))
            }),
            None => Ok(String::new()),
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        if !dialect.has_header {
            reader = RecordReader::new(dialect.clone(), 0);
            pieces.iter().for_each(|piece| reader.feed(piece));
        }
        Ok(Some((values, reader)))
    }

    /// Skips to the beginning of the first record that begins behind the first byte of this input, which is at `start` in
    /// the file. No quoted value has a line break. `None` if there is no such record.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn skip_to_record(
        mut self,
        dialect: &CsvDialect,
        start: u64,
    ) -> Result<Option<(Self, RecordReader)>> {
        let (mut skipped, mut after_cr) = (start, false);
        while let Some(piece) = self.next().await? {
            let begins = match after_cr {
                // A line feed behind a carriage return belongs to it.
                true => Some(usize::from(piece.first() == Some(&b'\n'))),
                false => match piece.iter().position(|byte| dialect.ends_record(*byte)) {
                    Some(end) if dialect.terminator.is_none() && piece[end] == b'\r' => {
                        match piece.get(end + 1) {
                            Some(b'\n') => Some(end + 2),
                            Some(_) => Some(end + 1),
                            None => {
                                after_cr = true;
                                None
                            }
                        }
                    }
                    end => end.map(|end| end + 1),
                },
            };
            let Some(begins) = begins else {
                skipped += piece.len() as u64;
                continue;
            };
            let mut reader = RecordReader::new(dialect.clone(), skipped + begins as u64);
            reader.feed(&piece[begins..]);
            return Ok(Some((self, reader)));
        }
        Ok(None)
    }
}

/// The number of lines that end before a position of a file.
///
/// # Errors
/// The file cannot be read.
pub(super) async fn lines_before(store: &Arc<dyn ObjectStore>, location: &Path, end: u64) -> Result<u64> {
    let mut input = Input::open(store, location, 0, CompressionTypeVariant::UNCOMPRESSED).await?;
    let (mut rest, mut lines) = (end, 0);
    while rest > 0
        && let Some(piece) = input.next().await?
    {
        let length = (piece.len() as u64).min(rest);
        lines += count_lines(&piece[..length as usize]);
        rest -= length;
    }
    Ok(lines)
}

/// The file behind a location, if it is a local one.
pub(super) async fn local_file(store: &Arc<dyn ObjectStore>, location: &Path) -> Result<Option<File>> {
    Ok(match store.get_opts(location, GetOptions::default()).await?.payload {
        GetResultPayload::File(file, _) => Some(file),
        GetResultPayload::Stream(_) => None,
    })
}
