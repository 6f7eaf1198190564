//! What takes part in the suite: a mode or an external tool.

use datafusion::common::{Result, exec_err};
use tokio::runtime::Runtime;

use super::Suite;
use crate::compare::formula::Formula;
use crate::compare::formula_tree::FormulaTree;
use crate::compare::measure::milliseconds;
use crate::compare::mode::Mode;
use crate::compare::session_query::{
    memory_table, run_to_arrays, run_to_sum, runtime, session, session_builder,
};
use crate::compare::tool_process::{Refusal, ToolProcess};
use crate::compare::tool_runner::no_counterpart;
use crate::compare::verify::{Answer, Reference, ResultsOf, Verified};
use crate::compare::workload::ResultSink;
use crate::session::Session;
use arrow::array::RecordBatch;
use std::num::NonZeroUsize;

/// A query of the suite.
pub struct Query<'a> {
    pub formula: &'a Formula,
    /// The condition in SQL, and its tree; `None` for all rows.
    pub filter: Option<&'a (String, FormulaTree)>,
    pub result: ResultSink,
}

/// Something that runs queries, one at a time.
pub trait Contestant {
    /// Takes the query that the following runs evaluate.
    ///
    /// # Errors
    /// It lacks an operation, or fails.
    fn prepare(&mut self, query: &Query) -> Result<(), Refusal>;

    /// Runs the query once, and returns its time in milliseconds.
    ///
    /// # Errors
    /// It fails.
    fn run(&mut self) -> Result<f64, Refusal>;

    /// Verifies the result of the last run.
    ///
    /// # Errors
    /// The result is wrong.
    fn verify(&mut self, reference: &Reference) -> Result<Verified, Refusal>;
}

/// A mode that evaluates SQL in this process.
pub struct EngineMode {
    runtime: Runtime,
    session: Session,
    query: String,
    result: ResultSink,
    answer: Option<Answer>,
}

impl EngineMode {
    /// A mode over rows in memory.
    ///
    /// # Errors
    /// The session cannot be made.
    pub fn new(mode: Mode, suite: &Suite, rows: &RecordBatch) -> Result<Self> {
        let threads = threads(mode, suite);
        Ok(Self {
            runtime: runtime(threads)?,
            session: session(session_builder(mode, threads), memory_table(rows, threads)?)?,
            query: String::new(),
            result: ResultSink::Collect,
            answer: None,
        })
    }
}

/// The number of threads of a mode.
pub fn threads(mode: Mode, suite: &Suite) -> NonZeroUsize {
    if mode.is_parallel() { suite.threads } else { NonZeroUsize::MIN }
}

impl Contestant for EngineMode {
    fn prepare(&mut self, query: &Query) -> Result<(), Refusal> {
        let expression = &query.formula.sql;
        let condition = query.filter.map_or(String::new(), |(condition, _)| format!(" WHERE {condition}"));
        self.query = match query.result {
            ResultSink::Sum => format!("SELECT sum({expression}) AS r FROM rows{condition}"),
            _ => format!("SELECT {expression} AS r FROM rows{condition}"),
        };
        (self.result, self.answer) = (query.result, None);
        Ok(())
    }

    fn run(&mut self) -> Result<f64, Refusal> {
        // Frees the memory of the last result off the clock.
        self.answer = None;
        let run = if self.result == ResultSink::Sum { run_to_sum } else { run_to_arrays };
        let ((time, answer), _) = run(&self.runtime, &self.session, &self.query)?;
        self.answer = Some(answer);
        Ok(milliseconds(time))
    }

    fn verify(&mut self, reference: &Reference) -> Result<Verified, Refusal> {
        match self.answer.take() {
            Some(answer) => Ok(reference.verify(answer, ResultsOf::Engine)?),
            None => Ok(exec_err!("wrong answer: there is no result")?),
        }
    }
}

impl Contestant for ToolProcess {
    fn prepare(&mut self, query: &Query) -> Result<(), Refusal> {
        match &query.formula.tree {
            Ok(tree) => self.prepare(tree, query.filter.map(|(_, tree)| tree), query.result),
            Err(part) => Err(Refusal::Skipped(no_counterpart(part))),
        }
    }

    fn run(&mut self) -> Result<f64, Refusal> {
        self.run()
    }

    fn verify(&mut self, reference: &Reference) -> Result<Verified, Refusal> {
        self.verify(reference).map(|(verified, _)| verified)
    }
}
