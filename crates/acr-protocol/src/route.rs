//! [`Route`]: which operation a request is. The inverse of every operation's `request()`.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, Method, request};

use crate::attributes::ChangeableAttributes;
use crate::auth::scope::ScopeSet;
use crate::auth::{EXCHANGE_PATH, TOKEN_PATH};
use crate::digest::Digest;
use crate::media_type::MediaType;
use crate::operation::{Operation, Spec};
use crate::operations::*;
use crate::paging::{ListOrder, ListQuery};
use crate::path::{decoded, query_value, query_values};
use crate::reference::{Reference, RepositoryName, Tag};
use crate::text::excerpt;
use crate::upload::{ChunkRange, UploadLocation};

macro_rules! routes {
    ($($name:ident)*) => {
        /// An operation, read from a request.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant is the operation of its name")]
        pub enum Route { $($name($name),)* }

        impl Route {
            /// The facts about the operation.
            #[must_use]
            pub fn spec(&self) -> Spec {
                match self { $(Self::$name(_) => <$name as Operation>::SPEC,)* }
            }

            /// The operation's one name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                self.spec().name
            }

            /// The scopes that a token needs for it.
            #[must_use]
            pub fn scope(&self) -> ScopeSet {
                match self { $(Self::$name(operation) => operation.scope(),)* }
            }

            /// The repository that it works on, if it is one.
            #[must_use]
            pub fn repository(&self) -> Option<&RepositoryName> {
                match self { $(Self::$name(operation) => operation.repository(),)* }
            }

            /// The place of its name among [`Route::NAMES`], for tables by operation.
            #[must_use]
            pub fn place(&self) -> usize {
                enum Place { $($name,)* }
                match self { $(Self::$name(_) => Place::$name as usize,)* }
            }

            /// The names of all operations.
            pub const NAMES: &'static [&'static str] = &[$(<$name as Operation>::SPEC.name),*];
        }

        $(impl From<$name> for Route {
            fn from(operation: $name) -> Self {
                Self::$name(operation)
            }
        })*
    };
}

crate::for_each_operation!(routes);

impl Route {
    /// Reads method, path, query and headers. What is in the body comes by [`Route::with_body`].
    ///
    /// # Errors
    /// [`RouteError`] tells the registry's several responses apart.
    pub fn parse(head: &request::Parts) -> Result<Self, RouteError> {
        let path = decoded(head.uri.path());
        let query = head.uri.query().unwrap_or_default();
        if let Some(rest) = path.strip_prefix("/v2") {
            let rest = match rest {
                "" | "/" => {
                    return require_method(&head.method, &[Method::GET]).map(|_| Ping.into());
                }
                rest => rest.strip_prefix('/').ok_or(RouteError::UnknownPath)?,
            };
            return content(head, rest, query);
        }
        if let Some(rest) = path.strip_prefix("/acr/v1/") {
            return metadata(head, rest, query);
        }
        match (path.as_ref(), &head.method) {
            (EXCHANGE_PATH, method) => require_method(method, &[Method::POST])
                .map(|_| ExchangeEntraToken::default().into()),
            (TOKEN_PATH, &Method::POST) => Ok(RequestAccessToken::default().into()),
            (TOKEN_PATH, method) => {
                require_method(method, &[Method::GET, Method::POST]).map(|_| {
                    RequestAccessTokenWithLogin::from_parts(query, head.headers.get(AUTHORIZATION))
                        .into()
                })
            }
            _ => Err(RouteError::UnknownPath),
        }
    }

    /// Whether the request's body belongs to the operation and is small: [`Route::with_body`] then reads it.
    #[must_use]
    pub fn has_small_body(&self) -> bool {
        matches!(
            self,
            Self::UpdateRepositoryProperties(_)
                | Self::UpdateTagProperties(_)
                | Self::UpdateManifestProperties(_)
                | Self::SetManifest(_)
                | Self::ExchangeEntraToken(_)
                | Self::RequestAccessToken(_)
        )
    }

