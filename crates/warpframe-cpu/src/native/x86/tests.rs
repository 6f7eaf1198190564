//! Encoded code must compute what VecIR's definition says, for random code: with more values than registers, more inputs and outputs
//! than address registers, and all lanes.

#![allow(clippy::unwrap_used, reason = "tests")]

use iced_x86::{Decoder, DecoderOptions};
use warpframe_ir::reduction::CHUNK;

use super::{Function, InstructionSet, encode};
use crate::class::Class;
use crate::native::vec_ir::{
    Arithmetic, Conversion, Delivery, Id, Logic, MultiplyAdd, Rounding, SUMS, Store, Test, VecCode, VecOp,
};

/// The most rows: of three chunks of a sum.
const MOST_ROWS: usize = 2048 + 64;

/// The memory of an output, aligned for stores past the caches, with room behind the rows.
#[derive(Clone)]
#[repr(align(64))]
struct Memory([u8; MOST_ROWS * 8 + 64]);

/// The instruction sets of this CPU.
fn sets() -> Vec<InstructionSet> {
    let mut sets = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        sets.push(InstructionSet::Avx2);
    }
    if is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
        sets.push(InstructionSet::Avx512);
    }
    sets
}

/// Pseudo-random numbers (G. Marsaglia, "Xorshift RNGs", J. Stat. Software 8, 2003).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, count: usize) -> usize {
        (self.bits() >> 33) as usize % count
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// The bits of a float, often special, or of an integer.
    fn number(&mut self, class: Class, is_float: bool) -> u64 {
        let bits = self.bits();
        let float = match self.below(8) {
            0 => 0.0,
            1 => -0.0,
            2 => f64::INFINITY,
            3 => f64::NAN,
            _ => (bits as i64 >> 40) as f64 / 64.0,
        };
        match (class, is_float) {
            (Class::Wide, true) => float.to_bits(),
            (_, true) => (float as f32).to_bits().into(),
            (Class::Wide, false) => bits >> self.below(64),
            (..) => u64::from(bits as u32 >> self.below(32)),
        }
    }
}

/// The kinds of values. Floats and integers are kept apart, since the bits of NaN are not defined.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Float(Class),
    Integer(Class),
    Mask(Class),
    Cell(Class),
    Table,
}

struct Generator {
    random: Random,
    code: VecCode,
    kinds: Vec<Kind>,
    inputs: Vec<Kind>,
    classes: Vec<Class>,
}

impl Generator {
    fn push(&mut self, kind: Kind, op: VecOp) -> Id {
        self.code.ops.push(op);
        self.kinds.push(kind);
        Id(self.kinds.len() as u32 - 1)
    }

    /// A value of a kind, most often a recent one.
    fn value(&mut self, kind: Kind) -> Id {
        let known: Vec<_> = (0..self.kinds.len()).filter(|&position| self.kinds[position] == kind).collect();
        if !known.is_empty() && self.random.below(4) > 0 {
            let oldest = if self.random.below(3) == 0 { 0 } else { known.len().saturating_sub(6) };
            return Id(self.random.one_of(&known[oldest..]) as u32);
        }
        self.leaf(kind)
    }

    fn leaf(&mut self, kind: Kind) -> Id {
        let input = self.inputs.len() as u32;
        let is_constant = self.random.below(2) == 0;
        let op = match kind {
            Kind::Float(class) | Kind::Integer(class) if is_constant => {
                VecOp::Constant(class, self.random.number(class, matches!(kind, Kind::Float(_))))
            }
            Kind::Mask(class) if is_constant => VecOp::ConstantMask(class, self.random.below(2) == 0),
            Kind::Float(class) | Kind::Integer(class) => {
                self.inputs.push(kind);
                VecOp::Load(class, input)
            }
            Kind::Mask(class) => {
                self.inputs.push(kind);
                VecOp::LoadMask(class, input)
            }
            Kind::Table => VecOp::Table(Class::Wide, 0),
            Kind::Cell(class) => {
                let x = self.value(Kind::Integer(class));
                VecOp::Cell(class, x)
            }
        };
        self.push(kind, op)
    }

