//! Reading the body of a request, within a bound.

use std::error::Error;
use std::pin::pin;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt as _;

/// What has become of a body.
#[derive(Debug)]
pub(crate) enum ReadBody<T = Bytes> {
    Whole(T),
    /// There was more than the bound.
    TooLarge,
    /// The sender stopped before the end.
    Broken,
}

/// Reads a body into one piece.
pub(crate) async fn read<B>(body: B, limit: usize) -> ReadBody
where
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match read_chunks(body, limit as u64).await {
        ReadBody::Whole(mut chunks) if chunks.len() == 1 => ReadBody::Whole(chunks.remove(0)),
        ReadBody::Whole(chunks) => ReadBody::Whole(chunks.concat().into()),
        ReadBody::TooLarge => ReadBody::TooLarge,
        ReadBody::Broken => ReadBody::Broken,
    }
}

/// Reads a body in the pieces it comes in.
pub(crate) async fn read_chunks<B>(body: B, limit: u64) -> ReadBody<Vec<Bytes>>
where
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut body = pin!(body);
    if body.size_hint().lower() > limit {
        return ReadBody::TooLarge;
    }
    let (mut chunks, mut length) = (Vec::new(), 0_u64);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return ReadBody::Broken;
        };
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        let bytes = data.copy_to_bytes(data.remaining());
        length += bytes.len() as u64;
        if length > limit {
            return ReadBody::TooLarge;
        }
        if !bytes.is_empty() {
            chunks.push(bytes);
        }
    }
    ReadBody::Whole(chunks)
}

/// Reads the first bytes of a body, or all that come where there are fewer.
pub(crate) async fn read_first<B>(body: B, bytes: u64) -> Vec<Bytes>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let mut body = pin!(body);
    let (mut chunks, mut left) = (Vec::new(), bytes);
    while left > 0
        && let Some(Ok(frame)) = body.frame().await
    {
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        let length = data
            .remaining()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= length as u64;
        chunks.push(data.copy_to_bytes(length));
    }
    chunks
}
