//! The places of a chunk's columns in device memory and in staging memory, and the arguments of kernels.

use std::ffi::c_void;
use std::ops::Range;

use warpframe_ir::Trap;
use warpframe_ir::program::Program;

use super::codegen::{computes_validity, has_validity, trap_of_code};
use super::gpu::SlotBytes;

/// The alignment of columns in bytes: a multiple of the widest load and of a cache line of the GPU.
pub(super) const ALIGNMENT: usize = 256;

/// The number of rows of chunks is a multiple of this, so that bitmaps start at the first bit of a word.
pub(super) const ROWS_MULTIPLE: usize = 64;

/// The offsets in bytes of a chunk's columns in device memory and in staging memory. They are the same in both, except
/// that staging memory has no places for results that are copied directly to where they stay. The inputs are first, then the
/// trap code and the staged results, then the other results.
#[derive(Debug)]
pub(super) struct Layout {
    /// For each input the offsets of its values and, if the kernel has the parameter, of its validity.
    inputs: Vec<(usize, Option<usize>)>,
    /// The end of the inputs.
    inputs_end: usize,
    /// The offset of the trap code, if the program can trap.
    trap: Option<usize>,
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

impl ResultColumn {
    /// A bitmap of rows, which kernels write in words of 32 bits.
    pub fn bitmap(rows: usize) -> Self {
        Self { bytes: rows.div_ceil(32) * size_of::<u32>(), staged: true }
    }
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
        let inputs_end = take(0);
        let trap = program.can_trap().then(|| take(size_of::<i32>()));
        let results = results.into_iter().map(|column| ResultPlace { offset: 0, column });
        let mut results: Vec<_> = results.collect();
        let mut place = |staged: bool| {
            let places = results.iter_mut().filter(|place| place.column.staged == staged);
            places.for_each(|place| place.offset = take(place.column.bytes));
            take(0)
        };
        let (staging, device) = (place(true), place(false));
        Self { inputs, inputs_end, trap, results, bytes: SlotBytes { device, staging } }
    }

    /// For each input the offsets of its values and, if the kernel has the parameter, of its validity.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.inputs.iter().copied()
    }

    /// The size of the part of staging memory that has the inputs, and nothing else.
    pub fn inputs_bytes(&self) -> usize {
        self.inputs_end
    }

    /// The place of the trap code; `None` if no row can trap.
    pub fn trap(&self) -> Option<ResultPlace> {
        let column = ResultColumn { bytes: size_of::<i32>(), staged: true };
        self.trap.map(|offset| ResultPlace { offset, column })
    }

    /// The places of the results, in the order of the kernel's parameters.
    pub fn results(&self) -> impl Iterator<Item = ResultPlace> {
        self.results.iter().copied()
    }

    /// The places in device memory of the results that have none in staging memory.
    pub fn direct(&self) -> impl Iterator<Item = ResultPlace> {
        self.results().filter(|place| !place.column.staged)
    }

    /// The part of device memory and of staging memory that has the trap code and the staged results, and nothing else. It is
    /// empty if there are none.
    pub fn staged(&self) -> Range<usize> {
        self.inputs_end..self.bytes.staging
    }

    /// The sizes of the memory.
    pub fn bytes(&self) -> SlotBytes {
        self.bytes
    }

    /// The arguments of the kernel, in the order of its parameters (see [`source`](super::store_codegen::source)). `at` maps
    /// offsets to device addresses; `inputs` has the addresses of the inputs' values.
    pub fn arguments(&self, rows: usize, at: impl Fn(usize) -> u64, inputs: &[u64]) -> Arguments {
        let mut arguments = Arguments::default();
        for ((_, validity), &values) in self.inputs.iter().zip(inputs) {
            arguments.0.push(values);
            arguments.0.extend(validity.map(&at));
        }
        arguments.0.push(rows as u64);
        arguments.0.extend(self.results.iter().map(|place| at(place.offset)));
        arguments.0.extend(self.trap.map(at));
        arguments
    }
}

/// The number of rows of a chunk: a multiple of [`ROWS_MULTIPLE`], the largest whose columns have at most `chunk_bytes` bytes,
/// and at least one. The columns are the inputs or the outputs, whichever are more, as the bus transfers both directions at a
/// time.
pub(super) fn rows_of_chunk(program: &Program, chunk_bytes: usize) -> usize {
    let bits = |width: Option<usize>, validity| width.map_or(1, |bytes| 8 * bytes) + usize::from(validity);
    let inputs = program
        .inputs()
        .iter()
        .map(|input| bits(input.data_type.primitive_width(), computes_validity(program) && input.nullable));
    let outputs = program.outputs().iter();
    let outputs =
        outputs.map(|output| bits(output.data_type.primitive_width(), has_validity(program, output.value)));
    let bits = inputs.sum::<usize>().max(outputs.sum());
    let rows = chunk_bytes.saturating_mul(8) / bits;
    (rows / ROWS_MULTIPLE * ROWS_MULTIPLE).max(ROWS_MULTIPLE)
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
