//! What a report says of the machine it was made on.

use datafusion::common::{DataFusionError, Result};
use serde::Serialize;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::backend::cuda::Gpus;
use crate::backend::simd::SimdPath;

/// The machine, as far as it matters for the numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The CPU's name, as it gives it itself.
    pub cpu: String,
    /// Threads this process may use at the same time.
    pub cores: usize,
    /// The vector instructions in use.
    pub simd: String,
    /// The vector instructions that could be used, the fastest first.
    pub simd_available: Vec<String>,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Operating system and architecture.
    pub os: String,
    /// The GPUs that can be used.
    pub gpus: Vec<String>,
    /// The highest version of CUDA that their driver speaks.
    pub gpu_driver: Option<String>,
}

impl Machine {
    /// Looks at this machine.
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` asks for instructions that this CPU lacks.
    pub fn detect() -> Result<Self> {
        let simd = SimdPath::active().map_err(|error| DataFusionError::External(error.into()))?;
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        // What the system does not tell is left open; it decides nothing.
        let system = System::new_with_specifics(what).ok();
        let cpus = system.as_ref().map_or(&[][..], |system| system.cpus());
        let cpu = cpus.first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default();
        let os = System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned());
        Ok(Self {
            cpu: if cpu.is_empty() { "unknown CPU".to_owned() } else { cpu },
            cores: cores(),
            simd: simd.to_string(),
            simd_available: SimdPath::available().iter().map(ToString::to_string).collect(),
            memory_bytes: system.as_ref().map_or(0, System::total_memory),
            os: format!("{os}, {}", std::env::consts::ARCH),
            gpus: Vec::new(),
            gpu_driver: None,
        })
    }

    /// The machine with these GPUs.
    pub fn with_gpus(self, gpus: Option<&Gpus>) -> Self {
        let Some(driver) = gpus.map(Gpus::driver) else { return self };
        let names = driver.devices().iter().map(|device| device.name.clone()).collect();
        Self { gpus: names, gpu_driver: Some(format!("CUDA {}", driver.version())), ..self }
    }
}

/// Threads this process may use at the same time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Memory that could be had now, in bytes; 0 where the system does not say.
pub fn available_memory() -> u64 {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(what).map_or(0, |system| system.available_memory())
}
