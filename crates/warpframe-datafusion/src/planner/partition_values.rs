//! The logical rule that makes partition pruning compare values instead of folder names.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, TableScan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Rewrites equalities of partition columns with literals other than text in the filters of scans to ranges:
///
/// ```text
/// TableScan: t, full_filters=[t.p = Int64(1)]
/// TableScan: t, full_filters=[t.p >= Int64(1) AND t.p <= Int64(1)]
/// ```
///
/// For an equality DataFusion's listing table lists only the folder `p=1`, but the same number may be written `p=01` or
/// `p=1.0` in a folder's name. For a range it compares the parsed values of all partitions.
#[derive(Debug, Default)]
pub struct PartitionValues;

impl OptimizerRule for PartitionValues {
    fn name(&self) -> &str {
        "partition_values"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::TableScan(scan) = plan else { return Ok(Transformed::no(plan)) };
        let partitions = partition_columns(&scan);
        let mut changed = false;
        let mut rewrite = |filter: &Expr| match as_range(filter, &partitions) {
            Some(range) => {
                changed = true;
                range
            }
            None => filter.clone(),
        };
        let filters: Vec<_> = scan.filters.iter().map(&mut rewrite).collect();
        if !changed {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        }
        Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { filters, ..scan })))
    }
}

/// The names of the partition columns of a listing table.
fn partition_columns(scan: &TableScan) -> Vec<String> {
    let Ok(provider) = source_as_provider(&scan.source) else { return Vec::new() };
    let provider: &dyn std::any::Any = provider.as_ref();
    let Some(table) = provider.downcast_ref::<ListingTable>() else { return Vec::new() };
    table.options().table_partition_cols.iter().map(|(name, _)| name.clone()).collect()
}

/// The range for an equality of a partition column and a literal that is no text; also inside of conjunctions, in which
/// DataFusion looks for equalities. `None` for other expressions.
fn as_range(filter: &Expr, partitions: &[String]) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    if *op == Operator::And {
        let ranges = (as_range(left, partitions), as_range(right, partitions));
        return match ranges {
            (None, None) => None,
            (one, other) => {
                let one = one.unwrap_or_else(|| left.as_ref().clone());
                Some(one.and(other.unwrap_or_else(|| right.as_ref().clone())))
            }
        };
    }
    if *op != Operator::Eq {
        return None;
    }
    let (column, value) = match (left.as_ref(), right.as_ref()) {
        (column @ Expr::Column(_), value @ Expr::Literal(..)) => (column, value),
        (value @ Expr::Literal(..), column @ Expr::Column(_)) => (column, value),
        _ => return None,
    };
    let (Expr::Column(name), Expr::Literal(scalar, _)) = (column, value) else { return None };
    if !partitions.contains(&name.name) || is_text(scalar) {
        return None;
    }
    Some(column.clone().gt_eq(value.clone()).and(column.clone().lt_eq(value.clone())))
}

/// Whether a value is a text, which is the name of its folder.
fn is_text(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Dictionary(_, value) => is_text(value),
        ScalarValue::Utf8(_) | ScalarValue::LargeUtf8(_) | ScalarValue::Utf8View(_) => true,
        _ => false,
    }
}
