//! A batch run: files in, files out, with a function of one's own. `cargo run --release --example batch_run`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use warpframe::Session;
use warpframe::io::{ParquetCompression, Progress, WriterSettings};

/// Counts rows. The methods are called from several threads.
#[derive(Default)]
struct Counter {
    all: AtomicU64,
    done: AtomicU64,
}

impl Progress for Counter {
    fn start(&self, rows: u64) {
        self.all.store(rows, Ordering::Relaxed);
    }

    fn position(&self, rows: u64) {
        self.done.fetch_max(rows, Ordering::Relaxed);
    }

    fn warn(&self, message: &str) {
        eprintln!("warning: {message}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let session = Session::new()?;
    let data = path("data");
    session
        .run_script(&format!("COPY (SELECT * FROM generate_rows(100000)) TO '{data}/' STORED AS PARQUET"))
        .await?;

    // The run has the functions and tables of the session, and does not change it.
    session.sql("CREATE FUNCTION half(a DOUBLE) RETURNS DOUBLE RETURN a / 2").await?;
    let counter = Arc::new(Counter::default());
    let run = session
        .batch_run()
        .input(&data)
        .select("id, half(x) AS h")
        .filter("id % 10 = 0")
        .output(path("halves.parquet"))
        .writer(WriterSettings { compression: ParquetCompression::Zstd, ..WriterSettings::default() })
        .progress(Arc::clone(&counter) as _);
    println!("{}", run.query());
    let written = run.run().await?;
    let [done, all] = [&counter.done, &counter.all].map(|count| count.load(Ordering::Relaxed));
    println!("{} rows of {done} (of {all}) in {} file", written.rows, written.files);

    // The output is complete or absent, and an old one is not replaced unless `overwrite` says so.
    let failed = run.run().await.err().ok_or("the output was replaced")?;
    println!(
        "{:?}: {}",
        failed.step,
        failed.to_string().replace(folder.path().to_str().unwrap_or_default(), "")
    );
    let halves = path("halves.parquet");
    session.sql(&format!("SELECT max(h) AS greatest FROM '{halves}'")).await?.show().await?;
    Ok(())
}
