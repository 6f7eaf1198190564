//! Compiles kernels with NVRTC and assembles them with ptxas, where these are installed.
//!
//! NVRTC is part of CUDA and of the Python package `nvidia-cuda-nvrtc-cu12`; its folder must be in `LD_LIBRARY_PATH`.
//! `ptxas`, of CUDA or `nvidia-cuda-nvcc-cu12`, must be in `PATH`.

use std::path::Path;
use std::process::Command;

use warpframe_cuda::driver::CudaError;
use warpframe_cuda::{Compiler, KernelSource};

use super::skipped;

/// The architectures of GPUs that kernels are compiled for.
pub const ARCHITECTURES: [&str; 6] = ["75", "80", "86", "89", "90", "100"];

/// A compiler; `None` without NVRTC.
pub fn compiler(folder: Option<&Path>) -> Option<Compiler> {
    match Compiler::version() {
        Ok(_) => Some(Compiler::new(folder.map(Path::to_owned))),
        Err(error) => {
            assert!(error.to_string().contains("there is no NVRTC"), "{error}");
            skipped("there is no NVRTC");
            None
        }
    }
}

/// PTX for a virtual architecture; `None` if this NVRTC does not support it.
pub fn ptx(compiler: &Compiler, kernel: &KernelSource, architecture: &str) -> Option<String> {
    match compiler.compile(&kernel.text, &format!("compute_{architecture}")) {
        Ok(image) => Some(String::from_utf8(image.to_vec()).unwrap().trim_end_matches('\0').to_owned()),
        Err(CudaError::Kernel(log)) if log.contains("invalid value for --gpu-architecture") => {
            skipped(&format!("this NVRTC does not know sm_{architecture}"));
            None
        }
        Err(error) => panic!("sm_{architecture}: {error}"),
    }
}

/// What a kernel uses, by the report of ptxas.
#[derive(Debug)]
pub struct Used {
    pub kernel: String,
    pub registers: u32,
    /// The bytes of registers that are spilled to memory.
    pub spilled: u32,
}

/// Assembles PTX and returns what each kernel uses. `None` without ptxas.
pub fn assemble(folder: &Path, ptx: &str, architecture: &str) -> Option<Vec<Used>> {
    let file = folder.join(format!("{architecture}.ptx"));
    std::fs::write(&file, ptx).unwrap();
    let arch = format!("-arch=sm_{architecture}");
    let output = match Command::new("ptxas").args(["-v", &arch, "-o", "/dev/null"]).arg(&file).output() {
        Ok(output) => output,
        Err(_) => {
            static ONCE: std::sync::Once = std::sync::Once::new();
            ONCE.call_once(|| skipped("there is no ptxas to assemble kernels with"));
            return None;
        }
    };
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "sm_{architecture}: {log}");
    let number = |text: &str| -> u32 { text.trim().parse().unwrap() };
    let (mut kernel, mut spilled) = ("", 0);
    let mut used = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernel = rest.split('\'').next().unwrap();
        }
        if let Some((before, _)) = line.split_once(" bytes spill stores") {
            spilled = number(before.rsplit(',').next().unwrap());
        }
        if let Some((_, rest)) = line.split_once("Used ") {
            let registers = number(rest.split(' ').next().unwrap());
            used.push(Used { kernel: kernel.to_owned(), registers, spilled });
        }
    }
    assert!(!used.is_empty(), "{log}");
    Some(used)
}

/// As [`assemble`], and panics if a register is spilled to memory.
pub fn assemble_without_spills(folder: &Path, ptx: &str, architecture: &str) -> Option<Vec<Used>> {
    let used = assemble(folder, ptx, architecture)?;
    assert!(used.iter().all(|used| used.spilled == 0), "sm_{architecture}: {used:?}");
    Some(used)
}
