//! Programs with all instructions of all types, and random programs, with rows of special values.

use std::sync::Arc;

use arrow_array::types::UInt64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, PrimitiveArray,
};
use arrow_schema::{DataType, TimeUnit};
use warpframe_ir::{
    Binary, Builder, Comparison, Input, Output, Program, Scalar, ScalarType, Unary, Value, with_logical_type,
};

/// A program with input rows.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    pub program: Arc<Program>,
    pub inputs: Vec<ArrayRef>,
    pub rows: usize,
}

impl Case {
    pub fn new(name: String, program: Program, inputs: Vec<ArrayRef>) -> Self {
        let rows = inputs[0].len();
        Self { name, program: Arc::new(program), inputs, rows }
    }
}

pub fn input(data_type: DataType, nullable: bool) -> Input {
    Input { data_type, nullable }
}

/// The Arrow types of columns.
pub fn logical_types() -> Vec<DataType> {
    use DataType::*;
    use TimeUnit::*;
    let mut types = vec![Boolean, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64];
    types.extend([
        Date32,
        Date64,
        Time32(Second),
        Time32(Millisecond),
        Time64(Microsecond),
        Time64(Nanosecond),
    ]);
    for unit in [Second, Millisecond, Microsecond, Nanosecond] {
        types.extend([Timestamp(unit, None), Timestamp(unit, Some("+01:00".into())), Duration(unit)]);
    }
    types
}

/// A column of values, converted to the type of the column. It has an offset, which is not a multiple of 8.
pub fn array(data_type: &DataType, values: &[Option<Scalar>]) -> ArrayRef {
    let before = [Some(Scalar::Bool(true)), None, Some(Scalar::Bool(false))];
    let values = before.iter().chain(values).copied();
    let to = ScalarType::of(data_type).unwrap();
    let cast = |to: ScalarType| values.clone().map(move |value| value.map(|value| value.cast(to)));
    let integers = || cast(ScalarType::I64).map(|value| value.and_then(Scalar::as_integer));
    let floats = || cast(ScalarType::F64).map(|value| value.and_then(Scalar::as_float));
    let whole: ArrayRef = match (data_type, to) {
        // All bits of the integers are used.
        (DataType::UInt64, _) => {
            let integers = values.clone().map(|value| value.map(|value| value.bits() as u64));
            Arc::new(integers.collect::<PrimitiveArray<UInt64Type>>())
        }
        (_, ScalarType::Bool) => {
            let bools = cast(to).map(|value| value.and_then(Scalar::as_bool));
            Arc::new(bools.collect::<BooleanArray>())
        }
        (_, ScalarType::I32) => {
            let integers = integers().map(|value| value.map(|value| value as i32));
            Arc::new(integers.collect::<Int32Array>())
        }
        (_, ScalarType::I64) => Arc::new(integers().collect::<Int64Array>()),
        (_, ScalarType::F32) => {
            let floats = cast(to).map(|value| match value {
                Some(Scalar::F32(x)) => Some(x),
                _ => None,
            });
            Arc::new(floats.collect::<Float32Array>())
        }
        (_, ScalarType::F64) => Arc::new(floats().collect::<Float64Array>()),
    };
    let whole = match data_type {
        DataType::UInt64 => whole,
        other => with_logical_type(whole, other).unwrap(),
    };
    whole.slice(before.len(), whole.len() - before.len())
}

