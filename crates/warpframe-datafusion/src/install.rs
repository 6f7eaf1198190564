//! Adds everything of this crate to a DataFusion session.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::{TableFunction, TableFunctionImpl};
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use crate::backends::Backends;
use crate::functions::log3_udf;
use crate::functions::statements::SqlFunctions;
use crate::options::WarpframeOptions;
use crate::planner::{
    BindBackend, Fuse, FuseOperators, GpuBatches, KeepProjections, PartitionValues, distrust_float_statistics,
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
/// - rules that correct two faults of DataFusion: statistics of floating-point columns, which say nothing of NaN, lose
///   rows with NaN (apache/datafusion#19089), and partitions are pruned by the text of their folders' names where their
///   values are no text.
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
    builder = builder.with_optimizer_rule(Arc::new(Fuse)).with_optimizer_rule(Arc::new(PartitionValues));
    KeepProjections::wrap(
        &mut builder.physical_optimizers().get_or_insert_with(PhysicalOptimizer::new).rules,
    );
    match execution {
        Execution::Local => builder
            .with_optimizer_rule(Arc::new(BindBackend::new(Arc::clone(&backends))))
            .with_physical_optimizer_rule(Arc::new(FuseOperators::new(backends)))
            .with_physical_optimizer_rule(Arc::new(GpuBatches)),
        Execution::Remote => builder,
    }
}

/// A configuration with the options, those it has kept, and the backends as an extension: what [`install_with`] does to a
/// session's, and what executors of plans need.
pub fn configure(config: SessionConfig, backends: &Arc<Backends>) -> SessionConfig {
    let options =
        WarpframeOptions { backend_names: backends.names().into(), ..WarpframeOptions::of(config.options()) };
    config.with_option_extension(options).with_extension(Arc::clone(backends))
}
