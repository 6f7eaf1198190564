//! Builds programs: merges equal instructions (common subexpression elimination), folds constants, and removes dead
//! instructions.

use std::collections::HashMap;

use super::error::{Error, Result};
use super::instruction::{Comparison, Input, Instruction, Output, Value};
use super::ops::{Binary, Unary};
use super::program::{Program, live_values};
use super::scalar::Scalar;
use super::scalar_type::ScalarType;
use super::table::Table;
use super::trap::Trap;
use super::verifier::{Context, Inferred};

/// Builds a program.
///
/// An instruction that violates a rule of the IR, such as the sum of values of different types, is an error of
/// [`finish`](Self::finish), not of the method that adds it.
#[derive(Debug, Default)]
pub struct Builder {
    inputs: Vec<Input>,
    tables: Vec<Table>,
    instructions: Vec<Instruction>,
    inferred: Vec<Inferred>,
    /// The value of each instruction added so far, to merge equal ones.
    interned: HashMap<Instruction, Value>,
    /// The first violation of a rule.
    error: Option<Error>,
}

/// A state of a builder that [`Builder::rewind`] restores.
#[derive(Debug, Clone)]
pub struct Mark {
    instructions: usize,
    inputs: usize,
    tables: usize,
    error: Option<Error>,
}

impl Builder {
    /// A builder without instructions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input. Its type is that of [`ScalarType::of`].
    pub fn add_input(&mut self, input: Input) -> Value {
        self.inputs.push(input);
        self.push(Instruction::Input(self.inputs.len() as u32 - 1))
    }

    /// A constant.
    pub fn constant(&mut self, constant: Scalar) -> Value {
        self.push(Instruction::Const(constant))
    }

    /// A number as a constant of a type, converted as [`Scalar::cast`] does.
    pub fn const_float(&mut self, scalar_type: ScalarType, number: f64) -> Value {
        self.constant(Scalar::of_float(scalar_type, number))
    }

    /// An integer as a constant of a type, converted as [`Scalar::cast`] does.
    pub fn const_integer(&mut self, scalar_type: ScalarType, number: i64) -> Value {
        self.constant(Scalar::of_integer(scalar_type, number))
    }

    /// A Boolean constant.
    pub fn const_bool(&mut self, value: bool) -> Value {
        self.constant(Scalar::Bool(value))
    }

    /// A null of a type.
    pub fn null(&mut self, scalar_type: ScalarType) -> Value {
        self.push(Instruction::Null(scalar_type))
    }

    /// A unary op.
    pub fn unary(&mut self, op: Unary, x: Value) -> Value {
        match self.as_constant(x).and_then(|x| op.apply(x)) {
            Some(folded) => self.constant(folded),
            None => self.push(Instruction::Unary(op, x)),
        }
    }

    /// A binary op.
    pub fn binary(&mut self, op: Binary, x: Value, y: Value) -> Value {
        let (constant_x, constant_y) = (self.as_constant(x), self.as_constant(y));
        if let (Some(x), Some(y)) = (constant_x, constant_y)
            && let Some(folded) = op.apply(x, y)
        {
            return self.constant(folded);
        }
        match (op, constant_y.and_then(Scalar::as_float)) {
            // The product is correctly rounded, and much cheaper than a power.
            (Binary::Power, Some(2.0)) => self.binary(Binary::Multiply, x, x),
            // The reciprocal of a power of two is exact, so the product is the quotient, bit by bit.
            (Binary::Divide, Some(divisor)) if has_exact_reciprocal(self.scalar_type(y), divisor) => {
                let reciprocal = self.const_float(self.scalar_type(y), 1.0 / divisor);
                self.binary(Binary::Multiply, x, reciprocal)
            }
            _ => self.push(Instruction::Binary(op, x, y)),
        }
    }

    /// The value converted to a type: see [`Scalar::cast`].
    pub fn cast(&mut self, to: ScalarType, x: Value) -> Value {
        match self.as_constant(x) {
            _ if self.scalar_type(x) == to => x,
            Some(constant) => self.constant(constant.cast(to)),
            None => self.push(Instruction::Cast(to, x)),
        }
    }

