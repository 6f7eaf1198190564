//! The claim of an output in an object store: an object that only one run can create, with the [journal](super::journal) of
//! that run. It is written again and again while the run publishes. A run that finds the claim of another one which has not
//! been renewed for a time takes it over, and completes or undoes what the other run has begun.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use datafusion::common::{DataFusionError, Result, exec_err};
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectMeta, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use super::journal::{Journal, Phase};
use super::replaceable::OWN_PREFIX;
use crate::object_location::ObjectLocation;
use crate::unique_id::unique_id;

/// How often a claim is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(15);

/// The age after which a claim that has not been renewed is that of a run that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// The beginning of the names of objects that are written to know the time of the store.
const CLOCK_PREFIX: &str = ".warpframe-clock-";

/// A claim that this run holds.
#[derive(Debug)]
pub(super) struct Claim {
    location: ObjectLocation,
    journal: Journal,
    version: Option<UpdateVersion>,
    /// Whether another run has taken it over, or it is not known what the journal says. Then nothing is undone by this run.
    is_lost: bool,
}

/// The result of a conditional write.
enum Written {
    Done(Option<UpdateVersion>),
    /// Another run has written the object.
    Refused,
    /// The object has not been written.
    Failed(DataFusionError),
    /// It is not known whether it has been written.
    Unknown(DataFusionError),
}

impl Claim {
    /// Claims an output by an object at `location`, which gets the journal. `output` is what the names in journals are
    /// relative to.
    ///
    /// # Errors
    /// Another run has claimed it, or the store refuses a request.
    pub async fn create(location: ObjectLocation, journal: Journal, output: &ObjectLocation) -> Result<Self> {
        loop {
            match write(&location, &journal, PutMode::Create).await? {
                Written::Done(version) => return Ok(Self { location, journal, version, is_lost: false }),
                Written::Failed(error) | Written::Unknown(error) => return Err(error),
                Written::Refused => {}
            }
            // It may have ended in the meantime.
            if let Some(found) = location.find().await?
                && !repair(output, &found).await?
            {
                return Err(is_active(output));
            }
        }
    }

    /// Writes another journal.
    ///
    /// # Errors
    /// The store refuses the request; then the journal is the old one. Or another run has taken over the claim, or it is not
    /// known what the journal is; then the claim is lost.
    async fn write(&mut self, journal: Journal) -> Result<()> {
        let mode = self.version.clone().map_or(PutMode::Overwrite, PutMode::Update);
        match write(&self.location, &journal, mode).await? {
            Written::Done(version) => {
                (self.journal, self.version) = (journal, version);
                Ok(())
            }
            Written::Failed(error) => Err(error),
            Written::Refused => {
                self.is_lost = true;
                Err(self.taken_over())
            }
            Written::Unknown(error) => {
                self.is_lost = true;
                let (cause, place) = (error.find_root().message(), self.location.url());
                exec_err!(
                    "{cause}; it is not known whether the output of '{place}' is committed: readers see the old one or the new one, and the next run cleans up"
                )
            }
        }
    }

    /// Commits the run: from now on readers see its objects, and not those that they replace.
    ///
    /// # Errors
    /// The journal cannot be written; then the run is not committed, unless the claim is lost. A later run completes or
    /// undoes it then.
    pub async fn commit(&mut self, replaced: BTreeSet<String>) -> Result<()> {
        let phase = Phase::Committed { replaced };
        self.write(Journal { run: self.journal.run.clone(), phase }).await
    }

    /// Runs `work` to its end, and renews the claim meanwhile.
    ///
    /// # Errors
    /// Another run has taken over the claim; then `work` is dropped.
    pub async fn while_renewed<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(result) = tokio::time::timeout(RENEW_AFTER, &mut work).await {
                return Ok(result);
            }
            // A renewal that fails is tried again: whatever the store has done, the journal says the same.
            if let Written::Refused = self.renew().await? {
                self.is_lost = true;
                return Err(self.taken_over());
            }
        }
    }

    async fn renew(&mut self) -> Result<Written> {
        let mode = self.version.clone().map_or(PutMode::Overwrite, PutMode::Update);
        let written = write(&self.location, &self.journal, mode).await?;
        if let Written::Done(version) = &written {
            self.version = version.clone();
        }
        Ok(written)
    }

    fn taken_over(&self) -> DataFusionError {
        DataFusionError::Execution(format!(
            "another run has taken over the output of '{}': this one was suspended for too long",
            self.location.url()
        ))
    }

    /// Whether the claim is no longer that of this run, or it is not known what it says.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// What the claim says.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Ends the claim, if this run still has it.
    ///
    /// # Errors
    /// The object cannot be removed.
    pub async fn release(self) -> Result<()> {
        if self.is_lost {
            return Ok(());
        }
        self.location.remove(vec![self.location.path.clone()]).await
    }
}

