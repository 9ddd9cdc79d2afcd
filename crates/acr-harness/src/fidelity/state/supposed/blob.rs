//! What exchanges on blobs suppose, and those that begin or end uploads.

use super::Supposed;
use crate::fidelity::body::Body;
use crate::fidelity::exchange::{Exchange, parameter};
use crate::fidelity::state::content::Content;
use crate::fidelity::state::facts::{Facts, Thing};

impl Supposed {
    pub(super) fn blob(&mut self, exchange: &Exchange, repository: &str, digest: &str) {
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

    pub(super) fn new_upload(&mut self, exchange: &Exchange, repository: &str) {
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

    pub(super) fn upload(&mut self, exchange: &Exchange, repository: &str) {
        match (exchange.request.method.as_str(), exchange.response.status) {
            ("PUT", 201) => {
                let digest = parameter(&exchange.request.query, "digest");
                let served = exchange.response.headers.first("Docker-Content-Digest");
                if let Some(digest) = digest.or(served.map(str::to_owned)) {
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
}

/// The facts of a blob that was read, or asked for.
pub(super) fn blob_facts(exchange: &Exchange) -> Facts {
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
