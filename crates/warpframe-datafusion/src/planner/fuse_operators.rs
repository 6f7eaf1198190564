//! The physical rule that fuses filters, projections and the arguments of aggregates.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode, PhysicalGroupBy};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::operator_chain::OperatorChain;
use crate::backends::Backends;
use crate::operators::{FusedExec, FusedRows, Replaced};
use crate::options::WarpframeOptions;

/// Replaces filters and projections by one operator that evaluates them in one pass:
///
/// ```text
/// ProjectionExec: expr=[sqrt(x * x + 1) * sin(x), sqrt(x * x + 1) * cos(x)]
///   FilterExec: sin(x) > 0
///
/// FusedExec: backend=simd avx512, predicate=sin(x) > 0, expr=[sqrt(x * x + 1) * sin(x), sqrt(x * x + 1) * cos(x)]
/// ```
///
/// The first stage of an aggregation takes its arguments, conditions and groups from the same pass:
///
/// ```text
/// AggregateExec: mode=Partial, gby=[k], aggr=[sum(ln(x) * y)]
///   FilterExec: ln(x) > 1
///
/// AggregateExec: mode=Partial, gby=[k], aggr=[sum(ln(x) * y)]
///   FusedExec: backend=simd avx512, predicate=ln(x) > 1, expr=[k, ln(x) * y]
/// ```
///
/// Operators are replaced if all their expressions have a program, and if one pass is faster: if expressions behind a filter
/// are worth a pass of their own, or if several share operations. The rule runs last, so that DataFusion's own rules see its
/// own operators.
#[derive(Debug)]
pub struct FuseOperators {
    backends: Arc<Backends>,
}

impl FuseOperators {
    /// The rule with a registry of backends.
    pub fn new(backends: Arc<Backends>) -> Self {
        Self { backends }
    }

    /// The operator that replaces a filter or a projection and those below it, if they are fused. `added` of them are not part
    /// of the plan.
    fn fuse(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        added: usize,
        config: &ConfigOptions,
    ) -> Result<Option<Arc<FusedExec>>> {
        let Some(chain) = OperatorChain::of(node)? else { return Ok(None) };
        let OperatorChain { input, predicate, expressions, fetch, operators } = chain;
        let fused = FusedRows::compile(
            &input.schema(),
            predicate.as_ref(),
            &expressions,
            node.schema(),
            &self.backends,
            config,
        );
        let Ok(rows) = fused else { return Ok(None) };
        let replaced = Replaced { plan: Arc::clone(node), operators: operators - added };
        Ok(Some(Arc::new(FusedExec::new(replaced, input, predicate, expressions, rows, fetch))))
    }

    /// The first stage of an aggregation, with its expressions computed by a fused operator.
    fn fuse_aggregate(
        &self,
        aggregate: &AggregateExec,
        config: &ConfigOptions,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let groups = aggregate.group_expr();
        if aggregate.mode().input_mode() != AggregateInputMode::Raw
            || groups.has_grouping_set()
            || aggregate.limit_options().is_some()
            || !aggregate.dynamic_expressions_produced().is_empty()
            || aggregate.aggr_expr().iter().any(|one| !one.order_bys().is_empty())
        {
            return Ok(None);
        }
        let mut columns = Columns::default();
        let group_by =
            groups.expr().iter().map(|(expr, name)| (columns.column_of(expr), name.clone())).collect();
        let mut aggregates = Vec::new();
        for one in aggregate.aggr_expr() {
            let arguments = one.expressions().iter().map(|argument| columns.column_of(argument)).collect();
            let Some(new) = one.with_new_expressions(arguments, Vec::new()) else { return Ok(None) };
            aggregates.push(Arc::new(new));
        }
        let filters = aggregate.filter_expr().iter();
        let filters = filters.map(|filter| filter.as_ref().map(|filter| columns.column_of(filter))).collect();
        let projection = ProjectionExec::try_new(columns.expressions, Arc::clone(aggregate.input()))?;
        let projection: Arc<dyn ExecutionPlan> = Arc::new(projection);
        let Some(fused) = self.fuse(&projection, 1, config)? else { return Ok(None) };
        let schema = fused.schema();
        let fused = AggregateExec::try_new(
            *aggregate.mode(),
            PhysicalGroupBy::new_single(group_by),
            aggregates,
            filters,
            fused,
            schema,
        )?;
        Ok((fused.schema() == aggregate.schema()).then(|| Arc::new(fused) as Arc<dyn ExecutionPlan>))
    }
}

impl PhysicalOptimizerRule for FuseOperators {
    fn name(&self) -> &str {
        "fuse_operators"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !WarpframeOptions::of(config).fuse {
            return Ok(plan);
        }
        let fused = plan.transform_down(|node| {
            let fused = match node.downcast_ref::<AggregateExec>() {
                Some(aggregate) => self.fuse_aggregate(aggregate, config)?,
                None => self.fuse(&node, 0, config)?.map(|fused| fused as Arc<dyn ExecutionPlan>),
            };
            Ok(match fused {
                Some(fused) => Transformed::yes(fused),
                None => Transformed::no(node),
            })
        });
        fused.data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The columns of the operator below an aggregation.
#[derive(Default)]
struct Columns {
    expressions: Vec<ProjectionExpr>,
}

impl Columns {
    /// The column that has the value of an expression. A literal has none.
    fn column_of(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        if expr.is::<Literal>() {
            return Arc::clone(expr);
        }
        let known = self.expressions.iter().position(|known| known.expr.eq(expr));
        let position = known.unwrap_or_else(|| {
            let alias = match expr.downcast_ref::<Column>() {
                Some(column) => column.name().to_owned(),
                None => expr.to_string(),
            };
            self.expressions.push(ProjectionExpr { expr: Arc::clone(expr), alias });
            self.expressions.len() - 1
        });
        Arc::new(Column::new(&self.expressions[position].alias, position))
    }
}
