//! The bytes of a text file, piece by piece and without its compression.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore};

use super::file_type::Compression;

/// The size of a piece of a local file, in bytes.
const PIECE: usize = 1024 * 1024;

/// A file that is open for reading.
pub(crate) struct Input {
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
        compression: Compression,
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
}

/// The file behind a location, if it is a local one.
pub(crate) async fn local_file(store: &Arc<dyn ObjectStore>, location: &Path) -> Result<Option<File>> {
    Ok(match store.get_opts(location, GetOptions::default()).await?.payload {
        GetResultPayload::File(file, _) => Some(file),
        GetResultPayload::Stream(_) => None,
    })
}
