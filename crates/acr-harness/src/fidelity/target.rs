//! [`Target`]: what a path names. Read here by rules of its own, so that a mistake in acr-protocol's cannot hide.

use super::exchange::{parameter, unescape};

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named by its route")]
pub enum Target {
    /// `/v2/`
    Ping,
    /// `/v2/_catalog` and `/acr/v1/_catalog`
    Catalog,
    /// `/v2/{repository}/tags/list`
    TagNames { repository: String },
    /// `/v2/{repository}/manifests/{reference}`
    Manifest {
        repository: String,
        reference: String,
    },
    /// `/v2/{repository}/referrers/{digest}`
    Referrers { repository: String, digest: String },
    /// `/v2/{repository}/blobs/{digest}`
    Blob { repository: String, digest: String },
    /// `/v2/{repository}/blobs/uploads/`
    NewUpload { repository: String },
    /// `/v2/{repository}/blobs/uploads/{id}`
    Upload { repository: String, id: String },
    /// `/acr/v1/{repository}`
    Repository { repository: String },
    /// `/acr/v1/{repository}/_tags`
    Tags { repository: String },
    /// `/acr/v1/{repository}/_tags/{tag}`
    Tag { repository: String, tag: String },
    /// `/acr/v1/{repository}/_manifests`
    Manifests { repository: String },
    /// `/acr/v1/{repository}/_manifests/{digest}`
    ManifestProperties { repository: String, digest: String },
    /// `/oauth2/exchange`
    Exchange,
    /// `/oauth2/token`
    Token,
    /// A blob at the data origin.
    Data { digest: String },
    /// Anything else.
    Other,
}

impl Target {
    pub(super) fn of(method: &str, path: &str, _query: &str, to_data: bool) -> Self {
        let path = unescape(path);
        if to_data {
            return Self::data(&path);
        }
        if let Some(rest) = path.strip_prefix("/v2") {
            return match rest {
                "" | "/" => Self::Ping,
                "/_catalog" => Self::Catalog,
                rest => Self::content(method, rest.trim_start_matches('/')),
            };
        }
        if let Some(rest) = path.strip_prefix("/acr/v1/") {
            return Self::metadata(rest);
        }
        match path.trim_end_matches('/') {
            "/oauth2/exchange" => Self::Exchange,
            "/oauth2/token" => Self::Token,
            _ => Self::Other,
        }
    }

