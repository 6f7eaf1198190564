//! A fault of a kernel on a real GPU, or on the simulated driver `libcuda.so.1`. The GPU cannot be used by the process
//! afterwards, so the test runs only when it is asked for, alone: `benches/gpu/conformance` does.

use std::ffi::c_void;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use warpframe_cuda::driver::CudaError;
use warpframe_cuda::{Gpus, KernelSource, THREADS};
use warpframe_ir::{Binary, Builder, Program, ScalarType, Unary};

use super::{cuda, evaluate, skipped};

/// An address that no allocation has: pages at the beginning of the address space are never mapped.
const ILLEGAL: u64 = 0x100;

/// ln(x) * ln(y) * ln(z), whose kernel is shipped: it runs without NVRTC too.
fn log3() -> Arc<Program> {
    let program = Builder::function(ScalarType::F64, 3, |builder, arguments| {
        let [x, y, z] = [0, 1, 2].map(|position| builder.unary(Unary::Ln, arguments[position]));
        let product = builder.binary(Binary::Multiply, x, y);
        builder.binary(Binary::Multiply, product, z)
    });
    Arc::new(program.unwrap())
}

/// Makes a kernel of a GPU read an illegal address. Returns the error of waiting for it.
fn fault(gpus: &Gpus, device: usize) -> CudaError {
    let device = gpus.driver().open(device).unwrap();
    let kernel = device.load(&KernelSource::sum_f64()).unwrap();
    let output = device.allocate(256 * 8).unwrap();
    let stream = device.create_stream().unwrap();
    let mut arguments = [ILLEGAL, 1 << 20, 256, output.0];
    let mut pointers = arguments.each_mut().map(|argument| std::ptr::from_mut(argument).cast::<c_void>());
    // SAFETY: the kernel is loaded, and the arguments have the types of its parameters. It reads memory that is not
    // allocated, which is the purpose: the GPU stops it. Nothing else uses the GPU.
    let launched = unsafe { device.launch(stream, kernel, 1, THREADS, &mut pointers) };
    // SAFETY: the stream was created by this device.
    launched.and_then(|()| unsafe { device.synchronize(stream) }).unwrap_err()
}

#[test]
#[ignore = "the process cannot use the GPU afterwards: run it alone"]
fn a_fault_of_a_kernel_ends_the_use_of_the_gpu() {
    let gpus = match warpframe_cuda::gpus() {
        Ok(gpus) => gpus,
        Err(error) => return skipped(&format!("nothing is tested on a real GPU: {error}")),
    };
    let column = |factor: f64| {
        let numbers = (0..1000).map(|row| factor * (f64::from(row) + 0.5));
        Arc::new(Float64Array::from_iter_values(numbers)) as ArrayRef
    };
    let (program, inputs) = (log3(), [column(1.0), column(0.25), column(1e3)]);
    let cuda = cuda(&gpus, 1 << 18);
    assert_eq!(evaluate(&cuda, &program, &inputs, 1000).unwrap().rows, 1000, "before the fault");
    for device in 0..gpus.driver().devices().len() {
        let error = fault(&gpus, device);
        println!("GPU {device}: {error}");
        assert!(matches!(error, CudaError::DeviceLost(_)), "{error}");
    }
    let first = evaluate(&cuda, &program, &inputs, 1000).unwrap_err().to_string();
    println!("the next evaluation: {first}");
    for words in ["this process cannot use it any more", "illegal memory access", "start a new process"] {
        assert!(first.contains(words), "{first}");
    }
    assert_eq!(evaluate(&cuda, &program, &inputs, 1000).unwrap_err().to_string(), first);
    assert!(gpus.lost().is_some_and(|reason| reason.contains("illegal memory access")), "{:?}", gpus.lost());
}
