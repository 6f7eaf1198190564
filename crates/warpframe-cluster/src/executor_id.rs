//! The identifier under which an executor registers.

use std::fmt;
use std::str::FromStr;

/// The identifier of an executor, as text `name;version;backend`. Ballista's metadata of executors has no fields for
/// the version and the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExecutorId {
    pub name: String,
    pub version: String,
    pub backend: String,
}

impl fmt::Display for ExecutorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{};{}", self.name, self.version, self.backend)
    }
}

impl FromStr for ExecutorId {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, String> {
        match id.split(';').collect::<Vec<_>>()[..] {
            [name, version, backend] => {
                Ok(Self { name: name.to_owned(), version: version.to_owned(), backend: backend.to_owned() })
            }
            _ => Err(format!("'{id}' is not a warpframe executor")),
        }
    }
}
