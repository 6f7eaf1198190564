//! Code generation for outputs that are stored: the loop over the rows of a thread, and the stores of numbers and bitmaps.

use std::fmt::Write;

use warpframe_ir::ScalarType;

use super::codegen::{Generator, KernelParts, c_column};

/// The parts of a kernel that stores the outputs of all rows. Integers are truncated to the width of their column.
pub(super) fn stores(generator: &Generator) -> KernelParts {
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

/// The loop over the rows of a thread, `row`. `body` has the statements for a row. Of each bitmap there is the name of the
/// parameter and the expression of the row's bit, in the scope of the body.
///
/// The 32 threads of a warp have neighboring rows. With bitmaps they run the loop equally often, also where some of them have
/// no row left, because all take part in the votes that make words of their bits.
pub(super) fn rows_loop(body: &str, bitmaps: &[(String, String)]) -> String {
    if bitmaps.is_empty() {
        return format!("    for (wf_rows row = thread; row < rows; row += threads) {{\n{body}    }}\n");
    }
    let (mut bits, mut sets, mut words) = (String::new(), String::new(), String::new());
    for (name, bit) in bitmaps {
        // Writing to a String cannot fail.
        let _ = writeln!(bits, "        bool {name}_bit = false;");
        let _ = writeln!(sets, "        {name}_bit = {bit};");
        let _ = writeln!(
            words,
            "        const unsigned int {name}_word = __ballot_sync(0xffffffffu, {name}_bit);"
        );
        let _ = writeln!(words, "        if (lane == 0) {name}[row >> 5] = {name}_word;");
    }
    format!(
        "    const unsigned int lane = threadIdx.x & 31;
    for (wf_rows row = thread; row - lane < rows; row += threads) {{
{bits}        if (row < rows) {{
{body}{sets}        }}
{words}    }}
"
    )
}
