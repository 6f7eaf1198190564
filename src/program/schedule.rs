//! Where the values of a program are kept while a block of rows runs through it: numbers and truth values
//! each in registers of their own, which are used again as soon as nothing reads them any more.

use super::{Instruction, Kind, Value};

/// Where a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the argument with this position.
    Input(usize),
    /// It is the constant with this position.
    Constant(usize),
    /// In the register for its kind with this position.
    Register(usize),
    /// There is no value.
    None,
}

/// The places of all values.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// One place an instruction.
    pub places: Vec<Place>,
    /// How many registers for numbers there are.
    pub numbers: usize,
    /// How many registers for truth values there are.
    pub booleans: usize,
    /// How many constants there are.
    pub constants: usize,
}

impl Schedule {
    /// Places the values. The result's register is used for nothing else, so that it can be the output.
    pub fn new(instructions: &[Instruction], kinds: &[Kind], output: Value) -> Self {
        let mut last_use: Vec<usize> = (0..instructions.len()).collect();
        for (position, instruction) in instructions.iter().enumerate() {
            instruction.arguments().for_each(|argument| last_use[argument.position()] = position);
        }
        last_use[output.position()] = usize::MAX;

        let mut schedule = Self { places: Vec::new(), numbers: 0, booleans: 0, constants: 0 };
        let mut free: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
        for (position, instruction) in instructions.iter().enumerate() {
            let kind = kinds[position];
            let place = match (instruction, kind) {
                (Instruction::Input(input), Kind::Number) => Place::Input(*input),
                (Instruction::Number(_), _) | (Instruction::Null(Kind::Number), _) => {
                    schedule.constants += 1;
                    Place::Constant(schedule.constants - 1)
                }
                (Instruction::Forbid(..), _) => Place::None,
                _ => {
                    let count = schedule.count(kind);
                    // Truth values of the arguments are brought in before the first step, so their
                    // registers must not have had another use before.
                    let own = position == output.position() || matches!(instruction, Instruction::Input(_));
                    let reused = if own { None } else { free[kind as usize].pop() };
                    Place::Register(reused.unwrap_or_else(|| {
                        *count += 1;
                        *count - 1
                    }))
                }
            };
            schedule.places.push(place);
            // Freed after the result has its place: an op never writes where it reads.
            let mut arguments: Vec<_> = instruction.arguments().collect();
            arguments.dedup();
            for argument in arguments.into_iter().chain([Value(position as u32)]) {
                if last_use[argument.position()] == position
                    && let Place::Register(register) = schedule.places[argument.position()]
                    && !free[kinds[argument.position()] as usize].contains(&register)
                {
                    free[kinds[argument.position()] as usize].push(register);
                }
            }
        }
        schedule
    }

    fn count(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Number => &mut self.numbers,
            Kind::Boolean => &mut self.booleans,
        }
    }
}
