//! The data origin: the storage behind the registry, where blobs are read through signed URLs.
//!
//! A data request is known by its path. It needs no token; on the contrary, one with `Authorization` is refused, as
//! storage does, so that a client that carries its token along fails here and not in earnest.

use std::time::{Duration, SystemTime};

use acr_protocol::blob::{ByteRange, ContentRange};
use acr_protocol::{Digest, Timestamp, query_value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, LAST_MODIFIED, RANGE, SERVER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::Body;
use crate::error::ErrorResponse;
use crate::registry::Registry;
use crate::request_context::RequestContext;
use crate::store::Content;

const MARK: &str = "//docker/registry/v2/blobs/";
const PURPOSE: &str = "data URL";
/// The life of a signed URL, exactly as the service's.
const LIFE: Duration = Duration::from_secs(20 * 60);
const VERSION: &str = "2018-03-28";

/// Whether the request is for the data origin.
pub(crate) fn is_data_request(uri: &Uri) -> bool {
    uri.path().contains(MARK)
}

/// The URL at which a blob can be read for a while: signed, so that nobody else can make one.
pub(crate) fn signed_url(registry: &Registry, call: &RequestContext, digest: &Digest) -> String {
    let registry_id = registry_id(registry);
    let hex = digest.hex();
    let prefix = hex.get(..2).unwrap_or_default();
    let path = format!(
        "/{registry_id}{MARK}{}/{prefix}/{hex}/data",
        digest.algorithm()
    );
    // Whole seconds.
    let end = Timestamp::new((call.now() + LIFE).seconds(), 0).to_string();
    let signature = STANDARD.encode(
        registry
            .key()
            .sign(PURPOSE, format!("{path} {end}").as_bytes()),
    );
    let escape = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    format!(
        "{}{path}?se={}&sig={}&sp=r&spr=https&sr=b&sv={VERSION}&regid={registry_id}",
        call.origin().data_base_url(),
        escape(&end),
        escape(&signature),
    )
}

impl Registry {
    /// `GET` and `HEAD` of a signed URL.
    pub(crate) fn get_data(&self, call: &RequestContext) -> Response<Body> {
        versioned(call, self.read_data(call))
    }

    fn read_data(&self, call: &RequestContext) -> Response<Body> {
        if !matches!(*call.method(), Method::GET | Method::HEAD) {
            return failure(call, StatusCode::METHOD_NOT_ALLOWED);
        }
        if call.headers().contains_key(AUTHORIZATION) {
            return failure_with(
                call,
                StatusCode::BAD_REQUEST,
                "InvalidAuthenticationInfo",
                "Authentication information is not given in the correct format. Check the value of Authorization header.",
            );
        }
        if !self.is_signed(call) {
            return not_signed(call);
        }
        let content = digest_of(call.uri().path()).and_then(|digest| self.store().content(&digest));
        let Some(content) = content else {
            return failure(call, StatusCode::NOT_FOUND);
        };
        let range = call
            .headers()
            .get(RANGE)
            .and_then(|value| value.to_str().ok()?.parse::<ByteRange>().ok());
        let mut response = self.ranged(&content, range);
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Chosen, after the storage service's documentation.
            let unsatisfied = response.headers_mut().remove(CONTENT_RANGE);
            let mut response = failure(call, StatusCode::RANGE_NOT_SATISFIABLE);
            if let Some(value) = unsatisfied {
                response.headers_mut().insert(CONTENT_RANGE, value);
            }
            return response;
        }
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(http::header::ETAG, etag(call.uri().path()));
        with_service_headers(call, &mut response);
        describe(&content, response.headers_mut());
        response
    }

    /// Whether the signature is this registry's, and its time not over.
    fn is_signed(&self, call: &RequestContext) -> bool {
        let parameter = |name| query_value(call.uri().query()?, name);
        let check = || {
            let end = parameter("se")?;
            let signature = STANDARD.decode(parameter("sig")?).ok()?;
            let signed = format!("{} {end}", call.uri().path());
            let last = Timestamp::from(SystemTime::from(
                OffsetDateTime::parse(&end, &Rfc3339).ok()?,
            ));
            (self.key().verify(PURPOSE, signed.as_bytes(), &signature) && call.now() < last)
                .then_some(())
        };
        check().is_some()
    }
}

