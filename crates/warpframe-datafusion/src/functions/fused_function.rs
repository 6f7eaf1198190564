//! The scalar function that replaces a fused expression and evaluates its program.

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

/// The scalar function of a fused expression, such as `fused(ln(x) * ln(y))`. The `Fuse` rule creates these functions;
/// they are not registered, so SQL cannot call them.
#[derive(Debug)]
pub struct FusedFunction {
    program: Arc<Program>,
    /// The text in `EXPLAIN`: the expression, or the name of the function whose program this is.
    label: String,
    /// The column name of the replaced expression.
    schema_name: String,
    nullable: bool,
    /// The label, followed by the kernel's description in brackets if the planner has bound the function.
    name: String,
    signature: Signature,
    bound: OnceLock<Bound>,
}

/// The kernel of a bound function, with its metrics and memory budget.
#[derive(Debug)]
struct Bound {
    kernel: Arc<dyn Kernel>,
    metrics: Arc<Metrics>,
    /// Set before execution.
    memory: OnceLock<Arc<dyn MemoryBudget>>,
}

impl Bound {
    fn new(kernel: Arc<dyn Kernel>) -> Self {
        Self { kernel, metrics: Arc::default(), memory: OnceLock::new() }
    }
}

impl FusedFunction {
    /// An unbound function that evaluates a program with one output. Label, column name and nullability are those of the
    /// replaced expression.
    pub fn new(program: Arc<Program>, label: String, schema_name: String, nullable: bool) -> Self {
        let types = program.inputs().iter().map(|input| input.data_type.clone()).collect();
        let signature = Signature::exact(types, Volatility::Immutable);
        let name = label.clone();
        Self { program, label, schema_name, nullable, name, signature, bound: OnceLock::new() }
    }

    /// A copy of the function that is bound to a kernel. Its name has the kernel's description, which `EXPLAIN` shows.
    pub fn with_kernel(&self, kernel: Arc<dyn Kernel>) -> Self {
        let Self { program, label, schema_name, nullable, .. } = self;
        let new = Self::new(Arc::clone(program), label.clone(), schema_name.clone(), *nullable);
        let name = format!("{label}[{}]", kernel.description());
        Self { name, bound: OnceLock::from(Bound::new(kernel)), ..new }
    }

    /// Binds the function in place to the kernel of the configured backend; does nothing if it is bound already.
    ///
    /// # Errors
    /// As [`Backends::kernel`].
    pub fn bind(&self, backends: &Backends, config: &ConfigOptions) -> Result<()> {
        self.get_or_bind(|| backends.kernel(config, &self.program)).map(|_| ())
    }

    fn get_or_bind(&self, kernel: impl FnOnce() -> Result<Arc<dyn Kernel>>) -> Result<&Bound> {
        if let Some(bound) = self.bound.get() {
            return Ok(bound);
        }
        let kernel = kernel()?;
        Ok(self.bound.get_or_init(|| Bound::new(kernel)))
    }

    /// Sets the budget that the kernel reserves memory in; without one, memory is unlimited. Only the first call after
    /// binding has an effect.
    pub fn set_memory(&self, memory: Arc<dyn MemoryBudget>) {
        if let Some(bound) = self.bound.get() {
            let _ = bound.memory.set(memory);
        }
    }

    /// The kernel, if the function is bound.
    pub fn kernel(&self) -> Option<&Arc<dyn Kernel>> {
        Some(&self.bound.get()?.kernel)
    }

    /// The metrics of all evaluations, if the function is bound.
    pub fn metrics(&self) -> Option<&Arc<Metrics>> {
        Some(&self.bound.get()?.metrics)
    }

    /// The text in `EXPLAIN`, without the kernel's description.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The column name of the replaced expression.
    pub fn column_name(&self) -> &str {
        &self.schema_name
    }

    /// Whether results may be null.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// The program that the function evaluates.
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

    // The result column keeps the name of the replaced expression.
    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.schema_name.clone())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.program.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(&self.schema_name, self.program.data_type().clone(), self.nullable)))
    }

    fn is_strict(&self) -> bool {
        self.program.is_strict()
    }

    // The default is an interval of type Null, which range analysis cannot combine with numeric intervals.
    fn evaluate_bounds(&self, _: &[&Interval]) -> Result<Interval> {
        Interval::make_unbounded(self.program.data_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Functions in physical plans are bound before execution. Others, such as those in constant folding, are bound
        // to this machine's backends at the first call.
        let bound = self.get_or_bind(|| Backends::shared_kernel(&arguments.config_options, &self.program))?;
        let memory = bound.memory.get().cloned().unwrap_or_else(|| Arc::new(Unlimited));
        let context = KernelContext { metrics: Arc::clone(&bound.metrics), memory, non_temporal: false };
        evaluate(bound.kernel.as_ref(), &context, arguments)
    }
}
