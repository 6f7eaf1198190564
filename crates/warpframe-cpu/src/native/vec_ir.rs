//! VecIR: straight-line code over vectors, independent of the instruction set and of the number of lanes. All values have the
//! same number of lanes. A value is a number of 8 bytes (`Class::Wide`), of 4 bytes (`Class::Narrow`), or a mask.
//!
//! [`VecOp::evaluate`] is its definition, one lane at a time; the encoders are tested against it.

#[cfg(doc)]
use warpframe_ir::reduction::CHUNK;
use warpframe_ir::reduction::LANES;

use crate::class::Class;

/// A value, identified by the position of the op that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(pub u32);

impl Id {
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// An op of two numbers, of floats or of the bits of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// The first operand if it is less than the second, else the second: also if either is NaN.
    Min,
    /// The first operand if it is greater than the second, else the second: also if either is NaN.
    Max,
    /// The bits of both.
    And,
    Or,
    Xor,
    /// The sum of the bits as integers, wrapping around.
    AddIntegers,
    SubtractIntegers,
    /// The low half of the product of the bits as integers.
    MultiplyIntegers,
    /// The bits of the first, shifted by the second operand: 0 if that is not below the number of bits.
    ShiftLeft,
    /// The same to the right, filled with zeros.
    ShiftRight,
}

/// A comparison of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    /// `<` of floats, false for NaN.
    Less,
    /// `=` of floats, false for NaN.
    Equal,
    /// Whether either float is NaN.
    Unordered,
    /// `>` of the bits as signed integers.
    GreaterIntegers,
    /// Whether the bits are equal.
    SameBits,
}

/// Rounding of a float to an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rounding {
    Floor,
    Ceil,
    Trunc,
}

/// A conversion of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Conversion {
    F32ToF64,
    F64ToF32,
    I32ToF64,
    I32ToF32,
    I32ToI64,
    /// The low half.
    I64ToI32,
}

impl Conversion {
    /// The class of the result.
    pub fn to(self) -> Class {
        match self {
            Self::F32ToF64 | Self::I32ToF64 | Self::I32ToI64 => Class::Wide,
            _ => Class::Narrow,
        }
    }
}

/// An op on masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Logic {
    And,
    Or,
    /// The second without the first.
    AndNot,
}

/// An op. The class of an op on numbers is that of its operands; of a mask, that of the numbers that it belongs to, since an
/// instruction set may keep masks in registers as wide as theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum VecOp {
    /// The numbers of the rows of the input at this position.
    Load(Class, u32),
    /// The bits of the rows of the input at this position, mask words.
    LoadMask(Class, u32),
    /// The same number in all lanes, by its bits.
    Constant(Class, u64),
    /// The same truth value in all lanes.
    ConstantMask(Class, bool),
    Arithmetic(Arithmetic, Class, Id, Id),
    /// The product of the low halves of wide lanes, as integers without signs.
    MultiplyHalves(Id, Id),
    /// `a * b + c`, rounded once, with the product and the addend negated as the flags say.
    MultiplyAdd(MultiplyAdd, Class, Id, Id, Id),
    Sqrt(Class, Id),
    Round(Rounding, Class, Id),
    /// The bits shifted to the left by a constant.
    ShiftLeft(Class, Id, u8),
    /// The bits shifted to the right by a constant, filled with zeros.
    ShiftRight(Class, Id, u8),
    /// All bits of a lane are its highest bit.
    SpreadSign(Class, Id),
    /// The exponent of a positive normal number, as a number.
    Exponent(Class, Id),
    /// The index of the cell of a shifted number (see `Parts`), for [`LookUp`](Self::LookUp) only.
    Cell(Class, Id),
    /// The table at this position, of eight numbers, for [`LookUp`](Self::LookUp) only.
    Table(Class, u32),
    /// The number of a table, the first operand, for a cell.
    LookUp(Class, Id, Id),
    Test(Test, Class, Id, Id),
    /// Whether the highest bit is set.
    IsNegative(Class, Id),
    Logic(Logic, Class, Id, Id),
    Not(Class, Id),
    /// The second operand where the mask, the first, is true, else the third.
    Select(Class, Id, Id, Id),
    Convert(Conversion, Id),
    /// The mask as one of numbers of this class, from one of the other.
    ConvertMask(Class, Id),
}