/// The error that another run publishes an output.
pub(super) fn is_active(output: &ObjectLocation) -> DataFusionError {
    DataFusionError::Execution(format!(
        "cannot write '{}': another run is publishing it, or was ended less than {} seconds ago: try again later",
        output.url(),
        ABANDONED_AFTER.as_secs()
    ))
}

/// Completes or undoes what the run of a journal has begun. Returns false, having done nothing, if it may still be active.
///
/// # Errors
/// The journal is not valid, or the store refuses a request.
pub(super) async fn repair(output: &ObjectLocation, found: &ObjectMeta) -> Result<bool> {
    let location = output.at(found.location.clone());
    let Some((journal, version)) = read(&location).await? else { return Ok(true) };
    let has_nothing_left = matches!(&journal.phase, Phase::Committed { replaced } if replaced.is_empty());
    if !has_nothing_left && age(&location, found).await? < ABANDONED_AFTER {
        return Ok(false);
    }
    // From here on the other run, if it is active after all, gets an error at its next write.
    let mut claim = Claim { location, journal, version: Some(version), is_lost: false };
    claim.write(claim.journal.clone()).await?;
    let ignored = claim.journal.ignored().iter().map(|name| Ok(output.below(name)?.path));
    let mut removed = ignored.collect::<Result<Vec<_>>>()?;
    let clocks = claim.location.objects_beside(CLOCK_PREFIX).await?;
    removed.extend(clocks.into_iter().map(|clock| clock.location));
    claim.while_renewed(output.remove(removed)).await??;
    claim.release().await?;
    Ok(true)
}

/// The time since the object at a location was written, by the clock of the store.
async fn age(location: &ObjectLocation, object: &ObjectMeta) -> Result<Duration> {
    let clock = location.sibling(&format!("{CLOCK_PREFIX}{}", unique_id()?));
    clock.create_marker().await?;
    let now = clock.find().await;
    clock.remove(vec![clock.path.clone()]).await?;
    let Some(now) = now? else { return Ok(Duration::ZERO) };
    let (now, then) = (SystemTime::from(now.last_modified), SystemTime::from(object.last_modified));
    Ok(now.duration_since(then).unwrap_or_default())
}

/// The journal at a location and its version; `None` if there is none.
async fn read(location: &ObjectLocation) -> Result<Option<(Journal, UpdateVersion)>> {
    let unreadable = |error: &Error| location.error("read", error);
    let found = match location.store.get(&location.path).await {
        Err(Error::NotFound { .. }) => return Ok(None),
        found => found.map_err(|error| unreadable(&error))?,
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let text = found.bytes().await.map_err(|error| unreadable(&error))?;
    let journal = Journal::parse(&text).map_err(|error| {
        let (path, cause) = (&location.path, error.find_root().message());
        DataFusionError::Execution(format!("cannot read '{path}' in '{}': {cause}", location.url()))
    })?;
    Ok(Some((journal, version)))
}

/// Writes a journal under a condition. A store without conditional writes writes it in any case.
async fn write(location: &ObjectLocation, journal: &Journal, mode: PutMode) -> Result<Written> {
    let text = journal.to_bytes()?;
    let put = |mode| {
        let options = PutOptions { mode, ..PutOptions::default() };
        location.store.put_opts(&location.path, text.clone().into(), options)
    };
    let written = match put(mode).await {
        Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => put(PutMode::Overwrite).await,
        written => written,
    };
    let error = match written {
        Ok(put) if put.e_tag.is_some() => return Ok(Written::Done(Some(put.into()))),
        Ok(_) => return Ok(Written::Done(None)),
        Err(error) => error,
    };
    // A request may have been successful without an answer. A client that sends it again finds what it has written itself.
    let is_refusal = matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. });
    let error = location.error("write", &error);
    Ok(match read(location).await {
        Ok(Some((found, version))) if found == *journal => Written::Done(Some(version)),
        Ok(_) if is_refusal => Written::Refused,
        // A late arrival of the request does nothing: the condition is that of the journal that was there before.
        Ok(_) => Written::Failed(error),
        Err(_) => Written::Unknown(error),
    })
}

/// Whether an object below `output` is one that runs keep there for themselves.
pub(super) fn is_own(output: &ObjectPath, object: &ObjectPath) -> bool {
    let mut below = object.prefix_match(output).into_iter().flatten();
    below.next().is_some_and(|name| name.as_ref().starts_with(OWN_PREFIX))
}
