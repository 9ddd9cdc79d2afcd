//! The lists of referrers that clients keep by hand, as indexes under tags, where a registry has no API for
//! them (OCI 1.1): a manifest with a subject that is in no list is lost to everybody who looks for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use acr_protocol::manifest::{AcceptedManifest, GetManifest, SetManifest};
use acr_protocol::referrers::{ListReferrers, change_index, fallback_tag, referrer};
use acr_protocol::{
    Describe, Descriptor, Digest, Manifest, Operation, Reference, RepositoryName, Tag,
};

use super::lacks_the_api;
use crate::audience::Audience;
use crate::error::{Error, ErrorKind};
use crate::manifest::MOST_OF_A_MANIFEST;
use crate::repository::RepositoryClient;

/// What a client and its clones know about the lists of referrers of their registry.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Whether the registry keeps the lists itself.
    api: AtomicU8,
    under_way: Mutex<HashMap<Subject, UnderWay>>,
}

type Subject = (RepositoryName, Digest);

/// The changes to one list that callers of this client are at.
///
/// There is no way to change an index only if it is still the one that was read. So each caller sees to
/// all changes of all callers, until the last of them has seen all in place: nobody undoes what another
/// one has done, and nobody waits for another one, who may not be polled.
#[derive(Debug, Default)]
struct UnderWay {
    callers: usize,
    /// The entry that a manifest is to have, or that it is to have none.
    changes: BTreeMap<Digest, Option<Descriptor>>,
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
        self.under_way
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
}

impl<'a> Change<'a> {
    fn begin(kept: &'a Kept, subject: Subject, of: Digest, entry: Option<Descriptor>) -> Self {
        let mut all = kept.lock();
        let under_way = all.entry(subject.clone()).or_default();
        under_way.callers += 1;
        under_way.changes.insert(of, entry);
        drop(all);
        Self { kept, subject }
    }

    /// The index with all changes, or `None` where they are made.
    fn apply(&self, index: Option<&Manifest>) -> Result<Option<Manifest>, Error> {
        let all = self.kept.lock();
        let changes = all.get(&self.subject).into_iter();
        let changes = changes.flat_map(|under_way| &under_way.changes);
        let changes = changes.map(|(digest, entry)| (digest, entry.as_ref()));
        Ok(change_index(index, changes)?)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut all = self.kept.lock();
        if let Some(under_way) = all.get_mut(&self.subject) {
            under_way.callers -= 1;
            if under_way.callers == 0 {
                all.remove(&self.subject);
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
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
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
        for _ in 0..MAX_ROUNDS {
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
            format!("{tag} was changed by others each of {MAX_ROUNDS} times that it was set"),
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
        call.limit = MOST_OF_A_MANIFEST;
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

/// An error with another text, but the kind and the status, so that the advice is the same.
fn wrapped(text: String, name: &'static str, of: &RepositoryClient, cause: Error) -> Error {
    let error = Error::new(cause.kind(), text);
    let error = match cause.status() {
        Some(status) => error.with_answer(
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
const MAX_ROUNDS: u32 = 8;
