//! Uploads: every response hands out a new location, whose state says how far the upload was; an old one is recognised.

use acr_protocol::upload::{
    CancelUpload, CompleteUpload, GetUploadStatus, StartUpload, UploadChunk, UploadLocation,
    UploadProgress, UploadStart,
};
use acr_protocol::{Algorithm, Digest, Digester, RepositoryName, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};

use crate::error::ErrorResponse;
use crate::pause::pause;
use crate::registry::Registry;
use crate::request_body::{self, RequestBody};
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::store::{Content, Store, Upload};
use crate::{Body, locks};

/// What the `_state` of a location holds, behind its signature.
#[derive(Serialize, Deserialize)]
struct State {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "UUID")]
    uuid: String,
    #[serde(rename = "Offset")]
    offset: u64,
    #[serde(rename = "StartedAt")]
    started_at: Timestamp,
}

const PURPOSE: &str = "upload state";
const SIGNATURE: usize = 32;
/// The longest time after which one upload too many is to be tried again, in seconds. Chosen.
const RETRY_UPLOAD: i64 = 10;

impl Registry {
    /// `POST /v2/{name}/blobs/uploads/`, with or without the whole blob in the body.
    pub(crate) async fn start_upload(
        &self,
        call: &RequestContext,
        operation: &StartUpload,
        body: RequestBody,
    ) -> Result<Response<Body>, ErrorResponse> {
        self.may_push(&operation.repository)?;
        let Some(digest) = &operation.digest else {
            return Ok(respond(
                operation,
                &UploadStart::Started(self.open_upload(call, &operation.repository)?),
            ));
        };
        let chunks = self.chunk(body, 0).await?;
        let content = Content::from_chunks(chunks);
        verify(digest, &content, None).await?;
        self.may_push(&operation.repository)?;
        self.store()
            .put_blob(&operation.repository, digest.clone(), content, self.now());
        Ok(respond(
            operation,
            &UploadStart::AlreadyExists(digest.clone()),
        ))
    }

    /// Opens an upload. The repository need not exist.
    pub(crate) fn open_upload(
        &self,
        call: &RequestContext,
        repository: &RepositoryName,
    ) -> Result<UploadProgress, ErrorResponse> {
        let mut store = self.store();
        let limits = &self.settings().limits;
        let (all, here) = store.uploads(repository);
        if all >= limits.uploads || here >= limits.repository_uploads {
            // One may be completed or cancelled at any time, and is over by itself at the latest.
            let end = store.first_upload_end().unwrap_or(call.now());
            let wait = end.saturating_duration_since(call.now()).as_secs();
            let wait = i64::try_from(wait)
                .unwrap_or(RETRY_UPLOAD)
                .clamp(1, RETRY_UPLOAD);
            return Err(ErrorResponse::too_many_requests(Some(wait)));
        }
        let upload = Upload::new(
            self.ids().next().to_string(),
            repository.clone(),
            call.now(),
        );
        let progress = self.progress(&upload);
        store.add_upload(upload, call.now() + self.settings().upload_life);
        Ok(progress)
    }

    /// `PATCH` of an upload's location.
    pub(crate) async fn upload_chunk(
        &self,
        call: &RequestContext,
        operation: &UploadChunk,
        body: RequestBody,
    ) -> Result<Response<Body>, ErrorResponse> {
        let range = operation.range.map(|range| range.to_string());
        let offset =
            self.offset_for_chunk(&operation.repository, &operation.location, range.as_deref())?;
        let chunks = self.chunk(body, offset).await?;
        let length = total(&chunks);
        if operation
            .range
            .is_some_and(|range| range.length() != length)
        {
            return Err(ErrorResponse::size_invalid());
        }
        self.may_push(&operation.repository)?;
        let (repository, id) = (&operation.repository, operation.location.uuid());
        // The hash goes on without the lock, from where the bytes before left it.
        let mut digester = {
            let store = self.store();
            let upload = self.appendable(&store, repository, id, offset, length)?;
            upload.digester.clone()
        };
        hash_in_turns(&mut digester, &chunks).await;
        let mut store = self.store();
        // Once more: another chunk may have come in between, and this one's location grown old.
        self.appendable(&store, repository, id, offset, length)?;
        let mut upload = store
            .take_upload(repository, id)
            .ok_or_else(ErrorResponse::upload_unknown)?;
        let minimum = self.settings().minimum_chunk.unwrap_or_default();
        upload.is_closed |= length < minimum;
        upload.digester = digester;
        upload.content.append(chunks, self.quota());
        let progress = self.progress(&upload);
        store.add_upload(upload, call.now() + self.settings().upload_life);
        Ok(respond(operation, &progress))
    }

