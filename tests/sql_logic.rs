//! Runs the SQL logic tests in `slt/` with every backend of this machine, with and without fusion. The expected output
//! is the same in all cases.

mod common;

use std::sync::Arc;
use std::time::Duration;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use common::gpu::{FakeDriver, has_compiler};
use common::skipped;
use datafusion::error::DataFusionError;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use warpframe::Session;
use warpframe::cuda::{self, Gpus};

struct Database {
    session: Session,
}

#[async_trait::async_trait]
impl AsyncDB for Database {
    type Error = DataFusionError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, DataFusionError> {
        let query = self.session.sql(sql).await?;
        let columns = query.schema().fields().len();
        let batches = query.collect().await?;
        if columns == 0 {
            return Ok(DBOutput::StatementComplete(0));
        }
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        for batch in &batches {
            let formatters = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
                .collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let cell = |column: &ArrayFormatter| column.value(row).try_to_string();
                rows.push(formatters.iter().map(cell).collect::<Result<Vec<_>, _>>()?);
            }
        }
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "warpframe"
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_gives_the_expected_output_on_every_backend() {
    let mut files: Vec<_> =
        std::fs::read_dir("tests/slt").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let backends = ["auto", "interpreted", "simd"].map(|one| (one, None));
    let simulated = has_compiler().then(|| FakeDriver::gpus(1));
    if simulated.is_none() {
        skipped("there is no C++ compiler to compile kernels for the CPU");
    }
    let on_gpus = simulated.iter().map(|(gpus, _)| Arc::clone(gpus)).chain(cuda::gpus());
    let on_gpus = on_gpus.map(|gpus| ("cuda", Some(gpus)));
    let with_and_without = |(backend, gpus): (&'static str, Option<Arc<Gpus>>)| {
        [(backend, gpus.clone(), true), (backend, gpus, false)]
    };
    for (backend, gpus, fuse) in backends.into_iter().chain(on_gpus).flat_map(with_and_without) {
        for file in &files {
            let mut runner = Runner::new(|| async {
                let mut session = Session::builder().backend(backend).fuse(fuse);
                if let Some(gpus) = &gpus {
                    session = session.gpus(Arc::clone(gpus));
                }
                Ok(Database { session: session.build()? })
            });
            runner.with_validator(|_, actual, expected| {
                let actual: Vec<_> = actual.iter().map(|row| digits(&row.join(" "))).collect();
                let expected: Vec<_> = expected.iter().map(|row| digits(row)).collect();
                actual == expected
            });
            if let Err(error) = runner.run_file_async(file).await {
                panic!("{} with backend {backend}, fuse {fuse}: {}", file.display(), error.display(false));
            }
        }
    }
    if let Some((gpus, controls)) = simulated {
        drop(gpus);
        assert!(!controls.launches().is_empty());
        controls.assert_no_violations();
    }
}

/// The words of a row, with floating-point numbers rounded to nine significant digits: backends agree to about 15
/// digits.
fn digits(row: &str) -> Vec<String> {
    let word = |word: &str| match word.parse::<f64>() {
        Ok(number) if word.contains(['.', 'e']) => format!("{number:.8e}"),
        _ => word.to_owned(),
    };
    row.split_whitespace().map(word).collect()
}
