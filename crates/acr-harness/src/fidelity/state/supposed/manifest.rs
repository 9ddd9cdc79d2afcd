//! What exchanges on manifests and their referrers suppose.

use bytes::Bytes;
use serde_json::Value;

use super::{Supposed, success};
use crate::fidelity::body::{Body, digest_of, manifest_bytes};
use crate::fidelity::exchange::Exchange;
use crate::fidelity::state::content::Content;
use crate::fidelity::state::facts::{Facts, Referrer, Thing};
use crate::fidelity::target::Target;

impl Supposed {
    pub(super) fn manifest(&mut self, exchange: &Exchange, repository: &str, reference: &str) {
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
    pub(super) fn somewhere(&mut self, repository: &str, reference: &str) {
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

    pub(super) fn pushed(&mut self, exchange: &Exchange, repository: &str, reference: &str) {
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
    pub(super) fn push_refused(&mut self, exchange: &Exchange, repository: &str) {
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
    pub(super) fn content_of(&mut self, repository: &str, manifest: &Value, missing: &[String]) {
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

    pub(super) fn referrers(&mut self, exchange: &Exchange, repository: &str, subject: &str) {
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
}

/// The bytes of a pushed manifest, if they are known.
pub fn pushed_bytes(exchange: &Exchange) -> Option<Bytes> {
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
