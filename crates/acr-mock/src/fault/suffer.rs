//! What is done to a request that a fault has struck.

use std::error::Error;
use std::future::Future;

use acr_protocol::Route;
use acr_protocol::upload::{ChunkRange, UploadChunk};
use bytes::Bytes;
use http::Response;

use super::{ConnectionLost, Drip, FaultAction};
use crate::Body;
use crate::asked::Asked;
use crate::call::Call;
use crate::error::Refusal;
use crate::registry::{Registry, refuse};
use crate::request_body;

impl Registry {
    /// An operation that was struck.
    pub(crate) async fn suffer<B>(
        &self,
        action: FaultAction,
        call: &Call,
        asked: Asked,
        body: B,
    ) -> Result<Response<Body>, ConnectionLost>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match action {
            FaultAction::Answer(refuse) => Ok(self.refuse_instead(refuse, call, &asked.route)),
            FaultAction::LoseUpload => {
                self.drop_upload(&asked.route);
                Ok(refuse(call, Refusal::upload_unknown()))
            }
            FaultAction::BreakUpload => {
                self.drop_upload(&asked.route);
                Ok(refuse(call, Refusal::upload_invalid()))
            }
            FaultAction::ResetAfterTaking(bytes) => {
                let taken = request_body::read_first(body, bytes, self.quota()).await;
                if asked.is_good() {
                    self.keep(call, asked.route, taken).await;
                }
                Err(ConnectionLost::new())
            }
            action => self.harm(action, self.carry_out(call, asked, body)).await,
        }
    }

    /// A request to the data origin that was struck.
    pub(crate) async fn suffer_data(
        &self,
        action: FaultAction,
        call: &Call,
    ) -> Result<Response<Body>, ConnectionLost> {
        match action {
            FaultAction::Answer(refuse) => Ok(self.refuse_data(refuse, call)),
            action => self.harm(action, async { self.get_data(call) }).await,
        }
    }

    /// Lets a request be carried out, if it is to be at all, and does harm to its answer.
    async fn harm(
        &self,
        action: FaultAction,
        carried_out: impl Future<Output = Response<Body>> + Send,
    ) -> Result<Response<Body>, ConnectionLost> {
        if action == FaultAction::Reset {
            return Err(ConnectionLost::new());
        }
        let answer = carried_out.await;
        let clock = &self.settings().clock;
        Ok(match action {
            FaultAction::LoseAnswer => return Err(ConnectionLost::new()),
            FaultAction::NeverAnswer => std::future::pending().await,
            FaultAction::DelayAnswer(delay) => {
                clock.sleep(delay).await;
                answer
            }
            FaultAction::CutBody(bytes) => answer.map(|body| body.cut_after(bytes)),
            FaultAction::StallBody(bytes) => answer.map(|body| body.stall_after(bytes)),
            FaultAction::FlipByte(offset) => answer.map(|body| body.flip_byte(offset)),
            FaultAction::DripBody { bytes, pause } => {
                answer.map(|body| body.drip(Drip::new(bytes, pause, clock.clone())))
            }
            // Done before, or never aimed here.
            FaultAction::Reset
            | FaultAction::Answer(_)
            | FaultAction::ResetAfterTaking(_)
            | FaultAction::LoseUpload
            | FaultAction::BreakUpload => answer,
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
    async fn keep(&self, call: &Call, route: Route, taken: Vec<Bytes>) {
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
        // A refusal would be lost like every other answer.
        let _lost = self
            .upload_chunk(call, &chunk, Body::from_chunks(taken))
            .await;
    }
}
