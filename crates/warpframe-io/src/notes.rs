//! What a user should know about the tables of a query, such as that a CSV file has no header.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;

/// Notes on the tables that a session has opened or created, for its user. A session collects them if they are among the extensions of
/// its configuration.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Collected>);

#[derive(Debug, Default)]
struct Collected {
    /// All notes so far, so that none is given twice.
    known: HashSet<String>,
    /// The notes that were not taken yet.
    new: Vec<String>,
}

impl Notes {
    /// Adds collected notes to a configuration.
    pub fn install(config: SessionConfig) -> SessionConfig {
        config.with_extension(Arc::new(Self::default()))
    }

    /// Adds a note to those of a session, unless it has been added before. A note is a sentence without a full stop.
    pub fn add(session: &dyn Session, note: String) {
        if let Some(notes) = session.config().get_extension::<Self>() {
            let mut notes = notes.0.lock();
            if notes.known.insert(note.clone()) {
                notes.new.push(note);
            }
        }
    }

    /// The notes of a session since they were taken last, in their order.
    pub fn take(config: &SessionConfig) -> Vec<String> {
        config
            .get_extension::<Self>()
            .map(|notes| std::mem::take(&mut notes.0.lock().new))
            .unwrap_or_default()
    }
}
