//! The function that a fused expression becomes: a program behind DataFusion's interface.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::evaluate::evaluate;
use crate::backends::Backends;
use warpframe_ir::backend::{Kernel, KernelContext};
use warpframe_ir::memory::{MemoryBudget, Unlimited};
use warpframe_ir::metrics::Metrics;
use warpframe_ir::program::Program;

/// A numeric expression as one function of its columns, such as `fused(ln(x) * ln(y))`. The fuse rule makes them; they
/// cannot be called by name.
#[derive(Debug)]
pub struct FusedFunction {
    program: Arc<Program>,
    /// The expression, or the function that the program is the whole of, as `EXPLAIN` shows it.
    label: String,
    /// The name of the column that the expression was.
    schema_name: String,
    nullable: bool,
    /// The label, and the backend in brackets if it was bound while the query was planned.
    name: String,
    signature: Signature,
    bound: OnceLock<Bound>,
}

/// What evaluates a function in one query.
#[derive(Debug)]
struct Bound {
    kernel: Arc<dyn Kernel>,
    metrics: Arc<Metrics>,
    /// Set when the query begins to run.
    memory: OnceLock<Arc<dyn MemoryBudget>>,
}

impl Bound {
    fn new(kernel: Arc<dyn Kernel>) -> Self {
        Self { kernel, metrics: Arc::default(), memory: OnceLock::new() }
    }
}

impl FusedFunction {
    /// A program in the place of an expression with this label, column name and nullability.
    pub fn new(program: Arc<Program>, label: String, schema_name: String, nullable: bool) -> Self {
        let types = program.inputs().iter().map(|input| input.data_type.clone()).collect();
        let signature = Signature::exact(types, Volatility::Immutable);
        let name = label.clone();
        Self { program, label, schema_name, nullable, name, signature, bound: OnceLock::new() }
    }

    /// The same function bound to a kernel, whose description is part of the function's name in plans.
    pub fn with_kernel(&self, kernel: Arc<dyn Kernel>) -> Self {
        let Self { program, label, schema_name, nullable, .. } = self;
        let new = Self::new(Arc::clone(program), label.clone(), schema_name.clone(), *nullable);
        let name = format!("{label}[{}]", kernel.description());
        Self { name, bound: OnceLock::from(Bound::new(kernel)), ..new }
    }

    /// Binds the function in place, if it is not bound: to the kernel of the backend that the options name.
    ///
    /// # Errors
    /// As [`Backends::kernel`].
    pub fn bind(&self, backends: &Backends, config: &ConfigOptions) -> Result<()> {
        self.bound_by(|| backends.kernel(config, &self.program)).map(|_| ())
    }

    fn bound_by(&self, kernel: impl FnOnce() -> Result<Arc<dyn Kernel>>) -> Result<&Bound> {
        if let Some(bound) = self.bound.get() {
            return Ok(bound);
        }
        let kernel = kernel()?;
        Ok(self.bound.get_or_init(|| Bound::new(kernel)))
    }

    /// Sets where the kernel reserves memory, once; before, memory is unlimited.
    pub fn set_memory(&self, memory: Arc<dyn MemoryBudget>) {
        if let Some(bound) = self.bound.get() {
            let _ = bound.memory.set(memory);
        }
    }

    /// The kernel that it is bound to.
    pub fn kernel(&self) -> Option<&Arc<dyn Kernel>> {
        Some(&self.bound.get()?.kernel)
    }

    /// The metrics of its evaluations, if it is bound.
    pub fn metrics(&self) -> Option<&Arc<Metrics>> {
        Some(&self.bound.get()?.metrics)
    }

    /// The expression as `EXPLAIN` shows it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The name of the column that the expression was.
    pub fn column_name(&self) -> &str {
        &self.schema_name
    }

    /// Whether its results may be null.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What it computes.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }
}

impl PartialEq for FusedFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.schema_name == other.schema_name && self.program == other.program
    }
}

impl Eq for FusedFunction {}

impl Hash for FusedFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.schema_name, &self.program).hash(state);
    }
}

impl ScalarUDFImpl for FusedFunction {
    fn name(&self) -> &str {
        &self.name
    }

    // The column keeps its name, whatever computes it.
    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.schema_name.clone())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.program.data_type())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(&self.schema_name, self.program.data_type(), self.nullable)))
    }

    fn is_strict(&self) -> bool {
        self.program.is_strict()
    }

    // The default is an interval of type Null, which range analysis cannot combine with numbers.
    fn evaluate_bounds(&self, _: &[&Interval]) -> Result<Interval> {
        Interval::make_unbounded(&self.program.data_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Functions of plans are bound before they run; others bind to this machine at their first call.
        let bound = self.bound_by(|| Backends::shared_kernel(&arguments.config_options, &self.program))?;
        let memory = bound.memory.get().cloned().unwrap_or_else(|| Arc::new(Unlimited));
        let context = KernelContext { metrics: Arc::clone(&bound.metrics), memory };
        evaluate(bound.kernel.as_ref(), &context, arguments)
    }
}
