//! Runs a query in a session and reads its result.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::{ExecutionPlanProperties, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Runtime;
use warpframe::Session;
use warpframe::planner::for_each_fused_function;

use crate::tables::table;

/// A value of a result.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Cell {
    Null,
    Float(f64),
    Text(String),
}

/// The result of a query.
#[derive(Debug)]
pub struct Answer {
    /// Names and types of the columns.
    pub fields: Vec<(String, DataType)>,
    /// Whether the plan has a fused expression.
    pub fused: bool,
    pub rows: Vec<Vec<Cell>>,
}

/// The message of the first error, without what was added to it.
pub type Outcome = Result<Answer, String>;

/// A session with the tables.
pub enum Engine {
    Bare(SessionContext),
    Ours(Session),
}

/// Rows in a batch.
const BATCH: NonZeroUsize = NonZeroUsize::new(16).unwrap();

impl Engine {
    /// DataFusion's own session.
    pub fn bare(rows: &[(&str, RecordBatch)]) -> Self {
        let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(BATCH.get());
        config.options_mut().sql_parser.collect_spans = true;
        let context = SessionContext::new_with_config(config);
        register(&context, rows);
        Self::Bare(context)
    }

    /// A session that fuses expressions for a backend.
    pub fn fused(backend: &str, rows: &[(&str, RecordBatch)]) -> Self {
        let session = Session::builder().backend(backend).threads(NonZeroUsize::MIN).batch_size(BATCH);
        let session = session.build().unwrap();
        register(session.context(), rows);
        Self::Ours(session)
    }

    pub fn run(&self, runtime: &Runtime, sql: &str) -> Outcome {
        let query = async {
            let frame = match self {
                Self::Bare(context) => context.sql(sql).await,
                Self::Ours(session) => session.sql(sql).await,
            };
            answer(frame?).await
        };
        match catch_unwind(AssertUnwindSafe(|| runtime.block_on(query))) {
            Ok(result) => result.map_err(|error| error.find_root().strip_backtrace()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                Err(format!("panic: {}", text.unwrap_or_default()))
            }
        }
    }
}

fn register(context: &SessionContext, rows: &[(&str, RecordBatch)]) {
    for (name, rows) in rows {
        context.register_table(*name, table(rows)).unwrap();
    }
}

async fn answer(frame: DataFrame) -> Result<Answer, DataFusionError> {
    let context = std::sync::Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    assert_eq!(plan.output_partitioning().partition_count(), 1);
    let schema = plan.schema();
    let fields = schema.fields().iter();
    let fields = fields.map(|field| (field.name().clone(), field.data_type().clone()));
    let mut answer = Answer { fields: fields.collect(), fused: false, rows: Vec::new() };
    for_each_fused_function(&plan, |_| {
        answer.fused = true;
        Ok(())
    })?;
    for batch in collect(plan, context).await? {
        assert_eq!(batch.schema().fields(), schema.fields(), "the batch is not what the plan says");
        answer.rows.extend(cells(&batch));
    }
    Ok(answer)
}

fn cells(batch: &RecordBatch) -> Vec<Vec<Cell>> {
    let options = FormatOptions::default();
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        let nulls = column.logical_nulls();
        let format = ArrayFormatter::try_new(column, &options).unwrap();
        for (row, cells) in rows.iter_mut().enumerate() {
            cells.push(match column.data_type() {
                _ if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) => Cell::Null,
                DataType::Float16 => Cell::Float(column.as_primitive::<Float16Type>().value(row).to_f64()),
                DataType::Float32 => Cell::Float(column.as_primitive::<Float32Type>().value(row).into()),
                DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
                _ => Cell::Text(format.value(row).to_string()),
            });
        }
    }
    rows
}
