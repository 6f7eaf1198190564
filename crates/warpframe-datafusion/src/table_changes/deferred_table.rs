//! A table in the plan of a statement that changes it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::change_table_exec::ChangeTableExec;

/// Stands for a table where DataFusion's planner calls the method that changes it, and returns the operator that does it later.
#[derive(Debug)]
pub struct DeferredTable {
    /// The operator.
    pub operator: Arc<ChangeTableExec>,
}

impl DeferredTable {
    fn operator(&self) -> Arc<dyn ExecutionPlan> {
        Arc::clone(&self.operator) as _
    }
}

#[async_trait]
impl TableProvider for DeferredTable {
    fn schema(&self) -> SchemaRef {
        self.operator.table().schema()
    }

    fn table_type(&self) -> TableType {
        self.operator.table().table_type()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.operator.table().scan(session, projection, filters, limit).await
    }

    async fn delete_from(&self, _: &dyn Session, _: Vec<Expr>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.operator())
    }

    async fn update(
        &self,
        _: &dyn Session,
        _: Vec<(String, Expr)>,
        _: Vec<Expr>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.operator())
    }

    async fn truncate(&self, _: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.operator())
    }
}
