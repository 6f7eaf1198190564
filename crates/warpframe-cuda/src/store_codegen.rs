//! Code generation for kernels that store the outputs of all rows.

use std::fmt::Write;

use warpframe_ir::ScalarType;
use warpframe_ir::program::Program;

use super::codegen::{Generator, KernelParts, c_column, computes_validity, has_validity, input_parameters};

/// The number of parameters of a program's kernel: see [`source`].
pub(super) fn parameters(program: &Program) -> usize {
    let outputs = program.outputs().iter();
    let outputs = outputs.map(|output| 1 + usize::from(has_validity(program, output.value)));
    let inputs = input_parameters(program, computes_validity(program));
    let others = [program.predicate().is_some(), program.can_trap()].map(usize::from);
    // The rows are the last one.
    inputs + outputs.sum::<usize>() + others.iter().sum::<usize>() + 1
}

/// The CUDA C++ source of a program's kernel, without the
/// [`PRELUDE`](super::codegen::PRELUDE).
///
/// The parameters of the kernel are, in this order:
/// - for each input, its values (as in Arrow: an array of numbers, or a bitmap for Booleans) and, if it is nullable, its
///   validity bitmap; bitmaps start at the first bit of a byte;
/// - the number of rows;
/// - for each output, its values, one number of its Arrow type per row, or a bitmap for a Boolean, and, if it may be null,
///   its validity bitmap. Bitmaps are those of Arrow, in words of 32 bits; bits behind the last row are 0;
/// - if the program has a predicate, a bitmap: whether the predicate is true. The other outputs have all rows;
/// - if the program [can trap](Program::can_trap), an integer, 0 before the launch, that receives the position of a `TrapIf`
///   instruction that traps, plus one. If several do, it is one of them.
///
/// The validity parameters exist only if the kernel [computes validity](computes_validity). Blocks and the grid have one
/// dimension; a block has a multiple of 32 threads, and the grid may have any size.
pub(super) fn source(program: &Program, name: &str) -> String {
    let generator = Generator { program, validity: computes_validity(program) };
    generator.kernel(name, &stores(&generator))
}

/// The parts of a kernel that stores the outputs of all rows. Integers are truncated to the width of their column.
fn stores(generator: &Generator) -> KernelParts {
    let KernelParts { mut parameters, mut row, mut bitmaps, .. } = KernelParts::default();
    let mut bitmap = |parameters: &mut String, name: String, bit: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(parameters, "    unsigned int *__restrict__ {name},");
        bitmaps.push((name, bit));
    };
    for (position, output) in generator.program.outputs().iter().enumerate() {
        let value = output.value;
        let variable = format!("v{}", value.position());
        if generator.program.scalar_type(value) == ScalarType::Bool {
            bitmap(&mut parameters, format!("out{position}"), variable);
        } else {
            let column = c_column(&output.data_type);
            let _ = writeln!(parameters, "    {column} *__restrict__ out{position},");
            let _ = writeln!(row, "        out{position}[row] = ({column}){variable};");
        }
        if generator.may_be_null(value) {
            bitmap(&mut parameters, format!("out{position}_valid"), generator.n(value));
        }
    }
    if let Some(predicate) = generator.program.predicate() {
        bitmap(&mut parameters, "selected".to_owned(), generator.holds(predicate));
    }
    KernelParts { parameters, row, bitmaps, ..KernelParts::default() }
}