/// Special values of a type, ordinary ones, and null.
pub fn special_values(scalar_type: ScalarType) -> Vec<Option<Scalar>> {
    let values: Vec<Scalar> = match scalar_type {
        ScalarType::Bool => [false, true].map(Scalar::Bool).to_vec(),
        ScalarType::I32 => {
            let small = [0, 1, -1, 2, -3, 7, 31, 32, 33, -31, -32, 100, 127, 128, 255, 256, 65_535, 65_536];
            let large = [i32::MIN, i32::MIN + 1, i32::MAX, i32::MAX - 1, 123_456_789, -46_341, 16_777_217];
            small.into_iter().chain(large).map(Scalar::I32).collect()
        }
        ScalarType::I64 => {
            let small = [0, 1, -1, 2, -3, 7, 31, 63, 64, 65, -63, -64, 100, -129, 65_536];
            let middle =
                [1 << 31, -(1 << 31), (1 << 31) - 1, 1 << 32, -(1 << 32) - 1, (1 << 53) + 1, -(1 << 53) - 1];
            let large = [i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 3_037_000_500, (1 << 62) + 12_345];
            // The nearest f32 of the first two differs from the nearest f32 of their nearest f64.
            let rounded_twice = [(1 << 60) + (1 << 36) + 1, -(1 << 55) - (1 << 31) - 1, (1 << 24) + 1];
            small.into_iter().chain(middle).chain(large).chain(rounded_twice).map(Scalar::I64).collect()
        }
        ScalarType::F32 => {
            let limits = [2f32.powi(31), -2f32.powi(31), 2f32.powi(63), -2f32.powi(63), 2f32.powi(64)];
            let beside = limits.into_iter().flat_map(|x| [x, x.next_up(), x.next_down()]);
            let special = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN];
            let small = [f32::MIN_POSITIVE, -f32::MIN_POSITIVE, 1e-45, -1e-45, 0.499_999_97, 8_388_609.5];
            ordinary_floats()
                .map(|x| x as f32)
                .chain(beside)
                .chain(special)
                .chain(small)
                .map(Scalar::F32)
                .collect()
        }
        ScalarType::F64 => {
            let limits = [2f64.powi(31), -2f64.powi(31), 2f64.powi(63), -2f64.powi(63), 2f64.powi(64)];
            let beside = limits.into_iter().flat_map(|x| [x, x.next_up(), x.next_down(), x - 0.5, x - 1.0]);
            let special = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN];
            let small =
                [f64::MIN_POSITIVE, 5e-324, -5e-324, 0.499_999_999_999_999_94, 4_503_599_627_370_497.5];
            let single =
                [f64::from(f32::MAX), f64::from(f32::MAX) * (1.0 + 1e-8), 1e-45, 7e-46, 1e39, 16_777_217.0];
            let all = ordinary_floats().chain(beside).chain(special).chain(small).chain(single);
            all.map(Scalar::F64).collect()
        }
    };
    values.into_iter().map(Some).chain([None]).collect()
}

fn ordinary_floats() -> impl Iterator<Item = f64> {
    [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 100.25, 1e10, -1e15].into_iter()
}

/// All pairs of values, as two columns.
fn pairs(scalar_type: ScalarType, nullable: bool) -> Vec<ArrayRef> {
    let values = special_values(scalar_type);
    let values: Vec<_> = values.into_iter().filter(|value| nullable || value.is_some()).collect();
    let first: Vec<_> = values.iter().flat_map(|x| values.iter().map(move |_| *x)).collect();
    let second: Vec<_> = values.iter().flat_map(|_| values.iter().copied()).collect();
    [first, second].map(|column| array(&scalar_type.data_type(), &column)).to_vec()
}

/// For each type programs with several outputs that have, together, all instructions, with columns and constants as
/// operands, nullable and not.
pub fn typed_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scalar_type in ScalarType::ALL {
        for nullable in [true, false] {
            let bodies: [(&str, Body); 4] = [
                ("unary", unary_values),
                ("binary", binary_values),
                ("tests", test_values),
                ("constants", constants),
            ];
            for (name, body) in bodies {
                let mut builder = Builder::new();
                let [x, y] = [(); 2].map(|()| builder.add_input(input(scalar_type.data_type(), nullable)));
                let values = body(&mut builder, scalar_type, x, y);
                for (part, values) in values.chunks(20).enumerate() {
                    let (mut builder, mut outputs) = (Builder::new(), Vec::new());
                    let [x, y] =
                        [(); 2].map(|()| builder.add_input(input(scalar_type.data_type(), nullable)));
                    // The same values again; those of other parts are dead.
                    let all = body(&mut builder, scalar_type, x, y);
                    for value in &all[part * 20..part * 20 + values.len()] {
                        let data_type = builder.scalar_type(*value).data_type();
                        outputs.push(Output { value: *value, data_type });
                    }
                    cases.push(Case::new(
                        format!("{name} {part} of {scalar_type}, nullable: {nullable}"),
                        builder.finish(outputs, None).unwrap(),
                        pairs(scalar_type, nullable),
                    ));
                }
            }
        }
    }
    cases
}

type Body = fn(&mut Builder, ScalarType, Value, Value) -> Vec<Value>;

