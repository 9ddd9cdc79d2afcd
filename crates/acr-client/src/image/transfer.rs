//! One blob on its way from a source to a target.

use acr_protocol::Descriptor;

use super::layout::Reader;
use super::side::{Nearness, Side};
use super::size::check_size;
use super::tally::ContentProgress;
use crate::blob::{BlobStream, DownloadBlobOptions};
use crate::error::Error;
use crate::progress::{OnProgress, Outcome};
use crate::repository::RepositoryClient;
use crate::upload::{BlobSource, BlobUpload, UploadBlobOptions, is_lost, mount_unless_refused};

/// Sees to it that a blob is at the target. With `ask` the target is asked whether it is there before it is mounted.
pub(super) async fn transfer(
    from: &Side,
    to: &Side,
    blob: &Descriptor,
    ask: bool,
    content: &ContentProgress,
) -> Result<Outcome, Error> {
    let target = match to {
        Side::Layout(layout) => {
            if layout.has(blob)? {
                return Ok(Outcome::Present);
            }
            let reader = match from {
                Side::Layout(layout) => layout.stored(blob)?.reader(blob)?,
                Side::Repository(source) => {
                    let blob = download(source, blob, content.listener()).await?;
                    Reader::Blob(Box::new(blob))
                }
            };
            let length = layout.write(blob, reader).await?;
            check_size(blob, Some(length), blob.digest.as_str())?;
            return Ok(Outcome::Received);
        }
        Side::Repository(target) => target,
    };
    if ask && target.impatient().look_for(&blob.digest).await?.is_some() {
        return Ok(Outcome::Present);
    }
    let mut opened = None;
    if let Side::Repository(source) = from
        && from.nearness(to) == Nearness::SameRegistry
        && let Some(mounted) =
            mount_unless_refused(target.mount_blob(&blob.digest, &source.name).await)?
    {
        match mounted {
            None => return Ok(Outcome::Mounted),
            refused => opened = refused,
        }
    }
    upload(target, from, blob, opened, content).await?;
    Ok(Outcome::Sent)
}

async fn upload(
    target: &RepositoryClient,
    from: &Side,
    blob: &Descriptor,
    mut opened: Option<BlobUpload>,
    content: &ContentProgress,
) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        let (source, is_repeated) = match from {
            Side::Layout(layout) => (layout.stored(blob)?.source(), true),
            Side::Repository(source) => {
                let stream = download(source, blob, OnProgress::default()).await?;
                (BlobSource::from(stream), false)
            }
        };
        let options = UploadBlobOptions {
            digest: Some(blob.digest.clone()),
            skip_existing: Some(false),
            on_progress: content.listener(),
            ..UploadBlobOptions::default()
        };
        tries += 1;
        match target.send_blob(source, options, opened.take()).await {
            // What comes from a registry can be read once by an upload, but asked for again here.
            Err(error) if is_lost(&error) && !is_repeated && tries < MAX_TRIES => {}
            sent => return check_size(blob, Some(sent?.0.size), blob.digest.as_str()),
        }
    }
}

/// Begins to download a blob of the size that its descriptor says.
async fn download(
    source: &RepositoryClient,
    blob: &Descriptor,
    on_progress: OnProgress,
) -> Result<BlobStream, Error> {
    let options = DownloadBlobOptions {
        on_progress,
        ..DownloadBlobOptions::default()
    };
    let mut stream = source.download_blob_with(&blob.digest, options).await?;
    check_size(blob, stream.content_length(), blob.digest.as_str())?;
    if blob.size != 0 {
        stream.expect_length(blob.size);
    }
    Ok(stream)
}

const MAX_TRIES: u32 = 4;
