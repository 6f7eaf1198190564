//! The libraries of NVIDIA's driver and NVRTC as the command finds, loads and calls them: a simulated `libcuda.so.1` and
//! NVRTC in the layouts in which NVIDIA distributes it.

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once};

use libloading::Library;
use tempfile::TempDir;
use warpframe::cuda::{Compiler, Cuda, CudaSettings};
use warpframe::ir::{Backend, KernelContext, ScalarType};

use super::common::gpu::{has_compiler, write_driver, write_nvrtc};
use super::common::kernels::log3;
use super::common::{Run, command, finish, skipped};
use super::{columns, simd};

/// The kernel that the command evaluates on the simulated driver.
const SHIPPED: &str = "SELECT sum(log3(x, y, z)) > 0 AS ok FROM rows WHERE x <= 1000";

/// Two kernels that NVRTC has to compile: of the filter and of the expression.
const GENERATED: &str = "SELECT exp(x / 1e9) * exp(y / 1e9) AS r FROM rows WHERE x <= 10";

/// A folder with a simulated driver; `None` without a C++ compiler.
///
/// # Panics
/// The command loads another driver: its results would say nothing about the simulated one.
pub fn simulated_driver() -> Option<TempDir> {
    if !has_compiler() {
        skipped("there is no C++ compiler to compile a driver");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    write_driver(folder.path());
    static ONCE: Once = Once::new();
    ONCE.call_once(|| assert_simulated(&with_driver(folder.path())));
    Some(folder)
}

/// Panics if the command loads another driver than the simulated one.
fn assert_simulated(command: &Command) {
    let plan = run(clone(command).args([
        "sql",
        "--backend",
        "cuda",
        "-q",
        "EXPLAIN SELECT log3(x, y, z) FROM rows",
    ]));
    let loaded = ["stdout", "stderr"].into_iter().zip([&plan.stdout, &plan.stderr]);
    assert!(
        plan.stdout.contains("cuda Imaginary 0"),
        "the command does not load the simulated libcuda.so.1 of this test, but another driver: {:?}",
        loaded.collect::<Vec<_>>()
    );
}

/// The command with the simulated driver and without NVRTC.
pub fn with_driver(folder: &Path) -> Command {
    let mut command = command(folder);
    command
        .env("LD_LIBRARY_PATH", folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("WARPFRAME_NVRTC", folder.join("nothing"));
    command
}

/// A command with the same program, folder and environment, without arguments.
fn clone(command: &Command) -> Command {
    let mut other = Command::new(command.get_program());
    other.stdin(std::process::Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        other.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

fn run(command: &mut Command) -> Run {
    finish(command.output().unwrap())
}

/// Evaluates a query on the simulated GPU.
fn query(command: &Command, query: &str) -> Run {
    run(clone(command).args(["sql", "--backend", "cuda", "-q", query]))
}

/// The logged calls of the simulated libraries, with their threads.
fn calls(log: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(one, two)| (one.into(), two.into()))
        .collect()
}

#[test]
fn another_driver_of_the_machine_is_not_picked_up() {
    let Some(folder) = simulated_driver() else { return };
    // The driver of another vendor: the same with other names of devices, and with the name that is looked for first.
    let library = std::fs::read(folder.path().join("libcuda.so.1")).unwrap();
    let name = b"Imaginary";
    let position = library.windows(name.len()).position(|bytes| bytes == name).unwrap();
    let mut renamed = library.clone();
    renamed[position..position + name.len()].copy_from_slice(b"Elsewhere");
    let other = tempfile::tempdir().unwrap();
    for file in ["libcuda.so", "libcuda.so.1"] {
        std::fs::write(other.path().join(file), &renamed).unwrap();
    }
    let both = |first: &Path, second: &Path| {
        let mut command = with_driver(folder.path());
        command.env("LD_LIBRARY_PATH", std::env::join_paths([first, second]).unwrap());
        command
    };
    assert_simulated(&both(folder.path(), other.path()));
    let panic =
        std::panic::catch_unwind(|| assert_simulated(&both(other.path(), folder.path()))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("another driver") && message.contains("Elsewhere"), "{message}");
}

#[test]
fn errors_that_a_process_cannot_recover_from_are_told_apart() {
    let Some(folder) = simulated_driver() else { return };
    for (error, lost) in [(214, true), (700, true), (719, true), (999, true), (1, false), (701, false)] {
        let mut command = with_driver(folder.path());
        command.env("FAKE_CUDA_FAIL", format!("cuEventSynchronize:{error}"));
        let failed = query(&command, SHIPPED);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        let words = match lost {
            true => ["this process cannot use it any more: ", ", waiting for an event; start a new process"],
            false => {
                ["a call of the GPU's driver has failed: ", ", waiting for an event; run the query again"]
            }
        };
        assert!(words.iter().all(|words| failed.stderr.contains(words)), "{error}: {failed:?}");
        assert_eq!(failed.stderr.lines().count(), 1, "{failed:?}");
    }
}

/// Set for the process that [`with_a_context_of_its_own`] runs in.
const CHILD: &str = "WARPFRAME_TEST_CONTEXT";

#[test]
fn calls_use_the_primary_context_and_restore_that_of_the_caller() {
    let Some(folder) = simulated_driver() else { return };
    let log = folder.path().join("calls");
    let mut child = clone(&with_driver(folder.path()));
    child = {
        let mut same = Command::new(std::env::current_exe().unwrap());
        child.get_envs().for_each(|(name, value)| {
            value.map(|value| same.env(name, value));
        });
        same
    };
    child.args(["--exact", "libraries::with_a_context_of_its_own", "--ignored", "--nocapture"]);
    let done = run(child.env(CHILD, "1").env("FAKE_CUDA_LOG", &log));
    assert_eq!(done.code, Some(0), "{done:?}");
    let calls = calls(&log);
    let count = |name: &str| calls.iter().filter(|(_, call)| call == name).count();
    assert_eq!(
        (count("cuDevicePrimaryCtxRetain"), count("cuDevicePrimaryCtxRelease_v2")),
        (1, 1),
        "{calls:?}"
    );
    assert_eq!(
        (count("cuCtxCreate_v2"), count("cuCtxSetCurrent")),
        (1, 0),
        "the context of the test is the only one"
    );
    assert!(count("cuLaunchKernel") > 0 && count("cuMemcpyHtoDAsync_v2") > 0, "{calls:?}");
    // The depth of each thread's stack of contexts, without the context of the test.
    let mut depths = HashMap::new();
    for (thread, call) in &calls {
        let depth = depths.entry(thread).or_insert(0);
        match call.as_str() {
            "cuCtxPushCurrent_v2" => *depth += 1,
            "cuCtxPopCurrent_v2" => *depth -= 1,
            "cuCtxCreate_v2" | "cuDevicePrimaryCtxRetain" | "cuDevicePrimaryCtxRelease_v2" => {
                assert_eq!(*depth, 0)
            }
            call => assert_eq!(*depth, 1, "{call}"),
        }
        assert!((0..=1).contains(depth), "{calls:?}");
    }
    assert!(depths.values().all(|depth| *depth == 0));
}

/// The context that is current for this thread, by the simulated driver.
fn current_context(driver: &Library) -> *mut c_void {
    let mut context = std::ptr::null_mut();
    // SAFETY: this is the function's signature, and the pointer is valid for writing a context.
    let code = unsafe {
        let get = driver.get::<unsafe extern "C" fn(*mut *mut c_void) -> i32>("cuCtxGetCurrent").unwrap();
        get(&mut context)
    };
    assert_eq!(code, 0);
    context
}

/// A program that uses the driver itself: it has a context of its own.
#[test]
#[ignore = "runs in a process with the simulated driver, which another test starts"]
fn with_a_context_of_its_own() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let gpus = warpframe::cuda::gpus().unwrap();
    assert_eq!(gpus.driver().devices()[0].name, "Imaginary 0");
    // SAFETY: the library is loaded already.
    let driver = unsafe { Library::new("libcuda.so.1") }.unwrap();
    let mut own = std::ptr::null_mut();
    // SAFETY: this is the function's signature, and the pointer is valid for writing a context. 40 is the first device.
    let code = unsafe {
        let create =
            driver.get::<unsafe extern "C" fn(*mut *mut c_void, u32, i32) -> i32>("cuCtxCreate_v2").unwrap();
        create(&mut own, 0, 40)
    };
    assert_eq!((code, own.is_null()), (0, false));
    let cuda = Cuda::new(
        Arc::clone(&gpus),
        CudaSettings { chunk_bytes: 24 * 64, ..CudaSettings::default() },
        Arc::new(simd()),
    );
    let kernel = cuda.compile(&log3(ScalarType::F64)).unwrap();
    let evaluate = || kernel.evaluate(&columns(1000), 1000, &KernelContext::default());
    assert_eq!(evaluate().unwrap().rows, 1000);
    assert_eq!(current_context(&driver), own);
    // SAFETY: this is the function's signature.
    unsafe { driver.get::<unsafe extern "C" fn(i32)>("fake_cuda_fail").unwrap()(700) };
    assert!(evaluate().unwrap_err().to_string().contains("this process cannot use it any more"));
    assert_eq!(current_context(&driver), own, "also after errors");
    // The context of a GPU that is lost is released when nothing uses it any more.
    assert!(gpus.lost().unwrap().contains("illegal memory access"));
}

/// The folder of this machine's NVRTC 12.9; `None` without it.
fn nvrtc_folder() -> Option<PathBuf> {
    let described = match Compiler::description() {
        Ok(described) => described,
        Err(_) => {
            skipped("there is no NVRTC");
            return None;
        }
    };
    let file = Path::new(described.split_once('(')?.1.trim_end_matches(')')).canonicalize().ok()?;
    Some(file.parent()?.to_owned())
}

/// The layouts of NVIDIA's libraries: what the environment says, and the folder of the libraries in it.
const LAYOUTS: [(&str, &str, &str); 5] = [
    ("VIRTUAL_ENV", "environment", "environment/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib"),
    ("PATH", "tools/bin", "tools/lib/python3.11/site-packages/nvidia/cu13/lib"),
    ("CONDA_PREFIX", "conda", "conda/lib"),
    ("CUDA_HOME", "toolkit", "toolkit/lib64"),
    ("LD_LIBRARY_PATH", "libraries", "libraries"),
];

#[test]
fn nvrtc_is_found_in_the_layouts_of_nvidia() {
    let (Some(folder), Some(nvrtc)) = (simulated_driver(), nvrtc_folder()) else { return };
    for (variable, value, libraries) in LAYOUTS {
        let root = tempfile::tempdir().unwrap();
        let libraries = root.path().join(libraries);
        std::fs::create_dir_all(libraries.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&nvrtc, &libraries).unwrap();
        let mut command = with_driver(folder.path());
        for other in ["WARPFRAME_NVRTC", "VIRTUAL_ENV", "CONDA_PREFIX", "CUDA_HOME", "CUDA_PATH"] {
            command.env_remove(other);
        }
        command.env("PATH", "/nowhere").env("FAKE_CUDA_ANY_KERNEL", "1");
        if variable == "PATH" {
            std::fs::create_dir_all(root.path().join(value)).unwrap();
            std::fs::write(root.path().join(value).join("python3"), "").unwrap();
        }
        match variable {
            "LD_LIBRARY_PATH" => command
                .env(variable, std::env::join_paths([folder.path(), &root.path().join(value)]).unwrap()),
            _ => command.env(variable, root.path().join(value)),
        };
        let devices = run(clone(&command).arg("devices"));
        let found = format!("NVRTC 12.9 ({}", libraries.join("libnvrtc.so.12").display());
        assert!(devices.stdout.contains(&found), "{variable}: {devices:?}");
        // It compiles, for which it loads a second library.
        let compiled = query(&command, GENERATED);
        assert_eq!(compiled.code, Some(0), "{variable}: {compiled:?}");
    }
}

#[test]
fn the_error_names_where_nvrtc_was_searched() {
    let Some(folder) = simulated_driver() else { return };
    let tried = folder.path().join("not-nvrtc");
    std::fs::create_dir(&tried).unwrap();
    let refused = query(with_driver(folder.path()).env("WARPFRAME_NVRTC", &tried), GENERATED);
    let words = format!("WARPFRAME_NVRTC is {}, and nothing else was searched", tried.display());
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("there is no NVRTC") && refused.stderr.contains(&words), "{refused:?}");
    std::fs::write(tried.join("libnvrtc.so.12"), "not a library").unwrap();
    let refused = query(with_driver(folder.path()).env("WARPFRAME_NVRTC", &tried), GENERATED);
    let words = format!("libraries that cannot be used: {}: ", tried.join("libnvrtc.so.12").display());
    assert!(refused.stderr.contains(&words), "{refused:?}");
}

#[test]
fn kernels_are_compiled_to_a_form_that_the_driver_loads() {
    let Some(folder) = simulated_driver() else { return };
    let libraries = folder.path().join("nvrtc");
    for version in [12090, 13000] {
        write_nvrtc(&libraries, version);
    }
    let nvrtc = |major: u32| libraries.join(format!("libnvrtc.so.{major}"));
    // NVRTC, the driver's version, the GPU's compute capability, whether it refuses machine code, and the expected calls.
    let cases: [(u32, &str, &str, bool, &[&str]); 8] = [
        (12, "12090", "90", false, &["compile sm_90", "cubin"]),
        // A later minor version: machine code is compatible, and PTX is not.
        (12, "12020", "90", false, &["compile sm_90", "cubin"]),
        (12, "12020", "90", true, &["compile sm_90", "cubin", "compile compute_90", "ptx 8.2"]),
        // A later major version: PTX, as of the driver's version.
        (13, "12080", "90", false, &["compile compute_90", "ptx 8.7"]),
        (13, "12060", "90", false, &["compile compute_90", "ptx 8.5"]),
        (13, "13000", "103", false, &["compile sm_103", "cubin"]),
        // GPUs that NVRTC does not know.
        (13, "13020", "130", false, &["compile compute_121", "ptx 9.0"]),
        (13, "12080", "89", true, &["compile compute_89", "ptx 8.7"]),
    ];
    let mut with_both = 0;
    for (major, driver, capability, refuse, expected) in cases {
        let log = folder.path().join("calls");
        let _ = std::fs::remove_file(&log);
        let _ = std::fs::remove_dir_all(folder.path().join("cache"));
        let mut command = with_driver(folder.path());
        command.env("FAKE_CUDA_VERSION", driver).env("FAKE_CUDA_CAPABILITY", capability);
        command
            .env("WARPFRAME_NVRTC", nvrtc(major))
            .env("FAKE_CUDA_ANY_KERNEL", "1")
            .env("FAKE_CUDA_LOG", &log);
        if refuse {
            command.env("FAKE_CUDA_REFUSE_CUBIN", "1");
        }
        let done = query(&command, GENERATED);
        assert_eq!(done.code, Some(0), "NVRTC {major}, driver {driver}: {done:?}");
        let forms = calls(&log).into_iter().map(|(_, call)| call);
        let forms: Vec<_> = forms
            .filter(|call| ["compile", "ptx", "cubin"].iter().any(|form| call.starts_with(form)))
            .collect();
        // The query has two kernels: a form that was refused is not tried for the second one, which is compiled if rows pass the
        // filter. That depends on what is in the memory of results, which the simulated driver does not write.
        let both = [expected, &expected[expected.len() - 2..]].concat();
        assert!(
            forms == expected || forms == both,
            "NVRTC {major}, driver {driver}, GPU {capability}: {forms:?}"
        );
        with_both += usize::from(forms == both);
    }
    assert!(with_both > 0, "no second kernel was compiled");
    // Of several libraries in a folder, the newest that is not of a later major version than the driver's.
    for (driver, found) in [("12080", "NVRTC 12.9"), ("13010", "NVRTC 13.0")] {
        let mut command = with_driver(folder.path());
        command.env("WARPFRAME_NVRTC", &libraries).env("FAKE_CUDA_VERSION", driver);
        let devices = run(command.arg("devices"));
        assert!(devices.stdout.contains(found), "{devices:?}");
    }
    // What was refused is in the error.
    let mut command = with_driver(folder.path());
    command.env("WARPFRAME_NVRTC", nvrtc(12)).env("FAKE_CUDA_FAIL", "cuModuleLoadData:209");
    let failed = query(&command, GENERATED);
    for words in
        ["sm_90: no kernel image", "compute_90: no kernel image", "a driver for CUDA 12.9 and NVRTC 12.9"]
    {
        assert!(failed.stderr.contains(words), "{failed:?}");
    }
}
