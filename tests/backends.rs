//! The registry of backends: kernels are compiled once, an option names the backend, and functions are bound and get
//! their memory pool also where another process than the planning one executes the plan.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::Float64Type;
use common::gpu::{FakeDriver, has_compiler};
use common::kernels::log3;
use common::skipped;
use datafusion::config::ConfigOptions;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use warpframe::backends::Backends;
use warpframe::cuda::metrics::{BATCHES, FALLBACK_BATCHES};
use warpframe::ir::{Backend, Error, Interpreter, Kernel, Program, ScalarType};
use warpframe::options::WarpframeOptions;
use warpframe::planner::{for_each_fused_function, prepare, set_memory};
use warpframe::{Execution, Session, install, install_with};

/// The interpreter, with a slow compiler that counts, and that fails a number of times.
#[derive(Debug, Clone, Default)]
struct Counting {
    compiled: Arc<AtomicUsize>,
    failures: Arc<AtomicUsize>,
}

impl Counting {
    fn compiled(&self) -> usize {
        self.compiled.load(Ordering::SeqCst)
    }

    fn backends(&self) -> Backends {
        let backend = self.clone();
        Backends::default().register("counting", move |_| Ok(Arc::new(backend.clone())))
    }
}

impl Backend for Counting {
    fn description(&self) -> String {
        "counting".to_owned()
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>, Error> {
        self.compiled.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        let fails =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match fails {
            Ok(_) => Err(Error::backend(std::io::Error::other("the compiler is not there yet"))),
            Err(_) => Interpreter.compile(program),
        }
    }
}

fn options(backend: &str, backends: &Backends) -> ConfigOptions {
    let mut options = ConfigOptions::new();
    let backend_names = backends.names().into();
    options.extensions.insert(WarpframeOptions {
        backend: backend.to_owned(),
        backend_names,
        ..WarpframeOptions::default()
    });
    options
}

#[test]
fn a_kernel_is_compiled_once_however_many_threads_ask() {
    let counting = Counting::default();
    let backends = counting.backends();
    let options = options("counting", &backends);
    let kernels: Vec<_> = std::thread::scope(|scope| {
        let ask = || backends.kernel(&options, &log3(ScalarType::F64)).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(counting.compiled(), 1);
    assert!(kernels.iter().all(|kernel| Arc::ptr_eq(kernel, &kernels[0])));
    backends.kernel(&options, &log3(ScalarType::F32)).unwrap();
    assert_eq!(counting.compiled(), 2, "another type is another program");
}

#[test]
fn a_failed_compilation_is_tried_again() {
    let counting = Counting::default();
    counting.failures.store(1, Ordering::SeqCst);
    let backends = counting.backends();
    let options = options("counting", &backends);
    let error = backends.kernel(&options, &log3(ScalarType::F64)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("the compiler is not there yet"), "{error}");
    assert!(backends.kernel(&options, &log3(ScalarType::F64)).is_ok());
    assert_eq!(counting.compiled(), 2);
}

async fn sum(context: &SessionContext, query: &str) -> f64 {
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    batches[0].column(0).as_primitive::<Float64Type>().value(0)
}

#[tokio::test]
async fn queries_with_equal_expressions_share_a_kernel() {
    let counting = Counting::default();
    let session = Session::builder().backends(counting.backends()).backend("counting").build().unwrap();
    let query = "SELECT sum(log3(x, y, z)) FROM generate_rows(1000)";
    let first = sum(session.context(), query).await;
    assert_eq!(sum(session.context(), query).await, first);
    assert_eq!(counting.compiled(), 1);
    // Constants are folded outside of the plan.
    assert!(sum(session.context(), "SELECT log3(2, 3, 4)").await > 1.0);
}

#[tokio::test]
async fn registered_backends_can_be_named_and_others_cannot() {
    let session = Session::builder().backends(Counting::default().backends()).build().unwrap();
    session.sql("SET warpframe.backend = 'Counting'").await.unwrap();
    let plan = session
        .sql("EXPLAIN FORMAT INDENT SELECT log3(x, y, z) FROM rows")
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    let plan = arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    assert!(plan.contains("log3[interpreted]"), "the description is the kernel's: {plan}");
    let refused = session.sql("SET warpframe.backend = 'other'").await.map(|_| ()).unwrap_err();
    let names = "there is no backend 'other': use one of auto, interpreted, simd, native, cuda, counting";
    assert!(refused.to_string().contains(names), "{refused}");
    let refused = Session::builder().backend("counting").build().map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("use one of auto, interpreted, simd, native, cuda"), "{refused}");
}

#[tokio::test]
async fn a_plain_session_context_gets_everything() {
    let config = SessionConfig::new().with_target_partitions(2).with_batch_size(100);
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    let context = SessionContext::new_with_state(install(builder).build());
    assert_eq!(context.copied_config().batch_size(), 100, "options that were set stay");

    let plan = context.sql("EXPLAIN SELECT ln(x) * exp(y) AS r, log3(x, y, z) FROM generate_rows(10)").await;
    let plan = plan.unwrap().collect().await.unwrap();
    let plan = arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    for start in ["FusedExec: backend=", "log3["] {
        let is_shown = ["simd", "native"].iter().any(|code| plan.contains(&format!("{start}{code}")));
        assert!(is_shown, "{start}: {plan}");
    }
    context.sql("CREATE FUNCTION twice(DOUBLE) RETURNS DOUBLE RETURN 2 * $1").await.unwrap();
    assert_eq!(sum(&context, "SELECT twice(21.0)").await, 42.0);
    context.sql("SET warpframe.backend = 'interpreted'").await.unwrap();
    let expected: f64 = (1..=10).map(|x| f64::from(x).ln().powi(3)).sum();
    let found = sum(&context, "SELECT sum(log3(x, y, z)) FROM generate_rows(10)").await;
    assert!((found - expected).abs() < 1e-9 * expected, "{found} {expected}");

    // NaN is not in the statistics of a Parquet file.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.parquet").to_string_lossy().into_owned();
    let column: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 3.0]));
    context.register_batch("t", RecordBatch::try_from_iter([("x", column)]).unwrap()).unwrap();
    context.sql(&format!("COPY t TO '{file}'")).await.unwrap().collect().await.unwrap();
    context.register_parquet("stored", &file, Default::default()).await.unwrap();
    let batches = context.sql("SELECT x FROM stored WHERE isnan(x) OR x > 3").await.unwrap().collect().await;
    assert_eq!(batches.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

/// On executors functions arrive unbound. The task's memory pool has to see what GPUs take.
#[tokio::test]
async fn functions_are_bound_by_who_executes_the_plan() {
    if !has_compiler() {
        return skipped("there is no C++ compiler to make kernels for the CPU with");
    }
    for (limit, gpu, cpu) in [(1 << 30, 1, 0), (1 << 10, 0, 1)] {
        let (gpus, controls) = FakeDriver::gpus(1);
        let pool = Arc::new(GreedyMemoryPool::new(limit));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
        let builder = SessionStateBuilder::new().with_runtime_env(runtime).with_default_features();
        let backends = Arc::new(Backends::on(Some(Arc::clone(&gpus))));
        let context =
            SessionContext::new_with_state(install_with(builder, backends, Execution::Remote).build());
        context.sql("SET warpframe.backend = 'cuda'").await.unwrap();
        let query = context.sql("SELECT log3(x, y, z) AS r FROM generate_rows(10000)").await.unwrap();
        let plan = query.create_physical_plan().await.unwrap();
        let kernels = |plan: &Arc<_>| {
            let mut kernels = Vec::new();
            for_each_fused_function(plan, |function| {
                kernels.push(function.kernel().map(|kernel| kernel.description()));
                Ok(())
            })
            .unwrap();
            kernels
        };
        assert_eq!(kernels(&plan), [None]);
        let plan = prepare(plan, &context.copied_config()).unwrap();
        assert_eq!(kernels(&plan), [Some("cuda Imaginary".to_owned())]);
        let shown = displayable(plan.as_ref()).indent(true).to_string();
        assert!(shown.contains("GpuBatchExec: batch_rows=1048576"), "{shown}");
        let task = context.task_ctx();
        set_memory(&plan, &task).unwrap();
        let rows: usize =
            collect(Arc::clone(&plan), task).await.unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 10_000);
        let mut counts = [0, 0];
        for_each_fused_function(&plan, |function| {
            let metrics = function.metrics().unwrap().snapshot();
            counts = [counts[0] + metrics.count(BATCHES), counts[1] + metrics.count(FALLBACK_BATCHES)];
            Ok(())
        })
        .unwrap();
        let partitions = counts[0] + counts[1];
        assert!(partitions > 0);
        assert_eq!(counts, [gpu * partitions, cpu * partitions], "with a pool of {limit} bytes");
        drop((plan, context, gpus));
        controls.assert_no_violations();
    }
}
