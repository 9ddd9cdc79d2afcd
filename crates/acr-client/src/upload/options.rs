//! How a blob is uploaded.

use std::path::PathBuf;

use acr_protocol::{Algorithm, Digest, RepositoryName};

use crate::progress::OnProgress;

/// Options of [`upload_blob_with`](crate::RepositoryClient::upload_blob_with).
#[derive(Debug, Clone, Default)]
pub struct UploadBlobOptions {
    /// The bytes of one request; the last may have fewer. A request is streamed from a source that can be
    /// read again, and held in memory of one that can be read once.
    ///
    /// `None`, the default, sends a source that can be read again in one request up to 1 GiB and in parts of
    /// 256 MiB above that, or in parts of 16 MiB with a [`state_file`](Self::state_file), and the others in chunks
    /// of 4 MiB. Smaller chunks cost less to send again, and
    /// each takes a request with a [deadline](crate::RetryOptions::deadline) of its own. A registry that asks for larger ones
    /// (`OCI-Chunk-Min-Length`) gets them, up to 64 MiB where they are held in memory; one that does not take
    /// requests as large as that gets smaller ones, down to 1 MiB.
    pub chunk_size: Option<u64>,
    /// The algorithm of the digest, where none is given. The default is sha256, which every registry knows.
    pub algorithm: Algorithm,
    /// The digest that the blob must have. Where the source has another, nothing is committed. A
    /// [`BlobStream`](crate::BlobStream) brings its own.
    pub digest: Option<Digest>,
    /// Whether the registry is asked first for a blob of the digest, of which nothing is sent then.
    ///
    /// `None`, the default, asks where the digest is given, and where the source fits a chunk, so that
    /// it is known before anything is sent. With `true` a larger source is read twice; one that can be read only
    /// once is sent without asking.
    pub skip_existing: Option<bool>,
    /// Another repository of the registry that may have the blob, which is then mounted and not sent.
    ///
    /// A source that was given no digest and does not fit a chunk is read twice; one that can be read only once is
    /// sent, and not mounted.
    pub mount_from: Option<RepositoryName>,
    /// Where the source is read and hashed.
    pub hash_on: HashOn,
    /// Where the state of the upload is kept, so that the same call in another process goes on with it.
    ///
    /// What the registry has taken in whole requests is not sent again, so the end of the process costs one request
    /// of [`chunk_size`](Self::chunk_size) at most. A reader or stream is given again from its first byte on; it is
    /// read to where the upload stands.
    ///
    /// The file is replaced as a whole after each request, kept after an error, and removed at the end. One of
    /// another source or repository, or of an upload that the registry has lost, is replaced; one that holds
    /// something else is an error of the kind [`InvalidInput`](crate::ErrorKind::InvalidInput). Only its owner can
    /// read it, as [`UploadState`](crate::UploadState) says why.
    pub state_file: Option<PathBuf>,
    /// Who is told how far the upload is.
    pub on_progress: OnProgress,
}

/// Where content is read and hashed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashOn {
    /// On a thread of the call's own, which is started when the first bytes are needed. It ends with the call, but
    /// for a reader that waits for bytes, such as a pipe's: nobody can wake that, and the thread ends when it returns.
    ///
    /// Streams are hashed by the caller all the same, and so is what is so small that a thread costs more, and
    /// everything where there are no threads.
    #[default]
    Thread,
    /// In the task that polls the call: slower, and other work of the same thread waits meanwhile.
    Caller,
}
