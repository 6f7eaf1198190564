//! What this machine is, for reports and for `warpframe devices`.

use datafusion::common::{DataFusionError, Result};
use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use warpframe_cpu::SimdPath;
use warpframe_cuda::Gpus;

/// The properties of a machine that affect the measurements.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// The brand string of the CPU.
    pub cpu: String,
    /// The number of cores available to this process.
    pub cores: usize,
    /// The SIMD instruction set in use.
    pub simd: String,
    /// The SIMD instruction sets that this machine supports, fastest first.
    pub simd_available: Vec<String>,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Operating system and architecture.
    pub os: String,
    /// The names of the usable GPUs.
    pub gpus: Vec<String>,
    /// The highest CUDA version that their driver supports.
    pub gpu_driver: Option<String>,
}

impl Machine {
    /// Detects the properties of this machine, without GPUs.
    ///
    /// # Errors
    /// `WARPFRAME_SIMD` names an instruction set that this CPU lacks.
    pub fn detect() -> Result<Self> {
        let simd = SimdPath::active().map_err(|error| DataFusionError::External(error.into()))?;
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        // These values are only shown: use defaults where the system does not provide them.
        let system = System::new_with_specifics(what);
        let cpu = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default();
        let os = System::long_os_version().unwrap_or_else(|| std::env::consts::OS.to_owned());
        Ok(Self {
            cpu: if cpu.is_empty() { "unknown CPU".to_owned() } else { cpu },
            cores: cores(),
            simd: simd.to_string(),
            simd_available: SimdPath::available().iter().map(ToString::to_string).collect(),
            memory_bytes: system.total_memory(),
            os: format!("{os}, {}", std::env::consts::ARCH),
            gpus: Vec::new(),
            gpu_driver: None,
        })
    }

    /// The CPU, the number of cores, the instruction set, the memory and the GPUs, as text.
    pub fn describe(&self) -> String {
        let Self { cpu, cores, simd, memory_bytes, gpus, .. } = self;
        let gib = *memory_bytes as f64 / f64::from(1 << 30);
        let gpus: String = gpus.iter().map(|gpu| format!(", {gpu}")).collect();
        format!("{cpu}, {cores} cores, {simd}, {gib:.0} GiB{gpus}")
    }

    /// Adds the names and the driver of these GPUs.
    pub fn with_gpus(self, gpus: Option<&Gpus>) -> Self {
        let Some(driver) = gpus.map(Gpus::driver) else { return self };
        let names = driver.devices().iter().map(|device| device.name.clone()).collect();
        Self { gpus: names, gpu_driver: Some(format!("CUDA {}", driver.version())), ..self }
    }
}

/// The number of cores available to this process.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Available memory in bytes; 0 if the system does not report it.
pub fn available_memory() -> u64 {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(what).available_memory()
}
