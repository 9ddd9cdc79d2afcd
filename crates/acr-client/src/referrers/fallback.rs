//! The lists of referrers that clients keep by hand, as indexes under tags, where a registry has no API for
//! them (OCI 1.1): a manifest with a subject that is in no list is lost to everybody who looks for it.

use acr_protocol::manifest::{AcceptedManifest, GetManifest, SetManifest};
use acr_protocol::referrers::{ListReferrers, change_index, fallback_tag, referrer};
use acr_protocol::{Descriptor, Digest, ErrorCode, Manifest, Operation, Reference, Tag};

use super::kept::Change;
use super::lacks_the_api;
use crate::audience::Audience;
use crate::call_options::CallOptions;
use crate::error::{Error, ErrorKind};
use crate::manifest::MAX_MANIFEST_SIZE;
use crate::operation_info::OperationInfo;
use crate::repository::RepositoryClient;

impl RepositoryClient {
    /// Sees to it that a manifest that was set is in the list of its subject's referrers.
    pub(crate) async fn list_referrer(
        &self,
        manifest: &Manifest,
        accepted: &AcceptedManifest,
        info: &OperationInfo,
    ) -> Result<(), Error> {
        if accepted.subject.is_some() {
            self.pipeline.kept_referrers().learn(true);
            return Ok(());
        }
        let listed = self.list_kept(manifest, &accepted.digest).await;
        listed.map_err(|cause| {
            let text = format!(
                "the manifest {} is set, but is not in the list of the referrers of its subject, which \
                 this registry leaves to its clients; set it again",
                accepted.digest
            );
            wrapped(text, info, cause)
        })
    }

    /// Sees to it that a manifest that is there under this digest is in the list of its subject's referrers, where
    /// clients keep these. Where it is, the list is read and not set.
    pub(crate) async fn list_kept(
        &self,
        manifest: &Manifest,
        digest: &Digest,
    ) -> Result<(), Error> {
        let kept = self.pipeline.kept_referrers();
        if self.is_azure() || kept.known() == Some(true) {
            return Ok(());
        }
        let Some((subject, mut entry)) = referrer(manifest) else {
            return Ok(());
        };
        if self.has_referrers_api(&subject).await? {
            return Ok(());
        }
        entry.digest.clone_from(digest);
        if let Some(tag) = fallback_tag(&subject) {
            self.change_kept(&tag, digest.clone(), Some(entry)).await?;
        }
        kept.learn(false);
        Ok(())
    }

    /// Finds the subject in whose list of referrers a manifest is that is to be deleted, where such
    /// lists are kept by clients.
    ///
    /// What cannot be found out holds up no delete: who may delete need not have the permission to read.
    pub(crate) async fn listed_under(&self, digest: &Digest) -> Option<Digest> {
        if self.is_azure() || self.has_referrers_api(digest).await.unwrap_or(true) {
            return None;
        }
        let digest = Reference::from(digest);
        let asked = self.impatient();
        let got = asked.get_reference(digest, GetManifest::SPEC.name);
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
        info: &OperationInfo,
    ) -> Result<(), Error> {
        let Some(tag) = fallback_tag(subject) else {
            return Ok(());
        };
        let changed = self.change_kept(&tag, digest.clone(), None).await;
        changed.map_err(|cause| {
            let text = format!(
                "the manifest {digest} is deleted, but is still in the list of the referrers of {subject}"
            );
            wrapped(text, info, cause)
        })
    }

    /// Sees to it that entries are in the list that clients keep under a tag, beside those that are there; returns
    /// whether they keep it here. A registry with the API says so of any digest.
    pub(crate) async fn add_to_kept(
        &self,
        tag: &Tag,
        any: &Digest,
        entries: &[Descriptor],
    ) -> Result<bool, Error> {
        if self.is_azure() || self.has_referrers_api(any).await? {
            return Ok(false);
        }
        let index = self.kept_index(tag).await?;
        for entry in entries {
            // Mostly the referrers are there already, and each change would read the list anew.
            if change_index(index.as_ref(), [(&entry.digest, Some(entry))])?.is_some() {
                let of = entry.digest.clone();
                self.change_kept(tag, of, Some(entry.clone())).await?;
            }
        }
        Ok(true)
    }

    /// Gets the index that clients keep under a tag; `None` where a registry says that there is none.
    pub(crate) async fn kept_index(&self, tag: &Tag) -> Result<Option<Manifest>, Error> {
        let tag = Reference::Tag(tag.clone());
        let got = self
            .impatient()
            .get_reference(tag, GetManifest::SPEC.name)
            .await;
        match got {
            Err(error) if error.tells_absence() || is_absence_to_harbor(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads the index, changes it, and reads it again, until all that this client wants of it is so.
    async fn change_kept(
        &self,
        tag: &Tag,
        of: Digest,
        entry: Option<Descriptor>,
    ) -> Result<(), Error> {
        let key = (self.name.clone(), tag.clone());
        let change = Change::begin(self.pipeline.kept_referrers(), key, of, entry);
        for _ in 0..change.max_rounds {
            let index = self.kept_index(tag).await?;
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
        let mut info = self.pipeline.info(&list);
        // A page that is too long is one all the same.
        info.limit = MAX_MANIFEST_SIZE;
        let asked = self.impatient().pipeline;
        match asked.run_with(&list, &info, list.request(), Ok).await {
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
    pub(crate) fn impatient(&self) -> Self {
        self.with(CallOptions {
            wait_for_replication: None,
            ..self.pipeline.options().clone()
        })
    }
}

/// Whether the registry says so in the words of Harbor, whose code is not of the protocol. What another code
/// says is not a reason to begin a new index in the place of the one that may be there.
fn is_absence_to_harbor(error: &Error) -> bool {
    let code = error.code().map(ErrorCode::as_str);
    error.kind() == ErrorKind::NotFound && error.is_own() && code == Some("NOT_FOUND")
}

/// An error with another text, but the kind and the status, so that the advice is the same.
fn wrapped(text: String, info: &OperationInfo, cause: Error) -> Error {
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
    info.annotate(error.with_source(cause), attempts)
}
