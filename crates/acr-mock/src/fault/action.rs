//! [`FaultAction`]: what becomes of a request that a fault has struck.

use std::time::Duration;

use acr_protocol::OperationClass;
use acr_protocol::auth::{ExchangeEntraToken, RequestAccessToken};
use acr_protocol::manifest::SetManifest;
use acr_protocol::manifest::properties::UpdateManifestProperties;
use acr_protocol::operation::Describe;
use acr_protocol::repository::UpdateRepositoryProperties;
use acr_protocol::tag::UpdateTagProperties;
use acr_protocol::upload::{
    CancelUpload, CompleteUpload, GetUploadStatus, StartUpload, UploadChunk,
};

use super::{Candidate, FaultResponse};

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
    /// The request is carried out, and the connection ends without a response: what a client that repeats it must bear.
    DropResponse,
    /// So many bytes of the request's body are taken, or all where it has fewer; then the connection ends.
    ///
    /// A chunk's bytes are kept by its upload, as far as they were taken; those in the body of `complete_upload` too, and
    /// the upload stays open. Everything else needs its body whole, so nothing of it is kept. Strikes only requests of
    /// operations that have a body.
    ResetAfterTaking(u64),
    /// The request is carried out at once, and served so much later by the registry's clock.
    DelayResponse(Duration),
    /// The request is carried out, and the response never comes.
    Hang,
    /// The body of the response breaks after so many bytes, with fewer than the head has announced. A body that is not
    /// longer stays whole.
    CutBody(u64),
    /// The body of the response falls silent after so many bytes, and never ends. A body that is not longer stays whole.
    StallBody(u64),
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
            Self::ResetAfterTaking(_) => Some(BODY),
            _ => None,
        }
    }

    /// Whether it makes sense for this request.
    pub(super) fn fits(&self, aim: &Candidate<'_>) -> bool {
        self.need().is_none_or(|need| match aim {
            Candidate::Operation { route, .. } => need.is_met_by(route.name()),
            Candidate::Data => false,
        })
    }
}

/// What only the requests of some operations have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirement {
    pub(super) what: &'static str,
    operations: &'static [(&'static str, OperationClass)],
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
};

const fn named<O: Describe>() -> (&'static str, OperationClass) {
    (O::NAME, O::CLASS)
}
