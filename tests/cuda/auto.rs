//! How `auto` decides between the CPU and a GPU, and the batches that GPUs get. The model is tested by itself, and by the plans
//! that sessions with simulated GPUs make.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions::expr_fn::{exp, ln};
use datafusion::prelude::{Expr, SessionConfig, SessionContext, col, lit};
use warpframe::backends::Backends;
use warpframe::cost_model::CostModel;
use warpframe::cuda::{Calibration, measure};
use warpframe::ir::{KernelUse, Program};
use warpframe::lowering::compile;
use warpframe::{Execution, Session, install_with};

use super::{FAST_BUS, assert_nothing_leaked, rows, session, simd, simulated_gpus, text};
use crate::common::gpu::{Controls, FakeDriver, Operation};
use crate::common::skipped;

const ROWS: KernelUse = KernelUse { reduces: false, decodes: false };
const REDUCED: KernelUse = KernelUse { reduces: true, ..ROWS };
const DECODED: KernelUse = KernelUse { decodes: true, ..ROWS };

/// A program over columns of a type.
fn program(expr: Expr, data_type: DataType) -> Arc<Program> {
    let fields = ["x", "y"].map(|name| Field::new(name, data_type.clone(), false)).to_vec();
    compile(&expr, &Schema::new(fields)).unwrap().program
}

/// Three costly ops of one column.
fn costly() -> Expr {
    ln(exp(ln(col("x"))))
}

#[test]
fn memory_limits_the_cpu_on_all_cores() {
    let program = program(costly(), DataType::Float64);
    let rates = Calibration { stage: 40.0, ..FAST_BUS };
    // 16 bytes at 20 GB/s are 0.8 ns; the ops take less on many cores.
    let cost = CostModel::of(&program, &rates, 64, ROWS);
    assert_eq!((cost.cpu, cost.cpu_bottleneck), (0.8, "its memory"));
    assert!(cost.gpu_from.is_some(), "{cost:?}");
    let fast_memory = CostModel::of(&program, &Calibration { host_copy: 1000.0, ..rates }, 64, ROWS);
    assert_eq!((fast_memory.cpu, fast_memory.gpu_from), (3.0 / 64.0, None));
    assert_eq!(CostModel::of(&program, &rates, 1, ROWS).cpu_bottleneck, "its ops");
}

#[test]
fn the_directions_of_the_bus_share_its_bandwidth() {
    let program = program(costly(), DataType::Float64);
    let of = |two_way| CostModel::of(&program, &Calibration { two_way, ..FAST_BUS }, 1, ROWS);
    assert!(of(100.0).gpu_from.is_some());
    let shared = of(4.0);
    assert_eq!((shared.gpu, shared.bottleneck, shared.gpu_from), (4.0, "the bus", None));
}

#[test]
fn the_bus_and_the_kernel_work_while_rows_are_decoded() {
    let program = program(costly(), DataType::Float64);
    let rates = Calibration { h2d: 3.0, ..FAST_BUS };
    assert_eq!(CostModel::of(&program, &rates, 1, ROWS).gpu_from, None);
    let decoded = CostModel::of(&program, &rates, 1, DECODED);
    // What the GPU adds is copying 8 bytes at 10 GB/s into page-locked memory.
    assert_eq!((decoded.gpu, decoded.bottleneck), (0.8, "copying into page-locked memory"));
    assert!(decoded.gpu_from.is_some());
    // On 8 cores decoding takes 1 ns a row, and the bus 2.67.
    let bus = CostModel::of(&program, &rates, 8, DECODED);
    assert_eq!((bus.gpu, bus.bottleneck), (8.0 / 3.0 - 1.0, "the bus"));
}

#[test]
fn narrow_columns_have_half_the_bytes_and_faster_ops() {
    let rates = Calibration { h2d: 3.0, ..FAST_BUS };
    let of = |data_type| CostModel::of(&program(costly(), data_type), &rates, 1, ROWS);
    let (wide, narrow) = (of(DataType::Float64), of(DataType::Float32));
    assert_eq!((wide.gpu, wide.cpu), (8.0 / 3.0, 3.0));
    assert_eq!((narrow.gpu, narrow.cpu, narrow.gpu_from), (4.0 / 3.0, 1.5, None));
}

