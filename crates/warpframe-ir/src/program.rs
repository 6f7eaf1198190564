//! Programs: numeric expressions in static single assignment (SSA) form.

use std::hash::{Hash, Hasher};

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::error::{Error, Result};
use super::instruction::{Input, Instruction, Output, Value};
use super::scalar_type::ScalarType;
use super::table::Table;
use super::verifier::{Inferred, verify};

/// Numeric expressions over columns: a sequence of instructions in static single assignment form, each of which reads
/// values that earlier ones define. A program has one or more outputs, and may have a predicate: it then selects the rows
/// in which the predicate is true. Built by a [`Builder`](super::builder::Builder).
#[derive(Debug, Clone)]
pub struct Program {
    inputs: Vec<Input>,
    tables: Vec<Table>,
    instructions: Vec<Instruction>,
    inferred: Vec<Inferred>,
    outputs: Vec<Output>,
    predicate: Option<Value>,
    strict: bool,
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.inputs == other.inputs
            && self.tables == other.tables
            && self.instructions == other.instructions
            && self.outputs == other.outputs
            && self.predicate == other.predicate
    }
}

impl Eq for Program {}

impl Hash for Program {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inputs, &self.tables, &self.instructions, &self.outputs, self.predicate).hash(state);
    }
}

impl Program {
    /// A program of these parts, after verification.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`]: the parts violate a rule of the IR.
    pub(super) fn new(
        inputs: Vec<Input>,
        tables: Vec<Table>,
        instructions: Vec<Instruction>,
        outputs: Vec<Output>,
        predicate: Option<Value>,
    ) -> Result<Self> {
        let inferred = verify(&inputs, &tables, &instructions, &outputs, predicate)?;
        let strict = predicate.is_none() && is_strict(inputs.len(), &instructions, &outputs);
        Ok(Self { inputs, tables, instructions, inferred, outputs, predicate, strict })
    }

    /// The same program with inputs that are declared as not nullable, for arrays without nulls.
    ///
    /// # Errors
    /// None that a program can cause.
    pub fn without_input_nulls(&self) -> Result<Self> {
        let inputs = self.inputs.iter().map(|input| Input { nullable: false, ..input.clone() }).collect();
        let (tables, instructions) = (self.tables.clone(), self.instructions.clone());
        Self::new(inputs, tables, instructions, self.outputs.clone(), self.predicate)
    }

    /// The same program with its instructions in another order: `order` has the old position of each. Every instruction must
    /// come after those that it reads.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`]: the order is no such order of all instructions.
    pub fn reordered(&self, order: &[usize]) -> Result<Self> {
        let invalid = || Error::InvalidProgram("the order is not one of all instructions".to_owned());
        let mut positions = vec![None; self.instructions.len()];
        for (position, &old) in order.iter().enumerate() {
            *positions.get_mut(old).ok_or_else(invalid)? = Some(Value::at(position));
        }
        let positions: Vec<_> = positions.into_iter().collect::<Option<_>>().ok_or_else(invalid)?;
        let renamed = |value: Value| positions[value.position()];
        let instructions = order.iter().map(|&old| self.instructions[old].map_operands(renamed)).collect();
        let outputs = self.outputs.iter();
        let outputs =
            outputs.map(|output| Output { value: renamed(output.value), ..output.clone() }).collect();
        let (inputs, tables) = (self.inputs.clone(), self.tables.clone());
        Self::new(inputs, tables, instructions, outputs, self.predicate.map(renamed))
    }

    /// Its inputs.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Its tables of constants.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Its instructions, in order of execution.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Its outputs.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The Boolean that selects rows, if there is one: rows in which it is false or null are left out of the outputs.
    pub fn predicate(&self) -> Option<Value> {
        self.predicate
    }

    /// The type of a value. `Bool` for the position of a [`TrapIf`](Instruction::TrapIf), which defines none.
    pub fn scalar_type(&self, value: Value) -> ScalarType {
        self.inferred[value.position()].scalar_type
    }

    /// Whether a value may be null, given the declared nullability of the inputs.
    pub fn may_be_null(&self, value: Value) -> bool {
        self.inferred[value.position()].nullable
    }

    /// The instruction that defines a value.
    pub fn definition(&self, value: Value) -> &Instruction {
        &self.instructions[value.position()]
    }

    /// Whether a row may trap.
    pub fn can_trap(&self) -> bool {
        self.instructions.iter().any(|one| matches!(one, Instruction::TrapIf(..)))
    }

    /// Whether each output is null exactly where an input is null, and no row can trap or is left out.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// The Arrow type of its first output. Every program has one.
    pub fn data_type(&self) -> &DataType {
        &self.outputs[0].data_type
    }

    /// The type of the values of its first output.
    pub fn output_type(&self) -> ScalarType {
        self.scalar_type(self.outputs[0].value)
    }

