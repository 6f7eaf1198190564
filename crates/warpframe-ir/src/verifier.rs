//! The verifier: the types and the nullability of a program's values, by the rules of the IR. A program that was not built
//! here, such as one that arrives over a network, is valid only if the verifier says so.

use arrow_schema::DataType;

use super::error::{Error, Result};
use super::instruction::{Input, Instruction, Output, Value};
use super::scalar_type::ScalarType;
use super::table::Table;

/// The maximum number of instructions of a program.
pub const MAX_INSTRUCTIONS: usize = 1 << 16;

/// What the verifier knows of the value of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inferred {
    /// The type; `Bool` for an instruction that defines no value.
    pub scalar_type: ScalarType,
    /// Whether it may be null.
    pub nullable: bool,
}

/// The context in which an instruction is valid: what comes before it.
pub(super) struct Context<'a> {
    pub inputs: &'a [Input],
    pub tables: &'a [Table],
    pub instructions: &'a [Instruction],
    pub inferred: &'a [Inferred],
}

impl Context<'_> {
    /// The type and the nullability of the next instruction's value.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`]: an operand is not a value that is defined before, or has the wrong type, or the
    /// instruction refers to an input or a table that does not exist.
    pub fn infer(&self, instruction: &Instruction) -> Result<Inferred> {
        use Instruction::*;
        let invalid = || {
            let operands = instruction.operands().map(|operand| self.inferred.get(operand.position()));
            let types: Vec<_> = operands.map(|one| one.map(|one| one.scalar_type)).collect();
            Error::InvalidProgram(format!("a program cannot have {instruction:?} of {types:?}"))
        };
        for operand in instruction.operands() {
            if !self.is_value(operand) {
                return Err(invalid());
            }
        }
        let of = |value: Value| self.inferred[value.position()].scalar_type;
        let boolean = ScalarType::Bool;
        let scalar_type = match *instruction {
            Input(input) => {
                let input = self.inputs.get(input as usize).ok_or_else(invalid)?;
                return Ok(Inferred { scalar_type: input_type(input)?, nullable: input.nullable });
            }
            Const(scalar) => Some(scalar.scalar_type()),
            Null(scalar_type) => return Ok(Inferred { scalar_type, nullable: true }),
            Unary(op, x) => op.is_defined_for(of(x)).then(|| of(x)),
            Binary(op, x, y) => (op.is_defined_for(of(x)) && of(x) == of(y)).then(|| of(x)),
            Compare(comparison, x, y) => {
                (comparison.is_defined_for(of(x)) && of(x) == of(y)).then_some(boolean)
            }
            Cast(to, _) => Some(to),
            InTable(table, x) => {
                let table = self.tables.get(table as usize).ok_or_else(invalid)?;
                (table.scalar_type() == of(x)).then_some(boolean)
            }
            IsNan(x) => of(x).is_float().then_some(boolean),
            IsNull(_) => return Ok(Inferred { scalar_type: boolean, nullable: false }),
            Not(x) => (of(x) == boolean).then_some(boolean),
            And(x, y) | Or(x, y) => (of(x) == boolean && of(y) == boolean).then_some(boolean),
            Select(condition, yes, no) => (of(condition) == boolean && of(yes) == of(no)).then_some(of(yes)),
            TrapIf(_, condition, _) => {
                let valid = of(condition) == boolean;
                return valid
                    .then_some(Inferred { scalar_type: boolean, nullable: false })
                    .ok_or_else(invalid);
            }
        };
        let nullable = match *instruction {
            // `CASE WHEN x IS NULL THEN y ELSE x`, the form of coalesce, is null only where `y` is.
            Select(condition, yes, no) => {
                let coalesce = self.instructions[condition.position()] == IsNull(no);
                self.nullable(yes) || !coalesce && self.nullable(no)
            }
            _ => instruction.operands().any(|operand| self.nullable(operand)),
        };
        scalar_type.map(|scalar_type| Inferred { scalar_type, nullable }).ok_or_else(invalid)
    }

    /// Whether an instruction before this one defines the value.
    pub fn is_value(&self, value: Value) -> bool {
        let instruction = self.instructions.get(value.position());
        instruction.is_some_and(|instruction| !matches!(instruction, Instruction::TrapIf(..)))
    }

    fn nullable(&self, value: Value) -> bool {
        self.inferred[value.position()].nullable
    }
}

/// The type of an input's values.
fn input_type(input: &Input) -> Result<ScalarType> {
    ScalarType::of(&input.data_type).ok_or_else(|| {
        Error::InvalidProgram(format!("a program cannot have an input of type {}", input.data_type))
    })
}

/// Infers the types and the nullability of all values of a program.
///
/// # Errors
/// [`Error::InvalidProgram`]: the program violates a rule of the IR.
pub(super) fn verify(
    inputs: &[Input],
    tables: &[Table],
    instructions: &[Instruction],
    outputs: &[Output],
    predicate: Option<Value>,
) -> Result<Vec<Inferred>> {
    let invalid = |message: String| Err(Error::InvalidProgram(message));
    if instructions.len() > MAX_INSTRUCTIONS {
        let count = instructions.len();
        return invalid(format!("a program has at most {MAX_INSTRUCTIONS} instructions, not {count}"));
    }
    inputs.iter().try_for_each(|input| input_type(input).map(|_| ()))?;
    if let Some(position) = tables.iter().position(|table| !table.is_valid()) {
        return invalid(format!("table {position} of a program is not sorted"));
    }
    let mut inferred: Vec<Inferred> = Vec::with_capacity(instructions.len());
    for (position, instruction) in instructions.iter().enumerate() {
        let context =
            Context { inputs, tables, instructions: &instructions[..position], inferred: &inferred };
        let next = context.infer(instruction)?;
        inferred.push(next);
    }
    let context = Context { inputs, tables, instructions, inferred: &inferred };
    if outputs.is_empty() {
        return invalid("a program has no output".to_owned());
    }
    for Output { value, data_type } in outputs {
        if !context.is_value(*value) {
            return invalid("an output of a program is not a value".to_owned());
        }
        let scalar_type = inferred[value.position()].scalar_type;
        if ScalarType::of(data_type) != Some(scalar_type) || *data_type == DataType::UInt64 {
            return invalid(format!("an output of type {data_type} cannot be a value of type {scalar_type}"));
        }
    }
    match predicate {
        Some(value) if !context.is_value(value) => {
            invalid("the predicate of a program is not a value".to_owned())
        }
        Some(value) if inferred[value.position()].scalar_type != ScalarType::Bool => {
            invalid("the predicate of a program is not a Boolean".to_owned())
        }
        _ => Ok(inferred),
    }
}