    /// `x` with -0 replaced by +0: DataFusion compares zeros as equal. Integers and Booleans are returned as they are.
    pub fn canonicalize_zero(&mut self, x: Value) -> Value {
        match self.scalar_type(x) {
            float if float.is_float() => {
                let zero = self.const_float(float, 0.0);
                self.binary(Binary::Add, x, zero)
            }
            _ => x,
        }
    }

    /// A comparison. Integers and Booleans have one order, so that [`Comparison::TotalLt`] and [`Comparison::BitEq`] are
    /// [`Comparison::Lt`] and [`Comparison::Eq`] for them.
    pub fn compare(&mut self, comparison: Comparison, x: Value, y: Value) -> Value {
        let comparison = match comparison {
            Comparison::TotalLt if !self.scalar_type(x).is_float() => Comparison::Lt,
            Comparison::BitEq if !self.scalar_type(x).is_float() => Comparison::Eq,
            other => other,
        };
        match (self.as_constant(x), self.as_constant(y)) {
            (Some(x), Some(y)) if let Some(holds) = comparison.apply(x, y) => self.const_bool(holds),
            _ => self.push(Instruction::Compare(comparison, x, y)),
        }
    }

    /// Whether the bits of `x` are those of one of the constants, which have its type.
    pub fn in_table(&mut self, x: Value, constants: &[Scalar]) -> Value {
        let Some(table) = Table::new(self.scalar_type(x), constants) else {
            return self.violation("the constants of a table have another type than its operand".to_owned());
        };
        self.in_known_table(x, table)
    }

    fn in_known_table(&mut self, x: Value, table: Table) -> Value {
        if let Some(x) = self.as_constant(x) {
            return self.const_bool(table.contains(x));
        }
        let known = self.tables.iter().position(|known| *known == table);
        let position = known.unwrap_or_else(|| {
            self.tables.push(table);
            self.tables.len() - 1
        });
        self.push(Instruction::InTable(position as u32, x))
    }

    /// Whether a floating-point value is NaN.
    pub fn is_nan(&mut self, x: Value) -> Value {
        match self.as_constant(x).and_then(Scalar::as_float) {
            Some(x) => self.const_bool(x.is_nan()),
            None => self.push(Instruction::IsNan(x)),
        }
    }

    /// Whether a value is null.
    pub fn is_null(&mut self, x: Value) -> Value {
        match self.definition(x) {
            Some(Instruction::Null(_)) => self.const_bool(true),
            _ if !self.may_be_null(x) => self.const_bool(false),
            _ => self.push(Instruction::IsNull(x)),
        }
    }

    /// Logical negation.
    pub fn not(&mut self, x: Value) -> Value {
        match self.definition(x) {
            Some(Instruction::Const(Scalar::Bool(value))) => self.const_bool(!value),
            Some(Instruction::Not(inner)) => inner,
            _ => self.push(Instruction::Not(x)),
        }
    }

    /// SQL's AND.
    pub fn and(&mut self, x: Value, y: Value) -> Value {
        match (self.as_bool(x), self.as_bool(y)) {
            (Some(false), _) | (_, Some(true)) => x,
            (Some(true), _) | (_, Some(false)) => y,
            _ if x == y => x,
            _ => self.push(Instruction::And(x, y)),
        }
    }

    /// SQL's OR.
    pub fn or(&mut self, x: Value, y: Value) -> Value {
        match (self.as_bool(x), self.as_bool(y)) {
            (Some(true), _) | (_, Some(false)) => x,
            (Some(false), _) | (_, Some(true)) => y,
            _ if x == y => x,
            _ => self.push(Instruction::Or(x, y)),
        }
    }

    /// Whether a Boolean is true; false if it is null.
    pub fn is_true(&mut self, x: Value) -> Value {
        let (null, no) = (self.is_null(x), self.const_bool(false));
        self.select(null, no, x)
    }

    /// `yes` where the condition is true, else `no`.
    pub fn select(&mut self, condition: Value, yes: Value, no: Value) -> Value {
        match self.definition(condition) {
            Some(Instruction::Const(Scalar::Bool(true))) => yes,
            Some(Instruction::Const(Scalar::Bool(false)) | Instruction::Null(_)) => no,
            _ if yes == no => yes,
            _ => self.push(Instruction::Select(condition, yes, no)),
        }
    }

