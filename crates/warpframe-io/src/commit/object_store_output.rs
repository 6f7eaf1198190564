//! The publication of an output in an object store. Object stores have no rename, but an object becomes visible at once.
//!
//! All objects of an output are uploaded before the first of them becomes visible, under names that the old output does not
//! use, and become visible under a [claim](super::claim), whose journal tells readers to ignore them until it is committed.
//! The old objects are removed after that. If the publication fails or is cancelled before, the new objects are removed and
//! the old output stays unchanged. A single object is published by its upload, under a claim beside it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::{DataFusionError, Result, exec_err};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

use super::claim::{Claim, is_active, is_own, repair};
use super::journal::{JOURNAL, Journal, Phase, is_journal};
use super::output_kind::{OutputKind, OutputMode, has_extension};
use super::reading::ignored_objects;
use super::replaceable::{exists_already, no_data};
use crate::background_cleanup::{run_to_completion, with_cleanup_error};
use crate::multipart_upload::CONCURRENT_REQUESTS;
use crate::object_location::ObjectLocation;

/// An output in an object store that is being written.
#[derive(Debug, Clone)]
pub(super) struct ObjectStoreOutput {
    location: ObjectLocation,
    kind: OutputKind,
    mode: OutputMode,
    run: String,
}

impl ObjectStoreOutput {
    /// Repairs what a killed run has left of the output, and checks that it may be written.
    ///
    /// # Errors
    /// The output may not be replaced, another run publishes it, or the store refuses a request.
    pub async fn prepare(
        location: ObjectLocation,
        kind: OutputKind,
        mode: OutputMode,
        run: &str,
    ) -> Result<Self> {
        let output = Self { location, kind, mode, run: run.to_owned() };
        let mut found = output.location.objects().await?;
        found.retain(|object| {
            output.location.relative(&object.location).is_some_and(|name| is_journal(&name))
        });
        if output.kind == OutputKind::File {
            found.extend(output.claim_location().find().await?);
        }
        for journal in found {
            // Additions and other runs do not exclude each other.
            if !repair(&output.location, &journal).await? && mode != OutputMode::Append {
                return Err(is_active(&output.location));
            }
        }
        output.replaceable().await?;
        Ok(output)
    }

    /// The output.
    pub fn location(&self) -> &ObjectLocation {
        &self.location
    }

    /// Uploads files, by their paths below the output, and publishes them. The path of a single object is empty.
    ///
    /// # Errors
    /// A file cannot be uploaded, or the output cannot be published; then the old output is unchanged. Or a replaced object
    /// cannot be removed; then the new output is complete, and the error names the objects that are left.
    pub async fn publish_files(&self, files: Vec<(String, PathBuf)>) -> Result<()> {
        let sent = files.into_iter().map(|(name, file)| async move {
            let location = match name.is_empty() {
                true => self.location.clone(),
                false => self.location.below(&name)?,
            };
            let pending = location.start_upload(&file).await?;
            Ok::<_, DataFusionError>((name, pending.complete()))
        });
        let sent: Vec<_> = stream::iter(sent).buffer_unordered(CONCURRENT_REQUESTS).try_collect().await?;
        self.publish(sent).await
    }

    /// Publishes copies of objects, as pairs of the path below the output and the source.
    ///
    /// # Errors
    /// The same as for [`publish_files`](Self::publish_files).
    pub async fn publish_copies(&self, copies: Vec<(String, ObjectLocation)>) -> Result<()> {
        let copies = copies.into_iter().map(|(name, source)| {
            let target = self.location.below(&name)?;
            Ok((name, async move { target.copy_from(&source).await }))
        });
        self.publish(copies.collect::<Result<_>>()?).await
    }

