//! Random programs over all types, built from bytes: each byte decides something, so that shorter and smaller bytes give
//! simpler programs.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, TimeUnit};
use warpframe::ir::{
    Binary, Builder, Comparison, Error, ErrorInterval, Evaluated, Input, IntegerType, Output, Program,
    Scalar, ScalarType, Trap, Unary, Value,
};

/// A program with arrays for its inputs.
#[derive(Debug)]
pub struct Case {
    pub program: Arc<Program>,
    pub inputs: Vec<ArrayRef>,
    pub rows: usize,
}

/// Decisions made by bytes; 0 after the last one.
pub struct Decisions<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Decisions<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % count.max(1)
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn seed(&mut self) -> u64 {
        (0..8).fold(0, |seed, _| seed << 8 | self.below(256) as u64)
    }
}

/// The types of inputs.
pub fn input_types() -> Vec<DataType> {
    use DataType::*;
    let zone = Some("Europe/Berlin".into());
    vec![
        Float64,
        Int64,
        Int32,
        Float32,
        Boolean,
        Int8,
        Int16,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Date32,
        Timestamp(TimeUnit::Microsecond, zone),
        Time32(TimeUnit::Second),
        Duration(TimeUnit::Nanosecond),
    ]
}

/// The Arrow types of outputs with values of a type.
fn output_types(scalar_type: ScalarType) -> Vec<DataType> {
    let all = input_types().into_iter().filter(|one| *one != DataType::UInt64);
    all.filter(|one| ScalarType::of(one) == Some(scalar_type)).collect()
}

/// A program and inputs. Traps are rare, because they hide all other results.
pub fn case(bytes: &[u8]) -> Case {
    let decisions = &mut Decisions::new(bytes);
    let mut builder = Builder::new();
    let rows = [1, 3, 64, 65, 197, 2100][decisions.below(6)];
    let mut inputs = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    // Kernels have other code for arrays without nulls of nullable inputs.
    let has_nulls = decisions.below(3) > 0;
    for _ in 0..1 + decisions.below(4) {
        let data_type = decisions.one_of(&input_types());
        let nullable = decisions.below(2) == 1;
        inputs.push(array(&data_type, rows, nullable && has_nulls, decisions.seed()));
        values.push(builder.add_input(Input { data_type, nullable }));
    }
    for _ in 0..2 + decisions.below(30) {
        let value = step(&mut builder, &values, decisions);
        values.extend(value);
    }
    let outputs = (0..1 + decisions.below(3)).map(|_| {
        // Later values have more instructions.
        let value = values[values.len() - 1 - decisions.below(values.len().min(8))];
        let data_type = decisions.one_of(&output_types(builder.scalar_type(value)));
        Output { value, data_type }
    });
    let outputs = outputs.collect();
    let predicate =
        of_type(&builder, &values, ScalarType::Bool, decisions).filter(|_| decisions.below(3) == 2);
    Case { program: Arc::new(builder.finish(outputs, predicate).unwrap()), inputs, rows }
}

/// A value of a type, if there is one.
fn of_type(
    builder: &Builder,
    values: &[Value],
    scalar_type: ScalarType,
    decisions: &mut Decisions,
) -> Option<Value> {
    let found: Vec<_> = values.iter().filter(|value| builder.scalar_type(**value) == scalar_type).collect();
    (!found.is_empty()).then(|| *decisions.one_of(&found))
}

