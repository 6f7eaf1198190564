//! Translation of a group of instructions to VecIR.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Range;

use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::{Scalar, ScalarType};

use super::recorder::{Recorded, Recorder, record};
use super::vec_ir::{Arithmetic, Conversion, Id, Logic, Store, Test, VecCode, VecOp};
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

    /// The code with its outputs; `None` if it would not save a loop.
    pub fn finish(self, selected: &[Option<Selected>]) -> Option<Translation> {
        if selected[self.group.clone()].iter().flatten().count() < 2 {
            return None;
        }
        let outputs = self.outputs(selected);
        let Self { mut recorder, values, inputs, .. } = self;
        for (output, position) in (0u32..).zip(&outputs) {
            let value = *values.get(position)?;
            recorder.code.stores.push(Store { value, output, inverted: false });
        }
        let has_rare_rows = recorder.required.is_some();
        if let Some(value) = recorder.required {
            recorder.code.stores.push(Store { value, output: outputs.len() as u32, inverted: true });
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
            (Instruction::Const(constant), _) => self.constant(class, constant.bits()),
            (Instruction::Null(_), Class::Narrow | Class::Wide) => self.constant(class, 0),
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

    /// A constant by its bits.
    fn constant(&mut self, class: Class, bits: i64) -> Id {
        let bits = match class {
            Class::Wide => bits.cast_unsigned(),
            _ => u64::from(bits as u32),
        };
        self.push(VecOp::Constant(class, bits))
    }

    /// The value of an operation; `None` if it has no native code.
    fn translate(&mut self, position: usize, selected: &Selected) -> Option<Id> {
        let value = Value::at(position);
        let operands: Vec<_> = selected.operands.iter().map(|&operand| self.operand(operand)).collect();
        match (selected.operation, self.program.scalar_type(value), &operands[..]) {
            (Operation::Compare(comparison), _, &[x, y]) => self.compare(comparison, x, y),
            (Operation::SelectByComparison(comparison), _, &[x, y, yes, no]) => {
                let mask = self.compare(comparison, x, y)?;
                Some(self.select(self.class(value), mask, yes, no))
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

    fn select(&mut self, class: Class, mask: Id, yes: Id, no: Id) -> Id {
        let mask = self.recorder.mask_of(class, mask);
        self.push(VecOp::Select(class, mask, yes, no))
    }

    /// The value of a single instruction.
    fn instruction(&mut self, position: usize, scalar_type: ScalarType, operands: &[Id]) -> Option<Id> {
        let class = Class::of(scalar_type);
        match (self.program.instructions()[position], operands) {
            (Instruction::Unary(op, _), &[x]) => match scalar_type {
                ScalarType::F64 => Some(self.unary::<f64>(op, x)),
                ScalarType::F32 => Some(self.unary::<f32>(op, x)),
                _ => self.integer_unary(class, op, x),
            },
            (Instruction::Binary(op, ..), &[x, y]) => match scalar_type {
                ScalarType::F64 => self.binary::<f64>(op, x, y),
                ScalarType::F32 => self.binary::<f32>(op, x, y),
                _ => {
                    let op = match op {
                        Binary::Add => Arithmetic::AddIntegers,
                        Binary::Subtract => Arithmetic::SubtractIntegers,
                        Binary::BitAnd => Arithmetic::And,
                        Binary::BitOr => Arithmetic::Or,
                        Binary::BitXor => Arithmetic::Xor,
                        _ => return None,
                    };
                    Some(self.push(VecOp::Arithmetic(op, class, x, y)))
                }
            },
            (Instruction::Cast(to, from), &[x]) => self.cast(self.program.scalar_type(from), to, x),
            (Instruction::IsNan(_), &[x]) => {
                let class = self.recorder.code.op(x).class();
                Some(self.push(VecOp::Test(Test::Unordered, class, x, x)))
            }
            (Instruction::InTable(table, _), &[x]) => {
                let class = self.recorder.code.op(x).class();
                let mut found = self.push(VecOp::ConstantMask(class, false));
                for (index, &bits) in self.program.tables()[table as usize].bits().iter().enumerate() {
                    let constant = self.constant(class, bits);
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
            (Instruction::Select(..), &[condition, yes, no]) => Some(self.select(class, condition, yes, no)),
            _ => None,
        }
    }

    fn integer_unary(&mut self, class: Class, op: Unary, x: Id) -> Option<Id> {
        match op {
            Unary::Negate => {
                let zero = self.constant(class, 0);
                Some(self.push(VecOp::Arithmetic(Arithmetic::SubtractIntegers, class, zero, x)))
            }
            Unary::Abs => {
                let sign = self.push(VecOp::SpreadSign(class, x));
                let inverted = self.push(VecOp::Arithmetic(Arithmetic::Xor, class, x, sign));
                Some(self.push(VecOp::Arithmetic(Arithmetic::SubtractIntegers, class, inverted, sign)))
            }
            _ => None,
        }
    }

    fn cast(&mut self, from: ScalarType, to: ScalarType, x: Id) -> Option<Id> {
        use ScalarType::{Bool, F32, F64, I32, I64};
        let conversion = match (from, to) {
            (F32, F64) => Conversion::F32ToF64,
            (F64, F32) => Conversion::F64ToF32,
            (I32, F64) => Conversion::I32ToF64,
            (I32, F32) => Conversion::I32ToF32,
            (I32, I64) => Conversion::I32ToI64,
            (I64, I32) => Conversion::I64ToI32,
            (I64, F64) => return Some(self.i64_to_f64(x)),
            (Bool, F32 | F64 | I32 | I64) => {
                let class = Class::of(to);
                let one = self.constant(class, Scalar::Bool(true).cast(to).bits());
                let zero = self.constant(class, 0);
                return Some(self.select(class, x, one, zero));
            }
            (F32 | F64 | I32 | I64, Bool) => {
                let class = Class::of(from);
                let zero = self.constant(class, 0);
                let test = if from.is_float() { Test::Equal } else { Test::SameBits };
                let is_zero = self.push(VecOp::Test(test, class, x, zero));
                return Some(self.push(VecOp::Not(class, is_zero)));
            }
            _ => return None,
        };
        Some(self.push(VecOp::Convert(conversion, x)))
    }

    /// The upper and the lower half of an integer become the low mantissa bits of 2^84 and 2^52; the offsets cancel, and the last
    /// sum rounds once.
    fn i64_to_f64(&mut self, x: Id) -> Id {
        const TWO_TO_84: u64 = (1023 + 84) << 52;
        const TWO_TO_52: u64 = (1023 + 52) << 52;
        let offset =
            f64::from_bits(TWO_TO_84) + f64::from_bits((1023 + 63) << 52) + f64::from_bits(TWO_TO_52);
        let constant = |this: &mut Self, bits: u64| this.push(VecOp::Constant(Class::Wide, bits));
        let arithmetic = |this: &mut Self, op, x, y| this.push(VecOp::Arithmetic(op, Class::Wide, x, y));
        let upper = self.push(VecOp::ShiftRight(Class::Wide, x, 32));
        // The highest bit is inverted: it counts -2^63.
        let upper_offset = constant(self, TWO_TO_84 ^ 1 << 31);
        let upper = arithmetic(self, Arithmetic::Xor, upper, upper_offset);
        let lower_mask = constant(self, u32::MAX.into());
        let lower = arithmetic(self, Arithmetic::And, x, lower_mask);
        let lower_offset = constant(self, TWO_TO_52);
        let lower = arithmetic(self, Arithmetic::Or, lower, lower_offset);
        let offset = constant(self, offset.to_bits());
        let upper = arithmetic(self, Arithmetic::Subtract, upper, offset);
        arithmetic(self, Arithmetic::Add, upper, lower)
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
