//! [`Supposed`]: what one exchange supposes to be there, and what is otherwise behind it. One function for each concept.
//!
//! The rules look at method, route, status, and the service's error codes; never at an id. A success on a thing supposes
//! the thing; what a response shows of it is how it is; a refusal by a lock supposes the lock; "unknown" supposes nothing.

mod blob;
mod manifest;
mod metadata;

pub use manifest::pushed_bytes;

use serde_json::{Map, Value};

use crate::fidelity::exchange::Exchange;
use crate::fidelity::state::facts::{Facts, Thing};
use crate::fidelity::target::Target;

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
                let facts = blob::blob_facts(exchange);
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

    fn absent_if(&mut self, exchange: &Exchange, code: &str, thing: Thing) {
        // The response to HEAD names no code.
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
/// The codes of the errors in a response.
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

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}
