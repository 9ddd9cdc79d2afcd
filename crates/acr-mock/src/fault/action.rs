//! What a fault does: [`FaultAction`], [`FaultResponse`], and why neither may make sense.

use std::time::Duration;

use acr_protocol::auth::{ExchangeEntraToken, RequestAccessToken};
use acr_protocol::blob::GetBlob;
use acr_protocol::manifest::properties::UpdateManifestProperties;
use acr_protocol::manifest::{GetManifest, HeadManifest, SetManifest};
use acr_protocol::operation::Operation;
use acr_protocol::repository::UpdateRepositoryProperties;
use acr_protocol::tag::UpdateTagProperties;
use acr_protocol::upload::{
    CancelUpload, CompleteUpload, GetUploadStatus, StartUpload, UploadChunk,
};
use acr_protocol::{InvalidRepositoryName, OperationClass, Route};
use http::StatusCode;

/// What becomes of a request that a [`Fault`](super::Fault) has struck.
///
/// Where the connection ends, [`Registry::try_handle`](crate::Registry::try_handle) gives a
/// [`ConnectionReset`](super::ConnectionReset), and a server closes the connection. A body that breaks gives a
/// [`BodyError`](crate::BodyError) in process; over TCP the connection is closed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// The request is not carried out; this is the response.
    Respond(FaultResponse),
    /// The connection ends before the request is carried out.
    Reset,
    /// The request is carried out, and the connection ends without a response: exercises a client's handling of a lost response.
    DropResponse,
    /// So many bytes of the request's body are taken, or all where it has fewer; then the connection ends.
    ///
    /// A chunk's bytes are kept by its upload, as far as they were taken; those in the body of `complete_upload` too, and
    /// the upload stays open. Everything else needs its body whole, so nothing of it is kept. Strikes only requests of
    /// operations that have a body.
    ResetAfterTaking(u64),
    /// A request whose body has more bytes than this gets 413, as from a proxy that forwards no longer ones, and is not
    /// carried out; others are. Strikes only requests of operations that have a body.
    RefuseBodyOver(u64),
    /// The connection ends where the request's body has more bytes than this, and nothing of it is kept; others are carried
    /// out. Strikes only requests of operations that have a body.
    ResetBodyOver(u64),
    /// The request is carried out at once, and its response sent so much later by the registry's clock.
    DelayResponse(Duration),
    /// The request is carried out, and the response never comes.
    Hang,
    /// The body of the response breaks after so many bytes, with fewer than the head has announced. A body that is not
    /// longer stays whole.
    CutBody(u64),
    /// The body of the response falls silent after so many bytes, and never ends. A body that is not longer stays whole.
    StallBody(u64),
    /// So many zeros come behind the body of the response, which announces them too. A response without a body stays as it
    /// is.
    ExtendBody(u64),
    /// `Content-Length` is this, whatever the body of the response is. Over TCP a body that is longer ends there, and behind
    /// one that is shorter the connection is closed; in process the body comes as it is. A response without a body stays as
    /// it is, but for one to `HEAD`.
    AnnounceLength(u64),
    /// The byte at this offset of the response's body is another: its lowest bit is flipped. A body that does not reach so
    /// far stays as it is.
    FlipByte(u64),
    /// The body of the response comes slowly.
    SlowBody {
        /// How many bytes come at a time; at least one does.
        bytes: usize,
        /// How long it takes, by the registry's clock, until the next ones come.
        pause: Duration,
    },
    /// The `Range` of the request is ignored: 200 with the whole content, wherever that is served. Strikes only requests of
    /// `get_blob` and of the data origin that have one.
    IgnoreRange,
    /// The `ETag` of the response is another, as of content that was written anew. Strikes only requests to the data origin,
    /// `get_manifest` and `head_manifest`.
    ChangeEtag,
    /// The request is not carried out; the response is 307 to the URL that was asked for.
    RedirectToSelf,
    /// 404 `BLOB_UPLOAD_UNKNOWN`, and the upload is really gone. Strikes only requests to an upload's location.
    LoseUpload,
    /// 400 `BLOB_UPLOAD_INVALID`, and the upload is really gone. Strikes only requests to an upload's location.
    CorruptUpload,
}

impl FaultAction {
    /// What a request must have for it; `None` where every one will do.
    pub(super) fn need(&self) -> Option<Requirement> {
        match self {
            Self::LoseUpload | Self::CorruptUpload => Some(UPLOAD),
            Self::Respond(response) if response.words == Words::StaleLocation => Some(UPLOAD),
            Self::ResetAfterTaking(_) | Self::RefuseBodyOver(_) | Self::ResetBodyOver(_) => {
                Some(BODY)
            }
            Self::IgnoreRange => Some(RANGE),
            Self::ChangeEtag => Some(ETAG),
            _ => None,
        }
    }

