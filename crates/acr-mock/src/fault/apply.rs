//! What is done to a request that a fault has struck.

use std::error::Error;
use std::future::Future;

use acr_protocol::Route;
use acr_protocol::upload::{ChunkRange, UploadChunk};
use bytes::Bytes;
use http::Response;

use super::{ConnectionReset, Drip, FaultAction};
use crate::Body;
use crate::error::ErrorResponse;
use crate::registry::{Registry, refuse};
use crate::request_body;
use crate::request_context::RequestContext;
use crate::resolved_request::ResolvedRequest;

impl Registry {
    /// An operation that was struck.
    pub(crate) async fn apply_fault<B>(
        &self,
        action: FaultAction,
        call: &RequestContext,
        asked: ResolvedRequest,
        body: B,
    ) -> Result<Response<Body>, ConnectionReset>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match action {
            FaultAction::Respond(refuse) => Ok(self.refuse_instead(refuse, call, &asked.route)),
            FaultAction::LoseUpload => {
                self.drop_upload(&asked.route);
                Ok(refuse(call, ErrorResponse::upload_unknown()))
            }
            FaultAction::CorruptUpload => {
                self.drop_upload(&asked.route);
                Ok(refuse(call, ErrorResponse::upload_invalid()))
            }
            FaultAction::ResetAfterTaking(bytes) => {
                let taken = request_body::read_first(body, bytes, self.quota()).await;
                if asked.is_allowed() {
                    self.keep(call, asked.route, taken).await;
                }
                Err(ConnectionReset::new())
            }
            action => {
                self.alter_response(action, self.execute(call, asked, body))
                    .await
            }
        }
    }

    /// A request to the data origin that was struck.
    pub(crate) async fn apply_data_fault(
        &self,
        action: FaultAction,
        call: &RequestContext,
    ) -> Result<Response<Body>, ConnectionReset> {
        match action {
            FaultAction::Respond(refuse) => Ok(self.refuse_data(refuse, call)),
            action => {
                self.alter_response(action, async { self.get_data(call) })
                    .await
            }
        }
    }

    /// Lets a request be carried out, if it is to be at all, and does harm to its response.
    async fn alter_response(
        &self,
        action: FaultAction,
        carried_out: impl Future<Output = Response<Body>> + Send,
    ) -> Result<Response<Body>, ConnectionReset> {
        if action == FaultAction::Reset {
            return Err(ConnectionReset::new());
        }
        let response = carried_out.await;
        let clock = &self.settings().clock;
        Ok(match action {
            FaultAction::DropResponse => return Err(ConnectionReset::new()),
            FaultAction::Hang => std::future::pending().await,
            FaultAction::DelayResponse(delay) => {
                clock.sleep(delay).await;
                response
            }
            FaultAction::CutBody(bytes) => response.map(|body| body.cut_after(bytes)),
            FaultAction::StallBody(bytes) => response.map(|body| body.stall_after(bytes)),
            FaultAction::FlipByte(offset) => response.map(|body| body.flip_byte(offset)),
            FaultAction::SlowBody { bytes, pause } => {
                response.map(|body| body.drip(Drip::new(bytes, pause, clock.clone())))
            }
            // Done before, or never aimed here.
            FaultAction::Reset
            | FaultAction::Respond(_)
            | FaultAction::ResetAfterTaking(_)
            | FaultAction::LoseUpload
            | FaultAction::CorruptUpload => response,
        })
    }

    fn drop_upload(&self, route: &Route) {
        let location = match route {
            Route::UploadChunk(operation) => &operation.location,
            Route::GetUploadStatus(operation) => &operation.location,
            Route::CompleteUpload(operation) => &operation.location,
            Route::CancelUpload(operation) => &operation.location,
            _ => return,
        };
        if let Some(repository) = route.repository() {
            self.store().take_upload(repository, location.uuid());
        }
    }

    /// Keeps what came of a chunk before the connection ended.
    async fn keep(&self, call: &RequestContext, route: Route, taken: Vec<Bytes>) {
        let (repository, location, range) = match route {
            Route::UploadChunk(chunk) => (chunk.repository, chunk.location, chunk.range),
            Route::CompleteUpload(last) => (last.repository, last.location, last.range),
            _ => return,
        };
        let length = taken.iter().map(|bytes| bytes.len() as u64).sum();
        // The range said where the chunk would end; it ends where it was cut.
        let cut = range.filter(|range| range.length() > length);
        let range = cut
            .and_then(|range| ChunkRange::new(range.first, length))
            .or(range);
        let chunk = UploadChunk {
            repository,
            location,
            range,
        };
        // A refusal would be lost like every other response.
        let _lost = self
            .upload_chunk(call, &chunk, Body::from_chunks(taken))
            .await;
    }
}
