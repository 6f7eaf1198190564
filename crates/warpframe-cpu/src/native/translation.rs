//! Translation of a group of instructions to VecIR.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Range;

use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::{Scalar, ScalarType};

use super::integers;
use super::recorder::{Recorded, Recorder, record};
use super::vec_ir::{Delivery, Id, Logic, Store, Test, VecCode, VecOp};
use crate::class::Class;
use crate::instruction_selection::{Operation, Selected, roots};
use crate::lanes::SimdElement;
use crate::loops::{ComparisonVisitor, NumberComparison, Predicate};
use crate::math::Divisor;
use crate::ops::{BinaryCode, BinaryVisitor, UnaryCode, UnaryVisitor, visit_binary, visit_unary};
use crate::validity::condition_of_validity;

/// The code of a group.
#[derive(Debug, Clone)]
pub(crate) struct Translation {
    pub code: VecCode,
    /// The positions of the instructions whose values are the inputs of the code.
    pub inputs: Vec<usize>,
    /// The positions of the instructions whose values are the outputs of the code. If `has_rare_rows`, the code has one more,
    /// the mask of rows whose results are not defined.
    pub outputs: Vec<usize>,
    pub has_rare_rows: bool,
}

/// The class of masks that are inputs: that of most numbers.
fn mask_class(program: &Program, group: &Range<usize>) -> Class {
    let operands = group.clone().flat_map(|position| program.instructions()[position].operands());
    let is_wide = |value: Value| Class::of(program.scalar_type(value)) == Class::Wide;
    match operands.chain(group.clone().map(Value::at)).any(is_wide) {
        true => Class::Wide,
        false => Class::Narrow,
    }
}

/// The translation of a group, before its outputs are known.
pub(super) struct Translator<'a> {
    program: &'a Program,
    group: Range<usize>,
    recorder: Recorder,
    values: HashMap<usize, Id>,
    inputs: Vec<usize>,
    mask_class: Class,
    /// The number of ops before each instruction, and that of all.
    ops_before: Vec<usize>,
}

impl<'a> Translator<'a> {
    /// Translates the instructions of a group; `None` if one has no native code.
    pub fn of(program: &'a Program, selected: &[Option<Selected>], group: &Range<usize>) -> Option<Self> {
        let mut translator = Self {
            program,
            group: group.clone(),
            recorder: Recorder::default(),
            values: HashMap::new(),
            inputs: Vec::new(),
            mask_class: mask_class(program, group),
            ops_before: vec![0],
        };
        for position in group.clone() {
            if let Some(selected) = &selected[position] {
                let id = translator.translate(position, selected)?;
                translator.values.insert(position, id);
            }
            let ops = translator.recorder.code.ops.len();
            translator.ops_before.push(ops);
        }
        (!translator.recorder.failed).then_some(translator)
    }

    /// The number of ops.
    pub fn ops(&self) -> usize {
        self.recorder.code.ops.len()
    }

    /// The number of ops before each instruction of the group, and that of all.
    pub fn ops_before(&self) -> &[usize] {
        &self.ops_before
    }

    /// The code with its outputs; `None` if it would save neither a loop nor, by delivering an output of the program otherwise, the
    /// memory of a block.
    pub fn finish(self, selected: &[Option<Selected>]) -> Option<Translation> {
        let program = self.program;
        let is_delivered = |value: Value| {
            self.group.contains(&value.position())
                && Class::of(program.scalar_type(value)) != Class::Bool
                && program.predicate().is_none()
        };
        if selected[self.group.clone()].iter().flatten().count() < 2
            && !program.outputs().iter().any(|output| is_delivered(output.value))
        {
            return None;
        }
        let outputs = self.outputs(selected);
        let Self { mut recorder, values, inputs, .. } = self;
        for (output, position) in (0u32..).zip(&outputs) {
            let value = *values.get(position)?;
            recorder.code.stores.push(Store { value, output, delivery: Delivery::Plain });
        }
        let has_rare_rows = recorder.required.is_some();
        if let Some(value) = recorder.required {
            let delivery = Delivery::Inverted;
            recorder.code.stores.push(Store { value, output: outputs.len() as u32, delivery });
        }
        Some(Translation { code: recorder.code.without_dead_code(), inputs, outputs, has_rare_rows })
    }