    /// Whether it makes sense for this request.
    pub(super) fn fits(&self, candidate: &Candidate<'_>) -> bool {
        if *self == Self::IgnoreRange && !candidate.has_range() {
            return false;
        }
        self.need().is_none_or(|need| match candidate {
            Candidate::Operation { route, .. } => need.is_met_by(route.name()),
            Candidate::Data { .. } => need.at_data,
        })
    }
}

impl From<FaultResponse> for FaultAction {
    fn from(response: FaultResponse) -> Self {
        Self::Respond(response)
    }
}

/// What a [`Fault`](super::Fault) responds instead of carrying a request out, in the words of the registry, of its token
/// endpoints or of the data origin, wherever the request came.
///
/// ```
/// use std::time::Duration;
/// use acr_mock::FaultResponse;
///
/// let busy = FaultResponse::too_many_requests().retry_after(2);
/// let later = FaultResponse::service_unavailable().retry_after_date(Duration::from_secs(60));
/// let teapot = FaultResponse::status(http::StatusCode::IM_A_TEAPOT);
/// # let _ = (busy, later, teapot);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultResponse {
    pub(super) status: StatusCode,
    pub(super) words: Words,
    pub(super) retry_after: Option<RetryAfter>,
}

/// Which words a status is said in, where it has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// The usual ones.
    Usual,
    /// The 403 of a signed URL, and not that of a firewall.
    ExpiredUrl,
    /// The 416 of an old location, and not that of a chunk out of order.
    StaleLocation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    Seconds(u64),
    Date(Duration),
}

impl FaultResponse {
    /// Any status from 400 to 599, in the service's words where they are known for it, or chosen:
    ///
    /// | status | registry | token endpoints | data origin |
    /// |---|---|---|---|
    /// | 401 | challenge with `error="invalid_token"` | no body | |
    /// | 403 | `DENIED` of the firewall | the same | `AuthorizationFailure` |
    /// | 404 | the operation's own "not found" | plain text | `BlobNotFound` |
    /// | 405 | `REGISTRY_DISALLOWED_OPERATION` of a lock | the same | `UnsupportedHttpVerb` |
    /// | 413 | `SIZE_INVALID` (chosen) | the same | a page |
    /// | 416 | `BLOB_UPLOAD_RANGE_INVALID` of a chunk out of order; a page where there is no upload | a page | `InvalidRange` |
    /// | 429 | `TOOMANYREQUESTS` | the same | a page |
    /// | 500 | `UNKNOWN` (chosen) | the same | `InternalError` |
    /// | 503 | `UNAVAILABLE` (chosen) | the same | `ServerBusy` |
    /// | else | a page of HTML with the status, as proxies in front of a registry have it (chosen) | the same | the same |
    #[must_use]
    pub const fn status(status: StatusCode) -> Self {
        Self {
            status,
            words: Words::Usual,
            retry_after: None,
        }
    }

    /// 401: the token is not accepted, as after a change of keys. At the token endpoints, the credential is not.
    #[must_use]
    pub const fn invalid_token() -> Self {
        Self::status(StatusCode::UNAUTHORIZED)
    }

    /// 403: the firewall does not let the client in.
    #[must_use]
    pub const fn denied() -> Self {
        Self::status(StatusCode::FORBIDDEN)
    }

    /// 403: a signed URL whose time is over. At the data origin only.
    #[must_use]
    pub const fn expired_url() -> Self {
        Self {
            words: Words::ExpiredUrl,
            ..Self::status(StatusCode::FORBIDDEN)
        }
    }

    /// 416: the location is an old one; the response has the new one and how far the upload is. At an open upload only.
    #[must_use]
    pub const fn stale_location() -> Self {
        Self {
            words: Words::StaleLocation,
            ..Self::status(StatusCode::RANGE_NOT_SATISFIABLE)
        }
    }

    /// 404: what the operation is about is not there.
    #[must_use]
    pub const fn not_found() -> Self {
        Self::status(StatusCode::NOT_FOUND)
    }

    /// 429: too many requests.
    #[must_use]
    pub const fn too_many_requests() -> Self {
        Self::status(StatusCode::TOO_MANY_REQUESTS)
    }

