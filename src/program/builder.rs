//! Puts programs together. Equal instructions are one, constants are folded, and what the result does not
//! depend on is dropped.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};

use super::ops::{Binary, Unary};
use super::schedule::Schedule;
use super::{Fault, Input, Instruction, Kind, Precision, Program, Special, Value};

/// A program in the making.
#[derive(Debug)]
pub struct Builder {
    precision: Precision,
    inputs: Vec<Input>,
    instructions: Vec<Instruction>,
    kinds: Vec<Kind>,
    nullable: Vec<bool>,
    known: HashMap<Instruction, Value>,
}

/// A point in the making of a program.
pub(super) struct Mark {
    instructions: usize,
    inputs: usize,
}

impl Builder {
    /// A program without instructions.
    pub fn new(precision: Precision) -> Self {
        Self {
            precision,
            inputs: Vec::new(),
            instructions: Vec::new(),
            kinds: Vec::new(),
            nullable: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Another argument.
    pub fn add_input(&mut self, input: Input) -> Value {
        let kind = if input.data_type == DataType::Boolean { Kind::Boolean } else { Kind::Number };
        let nullable = input.nullable;
        self.inputs.push(input);
        self.push(Instruction::Input(self.inputs.len() - 1), kind, nullable)
    }

    /// A number, rounded to the program's precision.
    pub fn number(&mut self, number: f64) -> Value {
        let number = match self.precision {
            Precision::Double => number,
            Precision::Single => f64::from(number as f32),
        };
        self.push(Instruction::Number(number.to_bits()), Kind::Number, false)
    }

    /// A truth value.
    pub fn boolean(&mut self, value: bool) -> Value {
        self.push(Instruction::Boolean(value), Kind::Boolean, false)
    }

    /// Null.
    pub fn null(&mut self, kind: Kind) -> Value {
        self.push(Instruction::Null(kind), kind, true)
    }

    /// An op of one number.
    pub fn unary(&mut self, op: Unary, x: Value) -> Value {
        match self.constant(x) {
            Some(number) => self.number(self.fold_unary(op, number)),
            None => self.push(Instruction::Unary(op, x), Kind::Number, self.may_be_null(&[x])),
        }
    }

    /// An op of two numbers.
    pub fn binary(&mut self, op: Binary, x: Value, y: Value) -> Value {
        match (op, self.constant(x), self.constant(y)) {
            (_, Some(x), Some(y)) => self.number(self.fold_binary(op, x, y)),
            // Rounded correctly, and much cheaper.
            (Binary::Power, None, Some(2.0)) => self.binary(Binary::Multiply, x, x),
            // The inverse of a power of two is exact, and so is the same number whether multiplied or divided by.
            (Binary::Divide, None, Some(divisor)) if self.has_exact_inverse(divisor) => {
                let inverse = self.number(1.0 / divisor);
                self.binary(Binary::Multiply, x, inverse)
            }
            _ => self.push(Instruction::Binary(op, x, y), Kind::Number, self.may_be_null(&[x, y])),
        }
    }

    /// A number as DataFusion compares it: both zeros are +0.
    pub fn compared(&mut self, x: Value) -> Value {
        let zero = self.number(0.0);
        self.binary(Binary::Add, x, zero)
    }

    /// `x < y` in the total order.
    pub fn less(&mut self, x: Value, y: Value) -> Value {
        self.push(Instruction::Less(x, y), Kind::Boolean, self.may_be_null(&[x, y]))
    }

    /// Equality of the bits.
    pub fn same(&mut self, x: Value, y: Value) -> Value {
        self.push(Instruction::Same(x, y), Kind::Boolean, self.may_be_null(&[x, y]))
    }

    /// Whether a number is NaN.
    pub fn is_nan(&mut self, x: Value) -> Value {
        self.push(Instruction::IsNan(x), Kind::Boolean, self.may_be_null(&[x]))
    }

    /// Whether a value is null.
    pub fn is_null(&mut self, x: Value) -> Value {
        match self.instructions[x.position()] {
            Instruction::Null(_) => self.boolean(true),
            _ if !self.may_be_null(&[x]) => self.boolean(false),
            _ => self.push(Instruction::IsNull(x), Kind::Boolean, false),
        }
    }

    /// The opposite.
    pub fn not(&mut self, x: Value) -> Value {
        match self.instructions[x.position()] {
            Instruction::Boolean(value) => self.boolean(!value),
            Instruction::Not(inner) => inner,
            _ => self.push(Instruction::Not(x), Kind::Boolean, self.may_be_null(&[x])),
        }
    }

    /// SQL's AND.
    pub fn and(&mut self, x: Value, y: Value) -> Value {
        match (self.instructions[x.position()], self.instructions[y.position()]) {
            (Instruction::Boolean(false), _) | (_, Instruction::Boolean(true)) => x,
            (Instruction::Boolean(true), _) | (_, Instruction::Boolean(false)) => y,
            _ if x == y => x,
            _ => self.push(Instruction::And(x, y), Kind::Boolean, self.may_be_null(&[x, y])),
        }
    }

    /// SQL's OR.
    pub fn or(&mut self, x: Value, y: Value) -> Value {
        match (self.instructions[x.position()], self.instructions[y.position()]) {
            (Instruction::Boolean(true), _) | (_, Instruction::Boolean(false)) => x,
            (Instruction::Boolean(false), _) | (_, Instruction::Boolean(true)) => y,
            _ if x == y => x,
            _ => self.push(Instruction::Or(x, y), Kind::Boolean, self.may_be_null(&[x, y])),
        }
    }

    /// Whether a truth value is true: false where it is null.
    pub fn is_true(&mut self, x: Value) -> Value {
        let (null, no) = (self.is_null(x), self.boolean(false));
        self.select(null, no, x)
    }

    /// `yes` where the condition is true, else `no`.
    pub fn select(&mut self, condition: Value, yes: Value, no: Value) -> Value {
        match self.instructions[condition.position()] {
            Instruction::Boolean(true) => yes,
            Instruction::Boolean(false) | Instruction::Null(_) => no,
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

    /// An error where the fault happens with these arguments.
    pub fn forbid(&mut self, fault: Fault, arguments: [Value; 2], guard: Option<Value>) {
        let numbers = arguments.map(|argument| self.constant(argument));
        let harmless = match fault {
            Fault::SqrtOfNegative => numbers[0].is_some_and(|x| x >= 0.0 || x.is_nan()),
            Fault::ZeroToNegativePower => {
                numbers[0].is_some_and(|x| x != 0.0) || numbers[1].is_some_and(|y| y >= 0.0 || y.is_nan())
            }
        };
        if !harmless {
            self.push(Instruction::Forbid(fault, arguments, guard), Kind::Boolean, false);
        }
    }

    /// How many of the instructions so far can be an error.
    pub fn failures(&self) -> usize {
        self.instructions.iter().filter(|instruction| matches!(instruction, Instruction::Forbid(..))).count()
    }

    /// How far the program has come.
    pub(super) fn mark(&self) -> Mark {
        Mark { instructions: self.instructions.len(), inputs: self.inputs.len() }
    }

    /// Forgets everything after the mark.
    pub(super) fn rewind(&mut self, mark: &Mark) {
        self.instructions.truncate(mark.instructions);
        self.kinds.truncate(mark.instructions);
        self.nullable.truncate(mark.instructions);
        self.inputs.truncate(mark.inputs);
        self.known.retain(|_, value| value.position() < mark.instructions);
    }

    /// The floating-point type of the numbers.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What a value is.
    pub fn kind(&self, value: Value) -> Kind {
        self.kinds[value.position()]
    }

    /// The program with this result.
    ///
    /// # Errors
    /// An input has a type that programs don't have, or an instruction reads a truth value as a number, or a
    /// number as a truth value.
    pub fn finish(self, output: Value) -> Result<Program> {
        self.check()?;
        Ok(self.assemble(output))
    }

    /// The program, of instructions that are known to fit.
    pub(super) fn assemble(self, output: Value) -> Program {
        let mut needed = vec![false; self.instructions.len()];
        needed[output.position()] = true;
        for position in (0..self.instructions.len()).rev() {
            // Inputs stay, used or not: they are the arguments.
            let instruction = &self.instructions[position];
            needed[position] |= matches!(instruction, Instruction::Forbid(..) | Instruction::Input(_));
            if needed[position] {
                instruction.arguments().for_each(|argument| needed[argument.position()] = true);
            }
        }
        let mut moved = vec![Value(0); needed.len()];
        let (mut instructions, mut kinds, mut nullable) = (Vec::new(), Vec::new(), Vec::new());
        for position in (0..needed.len()).filter(|&position| needed[position]) {
            moved[position] = Value(instructions.len() as u32);
            instructions.push(renumber(self.instructions[position], &moved));
            kinds.push(self.kinds[position]);
            nullable.push(self.nullable[position]);
        }
        let output = moved[output.position()];
        let schedule = Schedule::new(&instructions, &kinds, output);
        let special = is_log3(&instructions, output).then_some(Special::Log3);
        let Self { precision, inputs, .. } = self;
        let special = special.filter(|_| inputs.iter().all(|input| input.data_type == precision.data_type()));
        let strict = is_strict(&instructions, output);
        Program { precision, inputs, instructions, kinds, nullable, output, special, strict, schedule }
    }

    fn check(&self) -> Result<()> {
        for data_type in self.inputs.iter().map(|input| &input.data_type) {
            let known = data_type.is_integer() || matches!(data_type, DataType::Float64 | DataType::Float32);
            if !known && *data_type != DataType::Boolean {
                return plan_err!("a program cannot have an input of type {data_type}");
            }
        }
        use Instruction::*;
        let (number, boolean) = (Kind::Number, Kind::Boolean);
        for instruction in &self.instructions {
            let kinds: Vec<_> =
                instruction.arguments().map(|argument| self.kinds[argument.position()]).collect();
            let fits = match (instruction, &kinds[..]) {
                (IsNull(_), _) => true,
                (Select(..), [condition, yes, no]) => *condition == boolean && yes == no,
                (Forbid(..), [x, y, guard @ ..]) => {
                    *x == number && *y == number && guard.iter().all(|guard| *guard == boolean)
                }
                (Not(_) | And(..) | Or(..), kinds) => kinds.iter().all(|kind| *kind == boolean),
                (_, kinds) => kinds.iter().all(|kind| *kind == number),
            };
            if !fits {
                return plan_err!("a program cannot have {instruction:?} of {kinds:?}");
            }
        }
        Ok(())
    }

    fn push(&mut self, instruction: Instruction, kind: Kind, nullable: bool) -> Value {
        if let Some(&known) = self.known.get(&instruction) {
            return known;
        }
        let value = Value(self.instructions.len() as u32);
        self.instructions.push(instruction);
        self.kinds.push(kind);
        self.nullable.push(nullable);
        self.known.insert(instruction, value);
        value
    }

    fn may_be_null(&self, values: &[Value]) -> bool {
        values.iter().any(|value| self.nullable[value.position()])
    }

    fn constant(&self, value: Value) -> Option<f64> {
        match self.instructions[value.position()] {
            Instruction::Number(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    fn fold_unary(&self, op: Unary, x: f64) -> f64 {
        match self.precision {
            Precision::Double => op.f64(x),
            Precision::Single => op.f32(x as f32).into(),
        }
    }

    /// Whether a number is a power of two, and its inverse a normal number.
    fn has_exact_inverse(&self, number: f64) -> bool {
        let is_power = number.is_normal() && number.to_bits() << 12 == 0;
        is_power
            && match self.precision {
                Precision::Double => (1.0 / number).is_normal(),
                Precision::Single => (1.0 / number as f32).is_normal(),
            }
    }

    fn fold_binary(&self, op: Binary, x: f64, y: f64) -> f64 {
        match self.precision {
            Precision::Double => op.f64(x, y),
            Precision::Single => op.f32(x as f32, y as f32).into(),
        }
    }
}

fn renumber(instruction: Instruction, moved: &[Value]) -> Instruction {
    use Instruction::*;
    let to = |value: Value| moved[value.position()];
    match instruction {
        Input(_) | Number(_) | Boolean(_) | Null(_) => instruction,
        Unary(op, a) => Unary(op, to(a)),
        Binary(op, a, b) => Binary(op, to(a), to(b)),
        Less(a, b) => Less(to(a), to(b)),
        Same(a, b) => Same(to(a), to(b)),
        IsNan(a) => IsNan(to(a)),
        IsNull(a) => IsNull(to(a)),
        Not(a) => Not(to(a)),
        And(a, b) => And(to(a), to(b)),
        Or(a, b) => Or(to(a), to(b)),
        Select(a, b, c) => Select(to(a), to(b), to(c)),
        Forbid(fault, arguments, guard) => Forbid(fault, arguments.map(to), guard.map(to)),
    }
}

/// Whether the result is null exactly where an argument is, and no row can be an error.
fn is_strict(instructions: &[Instruction], output: Value) -> bool {
    let mut used: Vec<bool> =
        instructions.iter().map(|instruction| !matches!(instruction, Instruction::Input(_))).collect();
    used[output.position()] = true;
    instructions
        .iter()
        .flat_map(Instruction::arguments)
        .for_each(|argument| used[argument.position()] = true);
    let strict = |instruction: &Instruction| {
        !matches!(
            instruction,
            Instruction::Null(_)
                | Instruction::IsNull(_)
                | Instruction::And(..)
                | Instruction::Or(..)
                | Instruction::Select(..)
                | Instruction::Forbid(..)
        )
    };
    used.iter().all(|used| *used) && instructions.iter().all(strict)
}

/// Whether the instructions are `ln(x) * ln(y) * ln(z)` of the first three arguments, in this order.
fn is_log3(instructions: &[Instruction], output: Value) -> bool {
    let at = |value: Value| instructions[value.position()];
    let is_ln = |value: Value, input: usize| matches!(at(value), Instruction::Unary(Unary::Ln, x) if at(x) == Instruction::Input(input));
    let Instruction::Binary(Binary::Multiply, left, z) = at(output) else { return false };
    let Instruction::Binary(Binary::Multiply, x, y) = at(left) else { return false };
    instructions.len() == 8 && is_ln(x, 0) && is_ln(y, 1) && is_ln(z, 2)
}
