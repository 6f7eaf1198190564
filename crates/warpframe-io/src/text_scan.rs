//! What the scans of CSV and JSON files have in common.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::physical_expr::projection::ProjectionExprs;

/// The number of records in a batch if nobody says it.
pub const DEFAULT_BATCH_ROWS: usize = 8192;

/// A scan of the columns of a projection, or of all columns.
///
/// # Errors
/// The projection does not fit the table.
pub fn projected(
    scan: impl FileSource + 'static,
    projection: Option<&ProjectionExprs>,
) -> Result<Arc<dyn FileSource>> {
    let projected = match projection {
        Some(projection) => scan.try_pushdown_projection(projection)?,
        None => None,
    };
    Ok(projected.unwrap_or(Arc::new(scan)))
}
