//! [`Supposed`]: what one exchange supposes to be there, and what is otherwise behind it. One function for each concept.
//!
//! The rules look at method, route, status, and the service's error codes; never at an id. A success on a thing supposes
//! the thing; what an answer shows of it is how it is; a refusal by a lock supposes the lock; "unknown" supposes nothing.

use serde_json::{Map, Value};

use super::super::body::{Body, digest_of, manifest_bytes};
use super::super::exchange::{Exchange, parameter};
use super::super::target::Target;
use super::content::Content;
use super::facts::{Facts, Referrer, Thing};

/// What an exchange supposes and does.
#[derive(Debug, Default)]
pub struct Supposed {
    /// What must be there.
    pub there: Vec<(Thing, Facts)>,
    /// What must not be there.
    pub absent: Vec<Thing>,
    /// What is there afterwards.
    pub made: Vec<(Thing, Facts)>,
    /// What is no longer there afterwards.
    pub gone: Vec<Thing>,
    /// Locks as they are afterwards.
    pub locks: Vec<(Thing, Map<String, Value>)>,
    /// What a lock has refused: the thing that is locked unless another lock explains it, and its switch.
    pub refused: Option<(Thing, &'static str)>,
}

impl Supposed {
    /// Reads it off an exchange.
    pub fn of(exchange: &Exchange) -> Self {
        let mut supposed = Self::default();
        if exchange.response.status == 401 || exchange.response.status == 403 {
            // Credentials come before existence.
            return supposed;
        }
        match &exchange.target {
            Target::Catalog => supposed.catalog(exchange),
            Target::Repository { repository } => supposed.repository(exchange, repository),
            Target::TagNames { repository } | Target::Tags { repository } => {
                supposed.tags(exchange, repository);
            }
            Target::Tag { repository, tag } => supposed.tag(exchange, repository, tag),
            Target::Manifests { repository } => supposed.manifests(exchange, repository),
            Target::ManifestProperties { repository, digest } => {
                supposed.properties(exchange, repository, digest);
            }
            Target::Manifest {
                repository,
                reference,
            } => supposed.manifest(exchange, repository, reference),
            Target::Referrers { repository, digest } => {
                supposed.referrers(exchange, repository, digest);
            }
            Target::Blob { repository, digest } => supposed.blob(exchange, repository, digest),
            Target::NewUpload { repository } => supposed.new_upload(exchange, repository),
            Target::Upload { repository, .. } => supposed.upload(exchange, repository),
            Target::Data { digest } if exchange.succeeds() || exchange.response.status == 416 => {
                let facts = blob_facts(exchange);
                supposed
                    .there
                    .push((Thing::blob(HOME_OF_DATA, digest), facts));
            }
            Target::Data { .. }
            | Target::Ping
            | Target::Exchange
            | Target::Token
            | Target::Other => {}
        }
        supposed
    }

    fn catalog(&mut self, exchange: &Exchange) {
        if let Some(body) = success(exchange) {
            for name in texts(&body["repositories"]) {
                self.there.push((Thing::repository(name), Facts::default()));
            }
        }
    }

    fn repository(&mut self, exchange: &Exchange, repository: &str) {
        let thing = Thing::repository(repository);
        match (exchange.request.method.as_str(), exchange.response.status) {
            (_, 404) => self.absent_if(exchange, "NAME_UNKNOWN", thing),
            ("DELETE", 405) => self.refused_by_lock(exchange, thing, "deleteEnabled"),
            ("DELETE", _) if exchange.succeeds() => {
                self.there.push((thing.clone(), Facts::default()));
                let body = exchange.response.body.json().unwrap_or_default();
                let manifests: Vec<&str> = texts(&body["manifestsDeleted"]).collect();
                for digest in &manifests {
                    self.there
                        .push((Thing::manifest(repository, digest), Facts::default()));
                }
                for tag in texts(&body["tagsDeleted"]) {
                    let digest = manifests.first().map(|digest| (*digest).to_owned());
                    let facts = Facts {
                        digest,
                        ..Facts::default()
                    };
                    self.there.push((Thing::tag(repository, tag), facts));
                }
                self.gone.push(thing);
            }
            _ => {
                if let Some(object) = success(exchange).and_then(|body| body.as_object().cloned()) {
                    self.shown(exchange, thing, Facts::of_object(&object));
                } else if exchange.succeeds() {
                    self.there.push((thing, Facts::default()));
                }
            }
        }
    }

