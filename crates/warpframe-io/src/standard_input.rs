//! The standard input and pipes as objects of a store. Their bytes can be read only once and in their order; what is read to find
//! the columns is kept until the query runs.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use parking_lot::Mutex;

use super::file_error::file_error;

/// The name of the standard input in messages, and of its object.
pub(super) const NAME: &str = "standard input";

/// The scheme of the store's URL.
pub(super) const SCHEME: &str = "stdin";

/// The greatest number of bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// Whether the standard input of this process is a table already.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether the name of a table stands for the standard input of this process.
pub(super) fn is_standard_input(name: &str) -> bool {
    name == "-" || (cfg!(unix) && matches!(name, "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0"))
}

/// The path of the standard input if it is a regular file, which can be opened again and read in any order.
pub(super) fn file_path() -> Option<&'static str> {
    const PATH: &str = "/proc/self/fd/0";
    let is_file = cfg!(target_os = "linux") && std::fs::metadata(PATH).is_ok_and(|input| input.is_file());
    is_file.then_some(PATH)
}

/// Opens a pipe with a name in the file system, such as `/dev/fd/63`, which a shell makes of `<(command)`. `None` if it is none.
///
/// # Errors
/// It cannot be opened.
pub(super) async fn open_pipe(name: &str) -> Result<Option<Box<dyn Read + Send>>> {
    if !is_pipe(name) {
        return Ok(None);
    }
    let path = std::path::PathBuf::from(name);
    let failed = |error: &dyn fmt::Display| file_error("read", std::path::Path::new(name), error);
    // Opening blocks until there is a writer.
    let opened = tokio::task::spawn_blocking(move || std::fs::File::open(path)).await;
    let opened = opened.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(Some(Box::new(opened)))
}

#[cfg(unix)]
fn is_pipe(name: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(name).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &str) -> bool {
    false
}

/// Takes the standard input of this process.
///
/// # Errors
/// It was taken before.
pub(super) fn take() -> Result<Box<dyn Read + Send>> {
    match TAKEN.swap(true, Ordering::Relaxed) {
        true => Err(read_before()),
        false => Ok(Box::new(std::io::stdin())),
    }
}

fn read_before() -> DataFusionError {
    let message = "the standard input, or a pipe, can be read only once: write it to a file first";
    DataFusionError::Execution(message.to_owned())
}

/// A store with one object, whose bytes come from a reader.
#[derive(Debug)]
pub(super) struct InputStore {
    /// The name of the object, and in messages.
    name: String,
    input: Arc<Mutex<Input>>,
    /// Whether the readers of the format want a file: then it is a pipe.
    as_pipe: bool,
}

/// Bytes that are read from the beginning again until they are taken.
struct Input {
    /// `None` when the bytes are taken.
    source: Option<Box<dyn Read + Send>>,
    /// All bytes that were read so far.
    kept: Vec<u8>,
    /// Whether the next one who reads all bytes takes them.
    is_sealed: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

impl Input {
    /// The bytes from a position on that have been read, or else that are read next. None at the end.
    fn read_kept(&mut self, position: usize) -> std::io::Result<Bytes> {
        if position >= self.kept.len() {
            let Some(source) = &mut self.source else {
                return Err(std::io::Error::other(read_before().message()));
            };
            let piece = read_piece(source)?;
            self.kept.extend_from_slice(&piece);
        }
        let end = self.kept.len().min(position.saturating_add(PIECE));
        Ok(self.kept.get(position..end).map(Bytes::copy_from_slice).unwrap_or_default())
    }
}

/// The next bytes of a reader; none at its end.
fn read_piece(source: &mut dyn Read) -> std::io::Result<Bytes> {
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => {
                piece.truncate(read?);
                return Ok(piece.into());
            }
        }
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: NAME, source: source.into() }
}

/// Runs a read that blocks until bytes come.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> object_store::Result<T> {
    tokio::task::spawn_blocking(read).await.map_err(failed)?.map_err(failed)
}

impl InputStore {
    /// A store for the bytes of a reader.
    pub fn new(name: &str, source: Box<dyn Read + Send>, as_pipe: bool) -> Self {
        let input = Input { source: Some(source), kept: Vec::new(), is_sealed: false };
        Self { name: name.to_owned(), input: Arc::new(Mutex::new(input)), as_pipe }
    }

