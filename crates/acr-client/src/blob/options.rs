use std::num::{NonZeroU64, NonZeroUsize};

use crate::progress::OnProgress;

/// Options for [`download_blob_with`](crate::RepositoryClient::download_blob_with).
///
/// ```
/// use acr_client::{DownloadBlobOptions, ParallelRanges};
///
/// let in_parallel = DownloadBlobOptions {
///     parallel: Some(ParallelRanges::default()),
///     ..DownloadBlobOptions::default()
/// };
/// # drop(in_parallel);
/// ```
#[derive(Debug, Clone, Default)]
pub struct DownloadBlobOptions {
    /// Ranges of the blob that are fetched at once. The default is `None`, one request for the whole:
    /// several pay where a server or a line gives each connection only so much.
    pub parallel: Option<ParallelRanges>,
    /// Who is told how far it is, at each piece that has arrived.
    pub on_progress: OnProgress,
}

/// Options for [`download_blob_to`](crate::RepositoryClient::download_blob_to).
#[derive(Debug, Clone, Default)]
pub struct SaveBlobOptions {
    /// Whether what has come of a download that ended early is kept, and gone on with. The default is not.
    ///
    /// The partial file is beside the target, with a name made of the target's and the digest. Its bytes are
    /// hashed and then not fetched again; where they are all of the blob, nothing is asked for. Where the whole
    /// turns out to be wrong, the partial file is removed, and the next call begins anew. While one download has
    /// the file, another one of the same blob to the same path has a file of its own, which is not kept; so has
    /// each where the file system cannot lock files.
    pub resume: bool,
    /// Ranges of the blob that are fetched at once, as in [`DownloadBlobOptions::parallel`].
    pub parallel: Option<ParallelRanges>,
    /// Who is told how far it is. What was there already counts from the beginning.
    pub on_progress: OnProgress,
}

/// Ranges of one blob that are fetched at once, each on a connection of its own.
///
/// Their bytes are given in order and verified together; each range goes on by itself where it breaks. What
/// has arrived before its turn is held in memory: at most `count` times `size` bytes. A server that knows no
/// ranges sends the whole in one response instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParallelRanges {
    /// How many ranges are fetched at once. The default is 4.
    pub count: NonZeroUsize,
    /// How many bytes a range has. The default is 8 MiB.
    pub size: NonZeroU64,
}

impl Default for ParallelRanges {
    fn default() -> Self {
        const COUNT: NonZeroUsize = NonZeroUsize::new(4).unwrap();
        const SIZE: NonZeroU64 = NonZeroU64::new(8 << 20).unwrap();
        Self {
            count: COUNT,
            size: SIZE,
        }
    }
}
