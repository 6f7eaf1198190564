//! Programs: numeric expressions in a form that every backend can evaluate. The ops are in `ops`, how a
//! program is put together in `builder`, how a DataFusion expression becomes one in `lower`, and where its
//! values are kept while it runs in `schedule`. What evaluates programs is in [`backend`](crate::backend).

mod builder;
mod built_in;
pub mod cuda;
mod lower;
pub mod ops;
mod range;
mod schedule;
mod wire;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DFSchema, DataFusionError, Result, exec_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use serde::{Deserialize, Serialize};

pub use builder::Builder;
pub use lower::{Lowered, NotLowered, lower, pays};
pub use range::Range;
pub(crate) use schedule::{Place, Schedule};

use crate::config::WarpframeOptions;
use ops::{Binary, Unary};

/// The floating-point type a program calculates in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// `f64`
    Double,
    /// `f32`
    Single,
}

impl Precision {
    /// Arrow's type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Double => DataType::Float64,
            Self::Single => DataType::Float32,
        }
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A floating-point number of the program's precision.
    Number,
    /// A truth value.
    Boolean,
}

/// A value of a program: the result of the instruction with this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Value(pub(crate) u32);

impl Value {
    /// The position of the instruction it is the result of.
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// Why a row has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// The square root of a negative number.
    SqrtOfNegative,
    /// Zero to a negative power.
    ZeroToNegativePower,
}

impl Fault {
    /// DataFusion's words for it.
    pub fn message(self) -> &'static str {
        match self {
            Self::SqrtOfNegative => "cannot take square root of a negative number",
            Self::ZeroToNegativePower => "zero raised to a negative power is undefined",
        }
    }

    /// The error of a query in which it happened.
    pub fn error(self) -> DataFusionError {
        DataFusionError::Execution(self.message().to_owned())
    }
}

/// One step of a program. Where a rule for nulls isn't given, the result is null if an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Instruction {
    /// The argument with this position. Integers, and `f32` in double precision, are converted.
    Input(usize),
    /// A number, by the bits of an `f64`.
    Number(u64),
    /// A truth value.
    Boolean(bool),
    /// The null of a kind.
    Null(Kind),
    /// An op of one number.
    Unary(Unary, Value),
    /// An op of two numbers.
    Binary(Binary, Value, Value),
    /// Whether the first number is less in the total order of IEEE 754, which Arrow compares by.
    Less(Value, Value),
    /// Whether two numbers have the same bits, which is Arrow's equality.
    Same(Value, Value),
    /// Whether a number is NaN.
    IsNan(Value),
    /// Whether a value is null; never null.
    IsNull(Value),
    /// The opposite.
    Not(Value),
    /// SQL's AND: false if either is false, else null if either is null.
    And(Value, Value),
    /// SQL's OR: true if either is true, else null if either is null.
    Or(Value, Value),
    /// The second value where the first is true, the third where it is false or null.
    Select(Value, Value, Value),
    /// No value: an error if the fault happens, with these arguments, in a row in which none of them is
    /// null and in which the guard, if there is one, is true.
    Forbid(Fault, [Value; 2], Option<Value>),
}

impl Instruction {
    /// The values it reads.
    pub fn arguments(&self) -> impl Iterator<Item = Value> {
        let values = match *self {
            Self::Input(_) | Self::Number(_) | Self::Boolean(_) | Self::Null(_) => [None; 3],
            Self::Unary(_, a) | Self::IsNan(a) | Self::IsNull(a) | Self::Not(a) => [Some(a), None, None],
            Self::Binary(_, a, b)
            | Self::Less(a, b)
            | Self::Same(a, b)
            | Self::And(a, b)
            | Self::Or(a, b) => [Some(a), Some(b), None],
            Self::Select(a, b, c) => [Some(a), Some(b), Some(c)],
            Self::Forbid(_, [a, b], guard) => [Some(a), Some(b), guard],
        };
        values.into_iter().flatten()
    }
}

/// An argument of a program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Input {
    /// Arrow's type: Float64, Float32 (also in a double precision program), an integer, or Boolean.
    pub data_type: DataType,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

/// Expressions for which there is a kernel written by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// `ln(x) * ln(y) * ln(z)` of the three arguments.
    Log3,
}

/// A numeric expression over columns: a list of instructions in static single assignment form, each of
/// which reads values of earlier ones.
///
/// ```
/// use arrow::array::{ArrayRef, Float64Array};
/// use arrow::datatypes::{DataType, Field, Schema};
/// use datafusion::functions::expr_fn::sqrt;
/// use datafusion::prelude::col;
/// use std::sync::Arc;
/// use warpframe::program;
///
/// let schema = Schema::new(vec![Field::new("x", DataType::Float64, false)]);
/// let compiled = program::compile(&sqrt(col("x") * col("x")), &schema)?;
/// let x: ArrayRef = Arc::new(Float64Array::from(vec![3.0, -4.0]));
/// assert_eq!(compiled.evaluate(&[x])?.as_ref(), &Float64Array::from(vec![3.0, 4.0]));
/// # Ok::<(), datafusion::error::DataFusionError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "wire::Wire", into = "wire::Wire")]
pub struct Program {
    precision: Precision,
    inputs: Vec<Input>,
    instructions: Vec<Instruction>,
    kinds: Vec<Kind>,
    nullable: Vec<bool>,
    output: Value,
    special: Option<Special>,
    strict: bool,
    schedule: Schedule,
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.precision == other.precision
            && self.inputs == other.inputs
            && self.instructions == other.instructions
            && self.output == other.output
    }
}

