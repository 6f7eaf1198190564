//! Native code and the loops of the block executor, alternating in one process on one thread: the formulas of
//! `warpframe compare --suite`, one of integers, the loop of `log3` that was written by hand, a filter, and sums, over rows in the L2
//! cache and over rows in memory. The ratio is the result.
//!
//! `cargo bench -p warpframe-cpu --bench native`, with a part of the names of formulas after `--` to measure these only

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use warpframe_cpu::{Simd, SimdPath};
use warpframe_ir::ScalarType;
use warpframe_ir::backend::{Backend, Evaluated, Kernel, KernelContext};
use warpframe_ir::builder::Builder;
use warpframe_ir::error::{Error, Result};
use warpframe_ir::instruction::{Comparison, Input, Output, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;
use warpframe_ir::reduction::{Accumulator, Reductions};

/// An expression that is being built.
#[derive(Clone, Copy)]
struct Expr<'a>(&'a RefCell<Builder>, Value);

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident;)+) => {$(
        impl $trait for Expr<'_> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.binary(Binary::$op, other)
            }
        }
    )+};
}
operators! { Add add Add; Sub sub Subtract; Mul mul Multiply; Div div Divide; Rem rem Remainder; }

impl Neg for Expr<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary(Unary::Negate)
    }
}

impl Expr<'_> {
    fn unary(self, op: Unary) -> Self {
        Self(self.0, self.0.borrow_mut().unary(op, self.1))
    }

    fn binary(self, op: Binary, other: Self) -> Self {
        Self(self.0, self.0.borrow_mut().binary(op, self.1, other.1))
    }

    /// A constant.
    fn of(self, number: f64) -> Self {
        Self(self.0, self.0.borrow_mut().const_float(ScalarType::F64, number))
    }

    /// A constant of 64-bit integers.
    fn of_integer(self, number: i64) -> Self {
        Self(self.0, self.0.borrow_mut().const_integer(ScalarType::I64, number))
    }

    fn cast(self, to: ScalarType) -> Self {
        Self(self.0, self.0.borrow_mut().cast(to, self.1))
    }

    fn less(self, other: Self) -> Self {
        let mut builder = self.0.borrow_mut();
        let [x, y] = [self, other].map(|one| builder.canonicalize_zero(one.1));
        Self(self.0, builder.compare(Comparison::TotalLt, x, y))
    }

    fn select(self, yes: Self, no: Self) -> Self {
        Self(self.0, self.0.borrow_mut().select(self.1, yes.1, no.1))
    }

    fn power(self, exponent: Self) -> Self {
        self.binary(Binary::Power, exponent)
    }
}

type Body = for<'a> fn([Expr<'a>; 3]) -> Expr<'a>;

const FORMULAS: [(&str, Body); 13] = [
    ("multiply-add", |[x, y, z]| x * y + z),
    ("sum-of-squares", |[x, y, z]| x * x + y * y + z * z),
    ("polynomial", |[x, ..]| {
        let c = |number| x.of(number);
        ((((x * c(0.5) + c(1.5)) * x - c(2.5)) * x + c(3.5)) * x - c(4.5)) * x + c(5.5)
    }),
    ("distance", |[x, y, _]| (x * x + y * y).unary(Unary::Sqrt)),
    ("clamp", |[x, y, z]| x.less(y).select(y, z.less(x).select(z, x))),
    ("relative-error", |[x, y, _]| {
        let [a, b] = [x, y].map(|one| one.unary(Unary::Abs));
        let larger = a.less(b).select(b, a);
        let tiny = x.of(1e-300);
        (x - y).unary(Unary::Abs) / larger.less(tiny).select(tiny, larger)
    }),
    ("logarithms", |xyz| {
        let [x, y, z] = xyz.map(|one| one.unary(Unary::Ln));
        x * y * z
    }),
    ("sigmoid", |[x, y, _]| x.of(1.0) / (x.of(1.0) + (-(x - y) / x.of(10.0)).unary(Unary::Exp))),
    ("rotation", |[x, y, z]| x * z.unary(Unary::Cos) - y * z.unary(Unary::Sin)),
    ("power-law", |[x, y, z]| x * y.power(x.of(-1.7)) + z),
    ("haversine", |[x, y, z]| {
        let half = ((x - y) / x.of(360.0)).unary(Unary::Sin);
        let [a, b] = [x, y].map(|one| (one / one.of(180.0)).unary(Unary::Cos));
        let c = (z / z.of(360.0)).unary(Unary::Sin);
        x.of(2.0 * 6371.0) * (half * half + a * b * (c * c)).unary(Unary::Sqrt).unary(Unary::Asin)
    }),
    ("black-scholes", |[x, y, z]| {
        let one = x.of(1.0);
        let ln = (x / y).unary(Unary::Ln);
        let deviation = x.of(0.2) * z.unary(Unary::Sqrt);
        let part = |rate: f64| one + (x.of(-1.702) * (ln + x.of(rate) * z) / deviation).unary(Unary::Exp);
        x / part(0.05) - y * (x.of(-0.03) * z).unary(Unary::Exp) / part(0.01)
    }),
    ("integers", |[x, y, z]| {
        let [x, y, z] = [x, y, z].map(|one| one.cast(ScalarType::I64));
        (x * x.of_integer(31) + y % z / x.of_integer(7)).cast(ScalarType::F64)
    }),
];

