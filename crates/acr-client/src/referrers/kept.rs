//! The lists of referrers that clients keep by hand, as indexes under tags, where a registry has no API for
//! them (OCI 1.1): a manifest with a subject that is in no list is lost to everybody who looks for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use acr_protocol::manifest::{AcceptedManifest, GetManifest, SetManifest};
use acr_protocol::referrers::{ListReferrers, change_index, fallback_tag, referrer};
use acr_protocol::{
    Describe, Descriptor, Digest, ErrorCode, Manifest, Operation, Reference, RepositoryName, Tag,
};

use super::lacks_the_api;
use crate::audience::Audience;
use crate::error::{Error, ErrorKind};
use crate::manifest::MAX_MANIFEST_SIZE;
use crate::repository::RepositoryClient;

/// What a client and its clones know about the lists of referrers of their registry.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Whether the registry keeps the lists itself.
    api: AtomicU8,
    in_progress: Mutex<HashMap<Subject, UnderWay>>,
}

type Subject = (RepositoryName, Digest);

/// The changes to one list that callers of this client are at.
///
/// There is no way to change an index only if it is still the one that was read. So each caller makes all
/// changes of all callers, and sees to its own and to those whose callers are gone, which it may have
/// undone: nobody undoes for good what another one has done, and nobody waits for another one, who may not
/// be polled, or for those that come later, who may be many.
#[derive(Debug, Default)]
struct UnderWay {
    callers: usize,
    changes: BTreeMap<Digest, Wanted>,
}

/// What is to become of the entry of one manifest.
#[derive(Debug)]
struct Wanted {
    /// The entry that it is to have; `None`: it is to have none.
    entry: Option<Descriptor>,
    /// How many callers see to it themselves.
    callers: usize,
}

impl Wanted {
    const fn change<'a>(
        (digest, wanted): (&'a Digest, &'a Self),
    ) -> (&'a Digest, Option<&'a Descriptor>) {
        (digest, wanted.entry.as_ref())
    }
}

impl Kept {
    /// Takes note of whether the registry has the API.
    pub(crate) fn learn(&self, has_api: bool) {
        let learned = if has_api { HAS_API } else { LACKS_API };
        self.api.store(learned, Ordering::Relaxed);
    }

