//! The physical rules that keep the statistics of Parquet files from deciding rows of floating-point columns.
//!
//! Minimum and maximum of a Parquet column leave NaN out (apache/datafusion#15812), and DataFusion takes them for the
//! whole truth: it replaces a column by a constant where both are equal (apache/datafusion#19089), answers `min` and
//! `max` from them, proves files to be in order by them, and skips files, row groups and pages by them. In DataFusion's
//! order NaN stands above all numbers, and NaN with the sign bit set, which x86 makes of 0/0, below all numbers.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
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

/// Adds both rules to a session: the one before all others, the other behind them.
pub fn distrust_float_statistics(state: &mut SessionStateBuilder) {
    let optimizer = state.physical_optimizers().get_or_insert_with(PhysicalOptimizer::new);
    optimizer.rules.insert(0, Arc::new(DropFloatStatistics));
    optimizer.rules.push(Arc::new(GuardFloatPredicates));
}

/// Takes minimum, maximum, sum and number of distinct values of floating-point columns out of the statistics of all
/// scans, before any other rule looks at them. Numbers of rows and nulls stay.
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
                return None;
            }
            let groups = scan.file_groups.iter().map(|group| without_values(group, &columns)).collect();
            let mut statistics = scan.statistics();
            drop_values(&mut statistics, &columns);
            let scan = FileScanConfigBuilder::from(scan.clone());
            Some(scan.with_file_groups(groups).with_statistics(statistics).build())
        })
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Rewrites the predicates of Parquet scans so that files, row groups and pages are skipped by conditions on
/// floating-point columns only where NaN would not meet the condition either:
///
/// ```text
/// DataSourceExec: predicate=x > 2 AND y = 3 AND id < 7
///
/// DataSourceExec: predicate=id < 7 AND y = 3 AND CASE WHEN x > 2 THEN true ELSE false END
///                           AND CASE WHEN y = 3 THEN true ELSE false END
/// ```
///
/// A `CASE` means the same for a row, and nothing to those who look at statistics. It holds the conditions that may
/// skip as well: DataFusion also concludes from statistics that all rows of a row group meet a predicate, and then asks
/// none of them.
#[derive(Debug, Default)]
pub struct GuardFloatPredicates;

impl PhysicalOptimizerRule for GuardFloatPredicates {
    fn name(&self) -> &str {
        "guard_float_predicates"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        rewrite_scans(plan, |scan| {
            let source: &dyn std::any::Any = scan.file_source().as_ref();
            let source = source.downcast_ref::<ParquetSource>()?;
            let predicate = scan.file_source().filter()?;
            let guarded = guard(&predicate, scan.file_source().table_schema().table_schema())?;
            let source = Arc::new(source.with_predicate(guarded));
            Some(FileScanConfigBuilder::from(scan.clone()).with_source(source).build())
        })
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Replaces scans of files where `rewrite` gives another one.
fn rewrite_scans(
    plan: Arc<dyn ExecutionPlan>,
    rewrite: impl Fn(&FileScanConfig) -> Option<FileScanConfig>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let scan = node.downcast_ref::<DataSourceExec>().and_then(|scan| {
            let source: &dyn std::any::Any = scan.data_source().as_ref();
            rewrite(source.downcast_ref()?)
        });
        Ok(match scan {
            Some(scan) => Transformed::yes(DataSourceExec::from_data_source(scan) as _),
            None => Transformed::no(node),
        })
    })?;
    Ok(plan.data)
}

/// For each column, whether it holds floating-point numbers, be it deep inside.
fn float_columns(schema: &Schema) -> Vec<bool> {
    schema.fields().iter().map(|field| holds_floats(field.data_type())).collect()
}

fn holds_floats(data_type: &DataType) -> bool {
    use DataType::{
        Dictionary, FixedSizeList, LargeList, LargeListView, List, ListView, Map, RunEndEncoded, Struct,
        Union,
    };
    match data_type {
        Dictionary(_, values) => holds_floats(values),
        List(field)
        | ListView(field)
        | LargeList(field)
        | LargeListView(field)
        | FixedSizeList(field, _)
        | Map(field, _)
        | RunEndEncoded(_, field) => holds_floats(field.data_type()),
        Struct(fields) => fields.iter().any(|field| holds_floats(field.data_type())),
        Union(fields, _) => fields.iter().any(|(_, field)| holds_floats(field.data_type())),
        other => other.is_floating(),
    }
}

/// The files of a group without what their statistics say of the values of these columns.
fn without_values(group: &FileGroup, columns: &[bool]) -> FileGroup {
    let files = group.iter().cloned().map(|mut file| {
        if let Some(statistics) = &mut file.statistics {
            drop_values(Arc::make_mut(statistics), columns);
        }
        file
    });
    let without = FileGroup::new(files.collect());
    match group.file_statistics(None) {
        None => without,
        Some(statistics) => {
            let mut statistics = statistics.clone();
            drop_values(&mut statistics, columns);
            without.with_statistics(Arc::new(statistics))
        }
    }
}

