//! The CUDA C of random programs, without a GPU: compiled for the CPU through `kernels/host_shim.h` and run
//! against the interpreter, and compiled for GPUs by NVRTC where that library can be found.
//!
//! NVRTC comes with CUDA, or as the Python package `nvidia-cuda-nvrtc-cu12`; its folder has to be in
//! `LD_LIBRARY_PATH`. `ptxas`, from CUDA or `nvidia-cuda-nvcc-cu12`, has to be in `PATH`.

mod common;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_longlong, c_uchar, c_uint, c_void};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::ptr::null;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use common::trees::{for_random_expressions, schema};
use libloading::{Library, Symbol};
use warpframe::backend::{Backend, Interpreted};
use warpframe::program::cuda::{OPTIONS, PRELUDE, source};
use warpframe::program::{Fault, Program, compile};

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
fn the_source_gives_the_interpreters_answers_on_the_cpu() {
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
        Err(error) => return println!("SKIPPED: there is no C++ compiler: {error}"),
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
        for (row, range) in ranges.iter().enumerate() {
            let result = (out_valid[row] != 0).then_some(out[row]);
            assert!(range.holds(result), "{}: row {row} is {result:?}, not in {range:?}", case.text);
            checked += 1;
        }
    }
    checked
}

/// The functions of NVRTC that are needed to compile.
struct Nvrtc(Library);

impl Nvrtc {
    fn load() -> Option<Self> {
        let names = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];
        // SAFETY: loading NVRTC has no effects but on itself.
        names.iter().find_map(|name| unsafe { Library::new(*name) }.ok()).map(Self)
    }

    /// PTX for an architecture.
    fn compile(&self, source: &str, architecture: &str) -> Result<String, String> {
        type Create = unsafe extern "C" fn(
            *mut *mut c_void,
            *const c_char,
            *const c_char,
            c_int,
            *const *const c_char,
            *const *const c_char,
        ) -> c_int;
        type Compile = unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int;
        type Size = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
        type Text = unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int;
        let text = CString::new(source).unwrap();
        let options: Vec<_> = OPTIONS
            .iter()
            .map(|option| CString::new(*option).unwrap())
            .chain([CString::new(format!("--gpu-architecture={architecture}")).unwrap()])
            .collect();
        let pointers: Vec<_> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: the functions are declared as in nvrtc.h, the strings end with a zero and outlive the
        // calls, and the buffers are as large as NVRTC asks.
        unsafe {
            let get = |size: &[u8], text: &[u8], program: *mut c_void| {
                let (size, text): (Symbol<Size>, Symbol<Text>) =
                    (self.0.get(size).unwrap(), self.0.get(text).unwrap());
                let mut length = 0;
                assert_eq!(size(program, &mut length), 0);
                let mut buffer = vec![0u8; length.max(1)];
                assert_eq!(text(program, buffer.as_mut_ptr().cast()), 0);
                CStr::from_bytes_until_nul(&buffer).unwrap().to_string_lossy().into_owned()
            };
            let create: Symbol<Create> = self.0.get(b"nvrtcCreateProgram").unwrap();
            let compile: Symbol<Compile> = self.0.get(b"nvrtcCompileProgram").unwrap();
            let mut program = std::ptr::null_mut();
            assert_eq!(create(&mut program, text.as_ptr(), null(), 0, null(), null()), 0);
            match compile(program, pointers.len() as c_int, pointers.as_ptr()) {
                0 => Ok(get(b"nvrtcGetPTXSize", b"nvrtcGetPTX", program)),
                _ => Err(get(b"nvrtcGetProgramLogSize", b"nvrtcGetProgramLog", program)),
            }
        }
    }
}

#[test]
fn nvrtc_compiles_the_source_for_every_architecture() {
    let Some(nvrtc) = Nvrtc::load() else {
        return println!("SKIPPED: NVRTC is not in LD_LIBRARY_PATH");
    };
    let cases = cases(40);
    let mut text = PRELUDE.to_owned();
    for (number, case) in cases.iter().enumerate() {
        text += &source(&case.program, &format!("k{number}"));
    }
    let folder = tempfile::tempdir().unwrap();
    for architecture in ["75", "80", "86", "89", "90", "100"] {
        let ptx = match nvrtc.compile(&text, &format!("compute_{architecture}")) {
            Ok(ptx) => ptx,
            Err(log) if log.contains("invalid value for --gpu-architecture") => {
                println!("SKIPPED: this NVRTC does not know sm_{architecture}");
                continue;
            }
            Err(log) => panic!("sm_{architecture}: {log}"),
        };
        for number in 0..cases.len() {
            assert!(ptx.contains(&format!(".entry k{number}(")), "sm_{architecture} has no k{number}");
        }
        assemble(folder.path(), &ptx, architecture);
    }
}

/// Nothing may be spilled to memory.
fn assemble(folder: &Path, ptx: &str, architecture: &str) {
    let file = folder.join(format!("{architecture}.ptx"));
    std::fs::write(&file, ptx).unwrap();
    let arch = format!("-arch=sm_{architecture}");
    let output = Command::new("ptxas").args(["-v", &arch, "-o", "/dev/null"]).arg(&file).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return println!("SKIPPED: there is no ptxas for sm_{architecture}: {error}"),
    };
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "sm_{architecture}: {log}");
    let registers: Vec<u32> =
        log.lines().filter_map(|line| line.split("Used ").nth(1)?.split(' ').next()?.parse().ok()).collect();
    let spilled = log
        .lines()
        .filter(|line| line.contains("spill stores") && !line.contains(" 0 bytes spill stores"))
        .count();
    println!(
        "sm_{architecture}: {} kernels, at most {} registers, {spilled} with spills",
        registers.len(),
        registers.iter().max().unwrap_or(&0)
    );
    assert_eq!(spilled, 0, "sm_{architecture}: {log}");
}