    /// Adds what is in the body. The bodies of uploads are streams and stay outside.
    ///
    /// # Errors
    /// [`InvalidBody`]: the body is not of the operation's form.
    pub fn with_body(mut self, body: Bytes) -> Result<Self, InvalidBody> {
        match &mut self {
            Self::UpdateRepositoryProperties(operation) => {
                operation.attributes = attributes(&body)?
            }
            Self::UpdateTagProperties(operation) => operation.attributes = attributes(&body)?,
            Self::UpdateManifestProperties(operation) => operation.attributes = attributes(&body)?,
            Self::SetManifest(operation) => operation.bytes = body,
            Self::ExchangeEntraToken(operation) => {
                *operation = ExchangeEntraToken::from_form(&body)
            }
            Self::RequestAccessToken(operation) => {
                *operation = RequestAccessToken::from_form(&body)
            }
            _ => {}
        }
        Ok(self)
    }
}

/// The request is none that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// The path belongs to no part of the API: the service's front responds before the registry is asked.
    #[error("the path is outside the registry's API")]
    UnknownPath,
    /// A name, tag or digest in the path does not match its grammar, or the path has no such form. The service
    /// responds with a plain 404, before it asks for credentials.
    #[error("the path does not match the grammar of any operation")]
    Malformed,
    /// The path is known, the method does not fit it.
    #[error("the method is not one of {allowed:?}")]
    MethodNotAllowed {
        /// The methods that fit.
        allowed: &'static [Method],
    },
    /// The path and method are those of an operation, but a query parameter or header is malformed. The operation is
    /// there without it, because the service asks for credentials first.
    #[error("{parameter} is malformed: {value:?}")]
    Invalid {
        /// The operation without the malformed part.
        route: Box<Route>,
        /// The name of the query parameter or header, in lower case.
        parameter: &'static str,
        /// The beginning of its value.
        value: String,
    },
}

/// The body of a request is not of its operation's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request's body is not {expected}: {reason}")]
pub struct InvalidBody {
    expected: &'static str,
    reason: String,
}

/// `/acr/v1/…`
fn metadata(head: &request::Parts, path: &str, query: &str) -> Result<Route, RouteError> {
    let method = &head.method;
    if path == "_catalog" {
        require_method(method, &[Method::GET])?;
        return with_page(query, |query| ListRepositoryNames { query }.into());
    }
    // No segment of a name begins with an underscore, so the first one that does ends the name.
    let (name, rest) = match path.find("/_") {
        Some(end) => (&path[..end], &path[end + 1..]),
        None => (path, ""),
    };
    let repository = parse_name(name)?;
    match rest
        .split_once('/')
        .map_or((rest, None), |(kind, item)| (kind, Some(item)))
    {
        ("", None) => match *require_method(method, &[Method::GET, Method::PATCH, Method::DELETE])?
        {
            Method::PATCH => Ok(UpdateRepositoryProperties {
                repository,
                attributes: ChangeableAttributes::default(),
            }
            .into()),
            Method::DELETE => Ok(DeleteRepository { repository }.into()),
            _ => Ok(GetRepositoryProperties { repository }.into()),
        },
        ("_tags", None) => {
            require_method(method, &[Method::GET])?;
            let order = ListOrder::from_query(&query_value(query, "orderby").unwrap_or_default());
            let (digest, fault) = optional(query, "digest", |text| Digest::new(text).ok());
            let route = with_page(query, |query| {
                ListTagProperties {
                    repository,
                    query,
                    order,
                    digest,
                }
                .into()
            })?;
            or_invalid(fault, route)
        }
        ("_tags", Some(tag)) => {
            let tag = Tag::new(tag).map_err(|_| RouteError::Malformed)?;
            match *require_method(method, &[Method::GET, Method::PATCH, Method::DELETE])? {
                Method::PATCH => Ok(UpdateTagProperties {
                    repository,
                    tag,
                    attributes: ChangeableAttributes::default(),
                }
                .into()),
                Method::DELETE => Ok(DeleteTag { repository, tag }.into()),
                _ => Ok(GetTagProperties { repository, tag }.into()),
            }
        }
        ("_manifests", None) => {
            require_method(method, &[Method::GET])?;
            let order = ListOrder::from_query(&query_value(query, "orderby").unwrap_or_default());
            with_page(query, |query| {
                ListManifestProperties {
                    repository,
                    query,
                    order,
                }
                .into()
            })
        }
        ("_manifests", Some(digest)) => {
            let digest = Digest::new(digest).map_err(|_| RouteError::Malformed)?;
            match *require_method(method, &[Method::GET, Method::PATCH])? {
                Method::PATCH => Ok(UpdateManifestProperties {
                    repository,
                    digest,
                    attributes: ChangeableAttributes::default(),
                }
                .into()),
                _ => Ok(GetManifestProperties { repository, digest }.into()),
            }
        }
        _ => Err(RouteError::Malformed),
    }
}

