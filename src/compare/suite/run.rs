//! Runs a suite. The tools take turns, so that changes of the machine's speed affect all of them.

use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result, exec_err};

use super::contestant::{Contestant, EngineMode, Query, threads};
use super::findings::findings;
use super::report::{CaseReport, Measurement, SuiteReport, SuiteTool};
use super::rows::{generate, kept};
use super::{POSSIBLE_MODES, Suite};
use crate::compare::event::Event;
use crate::compare::formula::{Formula, parse, schema};
use crate::compare::formula_tree::FormulaTree;
use crate::compare::kernel_mode::time_memory_stream;
use crate::compare::measure::{median, milliseconds};
use crate::compare::mode::Mode;
use crate::compare::reference::reference;
use crate::compare::report::{Libraries, Limit, SCHEMA_VERSION, Status};
use crate::compare::tool_process::{Refusal, ToolFiles, ToolProcess};
use crate::compare::tool_runner::interpreter;
use crate::compare::verify::Reference;
use crate::machine::{Machine, available_memory};
use crate::revision::REVISION;
use warpframe_datafusion::rows::MAX_ROWS;

/// A tool that has used this much time in a case has no more timed runs in it, in milliseconds.
const MAX_TIME_PER_CASE: f64 = 2_000.0;

/// The pause after each run. Threads of some tools, such as those of Numba and Dask, are busy for some milliseconds after a run.
const PAUSE: Duration = Duration::from_millis(10);

/// The bytes per row that a tool needs: four columns and a result, and copies of them in its own format.
const BYTES_PER_ROW: u64 = 12 * 8;

/// A tool, or why it does not take part.
type Entry = (SuiteTool, Option<Box<dyn Contestant>>);

impl Suite {
    /// Runs all formulas. `command` is the command line that the report shows, `on_event` the progress callback. A tool that
    /// returns an error or a wrong result is reported as failed in the case; the others still run.
    ///
    /// # Errors
    /// The number of rows is zero, too large for the memory, or so small that none meets a condition; a mode cannot take part in
    /// a suite; or the work folder is not writable.
    pub fn run(&self, command: String, on_event: &dyn Fn(Event)) -> Result<SuiteReport> {
        self.check()?;
        on_event(Event::MakingRows);
        let machine = Machine::detect()?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.get())
            .build()
            .map_err(|error| DataFusionError::External(error.into()))?;
        let rows = generate(self.seed, self.rows, &pool)?;
        let mut entries = self.entries(&rows, on_event)?;
        let mut stream = pool.install(|| time_memory_stream(&rows, self.repeat.get()))?;
        let mut cases = Vec::new();
        let of = self.formulas.len() * self.keep.len() * self.results.len();
        for formula in &self.formulas {
            let compiled = Formula::new(Some(formula.sql))?;
            let reference = reference(&compiled, &rows, &pool)?;
            for &percent in &self.keep {
                let filter = filter(percent)?;
                let reference = match filter {
                    Some(_) => &reference.of_rows(kept(&rows, percent)),
                    None => &reference,
                };
                if reference.len() == 0 {
                    return exec_err!(
                        "none of {} rows meets the condition w <= {percent}: use more rows",
                        self.rows
                    );
                }
                for &result in &self.results {
                    let query = Query { formula: &compiled, filter: filter.as_ref(), result };
                    on_event(Event::Case(formula.name, cases.len() + 1, of));
                    let case = CaseReport {
                        formula: formula.name.to_owned(),
                        expression: formula.sql.to_owned(),
                        result: result.to_string(),
                        keep_percent: percent,
                        filter: filter.as_ref().map(|(sql, _)| sql.clone()),
                        rows: reference.len() as u64,
                        measurements: self.measure(&mut entries, &query, reference),
                    };
                    on_event(Event::CaseDone(&case));
                    cases.push(case);
                }
            }
        }
        // Half of these runs are before the cases and half after them, because the speed of a machine drifts.
        stream.extend(pool.install(|| time_memory_stream(&rows, self.repeat.get()))?);
        stream.sort();
        let stream: Vec<_> = stream.into_iter().map(milliseconds).collect();
        let tools: Vec<_> = entries.into_iter().map(|(tool, _)| tool).collect();
        Ok(SuiteReport {
            schema_version: SCHEMA_VERSION,
            rows: self.rows,
            seed: self.seed,
            repeat: self.repeat.get(),
            threads: self.threads.get(),
            command,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: REVISION.to_owned(),
            libraries: Libraries::current(),
            machine,
            limit: Limit { stream_ms: median(&stream) },
            findings: findings(&tools, &cases),
            tools,
            cases,
        })
    }

    fn check(&self) -> Result<()> {
        if self.rows == 0 || self.rows > MAX_ROWS {
            return exec_err!("cannot compare over {} rows: the number is from 1 to {MAX_ROWS}", self.rows);
        }
        if let Some(mode) = self.modes.iter().find(|mode| !POSSIBLE_MODES.contains(mode)) {
            let possible = POSSIBLE_MODES.map(Mode::name).join(", ");
            return exec_err!("the mode {mode} cannot take part in a suite: use some of {possible}");
        }
        // All tools have the rows in memory at the same time.
        let tools = self.external_tools.modes.len() as u64 + 2;
        let needed = self.rows.saturating_mul(BYTES_PER_ROW).saturating_mul(tools);
        let available = available_memory();
        if available > 0 && needed > available {
            return exec_err!(
                "{} rows in {tools} tools need about {:.1} GiB of memory and {:.1} GiB are free: use fewer rows or --peers",
                self.rows,
                needed as f64 / f64::from(1 << 30),
                available as f64 / f64::from(1 << 30)
            );
        }
        Ok(())
    }

    /// The modes and the external tools, with the rows loaded.
    fn entries(&self, rows: &RecordBatch, on_event: &dyn Fn(Event)) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        for &mode in &self.modes {
            let tool = SuiteTool {
                name: mode.name().to_owned(),
                description: mode.description().to_owned(),
                is_external: false,
                threads: threads(mode, self).get(),
                version: None,
                status: Status::Ok,
                reason: None,
            };
            entries.push((tool, Some(Box::new(EngineMode::new(mode, self, rows)?))));
        }
        let tools = &self.external_tools;
        let ready = match interpreter(tools) {
            Ok(()) => {
                let folder = self.work_folder.join("peers");
                let parquet = folder.join("rows.parquet");
                Ok(ToolFiles::write(folder, parquet, rows, self.threads.get())?)
            }
            Err(reason) => Err(Refusal::Skipped(reason)),
        };
        for mode in &tools.modes {
            on_event(Event::ExternalTool(mode));
            let started = match &ready {
                Ok(files) => ToolProcess::start(tools, mode, files),
                Err(refusal) => Err(refusal.clone()),
            };
            let tool = SuiteTool {
                name: mode.name.to_owned(),
                description: mode.description.to_owned(),
                is_external: mode.is_external(),
                threads: 0,
                version: None,
                status: Status::Ok,
                reason: None,
            };
            entries.push(match started {
                Ok((process, loaded)) => {
                    let tool = SuiteTool { threads: loaded.threads, version: Some(loaded.version), ..tool };
                    (tool, Some(Box::new(process)))
                }
                Err(refusal) => {
                    let (status, reason) = refusal.into_parts();
                    (SuiteTool { status, reason: Some(reason), ..tool }, None)
                }
            });
        }
        Ok(entries)
    }

    /// Lets all tools run a query: once for warming up, then in turns. The result of the last run of each is verified.
    fn measure(&self, entries: &mut [Entry], query: &Query, reference: &Reference) -> Vec<Measurement> {
        let mut turns: Vec<_> = entries
            .iter_mut()
            .filter_map(|(tool, contestant)| Some(Turn::new(&tool.name, contestant.as_mut()?)))
            .collect();
        turns.iter_mut().for_each(|turn| turn.warm_up(query));
        for round in 0..self.repeat.get() {
            // Another tool begins each round.
            let first = round % turns.len().max(1);
            let (before, after) = turns.split_at_mut(first);
            after.iter_mut().chain(before).for_each(Turn::run);
        }
        turns.into_iter().map(|turn| turn.finish(reference)).collect()
    }
}

