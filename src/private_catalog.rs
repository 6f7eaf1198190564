//! Copies of catalogs: a session that changes them does not change those of another session.

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::Result;

/// A copy of all catalogs, with the same tables.
///
/// # Errors
/// A table cannot be opened.
pub async fn private_catalogs(catalogs: &dyn CatalogProviderList) -> Result<Arc<dyn CatalogProviderList>> {
    let copies = MemoryCatalogProviderList::new();
    for name in catalogs.catalog_names() {
        let Some(catalog) = catalogs.catalog(&name) else { continue };
        copies.register_catalog(name, private_catalog(catalog.as_ref()).await?);
    }
    Ok(Arc::new(copies))
}

async fn private_catalog(catalog: &dyn CatalogProvider) -> Result<Arc<dyn CatalogProvider>> {
    let copy = MemoryCatalogProvider::new();
    for name in catalog.schema_names() {
        let Some(schema) = catalog.schema(&name) else { continue };
        copy.register_schema(&name, private_schema(schema.as_ref()).await?)?;
    }
    Ok(Arc::new(copy))
}

async fn private_schema(schema: &dyn SchemaProvider) -> Result<Arc<dyn SchemaProvider>> {
    let copy = MemorySchemaProvider::new();
    for name in schema.table_names() {
        if let Some(table) = schema.table(&name).await? {
            copy.register_table(name, table)?;
        }
    }
    Ok(Arc::new(copy))
}
