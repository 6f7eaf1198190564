//! The operator that changes the rows of a table.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, TableReference, internal_err, not_impl_datafusion_err};
use datafusion::datasource::MemTable;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, collect,
};
use futures::{TryStreamExt, stream};

use super::change::Change;

/// Changes the rows of a table when it is executed, and returns their number.
#[derive(Debug)]
pub struct ChangeTableExec {
    name: TableReference,
    table: Arc<dyn TableProvider>,
    change: Change,
    session: Arc<SessionState>,
    properties: Arc<PlanProperties>,
}

impl ChangeTableExec {
    /// A change of a table. `schema` is that of the number of rows.
    pub fn new(
        name: TableReference,
        table: Arc<dyn TableProvider>,
        change: Change,
        session: SessionState,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { name, table, change, session: Arc::new(session), properties: Arc::new(properties) }
    }

    /// The table.
    pub fn table(&self) -> &Arc<dyn TableProvider> {
        &self.table
    }
}

impl DisplayAs for ChangeTableExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let lines = self.change.lines();
        match format {
            DisplayFormatType::TreeRender => write!(f, "table={}\n{}", self.name, lines.join("\n")),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "ChangeTableExec: table={}, {}", self.name, lines.join(", "))
            }
        }
    }
}

impl ExecutionPlan for ChangeTableExec {
    fn name(&self) -> &str {
        "ChangeTableExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("ChangeTableExec has one partition, and not {partition}");
        }
        let (name, table) = (self.name.clone(), Arc::clone(&self.table));
        let (change, session) = (self.change.clone(), Arc::clone(&self.session));
        let changed = async move {
            let changed = match table.downcast_ref::<MemTable>() {
                Some(table) => change_in_memory(change, table, &session, context).await,
                None => change_table(change, table.as_ref(), &session, context).await,
            };
            changed.map_err(|error| explained(error, &name, table.as_ref()))
        };
        let batches = stream::once(changed).map_ok(|batches| stream::iter(batches.into_iter().map(Ok)));
        let batches = batches.try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

/// Changes a table in memory, all of its partitions or, after an error or if the future is dropped, none.
async fn change_in_memory(
    change: Change,
    table: &MemTable,
    session: &SessionState,
    context: Arc<TaskContext>,
) -> Result<Vec<RecordBatch>> {
    let mut partitions = Vec::new();
    for partition in &table.batches {
        partitions.push(partition.write().await);
    }
    if partitions.is_empty() {
        return change_table(change, table, session, context).await;
    }
    // The batches share their columns.
    let copied = partitions.iter().map(|partition| partition.to_vec()).collect();
    let copy = MemTable::try_new(table.schema(), copied)?;
    let count = change_table(change.with_conditions_in_order()?, &copy, session, context).await?;
    let mut changed = Vec::new();
    for partition in &copy.batches {
        changed.push(std::mem::take(&mut *partition.write().await));
    }
    for (partition, changed) in partitions.iter_mut().zip(changed) {
        **partition = changed;
    }
    table.sort_order.lock().clear();
    Ok(count)
}

/// Changes a table, and returns the number of rows.
async fn change_table(
    change: Change,
    table: &dyn TableProvider,
    session: &SessionState,
    context: Arc<TaskContext>,
) -> Result<Vec<RecordBatch>> {
    let filters = |condition: Option<_>| condition.into_iter().collect();
    let plan = match change {
        Change::Delete(condition) => table.delete_from(session, filters(condition)).await,
        Change::Update(values, condition) => table.update(session, values, filters(condition)).await,
        Change::Truncate => match table.truncate(session).await {
            Err(error) if is_not_implemented(&error) => table.delete_from(session, Vec::new()).await,
            other => other,
        },
    };
    collect(plan?, context).await
}

fn is_not_implemented(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::NotImplemented(_))
}

/// The error of a table that cannot be changed, in a sentence.
fn explained(error: DataFusionError, name: &TableReference, table: &dyn TableProvider) -> DataFusionError {
    if !is_not_implemented(&error) || table.downcast_ref::<MemTable>().is_some() {
        return error;
    }
    not_impl_datafusion_err!(
        "the rows of table {name} cannot be changed: only tables in memory can be; COPY writes changed rows to new files"
    )
}
