//! Kernels without a query: from an expression of DataFusion, and from instructions without it. `cargo run --release --example
//! compile`

use std::error::Error;
use std::sync::Arc;

use warpframe::arrow::array::{ArrayRef, Float64Array};
use warpframe::arrow::datatypes::{DataType, Field, Schema};
use warpframe::cpu::Simd;
use warpframe::datafusion::functions::expr_fn::sqrt;
use warpframe::datafusion::prelude::col;
use warpframe::ir::{
    Backend, Binary, Builder, Comparison, Evaluated, Input, KernelContext, Output, ScalarType, Unary,
};
use warpframe::lowering::compile;

fn main() -> Result<(), Box<dyn Error>> {
    let a: ArrayRef = Arc::new(Float64Array::from(vec![3.0, 5.0, 0.0]));
    let b: ArrayRef = Arc::new(Float64Array::from(vec![Some(4.0), Some(12.0), None]));

    // An expression over the columns of a schema. Types are coerced as in a query.
    let fields = [Field::new("a", DataType::Float64, false), Field::new("b", DataType::Float64, true)];
    let dist = compile(&sqrt(col("a") * col("a") + col("b") * col("b")), &Schema::new(fields.to_vec()))?;
    println!("{:?} of {}", dist.evaluate(&[Arc::clone(&a), Arc::clone(&b)])?, dist.columns.join(", "));

    // The same as a program: `warpframe-ir` and `warpframe-cpu` have what this part needs, and do not depend on DataFusion.
    let mut builder = Builder::new();
    let x = builder.add_input(Input { data_type: DataType::Float64, nullable: false });
    let y = builder.add_input(Input { data_type: DataType::Float64, nullable: true });
    let (x2, y2) = (builder.binary(Binary::Multiply, x, x), builder.binary(Binary::Multiply, y, y));
    let sum = builder.binary(Binary::Add, x2, y2);
    let root = builder.unary(Unary::Sqrt, sum);
    // A predicate selects the rows of the outputs.
    let ten = builder.const_float(ScalarType::F64, 10.0);
    let is_far = builder.compare(Comparison::Lt, ten, root);
    let program = builder.finish(vec![Output { value: root, data_type: DataType::Float64 }], Some(is_far))?;
    print!("{program}");

    let kernel = Simd::active()?.compile(&Arc::new(program))?;
    let Evaluated { columns, rows } = kernel.evaluate(&[a, b], 3, &KernelContext::default())?;
    println!("{} has selected {rows} of 3 rows: {:?}", kernel.description(), columns[0]);
    Ok(())
}
