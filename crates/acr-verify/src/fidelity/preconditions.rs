//! [`Preconditions`]: what one exchange shows to be there before it, and what it changes.
//!
//! The rules look at the operation, the status and the service's error codes; never at an id. A success on a resource
//! needs the resource; what a response shows of it is how it is; an error by a lock needs the lock.

use acr_protocol::{
    Attributes, ChangeableAttributes, Deletion, Descriptor, Digest, MediaType, Operation, Page,
    Reference, RepositoryName, Route, for_each_operation,
};
use acr_record::Body;
use bytes::Bytes;
use serde_json::Value;

use super::resource::{Known, Resource};
use super::step::Step;

/// What is so before an exchange, and what the exchange changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Preconditions {
    /// What is there.
    pub(super) present: Vec<(Resource, Known)>,
    /// What is not there.
    pub(super) absent: Vec<Resource>,
    /// What is locked, unless another lock explains the error, and the switch that is off.
    pub(super) locked: Option<(Resource, ChangeableAttributes)>,
    /// What is there afterwards; of a tag, with its manifest.
    pub(super) made: Vec<(Resource, Option<Digest>)>,
    /// What is no longer there afterwards.
    pub(super) gone: Vec<Resource>,
    /// Locks as they are afterwards.
    pub(super) attributes: Option<(Resource, Attributes)>,
}

/// The repository of blobs that are read at the storage and that no repository is known to hold.
pub(super) const STORAGE: &str = "replay/storage";

impl Preconditions {
    /// Reads them off an exchange.
    pub(super) fn of(step: &Step) -> Self {
        let mut found = Self::default();
        if let Some(digest) = &step.data {
            if step.succeeds() || step.status() == 416 {
                let home = RepositoryName::new(STORAGE).ok();
                let blob = home.map(|home| Resource::Blob(home, digest.clone()));
                found
                    .present
                    .extend(blob.map(|blob| (blob, read_blob(step))));
            }
            return found;
        }
        let Some(route) = &step.route else {
            return found;
        };
        let Some(repository) = route.repository() else {
            let page = match route {
                Route::ListRepositoryNames(operation) => step.output(operation),
                Route::ListRepositories(operation) => step.output(operation),
                _ => None,
            };
            for name in page.into_iter().flat_map(|page| page.items) {
                found.show(Resource::Repository(name), Known::default());
            }
            return found;
        };
        let subject = subject(route, repository);
        match step.status() {
            // Credentials come before existence.
            401 | 403 => {}
            404 => found.missing(step, route, subject),
            405 => found.refused(step, route, subject),
            400 => found.push_refused(step, route),
            416 if matches!(route, Route::GetBlob(_)) => {
                found.present.push((subject, read_blob(step)));
            }
            status if status < 400 => found.succeeded(step, route, repository, subject),
            _ => {}
        }
        found
    }

    /// What an error says is not there. The response to HEAD names no code.
    fn missing(&mut self, step: &Step, route: &Route, subject: Resource) {
        let codes = step.codes();
        let repository = Resource::Repository(subject.repository().clone());
        let of_subject = ["TAG_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"];
        let is_repository = matches!(subject, Resource::Repository(_));
        if codes.iter().any(|code| code == "NAME_UNKNOWN") {
            self.absent.push(repository);
        } else if !is_repository
            && (codes.is_empty() || codes.iter().any(|code| of_subject.contains(&code.as_str())))
            && !matches!(route, Route::SetManifest(_))
        {
            self.absent.push(subject);
        }
    }