/// Unary ops, casts, and casts of casts.
fn unary_values(builder: &mut Builder, scalar_type: ScalarType, x: Value, _: Value) -> Vec<Value> {
    let ops = Unary::ALL.iter().filter(|op| op.is_defined_for(scalar_type));
    let mut values: Vec<_> = ops.map(|op| builder.unary(*op, x)).collect();
    for to in ScalarType::ALL {
        let value = builder.cast(to, x);
        values.push(value);
        values.extend(ScalarType::ALL.map(|back| builder.cast(back, value)));
    }
    if scalar_type == ScalarType::Bool {
        values.push(builder.not(x));
    }
    values.push(builder.null(scalar_type));
    values
}

/// Binary ops and comparisons of columns, and of a column and a constant, on either side.
fn binary_values(builder: &mut Builder, scalar_type: ScalarType, x: Value, y: Value) -> Vec<Value> {
    let constants = match scalar_type {
        ScalarType::Bool => [Scalar::Bool(true), Scalar::Bool(false)],
        ScalarType::I32 => [Scalar::I32(i32::MIN), Scalar::I32(-1)],
        ScalarType::I64 => [Scalar::I64(i64::MIN), Scalar::I64(-1)],
        ScalarType::F32 => [Scalar::F32(-0.0), Scalar::F32(2.5)],
        ScalarType::F64 => [Scalar::F64(-0.0), Scalar::F64(f64::NAN)],
    };
    let constants = constants.map(|constant| builder.constant(constant));
    let operands = [[x, y], [x, constants[0]], [constants[0], y], [x, constants[1]], [x, x]];
    let mut values = Vec::new();
    for [x, y] in operands {
        let ops = Binary::ALL.iter().filter(|op| op.is_defined_for(scalar_type));
        values.extend(ops.map(|op| builder.binary(*op, x, y)));
        let comparisons = Comparison::ALL.into_iter().filter(|one| one.is_defined_for(scalar_type));
        values.extend(comparisons.map(|comparison| builder.compare(comparison, x, y)));
        if scalar_type == ScalarType::Bool {
            values.extend([builder.and(x, y), builder.or(x, y)]);
        }
    }
    values
}

/// Tests of values, and selections by them.
fn test_values(builder: &mut Builder, scalar_type: ScalarType, x: Value, y: Value) -> Vec<Value> {
    let constants: Vec<_> = special_values(scalar_type).into_iter().flatten().collect();
    let every = |step: usize| -> Vec<Scalar> { constants.iter().copied().step_by(step).collect() };
    let mut values = Vec::new();
    // Tables of constants that are compared one by one, and of others, in which kernels search.
    for table in [vec![], constants[..1].to_vec(), every(5), every(3), every(2), constants.clone()] {
        values.push(builder.in_table(x, &table));
    }
    let many = (0..1000).map(|number| Scalar::of_integer(scalar_type, number * number * 3));
    values.push(builder.in_table(y, &many.collect::<Vec<_>>()));
    if scalar_type.is_float() {
        values.push(builder.is_nan(x));
    }
    values.extend([builder.is_null(x), builder.is_null(y)]);
    let null = builder.null(scalar_type);
    for condition in values.clone() {
        values.extend([builder.select(condition, x, y), builder.select(condition, null, y)]);
    }
    let (less, nonzero) = (builder.compare(Comparison::Lt, x, y), builder.cast(ScalarType::Bool, x));
    let not = builder.not(less);
    let coalesce = builder.is_null(x);
    values.extend([builder.select(less, y, x), builder.select(coalesce, y, x)]);
    values.extend([not, builder.and(not, nonzero), builder.or(less, nonzero), builder.is_true(nonzero)]);
    values
}

/// All special values as constants, and the input, so that the program depends on one.
fn constants(builder: &mut Builder, scalar_type: ScalarType, x: Value, _: Value) -> Vec<Value> {
    let constants: Vec<_> = special_values(scalar_type).into_iter().flatten().collect();
    let values = constants.into_iter().map(|constant| builder.constant(constant));
    values.collect::<Vec<_>>().into_iter().chain([x]).collect()
}

/// Random numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.next() as usize % all.len()]
    }
}

/// Random programs of exact instructions, with several outputs and, every other one, a predicate.
pub fn random_cases(count: u64) -> Vec<Case> {
    (0..count)
        .map(|number| random_case(number, &mut Random(number * 0x9e37_79b9 + 0x1234_5678_9abc)))
        .collect()
}