    /// Runs the writes that make objects visible.
    async fn publish<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        objects: Vec<(String, F)>,
    ) -> Result<()> {
        let guard = CancelOnDrop::default();
        // A request in flight is never cancelled, because its outcome would be unknown.
        run_to_completion(self.clone().publish_under_claim(objects, Arc::clone(&guard.cancelled))).await
    }

    async fn publish_under_claim<F: Future<Output = Result<()>>>(
        self,
        objects: Vec<(String, F)>,
        cancelled: Arc<AtomicBool>,
    ) -> Result<()> {
        let new: BTreeSet<_> =
            objects.iter().map(|(name, _)| name.clone()).filter(|name| !name.is_empty()).collect();
        let journal = Journal { run: self.run.clone(), phase: Phase::Publishing { new } };
        let mut claim = Claim::create(self.claim_location(), journal, &self.location).await?;
        let published = match self.replaceable().await {
            // The object itself is replaced.
            Err(error) => Err(error),
            Ok(replaced) => match claim.while_renewed(self.write(objects, &cancelled)).await.flatten() {
                Err(error) => Err(error),
                Ok(false) => Ok(None),
                // The object itself has been replaced.
                Ok(true) if self.kind == OutputKind::File => Ok(Some(BTreeSet::new())),
                Ok(true) => claim.commit(replaced.clone()).await.map(|()| Some(replaced)),
            },
        };
        match published {
            Ok(Some(replaced)) => self.clean_up(claim, replaced).await,
            Ok(None) => self.undo(claim).await,
            Err(error) => Err(with_cleanup_error(error, self.undo(claim).await)),
        }
    }

    /// Runs the writes. Stops starting them when one fails or `cancelled` is set. Returns whether all have been done.
    async fn write<F: Future<Output = Result<()>>>(
        &self,
        objects: Vec<(String, F)>,
        cancelled: &AtomicBool,
    ) -> Result<bool> {
        let (total, mut done, mut failure) = (objects.len(), 0, None);
        let mut writes = stream::iter(objects)
            .take_while(|_| std::future::ready(!cancelled.load(Ordering::Acquire)))
            .map(|(_, write)| write)
            .buffer_unordered(CONCURRENT_REQUESTS);
        while let Some(written) = writes.next().await {
            match written {
                Ok(()) => done += 1,
                Err(error) => {
                    cancelled.store(true, Ordering::Release);
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            // If all are done it is too late to cancel a single object, which is visible.
            None => {
                Ok(done == total && (self.kind == OutputKind::File || !cancelled.load(Ordering::Acquire)))
            }
        }
    }

    /// Removes the objects that the run has written, and its claim.
    async fn undo(&self, claim: Claim) -> Result<()> {
        if claim.is_lost() {
            return Ok(());
        }
        // An object that exists may be the old one.
        if self.kind != OutputKind::File {
            let new = claim.journal().ignored().iter().map(|name| Ok(self.location.below(name)?.path));
            self.location.remove(new.collect::<Result<_>>()?).await?;
        }
        claim.release().await
    }

    /// Removes the objects that the run has replaced, and its claim.
    async fn clean_up(&self, mut claim: Claim, replaced: BTreeSet<String>) -> Result<()> {
        let old = replaced.iter().map(|name| Ok(self.location.below(name)?.path));
        let old = old.collect::<Result<Vec<_>>>()?;
        let removed = claim.while_renewed(self.location.remove(old)).await.flatten();
        removed.map_err(|error| {
            let cause = error.find_root().message().into_owned();
            DataFusionError::Execution(format!(
                "the new output in '{}' is whole, but objects of the old one lie beside it: {cause}",
                self.location.url
            ))
        })?;
        // A store may refuse to remove anything. What is left is a claim that says that nothing is ignored, or one beside a
        // single object, which ends by itself.
        let _ = claim.release().await;
        Ok(())
    }

    /// The location of the claim: in the output, or beside a single object.
    fn claim_location(&self) -> ObjectLocation {
        match (&self.kind, self.mode) {
            (OutputKind::File, _) => {
                let name = self.location.path.filename().unwrap_or_default();
                self.location.sibling(&format!(".warpframe-{name}.lock"))
            }
            (_, OutputMode::Append) => self.location.child(&Journal::name_of_addition(&self.run)),
            _ => self.location.child(JOURNAL),
        }
    }

    /// The objects that the output replaces, as paths below it.
    ///
    /// # Errors
    /// There are any and the mode is not [`OutputMode::Replace`], or they are not the output of an earlier run.
    async fn replaceable(&self) -> Result<BTreeSet<String>> {
        if self.mode == OutputMode::Append {
            return match self.location.find().await? {
                Some(_) => exec_err!("cannot add files to '{}': it is a file", self.location.url()),
                None => Ok(BTreeSet::new()),
            };
        }
        let (objects, name) = (self.visible_objects().await?, self.location.url());
        if objects.is_empty() {
            return Ok(BTreeSet::new());
        }
        if self.mode == OutputMode::Create {
            return Err(exists_already(name));
        }
        let is_object = objects.contains(&self.location.path);
        match &self.kind {
            OutputKind::File if !is_object => exec_err!("cannot replace '{name}' by a file: it is a folder"),
            OutputKind::File => Ok(BTreeSet::new()),
            OutputKind::Folder { .. } if is_object => {
                exec_err!("cannot replace '{name}' by a folder: it is a file")
            }
            OutputKind::Folder { extension } => {
                let names = objects.iter().filter_map(|object| self.location.relative(object));
                let names: BTreeSet<_> = names.collect();
                match names.iter().find(|name| !is_output_file(name, extension)) {
                    None => Ok(names),
                    Some(other) => {
                        exec_err!(
                            "'{name}' is not replaced: it holds '{other}', which is {}",
                            no_data(extension)
                        )
                    }
                }
            }
        }
    }

    /// The objects of the output, without those that runs keep there for themselves and those that are being published or
    /// removed.
    async fn visible_objects(&self) -> Result<Vec<ObjectPath>> {
        let location = &self.location;
        loop {
            let objects = location.objects().await?;
            let ignored = ignored_objects(&*location.store, Some(&location.path), &objects).await;
            // A journal has changed since the objects were listed.
            let Some(ignored) = ignored.map_err(|error| location.error("read", &error))? else { continue };
            let is_visible = |object: &ObjectMeta| {
                !is_own(&location.path, &object.location) && !ignored.contains(&object.location)
            };
            return Ok(objects.into_iter().filter(is_visible).map(|object| object.location).collect());
        }
    }
}

/// Whether a path below an output is that of a file with an extension, in the output or in its partition folders.
fn is_output_file(path: &str, extension: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').map_or((None, path), |(folders, name)| (Some(folders), name));
    has_extension(name, extension)
        && folders.is_none_or(|folders| folders.split('/').all(|folder| folder.contains('=')))
}

/// Sets a flag when it is dropped, so that a commit whose future is dropped starts no more writes.
#[derive(Default)]
struct CancelOnDrop {
    cancelled: Arc<AtomicBool>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
    }
}
