//! The fusion of the first stage of an aggregation with the operators below it.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CaseExpr, Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{
    AggregateExec, AggregateInputMode, AggregateMode, AggregateOutputMode, PhysicalGroupBy,
};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::fused_operators::{Fused, FusedOperators, Purpose};
use crate::operators::{FusedAggregateExec, FusedExec, NotFused, PartialState, ReducedAggregate};

/// The operators that replace the first stage of an aggregation and those below it, whose arguments, conditions and groups are
/// computed in one pass; `None` of other stages.
///
/// Without groups, the pass also reduces the arguments. With groups, or if not all aggregates are reductions, DataFusion's
/// aggregation takes its arguments from the pass.
pub(super) fn fuse_aggregate(
    aggregate: &AggregateExec,
    operators: &FusedOperators<'_>,
) -> Result<Option<Fused<Arc<dyn ExecutionPlan>>>> {
    if aggregate.mode().input_mode() != AggregateInputMode::Raw {
        return Ok(None);
    }
    let groups = aggregate.group_expr();
    if groups.has_grouping_set()
        || aggregate.limit_options().is_some()
        || !aggregate.dynamic_expressions_produced().is_empty()
    {
        return Ok(Some(Err(NotFused::Unsupported(
            "grouping sets, limits of groups and filters of scans are computed by DataFusion".to_owned(),
        ))));
    }
    let reduced = match groups.expr().is_empty() {
        true => reduce(aggregate, operators)?,
        false => Err(NotFused::NotProfitable),
    };
    let reason = match reduced {
        Ok(fused) => return Ok(Some(Ok(fused))),
        Err(reason) => reason,
    };
    Ok(Some(fuse_arguments(aggregate, operators)?.map_err(|other| match reason {
        NotFused::Unsupported(_) => reason,
        _ => other,
    })))
}

/// The aggregation without groups whose first stage is a [`FusedAggregateExec`].
fn reduce(
    aggregate: &AggregateExec,
    operators: &FusedOperators<'_>,
) -> Result<Fused<Arc<dyn ExecutionPlan>>> {
    let schema = aggregate.input().schema();
    let mut columns = Columns::default();
    let mut reduced = Vec::new();
    for (one, filter) in aggregate.aggr_expr().iter().zip(aggregate.filter_expr()) {
        let unsupported = || Ok(Err(NotFused::Unsupported(format!("{} is no reduction", one.name()))));
        let [argument] = &one.expressions()[..] else { return unsupported() };
        let Some(state) = PartialState::of(one, &argument.data_type(&schema)?) else { return unsupported() };
        let counts_rows = state == PartialState::Count
            && filter.is_none()
            && argument.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null());
        let argument = (!counts_rows).then(|| columns.add(argument, filter.as_ref())).transpose()?;
        reduced.push(ReducedAggregate { state, argument });
    }
    let projection = columns.over(aggregate.input())?;
    let (mut pass, fetch) = match operators.fuse(&projection, 1, Purpose::Reductions)? {
        Ok(fused) => fused,
        Err(reason) => return Ok(Err(reason)),
    };
    if fetch.is_some() {
        return Ok(Err(NotFused::Unsupported("a limit of rows is below the aggregation".to_owned())));
    }
    let first_stage = AggregateExec::try_new(
        AggregateMode::Partial,
        aggregate.group_expr().clone(),
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        Arc::clone(aggregate.input()),
        aggregate.input_schema(),
    )?;
    let is_partial = aggregate.mode().output_mode() == AggregateOutputMode::Partial;
    pass.replaced.plan = Arc::new(first_stage);
    // The last stage below stands for an aggregation in one stage.
    pass.replaced.operators += usize::from(is_partial);
    let names = aggregate.aggr_expr().iter().map(|one| one.name().to_owned()).collect();
    let fused: Arc<dyn ExecutionPlan> = Arc::new(FusedAggregateExec::new(pass, reduced, names));
    if is_partial {
        return Ok(if fused.schema() == aggregate.schema() { Ok(fused) } else { other_schema() });
    }
    let last_stage = AggregateExec::try_new(
        AggregateMode::Final,
        aggregate.group_expr().as_final(),
        aggregate.aggr_expr().to_vec(),
        vec![None; aggregate.aggr_expr().len()],
        fused,
        aggregate.input_schema(),
    )?;
    Ok(if last_stage.schema() == aggregate.schema() { Ok(Arc::new(last_stage)) } else { other_schema() })
}

fn other_schema<T>() -> Fused<T> {
    Err(NotFused::Unsupported("the schema of the fused aggregation differs".to_owned()))
}

/// The first stage of an aggregation whose arguments, conditions and groups are columns of a [`FusedExec`].
fn fuse_arguments(
    aggregate: &AggregateExec,
    operators: &FusedOperators<'_>,
) -> Result<Fused<Arc<dyn ExecutionPlan>>> {
    let mut columns = Columns::default();
    let groups = aggregate.group_expr().expr().iter();
    let group_by = groups.map(|(expr, name)| (columns.column_of(expr), name.clone())).collect();
    let mut aggregates = Vec::new();
    for one in aggregate.aggr_expr() {
        let arguments = one.expressions().iter().map(|argument| columns.column_of(argument)).collect();
        let new = one.with_new_expressions(arguments, Vec::new()).filter(|_| one.order_bys().is_empty());
        let Some(new) = new else {
            return Ok(Err(NotFused::Unsupported(format!("{} is ordered", one.name()))));
        };
        aggregates.push(Arc::new(new));
    }
    let filters = aggregate.filter_expr().iter();
    let filters = filters.map(|filter| filter.as_ref().map(|filter| columns.column_of(filter))).collect();
    let (pass, fetch) = match operators.fuse(&columns.over(aggregate.input())?, 1, Purpose::Rows)? {
        Ok(fused) => fused,
        Err(reason) => return Ok(Err(reason)),
    };
    let fused = Arc::new(FusedExec::new(pass, fetch));
    let schema = fused.schema();
    let fused = AggregateExec::try_new(
        *aggregate.mode(),
        PhysicalGroupBy::new_single(group_by),
        aggregates,
        filters,
        fused,
        schema,
    )?;
    Ok(if fused.schema() == aggregate.schema() { Ok(Arc::new(fused)) } else { other_schema() })
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
        let position = self.position(expr);
        Arc::new(Column::new(&self.expressions[position].alias, position))
    }

    /// The position of the column that has the value of an argument in rows in which its filter is true, and else null.
    fn add(
        &mut self,
        argument: &Arc<dyn PhysicalExpr>,
        filter: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<usize> {
        let Some(filter) = filter else { return Ok(self.position(argument)) };
        let branch = (Arc::clone(filter), Arc::clone(argument));
        let filtered: Arc<dyn PhysicalExpr> = Arc::new(CaseExpr::try_new(None, vec![branch], None)?);
        Ok(self.position(&filtered))
    }

    fn position(&mut self, expr: &Arc<dyn PhysicalExpr>) -> usize {
        let known = self.expressions.iter().position(|known| known.expr.eq(expr));
        known.unwrap_or_else(|| {
            let alias = match expr.downcast_ref::<Column>() {
                Some(column) => column.name().to_owned(),
                None => expr.to_string(),
            };
            self.expressions.push(ProjectionExpr { expr: Arc::clone(expr), alias });
            self.expressions.len() - 1
        })
    }

    /// The operator that computes the columns over an input.
    fn over(self, input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(ProjectionExec::try_new(self.expressions, Arc::clone(input))?))
    }
}