    /// Checks that arrays match the inputs. Every kernel calls it first and relies on it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`]: the number, a type or a length differs.
    pub fn check_inputs(&self, arrays: &[ArrayRef], rows: usize) -> Result<()> {
        let invalid = |message: String| Err(Error::InvalidInput(message));
        if arrays.len() != self.inputs.len() {
            return invalid(format!("the program takes {} arrays, not {}", self.inputs.len(), arrays.len()));
        }
        for (position, (input, array)) in self.inputs.iter().zip(arrays).enumerate() {
            if *array.data_type() != input.data_type {
                return invalid(format!(
                    "array {position} of the program must be {}, not {}",
                    input.data_type,
                    array.data_type()
                ));
            }
            if array.len() != rows {
                return invalid(format!(
                    "array {position} of the program has {} rows, not {rows}",
                    array.len()
                ));
            }
        }
        Ok(())
    }

    /// Whether an array has nulls although its input is declared as not nullable: the nullability in query plans is not
    /// always correct.
    pub fn has_undeclared_nulls(&self, arrays: &[ArrayRef]) -> bool {
        self.inputs.iter().zip(arrays).any(|(input, array)| !input.nullable && array.null_count() > 0)
    }

    /// Whether two programs of one output each, without traps, predicates and tables, compute the same expression of inputs
    /// of the same types. Ignores the order of independent instructions and the nullability of the inputs. Backends use it
    /// to recognize programs for which they have hand-written kernels.
    pub fn has_same_code(&self, other: &Self) -> bool {
        let plain =
            |program: &Self| program.predicate.is_none() && program.tables.is_empty() && !program.can_trap();
        let types = |program: &Self| -> Vec<DataType> {
            program.inputs.iter().map(|input| input.data_type.clone()).collect()
        };
        let ([output], [other_output]) = (&self.outputs[..], &other.outputs[..]) else { return false };
        self.instructions.len() == other.instructions.len()
            && plain(self)
            && plain(other)
            && types(self) == types(other)
            && output.data_type == other_output.data_type
            && same_value(
                self,
                output.value,
                other,
                other_output.value,
                &mut vec![None; self.instructions.len()],
            )
    }
}

/// Whether two values are defined by equal instructions whose operands are, recursively, the same. `matched` maps values
/// of the first program to those of the second that they were compared with.
fn same_value(
    program: &Program,
    value: Value,
    other: &Program,
    other_value: Value,
    matched: &mut [Option<Value>],
) -> bool {
    if let Some(matched) = matched[value.position()] {
        return matched == other_value;
    }
    matched[value.position()] = Some(other_value);
    let (one, two) = (*program.definition(value), *other.definition(other_value));
    let without_operands = |instruction: Instruction| instruction.map_operands(|_| Value(0));
    without_operands(one) == without_operands(two)
        && one.operands().zip(two.operands()).all(|(a, b)| same_value(program, a, other, b, matched))
}

/// [`Program::is_strict`]: the only output is computed from all inputs, by instructions that are null where an operand is,
/// and nothing traps.
fn is_strict(inputs: usize, instructions: &[Instruction], outputs: &[Output]) -> bool {
    let [output] = outputs else { return false };
    let live = live_values(instructions, [output.value]);
    let mut read = vec![false; inputs];
    for (instruction, _) in instructions.iter().zip(live).filter(|(_, live)| *live) {
        use Instruction::*;
        match *instruction {
            Input(input) => read[input as usize] = true,
            Null(_) | IsNull(_) | And(..) | Or(..) | Select(..) | TrapIf(..) => return false,
            _ => {}
        }
    }
    read.iter().all(|read| *read)
}

/// For each instruction, whether one of these values or a trap depends on it. Traps are live themselves.
pub(super) fn live_values(instructions: &[Instruction], roots: impl IntoIterator<Item = Value>) -> Vec<bool> {
    let mut live = vec![false; instructions.len()];
    roots.into_iter().for_each(|root| live[root.position()] = true);
    for (position, instruction) in instructions.iter().enumerate().rev() {
        live[position] |= matches!(instruction, Instruction::TrapIf(..));
        if live[position] {
            instruction.operands().for_each(|operand| live[operand.position()] = true);
        }
    }
    live
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use crate::builder::Builder;
    use crate::ops::{Binary, Unary};

    /// `ln(a) * ln(b)`, whose logarithms are built in this order of the inputs.
    fn product(order: [usize; 2], nullable: bool, scalar_type: ScalarType) -> Program {
        let mut builder = Builder::new();
        let inputs =
            [(); 2].map(|()| builder.add_input(Input { data_type: scalar_type.data_type(), nullable }));
        let mut logarithms = inputs;
        for position in order {
            logarithms[position] = builder.unary(Unary::Ln, inputs[position]);
        }
        let output = builder.binary(Binary::Multiply, logarithms[0], logarithms[1]);
        builder.finish_one(output).unwrap()
    }

    #[test]
    fn the_same_code_in_another_order_is_recognized() {
        let program = product([0, 1], false, ScalarType::F64);
        assert!(program.has_same_code(&product([1, 0], true, ScalarType::F64)));
        assert!(!program.has_same_code(&product([0, 1], false, ScalarType::F32)));
        let mut builder = Builder::new();
        let [x, y] = [(); 2].map(|()| {
            let input = builder.add_input(Input { data_type: DataType::Float64, nullable: false });
            builder.unary(Unary::Ln, input)
        });
        let output = builder.binary(Binary::Multiply, y, x);
        let swapped = builder.finish_one(output).unwrap();
        assert!(!program.has_same_code(&swapped), "the operands' order may matter for the result's bits");
    }
}
