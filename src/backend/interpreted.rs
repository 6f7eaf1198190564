//! The backend without compilation: walks a program for every row and looks at the type of every value, as
//! the interpreter of a dynamically typed language does. The slow end of the comparison, and an
//! implementation independent of the vector code to check it against.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{Result, exec_err};

use super::Backend;
use crate::program::ops::{Binary, Unary};
use crate::program::{Fault, Instruction, Precision, Program, Value};

/// One row at a time, types looked up anew for every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interpreted;

impl Backend for Interpreted {
    fn description(&self) -> String {
        "interpreted".to_owned()
    }

    fn evaluate(&self, program: &Program, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        program.check(arguments, rows)?;
        let numbers = program.precision().data_type();
        let columns = arguments.iter().map(|array| match array.data_type() {
            DataType::Boolean => Ok(ArrayRef::clone(array)),
            _ => cast(array, &numbers),
        });
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let mut walk = Walk::new(program, &columns);
        let results = (0..rows).map(|row| walk.row(row));
        Ok(match program.data_type() {
            DataType::Float64 => Arc::new(
                results.map(|result| result?.double()).collect::<Result<PrimitiveArray<Float64Type>>>()?,
            ),
            DataType::Float32 => Arc::new(
                results.map(|result| result?.single()).collect::<Result<PrimitiveArray<Float32Type>>>()?,
            ),
            _ => Arc::new(results.map(|result| result?.truth()).collect::<Result<BooleanArray>>()?),
        })
    }
}

/// A value as a language without types has it: only looking at it tells what it is.
#[derive(Debug, Clone, Copy)]
enum Dynamic {
    Null,
    Boolean(bool),
    Double(f64),
    Single(f32),
}

impl Dynamic {
    fn double(self) -> Result<Option<f64>> {
        match self {
            Self::Null => Ok(None),
            Self::Double(number) => Ok(Some(number)),
            other => exec_err!("{other:?} is no number of double precision"),
        }
    }

    fn single(self) -> Result<Option<f32>> {
        match self {
            Self::Null => Ok(None),
            Self::Single(number) => Ok(Some(number)),
            other => exec_err!("{other:?} is no number of single precision"),
        }
    }

    fn number(self) -> Result<Option<f64>> {
        match self {
            Self::Single(number) => Ok(Some(number.into())),
            other => other.double(),
        }
    }

    fn truth(self) -> Result<Option<bool>> {
        match self {
            Self::Null => Ok(None),
            Self::Boolean(value) => Ok(Some(value)),
            other => exec_err!("{other:?} is no truth value"),
        }
    }
}

impl From<Option<bool>> for Dynamic {
    fn from(value: Option<bool>) -> Self {
        value.map_or(Self::Null, Self::Boolean)
    }
}

