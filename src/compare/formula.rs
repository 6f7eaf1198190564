//! The formula of a comparison: `log3`, or any expression over x, y and z.

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, Result, plan_err};

use crate::session::Session;
use warpframe_datafusion::errors::datafusion_error;
use warpframe_datafusion::functions::log3_function;
use warpframe_datafusion::lowering::{Compiled, compile};
use warpframe_ir::ScalarType;

const LOG3: &str = "ln(x) * ln(y) * ln(z)";

/// The formula that the modes evaluate.
pub struct Formula {
    /// The SQL expression that reports show, and that DataFusion evaluates without fusion.
    pub sql: String,
    /// The SQL expression in the queries of the fused modes.
    pub fused_sql: String,
    /// The compiled expression, for evaluation without the engine.
    pub compiled: Compiled,
}

impl Formula {
    /// Compiles an expression; without one, the formula is `log3`.
    pub fn new(expression: Option<&str>) -> Result<Self> {
        let Some(sql) = expression else {
            let compiled = Compiled {
                program: log3_function().program(ScalarType::F64).map_err(datafusion_error)?,
                columns: ["x", "y", "z"].map(str::to_owned).to_vec(),
            };
            let fused_sql = "log3(x, y, z)".to_owned();
            return Ok(Self { sql: LOG3.to_owned(), fused_sql, compiled });
        };
        let fields = ["x", "y", "z"].map(|name| Field::new(name, DataType::Float64, false));
        let arrow_schema = Schema::new(fields.to_vec());
        let schema = DFSchema::try_from(arrow_schema.clone())?;
        let expr = Session::new()?.context().parse_sql_expr(sql, &schema)?;
        let compiled = compile(&expr, &arrow_schema)?;
        match compiled.program.data_type() {
            DataType::Float64 if compiled.columns.is_empty() => {
                plan_err!("the expression '{sql}' has none of the columns x, y and z")
            }
            DataType::Float64 => Ok(Self { sql: sql.to_owned(), fused_sql: sql.to_owned(), compiled }),
            other => plan_err!("the expression '{sql}' is {other}: a comparison is of Float64 numbers"),
        }
    }

    /// Whether the formula is the reference workload.
    pub fn is_log3(&self) -> bool {
        self.sql == LOG3
    }
}
