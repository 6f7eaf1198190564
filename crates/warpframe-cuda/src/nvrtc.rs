//! Compiles kernels with NVRTC, with a cache in memory and on disk. NVRTC is searched and loaded at its first use, so it is
//! needed neither to build nor to run the other backends.

use std::collections::VecDeque;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::codegen::OPTIONS;
use super::cuda_version::CudaVersion;
use super::disk_cache;
use super::driver::CudaError;
use super::nvrtc_library::{NvrtcLibrary, OutputKind};

type Result<T> = std::result::Result<T, CudaError>;

/// The maximum number of entries of the cache in memory.
const MAX_MEMORY_ENTRIES: usize = 256;

/// The maximum number of entries of the cache on disk.
const MAX_DISK_ENTRIES: usize = 1024;

/// The first line of an entry on disk, with the version of its format.
const MAGIC: &str = "warpframe kernel 3";

/// A compiler with a cache: each kernel is compiled once per architecture.
#[derive(Debug)]
pub struct Compiler {
    folder: Option<PathBuf>,
    /// The cache in memory: keys and compiled kernels, the least recently used first.
    memory: Mutex<VecDeque<(String, Arc<[u8]>)>>,
    compiled: AtomicUsize,
}

impl Compiler {
    /// A compiler whose cache on disk is in a folder, if one is given. The folder is created when the first entry is
    /// written. A folder that cannot be written and damaged entries are not errors: kernels are then compiled again.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, memory: Mutex::default(), compiled: AtomicUsize::new(0) }
    }

    /// The number of compilations by NVRTC, that is, of cache misses.
    pub fn compiled(&self) -> usize {
        self.compiled.load(Ordering::Relaxed)
    }

    /// NVRTC's version, such as `12.9`.
    ///
    /// # Errors
    /// NVRTC cannot be loaded; the message has what was tried.
    pub fn version() -> Result<String> {
        Self::cuda_version().map(|version| version.to_string())
    }

    /// NVRTC's version.
    pub(super) fn cuda_version() -> Result<CudaVersion> {
        NvrtcLibrary::get().map(NvrtcLibrary::version)
    }

    /// NVRTC's version and file, such as `NVRTC 12.9 (/usr/local/cuda/lib64/libnvrtc.so.12)`.
    ///
    /// # Errors
    /// As [`version`](Self::version).
    pub fn description() -> Result<String> {
        let library = NvrtcLibrary::get()?;
        Ok(format!("NVRTC {} ({})", library.version(), library.path().display()))
    }

    /// The compute capabilities for which NVRTC generates code, such as 90 for 9.0.
    ///
    /// # Errors
    /// NVRTC cannot be loaded.
    pub fn architectures() -> Result<Vec<u32>> {
        NvrtcLibrary::get()?.architectures()
    }

    /// Compiles CUDA C++ for an architecture, unless the result is cached: to a cubin for a real architecture such as
    /// `sm_90`, to PTX with a terminating zero for a virtual one such as `compute_90`.
    ///
    /// # Errors
    /// NVRTC cannot be loaded, it does not support the architecture, or the source is not valid.
    pub fn compile(&self, source: &str, architecture: &str) -> Result<Arc<[u8]>> {
        let key = format!("{architecture} {} NVRTC {}\n{source}", OPTIONS.join(" "), Self::version()?);
        let image = match self.memory_get(&key).or_else(|| self.disk_get(&key)) {
            Some(cached) => cached,
            None => {
                let image: Arc<[u8]> = nvrtc(source, architecture)?.into();
                self.compiled.fetch_add(1, Ordering::Relaxed);
                self.disk_insert(&key, &image);
                image
            }
        };
        self.memory_insert(key, &image);
        Ok(image)
    }

    fn memory_get(&self, key: &str) -> Option<Arc<[u8]>> {
        let memory = self.memory.lock();
        memory.iter().find(|(known, _)| known == key).map(|(_, image)| Arc::clone(image))
    }

    /// Inserts an entry as the most recently used, and removes the least recently used one if there are too many.
    fn memory_insert(&self, key: String, image: &Arc<[u8]>) {
        let mut memory = self.memory.lock();
        memory.retain(|(known, _)| *known != key);
        if memory.len() >= MAX_MEMORY_ENTRIES {
            memory.pop_front();
        }
        memory.push_back((key, Arc::clone(image)));
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{:016x}.kernel", hash(key.as_bytes()))))
    }

    /// The entry on disk, if it has this key (file names are hashes of keys) and its checksum is correct.
    fn disk_get(&self, key: &str) -> Option<Arc<[u8]>> {
        let entry = std::fs::read(self.path(key)?).ok()?;
        let mut parts = entry.splitn(3, |&byte| byte == b'\n');
        let (magic, sum, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let image = rest.strip_prefix(key.as_bytes())?;
        let valid = magic == MAGIC.as_bytes() && sum == format!("{:016x}", hash(image)).as_bytes();
        valid.then(|| image.into())
    }

    /// Writes an entry to disk. Errors are ignored: the next process then compiles the kernel again.
    fn disk_insert(&self, key: &str, image: &[u8]) {
        let Some((folder, path)) = self.folder.as_ref().zip(self.path(key)) else { return };
        let head = format!("{MAGIC}\n{:016x}\n{key}", hash(image));
        let _ = disk_cache::write(&path, &[head.as_bytes(), image]).and_then(|()| trim(folder));
    }
}

/// Removes the oldest entries from the cache on disk if there are too many.
fn trim(folder: &Path) -> std::io::Result<()> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        entries.push((
            entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH),
            entry.path(),
        ));
    }
    entries.sort();
    for (_, path) in &entries[..entries.len().saturating_sub(MAX_DISK_ENTRIES)] {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// 64-bit FNV-1a (Fowler, Noll, Vo). Unlike the standard library's hashes it is stable across platforms and versions, as
/// file names must be.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Compiles without a cache.
fn nvrtc(source: &str, architecture: &str) -> Result<Vec<u8>> {
    let library = NvrtcLibrary::get()?;
    let text = |text: &str| CString::new(text).map_err(|error| CudaError::Kernel(error.to_string()));
    let architecture_option = format!("--gpu-architecture={architecture}");
    let options = OPTIONS.into_iter().chain([architecture_option.as_str()]);
    let options = options.map(text).collect::<Result<Vec<_>>>()?;
    let options: Vec<_> = options.iter().map(CString::as_c_str).collect();
    let program = library.create(&text(source)?)?;
    let kind = match architecture.starts_with("sm_") {
        true => OutputKind::Cubin,
        false => OutputKind::Ptx,
    };
    // SAFETY: the program was created above and is destroyed below, after its last use.
    let image = match unsafe { library.compile(program, &options) } {
        // SAFETY: as above.
        Ok(()) => unsafe { library.output(program, kind) },
        Err(error) => {
            // SAFETY: as above.
            let log = unsafe { library.output(program, OutputKind::Log) };
            let log = log.map(|log| String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned());
            let log = log.unwrap_or_else(|_| error.to_string());
            Err(CudaError::Kernel(format!("NVRTC cannot compile for {architecture}: {log}")))
        }
    };
    // SAFETY: as above.
    unsafe { library.destroy(program) };
    image
}
