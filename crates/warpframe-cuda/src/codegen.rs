//! Code generation: CUDA C++ for a program. A thread computes one row at a time, with all values in local variables.

use std::fmt::Write;

use arrow_schema::DataType;

use super::ops::{binary_template, unary_template};
use warpframe_ir::instruction::{Instruction, Kind, Precision, Trap, Value};
use warpframe_ir::program::Program;

/// The source of the functions that kernels call. It precedes the source of each kernel.
pub const PRELUDE: &str = include_str!("../../../kernels/prelude.cuh");

/// The compiler options of kernels, without the architecture. Contraction of multiplications and additions to FMAs is off,
/// so that results match the CPU's.
pub const OPTIONS: [&str; 2] = ["--fmad=false", "--std=c++17"];

/// The code that a kernel stores if a row traps.
pub fn trap_code(trap: Trap) -> i32 {
    match trap {
        Trap::SqrtOfNegative => 1,
        Trap::ZeroToNegativePower => 2,
    }
}

/// The trap of a code; `None` for 0, which is there if no row traps.
pub fn trap_of_code(code: i32) -> Option<Trap> {
    Trap::ALL.into_iter().find(|trap| trap_code(*trap) == code)
}

/// Whether the kernel of a program computes validity. The kernel of a [strict](Program::is_strict) program does not,
/// because its nulls are the union of the inputs' nulls; in null rows it computes from the unspecified values of the
/// inputs.
pub fn computes_validity(program: &Program) -> bool {
    !program.is_strict()
}

/// The CUDA C++ source of a program's kernel, without the [`PRELUDE`].
///
/// The parameters of the kernel are, in this order:
/// - for each input, its values (as in Arrow: an array of numbers, or a bitmap for Booleans) and, if it is nullable, its
///   validity bitmap; bitmaps start at the first bit of a byte;
/// - the number of rows;
/// - the output, one number per row, or one byte per row for a Boolean;
/// - the validity of the output, one byte per row, if it may be null;
/// - an integer, 0 before the launch, that receives the [code](trap_code) of a trap.
///
/// The validity parameters exist only if the kernel [computes validity](computes_validity). Blocks and the grid have one
/// dimension; the grid may have any size.
pub fn source(program: &Program, name: &str) -> String {
    let mut source = format!("extern \"C\" __global__ void __launch_bounds__(WF_THREADS) {name}(\n");
    let validity = computes_validity(program);
    // Writing to a String cannot fail.
    for (position, input) in program.inputs().iter().enumerate() {
        let c_type = c_input(&input.data_type);
        let _ = writeln!(source, "    const {c_type} *__restrict__ in{position},");
        if validity && input.nullable {
            let _ = writeln!(source, "    const wf_byte *__restrict__ valid{position},");
        }
    }
    let output = program.output();
    let float = c_float(program.precision());
    let result = if program.kind(output) == Kind::Float { float } else { "wf_byte" };
    let _ = writeln!(source, "    wf_rows rows, {result} *__restrict__ out,");
    if validity && program.may_be_null(output) {
        let _ = writeln!(source, "    wf_byte *__restrict__ out_valid,");
    }
    let _ = writeln!(source, "    int *fault) {{");
    let _ = writeln!(source, "    const wf_rows step = (wf_rows)gridDim.x * blockDim.x;");
    let start = "(wf_rows)blockIdx.x * blockDim.x + threadIdx.x";
    let _ = writeln!(source, "    for (wf_rows row = {start}; row < rows; row += step) {{");
    for position in 0..program.instructions().len() {
        write_instruction(&mut source, program, position, float);
    }
    let _ = writeln!(source, "        out[row] = v{};", output.position());
    if validity && program.may_be_null(output) {
        let _ = writeln!(source, "        out_valid[row] = n{};", output.position());
    }
    source + "    }\n}\n"
}

fn c_float(precision: Precision) -> &'static str {
    match precision {
        Precision::Double => "double",
        Precision::Single => "float",
    }
}

fn c_input(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Float64 => "double",
        DataType::Float32 => "float",
        DataType::Int8 => "signed char",
        DataType::Int16 => "short",
        DataType::Int32 => "int",
        DataType::Int64 => "long long",
        DataType::UInt8 => "unsigned char",
        DataType::UInt16 => "unsigned short",
        DataType::UInt32 => "unsigned int",
        DataType::UInt64 => "unsigned long long",
        _ => "wf_byte",
    }
}