#[test]
fn conditions_and_reductions_return_few_bytes() {
    let rates = Calibration { d2h: 1.0, ..FAST_BUS };
    let values = program(costly(), DataType::Float64);
    let arrays = CostModel::of(&values, &rates, 1, ROWS);
    assert_eq!((arrays.gpu, arrays.bottleneck, arrays.gpu_from), (8.0, "the bus", None));
    let reduced = CostModel::of(&values, &rates, 1, REDUCED);
    assert!(reduced.gpu < 1.0 && reduced.gpu_from.is_some(), "{reduced:?}");
    let condition = program(costly().gt(lit(1.0)), DataType::Float64);
    let condition = CostModel::of(&condition, &rates, 1, ROWS);
    assert!(condition.gpu < 1.0 && condition.gpu_from.is_some(), "{condition:?}");
}

/// A session on one thread with a table `t` in memory, of columns x and y of `f64` and z of `f32`, and a copy `p` of it in a
/// Parquet file.
struct Planned {
    session: Session,
    controls: Arc<Controls>,
    _folder: tempfile::TempDir,
}

impl Planned {
    async fn with(calibration: Calibration) -> Self {
        let (gpus, controls) = FakeDriver::with_calibration(1, calibration);
        let session = Session::builder().gpus(gpus).threads(1.try_into().unwrap()).build().unwrap();
        let wide: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.5]));
        let narrow: ArrayRef = Arc::new(Float32Array::from(vec![1.5, 2.5]));
        let columns = [("x", Arc::clone(&wide)), ("y", wide), ("z", narrow)];
        session.context().register_batch("t", RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.parquet").display().to_string();
        rows(&session, &format!("COPY t TO '{file}'")).await;
        rows(&session, &format!("CREATE EXTERNAL TABLE p STORED AS PARQUET LOCATION '{file}'")).await;
        Self { session, controls, _folder: folder }
    }

    async fn plan(&self, query: &str) -> String {
        text(&self.session, &format!("EXPLAIN FORMAT INDENT {query}")).await
    }

    /// Panics unless the plan of a query uses a GPU, or only the CPU.
    async fn assert_uses(&self, gpu: bool, query: &str) {
        let plan = self.plan(query).await;
        let (on_gpu, on_cpu) = (plan.contains("cuda Imaginary; GPU from "), plan.contains("; no GPU: "));
        // The logical plan is made before it is known where the rows come from.
        let physical = plan.rsplit("physical_plan").next().unwrap();
        assert!(on_gpu || on_cpu, "{plan}");
        assert_eq!(physical.contains("cuda Imaginary; GPU from "), gpu, "{query}\n{plan}");
        assert_eq!(physical.contains("GpuBatchExec: batch_rows="), gpu, "{query}\n{plan}");
    }
}

#[tokio::test]
async fn plans_use_a_gpu_by_what_limits_the_cpu_and_the_bus() {
    let cheap = "SELECT x * y + x AS r FROM t";
    Planned::with(FAST_BUS).await.assert_uses(false, cheap).await;
    let planned = Planned::with(Calibration { stage: 40.0, ..FAST_BUS }).await;
    planned.assert_uses(true, cheap).await;
    let plan = planned.plan(cheap).await;
    assert!(plan.contains("the CPU 1.20 by its memory"), "{plan}");
    let costly = "SELECT ln(exp(ln(x))) AS r FROM t";
    Planned::with(FAST_BUS).await.assert_uses(true, costly).await;
    Planned::with(Calibration { two_way: 4.0, ..FAST_BUS }).await.assert_uses(false, costly).await;
}

