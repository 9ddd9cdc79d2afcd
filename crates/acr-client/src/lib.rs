#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod argument;
mod audience;
mod auth;
mod authorized;
mod blob;
#[cfg(feature = "blocking")]
pub mod blocking;
mod call_options;
mod client;
mod context;
mod environment;
mod error;
mod limiter;
mod manifest;
mod mask;
mod operation_info;
mod paging;
mod pipeline;
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
pub use self::audience::Audience;
#[cfg(feature = "docker-config")]
pub use self::auth::DockerConfig;
pub use self::auth::{Credential, TokenProvider, TokenRequest, TokenSource};
pub use self::authorized::AccessToken;
pub use self::blob::{BlobLocation, BlobStream};
pub use self::call_options::CallOptions;
pub use self::client::{ClientBuilder, ContainerRegistryClient, ListRepositoryNamesOptions};
pub use self::context::OperationContext;
pub use self::error::{Advice, Error, ErrorKind};
pub use self::limiter::LimiterOptions;
pub use self::manifest::ListManifestPropertiesOptions;
pub use self::paging::{Pager, Pages};
pub use self::referrers::ListReferrersOptions;
pub use self::repository::RepositoryClient;
pub use self::retry::RetryOptions;
pub use self::tag::{ListTagPropertiesOptions, ListTagsOptions};
pub use self::transport::Transport;
pub use self::upload::{BlobSource, BlobUpload, UploadBlobOptions};

/// The attribute for implementations of [`Transport`], [`TokenSource`] and [`TokenProvider`].
pub use async_trait::async_trait;

/// Where the client takes its time from.
pub use acr_clock::{self as clock, Clock};

/// The wire types, for all that is not re-exported here by name.
pub use acr_protocol as protocol;
#[doc(no_inline)]
pub use acr_protocol::{
    Algorithm, ArtifactManifestOrder, ArtifactManifestProperties, ArtifactManifestReference,
    ArtifactTagOrder, ArtifactTagProperties, Attributes, ChangeableAttributes, DeletedRepository,
    Descriptor, Digest, ErrorCode, ImageIndex, ImageManifest, InvalidManifest, Manifest, MediaType,
    Page, PageToken, Platform, Reference, RegistryError, RepositoryName, RepositoryProperties,
    ScopeSet, Secret, Tag, Timestamp,
    blob::{ByteRange, ContentRange},
    manifest::AcceptedManifest,
    upload::UploadLocation,
};