/// `/v2/…`
fn content(head: &request::Parts, path: &str, query: &str) -> Result<Route, RouteError> {
    let method = &head.method;
    if path == "_catalog" {
        require_method(method, &[Method::GET])?;
        return with_page(query, |query| ListRepositories { query }.into());
    }
    if let Some(name) = path.strip_suffix("/tags/list") {
        let repository = parse_name(name)?;
        require_method(method, &[Method::GET])?;
        return with_page(query, |query| ListTags { repository, query }.into());
    }
    let (before, item) = path.rsplit_once('/').ok_or(RouteError::Malformed)?;
    if let Some(name) = before.strip_suffix("/blobs/uploads") {
        return upload(head, parse_name(name)?, item, query);
    }
    let (name, kind) = before.rsplit_once('/').ok_or(RouteError::Malformed)?;
    let repository = parse_name(name)?;
    match kind {
        "manifests" => manifest(head, repository, item, query),
        "blobs" => {
            let digest = Digest::new(item).map_err(|_| RouteError::Malformed)?;
            match *require_method(method, &[Method::GET, Method::HEAD, Method::DELETE])? {
                Method::HEAD => Ok(HeadBlob { repository, digest }.into()),
                Method::DELETE => Ok(DeleteBlob { repository, digest }.into()),
                // A range that is malformed, or of several parts, is passed over, as HTTP has it.
                _ => Ok(GetBlob {
                    repository,
                    digest,
                    range: header(&head.headers, RANGE).and_then(|text| text.parse().ok()),
                }
                .into()),
            }
        }
        "referrers" => {
            let digest = Digest::new(item).map_err(|_| RouteError::Malformed)?;
            require_method(method, &[Method::GET])?;
            let artifact_type = query_value(query, "artifactType")
                .filter(|text| !text.is_empty())
                .map(MediaType::from);
            with_page(query, |query| {
                ListReferrers {
                    repository,
                    digest,
                    artifact_type,
                    query,
                }
                .into()
            })
        }
        _ => Err(RouteError::Malformed),
    }
}

fn manifest(
    head: &request::Parts,
    repository: RepositoryName,
    item: &str,
    query: &str,
) -> Result<Route, RouteError> {
    let reference = Reference::new(item).map_err(|_| RouteError::Malformed)?;
    match *require_method(
        &head.method,
        &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
    )? {
        Method::HEAD => Ok(HeadManifest {
            repository,
            reference,
            accept: further_types(&head.headers),
        }
        .into()),
        Method::PUT => {
            let media_type = header(&head.headers, CONTENT_TYPE).map(MediaType::from_content_type);
            let media_type = media_type.unwrap_or_else(|| MediaType::from(""));
            let values = query_values(query, "tag");
            let fault = values
                .iter()
                .find(|tag| Tag::new(tag).is_err())
                .map(|tag| ("tag", excerpt(tag)));
            let tags = values.iter().filter_map(|tag| Tag::new(tag).ok()).collect();
            or_invalid(
                fault,
                SetManifest {
                    repository,
                    reference,
                    media_type,
                    bytes: Bytes::new(),
                    tags,
                }
                .into(),
            )
        }
        Method::DELETE => Ok(DeleteManifest {
            repository,
            reference,
        }
        .into()),
        _ => Ok(GetManifest {
            repository,
            reference,
            accept: further_types(&head.headers),
        }
        .into()),
    }
}

