//! Physical rules against wrong results from Parquet statistics of floating-point columns.
//!
//! Minimum and maximum of a Parquet column do not cover NaN (apache/datafusion#15812), but DataFusion treats them as
//! bounds of all values: it replaces a column by a constant if both are equal (apache/datafusion#19089), answers `min`
//! and `max` from them, derives the order of files from them, and prunes files, row groups and pages by them. In
//! DataFusion's total order, NaN is greater than all numbers, and NaN with the sign bit set (the result of 0/0 on x86)
//! is less than all numbers.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;

use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, Literal, lit,
};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;

use super::rewrite_scans::rewrite_scans;

/// Adds both rules to a session: [`DropFloatStatistics`] before and [`GuardFloatPredicates`] after the physical rules
/// that it has.
pub fn distrust_float_statistics(state: &mut SessionStateBuilder) {
    let optimizer = state.physical_optimizers().get_or_insert_with(PhysicalOptimizer::new);
    optimizer.rules.insert(0, Arc::new(DropFloatStatistics));
    optimizer.rules.push(Arc::new(GuardFloatPredicates));
}

/// Removes minimum, maximum, sum and distinct count of floating-point columns from the statistics of all file scans.
/// Row counts and null counts remain. It runs before any rule that reads statistics.
#[derive(Debug, Default)]
pub struct DropFloatStatistics;