/// A program at a row.
struct Walk<'a> {
    program: &'a Program,
    /// Truth values, and numbers of the program's precision.
    columns: &'a [ArrayRef],
    row: usize,
    /// The values of the row that are read more than once, where they are known already.
    values: Vec<Option<Dynamic>>,
    /// Which values those are.
    shared: Vec<bool>,
    /// What can be an error.
    forbidden: Vec<(Fault, [Value; 2], Option<Value>)>,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program, columns: &'a [ArrayRef]) -> Self {
        let mut uses = vec![0; program.instructions().len()];
        let mut forbidden = Vec::new();
        for instruction in program.instructions() {
            instruction.arguments().for_each(|argument| uses[argument.position()] += 1);
            if let Instruction::Forbid(fault, arguments, guard) = *instruction {
                forbidden.push((fault, arguments, guard));
            }
        }
        let shared = uses.iter().map(|&uses| uses > 1).collect();
        Self { program, columns, row: 0, values: vec![None; uses.len()], shared, forbidden }
    }

    fn row(&mut self, row: usize) -> Result<Dynamic> {
        self.row = row;
        self.values.fill(None);
        for position in 0..self.forbidden.len() {
            let (fault, arguments, guard) = self.forbidden[position];
            self.forbid(fault, arguments, guard)?;
        }
        self.value(self.program.output())
    }

    fn forbid(&mut self, fault: Fault, [x, y]: [Value; 2], guard: Option<Value>) -> Result<()> {
        if let Some(guard) = guard
            && self.value(guard)?.truth()? != Some(true)
        {
            return Ok(());
        }
        let (Some(x), Some(y)) = (self.value(x)?.number()?, self.value(y)?.number()?) else { return Ok(()) };
        let happens = match fault {
            Fault::SqrtOfNegative => x < 0.0,
            Fault::ZeroToNegativePower => x == 0.0 && y < 0.0,
        };
        if happens { Err(fault.error()) } else { Ok(()) }
    }

    fn value(&mut self, value: Value) -> Result<Dynamic> {
        if let Some(known) = self.values[value.position()] {
            return Ok(known);
        }
        let result = self.calculate(&self.program.instructions()[value.position()])?;
        if self.shared[value.position()] {
            self.values[value.position()] = Some(result);
        }
        Ok(result)
    }

    fn calculate(&mut self, instruction: &Instruction) -> Result<Dynamic> {
        Ok(match *instruction {
            Instruction::Input(position) => element(&self.columns[position], self.row)?,
            Instruction::Number(bits) => match self.program.precision() {
                Precision::Double => Dynamic::Double(f64::from_bits(bits)),
                Precision::Single => Dynamic::Single(f64::from_bits(bits) as f32),
            },
            Instruction::Boolean(value) => Dynamic::Boolean(value),
            Instruction::Null(_) => Dynamic::Null,
            Instruction::Unary(op, x) => unary(op, self.value(x)?)?,
            Instruction::Binary(op, x, y) => binary(op, self.value(x)?, self.value(y)?)?,
            Instruction::Less(x, y) => compare(self.value(x)?, self.value(y)?, Ordering::is_lt)?,
            Instruction::Same(x, y) => compare(self.value(x)?, self.value(y)?, Ordering::is_eq)?,
            Instruction::IsNan(x) => self.value(x)?.number()?.map(f64::is_nan).into(),
            Instruction::IsNull(x) => Dynamic::Boolean(matches!(self.value(x)?, Dynamic::Null)),
            Instruction::Not(x) => self.value(x)?.truth()?.map(|x| !x).into(),
            Instruction::And(x, y) => match (self.value(x)?.truth()?, self.value(y)?.truth()?) {
                (Some(false), _) | (_, Some(false)) => Dynamic::Boolean(false),
                (x, y) => x.and(y).into(),
            },
            Instruction::Or(x, y) => match (self.value(x)?.truth()?, self.value(y)?.truth()?) {
                (Some(true), _) | (_, Some(true)) => Dynamic::Boolean(true),
                (x, y) => x.and(y).into(),
            },
            Instruction::Select(condition, yes, no) => match self.value(condition)?.truth()? {
                Some(true) => self.value(yes)?,
                _ => self.value(no)?,
            },
            Instruction::Forbid(..) => return exec_err!("a program reads a value that is none"),
        })
    }
}

fn element(column: &ArrayRef, row: usize) -> Result<Dynamic> {
    if column.is_null(row) {
        return Ok(Dynamic::Null);
    }
    Ok(match column.data_type() {
        DataType::Boolean => Dynamic::Boolean(column.as_boolean().value(row)),
        DataType::Float64 => Dynamic::Double(column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => Dynamic::Single(column.as_primitive::<Float32Type>().value(row)),
        other => return exec_err!("programs have no columns of {other}"),
    })
}

fn unary(op: Unary, x: Dynamic) -> Result<Dynamic> {
    match x {
        Dynamic::Null => Ok(Dynamic::Null),
        Dynamic::Double(x) => Ok(Dynamic::Double(op.f64(x))),
        Dynamic::Single(x) => Ok(Dynamic::Single(op.f32(x))),
        Dynamic::Boolean(_) => exec_err!("{} does not work on {x:?}", op.entry().name),
    }
}

fn binary(op: Binary, x: Dynamic, y: Dynamic) -> Result<Dynamic> {
    match (x, y) {
        (Dynamic::Null, _) | (_, Dynamic::Null) => Ok(Dynamic::Null),
        (Dynamic::Double(x), Dynamic::Double(y)) => Ok(Dynamic::Double(op.f64(x, y))),
        (Dynamic::Single(x), Dynamic::Single(y)) => Ok(Dynamic::Single(op.f32(x, y))),
        (x, y) => exec_err!("{} does not work on {x:?} and {y:?}", op.entry().name),
    }
}

fn compare(x: Dynamic, y: Dynamic, holds: fn(Ordering) -> bool) -> Result<Dynamic> {
    match (x, y) {
        (Dynamic::Null, _) | (_, Dynamic::Null) => Ok(Dynamic::Null),
        (Dynamic::Double(x), Dynamic::Double(y)) => Ok(Dynamic::Boolean(holds(x.total_cmp(&y)))),
        (Dynamic::Single(x), Dynamic::Single(y)) => Ok(Dynamic::Boolean(holds(x.total_cmp(&y)))),
        (x, y) => exec_err!("cannot compare {x:?} with {y:?}"),
    }
}