/// The signs of a fused multiply-add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MultiplyAdd {
    pub negate_product: bool,
    pub negate_addend: bool,
}

impl VecOp {
    /// The values that it reads.
    pub fn operands(self) -> impl DoubleEndedIterator<Item = Id> {
        let operands = match self {
            Self::Load(..)
            | Self::LoadMask(..)
            | Self::Constant(..)
            | Self::ConstantMask(..)
            | Self::Table(..) => [None, None, None],
            Self::Arithmetic(_, _, a, b)
            | Self::MultiplyHalves(a, b)
            | Self::Test(_, _, a, b)
            | Self::LookUp(_, a, b)
            | Self::Logic(_, _, a, b) => [Some(a), Some(b), None],
            Self::MultiplyAdd(_, _, a, b, c) | Self::Select(_, a, b, c) => [Some(a), Some(b), Some(c)],
            Self::Sqrt(_, a)
            | Self::Round(_, _, a)
            | Self::ShiftLeft(_, a, _)
            | Self::ShiftRight(_, a, _)
            | Self::SpreadSign(_, a)
            | Self::Exponent(_, a)
            | Self::Cell(_, a)
            | Self::IsNegative(_, a)
            | Self::Not(_, a)
            | Self::Convert(_, a)
            | Self::ConvertMask(_, a) => [Some(a), None, None],
        };
        operands.into_iter().flatten()
    }

    /// The same op with each operand replaced by `to(operand)`.
    pub fn map_operands(self, to: impl Fn(Id) -> Id) -> Self {
        match self {
            Self::Load(..)
            | Self::LoadMask(..)
            | Self::Constant(..)
            | Self::ConstantMask(..)
            | Self::Table(..) => self,
            Self::Arithmetic(op, class, a, b) => Self::Arithmetic(op, class, to(a), to(b)),
            Self::MultiplyHalves(a, b) => Self::MultiplyHalves(to(a), to(b)),
            Self::MultiplyAdd(signs, class, a, b, c) => Self::MultiplyAdd(signs, class, to(a), to(b), to(c)),
            Self::Sqrt(class, a) => Self::Sqrt(class, to(a)),
            Self::Round(rounding, class, a) => Self::Round(rounding, class, to(a)),
            Self::ShiftLeft(class, a, bits) => Self::ShiftLeft(class, to(a), bits),
            Self::ShiftRight(class, a, bits) => Self::ShiftRight(class, to(a), bits),
            Self::SpreadSign(class, a) => Self::SpreadSign(class, to(a)),
            Self::Exponent(class, a) => Self::Exponent(class, to(a)),
            Self::Cell(class, a) => Self::Cell(class, to(a)),
            Self::LookUp(class, a, b) => Self::LookUp(class, to(a), to(b)),
            Self::Test(test, class, a, b) => Self::Test(test, class, to(a), to(b)),
            Self::IsNegative(class, a) => Self::IsNegative(class, to(a)),
            Self::Logic(logic, class, a, b) => Self::Logic(logic, class, to(a), to(b)),
            Self::Not(class, a) => Self::Not(class, to(a)),
            Self::Select(class, a, b, c) => Self::Select(class, to(a), to(b), to(c)),
            Self::Convert(conversion, a) => Self::Convert(conversion, to(a)),
            Self::ConvertMask(class, a) => Self::ConvertMask(class, to(a)),
        }
    }

