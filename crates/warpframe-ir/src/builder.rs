//! Builds programs: merges equal instructions (common subexpression elimination), folds constants, and removes dead
//! instructions.

use std::collections::HashMap;

use arrow_schema::DataType;

use super::error::{Error, Result};
use super::instruction::{Input, Instruction, Kind, Precision, Trap, Value};
use super::ops::{Binary, Unary};
use super::program::Program;

/// Builds a program.
#[derive(Debug)]
pub struct Builder {
    precision: Precision,
    inputs: Vec<Input>,
    instructions: Vec<Instruction>,
    kinds: Vec<Kind>,
    nullable: Vec<bool>,
    /// The value of each instruction added so far, to merge equal ones.
    interned: HashMap<Instruction, Value>,
}

/// A state of a builder that [`Builder::rewind`] restores.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    instructions: usize,
    inputs: usize,
}

impl Builder {
    /// A builder without instructions.
    pub fn new(precision: Precision) -> Self {
        Self {
            precision,
            inputs: Vec::new(),
            instructions: Vec::new(),
            kinds: Vec::new(),
            nullable: Vec::new(),
            interned: HashMap::new(),
        }
    }

    /// Adds an input.
    pub fn add_input(&mut self, input: Input) -> Value {
        let kind = if input.data_type == DataType::Boolean { Kind::Bool } else { Kind::Float };
        let nullable = input.nullable;
        self.inputs.push(input);
        self.push(Instruction::Input(self.inputs.len() - 1), kind, nullable)
    }

    /// A floating-point constant, rounded to the program's precision.
    pub fn const_float(&mut self, constant: f64) -> Value {
        let constant = match self.precision {
            Precision::Double => constant,
            Precision::Single => f64::from(constant as f32),
        };
        self.push(Instruction::ConstFloat(constant.to_bits()), Kind::Float, false)
    }

    /// A Boolean constant.
    pub fn const_bool(&mut self, value: bool) -> Value {
        self.push(Instruction::ConstBool(value), Kind::Bool, false)
    }

    /// A null constant.
    pub fn const_null(&mut self, kind: Kind) -> Value {
        self.push(Instruction::ConstNull(kind), kind, true)
    }

    /// A unary op.
    pub fn unary(&mut self, op: Unary, x: Value) -> Value {
        match self.constant(x) {
            Some(constant) => self.const_float(self.fold_unary(op, constant)),
            None => self.push(Instruction::Unary(op, x), Kind::Float, self.may_be_null(&[x])),
        }
    }

    /// A binary op.
    pub fn binary(&mut self, op: Binary, x: Value, y: Value) -> Value {
        match (op, self.constant(x), self.constant(y)) {
            (_, Some(x), Some(y)) => self.const_float(self.fold_binary(op, x, y)),
            // The product is correctly rounded, and much cheaper than a power.
            (Binary::Power, None, Some(2.0)) => self.binary(Binary::Multiply, x, x),
            // The reciprocal of a power of two is exact, so the product is the quotient, bit by bit.
            (Binary::Divide, None, Some(divisor)) if self.has_exact_reciprocal(divisor) => {
                let reciprocal = self.const_float(1.0 / divisor);
                self.binary(Binary::Multiply, x, reciprocal)
            }
            _ => self.push(Instruction::Binary(op, x, y), Kind::Float, self.may_be_null(&[x, y])),
        }
    }

    /// `x` with -0 replaced by +0: DataFusion compares zeros as equal.
    pub fn canonicalize_zero(&mut self, x: Value) -> Value {
        let zero = self.const_float(0.0);
        self.binary(Binary::Add, x, zero)
    }

    /// `x < y` in the total order of IEEE 754.
    pub fn total_lt(&mut self, x: Value, y: Value) -> Value {
        self.push(Instruction::TotalLt(x, y), Kind::Bool, self.may_be_null(&[x, y]))
    }

    /// Whether `x` and `y` have the same bits.
    pub fn bit_eq(&mut self, x: Value, y: Value) -> Value {
        self.push(Instruction::BitEq(x, y), Kind::Bool, self.may_be_null(&[x, y]))
    }

    /// Whether a floating-point value is NaN.
    pub fn is_nan(&mut self, x: Value) -> Value {
        self.push(Instruction::IsNan(x), Kind::Bool, self.may_be_null(&[x]))
    }

    /// Whether a value is null.
    pub fn is_null(&mut self, x: Value) -> Value {
        match self.instructions[x.position()] {
            Instruction::ConstNull(_) => self.const_bool(true),
            _ if !self.may_be_null(&[x]) => self.const_bool(false),
            _ => self.push(Instruction::IsNull(x), Kind::Bool, false),
        }
    }

    /// Logical negation.
    pub fn not(&mut self, x: Value) -> Value {
        match self.instructions[x.position()] {
            Instruction::ConstBool(value) => self.const_bool(!value),
            Instruction::Not(inner) => inner,
            _ => self.push(Instruction::Not(x), Kind::Bool, self.may_be_null(&[x])),
        }
    }

