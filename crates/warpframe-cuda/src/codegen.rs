//! Code generation: CUDA C++ for a program. A thread computes one row at a time, with all values in local variables.

use std::fmt::Write;

use arrow_schema::DataType;
use warpframe_ir::instruction::{Comparison, Instruction, Value};
use warpframe_ir::program::Program;
use warpframe_ir::{Scalar, ScalarType, Table, Trap};

use super::ops::{binary_template, unary_template};
use super::rows_loop::rows_loop;

/// The source of the functions that kernels call. It precedes the source of each kernel.
pub const PRELUDE: &str = include_str!("../../../kernels/prelude.cuh");

/// The compiler options of kernels, without the architecture. Contraction of multiplications and additions to FMAs is off,
/// so that results match the CPU's.
pub const OPTIONS: [&str; 2] = ["--fmad=false", "--std=c++17"];

/// The maximum number of constants of a table that a kernel compares with one by one. In larger tables it searches.
const MAX_COMPARED_CONSTANTS: usize = 8;

/// The code that a kernel stores if the [`TrapIf`](Instruction::TrapIf) at a position traps. 0 stands for none.
fn trap_code(position: usize) -> usize {
    position + 1
}

/// The trap of a code that the kernel of a program has stored; `None` if no row traps.
pub fn trap_of_code(program: &Program, code: i32) -> Option<Trap> {
    let position = usize::try_from(code).ok()?.checked_sub(1)?;
    match program.instructions().get(position)? {
        Instruction::TrapIf(trap, ..) => Some(*trap),
        _ => None,
    }
}

/// Whether the kernel of a program computes validity. The kernel of a [strict](Program::is_strict) program does not,
/// because its nulls are the union of the inputs' nulls; in null rows it computes from the unspecified values of the
/// inputs.
pub fn computes_validity(program: &Program) -> bool {
    !program.is_strict()
}

/// Whether the kernel of a program computes the validity of a value, which may be null.
pub fn has_validity(program: &Program, value: Value) -> bool {
    computes_validity(program) && program.may_be_null(value)
}

/// The number of parameters for the inputs of a program, whose kernel computes validity or not.
pub(super) fn input_parameters(program: &Program, validity: bool) -> usize {
    program.inputs().iter().map(|input| 1 + usize::from(validity && input.nullable)).sum()
}

/// The C++ type of local variables.
pub(super) fn c_type(scalar_type: ScalarType) -> &'static str {
    match scalar_type {
        ScalarType::Bool => "bool",
        ScalarType::I32 => "int",
        ScalarType::I64 => "long long",
        ScalarType::F32 => "float",
        ScalarType::F64 => "double",
    }
}

/// The C++ type of a column's numbers, and of the bitmap of an input of Booleans.
pub(super) fn c_column(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int8 => "signed char",
        DataType::Int16 => "short",
        DataType::UInt8 => "unsigned char",
        DataType::UInt16 => "unsigned short",
        DataType::UInt32 => "unsigned int",
        DataType::UInt64 => "unsigned long long",
        other => match ScalarType::of(other) {
            Some(ScalarType::Bool) | None => "wf_byte",
            Some(number) => c_type(number),
        },
    }
}

/// The C++ expression of an `int`. A literal has no sign in C++, so the smallest integer is a difference.
pub(super) fn c_int(number: i32) -> String {
    match number {
        i32::MIN => format!("({} - 1)", i32::MIN + 1),
        _ => number.to_string(),
    }
}

/// The C++ expression of a `long long`.
pub(super) fn c_long(number: i64) -> String {
    match number {
        i64::MIN => format!("({}LL - 1)", i64::MIN + 1),
        _ => format!("{number}LL"),
    }
}

/// The C++ expression of a constant.
fn c_constant(constant: Scalar) -> String {
    match constant {
        Scalar::Bool(x) => x.to_string(),
        Scalar::I32(x) => c_int(x),
        Scalar::I64(x) => c_long(x),
        Scalar::F32(x) => format!("__int_as_float({})", c_int(x.to_bits() as i32)),
        Scalar::F64(x) => format!("__longlong_as_double({})", c_long(x.to_bits() as i64)),
    }
}

/// The C++ expressions of a table's bits.
fn c_bits(table: &Table) -> Vec<String> {
    let of_64_bits = matches!(table.scalar_type(), ScalarType::I64 | ScalarType::F64);
    let bits = table.bits().iter();
    bits.map(|&bits| if of_64_bits { c_long(bits) } else { c_int(bits as i32) }).collect()
}