    /// The class of the result: of the number, or of the numbers that the mask belongs to.
    pub fn class(self) -> Class {
        match self {
            Self::Load(class, _)
            | Self::LoadMask(class, _)
            | Self::Constant(class, _)
            | Self::ConstantMask(class, _)
            | Self::Arithmetic(_, class, ..)
            | Self::MultiplyAdd(_, class, ..)
            | Self::Sqrt(class, _)
            | Self::Round(_, class, _)
            | Self::ShiftLeft(class, ..)
            | Self::ShiftRight(class, ..)
            | Self::SpreadSign(class, _)
            | Self::Exponent(class, _)
            | Self::Cell(class, _)
            | Self::Table(class, _)
            | Self::LookUp(class, ..)
            | Self::Test(_, class, ..)
            | Self::IsNegative(class, _)
            | Self::Logic(_, class, ..)
            | Self::Not(class, _)
            | Self::Select(class, ..)
            | Self::ConvertMask(class, _) => class,
            Self::MultiplyHalves(..) => Class::Wide,
            Self::Convert(conversion, _) => conversion.to(),
        }
    }

    /// Whether the result is a mask.
    pub fn is_mask(self) -> bool {
        matches!(
            self,
            Self::LoadMask(..)
                | Self::ConstantMask(..)
                | Self::Test(..)
                | Self::IsNegative(..)
                | Self::Logic(..)
                | Self::Not(..)
                | Self::ConvertMask(..)
        )
    }

    /// Whether the result is the same vector in all iterations.
    pub fn is_constant_vector(self) -> bool {
        matches!(self, Self::Constant(..) | Self::Table(..))
    }

    /// The result in one lane: the bits of a number, 1 or 0 for a mask, or the position of a table. `inputs` and `values` return the
    /// lanes of inputs and of operands; a table has the bits of its numbers.
    pub fn evaluate(
        self,
        inputs: impl Fn(u32) -> u64,
        values: impl Fn(Id) -> u64,
        tables: &[[u64; 8]],
    ) -> u64 {
        let narrow = |value: u64| value & u64::from(u32::MAX);
        match self {
            Self::Load(_, input) | Self::LoadMask(_, input) => inputs(input),
            Self::Constant(_, bits) => bits,
            Self::ConstantMask(_, value) => u64::from(value),
            Self::Arithmetic(op, Class::Wide, a, b) => op.wide(values(a), values(b)),
            Self::Arithmetic(op, _, a, b) => op.narrow(values(a) as u32, values(b) as u32).into(),
            Self::MultiplyHalves(a, b) => narrow(values(a)) * narrow(values(b)),
            Self::MultiplyAdd(signs, Class::Wide, a, b, c) => {
                let [a, b, c] = [a, b, c].map(|value| f64::from_bits(values(value)));
                let a = if signs.negate_product { -a } else { a };
                a.mul_add(b, if signs.negate_addend { -c } else { c }).to_bits()
            }
            Self::MultiplyAdd(signs, _, a, b, c) => {
                let [a, b, c] = [a, b, c].map(|value| f32::from_bits(values(value) as u32));
                let a = if signs.negate_product { -a } else { a };
                a.mul_add(b, if signs.negate_addend { -c } else { c }).to_bits().into()
            }
            Self::Sqrt(Class::Wide, a) => f64::from_bits(values(a)).sqrt().to_bits(),
            Self::Sqrt(_, a) => f32::from_bits(values(a) as u32).sqrt().to_bits().into(),
            Self::Round(rounding, Class::Wide, a) => {
                let a = f64::from_bits(values(a));
                match rounding {
                    Rounding::Floor => a.floor(),
                    Rounding::Ceil => a.ceil(),
                    Rounding::Trunc => a.trunc(),
                }
                .to_bits()
            }
            Self::Round(rounding, _, a) => {
                let a = f32::from_bits(values(a) as u32);
                match rounding {
                    Rounding::Floor => a.floor(),
                    Rounding::Ceil => a.ceil(),
                    Rounding::Trunc => a.trunc(),
                }
                .to_bits()
                .into()
            }
            Self::ShiftLeft(Class::Wide, a, bits) => values(a) << bits,
            Self::ShiftLeft(_, a, bits) => narrow(values(a) << bits),
            Self::ShiftRight(_, a, bits) => values(a) >> bits,
            Self::SpreadSign(Class::Wide, a) => (values(a).cast_signed() >> 63).cast_unsigned(),
            Self::SpreadSign(_, a) => ((values(a) as u32).cast_signed() >> 31).cast_unsigned().into(),
            Self::Exponent(Class::Wide, a) => ((values(a) >> 52) as f64 - 1023.0).to_bits(),
            Self::Exponent(_, a) => ((values(a) >> 23) as f32 - 127.0).to_bits().into(),
            Self::Cell(Class::Wide, a) => values(a) >> 49 & 7,
            Self::Cell(_, a) => values(a) >> 20 & 7,
            Self::Table(_, table) => table.into(),
            Self::LookUp(_, table, cell) => tables[values(table) as usize][values(cell) as usize & 7],
            Self::Test(test, Class::Wide, a, b) => test.wide(values(a), values(b)).into(),
            Self::Test(test, _, a, b) => test.narrow(values(a) as u32, values(b) as u32).into(),
            Self::IsNegative(Class::Wide, a) => values(a) >> 63,
            Self::IsNegative(_, a) => values(a) >> 31,
            Self::Logic(Logic::And, _, a, b) => values(a) & values(b),
            Self::Logic(Logic::Or, _, a, b) => values(a) | values(b),
            Self::Logic(Logic::AndNot, _, a, b) => !values(a) & values(b),
            Self::Not(_, a) => values(a) ^ 1,
            Self::Select(_, mask, yes, no) => {
                if values(mask) == 1 {
                    values(yes)
                } else {
                    values(no)
                }
            }
            Self::Convert(conversion, a) => conversion.apply(values(a)),
            Self::ConvertMask(_, a) => values(a),
        }
    }
}

