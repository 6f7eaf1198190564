//! Files in and out: CSV, folders that other tools have written, Parquet of other writers, and outputs that are no files.

mod clusters;
#[path = "../common/mod.rs"]
mod common;
mod csv;
mod declared;
mod folders;
mod formats;
mod header;
mod json;
mod outputs;
mod parquet;
mod round_trips;
mod stores;

use std::num::NonZeroUsize;

use arrow::csv::WriterBuilder;
use warpframe::Session;

/// A session with this number of threads, which splits CSV files of any size.
async fn session(threads: usize) -> Session {
    let session = Session::builder().threads(NonZeroUsize::new(threads).unwrap()).build().unwrap();
    session.sql("SET datafusion.optimizer.repartition_file_min_size = 1").await.unwrap();
    session
}

/// Runs statements, and returns the rows of the last as lines of values: NULL is `NULL`.
async fn query(session: &Session, statements: &str) -> datafusion::error::Result<Vec<String>> {
    let mut script = session.script(statements)?;
    let mut batches = Vec::new();
    while let Some(statement) = session.next_statement(&mut script)? {
        batches = session.statement(statement).await?.collect().await?;
    }
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_header(false).with_null("NULL".to_owned()).build(&mut text);
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    drop(writer);
    Ok(String::from_utf8(text).unwrap().lines().map(str::to_owned).collect())
}

/// The message of the error of a query over files.
async fn table_error(files: &std::path::Path, text: &str) -> String {
    let session = session(2).await;
    let failed = match session.register_files("t", &files.to_string_lossy()).await {
        Ok(()) => query(&session, text).await.err(),
        Err(error) => Some(error),
    };
    failed.expect("the query succeeds").find_root().to_string()
}
