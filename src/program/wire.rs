//! Programs on their way between processes: the instructions, put together anew by the builder that made
//! them, which checks what arrives.

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};

use super::{Builder, Input, Instruction, Precision, Program, Value};

/// What is sent of a program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Wire {
    precision: Precision,
    /// The name of Arrow's type, and whether there may be nulls.
    inputs: Vec<(String, bool)>,
    instructions: Vec<Instruction>,
    output: Value,
}

impl From<Program> for Wire {
    fn from(program: Program) -> Self {
        let inputs = program.inputs.iter().map(|input| (input.data_type.to_string(), input.nullable));
        Self {
            precision: program.precision,
            inputs: inputs.collect(),
            output: program.output,
            instructions: program.instructions,
        }
    }
}

impl TryFrom<Wire> for Program {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let mut builder = Builder::new(wire.precision);
        let mut inputs = wire.inputs.into_iter().enumerate();
        let mut values: Vec<Value> = Vec::with_capacity(wire.instructions.len());
        for instruction in wire.instructions {
            let damaged = || format!("a program cannot have {instruction:?} at {}", values.len());
            if instruction.arguments().any(|argument| argument.position() >= values.len()) {
                return Err(damaged());
            }
            let at = |value: Value| values[value.position()];
            use Instruction::*;
            let value = match instruction {
                Input(input) => match inputs.next() {
                    Some((position, (name, nullable))) if position == input => {
                        builder.add_input(self::input(&name, nullable)?)
                    }
                    _ => return Err(damaged()),
                },
                Number(bits) => builder.number(f64::from_bits(bits)),
                Boolean(value) => builder.boolean(value),
                Null(kind) => builder.null(kind),
                Unary(op, x) => builder.unary(op, at(x)),
                Binary(op, x, y) => builder.binary(op, at(x), at(y)),
                Less(x, y) => builder.less(at(x), at(y)),
                Same(x, y) => builder.same(at(x), at(y)),
                IsNan(x) => builder.is_nan(at(x)),
                IsNull(x) => builder.is_null(at(x)),
                Not(x) => builder.not(at(x)),
                And(x, y) => builder.and(at(x), at(y)),
                Or(x, y) => builder.or(at(x), at(y)),
                Select(condition, yes, no) => builder.select(at(condition), at(yes), at(no)),
                Forbid(fault, arguments, guard) => {
                    builder.forbid(fault, arguments.map(at), guard.map(at));
                    // No instruction reads it.
                    Value(0)
                }
            };
            values.push(value);
        }
        match values.get(wire.output.position()) {
            Some(&output) if inputs.next().is_none() => {
                builder.finish(output).map_err(|error| error.strip_backtrace())
            }
            _ => Err("a program without a result, or with inputs that it does not read".to_owned()),
        }
    }
}

fn input(name: &str, nullable: bool) -> Result<Input, String> {
    let data_type: DataType = name.parse().map_err(|_| format!("there is no type '{name}'"))?;
    Ok(Input { data_type, nullable })
}