    fn content(method: &str, path: &str) -> Self {
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Self::TagNames {
                repository: name.to_owned(),
            };
        }
        if let Some((name, id)) = path.rsplit_once("/blobs/uploads/") {
            let repository = name.to_owned();
            return match id {
                "" => Self::NewUpload { repository },
                id => Self::Upload {
                    repository,
                    id: id.to_owned(),
                },
            };
        }
        if method == "POST"
            && let Some(name) = path.strip_suffix("/blobs/uploads")
        {
            return Self::NewUpload {
                repository: name.to_owned(),
            };
        }
        let Some((before, last)) = path.rsplit_once('/') else {
            return Self::Other;
        };
        let last = last.to_owned();
        match before.rsplit_once('/') {
            Some((name, "manifests")) => Self::Manifest {
                repository: name.to_owned(),
                reference: last,
            },
            Some((name, "blobs")) => Self::Blob {
                repository: name.to_owned(),
                digest: last,
            },
            Some((name, "referrers")) => Self::Referrers {
                repository: name.to_owned(),
                digest: last,
            },
            _ => Self::Other,
        }
    }

    fn metadata(path: &str) -> Self {
        if path == "_catalog" {
            return Self::Catalog;
        }
        let (name, rest) = path.split_once("/_").unwrap_or((path, ""));
        let repository = name.to_owned();
        match rest.split_once('/').unwrap_or((rest, "")) {
            ("", "") => Self::Repository { repository },
            ("tags", "") => Self::Tags { repository },
            ("tags", tag) => Self::Tag {
                repository,
                tag: tag.to_owned(),
            },
            ("manifests", "") => Self::Manifests { repository },
            ("manifests", digest) => Self::ManifestProperties {
                repository,
                digest: digest.to_owned(),
            },
            _ => Self::Other,
        }
    }

    /// `/{registry}//docker/registry/v2/blobs/sha256/65/654b../data`
    fn data(path: &str) -> Self {
        let hex = path
            .trim_end_matches("/data")
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let algorithm = path
            .split_once("/blobs/")
            .and_then(|(_, rest)| rest.split('/').next())
            .unwrap_or("sha256");
        Self::Data {
            digest: format!("{algorithm}:{hex}"),
        }
    }

    /// The repository in the path.
    pub fn repository(&self) -> Option<&str> {
        match self {
            Self::TagNames { repository }
            | Self::Manifest { repository, .. }
            | Self::Referrers { repository, .. }
            | Self::Blob { repository, .. }
            | Self::NewUpload { repository }
            | Self::Upload { repository, .. }
            | Self::Repository { repository }
            | Self::Tags { repository }
            | Self::Tag { repository, .. }
            | Self::Manifests { repository }
            | Self::ManifestProperties { repository, .. } => Some(repository),
            Self::Ping
            | Self::Catalog
            | Self::Exchange
            | Self::Token
            | Self::Data { .. }
            | Self::Other => None,
        }
    }

    /// Whether it is one of the token endpoints.
    pub fn is_oauth(&self) -> bool {
        matches!(self, Self::Exchange | Self::Token)
    }

    /// The scopes that a token needs, in the form of a challenge; none for what any token opens.
    pub fn scope(&self, method: &str, query: &str) -> Vec<String> {
        let Some(repository) = self.repository() else {
            return match self {
                Self::Catalog => vec!["registry:catalog:*".to_owned()],
                _ => Vec::new(),
            };
        };
        let actions = match (self, method) {
            (Self::Upload { .. }, "GET") => "pull",
            (_, "DELETE") => "delete",
            (_, "PATCH") if !matches!(self, Self::Upload { .. }) => "metadata_write",
            (
                Self::Repository { .. }
                | Self::Tags { .. }
                | Self::Tag { .. }
                | Self::Manifests { .. }
                | Self::ManifestProperties { .. }
                | Self::TagNames { .. },
                _,
            ) => "metadata_read",
            (Self::NewUpload { .. } | Self::Upload { .. }, _) | (_, "PUT") => "pull,push",
            _ => "pull",
        };
        let mut scopes = vec![format!("repository:{repository}:{actions}")];
        if let (Self::NewUpload { .. }, Some(source)) = (self, parameter(query, "from"))
            && parameter(query, "mount").is_some()
        {
            scopes.push(format!("repository:{source}:pull"));
        }
        scopes
    }

    /// The area of a line that names none.
    pub fn area(&self, status: u16) -> &'static str {
        match self {
            _ if status == 401 => "auth",
            Self::Ping | Self::Exchange | Self::Token => "auth",
            Self::Catalog | Self::Repository { .. } => "repository",
            Self::TagNames { .. } | Self::Tags { .. } | Self::Tag { .. } => "tag",
            Self::Manifest { .. } | Self::Manifests { .. } | Self::ManifestProperties { .. } => {
                "manifest"
            }
            Self::Referrers { .. } => "referrers",
            Self::Blob { .. } | Self::Data { .. } => "blob",
            Self::NewUpload { .. } | Self::Upload { .. } => "upload",
            Self::Other => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, path: &str) -> Target {
        Target::of(method, path, "", false)
    }

    #[test]
    fn a_path_is_read_in_either_spelling() {
        for path in ["/acr/v1/a/b/_tags/v1", "/acr/v1/a%2Fb/_tags/v1"] {
            let expected = Target::Tag {
                repository: "a/b".into(),
                tag: "v1".into(),
            };
            assert_eq!(target("GET", path), expected);
        }
        assert_eq!(
            target("GET", "/v2/a/b/blobs/sha256%3Aff"),
            Target::Blob {
                repository: "a/b".into(),
                digest: "sha256:ff".into()
            }
        );
        assert_eq!(
            target("PATCH", "/v2/a/blobs/uploads/1-2"),
            Target::Upload {
                repository: "a".into(),
                id: "1-2".into()
            }
        );
        assert_eq!(
            Target::of(
                "GET",
                "/x//docker/registry/v2/blobs/sha256/ab/abcd/data",
                "",
                true
            ),
            Target::Data {
                digest: "sha256:abcd".into()
            }
        );
        assert_eq!(target("GET", "/wrong%20location"), Target::Other);
    }

    #[test]
    fn every_operation_has_the_scope_of_its_challenge() {
        for (method, path, query, scope) in [
            ("GET", "/v2/", "", ""),
            ("GET", "/acr/v1/_catalog", "", "registry:catalog:*"),
            ("GET", "/v2/a/tags/list", "", "repository:a:metadata_read"),
            ("GET", "/v2/a/blobs/uploads/1", "", "repository:a:pull"),
            (
                "PATCH",
                "/v2/a/blobs/uploads/1",
                "",
                "repository:a:pull,push",
            ),
            ("DELETE", "/v2/a/blobs/uploads/1", "", "repository:a:delete"),
            (
                "PATCH",
                "/acr/v1/a/_tags/x",
                "",
                "repository:a:metadata_write",
            ),
            ("PUT", "/v2/a/manifests/x", "", "repository:a:pull,push"),
            ("HEAD", "/v2/a/manifests/x", "", "repository:a:pull"),
            (
                "POST",
                "/v2/a/blobs/uploads/",
                "from=b&mount=sha256%3A0",
                "repository:a:pull,push repository:b:pull",
            ),
        ] {
            let scopes = target(method, path).scope(method, query).join(" ");
            assert_eq!(scopes, scope, "{method} {path}");
        }
    }
}