/// A tool in a case.
struct Turn<'a> {
    name: &'a str,
    contestant: &'a mut Box<dyn Contestant>,
    first: f64,
    times: Vec<f64>,
    refusal: Option<Refusal>,
}

impl<'a> Turn<'a> {
    fn new(name: &'a str, contestant: &'a mut Box<dyn Contestant>) -> Self {
        Self { name, contestant, first: 0.0, times: Vec::new(), refusal: None }
    }

    fn warm_up(&mut self, query: &Query) {
        match self.contestant.prepare(query).and_then(|()| self.contestant.run()) {
            Ok(time) => self.first = time,
            Err(refusal) => self.refusal = Some(refusal),
        }
        std::thread::sleep(PAUSE);
    }

    fn run(&mut self) {
        if self.refusal.is_some() || self.times.iter().sum::<f64>() > MAX_TIME_PER_CASE {
            return;
        }
        match self.contestant.run() {
            Ok(time) => self.times.push(time),
            Err(refusal) => self.refusal = Some(refusal),
        }
        std::thread::sleep(PAUSE);
    }

    fn finish(mut self, reference: &Reference) -> Measurement {
        let verified = match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None => self.contestant.verify(reference),
        };
        match verified {
            Ok(verified) => {
                self.times.sort_by(f64::total_cmp);
                Measurement {
                    tool: self.name.to_owned(),
                    status: Status::Ok,
                    reason: None,
                    first_ms: Some(self.first),
                    median_ms: Some(median(&self.times)),
                    min_ms: self.times.first().copied(),
                    max_ms: self.times.last().copied(),
                    repeats: self.times.len(),
                    sum: Some(verified.sum),
                    max_ulp: verified.max_ulp,
                }
            }
            Err(refusal) => {
                let (status, reason) = refusal.into_parts();
                Measurement::without_time(self.name, status, reason)
            }
        }
    }
}

/// The condition that keeps a percentage of the rows; `None` if it keeps all.
fn filter(percent: u8) -> Result<Option<(String, FormulaTree)>> {
    if percent >= 100 {
        return Ok(None);
    }
    let sql = format!("w <= {percent}");
    let (_, coerced) = parse(&sql, &schema(&["w"]))?;
    match FormulaTree::new(&coerced) {
        Ok(tree) => Ok(Some((sql, tree))),
        Err(part) => exec_err!("the condition '{sql}' has no tree: {part}"),
    }
}
