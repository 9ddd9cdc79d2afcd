#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
pub mod auth;
pub mod blob;
mod deletion;
mod descriptor;
mod digest;
mod envelope;
mod error;
mod http_parts;
mod image_reference;
mod json;
pub mod manifest;
mod media_type;
pub mod operation;
pub mod operations;
mod paging;
mod path;
mod ping;
mod platform;
mod reference;
pub mod referrers;
pub mod repository;
mod retry_after;
mod route;
pub mod tag;
mod text;
mod timestamp;
pub mod upload;
mod verify;

pub use attributes::{Attributes, ChangeableAttributes};
pub use auth::{
    Action, Challenge, InvalidChallenge, InvalidScope, Scope, ScopeSet, Secret, TokenClaims,
};
pub use deletion::Deletion;
pub use descriptor::{Descriptor, Platform};
pub use digest::{Algorithm, Digest, InvalidDigest};
pub use error::{DecodeError, ErrorCode, ErrorEnvelope, InvalidRequest, RegistryError};
pub use image_reference::{ImageReference, InvalidImageReference};
pub use manifest::properties::{
    ArtifactManifestOrder, ArtifactManifestProperties, ArtifactManifestReference,
};
pub use manifest::{ImageIndex, ImageManifest, InvalidManifest, Manifest};
pub use media_type::MediaType;
pub use operation::{Operation, OperationClass, Spec};
pub use paging::{InvalidLink, ListOrder, ListQuery, Page, PageToken};
pub use path::query_value;
pub use ping::Ping;
pub use reference::{
    InvalidReference, InvalidRepositoryName, InvalidTag, Reference, RepositoryName, Tag,
};
pub use repository::{DeletedRepository, RepositoryProperties};
pub use retry_after::RetryAfter;
pub use route::{InvalidBody, Route, RouteError};
pub use tag::{ArtifactTagOrder, ArtifactTagProperties};
pub use text::one_line;
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use verify::{DigestMismatch, Digester, InvalidState, UnsupportedAlgorithm, Verifier};
