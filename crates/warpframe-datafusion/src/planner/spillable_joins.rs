//! The physical rule that plans sort-merge joins where a hash join may not fit into the memory limit.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, Result, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use crate::memory::MemoryLimit;
use crate::options::WarpframeOptions;

/// Estimated bytes of a hash table for each row, in addition to the row.
const HASH_TABLE_BYTES: usize = 24;

/// Estimated bytes of a value whose type has no fixed width.
const TEXT_BYTES: usize = 32;

/// Estimated bytes in memory for each byte of a file without statistics.
const FILE_EXPANSION: usize = 4;

/// Operators that may have many more rows than their inputs.
const MULTIPLIES: [&str; 4] = ["GenerateExec", "UnnestExec", "CrossJoinExec", "NestedLoopJoinExec"];

/// Replaces hash joins by sort-merge joins while the tables that the hash joins of a plan keep in memory together may exceed
/// three quarters of the limit. Hash joins cannot spill; sort-merge joins can.
///
/// ```text
/// HashJoinExec: on=[(k, k)]          SortMergeJoinExec: on=[(k, k)]
///   a table of 10 GiB          ->      a table of 10 GiB
///   b                                  b
/// ```
///
/// The sizes are estimated from statistics, or from the sizes of files without them. If a size is unknown, the join stays a
/// hash join with the default limit, and becomes a sort-merge join with any other: those who set one know that memory is
/// scarce. `warpframe.spill_joins = false` keeps all hash joins. So do keys of types that sort-merge joins do not compare as
/// hash joins do (DataFusion's panic on NaN), and further conditions of joins that are not inner.
///
/// It belongs directly behind DataFusion's `JoinSelection`, which chooses the side that is kept, and before
/// `EnsureRequirements`, which sorts the inputs.
#[derive(Debug)]
pub struct SpillableJoins {
    /// In bytes.
    limit: usize,
    is_default: bool,
}

impl SpillableJoins {
    /// The rule for a session with this limit; `None` without limit.
    pub fn new(limit: MemoryLimit) -> Option<Self> {
        Some(Self { limit: limit.bytes()?, is_default: limit == MemoryLimit::Default })
    }

    /// Inserts the rule into those of a session.
    pub fn insert_into(self, rules: &mut Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>) {
        if let Some(selection) = rules.iter().position(|rule| rule.name() == "join_selection") {
            rules.insert(selection + 1, Arc::new(self));
        }
    }
}

impl PhysicalOptimizerRule for SpillableJoins {
    fn name(&self) -> &str {
        "SpillableJoins"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !WarpframeOptions::of(config).spill_joins {
            return Ok(plan);
        }
        let mut free = self.limit / 4 * 3;
        plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<HashJoinExec>() else { return Ok(Transformed::no(node)) };
            let kept = match hash_table_bytes(join.left()) {
                Some(bytes) => free.checked_sub(bytes),
                None => self.is_default.then_some(free),
            };
            match kept {
                Some(rest) => {
                    free = rest;
                    Ok(Transformed::no(node))
                }
                None if can_sort_and_merge(join) => Ok(Transformed::yes(sort_merge_join(join)?)),
                None => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a sort-merge join gives the rows of the hash join.
fn can_sort_and_merge(join: &HashJoinExec) -> bool {
    let schema = join.left().schema();
    let compares = |key: DataType| {
        use DataType::*;
        matches!(
            key,
            Boolean
                | Int8
                | Int16
                | Int32
                | Int64
                | UInt8
                | UInt16
                | UInt32
                | UInt64
                | Binary
                | BinaryView
                | LargeBinary
                | FixedSizeBinary(_)
                | Utf8
                | Utf8View
                | LargeUtf8
                | Decimal128(..)
                | Timestamp(_, None)
                | Date32
                | Date64
        )
    };
    // DataFusion's outer sort-merge joins fail on a condition over columns that are not null.
    let can_filter = join.filter().is_none() || *join.join_type() == JoinType::Inner;
    can_filter
        && !join.null_aware
        && !join.contains_projection()
        && join.on().iter().all(|(left, _)| left.data_type(&schema).is_ok_and(compares))
}

fn sort_merge_join(join: &HashJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(Arc::new(SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        join.on().to_vec(),
        join.filter().cloned(),
        *join.join_type(),
        vec![SortOptions::default(); join.on().len()],
        join.null_equality(),
    )?))
}

/// The estimated memory of a hash table with the rows of `plan`, in bytes; `None` if nothing is known.
fn hash_table_bytes(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new()).ok();
    if let Some(bytes) = statistics.and_then(|known| bytes_of_rows(&known, &plan.schema())) {
        return Some(bytes);
    }
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>()
        && let Some(files) = scan.data_source().downcast_ref::<FileScanConfig>()
    {
        let sizes = files.file_groups.iter().flat_map(|group| group.iter()).map(|file| file.effective_size());
        return Some((sizes.sum::<u64>() as usize).saturating_mul(FILE_EXPANSION));
    }
    if MULTIPLIES.contains(&plan.name()) {
        return None;
    }
    // Other operators seldom have more rows than their inputs together.
    let mut inputs = plan.children().into_iter().map(hash_table_bytes).peekable();
    inputs.peek()?;
    inputs.try_fold(0usize, |total, input| Some(total.saturating_add(input?)))
}

fn bytes_of_rows(statistics: &Statistics, schema: &SchemaRef) -> Option<usize> {
    let width: usize =
        schema.fields().iter().map(|field| field.data_type().primitive_width().unwrap_or(TEXT_BYTES)).sum();
    let rows = statistics.num_rows.get_value().copied();
    match (statistics.total_byte_size.get_value().copied(), rows) {
        (Some(bytes), Some(rows)) => Some(bytes.saturating_add(rows.saturating_mul(HASH_TABLE_BYTES))),
        (Some(bytes), None) => Some(bytes.saturating_mul(2)),
        (None, Some(rows)) => Some(rows.saturating_mul(width + HASH_TABLE_BYTES)),
        (None, None) => None,
    }
}
