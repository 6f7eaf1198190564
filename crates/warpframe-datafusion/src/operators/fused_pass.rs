//! What fused operators have in common: one pass over the rows of an input that replaces other operators.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::fmt_sql;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{
    DisplayFormatType, ExecutionPlan, apply_expression_roots, replace_children_if_necessary,
};

use super::fused_rows::FusedRows;
use crate::memory::PoolBudget;
use warpframe_cpu::NATIVE_COMPILE_TIME;
use warpframe_ir::backend::KernelContext;
use warpframe_ir::metrics::Metrics;

/// A filter and expressions over the rows of an input, compiled, and the operators that they replace.
#[derive(Debug, Clone)]
pub struct FusedPass {
    /// What is replaced. Schema, ordering, equivalences and statistics of the fused operator are those of this plan.
    pub replaced: Replaced,
    /// The operator below.
    pub input: Arc<dyn ExecutionPlan>,
    /// The condition of the filter, over the columns of the input.
    pub predicate: Option<Arc<dyn PhysicalExpr>>,
    /// The expressions, over the columns of the input.
    pub expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// Their compiled form.
    pub rows: Arc<FusedRows>,
    /// The metrics of the kernels.
    pub kernel_metrics: Arc<Metrics>,
}

/// What a fused operator replaces.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The operators, with the input of the fused operator at the bottom.
    pub plan: Arc<dyn ExecutionPlan>,
    /// The number of operators that were part of the query's plan.
    pub operators: usize,
}

impl FusedPass {
    /// The same over another input.
    pub fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let plan = replace_input(&self.replaced.plan, &self.input, &input)?;
        let replaced = Replaced { plan, operators: self.replaced.operators };
        Ok(Self { replaced, input, ..self.clone() })
    }

    /// The same over the only one of new children.
    pub fn with_children(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => self.with_input(input),
            Err(children) => internal_err!("a fused operator has one input, not {}", children.len()),
        }
    }

    /// Visits the predicate and the expressions, as `ExecutionPlan::apply_expressions` does.
    pub fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.predicate.iter().chain(&self.expressions), f)
    }

    /// The statistics of what is replaced.
    pub fn statistics(&self, args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        StatisticsContext::new().compute(self.replaced.plan.as_ref(), args)
    }

    /// The metrics and the memory of the kernels in a task.
    pub fn kernel_context(&self, context: &TaskContext) -> KernelContext {
        let memory = Arc::new(PoolBudget(Arc::clone(context.memory_pool())));
        KernelContext { metrics: Arc::clone(&self.kernel_metrics), memory, non_temporal: false }
    }

    /// The metrics of an operator, with the time in which its native code was made. Other metrics of kernels are those of GPUs,
    /// which the root of the plan reports.
    pub fn with_compile_time(&self, mut metrics: MetricsSet) -> MetricsSet {
        let time = self.kernel_metrics.snapshot().time(NATIVE_COMPILE_TIME);
        if !time.is_zero() {
            let set = ExecutionPlanMetricsSet::new();
            MetricBuilder::new(&set).subset_time(NATIVE_COMPILE_TIME, 0).add_duration(time);
            set.clone_inner().iter().for_each(|metric| metrics.push(Arc::clone(metric)));
        }
        metrics
    }

    /// Writes the name of the operator, the backend and the predicate. `EXPLAIN VERBOSE` has the time of compilation, too; other texts
    /// of a plan are always the same.
    pub fn fmt_as(&self, name: &str, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{name}: backend={}", self.rows.description())?;
        if format == DisplayFormatType::Verbose
            && let Some(time) = self.rows.compile_time()
        {
            write!(f, " (compiled in {} µs)", time.as_micros())?;
        }
        match &self.predicate {
            Some(predicate) => write!(f, ", predicate={}", self.without_backend(&predicate.to_string())),
            None => Ok(()),
        }
    }

    /// Writes the backend and the predicate as lines of a tree.
    pub fn fmt_tree(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "backend={}", self.rows.description())?;
        match &self.predicate {
            Some(predicate) => {
                let predicate = fmt_sql(predicate.as_ref()).to_string();
                writeln!(f, "predicate={}", self.without_backend(&predicate))
            }
            None => Ok(()),
        }
    }

    /// A text without the descriptions of the kernels of functions: all of them are part of the pass.
    pub fn without_backend(&self, text: &str) -> String {
        let text = text.replace(&format!("[{}]", self.rows.description()), "");
        // A function alone may be evaluated by other code than the pass.
        ["[simd ", "[native ", "[cuda "].into_iter().fold(text, |text, start| {
            let mut parts = text.split(start);
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |text, part| text + part.split_once(']').map_or(part, |(_, rest)| rest))
        })
    }
}

/// A plan in which `old` is replaced by `new`, among nodes with one child.
fn replace_input(
    plan: &Arc<dyn ExecutionPlan>,
    old: &Arc<dyn ExecutionPlan>,
    new: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if Arc::ptr_eq(plan, old) {
        return Ok(Arc::clone(new));
    }
    match plan.children()[..] {
        [child] => replace_children_if_necessary(Arc::clone(plan), vec![replace_input(child, old, new)?]),
        _ => internal_err!("a fused operator has one input"),
    }
}
