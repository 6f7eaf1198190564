//! The places of a chunk's columns in device memory and in staging memory, and the arguments of kernels.

use std::ffi::c_void;

use warpframe_ir::Trap;
use warpframe_ir::program::Program;

use super::codegen::{computes_validity, has_validity, trap_of_code};
use super::gpu::SlotBytes;

/// The alignment of columns in bytes: a multiple of the widest load and of a cache line of the GPU.
pub(super) const ALIGNMENT: usize = 256;

/// The offsets in bytes of a chunk's columns in device memory and in staging memory. They are the same in both, except
/// that staging memory has no places for outputs of numbers, which are copied directly to the result.
#[derive(Debug)]
pub(super) struct Layout {
    /// For each input the offsets of its values and, if the kernel has the parameter, of its validity.
    inputs: Vec<(usize, Option<usize>)>,
    trap: usize,
    selected: Option<usize>,
    outputs: Vec<OutputPlace>,
    bytes: SlotBytes,
}

/// The place of an output.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputPlace {
    /// The offset of its values.
    pub values: usize,
    /// The size of its values in bytes.
    pub bytes: usize,
    /// The offset of its validity, if the kernel has the parameter: a byte for each row.
    pub validity: Option<usize>,
    /// Whether it is a Boolean, with a byte for each row.
    pub is_bool: bool,
}

impl Layout {
    pub fn new(program: &Program, rows: usize) -> Self {
        let mut end = 0;
        let mut take = |bytes: usize| {
            let start = end;
            end += bytes.next_multiple_of(ALIGNMENT);
            start
        };
        let validity = computes_validity(program);
        let inputs = program.inputs().iter().map(|input| {
            let values = take(match input.data_type.primitive_width() {
                Some(width) => rows * width,
                None => rows.div_ceil(8),
            });
            (values, (validity && input.nullable).then(|| take(rows.div_ceil(8))))
        });
        let inputs = inputs.collect();
        let trap = take(size_of::<i32>());
        let selected = program.predicate().map(|_| take(rows));
        let outputs = program.outputs().iter().map(|output| {
            let width = output.data_type.primitive_width();
            OutputPlace {
                values: if width.is_none() { take(rows) } else { 0 },
                bytes: rows * width.unwrap_or(1),
                validity: has_validity(program, output.value).then(|| take(rows)),
                is_bool: width.is_none(),
            }
        });
        let mut outputs: Vec<_> = outputs.collect();
        let staging = take(0);
        outputs
            .iter_mut()
            .filter(|output| !output.is_bool)
            .for_each(|output| output.values = take(output.bytes));
        Self { inputs, trap, selected, outputs, bytes: SlotBytes { device: end, staging } }
    }

    /// For each input the offsets of its values and, if the kernel has the parameter, of its validity.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.inputs.iter().copied()
    }

    /// The offset of the trap code.
    pub fn trap(&self) -> usize {
        self.trap
    }

    /// The offset of the bytes that say which rows the predicate selects, if there is a predicate.
    pub fn selected(&self) -> Option<usize> {
        self.selected
    }

    /// The places of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = OutputPlace> {
        self.outputs.iter().copied()
    }

    /// The sizes of the memory.
    pub fn bytes(&self) -> SlotBytes {
        self.bytes
    }

    /// The arguments of the kernel, in the order of its parameters (see [`source`](super::codegen::source)). `at` maps
    /// offsets to device addresses; `inputs` has the addresses of the inputs' values.
    pub fn arguments(&self, rows: usize, at: impl Fn(usize) -> u64, inputs: &[u64]) -> Arguments {
        let mut arguments = Arguments::default();
        for ((_, validity), &values) in self.inputs.iter().zip(inputs) {
            arguments.0.push(values);
            arguments.0.extend(validity.map(&at));
        }
        arguments.0.push(rows as u64);
        for output in &self.outputs {
            arguments.0.push(at(output.values));
            arguments.0.extend(output.validity.map(&at));
        }
        arguments.0.extend(self.selected.map(&at));
        arguments.0.push(at(self.trap));
        arguments
    }
}

/// The arguments of a kernel, each of 8 bytes: device addresses and numbers of rows.
#[derive(Debug, Default)]
pub(super) struct Arguments(pub Vec<u64>);

impl Arguments {
    /// Pointers to the arguments, as the driver expects them. The driver only reads them, and they must not outlive `self`.
    pub fn pointers(&self) -> Vec<*mut c_void> {
        self.0.iter().map(|argument| std::ptr::from_ref(argument).cast_mut().cast()).collect()
    }
}

/// The trap whose code the kernel of a program has stored at [`Layout::trap`]; `None` if no row traps.
pub(super) fn stored_trap(program: &Program, code: &[u8]) -> Option<Trap> {
    trap_of_code(program, i32::from_ne_bytes(*code.first_chunk()?))
}