    fn refused(&mut self, step: &Step, route: &Route, subject: Resource) {
        if matches!(subject, Resource::Blob(..)) {
            self.present.push((subject.clone(), Known::default()));
        }
        let method = step.exchange.request.method.as_str();
        let is_read = matches!(method, "GET" | "HEAD");
        let off = ChangeableAttributes::default();
        let off = match route {
            Route::DeleteRepository(_) => off.can_delete(false),
            _ if is_read => off.can_read(false),
            _ => off.can_write(false),
        };
        if let (Resource::Tag(repository, tag), true) = (&subject, is_read) {
            // A tag with a manifest behind it, whichever.
            let digest = Digest::sha256(format!("{repository}:{tag}"));
            let manifest = Resource::Manifest(repository.clone(), digest.clone());
            let known = Known::of_tag(Some(digest));
            self.present.push((subject.clone(), known));
            self.present.push((manifest, Known::default()));
        }
        let is_push = matches!(route, Route::SetManifest(_));
        let locked = match &subject {
            Resource::Manifest(..) if !is_push => subject,
            Resource::Tag(..) => subject,
            other => Resource::Repository(other.repository().clone()),
        };
        let codes = step.codes();
        // The response to HEAD names no code.
        let is_silent = codes.is_empty() && matches!(method, "PUT" | "HEAD");
        if is_silent || codes.iter().any(|code| code == LOCKED) {
            self.present.push((locked.clone(), Known::default()));
            self.locked = Some((locked, off));
        }
    }

    /// What a refused push names is there, but for what the error says is missing.
    fn push_refused(&mut self, step: &Step, route: &Route) {
        let Route::SetManifest(operation) = route else {
            return;
        };
        let missing: Vec<Digest> = missing_blobs(step).collect();
        for digest in &missing {
            let name = || operation.repository.clone();
            self.absent.push(Resource::Blob(name(), digest.clone()));
            self.absent.push(Resource::Manifest(name(), digest.clone()));
        }
        if let Some(bytes) = step.manifest() {
            self.content(&operation.repository, &bytes, &missing);
        }
    }

    fn succeeded(
        &mut self,
        step: &Step,
        route: &Route,
        repository: &RepositoryName,
        subject: Resource,
    ) {
        let tag = |tag| Resource::Tag(repository.clone(), tag);
        let manifest = |digest| Resource::Manifest(repository.clone(), digest);
        let blob = |digest| Resource::Blob(repository.clone(), digest);
        match route {
            Route::DeleteRepository(operation) => {
                let deleted = step.output(operation).and_then(Deletion::deleted);
                let deleted = deleted.unwrap_or_default();
                let of = deleted.deleted_manifests.first().cloned();
                for digest in deleted.deleted_manifests {
                    self.show(manifest(digest), Known::default());
                }
                for name in deleted.deleted_tags {
                    self.show(tag(name), Known::of_tag(of.clone()));
                }
                self.delete(subject, Known::default());
            }
            Route::DeleteTag(_) => {
                let digest = step.header("X-Ms-Int-Docker-Content-Digest");
                let digest = digest.filter(|digest| digest.starts_with("sha"));
                let digest = digest.and_then(|digest| Digest::new(digest).ok());
                self.delete(subject, Known::of_tag(digest));
            }
            Route::DeleteManifest(_) | Route::DeleteBlob(_) => {
                self.delete(subject, Known::default());
            }
            Route::GetRepositoryProperties(operation) => self.show(subject, known(step, operation)),
            Route::GetTagProperties(operation) => self.show(subject, known(step, operation)),
            Route::GetManifestProperties(operation) => self.show(subject, known(step, operation)),
            Route::UpdateRepositoryProperties(operation) => {
                self.update(subject, known(step, operation), &operation.attributes);
            }
            Route::UpdateTagProperties(operation) => {
                self.update(subject, known(step, operation), &operation.attributes);
            }
            Route::UpdateManifestProperties(operation) => {
                self.update(subject, known(step, operation), &operation.attributes);
            }
            Route::ListTags(operation) => {
                self.show(subject, Known::default());
                for name in items(step, operation) {
                    self.show(tag(name), Known::default());
                }
            }
            Route::ListTagProperties(operation) => {
                self.show(subject, Known::default());
                for shown in items(step, operation) {
                    self.show(tag(shown.name.clone()), shown.into());
                }
            }
            Route::ListManifestProperties(operation) => {
                self.show(subject, Known::default());
                for shown in items(step, operation) {
                    self.show(manifest(shown.digest.clone()), shown.into());
                }
            }
            Route::ListReferrers(operation) => {
                for (place, entry) in (0..).zip(items(step, operation)) {
                    let (resource, known) =
                        (manifest(entry.digest.clone()), Known::of_content(&entry));
                    let referrer = Some((operation.digest.clone(), entry, place));
                    self.show(resource, Known { referrer, ..known });
                }
            }
            Route::GetManifest(_) | Route::HeadManifest(_) => self.pulled(step, subject),
            Route::SetManifest(operation) => {
                let bytes = step.manifest();
                if let Some(bytes) = &bytes {
                    self.content(repository, bytes, &[]);
                }
                let digest = step.digest().or_else(|| match &operation.reference {
                    Reference::Digest(digest) => Some(digest.clone()),
                    Reference::Tag(_) => bytes.map(Digest::sha256),
                });
                if let Some(digest) = digest {
                    self.made.push((manifest(digest.clone()), None));
                    if matches!(subject, Resource::Tag(..)) {
                        self.made.push((subject, Some(digest)));
                    }
                }
            }
            Route::HeadBlob(_) | Route::GetBlob(_) => self.show(subject, read_blob(step)),
            Route::MountBlob(operation) => {
                let from = operation.from.clone();
                let source = from.map(|from| Resource::Blob(from, operation.digest.clone()));
                if step.status() == 201 {
                    self.present
                        .extend(source.map(|source| (source, Known::default())));
                    self.made.push((blob(operation.digest.clone()), None));
                } else {
                    self.absent.extend(source);
                }
            }
            Route::StartUpload(_) | Route::CompleteUpload(_) if step.status() == 201 => {
                let digest = step
                    .query("digest")
                    .and_then(|digest| Digest::new(digest).ok());
                let digest = digest.or_else(|| step.digest());
                self.made.extend(digest.map(|digest| (blob(digest), None)));
            }
            _ => {}
        }
    }

