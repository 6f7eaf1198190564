//! Names of inputs and outputs that are URLs.

/// Whether the name of an input or output is a URL, not a local path.
pub(super) fn is_object_store_url(name: &str) -> bool {
    name.contains("://")
}

/// Whether a name is a URL of the web, which names one file that can only be read.
pub(super) fn is_web(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}
