//! Runs a comparison.

use std::num::NonZeroUsize;

use datafusion::common::{DataFusionError, Result};

use super::columns;
use super::comparison::Comparison;
use super::engine::Engine;
use super::event::Event;
use super::formula::Formula;
use super::kernel_mode::{run_kernel, time_memory_stream};
use super::measure::{measure, median, milliseconds};
use super::mode::Mode;
use super::reference::reference;
use super::report::model::{ModeReport, Report};
use super::tool_runner::ToolRunner;
use crate::machine::Machine;

impl Comparison {
    /// Runs all modes, one at a time, then the external tools. `command` is the command line that the report shows,
    /// `on_event` the progress callback. A mode that returns an error or a wrong result is reported as failed; the others
    /// still run.
    ///
    /// # Errors
    /// The expression cannot be compiled or returns nulls, the number of rows is zero or too large for the memory, or the
    /// work folder is not writable.
    pub fn run(&self, command: String, on_event: &dyn Fn(Event)) -> Result<Report> {
        self.check_size()?;
        let formula = Formula::new(self.expression.as_deref())?;
        on_event(Event::MakingRows);
        let machine = Machine::detect()?.with_gpus(self.gpus().ok().as_deref());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.get())
            .build()
            .map_err(|error| DataFusionError::External(error.into()))?;
        let rows = columns::generate(&self.generator, self.rows, &pool)?;
        let engine = Engine::prepare(self, &formula, &rows)?;
        let reference = reference(&formula, &rows, &pool)?;
        let mut stream = pool.install(|| time_memory_stream(&rows, self.repeat.get()))?;
        let mut modes = Vec::with_capacity(self.modes.len());
        for (mode, source) in self.runs() {
            on_event(Event::Mode(mode, source));
            let threads = if mode.is_parallel() { self.threads } else { NonZeroUsize::MIN };
            let report = match self.reason_to_skip(mode) {
                Some(reason) => ModeReport::skipped(mode, source, &reason),
                None => {
                    let on_repeat = |run: usize, of: usize| on_event(Event::Repeat(mode, run, of));
                    let measured = match mode {
                        Mode::Rayon => measure(self.repeat, &reference, on_repeat, || {
                            pool.install(|| run_kernel(&rows, &formula, self.result))
                        })
                        .map(|measured| (measured, None)),
                        _ => engine.measure_mode((mode, source), threads, |run| {
                            measure(self.repeat, &reference, on_repeat, run)
                        }),
                    };
                    match measured {
                        Ok((measured, phases)) => {
                            let slots =
                                phases.as_ref().and_then(|phases| phases.split).map(|split| split.slots);
                            let threads = slots.unwrap_or(threads.get());
                            let report = ModeReport::ok(mode, source, threads, self.rows, &measured);
                            let (split, gpu) =
                                phases.map_or((None, None), |phases| (phases.split, phases.gpu));
                            ModeReport { split, gpu, output_bytes: engine.output_bytes(), ..report }
                        }
                        Err(error) => {
                            ModeReport::failed(mode, source, threads.get(), error.strip_backtrace())
                        }
                    }
                }
            };
            on_event(Event::Done(&report));
            modes.push(report);
        }
        if let Some(tools) = &self.external_tools {
            let runner = ToolRunner::prepare(self, tools, &formula, &rows)?;
            for mode in &tools.modes {
                on_event(Event::ExternalTool(mode));
                let report = runner.run(mode, &reference);
                on_event(Event::Done(&report));
                modes.push(report);
            }
        }
        // Half of these runs are before the modes and half after them, because the speed of a machine drifts.
        stream.extend(pool.install(|| time_memory_stream(&rows, self.repeat.get()))?);
        stream.sort();
        let stream: Vec<_> = stream.into_iter().map(milliseconds).collect();
        Ok(Report::new(self, &formula, command, machine, median(&stream), modes))
    }
}
