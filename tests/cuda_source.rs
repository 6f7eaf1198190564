//! GPU kernels without a GPU: NVRTC, if it is installed, compiles them for every architecture, and the PTX is checked
//! for register use and spills. `tests/cuda.rs` tests their results.
//!
//! Kernels of all types are tested in `crates/warpframe-cuda/tests`; `common::kernel_compiler` says what NVRTC and ptxas need.

mod common;
#[path = "common/kernel_compiler.rs"]
mod kernel_compiler;

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use common::gpu::{compile_and_load, has_compiler};
use common::kernels::log3;
use common::skipped;
use common::trees::{for_random_expressions, schema};
use datafusion::prelude::col;
use kernel_compiler::{ARCHITECTURES, Used, assemble_without_spills, compiler, ptx};
use libloading::Symbol;
use warpframe::cuda::codegen::PRELUDE;
use warpframe::cuda::{Compiler, KernelSource, THREADS, VECTOR_BYTES};
use warpframe::ir::{Program, Reductions, ScalarType};
use warpframe::lowering::compile;

/// The environment variable that makes the tests write `kernels/shipped.ptx`.
const WRITE: &str = "WARPFRAME_WRITE_PTX";

fn random_programs(count: u32) -> Vec<Arc<Program>> {
    let programs = RefCell::new(Vec::new());
    for scalar_type in [ScalarType::F64, ScalarType::F32] {
        for_random_expressions(count, scalar_type, |expr, _| {
            programs
                .borrow_mut()
                .extend(compile(&expr, &schema(scalar_type)).map(|compiled| compiled.program));
        });
    }
    programs.into_inner()
}

#[test]
fn generated_kernels_compile_for_every_architecture_without_spills() {
    let Some(compiler) = compiler(None) else { return };
    let folder = tempfile::tempdir().unwrap();
    let programs = random_programs(8);
    let reductions = [Reductions { sum: true, min: true, max: true, moments: true }];
    let kernels: Vec<_> = programs
        .iter()
        .flat_map(|program| [KernelSource::of(program), KernelSource::of_reduction(program, &reductions)])
        .collect();
    for architecture in ARCHITECTURES {
        let mut most = 0;
        for kernel in &kernels {
            let Some(ptx) = ptx(&compiler, kernel, architecture) else { break };
            assert!(ptx.contains(&format!(".entry {}(", kernel.name)));
            let used = assemble_without_spills(folder.path(), &ptx, architecture);
            most = used.iter().flatten().map(|used| used.registers).chain([most]).max().unwrap();
        }
        println!("sm_{architecture}: {} kernels, at most {most} registers, no spills", kernels.len());
    }
}

/// A snapshot of the registers of the shipped kernels, which depend on the version of ptxas.
#[test]
fn shipped_kernels_use_few_registers_without_spills() {
    let Some(compiler) = compiler(None) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kernel = KernelSource::of(&log3(ScalarType::F64));
    let mut lines = String::new();
    for architecture in ARCHITECTURES {
        let Some(ptx) = ptx(&compiler, &kernel, architecture) else { return };
        let Some(mut used) = assemble_without_spills(folder.path(), &ptx, architecture) else { return };
        used.sort_by(|one, other| one.kernel.cmp(&other.kernel));
        for Used { kernel, registers, .. } in used {
            // With 64 registers a thread, four blocks of 256 threads fill the 65,536 registers of a multiprocessor.
            assert!(registers <= 64, "{kernel} on sm_{architecture} uses {registers} registers");
            let _ = writeln!(lines, "sm_{architecture:<4} {kernel:<9} {registers:>3} registers, no spills");
        }
    }
    match Compiler::version().unwrap().as_str() {
        "12.9" => insta::assert_snapshot!("shipped_kernels", lines),
        other => skipped(&format!("the registers on record are those of NVRTC 12.9, and this is {other}")),
    }
}

/// The PTX that is shipped: NVRTC's output for the oldest architecture, with the PTX version lowered to that of CUDA
/// 12.0, the oldest supported driver. ptxas checks that it uses no feature of a later version.
fn shipped_ptx(compiler: &Compiler, kernel: &KernelSource) -> String {
    let architecture = KernelSource::SHIPPED_ARCHITECTURE.strip_prefix("compute_").unwrap();
    let ptx = ptx(compiler, kernel, architecture).unwrap();
    assert_eq!(ptx.matches(".version 8.8\n").count(), 1);
    ptx.replace(".version 8.8\n", ".version 8.0\n")
}

