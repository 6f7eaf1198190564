//! The reference workload in one process: the memory bandwidth, the bare kernel, and the engine with one thread and
//! with all cores. The ratios within one run are the result; absolute times depend on the machine.
//!
//! `cargo bench --bench log3`

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use datafusion::datasource::MemTable;
use tokio::runtime::Runtime;
use warpframe::Session;
use warpframe::kernel::{SimdPath, log3_on, par_log3, par_product};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 10_000_000;

fn column() -> Vec<f64> {
    (1..=ROWS).map(|row| row as f64).collect()
}

fn kernels(criterion: &mut Criterion) {
    let (x, y, z, mut output) = (column(), column(), column(), vec![1.0; ROWS]);
    let mut group = criterion.benchmark_group("kernel, 10M rows in memory");
    group
        .throughput(Throughput::Elements(ROWS as u64))
        .measurement_time(Duration::from_secs(4))
        .sample_size(30);
    group.bench_function("limit: x*y*z, all cores", |b| b.iter(|| par_product(&x, &y, &z, &mut output)));
    group.bench_function("log3, all cores", |b| b.iter(|| par_log3(&x, &y, &z, &mut output)));
    for path in SimdPath::available() {
        let name = format!("log3, 1 core, {path}");
        group.bench_function(name, |b| b.iter(|| log3_on(path, &x, &y, &z, &mut output)));
    }
    group.finish();

    // A batch of the engine's size fits in the cache, so that only arithmetic is measured.
    let mut group = criterion.benchmark_group("kernel, 4096 rows in cache");
    group.throughput(Throughput::Elements(4096));
    for path in SimdPath::available() {
        let (x, output) = (&x[..4096], &mut output[..4096]);
        group.bench_function(path.name(), |b| b.iter(|| log3_on(path, x, x, x, output)));
    }
    group.finish();
}

fn engine(criterion: &mut Criterion) {
    let fields = ["x", "y", "z"].map(|name| Field::new(name, DataType::Float64, false));
    let columns = [column(), column(), column()].map(|column| Arc::new(Float64Array::from(column)) as _);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns.to_vec()).unwrap();
    let cores = std::thread::available_parallelism().unwrap();
    let mut group = criterion.benchmark_group("engine, 10M rows collected");
    group
        .throughput(Throughput::Elements(ROWS as u64))
        .measurement_time(Duration::from_secs(6))
        .sample_size(15);
    for threads in [NonZeroUsize::MIN, cores] {
        let runtime = runtime(threads);
        let share = ROWS.div_ceil(threads.get());
        let partitions =
            (0..ROWS).step_by(share).map(|start| vec![batch.slice(start, share.min(ROWS - start))]);
        let table = Arc::new(MemTable::try_new(batch.schema(), partitions.collect()).unwrap());
        // Unfused, by DataFusion's functions, and fused.
        for (expression, fuse) in [("ln(x) * ln(y) * ln(z)", false), ("log3(x, y, z)", true)] {
            let session = Session::builder().threads(threads).fuse(fuse).build().unwrap();
            session.context().deregister_table("rows").unwrap();
            session.context().register_table("rows", Arc::clone(&table) as _).unwrap();
            let query = format!("SELECT {expression} AS r FROM rows");
            group.bench_function(format!("{expression}, {threads} threads"), |b| {
                b.iter(|| {
                    runtime.block_on(async {
                        session.sql(&query).await.unwrap().collect_partitioned().await.unwrap()
                    })
                })
            });
        }
    }
    group.finish();
}

fn runtime(threads: NonZeroUsize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads.get()).enable_all().build().unwrap()
}

criterion_group!(benches, kernels, engine);
criterion_main!(benches);
