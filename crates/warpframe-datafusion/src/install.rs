//! Adds everything of this crate to a DataFusion session.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::{TableFunction, TableFunctionImpl};
use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::Optimizer;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use crate::backends::Backends;
use crate::functions::log3_udf;
use crate::functions::statements::SqlFunctions;
use crate::long_expressions::LongChains;
use crate::options::WarpframeOptions;
use crate::planner::{
    BindBackend, CorrelatedSubqueries, Equality, ExactFunctions, Fuse, FuseOperators, GpuBatches,
    KeepProjections, PartitionValues, ScalarSubqueries, ShortCircuit, SortKeys, TopKFloats,
    distrust_float_statistics,
};
use crate::rows::GenerateRows;

/// Where the plans of a session run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// In this process: functions are bound to kernels while a query is planned, and `EXPLAIN` shows the backends.
    Local,
    /// In other processes, which bind the functions of a plan before they execute it, by [`prepare`](crate::planner::prepare).
    Remote,
}

/// Adds warpframe to a session of any DataFusion application, with the backends of this machine:
///
/// - the functions `log3` and `generate_rows`, and `CREATE FUNCTION`;
/// - the options `warpframe.*`;
/// - the rules that fuse numeric expressions and evaluate them by a backend;
/// - rules that correct answers of DataFusion, such as those of comparisons of -0.0, of subqueries without rows, and of files
///   with NaN; `docs/differences.md` lists them. Those that need the text of a statement, [`column_names`](crate::column_names)
///   and [`balance`](crate::long_expressions::balance()), are for the caller to apply.
///
/// Options, functions and rules of the builder are kept. Call [`SessionStateBuilder::with_default_features`] before
/// this function.
///
/// ```
/// use datafusion::execution::SessionStateBuilder;
/// use datafusion::prelude::SessionContext;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::error::Result<()> {
/// let state = warpframe_datafusion::install(SessionStateBuilder::new().with_default_features()).build();
/// let context = SessionContext::new_with_state(state);
/// let rows = context.sql("SELECT sum(log3(x, y, z)) FROM generate_rows(1000)").await?.collect().await?;
/// # assert_eq!(rows[0].num_rows(), 1);
/// # Ok(())
/// # }
/// ```
pub fn install(builder: SessionStateBuilder) -> SessionStateBuilder {
    install_with(builder, Arc::default(), Execution::Local)
}

/// Adds warpframe to a session with these backends, for plans that run here or elsewhere; else as [`install`].
pub fn install_with(
    mut builder: SessionStateBuilder,
    backends: Arc<Backends>,
    execution: Execution,
) -> SessionStateBuilder {
    let config = builder.config().take().unwrap_or_default();
    *builder.config() = Some(configure(config, &backends));
    builder.scalar_functions().get_or_insert_default().push(log3_udf());
    let table_functions: &mut HashMap<String, Arc<TableFunction>> =
        builder.table_functions().get_or_insert_default();
    let generate_rows: Arc<dyn TableFunctionImpl> = Arc::new(GenerateRows);
    let name = "generate_rows".to_owned();
    table_functions.insert(name.clone(), Arc::new(TableFunction::new(name, generate_rows)));
    if builder.function_factory().is_none() {
        builder = builder.with_function_factory(Some(Arc::new(SqlFunctions)));
    }
    distrust_float_statistics(&mut builder);
    let physical_rules = &mut builder.physical_optimizers().get_or_insert_with(PhysicalOptimizer::new).rules;
    physical_rules.insert(0, Arc::new(ShortCircuit::First));
    physical_rules.push(Arc::new(TopKFloats));
    KeepProjections::wrap(physical_rules);
    builder.expr_planners().get_or_insert_default().insert(0, Arc::new(LongChains));
    let rules = &mut builder.optimizer().get_or_insert_with(Optimizer::new).rules;
    rules.insert(0, Arc::new(CorrelatedSubqueries));
    rules.insert(1, Arc::new(ExactFunctions));
    builder = builder
        .with_analyzer_rule(Arc::new(ScalarSubqueries))
        .with_optimizer_rule(Arc::new(Fuse))
        .with_optimizer_rule(Arc::new(Equality))
        .with_optimizer_rule(Arc::new(SortKeys))
        .with_optimizer_rule(Arc::new(PartitionValues));
    match execution {
        Execution::Local => builder
            .with_optimizer_rule(Arc::new(BindBackend::new(Arc::clone(&backends))))
            .with_physical_optimizer_rule(Arc::new(FuseOperators::new(backends)))
            .with_physical_optimizer_rule(Arc::new(ShortCircuit::Last))
            .with_physical_optimizer_rule(Arc::new(GpuBatches)),
        Execution::Remote => builder.with_physical_optimizer_rule(Arc::new(ShortCircuit::Last)),
    }
}

/// A configuration with the options, those it has kept, and the backends as an extension: what [`install_with`] does to a
/// session's, and what executors of plans need.
pub fn configure(config: SessionConfig, backends: &Arc<Backends>) -> SessionConfig {
    let options =
        WarpframeOptions { backend_names: backends.names().into(), ..WarpframeOptions::of(config.options()) };
    config.with_option_extension(options).with_extension(Arc::clone(backends))
}