/// The formulas of which sums are measured.
const SUMS: [&str; 4] = ["multiply-add", "polynomial", "logarithms", "sigmoid"];

/// A program of one output, with the rows in which the first column is less than a limit, if there is one.
fn program(body: Body, limit: Option<f64>) -> Arc<Program> {
    let builder = RefCell::default();
    let input = || Input { data_type: DataType::Float64, nullable: true };
    let inputs = [(); 3].map(|()| {
        let value = RefCell::<Builder>::borrow_mut(&builder).add_input(input());
        Expr(&builder, value)
    });
    let output = body(inputs).1;
    let predicate = limit.map(|limit| inputs[0].unary(Unary::Ln).less(inputs[0].of(limit.ln())).1);
    let output = Output { value: output, data_type: DataType::Float64 };
    Arc::new(builder.take().finish(vec![output], predicate).unwrap())
}

/// The rows that fit in the L2 cache. Results of more are written past the caches, as the Python package does it.
const CACHED_ROWS: usize = 16_384;

/// A program compiled for both: loops, then native code.
struct Compiled {
    kernels: [Arc<dyn Kernel>; 2],
    /// The least time of compilation to native code, in microseconds.
    compile_time: f64,
}

impl Compiled {
    fn new(simd: Simd, program: &Arc<Program>) -> Self {
        let native = simd.with_native_code();
        let compile = |_| {
            let start = Instant::now();
            drop(native.compile(program).unwrap());
            start.elapsed().as_secs_f64() * 1e6
        };
        let compile_time = (0..50).map(compile).fold(f64::INFINITY, f64::min);
        Self { kernels: [simd, native].map(|backend| backend.compile(program).unwrap()), compile_time }
    }

    /// The times of evaluation to an array.
    fn array_times(&self, arrays: &[ArrayRef], rows: usize) -> [f64; 2] {
        // Aligned for stores past the caches.
        let mut memory = [(); 2].map(|()| vec![MaybeUninit::new(0u8); rows * 8 + 64]);
        let targets = memory.each_mut().map(|memory| {
            let first = memory.as_ptr().align_offset(64);
            &mut memory[first..][..rows * 8]
        });
        let context = KernelContext { non_temporal: rows > CACHED_ROWS, ..KernelContext::default() };
        let mut kernels = self.kernels.iter();
        let functions = targets.map(|target| {
            let (kernel, context) = (kernels.next().unwrap(), &context);
            Box::new(move || {
                kernel.evaluate_into(arrays, rows, context, target).unwrap();
            }) as Box<dyn FnMut() + '_>
        });
        least_times(rows, functions)
    }

    /// The times of evaluation to a sum.
    fn sum_times(&self, arrays: &[ArrayRef], rows: usize) -> [f64; 2] {
        let context = KernelContext::default();
        let functions = [0, 1].map(|one| {
            let (kernel, context) = (&self.kernels[one], &context);
            Box::new(move || {
                let reductions = Reductions { sum: true, min: false, max: false, moments: false };
                let mut sum = [Accumulator::new(ScalarType::F64, reductions)];
                kernel.reduce(arrays, rows, context, &mut sum).unwrap();
            }) as Box<dyn FnMut() + '_>
        });
        least_times(rows, functions)
    }
}

