//! The places of a chunk's columns in device memory and in staging memory, and the arguments of kernels.

use std::ffi::c_void;
use std::ops::Range;

use warpframe_ir::Trap;
use warpframe_ir::program::Program;

use super::codegen::trap_of_code;
use super::gpu::SlotBytes;

/// The alignment of columns in bytes: a multiple of the widest load and of a cache line of the GPU.
pub(super) const ALIGNMENT: usize = 256;

/// The offsets in bytes of a chunk's columns in device memory and in staging memory. They are the same in both, except
/// that staging memory has no places for results that are copied directly to where they stay.
#[derive(Debug)]
pub(super) struct Layout {
    /// For each input the offsets of its values and, if the kernel has the parameter, of its validity.
    inputs: Vec<(usize, Option<usize>)>,
    trap: usize,
    /// In the order of the kernel's parameters.
    results: Vec<ResultPlace>,
    bytes: SlotBytes,
}

/// A column of results.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResultColumn {
    /// Its size in bytes.
    pub bytes: usize,
    /// Whether it is copied to staging memory.
    pub staged: bool,
}

/// The place of a column of results.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResultPlace {
    /// The offset.
    pub offset: usize,
    pub column: ResultColumn,
}

impl ResultPlace {
    /// Its bytes in memory.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.column.bytes
    }
}

impl Layout {
    /// The layout of a chunk of `rows` rows of a program, whose kernel computes validity or not, and stores these results.
    pub fn new(
        program: &Program,
        validity: bool,
        rows: usize,
        results: impl IntoIterator<Item = ResultColumn>,
    ) -> Self {
        let mut end = 0;
        let mut take = |bytes: usize| {
            let start = end;
            end += bytes.next_multiple_of(ALIGNMENT);
            start
        };
        let inputs = program.inputs().iter().map(|input| {
            let values = take(match input.data_type.primitive_width() {
                Some(width) => rows * width,
                None => rows.div_ceil(8),
            });
            (values, (validity && input.nullable).then(|| take(rows.div_ceil(8))))
        });
        let inputs = inputs.collect();
        let trap = take(size_of::<i32>());
        let results = results.into_iter().map(|column| ResultPlace { offset: 0, column });
        let mut results: Vec<_> = results.collect();
        let mut place = |staged: bool| {
            let places = results.iter_mut().filter(|place| place.column.staged == staged);
            places.for_each(|place| place.offset = take(place.column.bytes));
            take(0)
        };
        let (staging, device) = (place(true), place(false));
        Self { inputs, trap, results, bytes: SlotBytes { device, staging } }
    }

    /// For each input the offsets of its values and, if the kernel has the parameter, of its validity.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.inputs.iter().copied()
    }

    /// The offset of the trap code.
    pub fn trap(&self) -> usize {
        self.trap
    }

    /// The places of the results, in the order of the kernel's parameters.
    pub fn results(&self) -> impl Iterator<Item = ResultPlace> {
        self.results.iter().copied()
    }

    /// The places in device memory of the results that have none in staging memory.
    pub fn direct(&self) -> impl Iterator<Item = ResultPlace> {
        self.results().filter(|place| !place.column.staged)
    }

    /// The part of device memory and of staging memory that has the trap code and the staged results, and nothing else.
    pub fn staged(&self) -> Range<usize> {
        self.trap..self.bytes.staging
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
        arguments.0.extend(self.results.iter().map(|place| at(place.offset)));
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
