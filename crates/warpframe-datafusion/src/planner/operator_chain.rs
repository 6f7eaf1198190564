//! Filters and projections above each other, as one predicate and one list of expressions.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;

/// The largest number of nodes of all expressions of a chain. Expressions that are read several times are repeated.
const MAX_NODES: usize = 2000;

/// A chain of filters and projections.
pub(super) struct OperatorChain {
    /// The operator below the chain.
    pub input: Arc<dyn ExecutionPlan>,
    /// The conjunction of the conditions, over the columns of the input.
    pub predicate: Option<Arc<dyn PhysicalExpr>>,
    /// The expression of each column of the result, over the columns of the input.
    pub expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// The largest number of rows that pass the predicate in each partition.
    pub fetch: Option<usize>,
    /// The number of filters and projections.
    pub operators: usize,
}

impl OperatorChain {
    /// The chain from an operator downwards; `None` if the operator is no filter and no projection.
    ///
    /// # Errors
    /// A column is not in the input.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            let mut chain = Self::below(projection.input())?;
            let expressions = projection.expr().iter().map(|one| chain.over_input(&one.expr));
            chain.expressions = expressions.collect::<Result<_>>()?;
            chain.operators += 1;
            return Ok(Some(chain).filter(Self::is_small));
        }
        let Some(filter) = plan.downcast_ref::<FilterExec>() else { return Ok(None) };
        let mut chain = Self::below(filter.input())?;
        if chain.fetch.is_some() {
            chain = Self::starting_above(filter.input());
        }
        let condition = chain.over_input(filter.predicate())?;
        chain.predicate = Some(match chain.predicate.take() {
            Some(passed) => Arc::new(BinaryExpr::new(passed, Operator::And, condition)),
            None => condition,
        });
        if let Some(projection) = filter.projection() {
            chain.expressions =
                projection.iter().map(|column| Arc::clone(&chain.expressions[*column])).collect();
        }
        chain.fetch = filter.fetch();
        chain.operators += 1;
        Ok(Some(chain).filter(Self::is_small))
    }

    fn below(plan: &Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::of(plan)?.unwrap_or_else(|| Self::starting_above(plan)))
    }

    /// The chain without operators.
    fn starting_above(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let schema = plan.schema();
        let columns = schema.fields().iter().enumerate();
        let columns = columns.map(|(position, field)| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(field.name(), position))
        });
        Self {
            input: Arc::clone(plan),
            predicate: None,
            expressions: columns.collect(),
            fetch: None,
            operators: 0,
        }
    }

    /// An expression over the chain's result as one over the columns of its input.
    fn over_input(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let replaced = Arc::clone(expr).transform_down(|node| {
            let column = node.downcast_ref::<Column>().map(Column::index);
            Ok(match column.and_then(|index| self.expressions.get(index)) {
                Some(expression) => Transformed::new(Arc::clone(expression), true, TreeNodeRecursion::Jump),
                None => Transformed::no(node),
            })
        });
        replaced.data()
    }

    fn is_small(&self) -> bool {
        let mut nodes = 0;
        for expr in self.expressions.iter().chain(&self.predicate) {
            let visited = expr.apply(|_| {
                nodes += 1;
                Ok(if nodes > MAX_NODES { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            });
            if visited.is_err() || nodes > MAX_NODES {
                return false;
            }
        }
        true
    }
}
