//! The check that the files of a query's tables exist. DataFusion reads a table whose file or folder was removed after it was
//! registered as one without rows.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_err};
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::datasource::source_as_provider;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use futures::StreamExt;

/// A query planner that first checks that the location of each table of files exists: the local file or folder, or an object
/// at the URL or below it. A local folder may be empty.
#[derive(Default)]
pub struct CheckTablePresence {
    /// The planner that makes the plan; DataFusion's if there is none.
    pub planner: Option<Arc<dyn QueryPlanner + Send + Sync>>,
}

impl fmt::Debug for CheckTablePresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckTablePresence").field("planner", &self.planner).finish()
    }
}

#[async_trait]
impl QueryPlanner for CheckTablePresence {
    async fn create_physical_plan(
        &self,
        query: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        for (table, locations) in scanned_locations(query)? {
            for location in locations {
                check(&table, &location, session).await?;
            }
        }
        match &self.planner {
            Some(planner) => planner.create_physical_plan(query, session).await,
            None => DefaultPhysicalPlanner::default().create_physical_plan(query, session).await,
        }
    }
}

/// The names of the tables of files that a query scans, with their locations.
fn scanned_locations(query: &LogicalPlan) -> Result<Vec<(String, Vec<ListingTableUrl>)>> {
    let mut tables = Vec::new();
    query.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<ListingTable>()
        {
            tables.push((scan.table_name.to_string(), table.table_paths().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

/// Checks that there is something at a location of a table.
async fn check(table: &str, location: &ListingTableUrl, session: &dyn Session) -> Result<()> {
    if location.scheme() == "file" {
        // Of a pattern, this is the folder before its first wildcard.
        return match location.get_url().to_file_path() {
            Ok(path) if path.exists() => Ok(()),
            Ok(path) => {
                exec_err!("cannot read table {table}: there is no file or folder '{}'", path.display())
            }
            Err(()) => exec_err!("cannot read table {table}: '{location}' is no path of this machine"),
        };
    }
    let store = session.runtime_env().object_store(location)?;
    match location.list_all_files(session, &*store, "").await?.next().await {
        Some(found) => found.map(|_| ()),
        None => exec_err!("cannot read table {table}: there is no object '{location}'"),
    }
}