/// Adds an instruction. `None` for a trap, and if there is no operand of the type that it needs.
fn step(builder: &mut Builder, values: &[Value], decisions: &mut Decisions) -> Option<Value> {
    let any = decisions.one_of(values);
    let scalar_type = builder.scalar_type(any);
    let other = of_type(builder, values, scalar_type, decisions)?;
    let unary: Vec<_> = Unary::ALL.iter().filter(|op| op.is_defined_for(scalar_type)).copied().collect();
    let binary: Vec<_> = Binary::ALL.iter().filter(|op| op.is_defined_for(scalar_type)).copied().collect();
    let comparisons: Vec<_> =
        Comparison::ALL.into_iter().filter(|one| one.is_defined_for(scalar_type)).collect();
    Some(match decisions.below(18) {
        0..=3 if !binary.is_empty() => {
            let op = decisions.one_of(&binary);
            builder.binary(op, any, other)
        }
        4 | 5 if !unary.is_empty() => {
            let op = decisions.one_of(&unary);
            builder.unary(op, any)
        }
        6 | 7 => {
            let comparison = decisions.one_of(&comparisons);
            builder.compare(comparison, any, other)
        }
        8 | 9 => {
            let to = decisions.one_of(&ScalarType::ALL);
            builder.cast(to, any)
        }
        10 => {
            let (mut random, count) = (Random(decisions.seed()), 1 + decisions.below(20));
            let constants: Vec<_> = (0..count).map(|_| random.scalar(scalar_type)).collect();
            builder.in_table(any, &constants)
        }
        11 => {
            let constant = Random(decisions.seed()).scalar(decisions.one_of(&ScalarType::ALL));
            builder.constant(constant)
        }
        12 => match decisions.below(4) {
            0 => builder.null(scalar_type),
            1 if scalar_type.is_float() => builder.is_nan(any),
            _ => builder.is_null(any),
        },
        13 if scalar_type == ScalarType::Bool => builder.not(any),
        14 if scalar_type == ScalarType::Bool => builder.and(any, other),
        15 if scalar_type == ScalarType::Bool => builder.or(any, other),
        16 if decisions.below(8) == 7 => {
            let condition = of_type(builder, values, ScalarType::Bool, decisions)?;
            let trap = decisions.one_of(&[
                Trap::SqrtOfNegative,
                Trap::DivideByZero,
                Trap::SubtractOverflow,
                Trap::CastOverflow(IntegerType::UInt16),
            ]);
            builder.trap_if(trap, condition, &[any, other]);
            return None;
        }
        _ => {
            let condition = of_type(builder, values, ScalarType::Bool, decisions)?;
            builder.select(condition, any, other)
        }
    })
}

/// A generator of values with many special ones (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    /// A small, a special or any integer.
    fn integer(&mut self) -> i64 {
        match self.below(6) {
            0..=2 => self.below(20) as i64 - 10,
            3 => {
                let special =
                    [i64::MIN, i64::MAX, i32::MIN.into(), i32::MAX.into(), i16::MIN.into(), 255, 1 << 53];
                special[self.below(special.len() as u64) as usize]
            }
            4 => (self.next() as i32).into(),
            _ => self.next() as i64,
        }
    }

    /// A small, a special or any float.
    fn float(&mut self) -> f64 {
        match self.below(6) {
            0 | 1 => self.below(20) as f64 - 10.0,
            2 | 3 => (self.next() as f64 / u64::MAX as f64 - 0.5) * 100.0,
            4 => {
                let special = [
                    0.0,
                    -0.0,
                    f64::NAN,
                    f64::INFINITY,
                    f64::NEG_INFINITY,
                    f64::MIN_POSITIVE / 8.0,
                    f64::MAX,
                    2147483647.5,
                    -2147483649.0,
                    9.3e18,
                ];
                special[self.below(special.len() as u64) as usize]
            }
            _ => f64::from_bits(self.next()),
        }
    }

    /// A scalar of a type.
    pub fn scalar(&mut self, scalar_type: ScalarType) -> Scalar {
        match scalar_type {
            ScalarType::F32 | ScalarType::F64 => Scalar::of_float(scalar_type, self.float()),
            _ => Scalar::of_integer(scalar_type, self.integer()),
        }
    }
}

/// An array of random values, a tenth of them null.
pub fn array(data_type: &DataType, rows: usize, nullable: bool, seed: u64) -> ArrayRef {
    let mut random = Random(seed);
    macro_rules! primitive {
        ($array:ty, $value:expr) => {{
            let values = (0..rows).map(|_| {
                let value = $value(&mut random);
                (!nullable || random.below(10) > 0).then_some(value)
            });
            Arc::new(values.collect::<$array>()) as ArrayRef
        }};
    }
    macro_rules! integers {
        ($array:ty, $native:ty) => {
            primitive!($array, |random: &mut Random| random.integer() as $native)
        };
    }
    match data_type {
        DataType::Boolean => primitive!(BooleanArray, |random: &mut Random| random.below(2) == 1),
        DataType::Float64 => primitive!(Float64Array, |random: &mut Random| random.float()),
        DataType::Float32 => primitive!(Float32Array, |random: &mut Random| random.float() as f32),
        DataType::Int8 => integers!(Int8Array, i8),
        DataType::Int16 => integers!(Int16Array, i16),
        DataType::Int32 => integers!(Int32Array, i32),
        DataType::Int64 => integers!(Int64Array, i64),
        DataType::UInt8 => integers!(UInt8Array, u8),
        DataType::UInt16 => integers!(UInt16Array, u16),
        DataType::UInt32 => integers!(UInt32Array, u32),
        DataType::UInt64 => integers!(UInt64Array, u64),
        other => {
            let integers = match ScalarType::of(other) {
                Some(ScalarType::I32) => integers!(Int32Array, i32),
                _ => integers!(Int64Array, i64),
            };
            make_array(integers.to_data().into_builder().data_type(other.clone()).build().unwrap())
        }
    }
}

