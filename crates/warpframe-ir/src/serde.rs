//! Serialization of programs. Deserialization does not trust its input, which may come over a network: the verifier checks
//! the program.

use arrow_schema::DataType;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::instruction::{Input, Instruction, Output, Value};
use super::program::Program;
use super::table::Table;

/// The version of the serialized form. Every change of it, or of the meaning of an instruction, increments it: a program of
/// another version is refused.
pub const FORMAT_VERSION: u32 = 1;

/// The serialized form of a [`Program`]. Arrow types are written by their names.
#[derive(Debug, Serialize, Deserialize)]
struct SerializedProgram {
    // The first field, so that a program of another version is refused as such before anything else of it is read.
    version: Version,
    /// The type and the nullability of each input.
    inputs: Vec<(String, bool)>,
    tables: Vec<Table>,
    instructions: Vec<Instruction>,
    /// The value and the type of each output.
    outputs: Vec<(Value, String)>,
    predicate: Option<Value>,
}

/// [`FORMAT_VERSION`], and nothing else.
#[derive(Debug)]
struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FORMAT_VERSION.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            FORMAT_VERSION => Ok(Self),
            other => Err(D::Error::custom(format!(
                "a program of version {other} cannot be read, only of version {FORMAT_VERSION}: run the same release \
                 everywhere"
            ))),
        }
    }
}

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inputs = self.inputs().iter().map(|input| (input.data_type.to_string(), input.nullable));
        let outputs = self.outputs().iter().map(|output| (output.value, output.data_type.to_string()));
        let serialized = SerializedProgram {
            version: Version,
            inputs: inputs.collect(),
            tables: self.tables().to_vec(),
            instructions: self.instructions().to_vec(),
            outputs: outputs.collect(),
            predicate: self.predicate(),
        };
        serialized.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SerializedProgram { inputs, tables, instructions, outputs, predicate, .. } =
            SerializedProgram::deserialize(deserializer)?;
        let data_type = |name: &str| -> Result<DataType, D::Error> {
            name.parse().map_err(|_| D::Error::custom(format!("there is no type '{name}'")))
        };
        let inputs = inputs
            .into_iter()
            .map(|(name, nullable)| Ok(Input { data_type: data_type(&name)?, nullable }))
            .collect::<Result<_, D::Error>>()?;
        let outputs = outputs
            .into_iter()
            .map(|(value, name)| Ok(Output { value, data_type: data_type(&name)? }))
            .collect::<Result<_, D::Error>>()?;
        Self::new(inputs, tables, instructions, outputs, predicate).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use crate::builder::Builder;
    use crate::instruction::Comparison;
    use crate::ops::{Binary, Unary};
    use crate::scalar::Scalar;
    use crate::scalar_type::ScalarType;
    use crate::trap::{IntegerType, Trap};

    fn program() -> Program {
        let mut builder = Builder::new();
        let i = builder.add_input(Input { data_type: DataType::Int32, nullable: true });
        let time_zone = Some("Europe/Berlin".into());
        let timestamp = DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, time_zone);
        let t = builder.add_input(Input { data_type: timestamp.clone(), nullable: false });
        let zero = builder.const_integer(ScalarType::I32, 0);
        let negative = builder.compare(Comparison::Lt, i, zero);
        builder.trap_if(Trap::CastOverflow(IntegerType::UInt8), negative, &[i]);
        let x = builder.cast(ScalarType::F64, i);
        let root = builder.unary(Unary::Sqrt, x);
        let nan = builder.const_float(ScalarType::F64, f64::NAN);
        let condition = builder.compare(Comparison::TotalLt, root, nan);
        let number = builder.select(condition, root, nan);
        let predicate = builder.in_table(i, &[Scalar::I32(7), Scalar::I32(-1)]);
        let outputs = vec![
            Output { value: number, data_type: DataType::Float64 },
            Output { value: i, data_type: DataType::UInt8 },
            Output { value: t, data_type: timestamp },
        ];
        builder.finish(outputs, Some(predicate)).unwrap()
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
        let instruction = |instruction: Instruction| serde_json::to_value(instruction).unwrap();
        // The instruction at 4 traps and has no value; later ones are not there yet.
        let add = |x: u32, y: u32| instruction(Instruction::Binary(Binary::Add, Value(x), Value(y)));
        assert_eq!(valid["instructions"][4], instruction(program().instructions()[4]));
        assert!(matches!(program().instructions()[4], Instruction::TrapIf(..)));
        for (x, y) in [(0, 4), (0, 5), (0, 99), (0, 1), (3, 3)] {
            assert!(refused(&|value| value["instructions"][5] = add(x, y)).contains("cannot have"));
        }
        let not = instruction(Instruction::Not(Value(0)));
        assert!(refused(&|value| value["instructions"][5] = not.clone()).contains("cannot have"));
        assert!(refused(&|value| value["outputs"] = serde_json::json!([])).contains("no output"));
        assert!(refused(&|value| value["outputs"][0][0] = 4.into()).contains("is not a value"));
        assert!(refused(&|value| value["outputs"][0][0] = 99.into()).contains("is not a value"));
        assert!(
            refused(&|value| value["outputs"][1][1] = "Int64".into()).contains("an output of type Int64")
        );
        assert!(
            refused(&|value| value["outputs"][0][1] = "UInt64".into()).contains("an output of type UInt64")
        );
        assert!(refused(&|value| value["predicate"] = 0.into()).contains("not a Boolean"));
        assert!(
            refused(&|value| value["tables"][0]["bits"] = serde_json::json!([7, 7])).contains("not sorted")
        );
        assert!(refused(&|value| value["inputs"][0][0] = "Utf8".into()).contains("Utf8"));
        assert!(refused(&|value| value["inputs"] = serde_json::json!([])).contains("cannot have"));
        assert!(refused(&|value| value["version"] = 2.into()).contains("of version 2"));
    }
}