/// A number of bits, which may be too many.
fn shift_count(bits: u64) -> Option<u32> {
    u32::try_from(bits).ok()
}

/// Defines an op on the bits of numbers of a type.
macro_rules! on_bits {
    ($name:ident, $test:ident, $float:ty, $bits:ty) => {
        impl Arithmetic {
            fn $name(self, a: $bits, b: $bits) -> $bits {
                let (x, y) = (<$float>::from_bits(a), <$float>::from_bits(b));
                match self {
                    Self::Add => (x + y).to_bits(),
                    Self::Subtract => (x - y).to_bits(),
                    Self::Multiply => (x * y).to_bits(),
                    Self::Divide => (x / y).to_bits(),
                    Self::Min => {
                        if x < y {
                            a
                        } else {
                            b
                        }
                    }
                    Self::Max => {
                        if x > y {
                            a
                        } else {
                            b
                        }
                    }
                    Self::And => a & b,
                    Self::Or => a | b,
                    Self::Xor => a ^ b,
                    Self::AddIntegers => a.wrapping_add(b),
                    Self::SubtractIntegers => a.wrapping_sub(b),
                    Self::MultiplyIntegers => a.wrapping_mul(b),
                    Self::ShiftLeft => {
                        shift_count(b.into()).and_then(|count| a.checked_shl(count)).unwrap_or(0)
                    }
                    Self::ShiftRight => {
                        shift_count(b.into()).and_then(|count| a.checked_shr(count)).unwrap_or(0)
                    }
                }
            }
        }

        impl Test {
            fn $test(self, a: $bits, b: $bits) -> bool {
                let (x, y) = (<$float>::from_bits(a), <$float>::from_bits(b));
                match self {
                    Self::Less => x < y,
                    Self::Equal => x == y,
                    Self::Unordered => x.is_nan() || y.is_nan(),
                    Self::GreaterIntegers => a.cast_signed() > b.cast_signed(),
                    Self::SameBits => a == b,
                }
            }
        }
    };
}
on_bits!(wide, wide, f64, u64);
on_bits!(narrow, narrow, f32, u32);

