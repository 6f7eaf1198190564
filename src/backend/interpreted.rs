//! The backend without compilation: walks a program for every row and looks at the type of every value, as
//! the interpreter of a dynamically typed language does. The slow end of the comparison, and an
//! implementation independent of the vector code to check it against.

use arrow::array::{ArrayRef, new_empty_array};
use datafusion::common::{Result, ScalarValue, exec_err};

use super::Backend;
use crate::program::ops::{Binary, Unary};
use crate::program::{Fault, Instruction, Kind, Precision, Program, Value};

/// One row at a time, types looked up anew for every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interpreted;

impl Backend for Interpreted {
    fn description(&self) -> String {
        "interpreted".to_owned()
    }

    fn evaluate(&self, program: &Program, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        program.check(arguments, rows)?;
        if rows == 0 {
            return Ok(new_empty_array(&program.data_type()));
        }
        let mut walk = Walk::new(program, arguments);
        ScalarValue::iter_to_array((0..rows).map(|row| walk.row(row)).collect::<Result<Vec<_>>>()?)
    }
}

/// A program at a row.
struct Walk<'a> {
    program: &'a Program,
    arguments: &'a [ArrayRef],
    row: usize,
    /// The values of the row that are read more than once, where they are known already.
    values: Vec<Option<ScalarValue>>,
    /// Which values those are.
    shared: Vec<usize>,
    /// What can be an error.
    forbidden: Vec<(Fault, [Value; 2], Option<Value>)>,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program, arguments: &'a [ArrayRef]) -> Self {
        let mut uses = vec![0; program.instructions().len()];
        let mut forbidden = Vec::new();
        for instruction in program.instructions() {
            instruction.arguments().for_each(|argument| uses[argument.position()] += 1);
            if let Instruction::Forbid(fault, arguments, guard) = *instruction {
                forbidden.push((fault, arguments, guard));
            }
        }
        let shared = (0..uses.len()).filter(|&position| uses[position] > 1).collect();
        Self { program, arguments, row: 0, values: vec![None; uses.len()], shared, forbidden }
    }

    fn row(&mut self, row: usize) -> Result<ScalarValue> {
        self.row = row;
        self.shared.iter().for_each(|&position| self.values[position] = None);
        for position in 0..self.forbidden.len() {
            let (fault, arguments, guard) = self.forbidden[position];
            self.forbid(fault, arguments, guard)?;
        }
        self.value(self.program.output())
    }

    fn forbid(&mut self, fault: Fault, [x, y]: [Value; 2], guard: Option<Value>) -> Result<()> {
        if let Some(guard) = guard
            && self.truth(guard)? != Some(true)
        {
            return Ok(());
        }
        let (Some(x), Some(y)) = (self.number(x)?, self.number(y)?) else { return Ok(()) };
        let happens = match fault {
            Fault::SqrtOfNegative => x < 0.0,
            Fault::ZeroToNegativePower => x == 0.0 && y < 0.0,
        };
        if happens { Err(fault.error()) } else { Ok(()) }
    }

    fn value(&mut self, value: Value) -> Result<ScalarValue> {
        if let Some(known) = &self.values[value.position()] {
            return Ok(known.clone());
        }
        let result = self.calculate(&self.program.instructions()[value.position()])?;
        if self.shared.contains(&value.position()) {
            self.values[value.position()] = Some(result.clone());
        }
        Ok(result)
    }

    fn calculate(&mut self, instruction: &Instruction) -> Result<ScalarValue> {
        let number_type = self.program.precision().data_type();
        Ok(match *instruction {
            Instruction::Input(position) => {
                let value = ScalarValue::try_from_array(&self.arguments[position], self.row)?;
                match value {
                    ScalarValue::Boolean(_) => value,
                    number if number.data_type() == number_type => number,
                    number => number.cast_to(&number_type)?,
                }
            }
            Instruction::Number(bits) => match self.program.precision() {
                Precision::Double => ScalarValue::Float64(Some(f64::from_bits(bits))),
                Precision::Single => ScalarValue::Float32(Some(f64::from_bits(bits) as f32)),
            },
            Instruction::Boolean(value) => ScalarValue::Boolean(Some(value)),
            Instruction::Null(Kind::Number) => ScalarValue::try_new_null(&number_type)?,
            Instruction::Null(Kind::Boolean) => ScalarValue::Boolean(None),
            Instruction::Unary(op, x) => unary(op, self.value(x)?)?,
            Instruction::Binary(op, x, y) => binary(op, self.value(x)?, self.value(y)?)?,
            Instruction::Less(x, y) => compare(self.value(x)?, self.value(y)?, |order| order.is_lt())?,
            Instruction::Same(x, y) => compare(self.value(x)?, self.value(y)?, |order| order.is_eq())?,
            Instruction::IsNan(x) => ScalarValue::Boolean(self.number(x)?.map(f64::is_nan)),
            Instruction::IsNull(x) => ScalarValue::Boolean(Some(self.value(x)?.is_null())),
            Instruction::Not(x) => ScalarValue::Boolean(self.truth(x)?.map(|x| !x)),
            Instruction::And(x, y) => ScalarValue::Boolean(match (self.truth(x)?, self.truth(y)?) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (x, y) => x.and(y),
            }),
            Instruction::Or(x, y) => ScalarValue::Boolean(match (self.truth(x)?, self.truth(y)?) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (x, y) => x.and(y),
            }),
            Instruction::Select(condition, yes, no) => match self.truth(condition)? {
                Some(true) => self.value(yes)?,
                _ => self.value(no)?,
            },
            Instruction::Forbid(..) => return exec_err!("a program reads a value that is none"),
        })
    }

    fn truth(&mut self, value: Value) -> Result<Option<bool>> {
        match self.value(value)? {
            ScalarValue::Boolean(value) => Ok(value),
            other => exec_err!("{} is no truth value", other.data_type()),
        }
    }

    fn number(&mut self, value: Value) -> Result<Option<f64>> {
        match self.value(value)? {
            ScalarValue::Float64(number) => Ok(number),
            ScalarValue::Float32(number) => Ok(number.map(f64::from)),
            other => exec_err!("{} is no number", other.data_type()),
        }
    }
}