#[tokio::test]
async fn plans_use_a_gpu_by_what_is_done_with_the_results() {
    let planned = Planned::with(Calibration { d2h: 1.0, ..FAST_BUS }).await;
    planned.assert_uses(false, "SELECT ln(exp(ln(x))) AS r FROM t").await;
    planned.assert_uses(true, "SELECT sum(ln(exp(ln(x)))) AS r FROM t").await;
    planned.assert_uses(true, "SELECT x FROM t WHERE ln(exp(ln(x))) > 1").await;
}

#[tokio::test]
async fn plans_use_a_gpu_by_where_the_rows_come_from() {
    let planned = Planned::with(Calibration { h2d: 3.0, ..FAST_BUS }).await;
    for query in [
        "SELECT ln(exp(ln(x))) AS r FROM",
        "SELECT x FROM {} WHERE ln(exp(ln(x))) > 1",
        "SELECT sum(ln(exp(ln(x)))) AS r FROM",
        "SELECT ln(exp(ln(x))) AS r, ln(exp(ln(x))) + x AS s FROM",
    ] {
        let from = |table: &str| match query.contains("{}") {
            true => query.replace("{}", table),
            false => format!("{query} {table}"),
        };
        planned.assert_uses(false, &from("t")).await;
        planned.assert_uses(true, &from("p")).await;
        // A sort holds the rows back: none is decoded while they are evaluated.
        planned.assert_uses(false, &from("(SELECT * FROM p ORDER BY x LIMIT 100)")).await;
        let (of_table, of_file) =
            (rows(&planned.session, &from("t")).await, rows(&planned.session, &from("p")).await);
        assert_eq!(of_table, of_file);
    }
}

#[tokio::test]
async fn plans_use_a_gpu_by_the_width_of_columns() {
    let planned = Planned::with(Calibration { h2d: 3.7, ..FAST_BUS }).await;
    planned.assert_uses(true, "SELECT ln(exp(ln(x))) AS r FROM t").await;
    planned.assert_uses(true, "SELECT ln(exp(ln(z))) AS r FROM t").await;
    let planned = Planned::with(Calibration { h2d: 3.0, ..FAST_BUS }).await;
    let narrow = "SELECT ln(exp(ln(z))) AS r FROM t";
    planned.assert_uses(false, narrow).await;
    let plan = planned.plan(narrow).await;
    assert!(plan.contains("no GPU: 1.33 ns a row by the bus, the CPU 1.50 by its ops"), "{plan}");
}

/// Two threads of a core do not compute faster than one.
#[tokio::test]
async fn threads_are_counted_by_their_physical_cores() {
    let Some(cores) = sysinfo::System::physical_core_count() else {
        return skipped("the system does not report its cores");
    };
    let plan = async |threads: usize| {
        let (gpus, _) = FakeDriver::gpus(1);
        let session = Session::builder().gpus(gpus).threads(threads.try_into().unwrap()).build().unwrap();
        let plan = text(&session, "EXPLAIN FORMAT INDENT SELECT ln(exp(ln(x))) AS r FROM rows").await;
        plan.lines()
            .find_map(|line| Some(line.split_once("; no GPU: ")?.1.split_once(']')?.0.to_owned()))
            .unwrap()
    };
    assert_eq!(plan(2 * cores).await, plan(cores).await);
}

#[tokio::test]
async fn a_failed_calibration_is_remembered_and_shown() {
    let (gpus, controls) = FakeDriver::uncalibrated(1);
    controls.fail_nth(Operation::Open, 1);
    let session = Session::builder().gpus(Arc::new(gpus)).build().unwrap();
    for query in ["SELECT log3(x, y, z) AS r FROM rows", "SELECT ln(x) * exp(y) AS r FROM rows"] {
        let plan = text(&session, &format!("EXPLAIN FORMAT INDENT {query}")).await;
        assert!(
            plan.contains("; no GPU: it cannot be calibrated: Open fails on request of the test]("),
            "{plan}"
        );
        rows(&session, &format!("{query} LIMIT 1")).await;
    }
    assert_eq!(controls.opened(), 0, "the GPU is not opened again");
}

