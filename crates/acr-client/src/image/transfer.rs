//! One blob on its way from a source to a target.

use std::io;

use acr_protocol::Descriptor;
use futures_util::TryStreamExt as _;

use super::layout::Reader;
use super::place::{Nearness, Place, check_size};
use crate::blob::BlobStream;
use crate::error::{Error, ErrorKind};
use crate::progress::Outcome;
use crate::repository::RepositoryClient;
use crate::upload::{BlobSource, UploadBlobOptions};

/// Sees to it that a blob is at the target. With `ask` the target is asked whether it is there before it is mounted.
pub(super) async fn transfer(
    from: &Place,
    to: &Place,
    blob: &Descriptor,
    ask: bool,
) -> Result<Outcome, Error> {
    let target = match to {
        Place::Layout(layout) => {
            if layout.has(blob)? {
                return Ok(Outcome::Present);
            }
            layout.write(blob, reader(from, blob).await?).await?;
            return Ok(Outcome::Received);
        }
        Place::Repository(target) => target,
    };
    if ask && target.impatient().head_blob(&blob.digest).await?.is_some() {
        return Ok(Outcome::Present);
    }
    if let Place::Repository(source) = from
        && from.nearness(to) == Nearness::SameRegistry
        && is_mounted(source, target, blob).await?
    {
        return Ok(Outcome::Mounted);
    }
    upload(target, from, blob).await?;
    Ok(Outcome::Sent)
}

/// Mounts a blob, unless the registry would rather have it sent.
async fn is_mounted(
    source: &RepositoryClient,
    target: &RepositoryClient,
    blob: &Descriptor,
) -> Result<bool, Error> {
    match target.mount_blob(&blob.digest, &source.name).await {
        Ok(refused) => Ok(refused.is_none()),
        Err(error) if is_refusal(error.kind()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a failure to mount says nothing about whether the blob can be sent.
const fn is_refusal(kind: ErrorKind) -> bool {
    use ErrorKind::{Denied, NotFound, Unauthorized, Unsupported};
    matches!(kind, Denied | NotFound | Unauthorized | Unsupported)
}

async fn upload(target: &RepositoryClient, from: &Place, blob: &Descriptor) -> Result<(), Error> {
    let source = match from {
        Place::Layout(layout) => {
            let stored = layout.stored(blob)?;
            let opened = stored.open_at(0).map_err(|error| {
                let text = format!("cannot open {}", stored.path.display());
                Error::of_foreign(ErrorKind::Io, text, error)
            });
            BlobSource::reader(opened?).with_length(stored.length)
        }
        Place::Repository(source) => {
            let stream = download(source, blob).await?;
            let length = stream.content_length();
            let source = BlobSource::stream(stream.map_err(io::Error::from));
            match length {
                Some(length) => source.with_length(length),
                None => source,
            }
        }
    };
    let options = UploadBlobOptions {
        algorithm: blob.digest.algorithm(),
        ..UploadBlobOptions::default()
    };
    let uploaded = target.upload_blob_with(source, options).await?;
    if uploaded.digest == blob.digest {
        return Ok(());
    }
    let text = format!("{} has the digest {}", blob.digest, uploaded.digest);
    Err(Error::new(ErrorKind::DigestMismatch, text))
}

/// Begins to read a blob.
async fn reader(from: &Place, blob: &Descriptor) -> Result<Reader, Error> {
    match from {
        Place::Layout(layout) => layout.stored(blob)?.reader(blob),
        Place::Repository(source) => {
            let stream = download(source, blob).await?;
            Ok(Reader::Blob(Box::new(stream)))
        }
    }
}

/// Begins to download a blob of the size that its descriptor says.
async fn download(source: &RepositoryClient, blob: &Descriptor) -> Result<BlobStream, Error> {
    let stream = source.download_blob(&blob.digest).await?;
    check_size(blob, stream.content_length())?;
    Ok(stream)
}