/// How many results [`check`] has compared, and how many it could not, because they depend on rounding errors.
#[derive(Debug, Default, Clone, Copy)]
pub struct Checked {
    pub known: usize,
    pub unknown: usize,
    pub traps: usize,
}

/// Checks a result against the error intervals of a case's rows, or an error against the trap of the interpreter. Panics where
/// they differ.
pub fn check(case: &Case, result: Result<Evaluated, Error>, text: &str) -> Checked {
    let Case { program, inputs, rows } = case;
    let mut checked = Checked::default();
    let intervals: Option<Vec<_>> =
        (0..*rows).map(|row| ErrorInterval::of_values(program, inputs, row)).collect();
    // Rounding errors decide whether a row traps.
    let Some(intervals) = intervals else {
        return Checked { unknown: 1, ..checked };
    };
    let expected = warpframe::ir::Interpreter::evaluate(program, inputs, *rows);
    let evaluated = match (result, expected) {
        (Err(Error::Trap(found)), Err(Error::Trap(expected))) => {
            assert_eq!(found, expected, "{text}");
            return Checked { traps: 1, ..checked };
        }
        (Ok(evaluated), Ok(_)) => evaluated,
        (found, expected) => panic!("{text}: {found:?}, in the interpreter {expected:?}: {program:?}"),
    };
    let selected: Option<Vec<usize>> = match program.predicate() {
        None => Some((0..*rows).collect()),
        Some(predicate) => {
            let truth = |row: usize| match intervals[row][predicate.position()] {
                ErrorInterval::Bool(value) => Some(value),
                ErrorInterval::Null => Some(false),
                _ => None,
            };
            let known: Option<Vec<bool>> = (0..*rows).map(truth).collect();
            known.map(|known| (0..*rows).filter(|row| known[*row]).collect())
        }
    };
    let Some(selected) = selected else { return Checked { unknown: 1, ..checked } };
    assert_eq!(evaluated.rows, selected.len(), "{text}: {program:?}");
    assert_eq!(evaluated.columns.len(), program.outputs().len(), "{text}");
    for (column, output) in evaluated.columns.iter().zip(program.outputs()) {
        assert_eq!(*column.data_type(), output.data_type, "{text}");
        assert_eq!(column.len(), selected.len(), "{text}");
        for (at, &row) in selected.iter().enumerate() {
            let interval = narrowed(intervals[row][output.value.position()], &output.data_type);
            let found = Scalar::read(column, at).unwrap();
            assert!(
                interval.contains(found),
                "{text}: {found:?} in row {row}, not in {interval:?}: {output:?} of {program:#?}, of {:?}",
                inputs.iter().map(|input| input.slice(row, 1)).collect::<Vec<_>>()
            );
            match interval {
                ErrorInterval::Unknown => checked.unknown += 1,
                _ => checked.known += 1,
            }
        }
    }
    checked
}

/// The interval of an output of an integer type that may be narrower than the value.
fn narrowed(interval: ErrorInterval, data_type: &DataType) -> ErrorInterval {
    let ErrorInterval::Integer(integer) = interval else { return interval };
    ErrorInterval::Integer(match data_type {
        DataType::Int8 => (integer as i8).into(),
        DataType::Int16 => (integer as i16).into(),
        DataType::UInt8 => (integer as u8).into(),
        DataType::UInt16 => (integer as u16).into(),
        DataType::UInt32 => (integer as u32).into(),
        _ => integer,
    })
}