    /// Adds an op with random operands.
    fn grow(&mut self) {
        let class = self.random.one_of(&self.classes.clone());
        let (float, integer, mask) = (Kind::Float(class), Kind::Integer(class), Kind::Mask(class));
        let bits = if class == Class::Wide { 63 } else { 31 };
        match self.random.below(17) {
            0..4 => {
                use Arithmetic::{Add, Divide, Max, Min, Multiply, Subtract};
                let op = self.random.one_of(&[Add, Subtract, Multiply, Divide, Min, Max]);
                let (a, b) = (self.value(float), self.value(float));
                self.push(float, VecOp::Arithmetic(op, class, a, b));
            }
            4..6 => {
                use Arithmetic::{AddIntegers, And, MultiplyIntegers, Or, SubtractIntegers, Xor};
                use Arithmetic::{ShiftLeft, ShiftRight};
                let op = self.random.one_of(&[AddIntegers, And, Or, SubtractIntegers, Xor, MultiplyIntegers]);
                let (a, b) = (self.value(integer), self.value(integer));
                let op = match self.random.below(6) {
                    0 if class == Class::Wide => VecOp::MultiplyHalves(a, b),
                    1 => {
                        // Also by one bit more than there are.
                        let most = self.push(integer, VecOp::Constant(class, 2 * bits as u64 + 1));
                        let count = self.push(integer, VecOp::Arithmetic(And, class, b, most));
                        VecOp::Arithmetic(self.random.one_of(&[ShiftLeft, ShiftRight]), class, a, count)
                    }
                    _ => VecOp::Arithmetic(op, class, a, b),
                };
                self.push(integer, op);
            }
            6..9 => {
                let [a, b, c] = [(); 3].map(|()| self.value(float));
                let [negate_product, negate_addend] = [(); 2].map(|()| self.random.below(2) == 0);
                let signs = MultiplyAdd { negate_product, negate_addend };
                self.push(float, VecOp::MultiplyAdd(signs, class, a, b, c));
            }
            9 => {
                let a = self.value(float);
                let rounding = self.random.one_of(&[Rounding::Floor, Rounding::Ceil, Rounding::Trunc]);
                let op = match self.random.below(2) {
                    0 => VecOp::Sqrt(class, a),
                    _ => VecOp::Round(rounding, class, a),
                };
                self.push(float, op);
            }
            10 => {
                let a = self.value(integer);
                let shift = self.random.below(bits) as u8;
                let op = match self.random.below(3) {
                    0 => VecOp::ShiftLeft(class, a, shift),
                    1 => VecOp::ShiftRight(class, a, shift),
                    _ => VecOp::SpreadSign(class, a),
                };
                self.push(integer, op);
            }
            11 => {
                let cell = self.value(Kind::Cell(class));
                // With and without lower halves.
                let lower = self.random.below(2) as u64 * 0x1234_5678;
                let number = |lane: u64| match class {
                    Class::Wide => (1.5 + lane as f64).to_bits() | lower,
                    _ => (1.5 + lane as f32).to_bits().into(),
                };
                self.code.tables.push([0, 1, 2, 3, 4, 5, 6, 7].map(number));
                let table = self.code.tables.len() as u32 - 1;
                let table = self.push(Kind::Table, VecOp::Table(class, table));
                self.push(float, VecOp::LookUp(class, table, cell));
            }
            12 => {
                let test = self.random.one_of(&[Test::Less, Test::Equal, Test::Unordered]);
                let (a, b) = (self.value(float), self.value(float));
                self.push(mask, VecOp::Test(test, class, a, b));
            }
            13 => {
                let (a, b) = (self.value(integer), self.value(integer));
                let op = match self.random.below(3) {
                    0 => VecOp::Test(Test::GreaterIntegers, class, a, b),
                    1 => VecOp::Test(Test::SameBits, class, a, b),
                    _ => VecOp::IsNegative(class, a),
                };
                self.push(mask, op);
            }
            14 => {
                let (a, b) = (self.value(mask), self.value(mask));
                let logic = self.random.one_of(&[Logic::And, Logic::Or, Logic::AndNot]);
                let other = self.random.one_of(&self.classes.clone());
                let op = match self.random.below(3) {
                    0 => VecOp::Not(class, a),
                    1 if other != class => {
                        self.push(Kind::Mask(other), VecOp::ConvertMask(other, a));
                        return;
                    }
                    _ => VecOp::Logic(logic, class, a, b),
                };
                self.push(mask, op);
            }
            15 => {
                // A positive normal number: the exponent is neither the smallest nor the largest.
                let (upper, lowest) = match class {
                    Class::Wide => (0x3FEF_FFFF_FFFF_FFFF, 1 << 52),
                    _ => (0x3F7F_FFFF, 1 << 23),
                };
                let a = self.value(integer);
                let upper = self.push(integer, VecOp::Constant(class, upper));
                let lowest = self.push(integer, VecOp::Constant(class, lowest));
                let a = self.push(integer, VecOp::Arithmetic(Arithmetic::And, class, a, upper));
                let a = self.push(integer, VecOp::Arithmetic(Arithmetic::Or, class, a, lowest));
                self.push(float, VecOp::Exponent(class, a));
            }
            _ => {
                use Conversion::{F32ToF64, F64ToF32, I32ToF32, I32ToF64, I32ToI64, I64ToI32};
                let kind = self.random.one_of(&[float, integer]);
                let conversion =
                    self.random.one_of(&[F32ToF64, F64ToF32, I32ToF32, I32ToF64, I32ToI64, I64ToI32]);
                let is_possible = self.classes.len() == 2 || conversion == I32ToF32;
                if self.random.below(2) == 0 || !is_possible || self.classes == [Class::Wide] {
                    let (m, yes, no) = (self.value(mask), self.value(kind), self.value(kind));
                    self.push(kind, VecOp::Select(class, m, yes, no));
                } else {
                    let (from, to) = match conversion {
                        F32ToF64 => (Kind::Float(Class::Narrow), Kind::Float(Class::Wide)),
                        F64ToF32 => (Kind::Float(Class::Wide), Kind::Float(Class::Narrow)),
                        I32ToF64 => (Kind::Integer(Class::Narrow), Kind::Float(Class::Wide)),
                        I32ToF32 => (Kind::Integer(Class::Narrow), Kind::Float(Class::Narrow)),
                        I32ToI64 => (Kind::Integer(Class::Narrow), Kind::Integer(Class::Wide)),
                        I64ToI32 => (Kind::Integer(Class::Wide), Kind::Integer(Class::Narrow)),
                    };
                    let a = self.value(from);
                    self.push(to, VecOp::Convert(conversion, a));
                }
            }
        }
    }
}

