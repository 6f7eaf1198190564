//! The identifier under which an executor registers.

use std::fmt;
use std::str::FromStr;

use sysinfo::System;

/// The identifier of an executor, as text `name;version;backend`. Ballista's metadata of executors has no fields for
/// the version and the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExecutorId {
    pub name: String,
    pub version: String,
    pub backend: String,
}

/// The start of the names of the executors in the process with this number on this host. A random suffix makes them unique.
pub(super) fn executor_name_prefix(process: u32) -> String {
    let host = System::host_name().unwrap_or_else(|| "host".to_owned()).replace(';', "-");
    format!("{host}-{process}-")
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