fn drop_values(statistics: &mut Statistics, columns: &[bool]) {
    for (column, _) in statistics.column_statistics.iter_mut().zip(columns).filter(|(_, drop)| **drop) {
        column.min_value = Precision::Absent;
        column.max_value = Precision::Absent;
        column.sum_value = Precision::Absent;
        column.distinct_count = Precision::Absent;
    }
}

/// The predicate by which rows may be skipped and are chosen as by this one; nothing where it is this one.
fn guard(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Arc<dyn PhysicalExpr>> {
    let (floats, mut conditions): (Vec<_>, Vec<_>) = split_conjunction(predicate)
        .into_iter()
        .map(Arc::clone)
        .partition(|condition| reads_floats(condition, schema));
    if floats.is_empty() {
        return None;
    }
    conditions.extend(skipping(&conjunction(floats.iter().map(Arc::clone)), schema));
    for condition in floats {
        conditions.push(opaque(condition)?);
    }
    Some(conjunction(conditions))
}

fn reads_floats(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let is_float = |name| schema.field_with_name(name).map_or(true, |field| holds_floats(field.data_type()));
    collect_columns(expression).iter().any(|column| is_float(column.name()))
}

/// The condition as one that tells nothing to those who look at statistics. A function tells them nothing anyway.
fn opaque(condition: Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
    if condition.is::<ScalarFunctionExpr>() {
        return Some(condition);
    }
    let case = CaseExpr::try_new(None, vec![(condition, lit(true))], Some(lit(false))).ok()?;
    Some(Arc::new(case))
}

/// What follows from a condition and is false where statistics say so of the numbers and NaN makes it false too.
fn skipping(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Arc<dyn PhysicalExpr>> {
    if !reads_floats(condition, schema) {
        return Some(Arc::clone(condition));
    }
    if let Some(either) = condition.downcast_ref::<BinaryExpr>()
        && *either.op() == Operator::Or
    {
        let (left, right) = (skipping(either.left(), schema)?, skipping(either.right(), schema)?);
        return Some(Arc::new(BinaryExpr::new(left, Operator::Or, right)));
    }
    let conditions = split_conjunction(condition);
    if conditions.len() > 1 {
        // A column that has a lower and an upper bound is NaN of neither sign.
        let mut bounds: HashMap<&str, [bool; 2]> = HashMap::new();
        for (column, [lower, upper]) in conditions.iter().filter_map(|condition| bounded(condition)) {
            let bounds = bounds.entry(column.name()).or_default();
            bounds[0] |= lower;
            bounds[1] |= upper;
        }
        let skipping = conditions.iter().filter_map(|condition| match bounded(condition) {
            Some((column, _)) if bounds.get(column.name()) == Some(&[true; 2]) => Some(Arc::clone(condition)),
            _ => skipping(condition, schema),
        });
        let skipping: Vec<_> = skipping.collect();
        return (!skipping.is_empty()).then(|| conjunction(skipping));
    }
    match bounded(condition) {
        Some((_, [true, true])) => Some(Arc::clone(condition)),
        _ => None,
    }
}

/// The column that a condition compares with numbers, and whether it is then above a number and below one.
fn bounded(condition: &Arc<dyn PhysicalExpr>) -> Option<(&Column, [bool; 2])> {
    if let Some(list) = condition.downcast_ref::<InListExpr>() {
        let numbers = list.list().iter().all(is_number);
        return (numbers && !list.negated()).then_some((float_column(list.expr())?, [true; 2]));
    }
    let comparison = condition.downcast_ref::<BinaryExpr>()?;
    let (left, right) = (comparison.left(), comparison.right());
    let (column, operator) = match (float_column(left), float_column(right)) {
        (Some(column), None) if is_number(right) => (column, *comparison.op()),
        (None, Some(column)) if is_number(left) => (column, comparison.op().swap()?),
        _ => return None,
    };
    match operator {
        Operator::Eq => Some((column, [true; 2])),
        Operator::Gt | Operator::GtEq => Some((column, [true, false])),
        Operator::Lt | Operator::LtEq => Some((column, [false, true])),
        _ => None,
    }
}

/// The column that an expression is, be it as a wider or narrower floating-point number.
fn float_column(expression: &Arc<dyn PhysicalExpr>) -> Option<&Column> {
    match expression.downcast_ref::<CastExpr>() {
        Some(cast) if cast.cast_type().is_floating() => cast.expr().downcast_ref(),
        Some(_) => None,
        None => expression.downcast_ref(),
    }
}

fn is_number(expression: &Arc<dyn PhysicalExpr>) -> bool {
    match expression.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Float16(Some(number))) => !number.is_nan(),
        Some(ScalarValue::Float32(Some(number))) => !number.is_nan(),
        Some(ScalarValue::Float64(Some(number))) => !number.is_nan(),
        _ => false,
    }
}