impl PhysicalOptimizerRule for DropFloatStatistics {
    fn name(&self) -> &str {
        "drop_float_statistics"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        rewrite_scans(plan, |scan| {
            let schema = scan.file_source().table_schema().table_schema();
            let columns = float_columns(schema);
            if !columns.contains(&true) {
                return Ok(None);
            }
            let groups =
                scan.file_groups.iter().map(|group| drop_group_statistics(group, &columns)).collect();
            let mut statistics = scan.statistics();
            drop_value_statistics(&mut statistics, &columns);
            let scan = FileScanConfigBuilder::from(scan.clone());
            Ok(Some(scan.with_file_groups(groups).with_statistics(statistics).build()))
        })
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Rewrites the predicates of Parquet scans so that a condition on a floating-point column prunes files, row groups
/// and pages only if NaN does not meet the condition either:
///
/// ```text
/// DataSourceExec: predicate=x > 2 AND y = 3 AND id < 7
///
/// DataSourceExec: predicate=id < 7 AND y = 3 AND CASE WHEN x > 2 THEN true ELSE false END
///                           AND CASE WHEN y = 3 THEN true ELSE false END
/// ```
///
/// A `CASE` has the same value for each row, and pruning ignores it. Conditions that may prune are repeated in a
/// `CASE`, because DataFusion also concludes from statistics that all rows of a row group meet a predicate, and then
/// does not evaluate it.
#[derive(Debug, Default)]
pub struct GuardFloatPredicates;

impl PhysicalOptimizerRule for GuardFloatPredicates {
    fn name(&self) -> &str {
        "guard_float_predicates"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        rewrite_scans(plan, |scan| Ok(guarded_scan(scan)))
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The Parquet scan with a rewritten predicate; `None` for other scans, and if it need not be rewritten.
fn guarded_scan(scan: &FileScanConfig) -> Option<FileScanConfig> {
    let source = scan.file_source().downcast_ref::<ParquetSource>()?;
    let predicate = scan.file_source().filter()?;
    let guarded = guarded_predicate(&predicate, scan.file_source().table_schema().table_schema())?;
    let source = Arc::new(source.with_predicate(guarded));
    Some(FileScanConfigBuilder::from(scan.clone()).with_source(source).build())
}

/// For each column, whether its type is or contains a floating-point type.
fn float_columns(schema: &Schema) -> Vec<bool> {
    schema.fields().iter().map(|field| contains_floats(field.data_type())).collect()
}

fn contains_floats(data_type: &DataType) -> bool {
    use DataType::{
        Dictionary, FixedSizeList, LargeList, LargeListView, List, ListView, Map, RunEndEncoded, Struct,
        Union,
    };
    match data_type {
        Dictionary(_, values) => contains_floats(values),
        List(field)
        | ListView(field)
        | LargeList(field)
        | LargeListView(field)
        | FixedSizeList(field, _)
        | Map(field, _)
        | RunEndEncoded(_, field) => contains_floats(field.data_type()),
        Struct(fields) => fields.iter().any(|field| contains_floats(field.data_type())),
        Union(fields, _) => fields.iter().any(|(_, field)| contains_floats(field.data_type())),
        other => other.is_floating(),
    }
}

/// A file group without the value statistics of the marked columns, of the group and of its files.
fn drop_group_statistics(group: &FileGroup, columns: &[bool]) -> FileGroup {
    let files = group.iter().cloned().map(|mut file| {
        if let Some(statistics) = &mut file.statistics {
            drop_value_statistics(Arc::make_mut(statistics), columns);
        }
        file
    });
    let stripped = FileGroup::new(files.collect());
    match group.file_statistics(None) {
        None => stripped,
        Some(statistics) => {
            let mut statistics = statistics.clone();
            drop_value_statistics(&mut statistics, columns);
            stripped.with_statistics(Arc::new(statistics))
        }
    }
}

/// Removes minimum, maximum, sum and distinct count of the marked columns.
fn drop_value_statistics(statistics: &mut Statistics, columns: &[bool]) {
    for (column, _) in statistics.column_statistics.iter_mut().zip(columns).filter(|(_, drop)| **drop) {
        column.min_value = Precision::Absent;
        column.max_value = Precision::Absent;
        column.sum_value = Precision::Absent;
        column.distinct_count = Precision::Absent;
    }
}

/// The rewritten predicate of [`GuardFloatPredicates`], which selects the same rows; `None` if no condition reads a
/// floating-point column.
fn guarded_predicate(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Arc<dyn PhysicalExpr>> {
    let (floats, mut conditions): (Vec<_>, Vec<_>) = split_conjunction(predicate)
        .into_iter()
        .map(Arc::clone)
        .partition(|condition| reads_floats(condition, schema));
    if floats.is_empty() {
        return None;
    }
    conditions.extend(pruning_predicate(&conjunction(floats.iter().map(Arc::clone)), schema));
    for condition in floats {
        conditions.push(hide_from_pruning(condition)?);
    }
    Some(conjunction(conditions))
}

fn reads_floats(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let is_float =
        |name| schema.field_with_name(name).map_or(true, |field| contains_floats(field.data_type()));
    collect_columns(expression).iter().any(|column| is_float(column.name()))
}

/// An equivalent condition that pruning ignores. Pruning ignores function calls anyway.
fn hide_from_pruning(condition: Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
    if condition.is::<ScalarFunctionExpr>() {
        return Some(condition);
    }
    let case = CaseExpr::try_new(None, vec![(condition, lit(true))], Some(lit(false))).ok()?;
    Some(Arc::new(case))
}

/// A predicate that a condition implies and that may prune by statistics without NaN: its comparisons of a
/// floating-point column are together false for NaN of either sign. `None` if there is none.
fn pruning_predicate(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Arc<dyn PhysicalExpr>> {
    if !reads_floats(condition, schema) {
        return Some(Arc::clone(condition));
    }
    if let Some(either) = condition.downcast_ref::<BinaryExpr>()
        && *either.op() == Operator::Or
    {
        let (left, right) =
            (pruning_predicate(either.left(), schema)?, pruning_predicate(either.right(), schema)?);
        return Some(Arc::new(BinaryExpr::new(left, Operator::Or, right)));
    }
    let conditions = split_conjunction(condition);
    if conditions.len() > 1 {
        // A column with a lower and an upper bound is not NaN of either sign.
        let mut bounds: HashMap<&str, [bool; 2]> = HashMap::new();
        for (column, [lower, upper]) in conditions.iter().filter_map(|condition| numeric_bounds(condition)) {
            let bounds = bounds.entry(column.name()).or_default();
            bounds[0] |= lower;
            bounds[1] |= upper;
        }
        let predicates = conditions.iter().filter_map(|condition| match numeric_bounds(condition) {
            Some((column, _)) if bounds.get(column.name()) == Some(&[true; 2]) => Some(Arc::clone(condition)),
            _ => pruning_predicate(condition, schema),
        });
        let predicates: Vec<_> = predicates.collect();
        return (!predicates.is_empty()).then(|| conjunction(predicates));
    }
    match numeric_bounds(condition) {
        Some((_, [true, true])) => Some(Arc::clone(condition)),
        _ => None,
    }
}

/// The column that a condition compares with numbers, and whether the condition is a lower and an upper bound.
fn numeric_bounds(condition: &Arc<dyn PhysicalExpr>) -> Option<(&Column, [bool; 2])> {
    if let Some(list) = condition.downcast_ref::<InListExpr>() {
        let numbers = list.list().iter().all(is_non_nan_literal);
        return (numbers && !list.negated()).then_some((float_column(list.expr())?, [true; 2]));
    }
    let comparison = condition.downcast_ref::<BinaryExpr>()?;
    let (left, right) = (comparison.left(), comparison.right());
    let (column, operator) = match (float_column(left), float_column(right)) {
        (Some(column), None) if is_non_nan_literal(right) => (column, *comparison.op()),
        (None, Some(column)) if is_non_nan_literal(left) => (column, comparison.op().swap()?),
        _ => return None,
    };
    match operator {
        Operator::Eq => Some((column, [true; 2])),
        Operator::Gt | Operator::GtEq => Some((column, [true, false])),
        Operator::Lt | Operator::LtEq => Some((column, [false, true])),
        _ => None,
    }
}

/// The column of an expression that is a column, or a cast of one to a floating-point type.
fn float_column(expression: &Arc<dyn PhysicalExpr>) -> Option<&Column> {
    match expression.downcast_ref::<CastExpr>() {
        Some(cast) if cast.cast_type().is_floating() => cast.expr().downcast_ref(),
        Some(_) => None,
        None => expression.downcast_ref(),
    }
}

/// Whether an expression is a floating-point literal other than NaN.
fn is_non_nan_literal(expression: &Arc<dyn PhysicalExpr>) -> bool {
    match expression.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Float16(Some(number))) => !number.is_nan(),
        Some(ScalarValue::Float32(Some(number))) => !number.is_nan(),
        Some(ScalarValue::Float64(Some(number))) => !number.is_nan(),
        _ => false,
    }
}
