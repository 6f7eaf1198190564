//! Instruction selection: chooses the loop that computes each value of a program. A value that only one instruction reads can
//! be part of that instruction's loop, and is then not stored.

use warpframe_ir::instruction::{Comparison, Instruction, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::{Scalar, ScalarType};

use super::class::Class;
use super::loops::NumberComparison;
use super::math::Divisor;

/// What computes a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operation {
    /// The instruction that defines it, alone.
    Instruction,
    /// `outer(inner(x, y), z)`, or `outer(z, inner(x, y))` if `right`.
    Pair { inner: Binary, outer: Binary, right: bool },
    /// `outer(inner(x, y))`
    UnaryOfBinary { inner: Binary, outer: Unary },
    /// The quotient of the operand and a constant.
    DivideBy(Divisor<f64>),
    /// A comparison of numbers.
    Compare(NumberComparison),
    /// The third operand where a comparison of the first two holds, else the fourth.
    SelectByComparison(NumberComparison),
}

/// The operation of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selected {
    pub operation: Operation,
    /// The values that it reads.
    pub operands: Vec<Value>,
}

/// The operation of each instruction of a program; `None` for those that need none: inputs, constant numbers, and values that
/// are part of the operation of another value.
pub(super) fn select_instructions(program: &Program) -> Vec<Option<Selected>> {
    let mut selection = Selection::new(program);
    for position in 0..program.instructions().len() {
        selection.select(position);
    }
    selection.remove_unused();
    selection.selected
}

struct Selection<'a> {
    program: &'a Program,
    selected: Vec<Option<Selected>>,
    /// The number of operations that read each value, outputs and the predicate included.
    uses: Vec<usize>,
}

impl<'a> Selection<'a> {
    fn new(program: &'a Program) -> Self {
        let selected = program.instructions().iter().enumerate().map(|(position, instruction)| {
            let operands = match instruction {
                Instruction::Input(_) => return None,
                Instruction::Const(_) | Instruction::Null(_)
                    if Class::of(program.scalar_type(Value::at(position))) != Class::Bool =>
                {
                    return None;
                }
                // The other operands are only part of the error message.
                Instruction::TrapIf(_, condition, _) => vec![*condition],
                _ => instruction.operands().collect(),
            };
            Some(Selected { operation: Operation::Instruction, operands })
        });
        let selected: Vec<_> = selected.collect();
        let mut uses = vec![0; selected.len()];
        let operands = selected.iter().flatten().flat_map(|one| &one.operands).copied();
        operands.chain(roots(program)).for_each(|value| uses[value.position()] += 1);
        Self { program, selected, uses }
    }

    fn select(&mut self, position: usize) {
        let value = Value::at(position);
        let selected = match self.program.instructions()[position] {
            Instruction::Binary(op, x, y) if self.program.scalar_type(value).is_float() => {
                self.divisor(op, x, y).or_else(|| self.pair(op, x, y))
            }
            Instruction::Unary(outer, x) => self.arithmetic(x).and_then(|(inner, [x, y])| {
                is_fused_unary(outer).then(|| Selected {
                    operation: Operation::UnaryOfBinary { inner, outer },
                    operands: vec![x, y],
                })
            }),
            Instruction::Compare(comparison, x, y) => self.comparison(comparison, x, y),
            Instruction::Select(condition, yes, no) => self.select_by_comparison(value, condition, yes, no),
            _ => None,
        };
        if let Some(selected) = selected {
            self.replace(position, selected);
        }
    }

    /// Replaces an operation.
    fn replace(&mut self, position: usize, selected: Selected) {
        selected.operands.iter().for_each(|operand| self.uses[operand.position()] += 1);
        if let Some(old) = self.selected[position].replace(selected) {
            self.release(old);
        }
    }

    /// Counts the reads of an operation no longer.
    fn release(&mut self, old: Selected) {
        for operand in old.operands {
            self.uses[operand.position()] -= 1;
        }
    }

    /// Removes the operations of values that nothing reads.
    fn remove_unused(&mut self) {
        for position in (0..self.selected.len()).rev() {
            let traps = matches!(self.program.instructions()[position], Instruction::TrapIf(..));
            if self.uses[position] == 0
                && !traps
                && let Some(old) = self.selected[position].take()
            {
                self.release(old);
            }
        }
    }