fn unary(op: Unary, x: ScalarValue) -> Result<ScalarValue> {
    match x {
        ScalarValue::Float64(x) => Ok(ScalarValue::Float64(x.map(|x| op.f64(x)))),
        ScalarValue::Float32(x) => Ok(ScalarValue::Float32(x.map(|x| op.f32(x)))),
        other => exec_err!("{} does not work on {}", op.entry().name, other.data_type()),
    }
}

fn binary(op: Binary, x: ScalarValue, y: ScalarValue) -> Result<ScalarValue> {
    match (x, y) {
        (ScalarValue::Float64(x), ScalarValue::Float64(y)) => {
            Ok(ScalarValue::Float64(x.zip(y).map(|(x, y)| op.f64(x, y))))
        }
        (ScalarValue::Float32(x), ScalarValue::Float32(y)) => {
            Ok(ScalarValue::Float32(x.zip(y).map(|(x, y)| op.f32(x, y))))
        }
        (x, y) => exec_err!("{} does not work on {} and {}", op.entry().name, x.data_type(), y.data_type()),
    }
}

fn compare(x: ScalarValue, y: ScalarValue, holds: fn(std::cmp::Ordering) -> bool) -> Result<ScalarValue> {
    match (x, y) {
        (ScalarValue::Float64(x), ScalarValue::Float64(y)) => {
            Ok(ScalarValue::Boolean(x.zip(y).map(|(x, y)| holds(x.total_cmp(&y)))))
        }
        (ScalarValue::Float32(x), ScalarValue::Float32(y)) => {
            Ok(ScalarValue::Boolean(x.zip(y).map(|(x, y)| holds(x.total_cmp(&y)))))
        }
        (x, y) => exec_err!("cannot compare {} with {}", x.data_type(), y.data_type()),
    }
}