    /// The first bytes, fewer if there are no more.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn first_bytes(&self, count: usize) -> object_store::Result<Bytes> {
        let input = Arc::clone(&self.input);
        blocking(move || {
            let mut input = input.lock();
            while input.kept.len() < count {
                let position = input.kept.len();
                if input.read_kept(position)?.is_empty() {
                    break;
                }
            }
            Ok(Bytes::copy_from_slice(&input.kept[..count.min(input.kept.len())]))
        })
        .await
    }

    /// Ends the time in which bytes are kept: the next one who reads all of them takes them.
    pub fn seal(&self) {
        self.input.lock().is_sealed = true;
    }

    /// The object. Its size is not known.
    pub fn object(&self) -> ObjectMeta {
        ObjectMeta {
            location: Path::from(self.name.as_str()),
            last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
            size: 0,
            e_tag: None,
            version: None,
        }
    }

    /// The bytes from the beginning, which others can read again.
    fn keep_reading(&self) -> GetResultPayload {
        let input = Arc::clone(&self.input);
        let pieces = stream::try_unfold(0, move |position| {
            let input = Arc::clone(&input);
            async move {
                let piece = blocking(move || input.lock().read_kept(position)).await?;
                let next = position + piece.len();
                Ok((!piece.is_empty()).then_some((piece, next)))
            }
        });
        GetResultPayload::Stream(pieces.boxed())
    }

    /// The bytes from the beginning, which no one can read afterwards.
    async fn read_once(&self) -> object_store::Result<GetResultPayload> {
        let input = Arc::clone(&self.input);
        // Someone may still be reading.
        let (kept, source) = blocking(move || {
            let mut input = input.lock();
            Ok((std::mem::take(&mut input.kept), input.source.take()))
        })
        .await?;
        let mut source = source.ok_or_else(|| failed(read_before().message().into_owned()))?;
        if self.as_pipe {
            let (reader, mut writer) = std::io::pipe().map_err(failed)?;
            // If the reader of the pipe ends early, so does the thread; if the source fails, the pipe ends too early.
            std::thread::spawn(move || std::io::copy(&mut kept.as_slice().chain(&mut source), &mut writer));
            return Ok(GetResultPayload::File(into_file(reader), NAME.into()));
        }
        let rest = stream::try_unfold(source, |mut source| async move {
            let (piece, source) = blocking(move || Ok((read_piece(&mut source)?, source))).await?;
            Ok((!piece.is_empty()).then_some((piece, source)))
        });
        let kept = (!kept.is_empty()).then(|| Ok(Bytes::from(kept)));
        Ok(GetResultPayload::Stream(stream::iter(kept).chain(rest).boxed()))
    }
}

#[cfg(unix)]
fn into_file(pipe: std::io::PipeReader) -> std::fs::File {
    std::os::fd::OwnedFd::from(pipe).into()
}

#[cfg(windows)]
fn into_file(pipe: std::io::PipeReader) -> std::fs::File {
    std::os::windows::io::OwnedHandle::from(pipe).into()
}

impl fmt::Display for InputStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

fn unsupported(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: NAME.to_owned() }
}

#[async_trait]
impl ObjectStore for InputStore {
    async fn get_opts(&self, _: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let meta = self.object();
        let (payload, range) = match options.range {
            None | Some(GetRange::Offset(0)) => {
                let is_sealed = self.input.lock().is_sealed;
                match is_sealed {
                    true => (self.read_once().await?, 0..0),
                    false => (self.keep_reading(), 0..0),
                }
            }
            // The format is looked at again when the query is planned.
            Some(GetRange::Bounded(range)) if range.end <= PIECE as u64 => {
                let first = self.first_bytes(range.end as usize).await?;
                let bytes = first.slice((range.start as usize).min(first.len())..);
                (GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed()), range)
            }
            Some(_) => return Err(unsupported("reading from a place in the middle")),
        };
        Ok(GetResult { payload, meta, range, attributes: Attributes::default() })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        Err(unsupported("put"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(unsupported("put"))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        stream::iter([Err(unsupported("delete"))]).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        stream::iter([Ok(self.object())]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(unsupported("list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(unsupported("copy"))
    }
}
