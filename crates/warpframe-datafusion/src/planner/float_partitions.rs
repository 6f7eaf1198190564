//! The logical rule that makes partition pruning compare floating-point values instead of folder names.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, TableScan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Rewrites equalities with floating-point literals in the filters of scans to ranges:
///
/// ```text
/// TableScan: t, full_filters=[t.p = Float64(1)]
/// TableScan: t, full_filters=[t.p >= Float64(1) AND t.p <= Float64(1)]
/// ```
///
/// For an equality with a partition column DataFusion lists only the folder `p=1`, but the same number may be written
/// `p=1.0` or `p=1e0` in a folder's name. For a range it compares the parsed values of all partitions.
#[derive(Debug, Default)]
pub struct FloatPartitions;

impl OptimizerRule for FloatPartitions {
    fn name(&self) -> &str {
        "float_partitions"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::TableScan(scan) = plan else { return Ok(Transformed::no(plan)) };
        let mut changed = false;
        let filters = scan.filters.iter().map(|filter| as_range(filter).inspect(|_| changed = true));
        let filters: Vec<_> = filters
            .zip(&scan.filters)
            .map(|(range, filter)| range.unwrap_or_else(|| filter.clone()))
            .collect();
        if !changed {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        }
        Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { filters, ..scan })))
    }
}

/// The range for an equality of a column and a floating-point literal; `None` for other expressions.
fn as_range(filter: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { return None };
    let (column, number) = match (left.as_ref(), right.as_ref()) {
        (column @ Expr::Column(_), number @ Expr::Literal(..)) => (column, number),
        (number @ Expr::Literal(..), column @ Expr::Column(_)) => (column, number),
        _ => return None,
    };
    let Expr::Literal(ScalarValue::Float16(_) | ScalarValue::Float32(_) | ScalarValue::Float64(_), _) =
        number
    else {
        return None;
    };
    Some(column.clone().gt_eq(number.clone()).and(column.clone().lt_eq(number.clone())))
}
