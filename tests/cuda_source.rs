//! The CUDA C of random programs, without a GPU: compiled for the CPU through `kernels/host_shim.h` and run
//! against the interpreter and the SIMD backend, and compiled for GPUs by NVRTC where that library can be found.
//!
//! NVRTC comes with CUDA, or as the Python package `nvidia-cuda-nvrtc-cu12`; its folder has to be in
//! `LD_LIBRARY_PATH`. `ptxas`, from CUDA or `nvidia-cuda-nvcc-cu12`, has to be in `PATH`.

mod common;

use std::cell::RefCell;
use std::ffi::{c_int, c_longlong, c_uchar, c_uint, c_void};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use common::skipped;
use common::trees::{for_random_expressions, schema};
use libloading::{Library, Symbol};
use warpframe::backend::cuda::Compiler;
use warpframe::backend::{Backend, Interpreted, Simd};
use warpframe::program::cuda::{PRELUDE, source};
use warpframe::program::{Fault, Precision, Program, Range, compile, log3};

/// A program, and rows for it.
struct Case {
    text: String,
    program: Program,
    arguments: Vec<ArrayRef>,
    rows: usize,
}

fn cases(count: u32) -> Vec<Case> {
    let cases = RefCell::new(Vec::new());
    for_random_expressions(count, |expr, batch| {
        let Ok(compiled) = compile(&expr, &schema()) else { return };
        if compiled.program.data_type() != DataType::Float64 {
            return;
        }
        // Bitmaps begin with a byte, as they do on a GPU: no slices.
        let all = arrow::array::UInt32Array::from_iter_values(0..batch.num_rows() as u32);
        let batch: RecordBatch = take_record_batch(&batch, &all).unwrap();
        let batch = concat_batches(&batch.schema(), [&batch]).unwrap();
        let column = |name: &String| batch.column_by_name(name).unwrap().clone();
        let arguments = compiled.columns.iter().map(column).collect();
        let (text, rows) = (expr.to_string(), batch.num_rows());
        cases.borrow_mut().push(Case { text, program: compiled.program, arguments, rows });
    });
    cases.into_inner()
}

/// A function of one signature for each kernel: it casts the arguments and runs the grid.
fn launcher(program: &Program, name: &str) -> String {
    let mut call = String::new();
    for (position, input) in program.inputs().iter().enumerate() {
        let c_type = match input.data_type {
            DataType::Float64 => "double",
            DataType::Int64 => "long long",
            _ => "wf_byte",
        };
        let _ = write!(call, "(const {c_type} *)values[{position}], ");
        if input.nullable {
            let _ = write!(call, "valid[{position}], ");
        }
    }
    let validity = if program.may_be_null(program.output()) { "out_valid, " } else { "" };
    format!(
        "extern \"C\" void launch_{name}(const void **values, const wf_byte **valid, long long rows, void *out, \
         wf_byte *out_valid, int *fault, unsigned blocks, unsigned threads) {{\n    \
         wf_launch(blocks, threads, [&] {{ {name}({call}rows, (double *)out, {validity}fault); }});\n}}\n"
    )
}

type Launch = unsafe extern "C" fn(
    *const *const c_void,
    *const *const c_uchar,
    c_longlong,
    *mut c_void,
    *mut c_uchar,
    *mut c_int,
    c_uint,
    c_uint,
);