/// The loop of [`warpframe_cpu::kernel::log3`], in the place of a kernel for memory of `f64`.
#[derive(Debug)]
struct ByHand(SimdPath);

impl Kernel for ByHand {
    fn description(&self) -> String {
        format!("by hand, {}", self.0)
    }

    fn evaluate(&self, _: &[ArrayRef], _: usize, _: &KernelContext) -> Result<Evaluated> {
        Err(Error::InvalidInput("the loop writes to memory of the caller".to_owned()))
    }

    fn evaluate_into(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        _: &KernelContext,
        target: &mut [MaybeUninit<u8>],
    ) -> Result<Option<NullBuffer>> {
        let [x, y, z] = [0, 1, 2].map(|input| inputs[input].as_primitive::<Float64Type>().values().as_ref());
        assert!(target.len() == rows * 8 && target.as_ptr().cast::<f64>().is_aligned());
        // SAFETY: the memory is initialized, aligned and has a number for each row.
        let output = unsafe { std::slice::from_raw_parts_mut(target.as_mut_ptr().cast::<f64>(), rows) };
        warpframe_cpu::kernel::log3_on(self.0, x, y, z, output).unwrap();
        Ok(None)
    }
}

/// The least of the times of two functions that alternate, in nanoseconds per row.
fn least_times(rows: usize, mut functions: [Box<dyn FnMut() + '_>; 2]) -> [f64; 2] {
    let mut least = [f64::INFINITY; 2];
    for _ in 0..(20_000_000 / rows).clamp(20, 2000) {
        for (least, function) in least.iter_mut().zip(&mut functions) {
            let start = Instant::now();
            function();
            *least = least.min(start.elapsed().as_secs_f64() * 1e9 / rows as f64);
        }
    }
    least
}

/// Measures the formulas whose names contain a text, and prints a table.
fn measure(simd: Simd, path: SimdPath, rows: usize, chosen: &str) {
    let mut seed = 12345u64;
    let mut random = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / 2f64.powi(53) * 99.0 + 1.0
    };
    let column = |()| Arc::new(Float64Array::from_iter_values((0..rows).map(|_| random()))) as ArrayRef;
    let arrays = [(); 3].map(column);
    println!("\n{path}, {rows} rows: nanoseconds per row, microseconds of compilation");
    println!("{:<30} {:>8} {:>8} {:>6} {:>8}  code", "", "loops", "native", "ratio", "compile");
    let mut logarithms = Vec::new();
    let mut print = |name: String, compiled: &Compiled, [loops, native]: [f64; 2]| {
        let (ratio, code) = (loops / native, compiled.kernels[1].description());
        println!("{name:<30} {loops:>8.3} {native:>8.3} {ratio:>6.2} {:>8.0}  {code}", compiled.compile_time);
        logarithms.push(ratio.ln());
    };
    let formulas = || FORMULAS.into_iter().filter(|(name, _)| name.contains(chosen));
    for (name, body) in formulas() {
        let compiled = Compiled::new(simd, &program(body, None));
        print(name.to_owned(), &compiled, compiled.array_times(&arrays, rows));
    }
    if "log3".contains(chosen) || "logarithms".contains(chosen) {
        let (_, body) = FORMULAS[6];
        let mut compiled = Compiled::new(simd, &program(body, None));
        compiled.kernels[0] = Arc::new(ByHand(path));
        print("log3 by hand".to_owned(), &compiled, compiled.array_times(&arrays, rows));
    }
    for (name, body) in formulas().filter(|(name, _)| SUMS.contains(name)) {
        for limit in [None, Some(10.0), Some(90.0)] {
            let compiled = Compiled::new(simd, &program(body, limit));
            let filter = limit.map_or(String::new(), |limit| format!(", {limit} % pass"));
            print(format!("sum({name}){filter}"), &compiled, compiled.sum_times(&arrays, rows));
        }
    }
    let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
    println!("{:<30} {:>8} {:>8} {:>6.2}", "geometric mean", "", "", mean.exp());
}

fn main() {
    let chosen = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for path in [SimdPath::Avx2, SimdPath::Avx512] {
        match Simd::on(path) {
            Ok(simd) => {
                [CACHED_ROWS, 2_000_000].into_iter().for_each(|rows| measure(simd, path, rows, &chosen))
            }
            Err(error) => println!("{path}: SKIPPED, {error}"),
        }
    }
}