    /// SQL's AND.
    pub fn and(&mut self, x: Value, y: Value) -> Value {
        match (self.instructions[x.position()], self.instructions[y.position()]) {
            (Instruction::ConstBool(false), _) | (_, Instruction::ConstBool(true)) => x,
            (Instruction::ConstBool(true), _) | (_, Instruction::ConstBool(false)) => y,
            _ if x == y => x,
            _ => self.push(Instruction::And(x, y), Kind::Bool, self.may_be_null(&[x, y])),
        }
    }

    /// SQL's OR.
    pub fn or(&mut self, x: Value, y: Value) -> Value {
        match (self.instructions[x.position()], self.instructions[y.position()]) {
            (Instruction::ConstBool(true), _) | (_, Instruction::ConstBool(false)) => x,
            (Instruction::ConstBool(false), _) | (_, Instruction::ConstBool(true)) => y,
            _ if x == y => x,
            _ => self.push(Instruction::Or(x, y), Kind::Bool, self.may_be_null(&[x, y])),
        }
    }

    /// Whether a Boolean is true; false if it is null.
    pub fn is_true(&mut self, x: Value) -> Value {
        let (null, no) = (self.is_null(x), self.const_bool(false));
        self.select(null, no, x)
    }

    /// `yes` where the condition is true, else `no`.
    pub fn select(&mut self, condition: Value, yes: Value, no: Value) -> Value {
        match self.instructions[condition.position()] {
            Instruction::ConstBool(true) => yes,
            Instruction::ConstBool(false) | Instruction::ConstNull(_) => no,
            _ if yes == no => yes,
            _ => {
                let kind = self.kinds[yes.position()];
                // `CASE WHEN x IS NULL THEN y ELSE x`, the form of coalesce, is null only where `y` is.
                let nullable = match self.instructions[condition.position()] {
                    Instruction::IsNull(tested) if tested == no => self.may_be_null(&[yes]),
                    _ => self.may_be_null(&[yes, no]),
                };
                self.push(Instruction::Select(condition, yes, no), kind, nullable)
            }
        }
    }

    /// Adds an instruction that traps in rows in which the condition of the trap holds for the operands and the guard,
    /// if any, is true.
    pub fn trap_if(&mut self, trap: Trap, operands: [Value; 2], guard: Option<Value>) {
        let [x, y] = operands.map(|operand| self.constant(operand));
        let never_traps = match trap {
            Trap::SqrtOfNegative => x.is_some_and(|x| x >= 0.0 || x.is_nan()),
            Trap::ZeroToNegativePower => {
                x.is_some_and(|x| x != 0.0) || y.is_some_and(|y| y >= 0.0 || y.is_nan())
            }
        };
        if !never_traps {
            self.push(Instruction::TrapIf(trap, operands, guard), Kind::Bool, false);
        }
    }

    /// The number of [`TrapIf`](Instruction::TrapIf) instructions so far.
    pub fn traps(&self) -> usize {
        self.instructions.iter().filter(|instruction| matches!(instruction, Instruction::TrapIf(..))).count()
    }

    /// The current state, for [`rewind`](Self::rewind).
    pub fn mark(&self) -> Mark {
        Mark { instructions: self.instructions.len(), inputs: self.inputs.len() }
    }

    /// Removes all instructions and inputs that were added after a mark.
    pub fn rewind(&mut self, mark: &Mark) {
        self.instructions.truncate(mark.instructions);
        self.kinds.truncate(mark.instructions);
        self.nullable.truncate(mark.instructions);
        self.inputs.truncate(mark.inputs);
        self.interned.retain(|_, value| value.position() < mark.instructions);
    }

    /// The floating-point type that the program computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The kind of a value.
    pub fn kind(&self, value: Value) -> Kind {
        self.kinds[value.position()]
    }