/// The C++ expression of a value converted to a type, as [`Scalar::cast`] defines it.
fn c_cast(from: ScalarType, to: ScalarType, value: &str) -> String {
    match to {
        ScalarType::Bool => format!("{value} != 0"),
        ScalarType::I32 if from.is_float() => format!("wf_to_int({value})"),
        ScalarType::I64 if from.is_float() => format!("wf_to_long({value})"),
        number => format!("({}){value}", c_type(number)),
    }
}

/// The C++ expression of a value: the variable that the instruction at its position defines.
fn v(value: Value) -> String {
    format!("v{}", value.position())
}

/// Generates the code of a program.
pub(super) struct Generator<'a> {
    pub program: &'a Program,
    /// Whether the kernel computes validity.
    pub validity: bool,
}

/// The parts of a kernel that depend on what becomes of the outputs.
#[derive(Default)]
pub(super) struct KernelParts {
    /// The number of blocks on a multiprocessor that the compiler leaves registers for; by default, it decides.
    pub min_blocks: Option<u32>,
    /// The parameters for results.
    pub parameters: String,
    /// The statements before the rows of a thread. `thread` is its number among `threads`.
    pub before: String,
    /// The statements for the values of the row `row`.
    pub row: String,
    /// The bitmaps that are stored: the names of parameters of type `unsigned int *`, and the C++ expressions of a row's bit.
    pub bitmaps: Vec<(String, String)>,
    /// The statements after the rows of a thread.
    pub after: String,
}

