//! DuckDB in a Python process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use arrow::array::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::common::skipped;
use crate::engines::Cell;

/// A connection. Its process ends with it.
pub struct DuckDb {
    process: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl DuckDb {
    /// Starts DuckDB with the Python interpreter of WARPFRAME_PYTHON; `None` if there is none that has it.
    pub fn start() -> Option<Self> {
        let Ok(python) = std::env::var("WARPFRAME_PYTHON") else {
            skipped("random queries in DuckDB: WARPFRAME_PYTHON does not name an interpreter that has it");
            return None;
        };
        let found = Command::new(&python).args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            skipped(&format!("random queries in DuckDB: '{python}' does not have it"));
            return None;
        }
        let mut process = Command::new(python)
            .args(["-c", include_str!("duckdb.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let replies = BufReader::new(process.stdout.take().unwrap());
        Some(Self { requests: process.stdin.take(), replies, process })
    }

    /// The rows of a query, or the message of its error.
    pub fn run(&mut self, sql: &str) -> Result<Vec<Vec<Cell>>, String> {
        let requests = self.requests.as_mut().unwrap();
        writeln!(requests, "{}", Value::from(sql)).unwrap();
        requests.flush().unwrap();
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        let reply: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("DuckDB ended in: {sql}"));
        match &reply["error"] {
            Value::String(message) => Err(message.clone()),
            _ => Ok(reply["rows"].as_array().unwrap().iter().map(cells).collect()),
        }
    }

    /// Replaces the table `name` by one of these rows, by a file in `folder`.
    pub fn create_table(&mut self, name: &str, rows: &RecordBatch, folder: &Path) {
        let path = folder.join(format!("{name}.parquet"));
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
        writer.write(rows).unwrap();
        writer.close().unwrap();
        let path = path.display();
        self.run(&format!("CREATE OR REPLACE TABLE {name} AS SELECT * FROM '{path}'")).unwrap();
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It ends at the end of its input.
        self.requests = None;
        let _ = self.process.wait();
    }
}

fn cells(row: &Value) -> Vec<Cell> {
    let cell = |value: &Value| match value {
        Value::Null => Cell::Null,
        Value::Object(float) => Cell::Float(float["float"].as_str().unwrap().parse().unwrap()),
        Value::Bool(value) => Cell::Text(value.to_string()),
        other => Cell::Text(other.as_str().unwrap().to_owned()),
    };
    row.as_array().unwrap().iter().map(cell).collect()
}
