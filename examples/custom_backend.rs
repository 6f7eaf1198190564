//! A backend of one's own: `checked` evaluates every batch by the vector units and by the interpreter, and fails where
//! a result is outside of the interval that the error bounds of the ops allow.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::Result;
use warpframe::Session;
use warpframe::backends::Backends;
use warpframe::cpu::Simd;
use warpframe::ir::{Backend, Error, ErrorInterval, Evaluated, Kernel, KernelContext, Program, Scalar};

#[derive(Debug)]
struct Checked {
    simd: Simd,
}

impl Backend for Checked {
    fn description(&self) -> String {
        format!("checked {}", self.simd.description())
    }

    fn compile(&self, program: &Arc<Program>) -> Result<Arc<dyn Kernel>, Error> {
        let (program, kernel) = (Arc::clone(program), self.simd.compile(program)?);
        Ok(Arc::new(CheckedKernel { program, kernel, description: self.description() }))
    }
}

#[derive(Debug)]
struct CheckedKernel {
    program: Arc<Program>,
    kernel: Arc<dyn Kernel>,
    description: String,
}

impl Kernel for CheckedKernel {
    fn description(&self) -> String {
        self.description.clone()
    }

    fn evaluate(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        context: &KernelContext,
    ) -> Result<Evaluated, Error> {
        let result = self.kernel.evaluate(inputs, rows, context)?;
        context.metrics.add_count("checked_rows", rows as u64);
        if self.program.predicate().is_some() {
            return Ok(result);
        }
        for row in 0..rows {
            let number = Scalar::read(&result.columns[0], row)?;
            match ErrorInterval::of(&self.program, inputs, row) {
                Some(interval) if !interval.contains(number) => {
                    return Err(Error::backend(std::io::Error::other(format!(
                        "row {row} is {number:?}, which is not in {interval:?}"
                    ))));
                }
                _ => {}
            }
        }
        Ok(result)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let backends =
        Backends::default().register("checked", |_| Ok(Arc::new(Checked { simd: Simd::active()? })));
    let session = Session::builder().backends(backends).backend("checked").build()?;
    let query = "SELECT sum(log3(x, y, z)) AS s FROM generate_rows(100000)";
    session.sql(&format!("EXPLAIN FORMAT INDENT {query}")).await?.show().await?;
    session.sql(query).await?.show().await
}