    /// The positions of values of the group that are read elsewhere.
    fn outputs(&self, selected: &[Option<Selected>]) -> Vec<usize> {
        let (program, group) = (self.program, &self.group);
        let mut read = vec![false; selected.len()];
        for (position, selected) in selected.iter().enumerate() {
            if let Some(selected) = selected
                && !group.contains(&position)
            {
                selected.operands.iter().for_each(|operand| read[operand.position()] = true);
            }
            // The validity of a choice depends on the condition.
            if let Some(condition) = condition_of_validity(program, Value::at(position)) {
                read[condition.position()] = true;
            }
        }
        roots(program).for_each(|root| read[root.position()] = true);
        group.clone().filter(|&position| read[position] && selected[position].is_some()).collect()
    }

    fn push(&mut self, op: VecOp) -> Id {
        self.recorder.push(op)
    }

    fn class(&self, value: Value) -> Class {
        Class::of(self.program.scalar_type(value))
    }

    /// The value of an operand: of the group, a constant, or an input.
    fn operand(&mut self, value: Value) -> Id {
        let position = value.position();
        if let Some(id) = self.values.get(&position) {
            return *id;
        }
        let (class, mask_class) = (self.class(value), self.mask_class);
        let id = match (*self.program.definition(value), class) {
            (Instruction::Const(Scalar::Bool(constant)), _) => {
                self.push(VecOp::ConstantMask(mask_class, constant))
            }
            (Instruction::Const(constant), _) => self.recorder.constant_of(class, constant.bits()),
            (Instruction::Null(_), Class::Narrow | Class::Wide) => self.recorder.constant(class, 0),
            (Instruction::Null(_), Class::Bool) => self.push(VecOp::ConstantMask(mask_class, false)),
            (_, Class::Bool) => {
                let input = self.input(position);
                self.push(VecOp::LoadMask(mask_class, input))
            }
            (..) => {
                let input = self.input(position);
                self.push(VecOp::Load(class, input))
            }
        };
        self.values.insert(position, id);
        id
    }

    fn input(&mut self, position: usize) -> u32 {
        self.inputs.push(position);
        self.inputs.len() as u32 - 1
    }

    /// The value of an operation; `None` if it has no native code.
    fn translate(&mut self, position: usize, selected: &Selected) -> Option<Id> {
        let value = Value::at(position);
        let operands: Vec<_> = selected.operands.iter().map(|&operand| self.operand(operand)).collect();
        match (selected.operation, self.program.scalar_type(value), &operands[..]) {
            (Operation::Compare(comparison), _, &[x, y]) => self.compare(comparison, x, y),
            (Operation::SelectByComparison(comparison), _, &[x, y, yes, no]) => {
                let mask = self.compare(comparison, x, y)?;
                Some(self.recorder.select(self.class(value), mask, yes, no))
            }
            (Operation::Instruction, scalar_type, operands) => {
                self.instruction(position, scalar_type, operands)
            }
            (operation, ScalarType::F64, operands) => self.float::<f64>(operation, operands),
            (operation, ScalarType::F32, operands) => self.float::<f32>(operation, operands),
            _ => None,
        }
    }

    /// An operation of floats other than a single instruction.
    fn float<E: SimdElement>(&mut self, operation: Operation, operands: &[Id]) -> Option<Id> {
        match (operation, operands) {
            (Operation::DivideBy(divisor), &[x]) => {
                let divisor: Divisor<E> = divisor.convert();
                Some(record(&mut self.recorder, || divisor.divide(Recorded::<E>::new(x)).id))
            }
            (Operation::Pair { inner, outer, right }, &[x, y, z]) => {
                let inner = self.binary::<E>(inner, x, y)?;
                match right {
                    true => self.binary::<E>(outer, z, inner),
                    false => self.binary::<E>(outer, inner, z),
                }
            }
            (Operation::UnaryOfBinary { inner, outer }, &[x, y]) => {
                let inner = self.binary::<E>(inner, x, y)?;
                Some(self.unary::<E>(outer, inner))
            }
            _ => None,
        }
    }

