//! Kernels on plain slices, without DataFusion: `cargo run --release --example bare_kernel`

use warpframe::kernel::{self, KernelError, SimdPath};

fn main() -> Result<(), KernelError> {
    let x: Vec<f64> = (1..=1_000_000).map(f64::from).collect();
    let mut r = vec![0.0; x.len()];

    kernel::log3(&x, &x, &x, &mut r)?; // this thread
    kernel::par_log3(&x, &x, &x, &mut r)?; // all threads of rayon's pool
    println!("{}: ln(1000000)^3 = {}", SimdPath::active()?, r[999_999]);

    let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let mut r = vec![0.0; x.len()];
    kernel::log3(&x, &x, &x, &mut r)?;
    println!("in single precision: {}", r[999_999]);
    Ok(())
}
