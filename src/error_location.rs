//! Names the expression or the option that an error of a statement comes from.

use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::{LogicalPlan, Statement};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use warpframe_datafusion::evaluation_error::locate_error;

/// The query whose errors are looked at.
#[derive(Clone)]
pub struct ErrorLocator {
    state: SessionState,
    plan: LogicalPlan,
}

impl ErrorLocator {
    /// For the errors of a query.
    pub fn of(query: &DataFrame) -> Self {
        let (state, plan) = query.clone().into_parts();
        Self { state, plan }
    }

    /// For the errors of a plan, which a session executes.
    pub fn of_plan(state: SessionState, plan: LogicalPlan) -> Self {
        Self { state, plan }
    }

    /// The error of the query's execution. If an expression has no value in a row, such as the square root of a negative number,
    /// it names those expressions of the query that can be the cause
    /// ([`EvaluationError`](warpframe_datafusion::evaluation_error::EvaluationError)). If the value of a `SET` cannot be
    /// parsed, it names the option. Others stay as they are.
    pub fn locate(&self, error: DataFusionError) -> DataFusionError {
        if let LogicalPlan::Statement(Statement::SetVariable(set)) = &self.plan
            && let DataFusionError::External(cause) = error.find_root()
        {
            let message = format!("cannot set {} to '{}': {cause}", set.variable, set.value);
            return DataFusionError::Configuration(message);
        }
        locate_error(error, &self.plan, &self.state)
    }

    /// The batches of the query, with such errors.
    pub fn stream(self, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = batches.schema();
        let located = batches.map_err(move |error| self.locate(error));
        Box::pin(RecordBatchStreamAdapter::new(schema, located))
    }
}
