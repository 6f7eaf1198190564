//! The token of a cluster, a shared secret that authenticates every request to its scheduler and executors. A scheduler
//! generates it and writes it to a file that only its user can read, where the user's other processes on the host find it.

use std::fmt;
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, exec_err};
use subtle::ConstantTimeEq;

use super::address::ClusterAddress;
use warpframe_io::file_error;

/// The environment variable with the token.
pub const TOKEN_VARIABLE: &str = "WARPFRAME_CLUSTER_TOKEN";

/// The size of a generated token before hexadecimal encoding, in bytes.
const TOKEN_BYTES: usize = 32;

/// The minimum length of a token.
const MIN_CHARACTERS: usize = 16;

/// The token of a cluster: at least 16 printable ASCII characters without spaces. `Debug` does not show it.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// Generates a token of 256 random bits.
    ///
    /// # Errors
    /// The random number generator of the operating system fails.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        if let Err(error) = getrandom::fill(&mut bytes) {
            return exec_err!("cannot generate a token for the cluster: {error}");
        }
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(text.into()))
    }

    /// Reads the token in `WARPFRAME_CLUSTER_TOKEN`; `None` if the variable is not set.
    ///
    /// # Errors
    /// The value is not a valid token.
    pub fn from_environment() -> Result<Option<Self>> {
        match std::env::var_os(TOKEN_VARIABLE) {
            None => Ok(None),
            Some(text) => Self::new(&text.to_string_lossy(), TOKEN_VARIABLE).map(Some),
        }
    }

    /// Reads the token in a file. White space around it is ignored.
    ///
    /// # Errors
    /// The file cannot be read or does not contain a valid token.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| file_error("read the token in", path, error))?;
        Self::new(&text, &format!("'{}'", path.display()))
    }

    /// Reads the token in a file, or generates one and creates the file, which only this user can read.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file), or the file cannot be created.
    pub fn from_file_or_new(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Self::from_file(path);
        }
        let token = Self::random()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        token
            .write(folder.unwrap_or_else(|| Path::new(".")), path)
            .map_err(|error| file_error("write", path, error))?;
        Ok(token)
    }

    /// Finds the token for the cluster at an address: the one in `WARPFRAME_CLUSTER_TOKEN`, or else the one in the file of
    /// this user's scheduler on this host. `None` if there is neither.
    ///
    /// # Errors
    /// The value or the file is not a valid token, or the file cannot be read.
    pub fn find(address: &ClusterAddress) -> Result<Option<Self>> {
        if let Some(token) = Self::from_environment()? {
            return Ok(Some(token));
        }
        match token_file(address) {
            Some(path) if path.is_file() => Self::from_file(&path).map(Some),
            _ => Ok(None),
        }
    }

    /// Validates a token. `source` names its origin in the error.
    fn new(text: &str, source: &str) -> Result<Self> {
        let text = text.trim();
        match text.len() >= MIN_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.into())),
            false => Err(DataFusionError::Configuration(format!(
                "{source} holds no token of a cluster: it has at least {MIN_CHARACTERS} letters and digits, and no spaces"
            ))),
        }
    }

    /// Compares a presented token in constant time.
    pub(super) fn matches(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }

    /// The text of the token, for requests and for the environment of child processes.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    /// Writes the token to a file in `folder`, atomically and readable by this user only. The file is locked until it is
    /// closed, if the file system has locks.
    fn write(&self, folder: &Path, path: &Path) -> std::io::Result<File> {
        // Created with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{}", self.0)?;
        let _ = file.as_file().try_lock();
        Ok(file.persist(path)?)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The token files of a scheduler, one for each of its addresses, which are locked. Dropping the value removes them.
#[derive(Debug)]
pub(super) struct TokenFiles {
    files: Vec<(PathBuf, File)>,
    token: Token,
}

impl TokenFiles {
    /// Writes a file for each address, and removes those of schedulers that were killed.
    ///
    /// # Errors
    /// The user has neither a runtime nor a cache folder, or it cannot be written.
    pub fn write(addresses: &[ClusterAddress], token: &Token) -> std::io::Result<Self> {
        let mut files = Self { files: Vec::new(), token: token.clone() };
        for address in addresses {
            let path = token_file(address)
                .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such folder"))?;
            let folder = path.parent().unwrap_or(&path);
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(folder)?;
            remove_abandoned(folder);
            let file = token.write(folder, &path)?;
            files.files.push((path, file));
        }
        Ok(files)
    }
}

impl Drop for TokenFiles {
    fn drop(&mut self) {
        for (path, _) in &self.files {
            // The file can be that of another scheduler, started later at the same address.
            if Token::from_file(path).is_ok_and(|found| self.token.matches(found.0.as_bytes())) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Removes the token files in a folder that no scheduler has locked.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_token = path.extension().is_some_and(|extension| extension == "token");
        if is_token && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// The path of the token file for an address, in the user's runtime folder or else cache folder; `None` without both.
fn token_file(address: &ClusterAddress) -> Option<PathBuf> {
    let host = match address.host() {
        "localhost" => "127.0.0.1",
        host => host,
    };
    let host: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    let folder = dirs::runtime_dir().or_else(dirs::cache_dir)?;
    Some(folder.join("warpframe/clusters").join(format!("{host}-{}.token", address.port())))
}
