//! Code generation for reductions: CUDA C++ in which a thread reduces the outputs of its rows.

use std::fmt::Write;

use warpframe_ir::program::Program;
use warpframe_ir::{Output, Reductions, ScalarType};

use super::codegen::{Generator, KernelParts, c_column, c_int, c_long, c_type, input_parameters};
use super::partial_column::PartialColumn;

/// The number of parameters of a program's reducing kernel: see [`reducing_source`].
pub(super) fn reducing_parameters(program: &Program, reductions: &[Reductions]) -> usize {
    let columns = outputs(program, reductions).map(|(_, output, reductions)| {
        PartialColumn::of(program.scalar_type(output.value), reductions).count()
    });
    let others = [program.predicate().is_some(), program.can_trap()].map(usize::from);
    // The rows are the last one.
    input_parameters(program, true) + columns.sum::<usize>() + others.iter().sum::<usize>() + 1
}

/// The CUDA C++ source of a kernel that reduces the outputs of a program, without the
/// [`PRELUDE`](super::codegen::PRELUDE). `reductions` has those of each output.
///
/// Thread `t` of `T` reduces the rows `t`, `t + T`, `t + 2T`, and so on, in this order. It stores its results, without shared
/// memory and without waiting for other threads, so that they depend on nothing but the rows and `T`. The parameters are, in
/// this order:
/// - for each input, its values, and its validity if it is nullable: as in [`source`](super::store_codegen::source), but strict
///   programs too compute validity;
/// - the number of rows;
/// - for each output, arrays with a number for each thread: the number of values that are not null in the selected rows
///   (`unsigned int`) and, as asked for, their sum (`double` for floats, `long long` for integers), the keys of the smallest
///   and the largest value in the total order (`int` or `long long`), and the thread's first value, the sum of the differences
///   from it, and the sum of their squares (`double`). Integers are truncated to the width of the output's Arrow type before;
/// - if the program has a predicate, an array with the number of selected rows (`unsigned int`) for each thread;
/// - the trap, if the program can trap, as in [`source`](super::store_codegen::source).
///
/// Blocks and the grid have one dimension.
pub(super) fn reducing_source(program: &Program, reductions: &[Reductions], name: &str) -> String {
    let generator = Generator { program, validity: true };
    // A chunk has too few threads for several blocks on a multiprocessor, and the results need many registers.
    let mut parts = KernelParts { min_blocks: Some(1), ..KernelParts::default() };
    for (position, output, reductions) in outputs(program, reductions) {
        Reducer { generator: &generator, position, output, reductions }.append(&mut parts);
    }
    if let Some(predicate) = program.predicate() {
        parts.parameters += "    unsigned int *__restrict__ selected_count,\n";
        parts.before += "    unsigned int selected = 0;\n";
        // Writing to a String cannot fail.
        let _ = writeln!(parts.row, "        selected += {};", generator.holds(predicate));
        parts.after += "    selected_count[thread] = selected;\n";
    }
    generator.kernel(name, &parts)
}

/// The outputs with their positions and their reductions.
fn outputs<'a>(
    program: &'a Program,
    reductions: &'a [Reductions],
) -> impl Iterator<Item = (usize, &'a Output, Reductions)> {
    let outputs = program.outputs().iter().enumerate();
    outputs.zip(reductions).map(|((position, output), reductions)| (position, output, *reductions))
}

/// Generates the code that reduces an output.
struct Reducer<'a> {
    generator: &'a Generator<'a>,
    position: usize,
    output: &'a Output,
    reductions: Reductions,
}

impl Reducer<'_> {
    /// Appends the parameters, the variables with the results so far, the code for a row, and the stores.
    fn append(&self, parts: &mut KernelParts) {
        let Self { generator, position, output, reductions } = *self;
        let values = generator.program.scalar_type(output.value);
        let columns = || PartialColumn::of(values, reductions);
        // Writing to a String cannot fail.
        for column in columns() {
            let (name, number) = (column.name(), column.scalar_type(values).map_or("unsigned int", c_type));
            let _ = writeln!(parts.parameters, "    {number} *__restrict__ out{position}_{name},");
            let _ = writeln!(parts.before, "    {number} {name}{position} = {};", start(column, values));
            let _ = writeln!(parts.after, "    out{position}_{name}[thread] = {name}{position};");
        }
        let selects = generator.program.predicate().map(|predicate| generator.holds(predicate));
        let is_valid = generator.may_be_null(output.value).then(|| generator.n(output.value));
        let conditions: Vec<_> = selects.into_iter().chain(is_valid).collect();
        let _ = match conditions[..] {
            [] => writeln!(parts.row, "        {{"),
            _ => writeln!(parts.row, "        if ({}) {{", conditions.join(" && ")),
        };
        // A count does not need the value.
        if columns().count() > 1 {
            let (number, column) = (c_type(values), c_column(&output.data_type));
            let value = output.value.position();
            let _ = writeln!(parts.row, "            const {number} x = ({column})v{value};");
        }
        for column in columns() {
            let _ = writeln!(parts.row, "            {}", step(column, values, position));
        }
        parts.row += "        }\n";
    }
}

/// The C++ expression of the result of no values.
fn start(column: PartialColumn, values: ScalarType) -> String {
    let is_wide = column.scalar_type(values) == Some(ScalarType::I64);
    match column {
        PartialColumn::Min if is_wide => c_long(i64::MAX),
        PartialColumn::Min => c_int(i32::MAX),
        PartialColumn::Max if is_wide => c_long(i64::MIN),
        PartialColumn::Max => c_int(i32::MIN),
        _ => "0".to_owned(),
    }
}

/// The C++ statements that add the value `x` to a result of an output.
fn step(column: PartialColumn, values: ScalarType, output: usize) -> String {
    let key = if values.is_float() { "wf_order(x)" } else { "x" };
    match column {
        PartialColumn::Count => format!("count{output} += 1;"),
        PartialColumn::Sum if values.is_integer() => {
            format!("sum{output} = wf_add<long long>(sum{output}, x);")
        }
        PartialColumn::Sum => format!("sum{output} += (double)x;"),
        PartialColumn::Min => format!("min{output} = {key} < min{output} ? {key} : min{output};"),
        PartialColumn::Max => format!("max{output} = {key} > max{output} ? {key} : max{output};"),
        // The first value, for which the count is 1 already.
        PartialColumn::Pivot => {
            format!("pivot{output} = count{output} == 1 ? (double)x : pivot{output};")
        }
        PartialColumn::Differences => {
            format!("const double difference = (double)x - pivot{output}; differences{output} += difference;")
        }
        PartialColumn::Squares => format!("squares{output} += difference * difference;"),
    }
}
