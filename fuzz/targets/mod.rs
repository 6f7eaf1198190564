//! What the fuzz targets do with an input, as the stable test `tests/fuzz.rs` does too.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::StreamExt;
use warpframe::Session;
use warpframe::cluster::ClusterCodec;
use warpframe::cpu::Simd;
use warpframe::ir::reduction::CHUNK;
use warpframe::ir::{Accumulator, Backend, KernelContext, Program, Reductions};

/// The names of the targets.
pub const NAMES: [&str; 4] = ["parquet_file", "arrow_file", "plan", "program"];

/// Gives an input to a target. It may be refused with an error, but nothing else may happen.
pub fn run(name: &str, input: &[u8]) {
    match name {
        "parquet_file" => read_file(input, "f.parquet"),
        "arrow_file" => read_file(input, "f.arrow"),
        "plan" => decode_plan(input),
        "program" => evaluate_program(input),
        other => unreachable!("there is no target '{other}'"),
    }
}

/// Opens a file as a table and reads all rows.
fn read_file(input: &[u8], name: &str) {
    let folder = warpframe::private_folder("warpframe-fuzz-").expect("a temporary folder");
    let file = folder.path().join(name);
    std::fs::write(&file, input).expect("a file in a temporary folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let _ = read_rows(&file).await;
    });
}

async fn read_rows(file: &Path) -> datafusion::common::Result<usize> {
    let session = Session::builder().memory_limit(256 << 20).build()?;
    session.register_files("t", &file.to_string_lossy()).await?;
    let mut rows = 0;
    for query in ["SELECT * FROM t", "SELECT count(*) FROM t"] {
        let mut batches = session.sql(query).await?.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            // Looks at all values, as a table on a terminal does.
            rows += arrow::util::pretty::pretty_format_batches(&[batch.slice(0, batch.num_rows().min(100))])?
                .to_string()
                .len();
        }
    }
    Ok(rows)
}

/// Decodes a plan as an executor does.
fn decode_plan(input: &[u8]) {
    let context = SessionContext::new().task_ctx();
    let Ok(plan) = PhysicalPlanNode::try_decode(input) else { return };
    let _ = plan.try_into_physical_plan(&context, &ClusterCodec::default());
}

/// Deserializes a program, which may come over a network, and evaluates it by native code and by loops. The process is aborted if
/// these differ, since panics of targets are only counted.
fn evaluate_program(input: &[u8]) {
    let Ok(program) = serde_json::from_slice::<Program>(input) else { return };
    let columns: Option<Vec<_>> =
        program.inputs().iter().map(|input| column(&input.data_type, input.nullable)).collect();
    let Some(columns) = columns else { return };
    let program = Arc::new(program);
    let evaluate = |backend: Simd| {
        let kernel = backend.compile(&program)?;
        let evaluated = kernel.evaluate(&columns, ROWS, &KernelContext::default())?;
        let mut sums = Vec::new();
        for (start, rows) in [(0, ROWS), (CHUNK, CHUNK), (3 * CHUNK, ROWS - 3 * CHUNK)] {
            let columns: Vec<_> = columns.iter().map(|column| column.slice(start, rows)).collect();
            let outputs = program.outputs().iter();
            let types = outputs.map(|output| program.scalar_type(output.value));
            let mut accumulators: Vec<_> = types.map(|one| Accumulator::new(one, ONLY_SUM)).collect();
            kernel.reduce(&columns, rows, &KernelContext::default(), &mut accumulators)?;
            sums.extend(accumulators.iter().map(|one| (one.count(), one.sum())));
        }
        Ok::<_, warpframe::ir::Error>((evaluated.rows, evaluated.columns, sums))
    };
    let loops = evaluate(Simd::active().expect("a path of this CPU"));
    let native = evaluate(Simd::active().expect("a path of this CPU").with_native_code());
    let are_equal = match (&loops, &native) {
        // The comparison of arrays is one of bits.
        (Ok(loops), Ok(native)) => loops == native,
        (Err(loops), Err(native)) => loops.to_string() == native.to_string(),
        _ => false,
    };
    if !are_equal {
        eprintln!("loops: {loops:?}\nnative code: {native:?}");
        std::process::abort();
    }
}

const ONLY_SUM: Reductions = Reductions { sum: true, min: false, max: false, moments: false };

/// Four chunks of a reduction, two mask words, and a part of one.
const ROWS: usize = 4 * CHUNK + 131;

/// A column of common numbers, with limits and special ones at the start of every other chunk; `None` for types that numbers are not
/// cast to.
fn column(data_type: &DataType, nullable: bool) -> Option<ArrayRef> {
    let is_null = |row: usize| nullable && row % 7 == 3;
    let numbers: ArrayRef = if data_type.is_floating() {
        let special =
            [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE / 4.0];
        let number = |row: usize| special.get(row % (2 * CHUNK)).copied().unwrap_or(row as f64 * 1.7 - 100.0);
        Arc::new((0..ROWS).map(|row| (!is_null(row)).then(|| number(row))).collect::<Float64Array>())
    } else {
        let special = [0, -1, i64::MAX, i64::MIN, i64::from(i32::MAX), i64::from(i32::MIN), 255, 256];
        let number = |row: usize| special.get(row % (2 * CHUNK)).copied().unwrap_or(row as i64 - 1100);
        Arc::new((0..ROWS).map(|row| (!is_null(row)).then(|| number(row))).collect::<Int64Array>())
    };
    cast(&numbers, data_type).ok()
}
