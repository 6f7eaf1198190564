//! `EXPLAIN ANALYZE` as a table for people: the operators of a plan with their rows, batches, times and the metrics that matter. In
//! formats for programs, and in the API, its result is DataFusion's, one line for each operator with all metrics.

mod operators;
mod selection;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::format::{ExplainAnalyzeCategories, ExplainFormat};
use datafusion::common::runtime::JoinSet;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::MetricType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, stream};

use self::operators::{Row, operator_rows};
use self::selection::{Selection, human_time};

/// The width of tables where the width of the terminal is not known.
const DEFAULT_WIDTH: usize = 100;

/// How the metrics of a query are shown.
#[derive(Debug, Clone)]
pub struct Analysis {
    selection: Selection,
    width: usize,
}

impl Analysis {
    /// The analysis that a query asks for, in a table of this width; `None` if it asks for none, or for one in a format for programs
    /// or with statistics.
    pub fn of(query: &DataFrame, width: Option<usize>) -> Option<Self> {
        let LogicalPlan::Analyze(analyze) = query.logical_plan() else { return None };
        let task = query.task_ctx();
        let options = &task.session_config().options().explain;
        if analyze.format != ExplainFormat::Indent || options.show_statistics {
            return None;
        }
        let level = analyze.analyze_level.unwrap_or(options.analyze_level);
        let categories = analyze.analyze_categories.as_ref().unwrap_or(&options.analyze_categories);
        let selection = match (analyze.verbose, level, categories) {
            (false, MetricType::Dev, ExplainAnalyzeCategories::All) => Selection::Notable,
            (_, level, ExplainAnalyzeCategories::All) => Selection::Chosen(level.included_types(), None),
            (_, level, ExplainAnalyzeCategories::Only(categories)) => {
                Selection::Chosen(level.included_types(), Some(categories.clone()))
            }
        };
        Some(Self { selection, width: width.unwrap_or(DEFAULT_WIDTH) })
    }

    /// The plan whose result is the table, for the physical plan of the query.
    pub fn plan(self, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        match plan.downcast_ref::<AnalyzeExec>() {
            Some(analyze) => Arc::new(AnalysisExec::new(Arc::clone(analyze.input()), self)),
            None => plan,
        }
    }
}

/// Runs its input, drops its rows, and returns a row for each operator in it, with its metrics.
#[derive(Debug)]
struct AnalysisExec {
    input: Arc<dyn ExecutionPlan>,
    analysis: Analysis,
    properties: Arc<PlanProperties>,
}

impl AnalysisExec {
    fn new(input: Arc<dyn ExecutionPlan>, analysis: Analysis) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Self::schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, analysis, properties: Arc::new(properties) }
    }

    /// `operator`, `rows`, `batches`, `time`: texts.
    fn schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            let field = |name| Field::new(name, DataType::Utf8, false);
            Arc::new(Schema::new(["operator", "rows", "batches", "time"].map(field).to_vec()))
        });
        Arc::clone(&SCHEMA)
    }
}

impl DisplayAs for AnalysisExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for AnalysisExec {
    fn name(&self) -> &str {
        "AnalysisExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.into_iter().next() {
            Some(input) => Ok(Arc::new(Self::new(input, self.analysis.clone()))),
            None => Ok(self),
        }
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (input, analysis) = (Arc::clone(&self.input), self.analysis.clone());
        let table = async move {
            let start = Instant::now();
            let total = count_rows(&input, &context).await?;
            let elapsed = human_time(start.elapsed().as_nanos() as u64);
            let query = Row {
                operator: vec!["Query (elapsed time)".to_owned()],
                rows: total.to_string(),
                batches: String::new(),
                time: elapsed,
            };
            let operators = operator_rows(input.as_ref(), &analysis.selection, analysis.width);
            batch(&[vec![query], operators].concat())
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Self::schema(), stream::once(table))))
    }
}

/// Runs all partitions of a plan at the same time, and counts its rows.
async fn count_rows(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<usize> {
    // Dropping the set ends the tasks.
    let mut tasks = JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut batches = plan.execute(partition, Arc::clone(context))?;
        tasks.spawn(async move {
            let mut rows = 0;
            while let Some(batch) = batches.next().await.transpose()? {
                rows += batch.num_rows();
            }
            Ok::<_, DataFusionError>(rows)
        });
    }
    let mut total = 0;
    while let Some(rows) = tasks.join_next().await {
        total += rows.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
    }
    Ok(total)
}

/// The table, with numbers aligned at their last digit.
fn batch(rows: &[Row]) -> Result<RecordBatch> {
    let aligned = |cells: Vec<&str>| {
        let width = cells.iter().map(|cell| cell.len()).max().unwrap_or(0);
        let cells = cells.into_iter().map(|cell| Some(format!("{cell:>width$}")));
        Arc::new(cells.collect::<StringArray>()) as ArrayRef
    };
    let operators = rows.iter().map(|row| Some(row.operator.join("\n"))).collect::<StringArray>();
    let columns = vec![
        Arc::new(operators) as ArrayRef,
        aligned(rows.iter().map(|row| row.rows.as_str()).collect()),
        aligned(rows.iter().map(|row| row.batches.as_str()).collect()),
        aligned(rows.iter().map(|row| row.time.as_str()).collect()),
    ];
    Ok(RecordBatch::try_new(AnalysisExec::schema(), columns)?)
}