/// The memory of an input or output: for each row the bits, or mask words.
fn memory(kind: Kind, lanes: &[u64]) -> Vec<u8> {
    match kind {
        Kind::Float(Class::Wide) | Kind::Integer(Class::Wide) => {
            lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect()
        }
        Kind::Float(_) | Kind::Integer(_) => {
            lanes.iter().flat_map(|lane| (*lane as u32).to_le_bytes()).collect()
        }
        Kind::Mask(_) | Kind::Cell(_) | Kind::Table => {
            let byte = |lanes: &[u64]| lanes.iter().rev().fold(0, |byte, lane| byte << 1 | *lane as u8);
            lanes.chunks(8).map(byte).collect()
        }
    }
}

/// The bits of a row, with one NaN for all.
fn lane(kind: Kind, memory: &[u8], row: usize) -> u64 {
    let wide =
        |row: usize| memory[8 * row..][..8].iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    let narrow =
        |row: usize| memory[4 * row..][..4].iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    match kind {
        Kind::Float(Class::Wide) if f64::from_bits(wide(row)).is_nan() => f64::NAN.to_bits(),
        Kind::Float(Class::Wide) | Kind::Integer(Class::Wide) => wide(row),
        Kind::Float(_) if f32::from_bits(narrow(row) as u32).is_nan() => f32::NAN.to_bits().into(),
        Kind::Float(_) | Kind::Integer(_) => narrow(row),
        Kind::Mask(_) | Kind::Cell(_) | Kind::Table => u64::from(memory[row / 8] >> (row % 8) & 1),
    }
}