#[tokio::test]
async fn without_a_compiler_auto_uses_shipped_kernels() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    controls.compiler.store(false, std::sync::atomic::Ordering::Relaxed);
    let rates = measure(&gpus, &(Arc::new(simd()) as _)).unwrap();
    assert!(rates.gpu_costly_f32 > 0.0, "the kernels of the calibration are shipped");
    assert_eq!(gpus.allocated_bytes(), 0, "the memory of the measurement is freed");
    assert_nothing_leaked(gpus, &controls);

    let planned = Planned::with(FAST_BUS).await;
    planned.controls.compiler.store(false, std::sync::atomic::Ordering::Relaxed);
    planned.assert_uses(true, "SELECT log3(x, y, z) AS r FROM rows").await;
    for query in ["SELECT ln(exp(ln(x))) AS r FROM t", "SELECT sum(ln(exp(ln(x)))) AS r FROM t"] {
        planned.assert_uses(false, query).await;
        let plan = planned.plan(query).await;
        assert!(plan.contains("; no GPU: there is no compiler"), "{plan}");
        assert_eq!(rows(&planned.session, query).await.len(), 1);
    }
    assert_eq!(planned.controls.opened(), 0);

    // A selected backend without a compiler refuses other programs when they are planned.
    let session = &planned.session;
    rows(session, "SET warpframe.backend = 'cuda'").await;
    let sum = "SELECT sum(log3(x, y, z)) AS r FROM rows WHERE x <= 100";
    let plan = planned.plan(sum).await;
    assert!(
        plan.contains("log3[cuda Imaginary]") && !plan.contains("Fused"),
        "the filter has no kernel: {plan}"
    );
    let sum = "SELECT sum(log3(x, y, z)) AS r FROM generate_rows(100)";
    let plan = planned.plan(sum).await;
    assert!(plan.contains("FusedAggregateExec: backend=cuda Imaginary, "), "{plan}");
    assert_eq!(rows(session, sum).await[0].num_rows(), 1);
    assert!(planned.controls.launches().len() == 1);
    let refused = session.sql("SELECT ln(x) * exp(y) AS r FROM rows LIMIT 1").await.unwrap().collect().await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("there is no compiler"), "{refused}");
}

#[tokio::test]
async fn only_operators_with_gpu_kernels_get_large_batches() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let session = session(&gpus);
    rows(&session, "SET warpframe.backend = 'cuda'").await;
    let query = "SELECT c, log3(a + 1, b + 1, c + 1) AS r FROM t ORDER BY r, c";
    let plan = text(&session, &format!("EXPLAIN FORMAT INDENT {query}")).await;
    let plan = plan.rsplit("physical_plan").next().unwrap();
    let operators = ["SortExec", "ProjectionExec", "GpuBatchExec: batch_rows=1048576", "DataSourceExec"];
    let at = operators.map(|operator| plan.find(operator).unwrap_or_else(|| panic!("{operator}: {plan}")));
    assert!(at.is_sorted(), "{plan}");
    let batches = rows(&session, query).await;
    let most = batches.iter().map(RecordBatch::num_rows).max().unwrap();
    assert!(most <= session.context().copied_config().batch_size(), "the sort makes batches of {most} rows");
    assert_eq!(controls.launches().len(), 1, "the kernel runs on all rows");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);

    // The batches of an operator that holds rows back are put together too, in each of two partitions.
    rows(&session, "SET datafusion.execution.batch_size = 1000").await;
    let above_sort =
        "SELECT log3(c, c, n) AS r FROM (SELECT c, row_number() OVER (ORDER BY a, c) AS n FROM t)";
    rows(&session, above_sort).await;
    assert!(controls.launches().len() <= 3, "{:?}", controls.launches());
    let plan = text(&session, &format!("EXPLAIN ANALYZE {above_sort}")).await;
    let sort = plan.lines().find(|line| line.contains("SortExec")).unwrap();
    let batches = sort.split("output_batches=").nth(1).unwrap().split([',', ']']).next().unwrap();
    assert!(batches.parse::<usize>().unwrap() >= 10, "the sort makes batches of 1000 rows: {plan}");

    // Joins evaluate functions on the rows that they make.
    let join = "SELECT count(*) AS n FROM t AS one JOIN t AS other ON one.c = other.c AND log3(one.a, other.b, one.c + other.b) > 5";
    let plan = text(&session, &format!("EXPLAIN ANALYZE {join}")).await;
    let line = plan.lines().find(|line| line.contains("GpuBatchExec")).unwrap_or_else(|| panic!("{plan}"));
    assert!(!line.contains("batch_rows") && line.contains("h2d_bytes="), "{plan}");
    let on_gpu = rows(&session, join).await;
    rows(&session, "SET warpframe.backend = 'simd'").await;
    assert_eq!(on_gpu, rows(&session, join).await);
    drop((session, on_gpu));
    assert_nothing_leaked(gpus, &controls);
}