    fn unary<E: SimdElement>(&mut self, op: Unary, x: Id) -> Id {
        record(&mut self.recorder, || visit_unary(op, RecordUnary::<E>(x, PhantomData)))
    }

    fn binary<E: SimdElement>(&mut self, op: Binary, x: Id, y: Id) -> Option<Id> {
        record(&mut self.recorder, || visit_binary(op, RecordBinary::<E>(x, y, PhantomData)))
    }

    fn compare(&mut self, comparison: NumberComparison, x: Id, y: Id) -> Option<Id> {
        record(&mut self.recorder, || comparison.visit(RecordComparison(x, y)))
    }

    /// The value of a single instruction.
    fn instruction(&mut self, position: usize, scalar_type: ScalarType, operands: &[Id]) -> Option<Id> {
        let class = Class::of(scalar_type);
        match (self.program.instructions()[position], operands) {
            (Instruction::Unary(op, _), &[x]) => match scalar_type {
                ScalarType::F64 => Some(self.unary::<f64>(op, x)),
                ScalarType::F32 => Some(self.unary::<f32>(op, x)),
                _ => integers::unary(&mut self.recorder, class, op, x),
            },
            (Instruction::Binary(op, ..), &[x, y]) => match scalar_type {
                ScalarType::F64 => self.binary::<f64>(op, x, y),
                ScalarType::F32 => self.binary::<f32>(op, x, y),
                _ => integers::binary(&mut self.recorder, class, op, x, y),
            },
            (Instruction::Cast(to, from), &[x]) => {
                integers::cast(&mut self.recorder, self.program.scalar_type(from), to, x)
            }
            (Instruction::IsNan(_), &[x]) => {
                let class = self.recorder.code.op(x).class();
                Some(self.push(VecOp::Test(Test::Unordered, class, x, x)))
            }
            (Instruction::InTable(table, _), &[x]) => {
                let class = self.recorder.code.op(x).class();
                let mut found = self.push(VecOp::ConstantMask(class, false));
                for (index, &bits) in self.program.tables()[table as usize].bits().iter().enumerate() {
                    let constant = self.recorder.constant_of(class, bits);
                    let is_equal = self.push(VecOp::Test(Test::SameBits, class, x, constant));
                    found = match index {
                        0 => is_equal,
                        _ => self.recorder.logic(Logic::Or, found, is_equal),
                    };
                }
                Some(found)
            }
            (Instruction::Not(_), &[x]) => {
                let class = self.recorder.code.op(x).class();
                Some(self.push(VecOp::Not(class, x)))
            }
            (Instruction::And(..), &[x, y]) => Some(self.recorder.logic(Logic::And, x, y)),
            (Instruction::Or(..), &[x, y]) => Some(self.recorder.logic(Logic::Or, x, y)),
            (Instruction::Select(..), &[condition, yes, no]) if class == Class::Bool => {
                let yes = self.recorder.logic(Logic::And, condition, yes);
                let no = self.recorder.logic(Logic::AndNot, condition, no);
                Some(self.recorder.logic(Logic::Or, yes, no))
            }
            (Instruction::Select(..), &[condition, yes, no]) => {
                Some(self.recorder.select(class, condition, yes, no))
            }
            _ => None,
        }
    }
}

struct RecordUnary<E>(Id, PhantomData<E>);

impl<E: SimdElement> UnaryVisitor for RecordUnary<E> {
    type Output = Id;

    fn visit<C: UnaryCode>(self) -> Id {
        C::apply(Recorded::<E>::new(self.0)).id
    }
}

struct RecordBinary<E>(Id, Id, PhantomData<E>);

impl<E: SimdElement> BinaryVisitor for RecordBinary<E> {
    type Output = Id;

    fn visit<C: BinaryCode>(self) -> Id {
        C::apply(Recorded::<E>::new(self.0), Recorded::new(self.1)).id
    }
}

struct RecordComparison(Id, Id);

impl ComparisonVisitor for RecordComparison {
    type Output = Id;

    fn visit<E: SimdElement, P: Predicate>(self) -> Id {
        P::holds(Recorded::<E>::new(self.0), Recorded::new(self.1))
    }
}