    /// `GET` of an upload's location, also of an old one.
    pub(crate) fn get_upload_status(
        &self,
        operation: &GetUploadStatus,
    ) -> Result<Response<Body>, ErrorResponse> {
        let store = self.store();
        let upload = store
            .upload(&operation.repository, operation.location.uuid())
            .ok_or_else(ErrorResponse::upload_unknown)?;
        self.read_state(upload, &operation.location)?;
        Ok(respond(operation, &self.progress(upload)))
    }

    /// `PUT` of an upload's location with `digest=`. A digest that is not the content's leaves the upload as it was.
    pub(crate) async fn complete_upload(
        &self,
        operation: &CompleteUpload,
        body: RequestBody,
    ) -> Result<Response<Body>, ErrorResponse> {
        let range = operation.range.map(|range| range.to_string());
        let offset =
            self.offset_for_chunk(&operation.repository, &operation.location, range.as_deref())?;
        // Chosen, after the distribution's own registry.
        let digest = operation
            .digest
            .as_ref()
            .ok_or_else(|| ErrorResponse::digest_invalid("digest missing"))?;
        let chunks = self.chunk(body, offset).await?;
        let length = total(&chunks);
        if operation
            .range
            .is_some_and(|range| range.length() != length)
        {
            return Err(ErrorResponse::size_invalid());
        }
        self.may_push(&operation.repository)?;
        let (repository, id) = (&operation.repository, operation.location.uuid());
        let taken = {
            let store = self.store();
            // A copy of the pieces' handles, not of the bytes: hashing goes on without the lock.
            self.appendable(&store, repository, id, offset, length)?
                .clone()
        };
        let (mut content, mut digester) = (taken.content, taken.digester);
        hash_in_turns(&mut digester, &chunks).await;
        content.append(chunks, self.quota());
        verify(digest, &content, Some(digester)).await?;
        let mut store = self.store();
        self.appendable(&store, repository, id, offset, length)?;
        store.take_upload(repository, id);
        store.put_blob(&operation.repository, digest.clone(), content, self.now());
        Ok(respond(operation, digest))
    }

    /// `DELETE` of an upload's location.
    pub(crate) async fn cancel_upload(
        &self,
        operation: &CancelUpload,
    ) -> Result<Response<Body>, ErrorResponse> {
        let cancelled = {
            let mut store = self.store();
            let (repository, id) = (&operation.repository, operation.location.uuid());
            let upload = store
                .upload(repository, id)
                .ok_or_else(ErrorResponse::upload_unknown)?;
            self.read_state(upload, &operation.location)?;
            store.take_upload(repository, id)
        };
        if let Some(upload) = cancelled {
            self.waste().put_chunks(upload.content.into_chunks());
            self.shed_all().await;
        }
        Ok(respond(operation, &()))
    }

    /// The response to a chunk whose `Content-Range` is malformed. An old location is recognised before.
    pub(crate) fn refuse_chunk_range(
        &self,
        repository: &RepositoryName,
        location: &UploadLocation,
        range: &str,
    ) -> ErrorResponse {
        let store = self.store();
        match store.upload(repository, location.uuid()) {
            None => ErrorResponse::upload_unknown(),
            Some(upload) => match self.read_state(upload, location) {
                Err(refusal) => refusal,
                Ok(_) => ErrorResponse::range_invalid(
                    range,
                    "the Content-Range header format is invalid",
                ),
            },
        }
    }

    /// Where the next byte belongs, if the location is the newest and the range begins there.
    fn offset_for_chunk(
        &self,
        repository: &RepositoryName,
        location: &UploadLocation,
        range: Option<&str>,
    ) -> Result<u64, ErrorResponse> {
        let store = self.store();
        let upload = store
            .upload(repository, location.uuid())
            .ok_or_else(ErrorResponse::upload_unknown)?;
        let state = self.read_state(upload, location)?;
        let offset = upload.offset();
        if state.offset != offset {
            return Err(ErrorResponse::stale_location(&self.progress(upload)));
        }
        let first = range.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
        match (range, first) {
            (Some(range), Some(first)) if first != offset => {
                let reason = format!("out of order chunk: content range should start at {offset}");
                Err(ErrorResponse::range_invalid(range, &reason))
            }
            _ => Ok(offset),
        }
    }