    /// Division by a constant that [`Divisor`] supports.
    fn divisor(&self, op: Binary, x: Value, y: Value) -> Option<Selected> {
        let (Binary::Divide, Instruction::Const(constant)) = (op, self.program.definition(y)) else {
            return None;
        };
        let divisor = match constant {
            Scalar::F64(constant) => Divisor::new(*constant)?,
            Scalar::F32(constant) => Divisor::new(*constant)?.convert(),
            _ => return None,
        };
        Some(Selected { operation: Operation::DivideBy(divisor), operands: vec![x] })
    }

    /// Two ops of arithmetic.
    fn pair(&self, outer: Binary, x: Value, y: Value) -> Option<Selected> {
        if !is_arithmetic(outer) {
            return None;
        }
        let ((inner, [a, b]), z, right) = match (self.arithmetic(x), self.arithmetic(y)) {
            (Some(inner), _) => (inner, y, false),
            (None, Some(inner)) => (inner, x, true),
            (None, None) => return None,
        };
        Some(Selected { operation: Operation::Pair { inner, outer, right }, operands: vec![a, b, z] })
    }

    /// The op of arithmetic of floats, and its operands, that is the operation of a value that is read once.
    fn arithmetic(&self, value: Value) -> Option<(Binary, [Value; 2])> {
        match (self.program.definition(value), self.selected[value.position()].as_ref()?.operation) {
            (Instruction::Binary(op, x, y), Operation::Instruction)
                if self.uses[value.position()] == 1
                    && is_arithmetic(*op)
                    && self.program.scalar_type(value).is_float() =>
            {
                Some((*op, [*x, *y]))
            }
            _ => None,
        }
    }

    /// A comparison of numbers. Zeros whose sign is removed for the comparison are compared as they are.
    fn comparison(&self, comparison: Comparison, x: Value, y: Value) -> Option<Selected> {
        let scalar_type = self.program.scalar_type(x);
        if scalar_type == ScalarType::Bool {
            return None;
        }
        let sides = [x, y].map(|side| self.without_canonicalization(side));
        let (operands, equal_zeros) = match sides {
            [Some(one), Some(other)] => (vec![one, other], true),
            _ => (vec![x, y], false),
        };
        let operation = Operation::Compare(NumberComparison { comparison, scalar_type, equal_zeros });
        Some(Selected { operation, operands })
    }

    /// For the sum of a number and zero, the number; for a constant that the addition of zero does not change, the constant.
    fn without_canonicalization(&self, value: Value) -> Option<Value> {
        let is_zero = |value: Value| match self.program.definition(value) {
            Instruction::Const(constant) => {
                constant.as_float().is_some_and(|zero| zero == 0.0 && zero.is_sign_positive())
            }
            _ => false,
        };
        match self.program.definition(value) {
            Instruction::Binary(Binary::Add, x, zero) if is_zero(*zero) => Some(*x),
            Instruction::Const(constant) => {
                let number = constant.as_float()?;
                let changed = number.is_nan() || number == 0.0 && number.is_sign_negative();
                (!changed).then_some(value)
            }
            _ => None,
        }
    }

    /// A selection of numbers whose condition nothing else reads, a comparison of numbers of the same width. Not if the validity
    /// of the condition or of the result is computed, since that needs the condition's mask words.
    fn select_by_comparison(
        &self,
        value: Value,
        condition: Value,
        yes: Value,
        no: Value,
    ) -> Option<Selected> {
        let selected = self.selected[condition.position()].as_ref()?;
        let Operation::Compare(comparison) = selected.operation else { return None };
        let is_nullable = |value: Value| self.program.may_be_null(value);
        let widths = [comparison.scalar_type, self.program.scalar_type(value)].map(Class::of);
        if self.uses[condition.position()] > 1
            || is_nullable(condition)
            || is_nullable(value)
            || widths[0] != widths[1]
        {
            return None;
        }
        let operands = selected.operands.iter().copied().chain([yes, no]).collect();
        Some(Selected { operation: Operation::SelectByComparison(comparison), operands })
    }
}

/// The values that are read at the end of a block.
pub(super) fn roots(program: &Program) -> impl Iterator<Item = Value> {
    program.outputs().iter().map(|output| output.value).chain(program.predicate())
}

fn is_arithmetic(op: Binary) -> bool {
    matches!(op, Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide)
}

fn is_fused_unary(op: Unary) -> bool {
    matches!(op, Unary::Abs | Unary::Sqrt)
}