    fn show(&mut self, resource: Resource, known: Known) {
        let shown = known.manifest.as_ref();
        for tag in shown.into_iter().flat_map(|shown| &shown.tags) {
            let tag = Resource::Tag(resource.repository().clone(), tag.clone());
            let digest = shown.map(|shown| shown.digest.clone());
            self.present.push((tag, Known::of_tag(digest)));
        }
        self.present.push((resource, known));
    }

    fn delete(&mut self, resource: Resource, known: Known) {
        self.show(resource.clone(), known);
        self.gone.push(resource);
    }

    fn update(&mut self, resource: Resource, after: Known, update: &ChangeableAttributes) {
        let attributes = after
            .properties
            .as_ref()
            .map(|shown| shown.attributes.clone());
        self.attributes = attributes.map(|attributes| (resource.clone(), attributes));
        self.show(resource, after.before(update));
    }

    fn pulled(&mut self, step: &Step, subject: Resource) {
        let bytes = step.response.bytes().filter(|bytes| !bytes.is_empty());
        let digest = step
            .digest()
            .or_else(|| match (&subject, &step.response.body) {
                (Resource::Manifest(_, digest), _) => Some(digest.clone()),
                (_, Body::Omitted { sha256, .. }) => {
                    Digest::new(format!("sha256:{}", sha256.as_ref()?)).ok()
                }
                _ => Some(Digest::sha256(bytes.as_ref()?)),
            });
        let digest = digest.unwrap_or_else(|| Digest::sha256(""));
        let media_type = step.header("Content-Type").map(MediaType::from);
        let is_manifest = |media_type: &MediaType| {
            media_type.is_index() || media_type.as_str().contains("manifest")
        };
        let known = Known {
            media_type: media_type.filter(is_manifest),
            size: size(step),
            ..Known::of_bytes(bytes)
        };
        if matches!(subject, Resource::Tag(..)) {
            self.show(subject.clone(), Known::of_tag(Some(digest.clone())));
        }
        let manifest = Resource::Manifest(subject.repository().clone(), digest);
        self.show(manifest, known);
    }

