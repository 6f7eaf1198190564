//! The journal of an output whose files become visible one after the other: a hidden file or object in it that says which
//! of them readers ignore.
//!
//! A run that replaces the files has the journal `.warpframe-commit`, of which there is one at a time; a run that adds some
//! has `.warpframe-commit-RUN`. It first says [`Phase::Publishing`]. The write of [`Phase::Committed`] commits the run.

use std::collections::BTreeSet;

use datafusion::common::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

/// The name of the journal of a run that replaces an output.
pub(crate) const JOURNAL: &str = ".warpframe-commit";

/// The content of a journal. Files are named by their paths relative to the output, with `/` between folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journal {
    /// The identifier of the run.
    pub run: String,
    #[serde(flatten)]
    pub phase: Phase,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Phase {
    /// The files of the run become visible. Readers ignore them.
    Publishing { new: BTreeSet<String> },
    /// The files of the run are the output. Readers ignore those that it has replaced, which are being removed.
    Committed { replaced: BTreeSet<String> },
}

impl Journal {
    /// The name of the journal of a run that adds files to an output.
    pub fn name_of_addition(run: &str) -> String {
        format!("{JOURNAL}-{run}")
    }

    /// Reads a journal.
    ///
    /// # Errors
    /// The text is not a journal.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|error| DataFusionError::Execution(format!("it is not a journal of a run: {error}")))
    }

    /// The text of the journal.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// The files that readers ignore. If the run has ended without its own clean-up, they are to be removed.
    pub fn ignored(&self) -> &BTreeSet<String> {
        match &self.phase {
            Phase::Publishing { new } => new,
            Phase::Committed { replaced } => replaced,
        }
    }
}

/// Whether a file name is that of a journal.
pub(crate) fn is_journal(name: &str) -> bool {
    name.strip_prefix(JOURNAL).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_as_written() -> Result<()> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let new = names(&["part-00000-1.csv", "a=1/part-00001-1.csv"]);
        let text = r#"{"run":"1","state":"publishing","new":["a=1/part-00001-1.csv","part-00000-1.csv"]}"#;
        let journal = Journal { run: "1".to_owned(), phase: Phase::Publishing { new: new.clone() } };
        assert_eq!(String::from_utf8_lossy(&journal.to_bytes()?), text);
        assert_eq!(Journal::parse(text.as_bytes())?, journal);
        assert_eq!(journal.ignored(), &new);
        let committed = r#"{"run":"1","state":"committed","replaced":["x.csv"]}"#;
        assert_eq!(Journal::parse(committed.as_bytes())?.ignored(), &names(&["x.csv"]));
        for other in ["", "{}", r#"{"run":"1"}"#, r#"{"run":"1","state":"other"}"#] {
            assert!(Journal::parse(other.as_bytes()).is_err(), "{other}");
        }
        Ok(())
    }

    #[test]
    fn journals_are_found_by_name() {
        assert!(is_journal(JOURNAL) && is_journal(&Journal::name_of_addition("1")));
        assert!(!is_journal(".warpframe-commits") && !is_journal(".warpframe-x.lock"));
    }
}