/// Appends the code of the instruction at position N: the definition of the variable `vN` for its value and, if it may be
/// null, of the variable `nN` for its validity.
fn write_instruction(source: &mut String, program: &Program, position: usize, float: &str) {
    let value = Value::at(position);
    let v = |value: Value| format!("v{}", value.position());
    let may_be_null = |value: Value| computes_validity(program) && program.may_be_null(value);
    // The C++ expression of a value's validity.
    let n = |value: Value| {
        if may_be_null(value) { format!("n{}", value.position()) } else { "true".to_owned() }
    };
    // The C++ expression of: all values are valid.
    let all = |values: &[Value]| {
        let nullable: Vec<_> = values.iter().filter(|value| may_be_null(**value)).map(|x| n(*x)).collect();
        if nullable.is_empty() { "true".to_owned() } else { nullable.join(" && ") }
    };
    // The C++ expression of: a Boolean is valid and true.
    let holds = |value: Value| match may_be_null(value) {
        true => format!("(n{0} && v{0})", value.position()),
        false => v(value),
    };
    let single = program.precision() == Precision::Single;
    let suffix = if single { "f" } else { "" };
    let instruction = &program.instructions()[position];
    let (text, validity) = match *instruction {
        Instruction::Input(input) => {
            let text = match program.kind(value) {
                Kind::Float => format!("({float})in{input}[row]"),
                Kind::Bool => format!("wf_bit(in{input}, row)"),
            };
            (text, format!("wf_bit(valid{input}, row)"))
        }
        Instruction::ConstFloat(bits) if single => {
            (format!("__int_as_float({})", (f64::from_bits(bits) as f32).to_bits() as i32), String::new())
        }
        Instruction::ConstFloat(bits) => {
            (format!("__longlong_as_double({:#x}LL)", bits as i64), String::new())
        }
        Instruction::ConstBool(value) => (value.to_string(), String::new()),
        Instruction::ConstNull(_) => ("0".to_owned(), "false".to_owned()),
        Instruction::Unary(op, x) => (unary_template(op).replace('@', suffix).replace("$0", &v(x)), n(x)),
        Instruction::Binary(op, x, y) => {
            let text = binary_template(op).replace('@', suffix).replace("$0", &v(x)).replace("$1", &v(y));
            (text, all(&[x, y]))
        }
        Instruction::TotalLt(x, y) => (format!("wf_order({}) < wf_order({})", v(x), v(y)), all(&[x, y])),
        Instruction::BitEq(x, y) => (format!("wf_order({}) == wf_order({})", v(x), v(y)), all(&[x, y])),
        Instruction::IsNan(x) => (format!("{0} != {0}", v(x)), n(x)),
        Instruction::IsNull(x) => (format!("!({})", n(x)), String::new()),
        Instruction::Not(x) => (format!("!{}", v(x)), n(x)),
        Instruction::And(x, y) => {
            let known_false = |x: Value| format!("({} && !{})", n(x), v(x));
            let text = format!("{} && {}", holds(x), holds(y));
            (text, format!("({}) || {} || {}", all(&[x, y]), known_false(x), known_false(y)))
        }
        Instruction::Or(x, y) => {
            let text = format!("{} || {}", holds(x), holds(y));
            (text.clone(), format!("({}) || {text}", all(&[x, y])))
        }
        Instruction::Select(condition, yes, no) => {
            let chosen = holds(condition);
            let text = format!("{chosen} ? {} : {}", v(yes), v(no));
            (text, format!("{chosen} ? {} : {}", n(yes), n(no)))
        }
        Instruction::TrapIf(trap, [x, y], guard) => {
            let guard = guard.map_or(String::new(), |guard| format!("{} && ", holds(guard)));
            let condition = match trap {
                Trap::SqrtOfNegative => format!("{} < 0", v(x)),
                Trap::ZeroToNegativePower => format!("{} == 0 && {} < 0", v(x), v(y)),
            };
            let valid = all(&[x, y]);
            let _ =
                writeln!(source, "        if ({guard}{valid} && {condition}) *fault = {};", trap_code(trap));
            return;
        }
    };
    let c_type = if program.kind(value) == Kind::Float { float } else { "bool" };
    let _ = writeln!(source, "        const {c_type} v{position} = {text};");
    if may_be_null(value) {
        let _ = writeln!(source, "        const bool n{position} = {validity};");
    }
}