fn check(seed: u64, set: InstructionSet) {
    let rows = if seed.is_multiple_of(50) { MOST_ROWS } else { 128 };
    let sum_count = rows.div_ceil(CHUNK) * SUMS;
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    (0..4).for_each(|_| {
        random.bits();
    });
    let classes =
        random.one_of(&[&[Class::Wide][..], &[Class::Narrow], &[Class::Wide, Class::Narrow]]).to_vec();
    let ops = 1 + random.below(random_limit(seed));
    let (code, kinds, inputs) = (VecCode::default(), Vec::new(), Vec::new());
    let mut generator = Generator { random, code, kinds, inputs, classes };
    (0..ops).for_each(|_| generator.grow());
    let Generator { mut random, mut code, kinds, inputs, .. } = generator;
    let stored: Vec<_> = (0..kinds.len())
        .filter(|&position| !matches!(kinds[position], Kind::Cell(_) | Kind::Table))
        .collect();
    let count = 1 + random.below(12);
    for output in 0..count as u32 {
        // Mostly late values.
        let start = if random.below(3) == 0 { 0 } else { stored.len().saturating_sub(12) };
        let value = random.one_of(&stored[start..]);
        let delivery = match kinds[value] {
            Kind::Mask(_) if random.below(2) == 0 => Delivery::Inverted,
            _ => Delivery::Plain,
        };
        code.stores.push(Store { value: Id(value as u32), output, delivery });
    }
    for output in 0..count {
        let delivery = match (kinds[code.stores[output].value.position()], random.below(3)) {
            (Kind::Float(_) | Kind::Integer(_), 0) => Delivery::NonTemporal,
            (Kind::Float(Class::Wide), 1) => Delivery::Sum(Arithmetic::Add),
            (Kind::Integer(Class::Wide), 1) => Delivery::Sum(Arithmetic::AddIntegers),
            _ => continue,
        };
        code.deliver(output as u32, delivery);
    }
    let lanes: Vec<Vec<u64>> = inputs
        .iter()
        .map(|kind| {
            let row = |_| match *kind {
                Kind::Float(class) => random.number(class, true),
                Kind::Integer(class) => random.number(class, false),
                Kind::Mask(_) | Kind::Cell(_) | Kind::Table => random.bits() >> 63,
            };
            (0..rows).map(row).collect()
        })
        .collect();
    let input_memory: Vec<_> = inputs.iter().zip(&lanes).map(|(kind, lanes)| memory(*kind, lanes)).collect();
    let mut outputs = vec![Memory([0xAA; _]); count];
    let is_sum = |store: &Store| matches!(store.delivery, Delivery::Sum(_));
    for store in code.stores.iter().filter(|store| is_sum(store)) {
        outputs[store.output as usize].0[..sum_count * 8].fill(0);
    }
    let mut table = vec![rows];
    table.extend(input_memory.iter().map(|memory| memory.as_ptr().expose_provenance()));
    table.extend(outputs.iter_mut().map(|memory| memory.0.as_mut_ptr().expose_provenance()));
    let function = Function::new(set, &code, inputs.len()).unwrap();
    // SAFETY: the table has the addresses of memory for all rows; the CPU has the instruction set.
    unsafe { function.call(&table) };
    let mut sums = vec![vec![0u64; sum_count]; count];
    for row in 0..rows {
        let number = |input: u32| lanes[input as usize].get(row).copied().unwrap_or_default();
        let mut values: Vec<u64> = Vec::new();
        for op in &code.ops {
            let value = op.evaluate(number, |operand| values[operand.position()], &code.tables);
            values.push(value);
        }
        for store in &code.stores {
            let kind = kinds[store.value.position()];
            let value = values[store.value.position()];
            let expected = match store.delivery {
                Delivery::Inverted => value ^ 1,
                Delivery::Plain | Delivery::NonTemporal => value,
                Delivery::Sum(op) => {
                    let sum = &mut sums[store.output as usize][row / CHUNK * SUMS + row % SUMS];
                    let add = VecOp::Arithmetic(op, Class::Wide, Id(0), Id(1));
                    *sum = add.evaluate(|_| 0, |operand| [*sum, value][operand.position()], &[]);
                    continue;
                }
            };
            let expected = lane(kind, &memory(kind, &[expected; 8]), 0);
            let found = lane(kind, &outputs[store.output as usize].0, row);
            assert_eq!(found, expected, "seed {seed}, {set:?}, row {row}, {store:?} of {code:?}");
        }
    }
    for (store, output) in code.stores.iter().zip(&outputs) {
        let kind = kinds[store.value.position()];
        let bytes = match kind {
            _ if is_sum(store) => sum_count * 8,
            Kind::Mask(_) | Kind::Cell(_) | Kind::Table => rows / 8,
            Kind::Float(class) | Kind::Integer(class) => rows * class.width(),
        };
        for (position, sum) in sums[store.output as usize].iter().enumerate().filter(|_| is_sum(store)) {
            let expected = lane(kind, &memory(kind, &[*sum]), 0);
            let found = lane(kind, &output.0, position);
            assert_eq!(found, expected, "seed {seed}, {set:?}, sum {position}, {store:?} of {code:?}");
        }
        assert!(output.0[bytes..].iter().all(|byte| *byte == 0xAA), "seed {seed}: writes behind the rows");
    }
}

