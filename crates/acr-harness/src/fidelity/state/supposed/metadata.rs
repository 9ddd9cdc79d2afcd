//! What exchanges of the metadata API suppose.

use serde_json::{Map, Value};

use super::{Supposed, success, texts};
use crate::fidelity::exchange::Exchange;
use crate::fidelity::state::facts::{Facts, Thing};

impl Supposed {
    pub(super) fn catalog(&mut self, exchange: &Exchange) {
        if let Some(body) = success(exchange) {
            for name in texts(&body["repositories"]) {
                self.there.push((Thing::repository(name), Facts::default()));
            }
        }
    }

    pub(super) fn repository(&mut self, exchange: &Exchange, repository: &str) {
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

    pub(super) fn tags(&mut self, exchange: &Exchange, repository: &str) {
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

    pub(super) fn tag(&mut self, exchange: &Exchange, repository: &str, tag: &str) {
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
                    .filter(|digest| digest.starts_with("sha"))
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

    pub(super) fn manifests(&mut self, exchange: &Exchange, repository: &str) {
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

    pub(super) fn properties(&mut self, exchange: &Exchange, repository: &str, digest: &str) {
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

    pub(super) fn tags_of(&mut self, repository: &str, digest: &str, object: &Map<String, Value>) {
        let tags = object.get("tags").cloned().unwrap_or_default();
        for tag in texts(&tags) {
            let facts = Facts {
                digest: Some(digest.to_owned()),
                ..Facts::default()
            };
            self.there.push((Thing::tag(repository, tag), facts));
        }
    }

    /// An respond that shows a thing, as it is after an update if the request was one.
    pub(super) fn shown(&mut self, exchange: &Exchange, thing: Thing, facts: Facts) {
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
}

const TAG_DIGEST: &str = "X-Ms-Int-Docker-Content-Digest";