fn random_case(number: u64, random: &mut Random) -> Case {
    let rows = 65 + random.next() as usize % 200;
    let mut builder = Builder::new();
    let (mut values, mut arrays) = (Vec::new(), Vec::new());
    let types = logical_types();
    // A column of each type of values, and some others.
    let columns = ScalarType::ALL.map(ScalarType::data_type).into_iter();
    let columns: Vec<_> =
        columns.chain((0..3).map(|_| types[random.next() as usize % types.len()].clone())).collect();
    for data_type in columns {
        let nullable = random.next().is_multiple_of(2);
        let special = special_values(ScalarType::of(&data_type).unwrap());
        let special: Vec<_> = special.into_iter().filter(|value| nullable || value.is_some()).collect();
        let column: Vec<_> = (0..rows).map(|_| random.pick(&special)).collect();
        arrays.push(array(&data_type, &column));
        values.push(builder.add_input(input(data_type, nullable)));
    }
    for _ in 0..40 {
        let value = random_value(&mut builder, random, &values);
        values.push(value);
    }
    let mut outputs = Vec::new();
    for _ in 0..1 + random.next() % 5 {
        let value = values[values.len() - 1 - random.next() as usize % 20];
        let fitting: Vec<_> = types
            .iter()
            .filter(|to| ScalarType::of(to) == Some(builder.scalar_type(value)) && **to != DataType::UInt64)
            .collect();
        outputs.push(Output { value, data_type: random.pick(&fitting).clone() });
    }
    let bools: Vec<_> =
        values.iter().copied().filter(|value| builder.scalar_type(*value) == ScalarType::Bool).collect();
    let predicate = number.is_multiple_of(2).then(|| random.pick(&bools[bools.len() / 2..]));
    Case::new(format!("random program {number}"), builder.finish(outputs, predicate).unwrap(), arrays)
}

/// A value of a random instruction, with operands among values.
fn random_value(builder: &mut Builder, random: &mut Random, values: &[Value]) -> Value {
    let x = random.pick(values);
    let scalar_type = builder.scalar_type(x);
    let of_type = |builder: &Builder, random: &mut Random, wanted: ScalarType| {
        let fitting: Vec<_> =
            values.iter().copied().filter(|value| builder.scalar_type(*value) == wanted).collect();
        random.pick(&fitting)
    };
    let y = match random.next() % 4 {
        0 => {
            let constants: Vec<_> = special_values(scalar_type).into_iter().flatten().collect();
            builder.constant(random.pick(&constants))
        }
        _ => of_type(builder, random, scalar_type),
    };
    let condition = of_type(builder, random, ScalarType::Bool);
    match random.next() % 12 {
        0 | 1 if scalar_type != ScalarType::Bool => {
            let exact = Unary::ALL.iter().filter(|op| op.is_defined_for(scalar_type) && op.info().ulp <= 0.5);
            let op = random.pick(&exact.copied().collect::<Vec<_>>());
            builder.unary(op, x)
        }
        0..=4 if scalar_type != ScalarType::Bool => {
            let exact =
                Binary::ALL.iter().filter(|op| op.is_defined_for(scalar_type) && op.info().ulp <= 0.5);
            let op = random.pick(&exact.copied().collect::<Vec<_>>());
            builder.binary(op, x, y)
        }
        5 => builder.compare(random.pick(&[Comparison::Lt, Comparison::Eq]), x, y),
        6 => {
            // The sign and the payload of a computed NaN are not defined.
            let [x, y] = [x, y].map(|value| with_one_nan(builder, value));
            builder.compare(random.pick(&Comparison::ALL), x, y)
        }
        7 => {
            let x = with_one_nan(builder, x);
            let constants: Vec<_> = special_values(scalar_type).into_iter().flatten().collect();
            let count = random.next() as usize % constants.len();
            builder.in_table(x, &constants[..count])
        }
        8 => match random.next() % 3 {
            0 if scalar_type.is_float() => builder.is_nan(x),
            1 => builder.not(condition),
            _ => builder.is_null(x),
        },
        9 => {
            let other = of_type(builder, random, ScalarType::Bool);
            if random.next().is_multiple_of(2) {
                builder.and(condition, other)
            } else {
                builder.or(condition, other)
            }
        }
        10 => builder.select(condition, x, y),
        _ => builder.cast(random.pick(&ScalarType::ALL), x),
    }
}

/// The value, with the same NaN for every NaN.
fn with_one_nan(builder: &mut Builder, value: Value) -> Value {
    let scalar_type = builder.scalar_type(value);
    if !scalar_type.is_float() {
        return value;
    }
    let (is_nan, nan) = (builder.is_nan(value), builder.const_float(scalar_type, f64::NAN));
    builder.select(is_nan, nan, value)
}
