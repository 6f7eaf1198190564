//! Compiles programs with NVRTC, and keeps what it made in memory and on disk. NVRTC is looked for when it is
//! first needed; a machine without it builds and runs everything else.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use cudarc::nvrtc::{result, sys};
use datafusion::common::{DataFusionError, Result, exec_err};
use parking_lot::Mutex;

use crate::program::Program;
use crate::program::cuda::{OPTIONS, PRELUDE, source};

/// Entries kept in memory, and on disk.
const IN_MEMORY: usize = 256;
const ON_DISK: usize = 1024;

/// The first line of an entry on disk.
const MAGIC: &str = "warpframe PTX 1";

/// Assembly for a GPU, by the driver to be made into its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ptx {
    /// The text.
    pub text: Arc<str>,
    /// The kernel's name in it.
    pub kernel: &'static str,
}

/// Compiles programs, each once for an architecture.
#[derive(Debug)]
pub struct Compiler {
    folder: Option<PathBuf>,
    /// Keys and texts, those used last at the end.
    memory: Mutex<VecDeque<(String, Arc<str>)>>,
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

    /// The kernel of a program for an architecture, such as `compute_90`.
    ///
    /// # Errors
    /// There is no NVRTC, or it does not know the architecture.
    pub fn compile(&self, program: &Program, architecture: &str) -> Result<Ptx> {
        let kernel = "program";
        let text = format!("{PRELUDE}{}", source(program, kernel));
        // The program and its types are in the source, which decides alone together with these.
        let key = format!("{architecture} {} NVRTC {}\n{text}", OPTIONS.join(" "), version()?);
        let text = match self.recall(&key).or_else(|| self.read(&key)) {
            Some(known) => known,
            None => {
                let ptx: Arc<str> = nvrtc(&text, architecture)?.into();
                self.compiled.fetch_add(1, Ordering::Relaxed);
                self.write(&key, &ptx);
                ptx
            }
        };
        self.remember(key, &text);
        Ok(Ptx { text, kernel })
    }

    fn recall(&self, key: &str) -> Option<Arc<str>> {
        let memory = self.memory.lock();
        memory.iter().find(|(known, _)| known == key).map(|(_, ptx)| Arc::clone(ptx))
    }

    fn remember(&self, key: String, ptx: &Arc<str>) {
        let mut memory = self.memory.lock();
        memory.retain(|(known, _)| *known != key);
        if memory.len() >= IN_MEMORY {
            memory.pop_front();
        }
        memory.push_back((key, Arc::clone(ptx)));
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{:016x}.ptx", hash(key))))
    }

    /// An entry on disk, if it is whole and has this very key.
    fn read(&self, key: &str) -> Option<Arc<str>> {
        let text = std::fs::read_to_string(self.path(key)?).ok()?;
        let (magic, rest) = text.split_once('\n')?;
        let (sum, rest) = rest.split_once('\n')?;
        let ptx = rest.strip_prefix(key)?;
        (magic == MAGIC && sum == format!("{:016x}", hash(ptx))).then(|| ptx.into())
    }

    /// Puts an entry on disk; without it the next process compiles again, which is no error.
    fn write(&self, key: &str, ptx: &str) {
        let Some((folder, path)) = self.folder.as_ref().zip(self.path(key)) else { return };
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            std::io::Write::write_all(
                &mut file,
                format!("{MAGIC}\n{:016x}\n{key}{ptx}", hash(ptx)).as_bytes(),
            )?;
            file.persist(path)?;
            trim(folder)
        };
        let _ = write();
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

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Whether there is an NVRTC. The bindings panic in any call where there is none.
fn check() -> Result<()> {
    // SAFETY: looks for the library and loads it, which has no effects but on itself.
    if unsafe { sys::is_culib_present() } {
        Ok(())
    } else {
        exec_err!(
            "there is no NVRTC, NVIDIA's run-time compiler: install the CUDA toolkit or the Python package \
             nvidia-cuda-nvrtc-cu12, and put the folder of libnvrtc.so into LD_LIBRARY_PATH"
        )
    }
}

fn version() -> Result<String> {
    check()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both pointers are those of integers.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(failed)?;
    Ok(format!("{major}.{minor}"))
}

fn nvrtc(source: &str, architecture: &str) -> Result<String> {
    check()?;
    let source = CString::new(source).map_err(|error| DataFusionError::External(error.into()))?;
    let program = result::create_program(&source, None).map_err(failed)?;
    let options: Vec<_> = OPTIONS
        .iter()
        .map(|option| (*option).to_owned())
        .chain([format!("--gpu-architecture={architecture}")])
        .collect();
    // SAFETY: the program was created above and is destroyed below, after its last use.
    let compiled = unsafe { result::compile_program(program, &options) };
    let text = match compiled {
        // SAFETY: as above.
        Ok(()) => unsafe { result::get_ptx(program) }.map_err(failed).map(|text| to_string(&text)),
        Err(error) => {
            // SAFETY: as above.
            let log = unsafe { result::get_program_log(program) }.map(|text| to_string(&text));
            exec_err!(
                "NVRTC cannot compile for {architecture}: {}",
                log.unwrap_or_else(|_| error.to_string()).trim()
            )
        }
    };
    // SAFETY: as above.
    unsafe { result::destroy_program(program) }.map_err(failed)?;
    text
}

/// NVRTC's texts end with a zero.
fn to_string(text: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|&byte| byte as u8).collect();
    match CStr::from_bytes_until_nul(&bytes) {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn failed(error: result::NvrtcError) -> DataFusionError {
    DataFusionError::External(format!("NVRTC failed: {error:?}").into())
}
