//! Names as SQL reads them.

use datafusion::sql::sqlparser::ast::Ident;

/// The name that an identifier stands for: in lower-case letters, unless it has quotes.
pub fn normalized_name(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
