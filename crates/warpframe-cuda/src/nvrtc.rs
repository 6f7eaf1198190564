//! Compiles kernels with NVRTC, and keeps what it made in memory and on disk. NVRTC is looked for when it is
//! first needed; a machine without it builds and runs everything else.

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

/// Entries kept in memory, and on disk.
const IN_MEMORY: usize = 256;
const ON_DISK: usize = 1024;

/// The first line of an entry on disk.
const MAGIC: &str = "warpframe kernel 3";

/// Compiles kernels, each once for an architecture.
#[derive(Debug)]
pub struct Compiler {
    folder: Option<PathBuf>,
    /// Keys and what was made for them, those used last at the end.
    memory: Mutex<VecDeque<(String, Arc<[u8]>)>>,
    compiled: AtomicUsize,
}

impl Compiler {
    /// A compiler that keeps its results in this folder, too, which is made when it is needed. A folder that
    /// cannot be written, or a damaged entry in it, costs time and nothing else.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, memory: Mutex::default(), compiled: AtomicUsize::new(0) }
    }

    /// How often NVRTC was asked.
    pub fn compiled(&self) -> usize {
        self.compiled.load(Ordering::Relaxed)
    }

    /// NVRTC's version, such as `12.9`.
    ///
    /// # Errors
    /// There is no NVRTC.
    pub fn version() -> Result<String> {
        version()
    }

    /// Whether NVRTC generates code for GPUs of this compute capability, such as 90 for 9.0.
    ///
    /// # Errors
    /// There is no NVRTC.
    pub fn supports(capability: u32) -> Result<bool> {
        check()?;
        let mut count = 0;
        // SAFETY: the pointer is that of an integer.
        unsafe { sys::nvrtcGetNumSupportedArchs(&mut count) }.result().map_err(failed)?;
        let mut architectures = vec![0; usize::try_from(count).unwrap_or_default()];
        // SAFETY: the buffer has the length that NVRTC has asked for.
        unsafe { sys::nvrtcGetSupportedArchs(architectures.as_mut_ptr()) }.result().map_err(failed)?;
        Ok(architectures.iter().any(|known| u32::try_from(*known) == Ok(capability)))
    }

    /// What NVRTC makes of CUDA C for an architecture: a GPU's code for a name such as `sm_90`, PTX, which ends
    /// with a zero, for one such as `compute_90`.
    ///
    /// # Errors
    /// There is no NVRTC, it does not know the architecture, or the source is not valid.
    pub fn compile(&self, source: &str, architecture: &str) -> Result<Arc<[u8]>> {
        let key = format!("{architecture} {} NVRTC {}\n{source}", OPTIONS.join(" "), version()?);
        let image = match self.recall(&key).or_else(|| self.read(&key)) {
            Some(known) => known,
            None => {
                let image: Arc<[u8]> = nvrtc(source, architecture)?.into();
                self.compiled.fetch_add(1, Ordering::Relaxed);
                self.write(&key, &image);
                image
            }
        };
        self.remember(key, &image);
        Ok(image)
    }

    fn recall(&self, key: &str) -> Option<Arc<[u8]>> {
        let memory = self.memory.lock();
        memory.iter().find(|(known, _)| known == key).map(|(_, image)| Arc::clone(image))
    }

    fn remember(&self, key: String, image: &Arc<[u8]>) {
        let mut memory = self.memory.lock();
        memory.retain(|(known, _)| *known != key);
        if memory.len() >= IN_MEMORY {
            memory.pop_front();
        }
        memory.push_back((key, Arc::clone(image)));
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{:016x}.kernel", hash(key.as_bytes()))))
    }

    /// An entry on disk, if it is whole and has this very key.
    fn read(&self, key: &str) -> Option<Arc<[u8]>> {
        let entry = std::fs::read(self.path(key)?).ok()?;
        let mut parts = entry.splitn(3, |&byte| byte == b'\n');
        let (magic, sum, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let image = rest.strip_prefix(key.as_bytes())?;
        let whole = magic == MAGIC.as_bytes() && sum == format!("{:016x}", hash(image)).as_bytes();
        whole.then(|| image.into())
    }

    /// Puts an entry on disk; without it the next process compiles again, which is no error.
    fn write(&self, key: &str, image: &[u8]) {
        let Some((folder, path)) = self.folder.as_ref().zip(self.path(key)) else { return };
        let head = format!("{MAGIC}\n{:016x}\n{key}", hash(image));
        let _ = disk_cache::write(&path, &[head.as_bytes(), image]).and_then(|()| trim(folder));
    }
}

/// Removes the oldest entries where there are too many.
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
    for (_, path) in &entries[..entries.len().saturating_sub(ON_DISK)] {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// 64-bit FNV-1a (Fowler, Noll, Vo): the same on every platform and with every compiler, as names of files have to be.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whether there is an NVRTC. The bindings panic in any call where there is none.
fn check() -> Result<()> {
    // SAFETY: looks for the library and loads it, which has no effects but on itself.
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
    // SAFETY: both pointers are those of integers.
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

/// The code of a program that was compiled for a real architecture.
fn cubin(program: sys::nvrtcProgram) -> Result<Vec<u8>> {
    let mut size = 0;
    // SAFETY: the program is valid, and the pointer that of an integer.
    unsafe { sys::nvrtcGetCUBINSize(program, &mut size) }.result().map_err(failed)?;
    let mut code = vec![0u8; size];
    // SAFETY: the buffer has the size that NVRTC has asked for.
    unsafe { sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()) }.result().map_err(failed)?;
    Ok(code)
}

/// NVRTC's texts as bytes, with the zero at their end.
fn to_bytes(text: &[c_char]) -> Vec<u8> {
    text.iter().map(|&byte| byte as u8).collect()
}

fn failed(error: result::NvrtcError) -> CudaError {
    CudaError::Kernel(format!("NVRTC failed: {error:?}"))
}
