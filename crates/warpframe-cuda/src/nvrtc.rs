//! Compiles kernels with NVRTC, with a cache in memory and on disk. NVRTC is loaded at its first use, so it is needed
//! neither to build nor to run the other backends.

use std::collections::VecDeque;
use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use cudarc::nvrtc::{result, sys};
use parking_lot::Mutex;

use super::codegen::OPTIONS;
use super::disk_cache;
use super::driver::CudaError;

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
    /// NVRTC cannot be loaded.
    pub fn version() -> Result<String> {
        version()
    }

    /// Whether NVRTC generates code for GPUs of this compute capability, such as 90 for 9.0.
    ///
    /// # Errors
    /// NVRTC cannot be loaded.
    pub fn supports(capability: u32) -> Result<bool> {
        check()?;
        let mut count = 0;
        // SAFETY: the pointer is valid for writing an integer.
        unsafe { sys::nvrtcGetNumSupportedArchs(&mut count) }.result().map_err(failed)?;
        let mut architectures = vec![0; usize::try_from(count).unwrap_or_default()];
        // SAFETY: the buffer has the length that NVRTC has returned.
        unsafe { sys::nvrtcGetSupportedArchs(architectures.as_mut_ptr()) }.result().map_err(failed)?;
        Ok(architectures.iter().any(|known| u32::try_from(*known) == Ok(capability)))
    }

    /// Compiles CUDA C++ for an architecture, unless the result is cached: to a cubin for a real architecture such as
    /// `sm_90`, to PTX with a terminating zero for a virtual one such as `compute_90`.
    ///
    /// # Errors
    /// NVRTC cannot be loaded, it does not support the architecture, or the source is not valid.
    pub fn compile(&self, source: &str, architecture: &str) -> Result<Arc<[u8]>> {
        let key = format!("{architecture} {} NVRTC {}\n{source}", OPTIONS.join(" "), version()?);
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

/// Checks that NVRTC can be loaded. It must be called before any function of the bindings, which panic if it cannot.
fn check() -> Result<()> {
    // SAFETY: loads the library, whose initialization has no effects outside of it.
    if unsafe { sys::is_culib_present() } {
        Ok(())
    } else {
        Err(CudaError::Missing(
            "there is no NVRTC, NVIDIA's run-time compiler: install the CUDA toolkit or the Python package \
             nvidia-cuda-nvrtc-cu12, and put the folder of libnvrtc.so into LD_LIBRARY_PATH"
                .to_owned(),
        ))
    }
}

fn version() -> Result<String> {
    check()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both pointers are valid for writing an integer.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(failed)?;
    Ok(format!("{major}.{minor}"))
}

fn nvrtc(source: &str, architecture: &str) -> Result<Vec<u8>> {
    check()?;
    let source = CString::new(source).map_err(|error| CudaError::Kernel(error.to_string()))?;
    let program = result::create_program(&source, None).map_err(failed)?;
    let options: Vec<_> = OPTIONS
        .iter()
        .map(|option| (*option).to_owned())
        .chain([format!("--gpu-architecture={architecture}")])
        .collect();
    // SAFETY: the program was created above and is destroyed below, after its last use.
    let compiled = unsafe { result::compile_program(program, &options) };
    let image = match compiled {
        Ok(()) if architecture.starts_with("sm_") => cubin(program),
        // SAFETY: as above.
        Ok(()) => unsafe { result::get_ptx(program) }.map_err(failed).map(|text| to_bytes(&text)),
        Err(error) => {
            // SAFETY: as above.
            let log = unsafe { result::get_program_log(program) }.map(|text| to_bytes(&text));
            let log = log.map(|log| String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned());
            let log = log.unwrap_or_else(|_| error.to_string());
            Err(CudaError::Kernel(format!("NVRTC cannot compile for {architecture}: {log}")))
        }
    };
    // SAFETY: as above.
    unsafe { result::destroy_program(program) }.map_err(failed)?;
    image
}

/// The cubin of a program that was compiled for a real architecture.
fn cubin(program: sys::nvrtcProgram) -> Result<Vec<u8>> {
    let mut size = 0;
    // SAFETY: the program is valid, and the pointer is valid for writing an integer.
    unsafe { sys::nvrtcGetCUBINSize(program, &mut size) }.result().map_err(failed)?;
    let mut code = vec![0u8; size];
    // SAFETY: the buffer has the size that NVRTC has returned.
    unsafe { sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()) }.result().map_err(failed)?;
    Ok(code)
}

/// A text of NVRTC as bytes, with the terminating zero.
fn to_bytes(text: &[c_char]) -> Vec<u8> {
    text.iter().map(|&byte| byte as u8).collect()
}

fn failed(error: result::NvrtcError) -> CudaError {
    CudaError::Kernel(format!("NVRTC failed: {error:?}"))
}
