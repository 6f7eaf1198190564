//! The logical rule against orders that DataFusion does not recognize as its own.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::Sort as SortKey;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, Sort, Window};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalSortExpr, create_physical_expr};
use datafusion::prelude::Column;

use super::has_expression::has_expression;

/// Computes sort keys in a projection of their own, if DataFusion would not see that rows sorted by them are sorted by them:
///
/// ```text
/// Sort: sqrt(t.x)
///   TableScan: t
///
/// Projection: t.x
///   Sort: __sort_key_1
///     Projection: t.x, sqrt(t.x) AS __sort_key_1
///       TableScan: t
/// ```
///
/// DataFusion derives the properties of an expression, such as its order, from those of its operands. Where this fails, as for
/// `sqrt` of values that may be negative, or for the comparison of a function of unknown range, the expression has no order, not
/// even that of a sort by it, and the check of the finished plan refuses the plan (apache/datafusion#20194). The rule applies to
/// the keys of `Sort`, of window functions, and of aggregate functions with an order.
#[derive(Debug, Default)]
pub struct SortKeys;

impl OptimizerRule for SortKeys {
    fn name(&self) -> &str {
        "sort_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Window(_) | LogicalPlan::Aggregate(_) if !has_expression(&plan, has_keys)? => {
                Ok(Transformed::no(plan))
            }
            LogicalPlan::Sort(Sort { mut expr, input, fetch }) => {
                let mut keys = KeyColumns::new(&input, config);
                for key in &mut expr {
                    keys.replace(key)?;
                }
                if keys.columns.is_empty() {
                    return Ok(Transformed::no(LogicalPlan::Sort(Sort { expr, input, fetch })));
                }
                let columns = columns(input.schema());
                let sorted = LogicalPlan::Sort(Sort { expr, input: keys.projection(input)?, fetch });
                Ok(Transformed::yes(project(sorted, columns)?))
            }
            LogicalPlan::Window(window) => {
                let plan = LogicalPlan::Window(window.clone());
                let mut keys = KeyColumns::new(&window.input, config);
                let expressions = keys.replace_in_functions(&plan, window.window_expr)?;
                if keys.columns.is_empty() {
                    return Ok(Transformed::no(plan));
                }
                let input = keys.projection(window.input)?;
                let window = LogicalPlan::Window(Window::try_new(expressions, input)?);
                Ok(Transformed::yes(project(window, columns(plan.schema()))?))
            }
            LogicalPlan::Aggregate(aggregate) => {
                let plan = LogicalPlan::Aggregate(aggregate.clone());
                let mut keys = KeyColumns::new(&aggregate.input, config);
                let expressions = keys.replace_in_functions(&plan, aggregate.aggr_expr)?;
                if keys.columns.is_empty() {
                    return Ok(Transformed::no(plan));
                }
                let input = keys.projection(aggregate.input)?;
                let aggregate = Aggregate::try_new(input, aggregate.group_expr, expressions)?;
                Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// The new columns of a node's input.
struct KeyColumns<'a> {
    schema: Arc<DFSchema>,
    config: &'a dyn OptimizerConfig,
    /// The keys that are columns of the projection, with their names.
    columns: Vec<(Expr, String)>,
}

impl<'a> KeyColumns<'a> {
    fn new(input: &LogicalPlan, config: &'a dyn OptimizerConfig) -> Self {
        Self { schema: Arc::clone(input.schema()), config, columns: Vec::new() }
    }

    /// Replaces the expression of a key by a column if it has to be one.
    fn replace(&mut self, key: &mut SortKey) -> Result<bool> {
        if matches!(key.expr, Expr::Column(_) | Expr::Literal(..)) || self.is_recognized(&key.expr) {
            return Ok(false);
        }
        let known = self.columns.iter().find(|(expr, _)| *expr == key.expr && !expr.is_volatile());
        let name = match known {
            Some((_, name)) => name.clone(),
            None => {
                let name = self.config.alias_generator().next("__sort_key");
                self.columns.push((key.expr.clone(), name.clone()));
                name
            }
        };
        key.expr = Expr::Column(Column::new_unqualified(name));
        Ok(true)
    }

    /// Replaces the keys of window and aggregate functions, which keep their names.
    fn replace_in_functions(&mut self, plan: &LogicalPlan, expressions: Vec<Expr>) -> Result<Vec<Expr>> {
        let names = NamePreserver::new(plan);
        let replace = |mut expression: Expr| {
            let name = names.save(&expression);
            let mut replaced = false;
            for key in sort_keys(&mut expression) {
                replaced |= self.replace(key)?;
            }
            Ok(if replaced { name.restore(expression) } else { expression })
        };
        expressions.into_iter().map(replace).collect()
    }

    /// Whether DataFusion recognizes rows sorted by an expression as such. Also true for an expression that it cannot plan
    /// here, such as a subquery.
    fn is_recognized(&self, expr: &Expr) -> bool {
        let Ok(physical) = create_physical_expr(
            expr,
            &self.schema,
            &ExecutionProps::new(),
            &PhysicalPlanningContext::default(),
        ) else {
            return true;
        };
        let key = PhysicalSortExpr::new_default(physical);
        let schema = Arc::clone(self.schema.inner());
        let sorted = EquivalenceProperties::new_with_orderings(schema, [[key.clone()]]);
        sorted.ordering_satisfy([key]).unwrap_or(false)
    }

    /// The input with the new columns.
    fn projection(self, input: Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
        let mut expressions = columns(&self.schema);
        expressions.extend(self.columns.into_iter().map(|(expr, name)| expr.alias(name)));
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(expressions, input)?)))
    }
}

/// Whether an expression is a function with sort keys.
fn has_keys(expression: &Expr) -> bool {
    match expression {
        Expr::WindowFunction(function) => !function.params.order_by.is_empty(),
        Expr::AggregateFunction(function) => !function.params.order_by.is_empty(),
        _ => false,
    }
}

/// The sort keys of a window or an aggregate function.
fn sort_keys(expression: &mut Expr) -> &mut [SortKey] {
    match expression {
        Expr::Alias(alias) => sort_keys(&mut alias.expr),
        Expr::WindowFunction(function) => &mut function.params.order_by,
        // The keys of an aggregate of distinct values have to be its arguments.
        Expr::AggregateFunction(function) if !function.params.distinct => &mut function.params.order_by,
        _ => &mut [],
    }
}

fn columns(schema: &DFSchema) -> Vec<Expr> {
    schema.iter().map(Expr::from).collect()
}

fn project(input: LogicalPlan, expressions: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(input))?))
}