/// Most code is short, some needs more registers than there are.
fn random_limit(seed: u64) -> usize {
    match seed % 4 {
        0 => 6,
        1 => 30,
        _ => 150,
    }
}

#[test]
fn random_code_computes_what_its_definition_says() {
    let sets = sets();
    if sets.is_empty() {
        println!("SKIPPED: this CPU has neither AVX2 nor AVX-512");
    }
    for set in sets {
        // The shortest code first.
        (0..300).for_each(|seed| check(4 * seed, set));
        (0..1200).for_each(|seed| check(seed, set));
    }
}

/// Every byte must belong to an instruction, as another decoder than the CPU's sees it.
#[test]
fn encoded_code_is_decoded_to_the_end() {
    for set in [InstructionSet::Avx2, InstructionSet::Avx512] {
        for seed in 0..200 {
            let mut generator = Generator {
                random: Random(seed * 2 + 1),
                code: VecCode::default(),
                kinds: Vec::new(),
                inputs: Vec::new(),
                classes: vec![Class::Wide, Class::Narrow],
            };
            (0..60).for_each(|_| generator.grow());
            let last = (0..generator.kinds.len())
                .rev()
                .find(|&position| !matches!(generator.kinds[position], Kind::Cell(_) | Kind::Table))
                .unwrap();
            let delivery = Delivery::Plain;
            generator.code.stores.push(Store { value: Id(last as u32), output: 0, delivery });
            let (bytes, entry) = encode(set, &generator.code, generator.inputs.len()).unwrap();
            let decoder = Decoder::with_ip(64, &bytes[entry..], entry as u64, DecoderOptions::NONE);
            let instructions: Vec<_> = decoder.into_iter().collect();
            assert!(instructions.iter().all(|instruction| !instruction.is_invalid()), "seed {seed}");
            assert_eq!(instructions.last().unwrap().mnemonic(), iced_x86::Mnemonic::Ret);
        }
    }
}