    /// Adds an instruction that traps if the condition is true in any row. The message shows the operands, at most two.
    pub fn trap_if(&mut self, trap: Trap, condition: Value, operands: &[Value]) {
        let never = matches!(
            self.definition(condition),
            Some(Instruction::Const(Scalar::Bool(false)) | Instruction::Null(_))
        );
        if !never {
            let operands = [0, 1].map(|position| operands.get(position).copied());
            self.push(Instruction::TrapIf(trap, condition, operands));
        }
    }

    /// The number of [`TrapIf`](Instruction::TrapIf) instructions so far.
    pub fn traps(&self) -> usize {
        self.instructions.iter().filter(|instruction| matches!(instruction, Instruction::TrapIf(..))).count()
    }

    /// The current state, for [`rewind`](Self::rewind).
    pub fn mark(&self) -> Mark {
        Mark {
            instructions: self.instructions.len(),
            inputs: self.inputs.len(),
            tables: self.tables.len(),
            error: self.error.clone(),
        }
    }

    /// Removes all that was added after a mark.
    pub fn rewind(&mut self, mark: &Mark) {
        self.instructions.truncate(mark.instructions);
        self.inferred.truncate(mark.instructions);
        self.inputs.truncate(mark.inputs);
        self.tables.truncate(mark.tables);
        self.error.clone_from(&mark.error);
        self.interned.retain(|_, value| value.position() < mark.instructions);
    }

    /// The type of a value.
    pub fn scalar_type(&self, value: Value) -> ScalarType {
        self.inferred.get(value.position()).map_or(ScalarType::Bool, |one| one.scalar_type)
    }

    /// Whether a value may be null.
    pub fn may_be_null(&self, value: Value) -> bool {
        self.inferred.get(value.position()).is_none_or(|one| one.nullable)
    }

    /// The constant that a value is; `None` if it is not constant, or null.
    pub fn as_constant(&self, value: Value) -> Option<Scalar> {
        match self.definition(value) {
            Some(Instruction::Const(constant)) => Some(constant),
            _ => None,
        }
    }

    /// Adds the instructions of a program, with these values as its inputs, and returns the values of its outputs. Its traps are
    /// limited to rows in which the guard is true.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`]: the number of values is not that of the inputs, or the program has a predicate.
    pub fn inline(
        &mut self,
        program: &Program,
        inputs: &[Value],
        guard: Option<Value>,
    ) -> Result<Vec<Value>> {
        if inputs.len() != program.inputs().len() || program.predicate().is_some() {
            return Err(Error::InvalidProgram("a program cannot be inlined".to_owned()));
        }
        let mut values: Vec<Value> = Vec::with_capacity(program.instructions().len());
        for instruction in program.instructions() {
            let instruction = instruction.map_operands(|operand| values[operand.position()]);
            let value = match instruction {
                Instruction::Input(input) => inputs[input as usize],
                Instruction::Const(constant) => self.constant(constant),
                Instruction::Null(scalar_type) => self.null(scalar_type),
                Instruction::Unary(op, x) => self.unary(op, x),
                Instruction::Binary(op, x, y) => self.binary(op, x, y),
                Instruction::Compare(comparison, x, y) => self.compare(comparison, x, y),
                Instruction::Cast(to, x) => self.cast(to, x),
                Instruction::InTable(table, x) => {
                    self.in_known_table(x, program.tables()[table as usize].clone())
                }
                Instruction::IsNan(x) => self.is_nan(x),
                Instruction::IsNull(x) => self.is_null(x),
                Instruction::Not(x) => self.not(x),
                Instruction::And(x, y) => self.and(x, y),
                Instruction::Or(x, y) => self.or(x, y),
                Instruction::Select(condition, yes, no) => self.select(condition, yes, no),
                Instruction::TrapIf(trap, condition, operands) => {
                    let condition = guard.map_or(condition, |guard| self.and(guard, condition));
                    let operands: Vec<_> = operands.into_iter().flatten().collect();
                    self.trap_if(trap, condition, &operands);
                    // Nothing reads it.
                    self.placeholder()
                }
            };
            values.push(value);
        }
        Ok(program.outputs().iter().map(|output| values[output.value.position()]).collect())
    }