    /// The upload that so many bytes may go to, which were to begin at `offset`.
    fn appendable<'a>(
        &self,
        store: &'a Store,
        repository: &RepositoryName,
        id: &str,
        offset: u64,
        length: u64,
    ) -> Result<&'a Upload, ErrorResponse> {
        let upload = store
            .upload(repository, id)
            .ok_or_else(ErrorResponse::upload_unknown)?;
        if upload.offset() != offset {
            return Err(ErrorResponse::stale_location(&self.progress(upload)));
        }
        match self.settings().minimum_chunk {
            Some(minimum) if upload.is_closed && length > 0 => {
                Err(ErrorResponse::chunk_too_short(minimum))
            }
            _ => Ok(upload),
        }
    }

    /// The bytes of a chunk, as long as the blob does not grow beyond its bound.
    async fn chunk(&self, body: RequestBody, offset: u64) -> Result<Vec<Bytes>, ErrorResponse> {
        let limit = self.settings().limits.blob.saturating_sub(offset);
        Ok(request_body::read_chunks(body, limit, self.quota()).await?)
    }

    fn may_push(&self, repository: &RepositoryName) -> Result<(), ErrorResponse> {
        self.store().record(repository).map_or(Ok(()), locks::push)
    }

    /// How far the upload is, with a new location.
    fn progress(&self, upload: &Upload) -> UploadProgress {
        let offset = upload.offset();
        UploadProgress {
            location: self.location_at(upload, offset),
            // `0-0` for none as for one: the service cannot say it otherwise.
            last_byte: Some(offset.saturating_sub(1)),
            minimum_chunk: self.settings().minimum_chunk,
        }
    }

    /// The location of an upload that holds `offset` bytes.
    pub(crate) fn location_at(&self, upload: &Upload, offset: u64) -> UploadLocation {
        // The first state has a fraction in its time, later ones have whole seconds (recorded).
        let started_at = if offset == 0 {
            upload.started_on()
        } else {
            Timestamp::new(upload.started_on().seconds(), 0)
        };
        let state = State {
            name: upload.repository().to_string(),
            uuid: upload.id().to_owned(),
            offset,
            started_at,
        };
        let text = serde_json::to_vec(&state).unwrap_or_default();
        let mut signed = self.key().sign(PURPOSE, &text).to_vec();
        signed.extend_from_slice(&text);
        UploadLocation::acr(upload.repository(), upload.id(), &URL_SAFE.encode(signed))
    }

    /// The state of a location, which only this registry can have written.
    fn read_state(
        &self,
        upload: &Upload,
        location: &UploadLocation,
    ) -> Result<State, ErrorResponse> {
        let read = || {
            let signed = URL_SAFE.decode(location.parameter("_state")?).ok()?;
            let (signature, text) = signed.split_at_checked(SIGNATURE)?;
            let state: State = self
                .key()
                .verify(PURPOSE, text, signature)
                .then(|| serde_json::from_slice(text).ok())??;
            (state.uuid == upload.id() && upload.repository() == state.name.as_str())
                .then_some(state)
        };
        read().ok_or_else(ErrorResponse::upload_invalid)
    }
}

/// Holds content against its digest. `digester` has hashed it on the way, if it was sha256.
async fn verify(
    digest: &Digest,
    content: &Content,
    digester: Option<Digester>,
) -> Result<(), ErrorResponse> {
    let digester = digester.filter(|digester| digester.algorithm() == digest.algorithm());
    let actual = match (digester, digest.algorithm()) {
        (Some(digester), _) => Some(digester.finish()),
        (None, algorithm) => hash(&algorithm, content).await,
    };
    // The detail of this refusal is chosen.
    if actual.as_ref() == Some(digest) {
        Ok(())
    } else {
        Err(ErrorResponse::digest_invalid(
            "provided digest did not match uploaded content",
        ))
    }
}

async fn hash(algorithm: &Algorithm, content: &Content) -> Option<Digest> {
    let mut digester = Digester::new(algorithm)?;
    hash_in_turns(&mut digester, content.chunks()).await;
    Some(digester.finish())
}

/// How many bytes are hashed in a turn: a few milliseconds' work.
const HASHED_IN_A_TURN: usize = 4 * 1024 * 1024;

/// Hashes pieces, and lets others have their turn now and then: a layer of a gigabyte takes seconds.
async fn hash_in_turns(digester: &mut Digester, pieces: &[Bytes]) {
    let mut left = HASHED_IN_A_TURN;
    for piece in pieces {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            if left == 0 {
                pause().await;
                left = HASHED_IN_A_TURN;
            }
            let (part, behind) = rest.split_at(rest.len().min(left));
            digester.update(part);
            left -= part.len();
            rest = behind;
        }
    }
}

fn total(chunks: &[Bytes]) -> u64 {
    chunks.iter().map(|chunk| chunk.len() as u64).sum()
}