#[test]
fn the_source_gives_the_other_backends_answers_on_the_cpu() {
    let cases = cases(150);
    let mut text = format!("{}\n{PRELUDE}\n", include_str!("../kernels/host_shim.h"));
    for (number, case) in cases.iter().enumerate() {
        let name = format!("k{number}");
        let _ = write!(
            text,
            "// {}\n{}{}",
            case.text.replace('\n', " "),
            source(&case.program, &name),
            launcher(&case.program, &name)
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, library) = (folder.path().join("kernels.cpp"), folder.path().join("kernels.so"));
    std::fs::write(&file, text).unwrap();
    let arguments = ["-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o"];
    let compiled = match Command::new("c++").args(arguments).arg(&library).arg(&file).output() {
        Ok(compiled) => compiled,
        Err(error) => return skipped(&format!("there is no C++ compiler: {error}")),
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    // SAFETY: a library made of the functions above; loading it runs no code of its own.
    let library = unsafe { Library::new(&library) }.unwrap();
    let mut checked = 0;
    for (number, case) in cases.iter().enumerate() {
        // SAFETY: the function was generated with this signature.
        let launch: Symbol<Launch> = unsafe { library.get(format!("launch_k{number}").as_bytes()) }.unwrap();
        checked += check(case, &launch);
    }
    println!("{} programs, {checked} results", cases.len());
    assert!(checked > 1000);
}

fn check(case: &Case, launch: &Launch) -> usize {
    let values: Vec<*const c_void> = case
        .arguments
        .iter()
        .map(|array| match array.data_type() {
            DataType::Float64 => array.as_primitive::<Float64Type>().values().as_ptr().cast(),
            DataType::Int64 => array.as_primitive::<Int64Type>().values().as_ptr().cast(),
            _ => array.as_boolean().values().values().as_ptr().cast(),
        })
        .collect();
    let ones = vec![0xFFu8; case.rows / 8 + 1];
    let valid: Vec<*const c_uchar> = case
        .arguments
        .iter()
        .map(|array| array.nulls().map_or(ones.as_ptr(), |nulls| nulls.validity().as_ptr()))
        .collect();
    let expected = Interpreted.evaluate(&case.program, &case.arguments, case.rows);
    let simd = Simd::active().unwrap().evaluate(&case.program, &case.arguments, case.rows);
    assert_eq!(simd.is_err(), expected.is_err(), "{}: {simd:?}", case.text);
    let ranges: Option<Vec<_>> = (0..case.rows).map(|row| case.program.range(&case.arguments, row)).collect();
    let mut checked = 0;
    // More threads than rows, fewer, and one.
    for (blocks, threads) in [(3, 64), (1, 7), (1, 1)] {
        let (mut out, mut out_valid, mut fault) = (vec![f64::MAX; case.rows], vec![1u8; case.rows], 0);
        // SAFETY: the pointers are those of arrays with as many rows, which outlive the call.
        unsafe {
            launch(
                values.as_ptr(),
                valid.as_ptr(),
                case.rows as c_longlong,
                out.as_mut_ptr().cast(),
                out_valid.as_mut_ptr(),
                &mut fault,
                blocks,
                threads,
            );
        }
        let Some(ranges) = &ranges else { return checked };
        assert_eq!(Fault::of_code(fault).is_some(), expected.is_err(), "{}: fault {fault}", case.text);
        if expected.is_err() {
            return checked;
        }
        // Both are where the ops' bounds allow them to be, and so as near to each other as those say.
        let simd = simd.as_ref().unwrap().as_primitive::<Float64Type>();
        for (row, range) in ranges.iter().enumerate() {
            let result = (out_valid[row] != 0).then_some(out[row]);
            assert!(range.holds(result), "{}: row {row} is {result:?}, not in {range:?}", case.text);
            let theirs = simd.is_valid(row).then(|| simd.value(row));
            assert!(range.holds(theirs), "{}: SIMD row {row} is {theirs:?}, not in {range:?}", case.text);
            if !matches!(range, Range::Unknown) {
                assert_eq!(result.is_some(), theirs.is_some(), "{}: row {row}", case.text);
            }
            checked += 1;
        }
    }
    checked
}

/// The programs of the compiler's tests; none where there is no NVRTC.
fn compiler(folder: &Path) -> Option<Compiler> {
    let compiler = Compiler::new(Some(folder.to_owned()));
    match compiler.compile(log3(Precision::Double), "compute_80") {
        Ok(_) => Some(compiler),
        Err(error) => {
            assert!(error.to_string().contains("there is no NVRTC"), "{error}");
            skipped("there is no NVRTC");
            None
        }
    }
}

#[test]
fn nvrtc_compiles_the_source_for_every_architecture_without_spills() {
    let folder = tempfile::tempdir().unwrap();
    let Some(compiler) = compiler(&folder.path().join("cache")) else { return };
    let cases = cases(12);
    let programs = cases.iter().map(|case| &case.program);
    let programs: Vec<_> =
        programs.chain([log3(Precision::Double).as_ref(), log3(Precision::Single).as_ref()]).collect();
    for architecture in ["75", "80", "86", "89", "90", "100"] {
        let mut most = 0;
        for program in &programs {
            let ptx = match compiler.compile(program, &format!("compute_{architecture}")) {
                Ok(ptx) => ptx,
                Err(error) if error.to_string().contains("invalid value for --gpu-architecture") => {
                    skipped(&format!("this NVRTC does not know sm_{architecture}"));
                    break;
                }
                Err(error) => panic!("sm_{architecture}: {error}"),
            };
            assert!(ptx.text.contains(&format!(".entry {}(", ptx.kernel)));
            most = most.max(assemble(folder.path(), &ptx.text, architecture).unwrap_or(0));
        }
        println!("sm_{architecture}: {} kernels, at most {most} registers, no spills", programs.len());
    }
}

#[test]
fn compiled_kernels_are_kept_in_memory_and_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let Some(first) = compiler(folder.path()) else { return };
    let (double, single) = (log3(Precision::Double), log3(Precision::Single));
    let ptx = first.compile(double, "compute_80").unwrap();
    assert_eq!(first.compiled(), 1, "the second time it is known");
    assert_ne!(first.compile(double, "compute_90").unwrap(), ptx);
    assert_ne!(first.compile(single, "compute_80").unwrap(), ptx);
    assert_eq!(first.compiled(), 3, "other architectures and types are other kernels");

    let second = Compiler::new(Some(folder.path().to_owned()));
    assert_eq!(second.compile(double, "compute_80").unwrap(), ptx);
    assert_eq!(second.compiled(), 0, "another process finds it on the disk");

    for damage in [&b"nonsense"[..], b"", b"warpframe PTX 1\n0000000000000000\n"] {
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::write(entry.unwrap().path(), damage).unwrap();
        }
        let third = Compiler::new(Some(folder.path().to_owned()));
        assert_eq!(third.compile(double, "compute_80").unwrap(), ptx);
        assert_eq!(third.compiled(), 1, "a damaged entry is made anew");
    }
    let unwritable = Compiler::new(Some("/dev/null/nowhere".into()));
    assert_eq!(unwritable.compile(double, "compute_80").unwrap(), ptx);
    assert!(first.compile(double, "compute_1").unwrap_err().to_string().contains("compute_1"));
}

/// The registers a kernel uses; nothing may be spilled to memory.
fn assemble(folder: &Path, ptx: &str, architecture: &str) -> Option<u32> {
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
    let spills = log.lines().find(|line| line.contains("spill stores"));
    assert!(spills.is_none_or(|line| line.contains(" 0 bytes spill stores")), "sm_{architecture}: {log}");
    log.lines().find_map(|line| line.split("Used ").nth(1)?.split(' ').next()?.parse().ok())
}