    fn tags(&mut self, exchange: &Exchange, repository: &str) {
        if exchange.response.status == 404 {
            return self.absent_if(exchange, "NAME_UNKNOWN", Thing::repository(repository));
        }
        let Some(body) = success(exchange) else {
            return;
        };
        self.there
            .push((Thing::repository(repository), Facts::default()));
        for tag in body["tags"].as_array().into_iter().flatten() {
            match tag {
                Value::String(name) => {
                    self.there
                        .push((Thing::tag(repository, name), Facts::default()));
                }
                Value::Object(object) => {
                    let name = object
                        .get("name")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    self.there
                        .push((Thing::tag(repository, name), Facts::of_object(object)));
                }
                _ => {}
            }
        }
    }

    fn tag(&mut self, exchange: &Exchange, repository: &str, tag: &str) {
        let thing = Thing::tag(repository, tag);
        match (exchange.request.method.as_str(), exchange.response.status) {
            (_, 404) => {
                self.absent_if(exchange, "TAG_UNKNOWN", thing);
                self.absent_if(exchange, "NAME_UNKNOWN", Thing::repository(repository));
            }
            ("DELETE", 405) => self.refused_by_lock(exchange, thing, "writeEnabled"),
            ("DELETE", _) if exchange.succeeds() => {
                let digest = exchange
                    .response
                    .headers
                    .first(TAG_DIGEST)
                    .map(str::to_owned);
                let facts = Facts {
                    digest,
                    ..Facts::default()
                };
                self.there.push((thing.clone(), facts));
                self.gone.push(thing);
            }
            _ => {
                if let Some(body) = success(exchange)
                    && let Some(object) = body["tag"].as_object()
                {
                    self.shown(exchange, thing, Facts::of_object(object));
                } else if exchange.succeeds() {
                    self.there.push((thing, Facts::default()));
                }
            }
        }
    }

    fn manifests(&mut self, exchange: &Exchange, repository: &str) {
        if exchange.response.status == 404 {
            return self.absent_if(exchange, "NAME_UNKNOWN", Thing::repository(repository));
        }
        let Some(body) = success(exchange) else {
            return;
        };
        self.there
            .push((Thing::repository(repository), Facts::default()));
        for manifest in body["manifests"].as_array().into_iter().flatten() {
            if let Some(object) = manifest.as_object()
                && let Some(digest) = object.get("digest").and_then(Value::as_str)
            {
                self.tags_of(repository, digest, object);
                let thing = Thing::manifest(repository, digest);
                self.there.push((thing, Facts::of_manifest(object)));
            }
        }
    }

    fn properties(&mut self, exchange: &Exchange, repository: &str, digest: &str) {
        let thing = Thing::manifest(repository, digest);
        if exchange.response.status == 404 {
            self.absent_if(exchange, "NAME_UNKNOWN", Thing::repository(repository));
            return self.absent_if(exchange, "MANIFEST_UNKNOWN", thing);
        }
        if let Some(body) = success(exchange)
            && let Some(object) = body["manifest"].as_object()
        {
            self.tags_of(repository, digest, object);
            self.shown(exchange, thing, Facts::of_manifest(object));
        } else if exchange.succeeds() {
            self.there.push((thing, Facts::default()));
        }
    }

    fn manifest(&mut self, exchange: &Exchange, repository: &str, reference: &str) {
        let method = exchange.request.method.as_str();
        let by_digest = reference.contains(':');
        let named = if by_digest {
            Thing::manifest(repository, reference)
        } else {
            Thing::tag(repository, reference)
        };
        match (method, exchange.response.status) {
            ("PUT", 201) => self.pushed(exchange, repository, reference),
            ("PUT", 400) => self.push_refused(exchange, repository),
            ("PUT", 405) => {
                let locked = if by_digest {
                    Thing::repository(repository)
                } else {
                    named
                };
                self.refused_by_lock(exchange, locked, "writeEnabled");
            }
            ("GET" | "HEAD", 405) => {
                self.somewhere(repository, reference);
                self.refused_by_lock(exchange, named, "readEnabled");
            }
            ("DELETE", 405) => self.refused_by_lock(exchange, named, "writeEnabled"),
            (_, 404) => {
                self.absent_if(exchange, "NAME_UNKNOWN", Thing::repository(repository));
                self.absent_if(exchange, "MANIFEST_UNKNOWN", named);
            }
            ("DELETE", _) if exchange.succeeds() => {
                self.there.push((named.clone(), Facts::default()));
                self.gone.push(named);
            }
            ("GET" | "HEAD", _) if exchange.succeeds() => {
                let (digest, facts) = pulled(exchange, reference);
                if !by_digest {
                    let facts = Facts {
                        digest: Some(digest.clone()),
                        ..Facts::default()
                    };
                    self.there.push((named, facts));
                }
                self.there
                    .push((Thing::manifest(repository, &digest), facts));
            }
            _ => {}
        }
    }

