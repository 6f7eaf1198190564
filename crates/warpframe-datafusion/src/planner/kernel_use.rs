//! What the kernels of a plan are used for, as far as `auto` decides by it.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use crate::functions::FusedFunction;
use warpframe_ir::backend::KernelUse;

/// The leaf from which the rows of a plan come, if they stream from it through operators that hold none back.
pub(super) fn streamed_leaf(plan: &dyn ExecutionPlan) -> Option<&dyn ExecutionPlan> {
    match plan.children()[..] {
        [] => Some(plan),
        [child] if plan.properties().emission_type == EmissionType::Incremental => {
            streamed_leaf(child.as_ref())
        }
        _ => None,
    }
}

/// Whether the rows of a plan are decoded from files while they stream to the operator above. Files of Arrow's format are not
/// decoded.
pub(super) fn decodes_rows(plan: &dyn ExecutionPlan) -> bool {
    let scan = streamed_leaf(plan).and_then(|leaf| leaf.downcast_ref::<DataSourceExec>());
    let files = scan.and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
    files.is_some_and(|files| files.file_source().file_type() != "arrow")
}

/// The operator with the kernels of its functions for rows that are decoded, if its input decodes them. Fused operators are
/// compiled for it; this is for the functions in DataFusion's projections and filters.
pub(super) fn for_decoded_rows(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        if !decodes_rows(projection.input().as_ref()) {
            return Ok(Transformed::no(node));
        }
        let mut changed = false;
        let mut expressions = Vec::with_capacity(projection.expr().len());
        for ProjectionExpr { expr, alias } in projection.expr() {
            let replaced = with_decoding_kernels(expr)?;
            changed |= replaced.transformed;
            expressions.push(ProjectionExpr { expr: replaced.data, alias: alias.clone() });
        }
        return Ok(match changed {
            true => {
                let input = Arc::clone(projection.input());
                Transformed::yes(Arc::new(ProjectionExec::try_new(expressions, input)?))
            }
            false => Transformed::no(node),
        });
    }
    let filter = node.downcast_ref::<FilterExec>().filter(|filter| decodes_rows(filter.input().as_ref()));
    let Some(filter) = filter else { return Ok(Transformed::no(node)) };
    let predicate = with_decoding_kernels(filter.predicate())?;
    Ok(match predicate.transformed {
        true => {
            let filter = FilterExecBuilder::from(filter).with_predicate(predicate.data).build()?;
            Transformed::yes(Arc::new(filter))
        }
        false => Transformed::no(node),
    })
}

/// An expression whose functions have the kernels for decoded rows.
fn with_decoding_kernels(expr: &Arc<dyn PhysicalExpr>) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    Arc::clone(expr).transform_up(|expr| {
        let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() else { return Ok(Transformed::no(expr)) };
        let function = call.fun().inner().downcast_ref::<FusedFunction>();
        let kernel = function.and_then(FusedFunction::kernel);
        let kernel = kernel.and_then(|kernel| kernel.for_use(KernelUse { decodes: true, reduces: false }));
        let Some((function, kernel)) = function.zip(kernel) else { return Ok(Transformed::no(expr)) };
        let function = Arc::new(ScalarUDF::from(function.with_kernel(kernel)));
        let (name, arguments) = (function.name().to_owned(), call.args().to_vec());
        let options = Arc::new(call.config_options().clone());
        // The type of a call does not depend on the schema that it is asked for.
        let field = expr.return_field(&Schema::empty())?;
        let call = ScalarFunctionExpr::new(&name, function, arguments, field, options);
        Ok(Transformed::yes(Arc::new(call)))
    })
}
