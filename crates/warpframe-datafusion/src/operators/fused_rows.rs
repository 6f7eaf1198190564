//! The evaluation of filters and expressions on batches in one pass.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::FilterBuilder;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};

use crate::backends::Backends;
use crate::device_wait::uses_device;
use crate::errors::datafusion_error;
use crate::lowering::{LoweredRows, NotLowered, lower_condition, lower_rows};
use warpframe_ir::backend::{Evaluated, Kernel, KernelContext, KernelUse};
use warpframe_ir::instruction::Instruction;
use warpframe_ir::program::Program;
use warpframe_ir::reduction::Accumulator;

/// The share of rows that pass a filter below which the filter is evaluated before the expressions, if they are costly: then
/// they are evaluated in fewer rows, but what they share with the filter is computed twice.
const FILTER_FIRST: f64 = 0.5;

/// A filter and expressions over the columns of batches, compiled.
#[derive(Debug)]
pub struct FusedRows {
    schema: SchemaRef,
    filter: Option<Filter>,
    /// The expressions that are not columns, without the filter; `None` if there are none.
    expressions: Option<CompiledRows>,
    sources: Vec<Source>,
}

/// The compiled forms of a filter.
#[derive(Debug)]
struct Filter {
    /// The filter alone: one Boolean column.
    condition: CompiledRows,
    /// The filter and all columns of the result; `None` if programs have no values of a column's type.
    with_columns: Option<CompiledRows>,
    /// Whether the expressions take so long that they should be evaluated in few rows.
    costly: bool,
    /// The positions of the columns that are filtered if the filter is evaluated first: those that the expressions and the
    /// result have.
    read_columns: Vec<usize>,
}

/// A program that is compiled for a backend.
#[derive(Debug)]
struct CompiledRows {
    kernel: Arc<dyn Kernel>,
    /// The positions of the columns that are its inputs.
    columns: Vec<usize>,
}

/// Where a column of the result comes from, if the filter is evaluated first or there is none.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// The column of the batch at this position.
    Column(usize),
    /// The expression at this position among those that are not columns.
    Expression(usize),
}

/// What earlier batches have shown about the filter.
#[derive(Debug, Default, Clone, Copy)]
pub struct Selectivity {
    passed: usize,
    rows: usize,
}

impl Selectivity {
    /// Adds a batch, and forgets half of the earlier ones.
    fn add(&mut self, passed: usize, rows: usize) {
        (self.passed, self.rows) = (self.passed / 2 + passed, self.rows / 2 + rows);
    }

    /// Whether few rows pass, or nothing is known.
    fn is_low(self) -> bool {
        self.rows == 0 || (self.passed as f64) < FILTER_FIRST * self.rows as f64
    }
}

/// The reason why a filter and expressions are not fused.
#[derive(Debug)]
pub enum NotFused {
    /// They have no program.
    NotLowered(NotLowered),
    /// The backend cannot compile their programs.
    Backend(DataFusionError),
    /// The operator is no filter, projection or first stage of an aggregation, or its expressions are too large.
    OtherOperator,
    /// One pass would not be faster.
    NotProfitable,
    /// An operator is not supported, for this reason.
    Unsupported(String),
}

impl fmt::Display for NotFused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLowered(reason) => reason.fmt(f),
            Self::Backend(error) => write!(f, "the backend cannot compile it: {}", error.strip_backtrace()),
            Self::OtherOperator => {
                f.write_str("it is no filter, projection or first stage of an aggregation")
            }
            Self::NotProfitable => f.write_str("one pass would not be faster"),
            Self::Unsupported(reason) => f.write_str(reason),
        }
    }
}

impl From<NotLowered> for NotFused {
    fn from(reason: NotLowered) -> Self {
        Self::NotLowered(reason)
    }
}

impl FusedRows {
    /// Compiles a predicate and expressions over the columns of `input` for the backend of the configuration. Fusion of rows that
    /// are the rows of the result is profitable if it saves passes; that of rows that are reduced, if anything is computed, since
    /// the results need not be stored.
    ///
    /// # Errors
    /// They are not fused, for this reason.
    pub fn compile(
        input: &Schema,
        predicate: Option<&Arc<dyn PhysicalExpr>>,
        expressions: &[Arc<dyn PhysicalExpr>],
        schema: SchemaRef,
        backends: &Backends,
        config: &ConfigOptions,
        usage: KernelUse,
    ) -> std::result::Result<Self, NotFused> {
        let lowered = Lowered::new(input, predicate, expressions, usage.reduces)?;
        let compile_for =
            |rows: LoweredRows, usage: KernelUse| -> std::result::Result<CompiledRows, NotFused> {
                let kernel = backends.kernel(config, &Arc::new(rows.program)).map_err(NotFused::Backend)?;
                let kernel = kernel.for_use(usage).unwrap_or(kernel);
                Ok(CompiledRows { kernel, columns: rows.columns })
            };
        let compile = |rows| compile_for(rows, usage);
        let costly = lowered.expressions.as_ref().is_some_and(|rows| rows.work.costly);
        let read_columns = lowered.read_columns();
        let filter = match lowered.filter {
            Some((condition, with_columns)) => Some(Filter {
                condition: compile_for(condition, KernelUse { reduces: false, ..usage })?,
                with_columns: with_columns.map(compile).transpose()?,
                costly,
                read_columns,
            }),
            None => None,
        };
        let expressions = lowered.expressions.map(compile).transpose()?;
        Ok(Self { schema, filter, expressions, sources: lowered.sources })
    }