#[test]
fn the_shipped_ptx_matches_the_source() {
    let kernel = KernelSource {
        text: KernelSource::shipped_text().into(),
        ..KernelSource::of(&log3(ScalarType::F64))
    };
    let header = format!("// The kernels of source {:016x}, by NVRTC 12.9.", fnv1a(&kernel.text));
    if std::env::var_os(WRITE).is_some() {
        let compiler = compiler(None).unwrap();
        assert_eq!(Compiler::version().unwrap(), "12.9", "the version that the first line names");
        let text = format!("{header}\n{}", shipped_ptx(&compiler, &kernel));
        return std::fs::write("kernels/shipped.ptx", text).unwrap();
    }
    let (first, rest) = KernelSource::SHIPPED_PTX.split_once('\n').unwrap();
    assert_eq!(
        first, header,
        "the kernels have changed: run '{WRITE}=1 cargo test --test cuda_source shipped_ptx'"
    );
    for name in KernelSource::SHIPPED {
        assert!(rest.contains(&format!(".entry {name}(")), "{name} is missing");
    }
    let folder = tempfile::tempdir().unwrap();
    for architecture in ARCHITECTURES {
        assemble_without_spills(folder.path(), KernelSource::SHIPPED_PTX, architecture);
    }
    let Some(compiler) = compiler(None) else { return };
    match Compiler::version().unwrap().as_str() {
        "12.9" => assert_eq!(shipped_ptx(&compiler, &kernel), rest),
        other => skipped(&format!("the shipped PTX is by NVRTC 12.9, and this is {other}")),
    }
}

/// The 64-bit FNV-1a hash, which is the same on all platforms.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn rust_and_cuda_constants_agree() {
    for (name, value) in [("WF_THREADS", THREADS as usize), ("WF_VECTOR_BYTES", VECTOR_BYTES)] {
        assert!(PRELUDE.contains(&format!("#define {name} {value}\n")), "{name} is not {value}");
    }
}

/// Runs one thread of a grid with more than 2^32 rows, with pointers offset so that its rows are in small arrays.
#[test]
fn row_numbers_beyond_32_bits_are_addressed() {
    if !has_compiler() {
        return skipped("there is no C++ compiler");
    }
    let fields = ["x", "y"].map(|name| Field::new(name, DataType::Float64, false)).to_vec();
    let program = compile(&(col("x") + col("y")), &Schema::new(fields)).unwrap().program;
    let shim = include_str!("../kernels/host_shim.h");
    let (log3, sum) = (KernelSource::of(&log3(ScalarType::F64)), KernelSource::of(&program));
    let library = compile_and_load(&format!(
        "{shim}\n{}{}
extern \"C\" void at(unsigned long long first, const double *in, double *out) {{
    gridDim = {{4000000000u, 1, 1}};
    blockDim = {{WF_THREADS, 1, 1}};
    blockIdx = {{(unsigned)(first / WF_THREADS), 0, 0}};
    threadIdx = {{(unsigned)(first % WF_THREADS), 0, 0}};
    const double *x = in - 2 * first;
    log3_f64(x, x, x, 2 * first + 2, out - 2 * first);
    program(in - first, in - first, first + 1, out + 2 - first);
}}\n",
        log3.text,
        sum.text.strip_prefix(PRELUDE).unwrap()
    ));
    // SAFETY: the signature is that of the function above.
    let at: Symbol<unsafe extern "C" fn(u64, *const f64, *mut f64)> = unsafe { library.get(b"at") }.unwrap();
    for first in [5_000_000_000u64, (1 << 32) + 1] {
        let (numbers, mut out) = ([std::f64::consts::E, 1.0], [0.0; 3]);
        // SAFETY: the thread accesses the two numbers and the three results only.
        unsafe { at(first, numbers.as_ptr(), out.as_mut_ptr()) };
        assert_eq!(out, [1.0, 0.0, 2.0 * std::f64::consts::E]);
    }
}

#[test]
fn compiled_kernels_are_cached_in_memory_and_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let Some(first) = compiler(Some(folder.path())) else { return };
    let compile = |compiler: &Compiler, text: &str, architecture: &str| -> Arc<[u8]> {
        compiler.compile(text, architecture).unwrap()
    };
    let (one, other) = ("extern \"C\" __global__ void one() {}", "extern \"C\" __global__ void other() {}");
    let image = compile(&first, one, "compute_80");
    assert_eq!(compile(&first, one, "compute_80"), image);
    assert_eq!(first.compiled(), 1, "the second compilation hits the cache");
    assert_ne!(compile(&first, one, "compute_90"), image);
    assert_ne!(compile(&first, other, "compute_80"), image);
    assert!(compile(&first, one, "sm_80").starts_with(b"\x7fELF"), "a GPU's own code");
    assert_eq!(first.compiled(), 4, "other architectures and sources are other cache entries");

    let second = Compiler::new(Some(folder.path().to_owned()));
    assert_eq!(compile(&second, one, "compute_80"), image);
    assert_eq!(second.compiled(), 0, "another process finds it on disk");

    for damage in [&b"nonsense"[..], b"", b"warpframe kernel 3\n0000000000000000\n"] {
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::write(entry.unwrap().path(), damage).unwrap();
        }
        let third = Compiler::new(Some(folder.path().to_owned()));
        assert_eq!(compile(&third, one, "compute_80"), image);
        assert_eq!(third.compiled(), 1, "a damaged entry is compiled again");
    }
    let unwritable = Compiler::new(Some("/dev/null/nowhere".into()));
    assert_eq!(compile(&unwritable, one, "compute_80"), image);
    assert!(first.compile(one, "compute_1").unwrap_err().to_string().contains("compute_1"));
    assert!(first.compile("nonsense", "compute_80").unwrap_err().to_string().contains("nonsense"));
}
