//! Serialization of programs. Deserialization does not trust its input, which may come over a network: it rebuilds the
//! program with the builder, which verifies it.

use arrow_schema::DataType;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::builder::Builder;
use super::instruction::{Input, Instruction, Precision, Value};
use super::program::Program;

/// The serialized form of a [`Program`].
#[derive(Debug, Serialize, Deserialize)]
struct SerializedProgram {
    precision: Precision,
    /// The name of the Arrow type and the nullability of each input.
    inputs: Vec<(String, bool)>,
    instructions: Vec<Instruction>,
    output: Value,
}

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inputs = self.inputs().iter().map(|input| (input.data_type.to_string(), input.nullable));
        let serialized = SerializedProgram {
            precision: self.precision(),
            inputs: inputs.collect(),
            instructions: self.instructions().to_vec(),
            output: self.output(),
        };
        serialized.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        rebuild(SerializedProgram::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn rebuild(serialized: SerializedProgram) -> Result<Program, String> {
    let mut builder = Builder::new(serialized.precision);
    let mut inputs = serialized.inputs.into_iter().enumerate();
    // `None` for instructions that define no value.
    let mut values: Vec<Option<Value>> = Vec::with_capacity(serialized.instructions.len());
    for instruction in serialized.instructions {
        let invalid = || format!("a program cannot have {instruction:?} at {}", values.len());
        let rebuilt = |operand: Value| values.get(operand.position()).copied().flatten();
        if instruction.operands().any(|operand| rebuilt(operand).is_none()) {
            return Err(invalid());
        }
        use Instruction::*;
        let value = match instruction.map_operands(|operand| rebuilt(operand).unwrap_or(operand)) {
            Input(input) => match inputs.next() {
                Some((position, (name, nullable))) if position == input => {
                    builder.add_input(self::input(&name, nullable)?)
                }
                _ => return Err(invalid()),
            },
            ConstFloat(bits) => builder.const_float(f64::from_bits(bits)),
            ConstBool(value) => builder.const_bool(value),
            ConstNull(kind) => builder.const_null(kind),
            Unary(op, x) => builder.unary(op, x),
            Binary(op, x, y) => builder.binary(op, x, y),
            TotalLt(x, y) => builder.total_lt(x, y),
            BitEq(x, y) => builder.bit_eq(x, y),
            IsNan(x) => builder.is_nan(x),
            IsNull(x) => builder.is_null(x),
            Not(x) => builder.not(x),
            And(x, y) => builder.and(x, y),
            Or(x, y) => builder.or(x, y),
            Select(condition, yes, no) => builder.select(condition, yes, no),
            TrapIf(trap, operands, guard) => {
                builder.trap_if(trap, operands, guard);
                values.push(None);
                continue;
            }
        };
        values.push(Some(value));
    }
    match values.get(serialized.output.position()) {
        Some(&Some(output)) if inputs.next().is_none() => {
            builder.finish(output).map_err(|error| error.to_string())
        }
        _ => Err("a program without a result, or with inputs that it does not read".to_owned()),
    }
}

fn input(name: &str, nullable: bool) -> Result<Input, String> {
    let data_type: DataType = name.parse().map_err(|_| format!("there is no type '{name}'"))?;
    Ok(Input { data_type, nullable })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use crate::instruction::{Kind, Trap};
    use crate::ops::{Binary, Unary};

    fn program() -> Program {
        let mut builder = Builder::new(Precision::Double);
        let x = builder.add_input(Input { data_type: DataType::Int32, nullable: true });
        builder.trap_if(Trap::SqrtOfNegative, [x, x], None);
        let root = builder.unary(Unary::Sqrt, x);
        let null = builder.const_null(Kind::Float);
        let condition = builder.total_lt(root, x);
        let output = builder.select(condition, root, null);
        builder.finish(output).unwrap()
    }

    #[test]
    fn programs_survive_the_network() {
        let text = serde_json::to_string(&program()).unwrap();
        assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), program());
    }

    #[test]
    fn invalid_programs_are_refused() {
        let valid = serde_json::to_value(program()).unwrap();
        let refused = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = valid.clone();
            change(&mut value);
            serde_json::from_value::<Program>(value).unwrap_err().to_string()
        };
        // Instruction 1 traps and has no value; later ones are not there yet.
        let add = |x: u32, y: u32| {
            serde_json::to_value(Instruction::Binary(Binary::Add, Value(x), Value(y))).unwrap()
        };
        for (x, y) in [(0, 1), (0, 2), (0, 99)] {
            assert!(refused(&|value| value["instructions"][2] = add(x, y)).contains("cannot have"));
        }
        assert!(refused(&|value| value["output"] = 1.into()).contains("without a result"));
        assert!(refused(&|value| value["output"] = 99.into()).contains("without a result"));
        assert!(refused(&|value| value["inputs"][0][0] = "Utf8".into()).contains("Utf8"));
        assert!(refused(&|value| value["inputs"] = serde_json::json!([])).contains("cannot have"));
    }
}
