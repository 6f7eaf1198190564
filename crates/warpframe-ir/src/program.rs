//! Programs: numeric expressions in static single assignment (SSA) form.

use std::hash::{Hash, Hasher};

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::error::{Error, Result};
use super::instruction::{Input, Instruction, Kind, Precision, Value};

/// A numeric expression over columns: a sequence of instructions in static single assignment form, each of which reads
/// values that earlier ones define. Built and verified by a [`Builder`](super::builder::Builder).
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) precision: Precision,
    pub(super) inputs: Vec<Input>,
    pub(super) instructions: Vec<Instruction>,
    pub(super) kinds: Vec<Kind>,
    pub(super) nullable: Vec<bool>,
    pub(super) output: Value,
    pub(super) strict: bool,
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.precision == other.precision
            && self.inputs == other.inputs
            && self.instructions == other.instructions
            && self.output == other.output
    }
}

impl Eq for Program {}

impl Hash for Program {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.precision, &self.inputs, &self.instructions, self.output).hash(state);
    }
}

impl Program {
    /// The floating-point type that it computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Its inputs.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Its instructions, in order of execution.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The value that is its result.
    pub fn output(&self) -> Value {
        self.output
    }

    /// The kind of a value. Meaningless for the position of a [`TrapIf`](Instruction::TrapIf), which defines none.
    pub fn kind(&self, value: Value) -> Kind {
        self.kinds[value.position()]
    }

    /// The kinds of all values, by position.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Whether a value may be null, given the declared nullability of the inputs.
    pub fn may_be_null(&self, value: Value) -> bool {
        self.nullable[value.position()]
    }

    /// The Arrow type of its result.
    pub fn data_type(&self) -> DataType {
        match self.kind(self.output) {
            Kind::Float => self.precision.data_type(),
            Kind::Bool => DataType::Boolean,
        }
    }

    /// Whether the result is null exactly where an input is null, and no row can trap.
    pub fn is_strict(&self) -> bool {
        self.strict
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

    /// Whether two programs without traps compute the same expression of inputs of the same types. Ignores the order of
    /// independent instructions and the nullability of the inputs. Backends use it to recognize programs for which they
    /// have hand-written kernels.
    pub fn has_same_code(&self, other: &Self) -> bool {
        let traps =
            |program: &Self| program.instructions.iter().any(|one| matches!(one, Instruction::TrapIf(..)));
        let types =
            |program: &Self| program.inputs.iter().map(|input| input.data_type.clone()).collect::<Vec<_>>();
        self.precision == other.precision
            && self.instructions.len() == other.instructions.len()
            && !traps(self)
            && !traps(other)
            && types(self) == types(other)
            && same_value(self, self.output, other, other.output, &mut vec![None; self.instructions.len()])
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
    let (one, two) = (program.instructions[value.position()], other.instructions[other_value.position()]);
    let without_operands = |instruction: Instruction| instruction.map_operands(|_| Value(0));
    without_operands(one) == without_operands(two)
        && one.operands().zip(two.operands()).all(|(a, b)| same_value(program, a, other, b, matched))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use crate::builder::Builder;
    use crate::ops::{Binary, Unary};

    /// `ln(a) * ln(b)`, whose logarithms are built in this order of the inputs.
    fn product(order: [usize; 2], nullable: bool, precision: Precision) -> Program {
        let mut builder = Builder::new(precision);
        let inputs =
            [(); 2].map(|()| builder.add_input(Input { data_type: precision.data_type(), nullable }));
        let mut logarithms = inputs;
        for position in order {
            logarithms[position] = builder.unary(Unary::Ln, inputs[position]);
        }
        let output = builder.binary(Binary::Multiply, logarithms[0], logarithms[1]);
        builder.finish(output).unwrap()
    }

    #[test]
    fn the_same_code_in_another_order_is_recognized() {
        let program = product([0, 1], false, Precision::Double);
        assert!(program.has_same_code(&product([1, 0], true, Precision::Double)));
        assert!(!program.has_same_code(&product([0, 1], false, Precision::Single)));
        let mut builder = Builder::new(Precision::Double);
        let [x, y] = [(); 2].map(|()| {
            let input = builder.add_input(Input { data_type: DataType::Float64, nullable: false });
            builder.unary(Unary::Ln, input)
        });
        let output = builder.binary(Binary::Multiply, y, x);
        let swapped = builder.finish(output).unwrap();
        assert!(!program.has_same_code(&swapped), "the operands' order may matter for the result's bits");
    }
}
