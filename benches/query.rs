//! The time of the phases of a query over rows in memory: SQL to a logical plan, its optimization and the physical plan, and the
//! execution; and the ratio of their sum to the time of the kernel alone, on the same batches and as many threads, which are started
//! for it.
//!
//! `cargo bench --bench query [-- ROWS FORMULA...]`

mod common;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use common::{median, session};
use datafusion::common::DFSchema;
use datafusion::physical_plan::collect_partitioned;
use tokio::runtime::Runtime;
use warpframe::Session;
use warpframe::backends::Backends;
use warpframe::compare::suite::FORMULAS;
use warpframe::ir::{Accumulator, KernelContext, Reductions, ScalarType};
use warpframe::lowering::compile;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEFAULT_ROWS: usize = 4_000_000;
const REPEATS: usize = 41;
/// The rows of a batch of DataFusion.
const BATCH_ROWS: usize = 8192;
/// The pause after each query, as in `warpframe compare --suite`: code and threads have to be woken again.
const PAUSE: Duration = Duration::from_millis(10);

fn main() {
    let (numbers, wanted): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .partition(|argument| argument.parse::<usize>().is_ok());
    let rows = numbers.first().map_or(DEFAULT_ROWS, |number| number.parse().unwrap());
    let batch = columns(rows);
    let cores = std::thread::available_parallelism().unwrap();
    for threads in [NonZeroUsize::MIN, cores] {
        println!("{rows} rows, {threads} threads: microseconds, medians of {REPEATS}");
        println!(
            "{:<22} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}",
            "query", "SQL", "plan", "execute", "total", "kernel", "ratio"
        );
        let runtime = warpframe::runtime_builder(threads).build().unwrap();
        let session = session(Session::builder().threads(threads), &batch, threads.get());
        for formula in
            FORMULAS.iter().filter(|f| wanted.is_empty() || wanted.iter().any(|name| name == f.name))
        {
            for reduces in [false, true] {
                let sql = if reduces { format!("sum({})", formula.sql) } else { formula.sql.to_owned() };
                let query = format!("SELECT {sql} AS r FROM t");
                let kernel = Kernel::new(&session, formula.sql, reduces);
                let mut phases = [Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new()];
                for _ in 0..=REPEATS {
                    let [sql, plan, execution, total] = run(&runtime, &session, &query);
                    let kernel = kernel.run(&batch, threads);
                    let times = [sql, plan, execution, total, kernel];
                    phases.iter_mut().zip(times).for_each(|(phase, time)| phase.push(time));
                }
                // The first run of each is a warm-up.
                let [sql, plan, execution, total, kernel] =
                    phases.map(|times| us(median(times[1..].to_vec())));
                let name = if reduces { format!("sum({})", formula.name) } else { formula.name.to_owned() };
                println!(
                    "{name:<22} {sql:>8.0} {plan:>8.0} {execution:>8.0} {total:>8.0} {kernel:>8.0} {:>6.2}",
                    total / kernel
                );
            }
        }
    }
}

/// The kernel of a formula.
struct Kernel {
    kernel: Arc<dyn warpframe::ir::Kernel>,
    scalar_type: ScalarType,
    columns: Vec<String>,
    reduces: bool,
}

impl Kernel {
    fn new(session: &Session, formula: &str, reduces: bool) -> Self {
        let schema = columns(0).schema();
        let parsed = session
            .context()
            .parse_sql_expr(formula, &DFSchema::try_from(schema.as_ref().clone()).unwrap())
            .unwrap();
        let compiled = compile(&parsed, &schema).unwrap();
        let config = session.context().copied_config();
        let kernel = Backends::shared().kernel(config.options(), &compiled.program).unwrap();
        Self { kernel, scalar_type: compiled.program.output_type(), columns: compiled.columns, reduces }
    }

    /// The time in which threads evaluate all rows, batch after batch.
    fn run(&self, rows: &RecordBatch, threads: NonZeroUsize) -> Duration {
        let share = rows.num_rows().div_ceil(threads.get());
        let evaluate = |thread: usize| {
            let context = KernelContext::default();
            let mut accumulators =
                [Accumulator::new(self.scalar_type, Reductions { sum: true, ..Reductions::default() })];
            let mut results = Vec::new();
            let end = rows.num_rows().min((thread + 1) * share);
            for start in (thread * share..end).step_by(BATCH_ROWS) {
                let batch = rows.slice(start, BATCH_ROWS.min(end - start));
                let inputs: Vec<ArrayRef> =
                    self.columns.iter().map(|name| batch.column_by_name(name).unwrap().clone()).collect();
                match self.reduces {
                    true => {
                        self.kernel.reduce(&inputs, batch.num_rows(), &context, &mut accumulators).unwrap();
                    }
                    false => results.push(self.kernel.evaluate(&inputs, batch.num_rows(), &context).unwrap()),
                }
            }
            (accumulators, results)
        };
        let start = Instant::now();
        let results = std::thread::scope(|scope| {
            let others: Vec<_> =
                (1..threads.get()).map(|thread| scope.spawn(move || evaluate(thread))).collect();
            let own = evaluate(0);
            (own, others.into_iter().map(|other| other.join().unwrap()).collect::<Vec<_>>())
        });
        let time = start.elapsed();
        drop(results);
        std::thread::sleep(PAUSE);
        time
    }
}

/// The times of the phases of a query, and of all.
fn run(runtime: &Runtime, session: &Session, query: &str) -> [Duration; 4] {
    let start = Instant::now();
    let (sql, plan, batches) = runtime.block_on(async {
        let frame = session.sql(query).await.unwrap();
        let sql = start.elapsed();
        let context = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.unwrap();
        let planned = start.elapsed();
        (sql, planned, collect_partitioned(plan, context).await.unwrap())
    });
    let all = start.elapsed();
    drop(batches);
    std::thread::sleep(PAUSE);
    [sql, plan - sql, all - plan, all]
}

fn columns(rows: usize) -> RecordBatch {
    let number = |seed: usize, row: usize| (row * 7919 + seed * 104_729) % 1_000_003 + 1;
    let float = |seed: usize| (0..rows).map(move |row| number(seed, row) as f64 / 10_000.03);
    let columns = ["x", "y", "z"].into_iter().zip(1..);
    let columns = columns.map(|(name, seed)| {
        let array: ArrayRef = Arc::new(Float64Array::from_iter_values(float(seed)));
        (name, array)
    });
    RecordBatch::try_from_iter(columns).unwrap()
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