/// A table in memory of 100 batches of 200 rows, with columns x, y and z.
fn small_batches() -> Arc<MemTable> {
    let batch = |number: usize| {
        let numbers = (0..200).map(|row| (200 * number + row) as f64 + 1.0);
        let column: ArrayRef = Arc::new(Float64Array::from_iter_values(numbers));
        RecordBatch::try_from_iter(["x", "y", "z"].map(|name| (name, Arc::clone(&column)))).unwrap()
    };
    let batches: Vec<_> = (0..100).map(batch).collect();
    Arc::new(MemTable::try_new(batches[0].schema(), vec![batches]).unwrap())
}

#[tokio::test]
async fn small_batches_are_put_together_for_gpus() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    let session = Session::builder().gpus(Arc::clone(&gpus)).threads(1.try_into().unwrap()).build().unwrap();
    session.context().register_table("m", small_batches()).unwrap();
    rows(&session, "SET warpframe.backend = 'cuda'").await;
    for (number, query) in [
        "SELECT x, log3(x, y, z) AS r FROM m",
        "SELECT sum(log3(x, y, z)) AS r FROM m",
        "SELECT x, sqrt(x) * y AS r FROM m WHERE sqrt(x) * y > 0",
    ]
    .into_iter()
    .enumerate()
    {
        let batches = rows(&session, query).await;
        assert_eq!(controls.launches().len(), number + 1, "{query}");
        if number != 1 {
            let x = batches
                .iter()
                .flat_map(|batch| batch.column(0).as_primitive::<Float64Type>().values().to_vec());
            assert!(x.eq((1..=20_000).map(f64::from)), "the rows keep their order");
        }
    }
    drop(session);
    assert_nothing_leaked(gpus, &controls);
}

#[tokio::test]
async fn batches_stay_small_if_memory_is_exhausted() {
    let Some((gpus, controls)) = simulated_gpus(1) else { return };
    // Enough for 20 of the 100 batches.
    let pool = Arc::new(GreedyMemoryPool::new(100_000));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool.clone()).build_arc().unwrap();
    let config = SessionConfig::new().with_target_partitions(1);
    let builder =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features();
    let backends = Arc::new(Backends::on(Some(Arc::clone(&gpus))));
    let context = SessionContext::new_with_state(install_with(builder, backends, Execution::Local).build());
    context.register_table("m", small_batches()).unwrap();
    context.sql("SET warpframe.backend = 'cuda'").await.unwrap();
    let query = context.sql("SELECT x, log3(x, y, z) AS r FROM m").await.unwrap();
    let batches = query.collect().await.unwrap();
    let sizes: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 20_000);
    assert!(sizes.contains(&200) && sizes.iter().any(|rows| *rows > 200), "{sizes:?}");
    let x = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Float64Type>().values().to_vec());
    assert!(x.eq((1..=20_000).map(f64::from)), "the rows keep their order");
    drop((context, batches));
    assert_eq!(datafusion::execution::memory_pool::MemoryPool::reserved(pool.as_ref()), 0);
    assert_nothing_leaked(gpus, &controls);
}