    /// The program of a function of floating-point numbers: `body` takes the values of the parameters, which are nullable
    /// inputs of the precision's type, and returns the result.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn function(
        precision: Precision,
        parameters: usize,
        body: impl FnOnce(&mut Self, &[Value]) -> Value,
    ) -> Result<Program> {
        let mut builder = Self::new(precision);
        let input = || Input { data_type: precision.data_type(), nullable: true };
        let inputs: Vec<_> = (0..parameters).map(|_| builder.add_input(input())).collect();
        let output = body(&mut builder, &inputs);
        builder.finish(output)
    }

    /// The program with this result.
    ///
    /// # Errors
    /// [`Error::InvalidProgram`]: the type of an input is not supported, an operand is of the wrong kind, or the output is
    /// not a value.
    pub fn finish(self, output: Value) -> Result<Program> {
        self.verify()?;
        match self.instructions.get(output.position()) {
            Some(instruction) if !matches!(instruction, Instruction::TrapIf(..)) => {}
            _ => return Err(Error::InvalidProgram("the output of a program is not a value".to_owned())),
        }
        let mut live = vec![false; self.instructions.len()];
        live[output.position()] = true;
        for position in (0..self.instructions.len()).rev() {
            // Inputs are kept even where they are unused: callers pass one array for each.
            let instruction = &self.instructions[position];
            live[position] |= matches!(instruction, Instruction::TrapIf(..) | Instruction::Input(_));
            if live[position] {
                instruction.operands().for_each(|operand| live[operand.position()] = true);
            }
        }
        let mut renumbered = vec![Value(0); live.len()];
        let (mut instructions, mut kinds, mut nullable) = (Vec::new(), Vec::new(), Vec::new());
        for position in (0..live.len()).filter(|&position| live[position]) {
            renumbered[position] = Value(instructions.len() as u32);
            instructions.push(self.instructions[position].map_operands(|value| renumbered[value.position()]));
            kinds.push(self.kinds[position]);
            nullable.push(self.nullable[position]);
        }
        let output = renumbered[output.position()];
        let Self { precision, inputs, .. } = self;
        let strict = is_strict(&instructions, output);
        Ok(Program { precision, inputs, instructions, kinds, nullable, output, strict })
    }

    fn verify(&self) -> Result<()> {
        for data_type in self.inputs.iter().map(|input| &input.data_type) {
            let numeric =
                data_type.is_integer() || matches!(data_type, DataType::Float64 | DataType::Float32);
            if !numeric && *data_type != DataType::Boolean {
                return Err(Error::InvalidProgram(format!(
                    "a program cannot have an input of type {data_type}"
                )));
            }
        }
        use Instruction::*;
        let (float, boolean) = (Kind::Float, Kind::Bool);
        for instruction in &self.instructions {
            let kinds: Vec<_> =
                instruction.operands().map(|operand| self.kinds[operand.position()]).collect();
            let kinds_match = match (instruction, &kinds[..]) {
                (IsNull(_), _) => true,
                (Select(..), [condition, yes, no]) => *condition == boolean && yes == no,
                (TrapIf(..), [x, y, guard @ ..]) => {
                    *x == float && *y == float && guard.iter().all(|guard| *guard == boolean)
                }
                (Not(_) | And(..) | Or(..), kinds) => kinds.iter().all(|kind| *kind == boolean),
                (_, kinds) => kinds.iter().all(|kind| *kind == float),
            };
            if !kinds_match {
                return Err(Error::InvalidProgram(format!(
                    "a program cannot have {instruction:?} of {kinds:?}"
                )));
            }
        }
        Ok(())
    }

    fn push(&mut self, instruction: Instruction, kind: Kind, nullable: bool) -> Value {
        if let Some(&value) = self.interned.get(&instruction) {
            return value;
        }
        let value = Value(self.instructions.len() as u32);
        self.instructions.push(instruction);
        self.kinds.push(kind);
        self.nullable.push(nullable);
        self.interned.insert(instruction, value);
        value
    }

    fn may_be_null(&self, values: &[Value]) -> bool {
        values.iter().any(|value| self.nullable[value.position()])
    }

    fn constant(&self, value: Value) -> Option<f64> {
        match self.instructions[value.position()] {
            Instruction::ConstFloat(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    fn fold_unary(&self, op: Unary, x: f64) -> f64 {
        match self.precision {
            Precision::Double => op.f64(x),
            Precision::Single => op.f32(x as f32).into(),
        }
    }

    /// Whether a divisor is a power of two with a normal reciprocal.
    fn has_exact_reciprocal(&self, divisor: f64) -> bool {
        let is_power_of_two = divisor.is_normal() && divisor.to_bits() << 12 == 0;
        is_power_of_two
            && match self.precision {
                Precision::Double => (1.0 / divisor).is_normal(),
                Precision::Single => (1.0 / divisor as f32).is_normal(),
            }
    }

    fn fold_binary(&self, op: Binary, x: f64, y: f64) -> f64 {
        match self.precision {
            Precision::Double => op.f64(x, y),
            Precision::Single => op.f32(x as f32, y as f32).into(),
        }
    }
}

/// [`Program::is_strict`].
fn is_strict(instructions: &[Instruction], output: Value) -> bool {
    let mut used: Vec<bool> =
        instructions.iter().map(|instruction| !matches!(instruction, Instruction::Input(_))).collect();
    used[output.position()] = true;
    instructions.iter().flat_map(Instruction::operands).for_each(|operand| used[operand.position()] = true);
    let strict = |instruction: &Instruction| {
        !matches!(
            instruction,
            Instruction::ConstNull(_)
                | Instruction::IsNull(_)
                | Instruction::And(..)
                | Instruction::Or(..)
                | Instruction::Select(..)
                | Instruction::TrapIf(..)
        )
    };
    used.iter().all(|used| *used) && instructions.iter().all(strict)
}