impl Registry {
    /// A content or the part of it that was asked for, where ranges are heeded.
    pub(crate) fn ranged(&self, content: &Content, range: Option<ByteRange>) -> Response<Body> {
        // A range that ends before it begins is malformed, and passed over as HTTP has it.
        let refuses = self.settings().profile.refuses_reversed_ranges();
        let heeded = |range: &ByteRange| {
            let is_reversed = matches!(range, ByteRange::FromTo(from, to) if from > to);
            self.settings().ranges && (refuses || !is_reversed)
        };
        let mut response = ranged(content, range.filter(heeded));
        if self.settings().ranges {
            let headers = response.headers_mut();
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        response
    }
}

/// The whole content, the part that was asked for (206), or 416 where no byte of it is there.
fn ranged(content: &Content, range: Option<ByteRange>) -> Response<Body> {
    let Some(range) = range else {
        return Response::new(Body::from_chunks(content.chunks().to_vec()));
    };
    let mut response = Response::new(Body::empty());
    let size = content.length();
    let value = match range.within(size) {
        Some((first, last)) => {
            *response.body_mut() = Body::from_chunks(content.slice(first, last));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            ContentRange {
                first,
                last,
                size: Some(size),
            }
            .to_string()
        }
        None => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            format!("bytes */{size}")
        }
    };
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

fn digest_of(path: &str) -> Option<Digest> {
    let (_, rest) = path.split_once(MARK)?;
    let [algorithm, _, hex, "data"] = rest.split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    Digest::new(format!("{algorithm}:{hex}")).ok()
}

/// Storage's own tag of a blob: a number of its writing, not the digest.
fn etag(path: &str) -> HeaderValue {
    let hash = Digest::sha256(path);
    HeaderValue::try_from(format!("\"0x8D{}\"", hash.hex()[..13].to_ascii_uppercase()))
        .unwrap_or(HeaderValue::from_static("\"0x8D\""))
}

/// The time in the form of HTTP's headers.
pub(crate) fn date(time: Timestamp) -> Option<HeaderValue> {
    let time = OffsetDateTime::from_unix_timestamp(time.seconds()).ok()?;
    let text = time.format(format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    ));
    HeaderValue::try_from(text.ok()?).ok()
}

/// A signature that is not the registry's, or whose time is over.
pub(crate) fn not_signed(call: &RequestContext) -> Response<Body> {
    failure_with(
        call,
        StatusCode::FORBIDDEN,
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.",
    )
}

/// A failure in storage's words: those of its documentation, but for what a signature is refused with. What it has no words
/// for is said by a page.
pub(crate) fn failure(call: &RequestContext, status: StatusCode) -> Response<Body> {
    let (code, message) = match status {
        StatusCode::FORBIDDEN => (
            "AuthorizationFailure",
            "This request is not authorized to perform this operation.",
        ),
        StatusCode::NOT_FOUND => ("BlobNotFound", "The specified blob does not exist."),
        StatusCode::METHOD_NOT_ALLOWED => (
            "UnsupportedHttpVerb",
            "The resource doesn't support specified Http Verb.",
        ),
        StatusCode::RANGE_NOT_SATISFIABLE => (
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
        ),
        StatusCode::INTERNAL_SERVER_ERROR => (
            "InternalError",
            "The server encountered an internal error. Please retry the request.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => (
            "ServerBusy",
            "The server is currently unable to receive requests. Please retry your request.",
        ),
        status => return ErrorResponse::page(status).into_response(),
    };
    failure_with(call, status, code, message)
}

fn failure_with(
    call: &RequestContext,
    status: StatusCode,
    code: &str,
    message: &str,
) -> Response<Body> {
    let text = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if let Ok(code) = HeaderValue::try_from(code) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-ms-error-code"), code);
    }
    with_service_headers(call, &mut response);
    response
}

/// Storage responds in the version of its API that the URL was signed for.
pub(crate) fn versioned(call: &RequestContext, mut response: Response<Body>) -> Response<Body> {
    let version = query_value(call.uri().query().unwrap_or_default(), "sv")
        .and_then(|text| HeaderValue::try_from(text).ok());
    response.headers_mut().insert(
        HeaderName::from_static("x-ms-version"),
        version.unwrap_or(HeaderValue::from_static(VERSION)),
    );
    response
}

fn with_service_headers(call: &RequestContext, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(
        SERVER,
        HeaderValue::from_static("Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"),
    );
    headers.insert(
        HeaderName::from_static("x-ms-request-id"),
        call.ids().next_value(),
    );
}

/// What storage says of a blob: that of the registry is one that chunks were appended to.
fn describe(content: &Content, headers: &mut HeaderMap) {
    for (name, value) in [
        ("x-ms-blob-type", "AppendBlob"),
        ("x-ms-lease-state", "available"),
        ("x-ms-lease-status", "unlocked"),
        ("x-ms-server-encrypted", "true"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers.insert(
        HeaderName::from_static("x-ms-blob-committed-block-count"),
        HeaderValue::from(content.blocks()),
    );
    if let Some(time) = date(content.created_on()) {
        headers.insert(LAST_MODIFIED, time.clone());
        headers.insert(HeaderName::from_static("x-ms-creation-time"), time);
    }
}

fn registry_id(registry: &Registry) -> String {
    hex::encode(&registry.key().sign("registry id", b"")[..16])
}
