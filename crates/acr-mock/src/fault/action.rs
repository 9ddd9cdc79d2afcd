//! [`FaultAction`]: what becomes of a request that a fault has struck.

use std::time::Duration;

use acr_protocol::operation::Describe;
use acr_protocol::upload::{CancelUpload, CompleteUpload, GetUploadStatus, UploadChunk};
use acr_protocol::{OperationClass, Route};

use super::{Aim, Refuse};

/// What becomes of a request that a [`Fault`](super::Fault) has struck.
///
/// Where the connection ends, [`Registry::try_handle`](crate::Registry::try_handle) gives a
/// [`ConnectionLost`](super::ConnectionLost), and a server closes the connection. A body that breaks gives a
/// [`BodyError`](crate::BodyError) in process; over TCP the connection is closed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultAction {
    /// The request is not carried out; this is the answer.
    Answer(Refuse),
    /// The connection ends before the request is carried out.
    Reset,
    /// The request is carried out, and the connection ends without an answer: what a client that repeats it must bear.
    LoseAnswer,
    /// So many bytes of the request's body are taken, or all where it has fewer; then the connection ends.
    ///
    /// A chunk's bytes are kept by its upload, as far as they were taken; those in the body of `complete_upload` too, and
    /// the upload stays open. Everything else needs its body whole, so nothing of it is kept.
    ResetAfterTaking(u64),
    /// The request is carried out at once, and answered so much later by the registry's clock.
    DelayAnswer(Duration),
    /// The request is carried out, and the answer never comes.
    NeverAnswer,
    /// The body of the answer breaks after so many bytes, with fewer than the head has announced. A body that is not
    /// longer stays whole.
    CutBody(u64),
    /// The body of the answer falls silent after so many bytes, and never ends. A body that is not longer stays whole.
    StallBody(u64),
    /// The byte at this offset of the answer's body is another: its lowest bit is flipped. A body that does not reach so
    /// far stays as it is.
    FlipByte(u64),
    /// The body of the answer comes slowly.
    DripBody {
        /// How many bytes come at a time; at least one does.
        bytes: usize,
        /// How long it takes, by the registry's clock, until the next ones come.
        pause: Duration,
    },
    /// 404 `BLOB_UPLOAD_UNKNOWN`, and the upload is really gone. Strikes only requests to an upload's location.
    LoseUpload,
    /// 400 `BLOB_UPLOAD_INVALID`, and the upload is really gone. Strikes only requests to an upload's location.
    BreakUpload,
}

impl FaultAction {
    /// Whether it is about an upload that is there already.
    pub(super) fn is_about_an_upload(&self) -> bool {
        matches!(self, Self::LoseUpload | Self::BreakUpload)
    }

    /// Whether it makes sense for this request.
    pub(super) fn fits(&self, aim: &Aim<'_>) -> bool {
        match aim {
            Aim::Operation { route, .. } => !self.is_about_an_upload() || is_at_an_upload(route),
            Aim::Data => true,
        }
    }
}

/// The operations at an upload's location.
pub(super) const AT_AN_UPLOAD: [(&str, OperationClass); 4] = [
    (UploadChunk::NAME, UploadChunk::CLASS),
    (GetUploadStatus::NAME, GetUploadStatus::CLASS),
    (CompleteUpload::NAME, CompleteUpload::CLASS),
    (CancelUpload::NAME, CancelUpload::CLASS),
];

fn is_at_an_upload(route: &Route) -> bool {
    AT_AN_UPLOAD.iter().any(|(name, _)| *name == route.name())
}