impl Generator<'_> {
    /// The source of a kernel.
    pub fn kernel(&self, name: &str, parts: &KernelParts) -> String {
        let min_blocks = parts.min_blocks.map(|blocks| format!(", {blocks}")).unwrap_or_default();
        let bounds = format!("__launch_bounds__(WF_THREADS{min_blocks})");
        let mut source = format!("extern \"C\" __global__ void {bounds} {name}(\n");
        self.input_parameters(&mut source);
        source += "    wf_rows rows,\n";
        source += &parts.parameters;
        if self.program.can_trap() {
            source += "    int *trap,\n";
        }
        // There is at least the number of rows, so that the parameters end with a comma.
        source.truncate(source.len() - ",\n".len());
        source += ") {\n";
        for (position, table) in self.program.tables().iter().enumerate() {
            self.table(&mut source, position, table);
        }
        source += "    const wf_rows thread = (wf_rows)blockIdx.x * blockDim.x + threadIdx.x;\n";
        source += "    const wf_rows threads = (wf_rows)gridDim.x * blockDim.x;\n";
        source += &parts.before;
        let mut body = String::new();
        for position in 0..self.program.instructions().len() {
            self.instruction(&mut body, position);
        }
        body += &parts.row;
        source += &rows_loop(&body, &parts.bitmaps);
        source += &parts.after;
        source + "}\n"
    }

    pub fn may_be_null(&self, value: Value) -> bool {
        self.validity && self.program.may_be_null(value)
    }

    /// The C++ expression of a value's validity.
    pub fn n(&self, value: Value) -> String {
        if self.may_be_null(value) { format!("n{}", value.position()) } else { "true".to_owned() }
    }

    /// The C++ expression of: all values are valid.
    fn all_valid(&self, values: &[Value]) -> String {
        let nullable = values.iter().filter(|value| self.may_be_null(**value));
        let nullable: Vec<_> = nullable.map(|value| self.n(*value)).collect();
        if nullable.is_empty() { "true".to_owned() } else { nullable.join(" && ") }
    }

    /// The C++ expression of: a Boolean is valid and true.
    pub fn holds(&self, value: Value) -> String {
        match self.may_be_null(value) {
            true => format!("({} && {})", self.n(value), v(value)),
            false => v(value),
        }
    }

    fn input_parameters(&self, source: &mut String) {
        // Writing to a String cannot fail.
        for (position, input) in self.program.inputs().iter().enumerate() {
            let column = c_column(&input.data_type);
            let _ = writeln!(source, "    const {column} *__restrict__ in{position},");
            if self.validity && input.nullable {
                let _ = writeln!(source, "    const wf_byte *__restrict__ valid{position},");
            }
        }
    }

    /// Appends the array of a table that is searched.
    fn table(&self, source: &mut String, position: usize, table: &Table) {
        if table.bits().len() > MAX_COMPARED_CONSTANTS {
            let integer = match table.scalar_type() {
                ScalarType::I64 | ScalarType::F64 => "long long",
                _ => "int",
            };
            let bits = c_bits(table);
            let lines: Vec<_> = bits.chunks(8).map(|line| line.join(", ")).collect();
            let lines = lines.join(",\n        ");
            let _ = writeln!(source, "    static const {integer} table{position}[] = {{\n        {lines}}};");
        }
    }

    /// The C++ expression of: a table has a value's bits.
    fn in_table(&self, position: u32, value: Value) -> String {
        let table = &self.program.tables()[position as usize];
        let x = v(value);
        let x = match table.scalar_type() {
            ScalarType::F32 => format!("__float_as_int({x})"),
            ScalarType::F64 => format!("__double_as_longlong({x})"),
            _ => x,
        };
        match table.bits().len() {
            0 => "false".to_owned(),
            1..=MAX_COMPARED_CONSTANTS => {
                let bits = c_bits(table).into_iter();
                bits.map(|bits| format!("{x} == {bits}")).collect::<Vec<_>>().join(" || ")
            }
            count => format!("wf_in_table(table{position}, {count}, {x})"),
        }
    }

    /// Appends the code of the instruction at position N: the definition of the variable `vN` for its value and, if it may
    /// be null, of the variable `nN` for its validity.
    fn instruction(&self, source: &mut String, position: usize) {
        let (program, value) = (self.program, Value::at(position));
        let scalar_type = program.scalar_type(value);
        let suffix = if scalar_type == ScalarType::F32 { "f" } else { "" };
        let instruction = &program.instructions()[position];
        let text = match *instruction {
            Instruction::Input(input) if scalar_type == ScalarType::Bool => {
                format!("wf_bit(in{input}, row)")
            }
            Instruction::Input(input) => format!("({})in{input}[row]", c_type(scalar_type)),
            Instruction::Const(constant) => c_constant(constant),
            Instruction::Null(_) => "0".to_owned(),
            // The verifier rejects ops that are not defined for the type of their operands.
            Instruction::Unary(op, x) => {
                let template = unary_template(op, scalar_type).unwrap_or("$0");
                template.replace('@', suffix).replace("$0", &v(x))
            }
            Instruction::Binary(op, x, y) => {
                let template = binary_template(op, scalar_type).unwrap_or("$0");
                template.replace('@', suffix).replace("$0", &v(x)).replace("$1", &v(y))
            }
            Instruction::Compare(Comparison::Lt, x, y) => format!("{} < {}", v(x), v(y)),
            Instruction::Compare(Comparison::Eq, x, y) => format!("{} == {}", v(x), v(y)),
            Instruction::Compare(Comparison::TotalLt, x, y) => {
                format!("wf_order({}) < wf_order({})", v(x), v(y))
            }
            Instruction::Compare(Comparison::BitEq, x, y) => {
                format!("wf_order({}) == wf_order({})", v(x), v(y))
            }
            Instruction::Cast(to, x) => c_cast(program.scalar_type(x), to, &v(x)),
            Instruction::InTable(table, x) => self.in_table(table, x),
            Instruction::IsNan(x) => format!("{0} != {0}", v(x)),
            Instruction::IsNull(x) => format!("!({})", self.n(x)),
            Instruction::Not(x) => format!("!{}", v(x)),
            Instruction::And(x, y) => format!("{} && {}", self.holds(x), self.holds(y)),
            Instruction::Or(x, y) => format!("{} || {}", self.holds(x), self.holds(y)),
            Instruction::Select(condition, yes, no) => {
                format!("{} ? {} : {}", self.holds(condition), v(yes), v(no))
            }
            Instruction::TrapIf(_, condition, _) => {
                let (condition, code) = (self.holds(condition), trap_code(position));
                let _ = writeln!(source, "        if ({condition}) *trap = {code};");
                return;
            }
        };
        let _ = writeln!(source, "        const {} v{position} = {text};", c_type(scalar_type));
        if self.may_be_null(value) {
            let _ = writeln!(source, "        const bool n{position} = {};", self.validity(instruction));
        }
    }

    /// The C++ expression of the validity of an instruction's value, which may be null.
    fn validity(&self, instruction: &Instruction) -> String {
        match *instruction {
            Instruction::Input(input) => format!("wf_bit(valid{input}, row)"),
            Instruction::Null(_) => "false".to_owned(),
            Instruction::And(x, y) => {
                let known_false = |x: Value| format!("({} && !{})", self.n(x), v(x));
                format!("({}) || {} || {}", self.all_valid(&[x, y]), known_false(x), known_false(y))
            }
            Instruction::Or(x, y) => {
                format!("({}) || {} || {}", self.all_valid(&[x, y]), self.holds(x), self.holds(y))
            }
            Instruction::Select(condition, yes, no) => {
                format!("{} ? {} : {}", self.holds(condition), self.n(yes), self.n(no))
            }
            ref other => self.all_valid(&other.operands().collect::<Vec<_>>()),
        }
    }
}
