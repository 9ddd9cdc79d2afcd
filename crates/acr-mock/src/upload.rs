//! Uploads: every response hands out a new location, whose state says how far the upload was; an old one is recognised.

use acr_protocol::upload::{
    CancelUpload, ChunkRange, CompleteUpload, GetUploadStatus, StartUpload, UploadChunk,
    UploadLocation, UploadProgress, UploadStart,
};
use acr_protocol::{Algorithm, Digest, Digester, RepositoryName, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::ErrorResponse;
use crate::hasher::Hasher;
use crate::locks;
use crate::registry::Registry;
use crate::request_body::{self, RequestBody};
use crate::request_context::RequestContext;
use crate::response::respond;
use crate::serve::{Outcome, Serve};
use crate::store::{Content, Store, Upload};

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

/// `POST /v2/{name}/blobs/uploads/`, with or without the whole blob in the body.
impl Serve for StartUpload {
    async fn serve(self, registry: &Registry, call: &RequestContext, body: RequestBody) -> Outcome {
        registry.may_push(&self.repository)?;
        let start = match &self.digest {
            None => UploadStart::Started(registry.open_upload(call, &self.repository)?),
            Some(digest) => {
                // Of an algorithm that is not known nothing is the digest.
                let hasher = Hasher::new(&digest.algorithm());
                let mut hasher = hasher.unwrap_or_else(|| Digester::sha256().into());
                let content = Content::from_chunks(registry.chunk(body, 0, &mut hasher).await?);
                verify(digest, &content, hasher).await?;
                registry.may_push(&self.repository)?;
                let (repository, now) = (&self.repository, registry.now());
                let surplus = registry
                    .store()
                    .put_blob(repository, digest.clone(), content, now);
                registry.shed_surplus(surplus).await;
                UploadStart::AlreadyExists(digest.clone())
            }
        };
        Ok(respond(&self, &start))
    }
}

/// `PATCH` of an upload's location.
impl Serve for UploadChunk {
    fn must_exist(&self, store: &Store) -> Result<(), ErrorResponse> {
        store
            .find_upload(&self.repository, &self.location)
            .map(drop)
    }

    async fn serve(self, registry: &Registry, call: &RequestContext, body: RequestBody) -> Outcome {
        let (repository, location) = (&self.repository, &self.location);
        let (offset, mut hasher) = registry.end_of_upload(repository, location, self.range)?;
        let chunks = registry.chunk(body, offset, &mut hasher).await?;
        let length = registry.length_of_chunk(repository, self.range, &chunks)?;
        let mut store = registry.store();
        // Another chunk may have come in between, and this one's location grown old.
        registry.appendable(&store, repository, location, offset, length)?;
        let mut upload = store
            .take_upload(repository, location.uuid())
            .ok_or_else(ErrorResponse::upload_unknown)?;
        let minimum = registry.settings().minimum_chunk.unwrap_or_default();
        upload.is_closed |= length < minimum;
        upload.digester = hasher.into_digester();
        upload.content.append(chunks, registry.quota());
        let progress = registry.progress(&upload);
        store.add_upload(upload, call.now() + registry.settings().upload_life);
        Ok(respond(&self, &progress))
    }
}

/// `GET` of an upload's location, also of an old one.
impl Serve for GetUploadStatus {
    const IS_IMMEDIATE: bool = true;

    async fn serve(self, registry: &Registry, _: &RequestContext, _: RequestBody) -> Outcome {
        let store = registry.store();
        let upload = store.find_upload(&self.repository, &self.location)?;
        registry.read_state(upload, &self.location)?;
        Ok(respond(&self, &registry.progress(upload)))
    }
}

/// `PUT` of an upload's location with `digest=`. A digest that is not the content's leaves the upload as it was.
impl Serve for CompleteUpload {
    fn must_exist(&self, store: &Store) -> Result<(), ErrorResponse> {
        store
            .find_upload(&self.repository, &self.location)
            .map(drop)
    }

    async fn serve(self, registry: &Registry, _: &RequestContext, body: RequestBody) -> Outcome {
        let (repository, location) = (&self.repository, &self.location);
        let (offset, mut hasher) = registry.end_of_upload(repository, location, self.range)?;
        // Chosen, after the distribution's own registry.
        let digest = self
            .digest
            .as_ref()
            .ok_or_else(|| ErrorResponse::digest_invalid("digest missing"))?;
        let chunks = registry.chunk(body, offset, &mut hasher).await?;
        let length = registry.length_of_chunk(repository, self.range, &chunks)?;
        let mut content = {
            let store = registry.store();
            // A copy of the pieces' handles, not of the bytes: what is left to be hashed is hashed without the lock.
            let upload = registry.appendable(&store, repository, location, offset, length)?;
            upload.content.clone()
        };
        content.append(chunks, registry.quota());
        verify(digest, &content, hasher).await?;
        let surplus = {
            let mut store = registry.store();
            registry.appendable(&store, repository, location, offset, length)?;
            store.take_upload(repository, location.uuid());
            store.put_blob(repository, digest.clone(), content, registry.now())
        };
        registry.shed_surplus(surplus).await;
        Ok(respond(&self, digest))
    }
}

/// `DELETE` of an upload's location.
impl Serve for CancelUpload {
    async fn serve(self, registry: &Registry, _: &RequestContext, _: RequestBody) -> Outcome {
        let cancelled = {
            let mut store = registry.store();
            let upload = store.find_upload(&self.repository, &self.location)?;
            registry.read_state(upload, &self.location)?;
            store.take_upload(&self.repository, self.location.uuid())
        };
        if let Some(upload) = cancelled {
            registry.shed_surplus(upload.content.into_chunks()).await;
        }
        Ok(respond(&self, &()))
    }
}

impl Registry {
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

    /// The response to a chunk whose `Content-Range` is malformed. An old location is recognised before.
    pub(crate) fn refuse_chunk_range(
        &self,
        repository: &RepositoryName,
        location: &UploadLocation,
        range: &str,
    ) -> ErrorResponse {
        let store = self.store();
        let upload = store.find_upload(repository, location);
        match upload.and_then(|upload| self.read_state(upload, location)) {
            Err(refusal) => refusal,
            Ok(_) => {
                ErrorResponse::range_invalid(range, "the Content-Range header format is invalid")
            }
        }
    }

    /// The response to a chunk of this range that is out of order, or, without a range, that was sent to an old location.
    pub(crate) fn refuse_position(
        &self,
        repository: &RepositoryName,
        location: &UploadLocation,
        range: Option<&str>,
    ) -> ErrorResponse {
        match (self.store().find_upload(repository, location), range) {
            (Err(refusal), _) => refusal,
            (Ok(upload), None) => ErrorResponse::stale_location(&self.progress(upload)),
            (Ok(upload), Some(range)) => ErrorResponse::out_of_order(range, upload.offset()),
        }
    }

    /// Where the next byte belongs, if the location is the newest and the range begins there, and the digest up to there.
    fn end_of_upload(
        &self,
        repository: &RepositoryName,
        location: &UploadLocation,
        range: Option<ChunkRange>,
    ) -> Result<(u64, Hasher), ErrorResponse> {
        let store = self.store();
        let upload = store.find_upload(repository, location)?;
        let state = self.read_state(upload, location)?;
        let offset = upload.offset();
        if state.offset != offset {
            return Err(ErrorResponse::stale_location(&self.progress(upload)));
        }
        match range {
            Some(range) if range.first != offset => {
                Err(ErrorResponse::out_of_order(&range.to_string(), offset))
            }
            _ => Ok((offset, upload.digester.clone().into())),
        }
    }

    /// The length of a chunk that has come, if it is that of its range and no lock was set meanwhile.
    fn length_of_chunk(
        &self,
        repository: &RepositoryName,
        range: Option<ChunkRange>,
        chunks: &[Bytes],
    ) -> Result<u64, ErrorResponse> {
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if range.is_some_and(|range| range.length() != length) {
            return Err(ErrorResponse::size_invalid());
        }
        self.may_push(repository)?;
        Ok(length)
    }

    /// The upload that so many bytes may go to, which were to begin at `offset`.
    fn appendable<'a>(
        &self,
        store: &'a Store,
        repository: &RepositoryName,
        location: &UploadLocation,
        offset: u64,
        length: u64,
    ) -> Result<&'a Upload, ErrorResponse> {
        let upload = store.find_upload(repository, location)?;
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

    /// The bytes of a chunk, as long as the blob does not grow beyond its bound. They are hashed as they come.
    async fn chunk(
        &self,
        body: RequestBody,
        offset: u64,
        hasher: &mut Hasher,
    ) -> Result<Vec<Bytes>, ErrorResponse> {
        let limit = self.settings().limits.blob.saturating_sub(offset);
        Ok(request_body::read_chunks(body, limit, self.quota(), Some(hasher)).await?)
    }

    /// Drops the pieces of what has become no blob, with pauses for others.
    async fn shed_surplus(&self, chunks: Vec<Bytes>) {
        if !chunks.is_empty() {
            self.waste().put_chunks(chunks);
            self.shed_all().await;
        }
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

/// Holds content against its digest. `hasher` has taken it as it came, and is enough if it has the digest's algorithm.
async fn verify(digest: &Digest, content: &Content, hasher: Hasher) -> Result<(), ErrorResponse> {
    let actual = match hasher.algorithm() == digest.algorithm() {
        true => Some(hasher.finish()),
        false => hash(&digest.algorithm(), content).await,
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
    let mut hasher = Hasher::new(algorithm)?;
    for piece in content.chunks() {
        hasher.update(piece).await;
    }
    Some(hasher.finish())
}
