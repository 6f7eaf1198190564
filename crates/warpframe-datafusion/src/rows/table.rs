//! Generated rows as a DataFusion table provider and as the table function `generate_rows`.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::distribution::{MAX_ROWS, RowGenerator};
use super::exec::GenerateExec;
use crate::expression_text::expression_text;

/// A table of generated rows. A scan generates only the projected columns, in the session's number of target
/// partitions.
#[derive(Debug, Clone)]
pub struct GeneratedRows {
    generator: RowGenerator,
    rows: u64,
}

impl GeneratedRows {
    /// A table of the first `rows` rows, at most [`MAX_ROWS`].
    pub fn new(generator: RowGenerator, rows: u64) -> Self {
        Self { generator, rows: rows.min(MAX_ROWS) }
    }
}

#[async_trait]
impl TableProvider for GeneratedRows {
    fn schema(&self) -> SchemaRef {
        RowGenerator::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let columns: Arc<[usize]> = match projection {
            Some(columns) => columns.as_slice().into(),
            None => (0..schema.fields().len()).collect(),
        };
        let rows = limit.map_or(self.rows, |limit| self.rows.min(limit as u64));
        let batch_size = state.config().batch_size() as u64;
        let partitions = state.config().target_partitions();
        let ranges = partition_ranges(rows, batch_size, partitions as u64);
        Ok(Arc::new(GenerateExec::new(self.generator, columns, ranges)?))
    }
}

/// Splits rows into at most `partitions` ordered ranges of whole batches, of which the last batch may be shorter. Zero
/// rows give one empty range.
fn partition_ranges(rows: u64, batch_size: u64, partitions: u64) -> impl Iterator<Item = Range<u64>> {
    let batches = rows.div_ceil(batch_size.max(1));
    let share = batches.div_ceil(partitions.max(1)).max(1) * batch_size.max(1);
    let ranges = rows.div_ceil(share).max(1);
    (0..ranges).map(move |range| (range * share)..((range + 1) * share).min(rows))
}

/// The table function `generate_rows(n [, distribution [, seed]])`.
#[derive(Debug, Default)]
pub struct GenerateRows;

impl TableFunctionImpl for GenerateRows {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        const USAGE: &str = "use generate_rows(n [, 'sequence' | 'uniform' [, seed]])";
        let (rows, rest) = match arguments.exprs() {
            [rows, rest @ ..] if rest.len() <= 2 => (rows, rest),
            other => return plan_err!("generate_rows takes 1 to 3 arguments, not {}: {USAGE}", other.len()),
        };
        let Some(rows) = non_negative_integer(rows).filter(|rows| *rows <= MAX_ROWS) else {
            return plan_err!(
                "generate_rows takes a whole number of rows from 0 to {MAX_ROWS}, not {}: {USAGE}",
                expression_text(rows)?
            );
        };
        let distribution = match rest.first() {
            None => Default::default(),
            Some(Expr::Literal(ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)), _)) => {
                name.parse()?
            }
            Some(other) => {
                return plan_err!(
                    "generate_rows takes the name of a distribution, not {}: {USAGE}",
                    expression_text(other)?
                );
            }
        };
        let seed = match rest.get(1) {
            None => 0,
            Some(seed) => match non_negative_integer(seed) {
                Some(seed) => seed,
                None => {
                    let seed = expression_text(seed)?;
                    return plan_err!("generate_rows takes a whole number as its seed, not {seed}: {USAGE}");
                }
            },
        };
        Ok(Arc::new(GeneratedRows::new(RowGenerator { distribution, seed }, rows)))
    }
}

/// The value of a non-negative integer literal; `None` for other expressions.
fn non_negative_integer(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => u64::try_from(*number).ok(),
        Expr::Literal(ScalarValue::UInt64(number), _) => *number,
        _ => None,
    }
}
