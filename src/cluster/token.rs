//! The secret of a cluster, which every request to its scheduler and executors carries: made when the scheduler starts,
//! and found by its user's other processes on the same host in a file that only this user can read.

use std::fmt;
use std::fs;
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, exec_err};
use subtle::ConstantTimeEq;

use super::address::ClusterAddress;
use crate::files::file_error;

/// The environment variable that holds a token.
pub const TOKEN_VARIABLE: &str = "WARPFRAME_CLUSTER_TOKEN";

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// The fewest characters of a token that somebody has made.
const MIN_CHARACTERS: usize = 16;

/// The secret of a cluster: at least 16 visible ASCII characters. It is never shown.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        if let Err(error) = getrandom::fill(&mut bytes) {
            return exec_err!("cannot make a token for the cluster: {error}");
        }
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(text.into()))
    }

    /// The one that `WARPFRAME_CLUSTER_TOKEN` holds, if it is set.
    ///
    /// # Errors
    /// What it holds is no token.
    pub fn from_environment() -> Result<Option<Self>> {
        match std::env::var_os(TOKEN_VARIABLE) {
            None => Ok(None),
            Some(text) => Self::new(&text.to_string_lossy(), TOKEN_VARIABLE).map(Some),
        }
    }

    /// The one that a file holds.
    ///
    /// # Errors
    /// The file cannot be read, or what it holds is no token.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| file_error("read the token in", path, error))?;
        Self::new(&text, &format!("'{}'", path.display()))
    }

    /// The one that a file holds. If there is no file, it is made, with a new token, and only this user can read it.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file), or the file cannot be made.
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

    /// The one by which this process can reach the cluster at an address: that of the environment, or the one that
    /// this user's scheduler on this host has left in its file.
    ///
    /// # Errors
    /// What is there is no token.
    pub fn find(address: &ClusterAddress) -> Result<Option<Self>> {
        if let Some(token) = Self::from_environment()? {
            return Ok(Some(token));
        }
        match token_file(address) {
            Some(path) if path.is_file() => Self::from_file(&path).map(Some),
            _ => Ok(None),
        }
    }

    fn new(text: &str, place: &str) -> Result<Self> {
        let text = text.trim();
        match text.len() >= MIN_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.into())),
            false => Err(DataFusionError::Configuration(format!(
                "{place} holds no token of a cluster: it has at least {MIN_CHARACTERS} letters and digits, and no spaces"
            ))),
        }
    }

    /// Whether this is the token, in a time that does not depend on where it differs.
    pub(super) fn matches(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }

    /// The secret itself, for requests and for the environment of child processes.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    /// Writes it into a file of this folder, which others see whole or not at all, and only this user can read.
    fn write(&self, folder: &Path, path: &Path) -> std::io::Result<()> {
        // Temporary files have mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{}", self.0)?;
        file.persist(path)?;
        Ok(())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The files in which a scheduler's user finds its token, by its addresses. They are removed with the value.
#[derive(Debug)]
pub(super) struct TokenFiles {
    paths: Vec<PathBuf>,
    token: Token,
}

impl TokenFiles {
    /// Writes them.
    ///
    /// # Errors
    /// This user has no folder for them, or it cannot be written.
    pub fn write(addresses: &[ClusterAddress], token: &Token) -> std::io::Result<Self> {
        let mut files = Self { paths: Vec::new(), token: token.clone() };
        for address in addresses {
            let path = token_file(address).ok_or_else(|| Error::new(ErrorKind::NotFound, "there is none"))?;
            let folder = path.parent().unwrap_or(&path);
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(folder)?;
            token.write(folder, &path)?;
            files.paths.push(path);
        }
        Ok(files)
    }
}

impl Drop for TokenFiles {
    fn drop(&mut self) {
        for path in &self.paths {
            // Another scheduler can have taken the address over.
            if Token::from_file(path).is_ok_and(|found| self.token.matches(found.0.as_bytes())) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The file of the scheduler at an address: in the user's runtime folder or, without one, in the cache folder.
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
