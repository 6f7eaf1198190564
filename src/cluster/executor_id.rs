//! The identifiers of executors.

use std::fmt;
use std::str::FromStr;

/// An executor's name as the scheduler keeps it. Ballista has no field for the version and the backend, so they
/// are parts of the name.
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