    /// Everything that a manifest names.
    fn content(&mut self, repository: &RepositoryName, manifest: &Bytes, missing: &[Digest]) {
        let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
        let lists = ["layers", "blobs", "manifests"].map(|list| (list, manifest[list].as_array()));
        let config = manifest.get("config").map(|config| ("config", config));
        let entries = lists.into_iter().flat_map(|(list, entries)| {
            entries
                .into_iter()
                .flatten()
                .map(move |entry| (list, entry))
        });
        for (list, entry) in entries.chain(config) {
            let Ok(entry) = serde_json::from_value::<Descriptor>(entry.clone()) else {
                continue;
            };
            if missing.contains(&entry.digest) {
                continue;
            }
            let (name, digest) = (repository.clone(), entry.digest.clone());
            self.present.push(match list {
                "manifests" => (Resource::Manifest(name, digest), Known::of_content(&entry)),
                _ => (Resource::Blob(name, digest), Known::of_content(&entry)),
            });
        }
    }
}

const LOCKED: &str = "REGISTRY_DISALLOWED_OPERATION";

/// Returns the blobs that an error says are missing.
pub(super) fn missing_blobs(step: &Step) -> impl Iterator<Item = Digest> {
    let body = step.json();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors.into_iter().filter_map(|error| {
        let is_missing = error["code"] == "MANIFEST_BLOB_UNKNOWN";
        let digest = error["detail"].as_str().filter(|_| is_missing)?;
        Digest::new(digest).ok()
    })
}

/// What an operation works on; the repository for what has no resource of its own.
fn subject(route: &Route, repository: &RepositoryName) -> Resource {
    macro_rules! reference {
        ($($name:ident)*) => {
            match route { $(Route::$name(operation) => operation.reference(),)* }
        };
    }
    let reference = for_each_operation!(reference).and_then(|text| Reference::new(text).ok());
    match (reference, route.name()) {
        (None, _) | (_, "list_referrers" | "mount_blob" | "complete_upload") => {
            Resource::Repository(repository.clone())
        }
        (Some(Reference::Digest(digest)), name) if name.ends_with("blob") => {
            Resource::Blob(repository.clone(), digest)
        }
        (Some(reference), _) => Resource::referenced(repository, reference),
    }
}

fn known<O: Operation>(step: &Step, operation: &O) -> Known
where
    Known: From<O::Output>,
{
    step.output(operation).map(Known::from).unwrap_or_default()
}

fn items<T, O: Operation<Output = Page<T>>>(step: &Step, operation: &O) -> Vec<T> {
    step.output(operation)
        .map(|page| page.items)
        .unwrap_or_default()
}

/// The size of the content of a response.
fn size(step: &Step) -> Option<u64> {
    let stated = || step.header("Content-Length")?.parse().ok();
    match &step.response.body {
        Body::Omitted { size, .. } => size.or_else(stated),
        _ => stated(),
    }
}

/// What is known of a blob that was read, or asked for.
fn read_blob(step: &Step) -> Known {
    let range = step.header("Content-Range").unwrap_or_default();
    let (range, total) = range.rsplit_once('/').unwrap_or_default();
    let first = range.trim_start_matches("bytes ").split('-').next();
    let first = first
        .and_then(|first| first.parse().ok())
        .unwrap_or_default();
    let bytes = step.response.bytes().filter(|bytes| !bytes.is_empty());
    let blocks = step.header("x-ms-blob-committed-block-count");
    Known {
        size: total
            .parse()
            .ok()
            .or(size(step).filter(|_| step.status() == 200)),
        parts: bytes
            .map(|bytes| (first, bytes))
            .into_iter()
            .filter(|_| step.status() < 300)
            .collect(),
        blocks: blocks.and_then(|blocks| blocks.parse().ok()),
        ..Known::default()
    }
}