fn upload(
    head: &request::Parts,
    repository: RepositoryName,
    uuid: &str,
    query: &str,
) -> Result<Route, RouteError> {
    if uuid.is_empty() {
        require_method(&head.method, &[Method::POST])?;
        let (mount, mount_fault) = optional(query, "mount", |text| Digest::new(text).ok());
        let (from, from_fault) = optional(query, "from", |text| RepositoryName::new(text).ok());
        let (digest, digest_fault) = optional(query, "digest", |text| Digest::new(text).ok());
        let route = match mount {
            Some(digest) => MountBlob {
                repository,
                digest,
                from,
            }
            .into(),
            None => StartUpload { repository, digest }.into(),
        };
        return or_invalid(mount_fault.or(from_fault).or(digest_fault), route);
    }
    if !uuid
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'='))
    {
        return Err(RouteError::Malformed);
    }
    let location = UploadLocation::from_request(&head.uri, &repository, uuid);
    let range = head.headers.get(CONTENT_RANGE);
    let range = range.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let (range, fault) = match range.map(|text| (text.parse::<ChunkRange>().ok(), text)) {
        Some((None, text)) => (None, Some(("content-range", excerpt(&text)))),
        Some((range, _)) => (range, None),
        None => (None, None),
    };
    match *require_method(
        &head.method,
        &[Method::GET, Method::PATCH, Method::PUT, Method::DELETE],
    )? {
        Method::PATCH => or_invalid(
            fault,
            UploadChunk {
                repository,
                location,
                range,
            }
            .into(),
        ),
        Method::PUT => {
            let (digest, digest_fault) = optional(query, "digest", |text| Digest::new(text).ok());
            or_invalid(
                fault.or(digest_fault),
                CompleteUpload {
                    repository,
                    location,
                    digest,
                    range,
                }
                .into(),
            )
        }
        Method::DELETE => Ok(CancelUpload {
            repository,
            location,
        }
        .into()),
        _ => Ok(GetUploadStatus {
            repository,
            location,
        }
        .into()),
    }
}

fn parse_name(text: &str) -> Result<RepositoryName, RouteError> {
    RepositoryName::new(text).map_err(|_| RouteError::Malformed)
}

fn require_method<'a>(
    method: &'a Method,
    allowed: &'static [Method],
) -> Result<&'a Method, RouteError> {
    if allowed.contains(method) {
        Ok(method)
    } else {
        Err(RouteError::MethodNotAllowed { allowed })
    }
}

type Fault = Option<(&'static str, String)>;

/// A query parameter that may be missing; an empty one counts as missing.
fn optional<T>(
    query: &str,
    name: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> (Option<T>, Fault) {
    match query_value(query, name).filter(|text| !text.is_empty()) {
        None => (None, None),
        Some(text) => match read(&text) {
            Some(value) => (Some(value), None),
            None => (None, Some((name, excerpt(&text)))),
        },
    }
}

fn or_invalid(fault: Fault, route: Route) -> Result<Route, RouteError> {
    match fault {
        None => Ok(route),
        Some((parameter, value)) => Err(RouteError::Invalid {
            route: Box::new(route),
            parameter,
            value,
        }),
    }
}

fn with_page(query: &str, build: impl FnOnce(ListQuery) -> Route) -> Result<Route, RouteError> {
    // A number that is too large for us is still a number.
    let (page_size, fault) = optional(query, "n", |text| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u32::MAX))
    });
    let last = query_value(query, "last").filter(|last| !last.is_empty());
    or_invalid(fault, build(ListQuery { page_size, last }))
}

fn header(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The accepted media types that are not on the common list, nor wildcards.
fn further_types(headers: &HeaderMap) -> Vec<MediaType> {
    let values = headers
        .get_all(http::header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let types = values
        .flat_map(|value| value.split(','))
        .map(MediaType::from_content_type);
    types
        .filter(|media_type| {
            !media_type.as_str().is_empty()
                && !media_type.as_str().contains('*')
                && !MediaType::ACCEPTED_MANIFESTS.contains(media_type)
        })
        .collect()
}

fn attributes(body: &[u8]) -> Result<ChangeableAttributes, InvalidBody> {
    // By way of a map, because a struct can be read from a list too.
    let object = serde_json::from_slice::<serde_json::Map<_, _>>(body);
    let read = object.and_then(|object| serde_json::from_value(object.into()));
    read.map_err(|error| InvalidBody {
        expected: "an object of changeable attributes",
        reason: excerpt(&error.to_string()),
    })
}