    fn known(&self) -> Option<bool> {
        match self.api.load(Ordering::Relaxed) {
            UNKNOWN => None,
            known => Some(known == HAS_API),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, UnderWay>> {
        self.in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

const UNKNOWN: u8 = 0;
const HAS_API: u8 = 1;
const LACKS_API: u8 = 2;

/// A change that is under way until this is dropped.
struct Change<'a> {
    kept: &'a Kept,
    subject: Subject,
    of: Digest,
    /// How often the index may be set until another client is to blame: each other caller may have read it
    /// before this one came, and undo its change once.
    max_rounds: usize,
}

impl<'a> Change<'a> {
    fn begin(kept: &'a Kept, subject: Subject, of: Digest, entry: Option<Descriptor>) -> Self {
        let mut all = kept.lock();
        let in_progress = all.entry(subject.clone()).or_default();
        in_progress.callers += 1;
        let max_rounds = MAX_ROUNDS + in_progress.callers;
        let before = in_progress.changes.remove(&of);
        let callers = before.map_or(0, |before| before.callers) + 1;
        let wanted = Wanted { entry, callers };
        in_progress.changes.insert(of.clone(), wanted);
        drop(all);
        Self {
            kept,
            subject,
            of,
            max_rounds,
        }
    }

    /// The index with all changes, or `None` where this caller has done its part.
    fn apply(&self, index: Option<&Manifest>) -> Result<Option<Manifest>, Error> {
        let all = self.kept.lock();
        let changes = all.get(&self.subject).into_iter();
        let changes = changes.flat_map(|in_progress| &in_progress.changes);
        let is_seen_to =
            |&(digest, wanted): &(&Digest, &Wanted)| *digest == self.of || wanted.callers == 0;
        let own = changes.clone().filter(is_seen_to).map(Wanted::change);
        if change_index(index, own)?.is_none() {
            return Ok(None);
        }
        Ok(change_index(index, changes.map(Wanted::change))?)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut all = self.kept.lock();
        if let Some(in_progress) = all.get_mut(&self.subject) {
            in_progress.callers -= 1;
            if in_progress.callers == 0 {
                all.remove(&self.subject);
            } else if let Some(wanted) = in_progress.changes.get_mut(&self.of) {
                wanted.callers -= 1;
            }
        }
    }
}

impl RepositoryClient {
    /// Sees to it that a manifest that was set is in the list of its subject's referrers.
    pub(crate) async fn list_referrer(
        &self,
        manifest: &Manifest,
        accepted: &AcceptedManifest,
    ) -> Result<(), Error> {
        let kept = self.pipeline.kept_referrers();
        if accepted.subject.is_some() {
            kept.learn(true);
            return Ok(());
        }
        if self.is_azure() || kept.known() == Some(true) {
            return Ok(());
        }
        let Some((subject, mut entry)) = referrer(manifest) else {
            return Ok(());
        };
        entry.digest.clone_from(&accepted.digest);
        let listed = async {
            if self.has_referrers_api(&subject).await? {
                return Ok(());
            }
            let of = accepted.digest.clone();
            self.change_kept(&subject, of, Some(entry)).await?;
            kept.learn(false);
            Ok(())
        };
        let listed: Result<(), Error> = listed.await;
        listed.map_err(|cause| {
            let text = format!(
                "the manifest {} is set, but is not in the list of the referrers of {subject}, which \
                 this registry leaves to its clients; set it again",
                accepted.digest
            );
            wrapped(text, SetManifest::NAME, self, cause)
        })
    }

    /// Finds the subject in whose list of referrers a manifest is that is to be deleted, where such
    /// lists are kept by clients.
    ///
    /// What cannot be found out holds up no delete: who may delete need not have the right to read.
    pub(crate) async fn listed_under(&self, digest: &Digest) -> Option<Digest> {
        if self.is_azure() || self.has_referrers_api(digest).await.unwrap_or(true) {
            return None;
        }
        let digest = Reference::from(digest);
        let asked = self.impatient();
        let got = asked.get_reference(digest, GetManifest::NAME);
        let manifest = got.await.ok()?;
        // It is a registry that said so.
        self.pipeline.kept_referrers().learn(false);
        let (subject, _) = referrer(&manifest)?;
        Some(subject)
    }

    /// Takes a manifest that was deleted out of the list of its subject's referrers. An index without
    /// entries stays: another client may be about to add one.
    pub(crate) async fn unlist_referrer(
        &self,
        subject: &Digest,
        digest: Digest,
    ) -> Result<(), Error> {
        let changed = self.change_kept(subject, digest.clone(), None).await;
        changed.map_err(|cause| {
            let text = format!(
                "the manifest {digest} is deleted, but is still in the list of the referrers of {subject}"
            );
            wrapped(text, "delete_manifest", self, cause)
        })
    }

    /// Gets the index that clients keep under a tag; `None` where a registry says that there is none.
    pub(super) async fn kept_index(&self, tag: &Tag) -> Result<Option<Manifest>, Error> {
        let tag = Reference::Tag(tag.clone());
        let got = self.impatient().get_reference(tag, GetManifest::NAME).await;
        match got {
            Err(error) if error.tells_absence() || is_absence_to_harbor(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads the index, changes it, and reads it again, until all that this client wants of it is so.
    async fn change_kept(
        &self,
        subject: &Digest,
        of: Digest,
        entry: Option<Descriptor>,
    ) -> Result<(), Error> {
        let Some(tag) = fallback_tag(subject) else {
            return Ok(());
        };
        let key = (self.name.clone(), subject.clone());
        let change = Change::begin(self.pipeline.kept_referrers(), key, of, entry);
        for _ in 0..change.max_rounds {
            let index = self.kept_index(&tag).await?;
            let Some(changed) = change.apply(index.as_ref())? else {
                return Ok(());
            };
            let set = SetManifest {
                repository: self.name.clone(),
                reference: Reference::Tag(tag.clone()),
                media_type: changed.media_type,
                bytes: changed.bytes,
                tags: Vec::new(),
            };
            crate::manifest::check(&set)?;
            self.pipeline.run(&set).await?;
        }
        Err(Error::new(
            ErrorKind::Registry,
            format!(
                "{tag} was changed by others each of {} times that it was set",
                change.max_rounds
            ),
        ))
    }

    /// Asks the registry whether it keeps the lists itself, unless that is known.
    async fn has_referrers_api(&self, subject: &Digest) -> Result<bool, Error> {
        let kept = self.pipeline.kept_referrers();
        if let Some(known) = kept.known() {
            return Ok(known);
        }
        let list = ListReferrers {
            repository: self.name.clone(),
            digest: subject.clone(),
            artifact_type: None,
            query: acr_protocol::ListQuery::default(),
        };
        let mut call = self.pipeline.call(&list);
        // A page that is too long is one all the same.
        call.limit = MAX_MANIFEST_SIZE;
        let asked = self.impatient().pipeline;
        match asked.run_with(&list, &call, list.request()).await {
            Ok(_) => kept.learn(true),
            Err(error) if error.kind() == ErrorKind::TooLarge => kept.learn(true),
            // Who says so may be a proxy, so it is remembered only once a registry has spoken.
            Err(error) if lacks_the_api(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Whether the registry is one of Azure's, which all have the API.
    fn is_azure(&self) -> bool {
        Audience::is_azure_host(self.pipeline.endpoint().host())
    }

    /// The same repository, where what is not found is not waited for.
    fn impatient(&self) -> Self {
        Self {
            pipeline: self.pipeline.without_patience(),
            name: self.name.clone(),
        }
    }
}

/// Whether the registry says so in the words of Harbor, whose code is not of the protocol. What another code
/// says is no reason to begin a new index in the place of the one that may be there.
fn is_absence_to_harbor(error: &Error) -> bool {
    let code = error.code().map(ErrorCode::as_str);
    error.kind() == ErrorKind::NotFound && error.is_own() && code == Some("NOT_FOUND")
}

/// An error with another text, but the kind and the status, so that the advice is the same.
fn wrapped(text: String, name: &'static str, of: &RepositoryClient, cause: Error) -> Error {
    let error = Error::new(cause.kind(), text);
    let error = match cause.status() {
        Some(status) => error.with_response(
            status,
            cause.request_id().map(str::to_owned),
            cause.retry_after(),
        ),
        None => error,
    };
    let attempts = cause.attempts();
    error
        .with_source(cause)
        .in_operation(name, Some(of.name.as_str()), attempts)
}

/// How often an index is set before the others that change it are left the field.
const MAX_ROUNDS: usize = 8;