    /// A tag with a manifest behind it, whichever.
    fn somewhere(&mut self, repository: &str, reference: &str) {
        if !reference.contains(':') {
            let digest = digest_of(format!("{repository}:{reference}").as_bytes());
            let facts = Facts {
                digest: Some(digest.clone()),
                ..Facts::default()
            };
            let manifest = Thing::manifest(repository, &digest);
            self.there.push((Thing::tag(repository, reference), facts));
            self.there.push((manifest, Facts::default()));
        }
    }

    fn pushed(&mut self, exchange: &Exchange, repository: &str, reference: &str) {
        let headers = &exchange.response.headers;
        let recorded = headers.first("Docker-Content-Digest").map(str::to_owned);
        let bytes = pushed_bytes(exchange);
        let own = bytes.as_ref().map(|bytes| digest_of(bytes));
        let by_digest = Some(reference.to_owned()).filter(|reference| reference.contains(':'));
        let Some(digest) = recorded.or(by_digest).or(own) else {
            return;
        };
        if let Some(manifest) = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        {
            self.content_of(repository, &manifest, &[]);
        }
        if !reference.contains(':') {
            let facts = Facts {
                digest: Some(digest.clone()),
                ..Facts::default()
            };
            self.made.push((Thing::tag(repository, reference), facts));
        }
        self.made
            .push((Thing::manifest(repository, &digest), Facts::default()));
    }