    /// The schema of the result.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether rows are left out.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// The description of the backend.
    pub fn description(&self) -> String {
        self.kernels().next().map(|kernel| kernel.description()).unwrap_or_default()
    }

    /// The time in which all kernels were compiled to machine code of the CPU; `None` if none was.
    pub fn compile_time(&self) -> Option<Duration> {
        self.kernels().filter_map(|kernel| kernel.compile_time()).reduce(|one, other| one + other)
    }

    /// Whether a kernel evaluates a number of rows on a device.
    pub fn uses_device(&self, rows: usize) -> bool {
        self.kernels().any(|kernel| uses_device(kernel.as_ref(), rows))
    }

    /// The kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &Arc<dyn Kernel>> {
        let filter = self.filter.iter();
        let filter = filter.flat_map(|filter| [Some(&filter.condition), filter.with_columns.as_ref()]);
        filter.chain([self.expressions.as_ref()]).flatten().map(|rows| &rows.kernel)
    }

    /// Adds the values of the expressions of a batch to accumulators, one for each, and returns the number of rows that pass
    /// the filter.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn reduce(
        &self,
        batch: &RecordBatch,
        selectivity: &mut Selectivity,
        context: &KernelContext,
        accumulators: &mut [Accumulator],
    ) -> Result<usize> {
        let Some(filter) = &self.filter else {
            return self.reduce_columns(batch.columns(), batch.num_rows(), context, accumulators);
        };
        if let Some(with_columns) = filter.in_one_pass(*selectivity) {
            let rows = with_columns.reduce(batch.columns(), batch.num_rows(), context, accumulators)?;
            selectivity.add(rows, batch.num_rows());
            return Ok(rows);
        }
        let (columns, rows) = filter.select(batch, selectivity, context)?;
        self.reduce_columns(&columns, rows, context, accumulators)
    }

    fn reduce_columns(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        accumulators: &mut [Accumulator],
    ) -> Result<usize> {
        let mut computed = Vec::new();
        for (source, accumulator) in self.sources.iter().zip(&mut *accumulators) {
            match source {
                Source::Column(position) => {
                    accumulator.update(&columns[*position]).map_err(datafusion_error)?;
                }
                Source::Expression(_) => {
                    computed.push(std::mem::replace(accumulator, Accumulator::counter()))
                }
            }
        }
        let Some(expressions) = &self.expressions else { return Ok(rows) };
        expressions.reduce(columns, rows, context, &mut computed)?;
        let is_computed = |source: &Source| matches!(source, Source::Expression(_));
        let targets = self.sources.iter().zip(accumulators).filter(|(source, _)| is_computed(source));
        targets.zip(computed).for_each(|((_, accumulator), computed)| *accumulator = computed);
        Ok(rows)
    }

    /// Evaluates a batch.
    ///
    /// # Errors
    /// A row traps, such as by a division by zero, or the kernel fails.
    pub fn evaluate(
        &self,
        batch: &RecordBatch,
        selectivity: &mut Selectivity,
        context: &KernelContext,
    ) -> Result<RecordBatch> {
        let Some(filter) = &self.filter else { return self.project(batch, context) };
        if let Some(with_columns) = filter.in_one_pass(*selectivity) {
            let Evaluated { columns, rows } =
                with_columns.evaluate(batch.columns(), batch.num_rows(), context)?;
            selectivity.add(rows, batch.num_rows());
            return self.batch(columns, rows);
        }
        let (columns, rows) = filter.select(batch, selectivity, context)?;
        self.project_columns(&columns, rows, context)
    }

    fn project(&self, batch: &RecordBatch, context: &KernelContext) -> Result<RecordBatch> {
        self.project_columns(batch.columns(), batch.num_rows(), context)
    }

    fn project_columns(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
    ) -> Result<RecordBatch> {
        let computed = match &self.expressions {
            Some(expressions) => expressions.evaluate(columns, rows, context)?.columns,
            None => Vec::new(),
        };
        let result = self.sources.iter().map(|source| match source {
            Source::Column(position) => Arc::clone(&columns[*position]),
            Source::Expression(position) => Arc::clone(&computed[*position]),
        });
        self.batch(result.collect(), rows)
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

impl Filter {
    /// The filter with all columns, unless few rows pass and the expressions are costly.
    fn in_one_pass(&self, selectivity: Selectivity) -> Option<&CompiledRows> {
        self.with_columns.as_ref().filter(|_| !(self.costly && selectivity.is_low()))
    }

    /// The rows of a batch that pass, and their number. Columns that nothing reads stay as they are.
    fn select(
        &self,
        batch: &RecordBatch,
        selectivity: &mut Selectivity,
        context: &KernelContext,
    ) -> Result<(Vec<ArrayRef>, usize)> {
        let condition = self.condition.evaluate(batch.columns(), batch.num_rows(), context)?;
        let condition = condition.into_column().map_err(datafusion_error)?;
        let builder = FilterBuilder::new(condition.as_boolean());
        let selection = if self.read_columns.len() > 1 { builder.optimize() } else { builder }.build();
        selectivity.add(selection.count(), batch.num_rows());
        let mut columns = batch.columns().to_vec();
        for &position in &self.read_columns {
            columns[position] = selection.filter(&columns[position])?;
        }
        Ok((columns, selection.count()))
    }
}

impl CompiledRows {
    fn inputs(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.columns.iter().map(|position| Arc::clone(&columns[*position])).collect()
    }

    fn evaluate(&self, columns: &[ArrayRef], rows: usize, context: &KernelContext) -> Result<Evaluated> {
        self.kernel.evaluate(&self.inputs(columns), rows, context).map_err(datafusion_error)
    }

    fn reduce(
        &self,
        columns: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
        accumulators: &mut [Accumulator],
    ) -> Result<usize> {
        self.kernel.reduce(&self.inputs(columns), rows, context, accumulators).map_err(datafusion_error)
    }
}

/// The programs of a filter and expressions.
struct Lowered {
    /// The filter alone, and with all columns of the result.
    filter: Option<(LoweredRows, Option<LoweredRows>)>,
    /// The expressions that are not columns.
    expressions: Option<LoweredRows>,
    sources: Vec<Source>,
}

impl Lowered {
    /// Lowers a filter and expressions, if one pass over them is faster than several: to reduce them; expressions behind a
    /// filter that are worth a pass of their own; or expressions that share instructions with each other. And if a condition of the filter can
    /// fail, which DataFusion evaluates in rows that other conditions exclude.
    fn new(
        input: &Schema,
        predicate: Option<&Arc<dyn PhysicalExpr>>,
        expressions: &[Arc<dyn PhysicalExpr>],
        reduces: bool,
    ) -> std::result::Result<Self, NotFused> {
        let mut computed_expressions = Vec::new();
        let sources = expressions.iter().map(|expression| match expression.downcast_ref::<Column>() {
            Some(column) => Source::Column(column.index()),
            None => {
                computed_expressions.push(Arc::clone(expression));
                Source::Expression(computed_expressions.len() - 1)
            }
        });
        let sources = sources.collect();
        let count = computed_expressions.len();
        let is_conjunction = predicate.is_some_and(|predicate| split_conjunction(predicate).len() > 1);
        // Most operators end here, without lowering.
        let is_profitable = match predicate {
            _ if reduces => count > 0 || predicate.is_some(),
            None => count >= 2,
            Some(_) => count > 0 || is_conjunction,
        };
        if !is_profitable {
            return Err(NotFused::NotProfitable);
        }
        let alone = match count {
            0 => None,
            _ => Some(lower_rows(input, None, &computed_expressions)?),
        };
        let Some(predicate) = predicate else {
            if reduces {
                return Ok(Self { filter: None, expressions: alone, sources });
            }
            let each =
                computed_expressions.iter().map(|one| lower_rows(input, None, std::slice::from_ref(one)));
            let each = each.map(|one| one.map(|one| computed(&one.program)));
            let separate = each.sum::<std::result::Result<usize, NotLowered>>()?;
            return match alone.filter(|alone| computed(&alone.program) < separate) {
                Some(alone) => Ok(Self { filter: None, expressions: Some(alone), sources }),
                None => Err(NotFused::NotProfitable),
            };
        };
        let condition = lower_condition(input, predicate)?;
        let is_guarded = is_conjunction && condition.program.can_trap();
        let costs_a_pass = || alone.as_ref().is_some_and(|alone| alone.work.is_profitable());
        if !reduces && !is_guarded && !costs_a_pass() {
            return Err(NotFused::NotProfitable);
        }
        let with_columns = match expressions {
            [] => None,
            _ => lower_rows(input, Some(predicate), expressions).ok(),
        };
        Ok(Self { filter: Some((condition, with_columns)), expressions: alone, sources })
    }

    /// The positions of the columns that the expressions and the result have, ascending.
    fn read_columns(&self) -> Vec<usize> {
        let columns = self.sources.iter().filter_map(|source| match source {
            Source::Column(position) => Some(*position),
            Source::Expression(_) => None,
        });
        let inputs = self.expressions.iter().flat_map(|rows| rows.columns.iter().copied());
        let mut read: Vec<_> = columns.chain(inputs).collect();
        read.sort_unstable();
        read.dedup();
        read
    }
}

/// The number of instructions of a program that compute something.
fn computed(program: &Program) -> usize {
    let free = |one: &&Instruction| {
        !matches!(one, Instruction::Input(_) | Instruction::Const(_) | Instruction::Null(_))
    };
    program.instructions().iter().filter(free).count()
}
