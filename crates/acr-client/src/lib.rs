#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod argument;
mod audience;
pub mod auth;
mod authorized;
mod blob;
#[cfg(feature = "blocking")]
pub mod blocking;
mod call_options;
mod client;
mod context;
mod environment;
mod error;
pub mod image;
mod limiter;
mod manifest;
mod mask;
mod operation_info;
mod paging;
mod partial_file;
mod payload;
mod pipeline;
mod progress;
mod referrers;
mod repository;
mod response;
mod response_error;
mod retry;
mod sender;
mod tag;
#[cfg(test)]
mod testing;
mod trace;
pub mod transport;
mod upload;
mod url;

pub use self::argument::Argument;
#[doc(inline)]
pub use self::auth::Credential;
pub use self::blob::{
    BlobLocation, BlobStream, DownloadBlobOptions, ParallelRanges, SaveBlobOptions,
};
pub use self::call_options::CallOptions;
pub use self::client::{ClientBuilder, ContainerRegistryClient, ListRepositoryNamesOptions};
pub use self::error::{Advice, Error, ErrorKind};
pub use self::limiter::LimiterOptions;
pub use self::manifest::ListManifestPropertiesOptions;
pub use self::paging::{Pager, Pages};
pub use self::progress::{ImageProgress, OnProgress, Outcome, Progress, ProgressStream};
pub use self::referrers::ListReferrersOptions;
pub use self::repository::RepositoryClient;
pub use self::retry::RetryOptions;
pub use self::tag::{ListTagPropertiesOptions, ListTagsOptions};
pub use self::upload::{BlobSource, BlobUpload, HashOn, UploadBlobOptions, UploadState};

/// The attribute for implementations of [`Transport`](transport::Transport),
/// [`TokenSource`](auth::TokenSource) and [`TokenProvider`](auth::TokenProvider).
pub use async_trait::async_trait;

/// Where the client takes its time from.
pub use acr_clock::{self as clock, Clock};

/// Everything of the wire, for what neither the root nor [`models`] has.
pub use acr_protocol as protocol;
#[doc(no_inline)]
pub use acr_protocol::{
    ArtifactManifestOrder, ArtifactManifestProperties, ArtifactTagOrder, ArtifactTagProperties,
    ChangeableAttributes, Descriptor, Digest, ImageIndex, ImageManifest, Manifest, MediaType,
    Reference, RepositoryName, RepositoryProperties, Tag,
};

/// What operations take and return, beside the types that the root has.
pub mod models {
    #[doc(no_inline)]
    pub use acr_protocol::{
        Algorithm, ArtifactManifestReference, Attributes, DeletedRepository, ErrorCode,
        InvalidManifest, Page, PageToken, Platform, RegistryError, Timestamp,
        blob::{ByteRange, ContentRange},
        manifest::AcceptedManifest,
        upload::UploadLocation,
    };
}