    /// What a refused push names is there, but for what the refusal names.
    fn push_refused(&mut self, exchange: &Exchange, repository: &str) {
        let errors = exchange.response.body.json().unwrap_or_default();
        let missing: Vec<String> = errors["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|error| error["code"] == "MANIFEST_BLOB_UNKNOWN")
            .filter_map(|error| error["detail"].as_str().map(str::to_owned))
            .collect();
        for digest in &missing {
            self.absent.push(Thing::blob(repository, digest));
            self.absent.push(Thing::manifest(repository, digest));
        }
        let bytes = pushed_bytes(exchange);
        if let Some(manifest) = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        {
            self.content_of(repository, &manifest, &missing);
        }
    }

    /// Everything that a manifest names.
    fn content_of(&mut self, repository: &str, manifest: &Value, missing: &[String]) {
        let blobs = ["layers", "blobs"]
            .into_iter()
            .flat_map(|list| manifest[list].as_array().into_iter().flatten())
            .chain(manifest.get("config"));
        for blob in blobs {
            let facts = Facts {
                content: Content::sized(blob["size"].as_u64()),
                ..Facts::default()
            };
            if let Some(digest) = blob["digest"].as_str()
                && !missing.iter().any(|missing| missing == digest)
            {
                self.there.push((Thing::blob(repository, digest), facts));
            }
        }
        for child in manifest["manifests"].as_array().into_iter().flatten() {
            let facts = Facts {
                content: Content::sized(child["size"].as_u64()),
                media_type: child["mediaType"].as_str().map(str::to_owned),
                ..Facts::default()
            };
            if let Some(digest) = child["digest"].as_str()
                && !missing.iter().any(|missing| missing == digest)
            {
                self.there
                    .push((Thing::manifest(repository, digest), facts));
            }
        }
    }

    fn referrers(&mut self, exchange: &Exchange, repository: &str, subject: &str) {
        let Some(body) = success(exchange) else {
            return self.absent_if(exchange, "NAME_UNKNOWN", Thing::repository(repository));
        };
        let items = body["manifests"].as_array().into_iter().flatten();
        for (place, descriptor) in items.enumerate() {
            let Some(digest) = descriptor["digest"].as_str() else {
                continue;
            };
            let facts = Facts {
                content: Content::sized(descriptor["size"].as_u64()),
                media_type: descriptor["mediaType"].as_str().map(str::to_owned),
                referrer: Some(Referrer {
                    subject: subject.to_owned(),
                    descriptor: descriptor.clone(),
                    place,
                }),
                ..Facts::default()
            };
            self.there
                .push((Thing::manifest(repository, digest), facts));
        }
    }

    fn blob(&mut self, exchange: &Exchange, repository: &str, digest: &str) {
        let thing = Thing::blob(repository, digest);
        match (exchange.request.method.as_str(), exchange.response.status) {
            (_, 404) => self.absent_if(exchange, "BLOB_UNKNOWN", thing),
            (method, 405) => {
                self.there.push((thing, Facts::default()));
                let switch = match method {
                    "DELETE" => "writeEnabled",
                    _ => "readEnabled",
                };
                self.refused_by_lock(exchange, Thing::repository(repository), switch);
            }
            ("DELETE", _) if exchange.succeeds() => {
                self.there.push((thing.clone(), Facts::default()));
                self.gone.push(thing);
            }
            (_, 416) => self.there.push((thing, blob_facts(exchange))),
            _ if exchange.succeeds() => self.there.push((thing, blob_facts(exchange))),
            _ => {}
        }
    }

    fn new_upload(&mut self, exchange: &Exchange, repository: &str) {
        let query = |name| parameter(&exchange.request.query, name);
        let (mount, from) = (query("mount"), query("from"));
        match exchange.response.status {
            201 => {
                let made = query("digest").or(mount.clone());
                if let (Some(digest), Some(source)) = (mount, from) {
                    self.there
                        .push((Thing::blob(&source, &digest), Facts::default()));
                }
                if let Some(digest) = made {
                    self.made
                        .push((Thing::blob(repository, &digest), Facts::default()));
                }
            }
            202 => {
                if let (Some(digest), Some(source)) = (mount, from) {
                    self.absent.push(Thing::blob(&source, &digest));
                }
            }
            405 => self.refused_by_lock(exchange, Thing::repository(repository), "writeEnabled"),
            _ => {}
        }
    }

    fn upload(&mut self, exchange: &Exchange, repository: &str) {
        match (exchange.request.method.as_str(), exchange.response.status) {
            ("PUT", 201) => {
                let digest = parameter(&exchange.request.query, "digest");
                let answered = exchange.response.headers.first("Docker-Content-Digest");
                if let Some(digest) = digest.or(answered.map(str::to_owned)) {
                    self.made
                        .push((Thing::blob(repository, &digest), Facts::default()));
                }
            }
            (_, 405) => {
                self.refused_by_lock(exchange, Thing::repository(repository), "writeEnabled");
            }
            _ => {}
        }
    }

    /// An answer that shows a thing, as it is after an update if the request was one.
    fn shown(&mut self, exchange: &Exchange, thing: Thing, facts: Facts) {
        if exchange.request.method == "PATCH" {
            if let Some(attributes) = &facts.attributes {
                self.locks.push((thing.clone(), attributes.clone()));
            }
            let change = exchange.request.body.json().unwrap_or_default();
            self.there.push((thing, facts.before(&change)));
        } else {
            self.there.push((thing, facts));
        }
    }

    fn tags_of(&mut self, repository: &str, digest: &str, object: &Map<String, Value>) {
        let tags = object.get("tags").cloned().unwrap_or_default();
        for tag in texts(&tags) {
            let facts = Facts {
                digest: Some(digest.to_owned()),
                ..Facts::default()
            };
            self.there.push((Thing::tag(repository, tag), facts));
        }
    }

    fn absent_if(&mut self, exchange: &Exchange, code: &str, thing: Thing) {
        // The answer to HEAD names no code.
        let codes = codes(exchange);
        if codes.is_empty() && code != "NAME_UNKNOWN" || codes.iter().any(|known| known == code) {
            self.absent.push(thing);
        }
    }

    fn refused_by_lock(&mut self, exchange: &Exchange, thing: Thing, switch: &'static str) {
        let codes = codes(exchange);
        let is_put = exchange.request.method == "PUT";
        if codes.iter().any(|code| code == LOCKED) || codes.is_empty() && is_put {
            self.there.push((thing.clone(), Facts::default()));
            self.refused = Some((thing, switch));
        }
    }
}

/// The repository that holds what a replay needs and no exchange names the place of.
pub const HOME_OF_DATA: &str = "replay/data";

const LOCKED: &str = "REGISTRY_DISALLOWED_OPERATION";
const TAG_DIGEST: &str = "X-Ms-Int-Docker-Content-Digest";

/// The bytes of a pushed manifest, if they are known.
pub fn pushed_bytes(exchange: &Exchange) -> Option<bytes::Bytes> {
    match &exchange.request.body {
        Body::Bytes(bytes) => Some(bytes.clone()),
        Body::Json(value) => {
            let recorded = exchange.response.headers.first("Docker-Content-Digest");
            let in_path = match &exchange.target {
                Target::Manifest { reference, .. } => Some(reference.as_str()),
                _ => None,
            };
            recorded
                .or(in_path)
                .and_then(|digest| manifest_bytes(value, digest))
                // A push that is refused is refused in any form of the same JSON.
                .or_else(|| (!exchange.succeeds()).then(|| value.to_string().into()))
        }
        Body::None | Body::Unknown { .. } => None,
    }
}

/// The codes of the errors in an answer.
pub fn codes(exchange: &Exchange) -> Vec<String> {
    let body = exchange.response.body.json().unwrap_or_default();
    let errors = body["errors"].as_array().into_iter().flatten();
    errors
        .filter_map(|error| error["code"].as_str().map(str::to_owned))
        .collect()
}

fn success(exchange: &Exchange) -> Option<Value> {
    exchange
        .response
        .body
        .json()
        .filter(|_| exchange.succeeds())
}

/// The digest and facts of a manifest that was pulled.
fn pulled(exchange: &Exchange, reference: &str) -> (String, Facts) {
    let headers = &exchange.response.headers;
    let length = headers.first("Content-Length").and_then(|n| n.parse().ok());
    let digest = headers
        .first("Docker-Content-Digest")
        .or(headers.first("ETag").map(|tag| tag.trim_matches('"')))
        .or(Some(reference).filter(|reference| reference.contains(':')))
        .map(str::to_owned);
    let content = match &exchange.response.body {
        Body::Bytes(bytes) if exchange.request.method == "GET" => Content::whole(bytes.clone()),
        Body::Json(value) => {
            let bytes = digest
                .as_ref()
                .and_then(|digest| manifest_bytes(value, digest));
            bytes.map_or(Content::sized(length), Content::whole)
        }
        Body::Unknown { size, .. } => Content::sized(size.or(length)),
        Body::None | Body::Bytes(_) => Content::sized(length),
    };
    let digest = digest.or_else(|| match (&exchange.response.body, content.known()) {
        (_, Some(bytes)) => Some(digest_of(bytes)),
        (Body::Unknown { sha256, .. }, _) => sha256.as_ref().map(|hex| format!("sha256:{hex}")),
        _ => None,
    });
    let facts = Facts {
        content,
        media_type: headers
            .first("Content-Type")
            .filter(|media_type| MANIFEST_TYPES.contains(media_type))
            .map(str::to_owned),
        ..Facts::default()
    };
    (digest.unwrap_or_else(|| digest_of(b"")), facts)
}

/// The facts of a blob that was read, or asked for.
fn blob_facts(exchange: &Exchange) -> Facts {
    let headers = &exchange.response.headers;
    let number = |name| headers.first(name).and_then(|n| n.parse::<u64>().ok());
    let range = headers.first("Content-Range").unwrap_or_default();
    let (range, total) = range.rsplit_once('/').unwrap_or(("", ""));
    let first = range
        .trim_start_matches("bytes ")
        .split('-')
        .next()
        .and_then(|first| first.parse::<u64>().ok());
    let length = match exchange.response.status {
        200 if exchange.request.method == "HEAD" => number("Content-Length"),
        200 => match &exchange.response.body {
            Body::Unknown { size, .. } => size.or(number("Content-Length")),
            _ => number("Content-Length"),
        },
        _ => None,
    };
    let size = total.parse().ok().or(length);
    let content = match (&exchange.response.body, exchange.response.status) {
        (Body::Bytes(bytes), 200) if exchange.request.method == "GET" => {
            Content::whole(bytes.clone())
        }
        (Body::Bytes(bytes), 206) => {
            Content::sized(size).with_piece(first.unwrap_or_default(), bytes.clone())
        }
        _ => Content::sized(size),
    };
    let storage = headers.iter().filter(|(name, lines)| {
        let name = name.to_ascii_lowercase();
        let is_known = name != "x-ms-blob-type"
            || lines.iter().all(|line| BLOB_TYPES.contains(&line.as_str()));
        is_known && STORED.iter().any(|known| name.starts_with(known))
    });
    Facts {
        content,
        storage: storage
            .map(|(name, lines)| (name.to_owned(), lines.join(", ")))
            .collect(),
        ..Facts::default()
    }
}

/// What storage tells of a blob that depends on how it was written, not on the request.
const STORED: &[&str] = &[
    "x-ms-blob-type",
    "x-ms-blob-committed-block-count",
    "x-ms-blob-content-md5",
    "content-md5",
    "x-ms-access-tier",
];

/// How blobs can have been written.
const BLOB_TYPES: [&str; 3] = ["AppendBlob", "BlockBlob", "PageBlob"];

/// What a registry stores as a manifest.
const MANIFEST_TYPES: &[&str] = &[
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.artifact.manifest.v1+json",
    "application/vnd.cncf.oras.artifact.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
