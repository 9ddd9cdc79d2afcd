//! [`Preconditions`]: what one exchange shows to be there before it, and what it changes.
//!
//! The rules look at the operation, the status and the service's error codes; never at an id. A success on a resource
//! needs the resource; what a response shows of it is how it is; an error by a lock needs the lock.

use acr_protocol::{
    ArtifactManifestProperties, Attributes, ChangeableAttributes, Deletion, Descriptor, Digest,
    MediaType, Reference, RepositoryName, Route,
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
            found.catalog(step, route);
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

    fn catalog(&mut self, step: &Step, route: &Route) {
        let page = match route {
            Route::ListRepositoryNames(operation) => step.output(operation),
            Route::ListRepositories(operation) => step.output(operation),
            _ => None,
        };
        let names = page.into_iter().flat_map(|page| page.items);
        self.present
            .extend(names.map(|name| (Resource::Repository(name), Known::default())));
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
        let name = || repository.clone();
        match route {
            Route::DeleteRepository(operation) => {
                self.deleted(subject);
                let deleted = step
                    .output(operation)
                    .and_then(Deletion::deleted)
                    .unwrap_or_default();
                let of = deleted.deleted_manifests.first().cloned();
                for digest in deleted.deleted_manifests {
                    let manifest = Resource::Manifest(name(), digest);
                    self.present.push((manifest, Known::default()));
                }
                for tag in deleted.deleted_tags {
                    let digest = of.clone();
                    let known = Known {
                        digest,
                        ..Known::default()
                    };
                    self.present.push((Resource::Tag(name(), tag), known));
                }
            }
            Route::DeleteTag(_) => {
                self.deleted(subject);
                let digest = step.header("X-Ms-Int-Docker-Content-Digest");
                let digest = digest.filter(|digest| digest.starts_with("sha"));
                self.present[0].1.digest = digest.and_then(|digest| Digest::new(digest).ok());
            }
            Route::DeleteManifest(_) | Route::DeleteBlob(_) => self.deleted(subject),
            Route::GetRepositoryProperties(operation) => {
                self.shown(subject, step.output(operation).map(Known::from));
            }
            Route::UpdateRepositoryProperties(operation) => {
                let after = step.output(operation).map(Known::from);
                self.updated(subject, after, &operation.attributes);
            }
            Route::GetTagProperties(operation) => {
                self.shown(subject, step.output(operation).map(Known::from));
            }
            Route::UpdateTagProperties(operation) => {
                let after = step.output(operation).map(Known::from);
                self.updated(subject, after, &operation.attributes);
            }
            Route::GetManifestProperties(operation) => {
                let shown = step.output(operation);
                self.tags_of(repository, shown.as_ref());
                self.shown(subject, shown.map(Known::from));
            }
            Route::UpdateManifestProperties(operation) => {
                let shown = step.output(operation);
                self.tags_of(repository, shown.as_ref());
                self.updated(subject, shown.map(Known::from), &operation.attributes);
            }
            Route::ListTags(operation) => {
                self.shown(subject, None);
                let names = step
                    .output(operation)
                    .into_iter()
                    .flat_map(|page| page.items);
                let tags = names.map(|tag| (Resource::Tag(name(), tag), Known::default()));
                self.present.extend(tags);
            }
            Route::ListTagProperties(operation) => {
                self.shown(subject, None);
                for tag in step
                    .output(operation)
                    .into_iter()
                    .flat_map(|page| page.items)
                {
                    self.shown(Resource::Tag(name(), tag.name.clone()), Some(tag.into()));
                }
            }
            Route::ListManifestProperties(operation) => {
                self.shown(subject, None);
                for shown in step
                    .output(operation)
                    .into_iter()
                    .flat_map(|page| page.items)
                {
                    self.tags_of(repository, Some(&shown));
                    let manifest = Resource::Manifest(name(), shown.digest.clone());
                    self.shown(manifest, Some(shown.into()));
                }
            }
            Route::ListReferrers(operation) => {
                let items = step
                    .output(operation)
                    .into_iter()
                    .flat_map(|page| page.items);
                for (place, descriptor) in (0..).zip(items) {
                    let manifest = Resource::Manifest(name(), descriptor.digest.clone());
                    let known = Known::of_content(&descriptor);
                    let referrer = Some((operation.digest.clone(), descriptor, place));
                    self.present.push((manifest, Known { referrer, ..known }));
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
                    if matches!(subject, Resource::Tag(..)) {
                        self.made.push((subject, Some(digest.clone())));
                    }
                    self.made.push((Resource::Manifest(name(), digest), None));
                }
            }
            Route::HeadBlob(_) | Route::GetBlob(_) => {
                self.present.push((subject, read_blob(step)));
            }
            Route::MountBlob(operation) => {
                let from = operation.from.clone();
                let source = from.map(|from| Resource::Blob(from, operation.digest.clone()));
                if step.status() == 201 {
                    self.present
                        .extend(source.map(|source| (source, Known::default())));
                    let blob = Resource::Blob(name(), operation.digest.clone());
                    self.made.push((blob, None));
                } else {
                    self.absent.extend(source);
                }
            }
            Route::StartUpload(operation) if step.status() == 201 => {
                let digest = operation.digest.clone();
                self.made
                    .extend(digest.map(|digest| (Resource::Blob(name(), digest), None)));
            }
            Route::CompleteUpload(operation) => {
                let digest = operation.digest.clone().or_else(|| step.digest());
                self.made
                    .extend(digest.map(|digest| (Resource::Blob(name(), digest), None)));
            }
            _ => {}
        }
    }

    fn deleted(&mut self, subject: Resource) {
        self.present.push((subject.clone(), Known::default()));
        self.gone.push(subject);
    }

    fn shown(&mut self, subject: Resource, known: Option<Known>) {
        self.present.push((subject, known.unwrap_or_default()));
    }

    fn updated(&mut self, subject: Resource, after: Option<Known>, update: &ChangeableAttributes) {
        let after = after.unwrap_or_default();
        let attributes = after
            .properties
            .as_ref()
            .map(|shown| shown.attributes.clone());
        self.attributes = attributes.map(|attributes| (subject.clone(), attributes));
        self.present.push((subject, after.before(update)));
    }

    fn tags_of(&mut self, repository: &RepositoryName, shown: Option<&ArtifactManifestProperties>) {
        if let Some(shown) = shown {
            let tags = shown.tags.iter();
            self.present.extend(tags.map(|tag| {
                let tag = Resource::Tag(repository.clone(), tag.clone());
                (tag, Known::of_tag(Some(shown.digest.clone())))
            }));
        }
    }

    fn pulled(&mut self, step: &Step, subject: Resource) {
        let length = step
            .header("Content-Length")
            .and_then(|length| length.parse().ok());
        let bytes = step.response.bytes().filter(|bytes| !bytes.is_empty());
        let hidden = match &step.response.body {
            Body::Omitted { sha256, size } => Some((sha256.clone(), *size)),
            _ => None,
        };
        let digest = step.digest().or_else(|| match (&subject, &bytes, &hidden) {
            (Resource::Manifest(_, digest), ..) => Some(digest.clone()),
            (_, Some(bytes), _) => Some(Digest::sha256(bytes)),
            (_, _, Some((Some(hex), _))) => Digest::new(format!("sha256:{hex}")).ok(),
            _ => None,
        });
        let digest = digest.unwrap_or_else(|| Digest::sha256(""));
        let media_type = step.header("Content-Type").map(MediaType::from);
        let known = Known {
            media_type: media_type.filter(is_manifest),
            size: hidden.and_then(|(_, size)| size).or(length),
            ..Known::of_bytes(bytes)
        };
        let manifest = Resource::Manifest(subject.repository().clone(), digest.clone());
        if matches!(subject, Resource::Tag(..)) {
            self.present.push((subject, Known::of_tag(Some(digest))));
        }
        self.present.push((manifest, known));
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
    let name = || repository.clone();
    match route {
        Route::GetTagProperties(operation) => Resource::Tag(name(), operation.tag.clone()),
        Route::UpdateTagProperties(operation) => Resource::Tag(name(), operation.tag.clone()),
        Route::DeleteTag(operation) => Resource::Tag(name(), operation.tag.clone()),
        Route::GetManifestProperties(operation) => {
            Resource::Manifest(name(), operation.digest.clone())
        }
        Route::UpdateManifestProperties(operation) => {
            Resource::Manifest(name(), operation.digest.clone())
        }
        Route::GetManifest(operation) => Resource::referenced(repository, &operation.reference),
        Route::HeadManifest(operation) => Resource::referenced(repository, &operation.reference),
        Route::SetManifest(operation) => Resource::referenced(repository, &operation.reference),
        Route::DeleteManifest(operation) => Resource::referenced(repository, &operation.reference),
        Route::HeadBlob(operation) => Resource::Blob(name(), operation.digest.clone()),
        Route::GetBlob(operation) => Resource::Blob(name(), operation.digest.clone()),
        Route::DeleteBlob(operation) => Resource::Blob(name(), operation.digest.clone()),
        _ => Resource::Repository(name()),
    }
}

/// What is known of a blob that was read, or asked for.
fn read_blob(step: &Step) -> Known {
    let number = |name| {
        step.header(name)
            .and_then(|number| number.parse::<u64>().ok())
    };
    let (range, total) = step
        .header("Content-Range")
        .and_then(|range| range.rsplit_once('/'))
        .unwrap_or_default();
    let first = range.trim_start_matches("bytes ").split('-').next();
    let hidden = match &step.response.body {
        Body::Omitted { size, .. } => *size,
        _ => None,
    };
    let length = hidden.or(number("Content-Length"));
    let bytes = step.response.bytes().filter(|bytes| !bytes.is_empty());
    let known = match step.status() {
        200 => Known::of_bytes(bytes),
        206 => Known {
            size: None,
            parts: bytes
                .map(|bytes| {
                    (
                        first
                            .and_then(|first| first.parse().ok())
                            .unwrap_or_default(),
                        bytes,
                    )
                })
                .into_iter()
                .collect(),
            ..Known::default()
        },
        _ => Known::default(),
    };
    Known {
        size: total
            .parse()
            .ok()
            .or(known.size)
            .or(length.filter(|_| step.status() == 200)),
        blocks: number("x-ms-blob-committed-block-count"),
        ..known
    }
}

fn is_manifest(media_type: &MediaType) -> bool {
    media_type.is_index() || media_type.as_str().contains("manifest")
}