impl Eq for Program {}

impl Hash for Program {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.precision, &self.inputs, &self.instructions, self.output).hash(state);
    }
}

impl Program {
    /// The floating-point type it calculates in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Its arguments.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Its steps.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The value that is its result.
    pub fn output(&self) -> Value {
        self.output
    }

    /// What a value is. A [`Forbid`](Instruction::Forbid) has none.
    pub fn kind(&self, value: Value) -> Kind {
        self.kinds[value.position()]
    }

    /// What the values are.
    pub(crate) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Whether a value may be null, the declared inputs being what they are.
    pub fn may_be_null(&self, value: Value) -> bool {
        self.nullable[value.position()]
    }

    /// The type of its result.
    pub fn data_type(&self) -> DataType {
        match self.kind(self.output) {
            Kind::Number => self.precision.data_type(),
            Kind::Boolean => DataType::Boolean,
        }
    }

    /// Whether there is a kernel written by hand for it.
    pub fn special(&self) -> Option<Special> {
        self.special
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Whether the result is null exactly where an argument is, and no row can be an error.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// Evaluates the program on arrays, one for each input, with the fastest backend of this machine.
    ///
    /// # Errors
    /// The arrays don't fit the inputs in number, type or length, or a row is an error (the square
    /// root of a negative number, zero to a negative power).
    pub fn evaluate(&self, arguments: &[ArrayRef]) -> Result<ArrayRef> {
        let rows = arguments.first().map_or(1, |array| array.len());
        WarpframeOptions::default().resolve()?.evaluate(self, arguments, rows)
    }

    /// Checks what every backend relies on.
    pub(crate) fn check(&self, arguments: &[ArrayRef], rows: usize) -> Result<()> {
        if arguments.len() != self.inputs.len() {
            return exec_err!("the program takes {} arrays, not {}", self.inputs.len(), arguments.len());
        }
        for (position, (input, array)) in self.inputs.iter().zip(arguments).enumerate() {
            if *array.data_type() != input.data_type {
                return exec_err!(
                    "array {position} of the program must be {}, not {}",
                    input.data_type,
                    array.data_type()
                );
            }
            if array.len() != rows {
                return exec_err!("array {position} of the program has {} rows, not {rows}", array.len());
            }
        }
        Ok(())
    }

    /// Whether an array has nulls that its input was declared not to have. A plan's declarations are not
    /// always right; the results have to be.
    pub(crate) fn has_undeclared_nulls(&self, arguments: &[ArrayRef]) -> bool {
        self.inputs.iter().zip(arguments).any(|(input, array)| !input.nullable && array.null_count() > 0)
    }
}

/// The program of `log3(x, y, z)`.
pub fn log3(precision: Precision) -> &'static Arc<Program> {
    static DOUBLE: LazyLock<Arc<Program>> = LazyLock::new(|| Arc::new(build_log3(Precision::Double)));
    static SINGLE: LazyLock<Arc<Program>> = LazyLock::new(|| Arc::new(build_log3(Precision::Single)));
    match precision {
        Precision::Double => &DOUBLE,
        Precision::Single => &SINGLE,
    }
}

fn build_log3(precision: Precision) -> Program {
    let mut builder = Builder::new(precision);
    let [x, y, z] = std::array::from_fn(|_| {
        let input = builder.add_input(Input { data_type: precision.data_type(), nullable: true });
        builder.unary(Unary::Ln, input)
    });
    let product = builder.binary(Binary::Multiply, x, y);
    let product = builder.binary(Binary::Multiply, product, z);
    builder.assemble(product)
}

/// A program with the columns it takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Compiled {
    /// The program.
    pub program: Program,
    /// The names of the columns its inputs are.
    pub columns: Vec<String>,
}

impl Compiled {
    /// [`Program::evaluate`]
    ///
    /// # Errors
    /// As there.
    pub fn evaluate(&self, columns: &[ArrayRef]) -> Result<ArrayRef> {
        self.program.evaluate(columns)
    }
}

/// Compiles an expression over the columns of a schema, to be evaluated on arrays directly. Functions of
/// the session's defaults are simplified and types coerced as in a query; see [`Compiled::columns`] for the
/// order of the arrays.
///
/// # Errors
/// A column is not in the schema, or the expression has a part that programs don't have.
pub fn compile(expr: &Expr, schema: &Schema) -> Result<Compiled> {
    let schema = DFSchema::try_from(schema.clone())?;
    let simplifier =
        ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build());
    let expr = simplifier.simplify(simplifier.coerce(expr.clone(), &schema)?)?;
    let lowered = lower(&expr, &schema)
        .map_err(|reason| DataFusionError::Plan(format!("cannot compile {expr}: {reason}")))?;
    let columns = lowered.arguments.iter().map(|argument| match argument {
        Expr::Column(column) => Ok(column.name.clone()),
        other => exec_err!("cannot compile {expr}: programs have nothing for {other}"),
    });
    Ok(Compiled { columns: columns.collect::<Result<_>>()?, program: lowered.program })
}