    /// The program of a function of numbers: `body` takes the values of the parameters, which are nullable inputs of the
    /// given type, and returns the result.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn function(
        scalar_type: ScalarType,
        parameters: usize,
        body: impl FnOnce(&mut Self, &[Value]) -> Value,
    ) -> Result<Program> {
        let mut builder = Self::new();
        let input = || Input { data_type: scalar_type.data_type(), nullable: true };
        let inputs: Vec<_> = (0..parameters).map(|_| builder.add_input(input())).collect();
        let output = body(&mut builder, &inputs);
        builder.finish_one(output)
    }

    /// The program with one output, of the Arrow type of the value's own type.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_one(self, output: Value) -> Result<Program> {
        let data_type = self.scalar_type(output).data_type();
        self.finish(vec![Output { value: output, data_type }], None)
    }

    /// The program with these outputs, of the rows in which the predicate is true.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`]: a rule of the IR is violated, such as an operand of the wrong type, an input of a type
    /// that programs do not support, or an output that is not a value.
    pub fn finish(self, outputs: Vec<Output>, predicate: Option<Value>) -> Result<Program> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let roots = || outputs.iter().map(|output| output.value).chain(predicate);
        if roots().any(|root| root.position() >= self.instructions.len()) {
            return Err(Error::InvalidProgram("an output of a program is not a value".to_owned()));
        }
        let live = live_values(&self.instructions, roots());
        let mut renumbered = vec![Value(0); live.len()];
        let mut instructions = Vec::new();
        for (position, (instruction, live)) in self.instructions.iter().zip(live).enumerate() {
            // Inputs are kept even where they are unused: callers pass one array for each.
            if live || matches!(instruction, Instruction::Input(_)) {
                renumbered[position] = Value(instructions.len() as u32);
                instructions.push(instruction.map_operands(|value| renumbered[value.position()]));
            }
        }
        let renumber = |value: Value| renumbered[value.position()];
        let outputs = outputs.into_iter().map(|one| Output { value: renumber(one.value), ..one }).collect();
        Program::new(self.inputs, self.tables, instructions, outputs, predicate.map(renumber))
    }

    fn push(&mut self, instruction: Instruction) -> Value {
        if let Some(&value) = self.interned.get(&instruction) {
            return value;
        }
        let context = Context {
            inputs: &self.inputs,
            tables: &self.tables,
            instructions: &self.instructions,
            inferred: &self.inferred,
        };
        match context.infer(&instruction) {
            Ok(inferred) => {
                let value = Value(self.instructions.len() as u32);
                self.instructions.push(instruction);
                self.inferred.push(inferred);
                self.interned.insert(instruction, value);
                value
            }
            Err(error) => {
                self.error.get_or_insert(error);
                self.placeholder()
            }
        }
    }

    /// Records a violation of a rule, unless there was one before.
    fn violation(&mut self, message: String) -> Value {
        self.error.get_or_insert(Error::InvalidProgram(message));
        self.placeholder()
    }

    /// A value in the place of one that violates a rule. No program has it.
    fn placeholder(&mut self) -> Value {
        self.push(Instruction::Null(ScalarType::Bool))
    }

    fn definition(&self, value: Value) -> Option<Instruction> {
        self.instructions.get(value.position()).copied()
    }

    fn as_bool(&self, value: Value) -> Option<bool> {
        self.as_constant(value).and_then(Scalar::as_bool)
    }
}

/// Whether a divisor of a type is a power of two with a normal reciprocal.
fn has_exact_reciprocal(scalar_type: ScalarType, divisor: f64) -> bool {
    let is_power_of_two = divisor.is_normal() && divisor.to_bits() << 12 == 0;
    is_power_of_two
        && match scalar_type {
            ScalarType::F32 => (1.0 / divisor as f32).is_normal(),
            _ => (1.0 / divisor).is_normal(),
        }
}
