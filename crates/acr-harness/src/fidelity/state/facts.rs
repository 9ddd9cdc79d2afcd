//! [`Thing`]: what can be in a registry; [`Facts`]: what a recording tells of it.

use serde_json::{Map, Value};

use super::content::Content;

/// Something in a registry, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Thing {
    Blob { repository: String, digest: String },
    Manifest { repository: String, digest: String },
    Tag { repository: String, tag: String },
    Repository { repository: String },
}

impl Thing {
    /// A repository.
    pub fn repository(repository: &str) -> Self {
        Self::Repository {
            repository: repository.to_owned(),
        }
    }

    /// A tag.
    pub fn tag(repository: &str, tag: &str) -> Self {
        Self::Tag {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        }
    }

    /// A manifest.
    pub fn manifest(repository: &str, digest: &str) -> Self {
        Self::Manifest {
            repository: repository.to_owned(),
            digest: digest.to_owned(),
        }
    }

    /// A blob.
    pub fn blob(repository: &str, digest: &str) -> Self {
        Self::Blob {
            repository: repository.to_owned(),
            digest: digest.to_owned(),
        }
    }

    /// The repository that it is, or is in.
    pub fn home(&self) -> &str {
        match self {
            Self::Blob { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Tag { repository, .. }
            | Self::Repository { repository } => repository,
        }
    }
}

/// What a recording tells of a thing. What it does not tell is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// `createdTime`
    pub created: Option<String>,
    /// `lastUpdateTime`
    pub updated: Option<String>,
    /// `changeableAttributes`, as they were before the request.
    pub attributes: Option<Map<String, Value>>,
    /// The switch that must be off, where an operation was refused by a lock.
    pub locked: Option<&'static str>,
    /// Members of a repository or tag that have no place here.
    pub extra: Option<Map<String, Value>>,
    /// How many manifests and tags a repository has.
    pub counts: Option<(u64, u64)>,
    /// The manifest that a tag points at.
    pub digest: Option<String>,
    /// A manifest's properties, without what stands above.
    pub properties: Option<Map<String, Value>>,
    /// The service has not yet filled in a manifest's `configMediaType`.
    pub lags: bool,
    /// The bytes of a blob or manifest.
    pub content: Content,
    /// What a manifest is.
    pub media_type: Option<String>,
    /// How a manifest stands in the list of its subject's referrers.
    pub referrer: Option<Referrer>,
    /// What storage says of a blob.
    pub storage: Vec<(String, String)>,
}

/// A line in a list of referrers.
#[derive(Clone, Debug, PartialEq)]
pub struct Referrer {
    /// What it refers to.
    pub subject: String,
    /// How it stands in the list.
    pub descriptor: Value,
    /// Its place in the list, whose first is the newest.
    pub place: usize,
}

impl Facts {
    /// Takes over what is not known yet: what a session shows first is how it was before.
    pub fn learn(&mut self, later: Self) {
        fn fill<T>(known: &mut Option<T>, later: Option<T>) {
            if known.is_none() {
                *known = later;
            }
        }
        fill(&mut self.created, later.created);
        fill(&mut self.updated, later.updated);
        fill(&mut self.attributes, later.attributes);
        fill(&mut self.locked, later.locked);
        fill(&mut self.extra, later.extra);
        fill(&mut self.counts, later.counts);
        fill(&mut self.digest, later.digest);
        fill(&mut self.media_type, later.media_type);
        fill(&mut self.referrer, later.referrer);
        match (&mut self.properties, later.properties) {
            // A list shows all but the references of an index.
            (Some(known), Some(mut later)) => {
                if let (false, Some(references)) =
                    (known.contains_key("references"), later.remove("references"))
                {
                    known.insert("references".to_owned(), references);
                }
            }
            (known, later) => fill(known, later),
        }
        self.content.learn(later.content);
        if self.storage.is_empty() {
            self.storage = later.storage;
        }
    }

    /// The facts of the object that stands for a repository, tag or manifest in a response.
    pub fn of_object(object: &Map<String, Value>) -> Self {
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut rest = object.clone();
        for name in [
            "registry",
            "imageName",
            "name",
            "digest",
            "createdTime",
            "lastUpdateTime",
            "changeableAttributes",
            "manifestCount",
            "tagCount",
            "tags",
        ] {
            rest.remove(name);
        }
        let counts = ["manifestCount", "tagCount"].map(|name| object.get(name)?.as_u64());
        Self {
            created: text("createdTime"),
            updated: text("lastUpdateTime"),
            attributes: object
                .get("changeableAttributes")
                .and_then(Value::as_object)
                .cloned(),
            counts: counts[0].zip(counts[1]),
            digest: text("digest"),
            media_type: text("mediaType"),
            extra: Some(rest),
            ..Self::default()
        }
    }

    /// The same for a manifest, whose further members are its properties.
    pub fn of_manifest(object: &Map<String, Value>) -> Self {
        let facts = Self::of_object(object);
        Self {
            properties: facts.extra,
            extra: None,
            digest: None,
            ..facts
        }
    }

    /// The facts before an update: each switch that the request names was the other way round.
    pub fn before(mut self, change: &Value) -> Self {
        if let (Some(attributes), Some(change)) = (&mut self.attributes, change.as_object()) {
            for (name, value) in change {
                if let (Some(Value::Bool(after)), Value::Bool(wanted)) =
                    (attributes.get_mut(name), value)
                    && after == wanted
                {
                    *after = !*wanted;
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn the_state_before_an_update_differs_in_what_the_update_names() {
        let facts = Facts::of_object(&object(json!({
            "changeableAttributes": {"deleteEnabled": true, "writeEnabled": false, "teleportEnabled": true}
        })));
        let before = facts.before(&json!({"writeEnabled": false, "readEnabled": true}));
        assert_eq!(
            Value::from(before.attributes.expect("attributes")),
            json!({"deleteEnabled": true, "writeEnabled": true, "teleportEnabled": true})
        );
    }

    #[test]
    fn what_is_shown_first_stays_and_a_single_read_adds_references() {
        let first = json!({"digest": "d", "imageSize": 1, "createdTime": "t"});
        let later = json!({"imageSize": 2, "references": [], "lastUpdateTime": "u"});
        let mut facts = Facts::of_manifest(&object(first));
        facts.learn(Facts::of_manifest(&object(later)));
        assert_eq!(
            Value::from(facts.properties.expect("properties")),
            json!({"imageSize": 1, "references": []})
        );
        assert_eq!(
            (facts.created.as_deref(), facts.updated.as_deref()),
            (Some("t"), Some("u"))
        );
    }
}