impl Conversion {
    fn apply(self, bits: u64) -> u64 {
        let low = bits as u32;
        match self {
            Self::F32ToF64 => f64::from(f32::from_bits(low)).to_bits(),
            Self::F64ToF32 => (f64::from_bits(bits) as f32).to_bits().into(),
            Self::I32ToF64 => f64::from(low.cast_signed()).to_bits(),
            Self::I32ToF32 => (low.cast_signed() as f32).to_bits().into(),
            Self::I32ToI64 => i64::from(low.cast_signed()).cast_unsigned(),
            Self::I64ToI32 => low.into(),
        }
    }
}

/// The number of sums of a chunk of a [`Delivery::Sum`].
pub(crate) const SUMS: usize = LANES;

/// Where a result goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Store {
    /// A number, or a mask, which is stored as bits.
    pub value: Id,
    /// The position of the output.
    pub output: u32,
    pub delivery: Delivery,
}

/// How a result is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// At the place of its row.
    Plain,
    /// A mask with its bits inverted.
    Inverted,
    /// A number, past the caches. The output must be aligned to vector registers.
    NonTemporal,
    /// A wide number, added by this op to one of the sums in the output's memory, [`SUMS`] for each [`CHUNK`] of rows: that of row `i`
    /// to sum `i / CHUNK * SUMS + i % SUMS`.
    Sum(Arithmetic),
}

/// Straight-line code: ops, each of which reads results of earlier ones, and the results that are stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct VecCode {
    pub ops: Vec<VecOp>,
    /// The bits of the numbers of each table.
    pub tables: Vec<[u64; 8]>,
    pub stores: Vec<Store>,
}

impl VecCode {
    pub fn op(&self, value: Id) -> VecOp {
        self.ops[value.position()]
    }

    /// Delivers an output, a number, otherwise.
    pub fn deliver(&mut self, output: u32, delivery: Delivery) {
        for store in self.stores.iter_mut().filter(|store| store.output == output) {
            store.delivery = delivery;
        }
    }

    /// Removes ops whose results are not needed.
    pub fn without_dead_code(self) -> Self {
        let mut live = vec![false; self.ops.len()];
        self.stores.iter().for_each(|store| live[store.value.position()] = true);
        for (position, op) in self.ops.iter().enumerate().rev() {
            if live[position] {
                op.operands().for_each(|operand| live[operand.position()] = true);
            }
        }
        let mut renamed = vec![Id(0); self.ops.len()];
        let mut ops = Vec::with_capacity(self.ops.len());
        for (position, op) in self.ops.iter().enumerate().filter(|(position, _)| live[*position]) {
            renamed[position] = Id(ops.len() as u32);
            ops.push(op.map_operands(|operand| renamed[operand.position()]));
        }
        let stores = self.stores.iter();
        let stores = stores.map(|store| Store { value: renamed[store.value.position()], ..*store });
        Self { ops, tables: self.tables, stores: stores.collect() }
    }

    /// The number of values that are alive at once, at most: numbers, and masks if `masks` is set. Constants and inputs, which can
    /// be read from memory, do not count.
    pub fn pressure(&self, masks: bool) -> usize {
        let mut last_use: Vec<_> = (0..self.ops.len()).collect();
        for (position, op) in self.ops.iter().enumerate() {
            op.operands().for_each(|operand| last_use[operand.position()] = position);
        }
        let (mut alive, mut most) = (0usize, 0);
        let mut ends = vec![0; self.ops.len()];
        for (position, op) in self.ops.iter().enumerate() {
            let is_in_memory = op.is_constant_vector() || matches!(op, VecOp::Load(..));
            if !is_in_memory && (masks || !op.is_mask()) {
                alive += 1;
                ends[last_use[position]] += 1;
            }
            most = most.max(alive);
            alive -= ends[position];
        }
        most
    }
}
