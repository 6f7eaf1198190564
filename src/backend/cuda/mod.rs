//! What GPUs need of a program: PTX, compiled from CUDA C by NVRTC. Nothing runs on a GPU yet.

mod compile;

pub use compile::{Compiler, Ptx};