    /// 500: something failed behind the registry.
    #[must_use]
    pub const fn internal_server_error() -> Self {
        Self::status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// 502: the registry is not there for the proxy in front of it.
    #[must_use]
    pub const fn bad_gateway() -> Self {
        Self::status(StatusCode::BAD_GATEWAY)
    }

    /// 503: the registry is not ready, or storage is busy.
    #[must_use]
    pub const fn service_unavailable() -> Self {
        Self::status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// 504: the registry is too slow for the proxy in front of it.
    #[must_use]
    pub const fn gateway_timeout() -> Self {
        Self::status(StatusCode::GATEWAY_TIMEOUT)
    }

    /// Says in `Retry-After` in how many seconds to come again.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(RetryAfter::Seconds(seconds));
        self
    }

    /// Says in `Retry-After` when to come again, as an HTTP date: so much later than now, by the registry's clock, in whole
    /// seconds.
    #[must_use]
    pub const fn retry_after_date(mut self, delay: Duration) -> Self {
        self.retry_after = Some(RetryAfter::Date(delay));
        self
    }

    /// Whether it can be said there.
    pub(super) fn check(
        self,
        at_data: bool,
        unfit: impl Fn(&'static str) -> FaultError,
    ) -> Result<(), FaultError> {
        let status = self.status;
        if !status.is_client_error() && !status.is_server_error() {
            return Err(FaultError::Status { status });
        }
        if self.words == Words::ExpiredUrl && !at_data {
            return Err(unfit("signed URL"));
        }
        if status == StatusCode::UNAUTHORIZED && at_data {
            return Err(unfit("token"));
        }
        Ok(())
    }
}

/// A request, as faults see it.
#[derive(Debug)]
pub(crate) enum Candidate<'a> {
    Operation {
        route: &'a Route,
        /// Whether its credentials are good.
        authorised: bool,
    },
    Data {
        /// Whether it has a `Range`.
        has_range: bool,
    },
}

impl Candidate<'_> {
    fn has_range(&self) -> bool {
        match self {
            Self::Operation { route, .. } => {
                matches!(route, Route::GetBlob(operation) if operation.range.is_some())
            }
            Self::Data { has_range } => *has_range,
        }
    }
}

/// What only the requests of some operations have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirement {
    pub(super) what: &'static str,
    operations: &'static [(&'static str, OperationClass)],
    /// Whether requests to the data origin have it.
    pub(super) at_data: bool,
}

impl Requirement {
    pub(super) fn is_met_by(&self, operation: &str) -> bool {
        self.operations.iter().any(|(name, _)| *name == operation)
    }

    pub(super) fn is_met_in(&self, class: OperationClass) -> bool {
        self.operations.iter().any(|(_, other)| *other == class)
    }
}

const UPLOAD: Requirement = Requirement {
    what: "open upload",
    operations: &[
        named::<UploadChunk>(),
        named::<GetUploadStatus>(),
        named::<CompleteUpload>(),
        named::<CancelUpload>(),
    ],
    at_data: false,
};

const RANGE: Requirement = Requirement {
    what: "byte range",
    operations: &[named::<GetBlob>()],
    at_data: true,
};

const ETAG: Requirement = Requirement {
    what: "ETag",
    operations: &[named::<GetManifest>(), named::<HeadManifest>()],
    at_data: true,
};

const BODY: Requirement = Requirement {
    what: "request body",
    operations: &[
        named::<StartUpload>(),
        named::<UploadChunk>(),
        named::<CompleteUpload>(),
        named::<SetManifest>(),
        named::<UpdateRepositoryProperties>(),
        named::<UpdateTagProperties>(),
        named::<UpdateManifestProperties>(),
        named::<ExchangeEntraToken>(),
        named::<RequestAccessToken>(),
    ],
    at_data: false,
};

const fn named<O: Operation>() -> (&'static str, OperationClass) {
    (O::SPEC.name, O::SPEC.class)
}

/// A fault that was not injected, because it could never strike as it was meant to.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No operation has this name.
    #[error("no operation is called {name:?}; there are {}", Route::NAMES.join(", "))]
    UnknownOperation {
        /// The name, as it was given.
        name: String,
    },
    /// The repository's name is malformed.
    #[error(transparent)]
    Repository(#[from] InvalidRepositoryName),
    /// The share is not a number from 0 to 1.
    #[error("the share {share} of a fault is not between 0 and 1")]
    Share {
        /// The share, as it was given.
        share: f64,
    },
    /// The status of a response is not one that says no.
    #[error("the status {status} of a fault's response is not one of 400 to 599")]
    Status {
        /// The status, as it was given.
        status: http::StatusCode,
    },
    /// It was not said what becomes of the requests.
    #[error("the fault has no action; name one, such as `FaultAction::Reset`")]
    NoAction,
    /// It needs something that no request has which it is aimed at.
    #[error("the fault could never strike: {target} has no {what}")]
    Unfit {
        /// What it needs, such as an open upload.
        what: &'static str,
        /// What it is aimed at.
        target: String,
    },
}
