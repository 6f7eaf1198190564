//! The registry of backends, with the cache of the kernels that they have compiled.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Once};

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;
use warpframe_cpu::Simd;
use warpframe_cuda::{Cuda, CudaError, Gpus};

use crate::auto_backend::Auto;
use crate::backend_names::{AUTO, CUDA, INTERPRETED, NATIVE, SIMD, unknown_backend};
use crate::errors::datafusion_error;
use crate::memory::available_memory;
use crate::options::WarpframeOptions;
use crate::physical_cores::physical_cores;
use warpframe_ir::backend::{Backend, Kernel};
use warpframe_ir::error;
use warpframe_ir::interpreter::Interpreter;
use warpframe_ir::program::Program;

/// Kernels that are kept.
const CACHED_KERNELS: usize = 512;

/// Makes a backend from a session's options.
type Factory = Box<dyn Fn(&ConfigOptions) -> error::Result<Arc<dyn Backend>> + Send + Sync>;

/// The backends that the option `warpframe.backend` can name, and their compiled kernels.
///
/// A session has it as an extension of its configuration, an executor of a cluster likewise.
pub struct Backends {
    factories: Vec<(String, Factory)>,
    kernels: Mutex<KernelCache>,
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backends").field("names", &self.names()).finish_non_exhaustive()
    }
}

impl Default for Backends {
    /// The backends of this machine.
    fn default() -> Self {
        Self::on(None)
    }
}

impl Backends {
    /// No backends.
    pub fn empty() -> Self {
        Self { factories: Vec::new(), kernels: Mutex::default() }
    }

    /// The backends `auto`, `interpreted`, `simd`, `native` and `cuda`, with these GPUs, or this machine's.
    pub fn on(gpus: Option<Arc<Gpus>>) -> Self {
        let cuda = move |config: &ConfigOptions| -> error::Result<Cuda> {
            let gpus = match &gpus {
                Some(gpus) => Arc::clone(gpus),
                None => machine_gpus()?,
            };
            Ok(Cuda::new(gpus, WarpframeOptions::of(config).cuda, Arc::new(Simd::native()?)))
        };
        let for_auto = cuda.clone();
        Self::empty()
            .register(AUTO, move |config| {
                let cores = physical_cores(config.execution.target_partitions);
                Ok(Arc::new(Auto::new(Arc::new(Simd::native()?), for_auto(config).ok(), cores)))
            })
            .register(INTERPRETED, |_| Ok(Arc::new(Interpreter)))
            .register(SIMD, |_| Ok(Arc::new(Simd::active()?)))
            .register(NATIVE, |_| Ok(Arc::new(Simd::native()?)))
            .register(CUDA, move |config| Ok(Arc::new(cuda(config)?)))
    }

    /// Adds a backend under a name for `warpframe.backend`; one that was registered under it is replaced. The factory
    /// is called with the session's options whenever a program is compiled.
    pub fn register(
        mut self,
        name: &str,
        factory: impl Fn(&ConfigOptions) -> error::Result<Arc<dyn Backend>> + Send + Sync + 'static,
    ) -> Self {
        self.factories.retain(|(known, _)| known != name);
        self.factories.push((name.to_owned(), Box::new(factory)));
        self
    }

    /// The names of the backends, in order of registration.
    pub fn names(&self) -> Vec<String> {
        self.factories.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The backend that the option `warpframe.backend` names.
    ///
    /// # Errors
    /// There is no backend of this name, or this machine cannot run it.
    pub fn backend(&self, config: &ConfigOptions) -> Result<Arc<dyn Backend>> {
        self.named(&WarpframeOptions::of(config).backend, config)
    }

    fn named(&self, name: &str, config: &ConfigOptions) -> Result<Arc<dyn Backend>> {
        match self.factories.iter().find(|(known, _)| known == name) {
            Some((_, factory)) => factory(config).map_err(datafusion_error),
            None => Err(unknown_backend(name, &self.names())),
        }
    }

    /// The kernel of a program for the backend that the options name. Compiled once for equal programs and backends,
    /// however many threads ask.
    ///
    /// # Errors
    /// As [`backend`](Self::backend), or the backend cannot compile the program.
    pub fn kernel(&self, config: &ConfigOptions, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        self.cached(self.backend(config)?.as_ref(), program)
    }

    fn cached(&self, backend: &dyn Backend, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let entry = self.kernels.lock().entry((backend.cache_key(), Arc::clone(program)));
        // Other threads that want this kernel wait for it; those that want others do not.
        let mut kernel = entry.lock();
        match &*kernel {
            Some(kernel) => Ok(Arc::clone(kernel)),
            None => {
                let compiled = backend.compile(program).map_err(datafusion_error)?;
                Ok(Arc::clone(kernel.insert(compiled)))
            }
        }
    }

    /// The backends of a session: the extension of its configuration, or this machine's.
    pub fn of(config: &SessionConfig) -> Arc<Self> {
        config.get_extension::<Self>().unwrap_or_else(|| Arc::clone(Self::shared()))
    }

    /// The backends of this machine, for processes and sessions that bring none.
    pub fn shared() -> &'static Arc<Self> {
        static SHARED: LazyLock<Arc<Backends>> = LazyLock::new(Arc::default);
        &SHARED
    }

    /// A kernel of the [shared](Self::shared) backends, for functions that are evaluated outside of a plan, such as
    /// constants that DataFusion folds: by the backend that the options name, or by `auto` if that is one of the
    /// session's own.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub fn shared_kernel(config: &ConfigOptions, program: &Arc<Program>) -> Result<Arc<dyn Kernel>> {
        let (shared, name) = (Self::shared(), WarpframeOptions::of(config).backend);
        let known = shared.factories.iter().any(|(known, _)| *known == name);
        let backend = shared.named(if known { &name } else { AUTO }, config)?;
        shared.cached(backend.as_ref(), program)
    }
}

/// The GPUs of this machine. They use a quarter of the memory of this process for page-locked memory of results.
fn machine_gpus() -> std::result::Result<Arc<Gpus>, CudaError> {
    static LIMIT: Once = Once::new();
    let gpus = warpframe_cuda::gpus()?;
    LIMIT.call_once(|| {
        if let Some(bytes) = available_memory() {
            gpus.limit_pinned_memory(usize::try_from(bytes / 4).unwrap_or(usize::MAX));
        }
    });
    Ok(gpus)
}

/// The backend's cache key, and the program.
type KernelKey = (String, Arc<Program>);

/// A kernel, once it is compiled.
type KernelEntry = Arc<Mutex<Option<Arc<dyn Kernel>>>>;

/// The kernels that were used last.
#[derive(Default)]
struct KernelCache {
    entries: HashMap<KernelKey, (u64, KernelEntry)>,
    uses: u64,
}

impl KernelCache {
    fn entry(&mut self, key: KernelKey) -> KernelEntry {
        self.uses += 1;
        if self.entries.len() >= CACHED_KERNELS && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.map(|key| self.entries.remove(&key));
        }
        let (used, entry) = self.entries.entry(key).or_default();
        *used = self.uses;
        Arc::clone(entry)
    }
}

/// The fast backends of this machine, described.
///
/// # Errors
/// `WARPFRAME_SIMD` names instructions that this CPU lacks.
pub fn available() -> Result<Vec<String>> {
    let simd = Simd::native().map_err(datafusion_error)?;
    let mut found = vec![simd.description()];
    if let Ok(gpus) = machine_gpus() {
        found.push(Cuda::new(gpus, Default::default(), Arc::new(simd)).description());
    }
    Ok(found)
}
