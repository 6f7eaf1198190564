//! Code generation for the loop over the rows of a thread.

use std::fmt::Write;

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
